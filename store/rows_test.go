package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

func TestVersions(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		h := hub(t, db)
		mine, theirs := h, h
		mine.Name = "mine"
		must(t, db.Hubs().Update(t.Context(), &mine))
		if mine.Version != 2 {
			t.Fatal(mine.Version)
		}
		theirs.Name = "theirs"
		err := db.Hubs().Update(t.Context(), &theirs)
		wantCode(t, err, gateway.Conflict)
		if !gateway.IsReason(err, "changed_meanwhile") || theirs.Version != 1 || !theirs.UpdatedAt.Equal(h.UpdatedAt) {
			t.Fatal(err, theirs)
		}
		got, err := db.Hubs().Get(t.Context(), gateway.AnyHub, h.ID)
		if err != nil || got.Name != "mine" || got != mine {
			t.Fatal(err, got)
		}
		must(t, db.Hubs().Delete(t.Context(), gateway.AnyHub, h.ID))
		must(t, db.Hubs().Delete(t.Context(), gateway.AnyHub, h.ID)) // harmless
		wantCode(t, db.Hubs().Update(t.Context(), &mine), gateway.Conflict)
	})
}

// Of many writers with one version exactly one wins.
func TestVersionRace(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		h := hub(t, db)
		var wg sync.WaitGroup
		errs := make([]error, 12)
		for i := range errs {
			wg.Go(func() {
				x := h
				x.Name = fmt.Sprint(i)
				errs[i] = db.Hubs().Update(t.Context(), &x)
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				wantCode(t, err, gateway.Conflict)
			}
		}
		if won != 1 {
			t.Fatal(won, "writers won")
		}
	})
}

func TestDuplicates(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		h := hub(t, db)
		other := gateway.Hub{Row: gateway.Row{ID: gateway.NewID("hub")}, Issuer: h.Issuer, ExternalID: h.ExternalID}
		err := db.Hubs().Insert(t.Context(), &other)
		wantCode(t, err, gateway.Conflict)
		if other.Version != 0 {
			t.Error("a refused row got a version")
		}
		must(t, db.Integrations().Insert(t.Context(), &gateway.Integration{Row: row("int", h.ID), Platform: "kaltura"}))
		wantCode(t, db.Integrations().Insert(t.Context(), &gateway.Integration{Row: row("int", h.ID), Platform: "kaltura"}), gateway.Conflict)
		in, err := db.Integrations().ByHub(t.Context(), h.ID, "kaltura")
		must(t, err)
		var people [2]gateway.Participant
		for i := range people {
			people[i] = gateway.Participant{Row: row("par", h.ID), Issuer: "i", Subject: fmt.Sprint(i)}
			must(t, db.Participants().Insert(t.Context(), &people[i]))
			must(t, db.Mappings().Insert(t.Context(), &gateway.Mapping{Row: row("map", h.ID), IntegrationID: in.ID, ParticipantID: people[i].ID, PlatformUserID: "same"}))
		}
		wantCode(t, db.Mappings().Insert(t.Context(), &gateway.Mapping{Row: row("map", h.ID), IntegrationID: in.ID, ParticipantID: people[0].ID}), gateway.Conflict)
		wantCode(t, db.Participants().Insert(t.Context(), &gateway.Participant{Row: row("par", h.ID), Issuer: "i", Subject: "0"}), gateway.Conflict)
		it := gateway.LibraryItem{Row: row("item", h.ID), ParticipantID: people[0].ID, IntegrationID: in.ID, EntryID: "0_x", Kind: gateway.ItemLink}
		must(t, db.Library().Insert(t.Context(), &it))
		twin := it
		twin.ID = gateway.NewID("item")
		wantCode(t, db.Library().Insert(t.Context(), &twin), gateway.Conflict)
		if found, err := db.Library().Find(t.Context(), twin); err != nil || found.ID != it.ID {
			t.Error(found, err)
		}
		twin.Kind = gateway.ItemCopy
		must(t, db.Library().Insert(t.Context(), &twin))
		if n, err := db.Integrations().Uses(t.Context(), in.ID); err != nil || n != (gateway.Impact{Links: 1, Mappings: 2}) {
			t.Error(n, err)
		}
		if err := db.Hubs().Insert(t.Context(), &gateway.Hub{}); gateway.CodeOf(err) != gateway.Internal {
			t.Error("a row without an id:", err)
		}
	})
}

