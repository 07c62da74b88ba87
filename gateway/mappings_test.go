package gateway_test

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

func decode(t testing.TB, raw json.RawMessage, out any) {
	t.Helper()
	if err := json.Unmarshal(raw, out); err != nil {
		t.Fatal(err)
	}
}

func (w *world) open() gateway.Opened {
	w.t.Helper()
	o, err := w.integrations.OpenFor(w.t.Context(), w.hub.Hub.ID, true)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// On two processes ten requests each arrive at once: one mapping, one user.
func TestFirstUseRaces(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.connect(gateway.VisibilityOwn)
		o := w.open()
		other := &gateway.Mappings{Store: w.db, Clock: w.clock.Now, Integrations: w.integrations, Events: w.mappings.Events}
		before := len(w.users())
		var wg sync.WaitGroup
		got := make([]string, 20)
		for i := range got {
			m := w.mappings
			if i%2 == 1 {
				m = other
			}
			wg.Go(func() {
				a, err := m.Resolve(t.Context(), w.hub.Ada, o)
				if err != nil {
					t.Error(err)
				}
				got[i] = a.PlatformUserID
			})
		}
		wg.Wait()
		for _, id := range got {
			if id != "ada@example.org" {
				t.Fatalf("%q", got)
			}
		}
		if n := len(w.users()); n != before+1 {
			t.Errorf("%d users were made", n-before)
		}
		all, err := w.mappings.List(t.Context(), w.hub.Admin, gateway.MappingFilter{}, gateway.Slice{Limit: 50})
		if err != nil || len(all) != 1 || all[0].How != gateway.MappedProvisioned && all[0].How != gateway.MappedMatched {
			t.Errorf("%+v, %v", all, err)
		}
		if ev := w.happened(); ev["mapping.created"] != 1 {
			t.Error(ev)
		}
	})
}

func TestResolveOutcomes(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	in := w.connect(gateway.VisibilityOwn)
	o := w.open()

	// A verified e-mail that Kaltura knows: that user, no new one.
	w.user("u-4711", "Ada@Example.org")
	a, err := w.mappings.Resolve(ctx, w.hub.Ada, o)
	if err != nil || a.PlatformUserID != "u-4711" {
		t.Fatal(a, err)
	}
	if slices.Contains(w.users(), "ada@example.org") {
		t.Error("a second user was made")
	}
	mine, err := w.mappings.Mine(ctx, w.hub.Ada, in.ID)
	if err != nil || mine.How != gateway.MappedMatched {
		t.Fatal(mine, err)
	}

	// Two users with one address: nobody guesses.
	w.user("bob-1", "bob@example.org")
	w.user("bob-2", "bob@example.org")
	for range 2 {
		_, err = w.mappings.Resolve(ctx, w.hub.Bob, o)
		gatewaytest.Want(t, err, gateway.Forbidden, "mapping_conflict")
		gatewaytest.Explained(t, err)
	}
	if ev := w.happened(); ev["mapping.conflict"] != 1 {
		t.Error(ev)
	}

	// Unverified: neither looked up nor made, and an unverified twin gets nobody's user.
	teacher := w.hub.Teacher
	teacher.EmailVerified = false
	teacher.Email = "ada@example.org"
	_, err = w.mappings.Resolve(ctx, teacher, o)
	gatewaytest.Want(t, err, gateway.Forbidden, "email_unverified")
	gatewaytest.Explained(t, err)

	// A machine passes unmapped, another hub's actor does not pass.
	m, err := w.mappings.Resolve(ctx, gatewaytest.Machine(w.hub.Hub), o)
	if err != nil || m.PlatformUserID != "" {
		t.Fatal(m, err)
	}
	south := gatewaytest.NewHouse(t, w.db, w.clock.Now, "south", gateway.PlanEnterprise)
	_, err = w.mappings.Resolve(ctx, south.Ada, o)
	gatewaytest.Want(t, err, gateway.NotFound, "")

	// A user whose id is the address but whose e-mail is somebody else's is no match.
	w.user("teacher@example.org", "somebody@else.example")
	_, err = w.mappings.Resolve(ctx, w.hub.Teacher, o)
	gatewaytest.Want(t, err, gateway.Forbidden, "mapping_conflict")

	// Conflicts come first in the list, also across pages.
	var states []gateway.MappingState
	for after := ""; ; {
		page, err := w.mappings.List(ctx, w.hub.Admin, gateway.MappingFilter{}, gateway.Slice{After: after, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		states, after = append(states, page[0].State), page[0].Cursor()
	}
	if !slices.Equal(states, []gateway.MappingState{gateway.MappingConflict, gateway.MappingConflict, gateway.MappingActive}) {
		t.Error(states)
	}
	_, err = w.mappings.List(ctx, w.hub.Ada, gateway.MappingFilter{}, gateway.Slice{Limit: 1})
	gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")

	// An admin resolves it, with the version they saw.
	bobs, err := w.mappings.Mine(ctx, w.hub.Bob, in.ID)
	if err != nil || !slices.Equal(bobs.Candidates, []string{"bob-1", "bob-2"}) {
		t.Fatal(bobs, err)
	}
	_, err = w.mappings.Link(ctx, w.hub.Bob, bobs.ID, bobs.Version, "bob-2")
	gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
	_, err = w.mappings.Link(ctx, south.Admin, bobs.ID, bobs.Version, "bob-2")
	gatewaytest.Want(t, err, gateway.NotFound, "mapping_not_found")
	_, err = w.mappings.Link(ctx, w.hub.Admin, bobs.ID, bobs.Version, "bob 2")
	gatewaytest.Want(t, err, gateway.Invalid, "platform_user_id")
	_, err = w.mappings.Link(ctx, w.hub.Admin, bobs.ID, bobs.Version, "bob-3")
	gatewaytest.Want(t, err, gateway.Invalid, "platform_user_unknown")
	gatewaytest.Explained(t, err)
	linked, err := w.mappings.Link(ctx, w.hub.Admin, bobs.ID, bobs.Version, "bob-2")
	if err != nil || linked.State != gateway.MappingActive || linked.How != gateway.MappedManual || len(linked.Candidates) != 0 {
		t.Fatal(linked, err)
	}
	_, err = w.mappings.Link(ctx, w.hub.Admin, bobs.ID, bobs.Version, "bob-1")
	gatewaytest.Want(t, err, gateway.Precondition, "stale")
	if b, err := w.mappings.Resolve(ctx, w.hub.Bob, o); err != nil || b.PlatformUserID != "bob-2" {
		t.Fatal(b, err)
	}

	// Cut means cut: not made anew by itself.
	cut, err := w.mappings.Unlink(ctx, w.hub.Admin, linked.ID, linked.Version)
	if err != nil || cut.State != gateway.MappingUnlinked {
		t.Fatal(cut, err)
	}
	_, err = w.mappings.Resolve(ctx, w.hub.Bob, o)
	gatewaytest.Want(t, err, gateway.Forbidden, "mapping_unlinked")
	gatewaytest.Explained(t, err)
	if len(w.audit("mapping.linked")) != 1 || len(w.audit("mapping.unlinked")) != 1 {
		t.Error("an admin's hand is not in the audit log")
	}
}

func TestMappingModes(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	in := w.connect(gateway.VisibilityOwn, func(c *gateway.Connection) { c.MappingMode = gateway.MappingOff })
	_, err := w.mappings.Resolve(ctx, w.hub.Ada, w.open())
	gatewaytest.Want(t, err, gateway.Forbidden, "mapping_off")
	gatewaytest.Explained(t, err)

	in, err = w.integrations.Save(ctx, w.hub.Admin, in.Version, gateway.Connection{MappingMode: gateway.MappingApproval})
	if err != nil {
		t.Fatal(err)
	}
	users := len(w.users())
	for range 2 {
		_, err = w.mappings.Resolve(ctx, w.hub.Ada, w.open())
		gatewaytest.Want(t, err, gateway.Forbidden, "mapping_pending")
		gatewaytest.Explained(t, err)
	}
	if len(w.users()) != users {
		t.Error("a user was made before the approval")
	}
	wait, err := w.mappings.List(ctx, w.hub.Admin, gateway.MappingFilter{States: []gateway.MappingState{gateway.MappingPending}}, gateway.Slice{Limit: 10})
	if err != nil || len(wait) != 1 || wait[0].PlatformUserID != "ada@example.org" {
		t.Fatal(wait, err)
	}
	done, err := w.mappings.Link(ctx, w.hub.Admin, wait[0].ID, wait[0].Version, wait[0].PlatformUserID)
	if err != nil || done.State != gateway.MappingActive || done.How != gateway.MappedProvisioned {
		t.Fatal(done, err)
	}
	if a, err := w.mappings.Resolve(ctx, w.hub.Ada, w.open()); err != nil || a.PlatformUserID != "ada@example.org" || len(w.users()) != users+1 {
		t.Fatal(a, err)
	}

	// Who waited is let in when approval is no longer asked for.
	_, err = w.mappings.Resolve(ctx, w.hub.Bob, w.open())
	gatewaytest.Want(t, err, gateway.Forbidden, "mapping_pending")
	if _, err = w.integrations.Save(ctx, w.hub.Admin, in.Version, gateway.Connection{MappingMode: gateway.MappingOnFirstUse}); err != nil {
		t.Fatal(err)
	}
	if b, err := w.mappings.Resolve(ctx, w.hub.Bob, w.open()); err != nil || b.PlatformUserID != "bob@example.org" {
		t.Fatal(b, err)
	}
}

// A USER-type token cannot ask who is who: the e-mail is the user id.
func TestMatchByUserID(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	c := w.token(map[string]any{"sessionType": 0, "sessionPrivileges": "sview:*"}).connection(gateway.VisibilityOwn)
	c.MatchBy = gateway.MatchUserID
	if _, err := w.integrations.Save(t.Context(), w.hub.Admin, 0, c); err != nil {
		t.Fatal(err)
	}
	id := w.entry("ada@example.org", "hers", "")
	w.entry("bob@example.org", "his", "")
	page, err := w.catalog.Browse(t.Context(), w.hub.Ada, gateway.Query{})
	if err != nil || len(page.Items) != 1 || page.Items[0].ID != id {
		t.Fatal(ids(page), err)
	}
}

func TestLastUseIsWrittenHourly(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	in := w.connect(gateway.VisibilityShared)
	use := func() gateway.Mapping {
		t.Helper()
		if _, err := w.mappings.Resolve(t.Context(), w.hub.Ada, w.open()); err != nil {
			t.Fatal(err)
		}
		m, err := w.mappings.Mine(t.Context(), w.hub.Ada, in.ID)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	use()
	first := use()
	w.clock.Add(59 * time.Minute)
	if m := use(); !m.LastUsedAt.Equal(first.LastUsedAt) {
		t.Error("written too often")
	}
	w.clock.Add(time.Minute)
	if m := use(); !m.LastUsedAt.Equal(w.clock.Now()) || m.Version != first.Version {
		t.Error("not written, or an admin's version is worth nothing any more:", m.LastUsedAt, m.Version)
	}
	// Another process that read the mapping before does not write it again.
	if err := w.db.Mappings().SetUsed(t.Context(), first.ID, w.clock.Now().Add(time.Second), w.clock.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if m := use(); !m.LastUsedAt.Equal(w.clock.Now()) {
		t.Error("written twice:", m.LastUsedAt)
	}
}

// Two people who claim one address are not both the Kaltura user that has it: the second waits for an
// administrator, also when both come at once, and from any path an address that is not verified counts for nothing.
func TestTwoPeopleWithOneAddress(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.connect(gateway.VisibilityShared)
		hubs := &gateway.Hubs{Store: db, Clock: w.clock.Now}
		join := func(subject string, verified bool) gateway.Actor {
			t.Helper()
			id := gatewaytest.Identity("twin", "north", gateway.PlanEnterprise, gateway.RoleParticipant)
			id.Subject, id.EmailVerified = subject, verified
			b, err := hubs.SignIn(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return gatewaytest.ActorIn(t, db, b[0].Participant)
		}
		resolve := func(a gateway.Actor) error {
			o, err := w.integrations.OpenFor(t.Context(), a.HubID, true)
			if err != nil {
				return err
			}
			_, err = w.mappings.Resolve(t.Context(), a, o)
			return err
		}
		gatewaytest.Want(t, resolve(join("sub-unverified", false)), gateway.Forbidden, "email_unverified")
		one, two := join("sub-one", true), join("sub-two", true)
		errs := make(chan error, 2)
		for _, a := range []gateway.Actor{one, two} {
			go func() { errs <- resolve(a) }()
		}
		good, conflicts := 0, 0
		for range 2 {
			switch err := <-errs; {
			case err == nil:
				good++
			case gateway.IsReason(err, "mapping_conflict"):
				conflicts++
			default:
				t.Error(err)
			}
		}
		if good != 1 || conflicts != 1 {
			t.Fatalf("%d are the user, %d wait", good, conflicts)
		}
	})
}