// "Insert, and when it is there already take that one" is how races are settled inside a
// transaction. On Postgres a plain error would spoil it.
func TestConflictDoesNotSpoilTransaction(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		h := hub(t, db)
		must(t, db.Tx(t.Context(), func(tx gateway.Tx) error {
			twin := gateway.Hub{Row: gateway.Row{ID: gateway.NewID("hub")}, Issuer: h.Issuer, ExternalID: h.ExternalID}
			wantCode(t, tx.Hubs().Insert(t.Context(), &twin), gateway.Conflict)
			stale := h
			stale.Version = 9
			wantCode(t, tx.Hubs().Update(t.Context(), &stale), gateway.Conflict)
			_, err := tx.Hubs().Get(t.Context(), gateway.AnyHub, "hub_none")
			wantCode(t, err, gateway.NotFound)
			for i := range 2 {
				first, err := tx.SpentTokens().Take(t.Context(), &gateway.SpentToken{Row: gateway.Row{ID: "spent"}, ExpiresAt: time.Now()})
				if err != nil || first != (i == 0) {
					t.Errorf("taken %d times before: %v %v", i, first, err)
				}
			}
			got, err := tx.Hubs().ByExternal(t.Context(), h.Issuer, h.ExternalID)
			must(t, err)
			got.Name = "kept"
			return tx.Hubs().Update(t.Context(), &got)
		}))
		if got, err := db.Hubs().Get(t.Context(), gateway.AnyHub, h.ID); err != nil || got.Name != "kept" {
			t.Fatal(got, err)
		}
	})
}

func TestErrorsAreTranslated(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		_, err := db.Uploads().Get(t.Context(), gateway.AnyHub, "none")
		wantCode(t, err, gateway.NotFound)
		err = db.Participants().Insert(t.Context(), &gateway.Participant{Row: row("par", "hub_gone")})
		wantCode(t, err, gateway.Conflict)
		if !gateway.IsReason(err, "reference_gone") {
			t.Error(err)
		}
		h := hub(t, db)
		x := h
		x.Name = "a\x00b"
		if err := db.Hubs().Update(t.Context(), &x); !gateway.IsReason(err, "bad_text") {
			t.Error("NUL:", err)
		}
		if _, err := db.Hubs().Get(t.Context(), gateway.AnyHub, "a\x00"); !gateway.IsReason(err, "bad_text") {
			t.Error("NUL:", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := db.Hubs().Get(ctx, gateway.AnyHub, h.ID); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := db.Uploads().SetReceived(t.Context(), "none", 1); gateway.CodeOf(err) != gateway.NotFound {
			t.Error(err)
		}
		if _, err := db.Hubs().ReserveUpload(t.Context(), h.ID); err == nil {
			t.Error("a reservation outside a transaction")
		}
		own := gateway.E(gateway.TooLarge, "x", "y")
		if err := db.Tx(t.Context(), func(gateway.Tx) error { return own }); err != error(own) {
			t.Error("an error of the caller was changed:", err)
		}
	})
	if err := store.CheckSQLite("3.51.2"); !gateway.IsReason(err, "engine_too_old") {
		t.Error(err)
	}
	for _, v := range []string{"3.51.3", "3.54.1", "4.0.0"} {
		must(t, store.CheckSQLite(v))
	}
}

func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	db := storetest.Open(t, store.Options{DataDir: dir})
	h := hub(t, db)
	store.LimitPages(t, db)
	var err error
	for range 50 {
		if err = db.Audit().Insert(t.Context(), &gateway.AuditRecord{Row: row("aud", h.ID), Actor: strings.Repeat("x", 50_000)}); err != nil {
			break
		}
	}
	if !gateway.IsReason(err, "disk_full") {
		t.Fatal(err)
	}
	if _, err := db.Hubs().Get(t.Context(), gateway.AnyHub, h.ID); err != nil {
		t.Fatal("reading stopped too:", err)
	}
}

func TestOwnSetters(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		h := hub(t, db)
		u := gateway.Upload{Row: row("upl", h.ID), State: gateway.UploadReceiving, Size: 10}
		must(t, db.Uploads().Insert(t.Context(), &u))
		must(t, db.Uploads().SetReceived(t.Context(), u.ID, 7))
		must(t, db.Uploads().SetRelay(t.Context(), u.ID, "handle", gateway.Ranges{{Start: 0, End: 7}}))
		u.State = gateway.UploadIngesting // from a copy read before
		must(t, db.Uploads().Update(t.Context(), &u))
		got, err := db.Uploads().Get(t.Context(), gateway.Scope(h.ID), u.ID)
		if err != nil || got.Received != 7 || got.RelayHandle != "handle" || got.RelaySent.Total() != 7 || got.State != gateway.UploadIngesting {
			t.Fatal(err, got)
		}
		j := gateway.Job{Row: row("job", h.ID), State: gateway.JobRunning, Attempt: 2}
		must(t, db.Jobs().Insert(t.Context(), &j))
		wantCode(t, db.Jobs().RequestCancel(t.Context(), "hub_other", j.ID), gateway.NotFound)
		must(t, db.Jobs().RequestCancel(t.Context(), gateway.Scope(h.ID), j.ID))
		j.Progress = 0.3
		must(t, db.Jobs().Update(t.Context(), &j))
		must(t, db.Jobs().SetProgress(t.Context(), j.ID, 2, 0.5))
		if err := db.Jobs().SetProgress(t.Context(), j.ID, 1, 0.9); !gateway.IsReason(err, "changed_meanwhile") {
			t.Fatal("a superseded attempt:", err)
		}
		back, err := db.Jobs().Get(t.Context(), gateway.AnyHub, j.ID)
		if err != nil || !back.CancelRequested || back.Progress != 0.5 || back.Version != 2 {
			t.Fatal(err, back)
		}
		in := gateway.Integration{Row: row("int", h.ID), Platform: "kaltura", Health: gateway.HealthOK}
		must(t, db.Integrations().Insert(t.Context(), &in))
		sick := in
		sick.Health, sick.HealthText = gateway.HealthDegraded, "slow"
		must(t, db.Integrations().SetHealth(t.Context(), &sick))
		if got, err := db.Integrations().Get(t.Context(), gateway.AnyHub, in.ID); err != nil || got.Health != gateway.HealthDegraded || got.Version != 1 {
			t.Fatal(err, got)
		}
	})
}

// Many creators at the edge of a quota: together they never take more than there is.
func TestReserveUploadExcludesOthers(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		h := hub(t, db)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				err := db.Tx(t.Context(), func(tx gateway.Tx) error {
					reserved, err := tx.Hubs().ReserveUpload(t.Context(), h.ID)
					if err != nil || reserved+30 > 100 {
						return err
					}
					return tx.Uploads().Insert(t.Context(), &gateway.Upload{Row: row("upl", h.ID), Size: 30, State: gateway.UploadReceiving})
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		ups, err := db.Uploads().List(t.Context(), gateway.Scope(h.ID), "", "", nil, gateway.Slice{})
		if err != nil || len(ups) != 3 {
			t.Fatal(len(ups), err)
		}
		ups[0].State = gateway.UploadReady
		must(t, db.Uploads().Update(t.Context(), &ups[0]))
		must(t, db.Tx(t.Context(), func(tx gateway.Tx) error {
			if n, err := tx.Hubs().ReserveUpload(t.Context(), h.ID); err != nil || n != 60 {
				t.Error(n, err)
			}
			return nil
		}))
	})
}

func TestListings(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		h := hub(t, db)
		s := gateway.Scope(h.ID)
		in := gateway.Integration{Row: row("int", h.ID), Platform: "kaltura"}
		must(t, db.Integrations().Insert(t.Context(), &in))
		states := []gateway.MappingState{gateway.MappingActive, gateway.MappingConflict, gateway.MappingPending, gateway.MappingConflict, gateway.MappingActive}
		for i, state := range states {
			p := gateway.Participant{Row: gateway.Row{ID: fmt.Sprintf("par_%d", i), HubID: h.ID}, Subject: fmt.Sprint(i)}
			must(t, db.Participants().Insert(t.Context(), &p))
			must(t, db.Mappings().Insert(t.Context(), &gateway.Mapping{Row: gateway.Row{ID: fmt.Sprintf("map_%d", i), HubID: h.ID}, IntegrationID: in.ID, ParticipantID: p.ID, State: state}))
		}
		ids := func(states ...gateway.MappingState) (out []string) {
			for after := ""; ; {
				page, err := db.Mappings().List(t.Context(), s, gateway.MappingFilter{States: states}, gateway.Slice{After: after, Limit: 2})
				must(t, err)
				for _, m := range page {
					out = append(out, strings.TrimPrefix(m.ID, "map_"))
				}
				if len(page) < 2 {
					return out
				}
				after = page[1].Cursor()
			}
		}
		if got := strings.Join(ids(), ""); got != "31420" {
			t.Error("conflicts first, then newest:", got)
		}
		if got := strings.Join(ids(gateway.MappingActive), ""); got != "40" {
			t.Error(got)
		}
		for i, name := range []string{"ÄPFEL und Birnen", "100%_wahr", "äpfelmus", `back\slash`} {
			must(t, db.Library().Insert(t.Context(), &gateway.LibraryItem{
				Row: gateway.Row{ID: fmt.Sprintf("item_%d", i), HubID: h.ID}, ParticipantID: "p", EntryID: fmt.Sprint(i), Name: name, Type: gateway.Video,
			}))
		}
		for text, want := range map[string]int{"Äpfel": 2, "%_W": 1, "_": 1, "%": 1, `\`: 1, "x": 0, "": 4} {
			got, err := db.Library().List(t.Context(), gateway.Actor{HubID: h.ID, ParticipantID: "p"}, text, []gateway.MediaType{gateway.Video}, gateway.Slice{})
			if err != nil || len(got) != want {
				t.Errorf("search %q: %d, want %d (%v)", text, len(got), want, err)
			}
		}
		now := time.Now()
		for i, d := range []time.Duration{-time.Hour, time.Hour, -time.Millisecond} {
			must(t, db.Uploads().Insert(t.Context(), &gateway.Upload{Row: gateway.Row{ID: fmt.Sprintf("upl_%d", i), HubID: h.ID}, State: gateway.UploadReceiving, Replica: "r", ExpiresAt: now.Add(d)}))
			must(t, db.Sessions().Insert(t.Context(), &gateway.Session{Row: gateway.Row{ID: fmt.Sprint(i)}, ExpiresAt: now.Add(d)}))
		}
		over, err := db.Uploads().Expired(t.Context(), now, 10)
		if err != nil || len(over) != 2 || over[0].ID != "upl_0" {
			t.Error(over, err)
		}
		if here, err := db.Uploads().InReplica(t.Context(), "r"); err != nil || len(here) != 3 {
			t.Error(here, err)
		}
		if n, err := db.Sessions().DeleteExpired(t.Context(), now); err != nil || n != 2 {
			t.Error(n, err)
		}
	})
}

// Nobody gets a row of another hub, whatever they ask for, and listings agree with the rules in
// gateway that decide who may see what.
func TestScopeAndRulesNeverLeak(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		var all []gateway.LibraryItem
		var events []gateway.Event
		var hubs []gateway.Hub
		people, clients := []string{"", "p1", "p2"}, []string{"", "c1", "c2"}
		pick := func(from []string) string { return from[rand.N(len(from))] }
		for range 3 {
			hubs = append(hubs, hub(t, db))
		}
		for i := range 150 {
			it := gateway.LibraryItem{Row: row("item", hubs[i%3].ID), ParticipantID: pick(people), EntryID: fmt.Sprint(i), Name: pick([]string{"sea", "See", "sky"}), Shared: rand.N(3) == 0}
			it.ClientID = pick(clients) // with a participant, too: a client that acted for somebody
			if it.ClientID != "" && rand.N(2) == 0 {
				it.Source, it.ExternalID = gateway.SourceSpaces, fmt.Sprint(i)
			}
			must(t, db.Library().Insert(t.Context(), &it))
			all = append(all, it)
			must(t, db.Jobs().Insert(t.Context(), &gateway.Job{Row: row("job", it.HubID), ParticipantID: it.ParticipantID, ClientID: it.ClientID}))
			ev := gateway.Event{HubID: it.HubID, Audience: pick(append(append(people, clients...), gateway.AudienceContent)), Type: "x", Subject: it.ID}
			must(t, db.Events().Append(t.Context(), &ev))
			events = append(events, ev)
		}
		rapid.Check(t, func(r *rapid.T) {
			h := rapid.SampledFrom(hubs).Draw(r, "hub")
			a := gateway.Actor{HubID: h.ID, Role: rapid.SampledFrom([]gateway.Role{gateway.RoleAdmin, gateway.RoleContentAdmin, gateway.RoleParticipant}).Draw(r, "role")}
			if rapid.Bool().Draw(r, "person") {
				a.ParticipantID = rapid.SampledFrom(people[1:]).Draw(r, "participant")
			} else {
				a.ClientID = rapid.SampledFrom(clients).Draw(r, "client")
			}
			x := rapid.SampledFrom(all).Draw(r, "row")
			got, err := db.Library().Get(t.Context(), gateway.Scope(h.ID), x.ID)
			if (err == nil) != (x.HubID == h.ID) || got.HubID != "" && got.HubID != h.ID {
				r.Fatal("Get crossed hubs", err)
			}
			if x.HubID != h.ID {
				if err := db.Library().Delete(t.Context(), gateway.Scope(h.ID), x.ID); err != nil {
					r.Fatal(err)
				}
				moved := x
				moved.HubID, moved.Name = h.ID, "stolen"
				if err := db.Library().Update(t.Context(), &moved); err == nil {
					r.Fatal("a row changed hubs")
				}
				if still, err := db.Library().Get(t.Context(), gateway.AnyHub, x.ID); err != nil || !reflect.DeepEqual(still, x) {
					r.Fatal("another hub's row was touched", err)
				}
			}
			items, err := db.Library().List(t.Context(), a, "", nil, gateway.Slice{})
			if err != nil {
				r.Fatal(err)
			}
			want := 0
			for _, it := range all {
				if gateway.DecideItem(a, it).Allowed {
					want++
					if !slices.ContainsFunc(items, func(o gateway.LibraryItem) bool { return reflect.DeepEqual(o, it) }) {
						r.Fatal("missing", it)
					}
				}
			}
			if len(items) != want {
				r.Fatalf("%d items listed, %d allowed", len(items), want)
			}
			made, err := db.Jobs().List(t.Context(), a, gateway.Slice{})
			if err != nil {
				r.Fatal(err)
			}
			for _, j := range made {
				if a.Machine() && (j.ClientID == "" || j.ClientID != a.ClientID || j.ParticipantID != "") {
					r.Fatal("somebody else's job", j)
				}
			}
			evs, err := db.Events().Since(t.Context(), a, 0, 500)
			if err != nil {
				r.Fatal(err)
			}
			want = 0
			for _, e := range events {
				if gateway.MaySee(a, e.HubID, e.Audience) {
					want++
				}
			}
			if len(evs) != want {
				r.Fatalf("%d events heard, %d allowed", len(evs), want)
			}
		})
	})
}
