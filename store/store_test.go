package store_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

func hub(t *testing.T, tb gateway.Tables) gateway.Hub {
	t.Helper()
	id := gateway.NewID("hub")
	h := gateway.Hub{Row: gateway.Row{ID: id}, Issuer: "https://id.example", ExternalID: "ext-" + id, Name: "Höre \"Ünï\" 'x'", Plan: gateway.PlanUniversity}
	if err := tb.Hubs().Insert(t.Context(), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

func row(prefix, hubID string) gateway.Row {
	return gateway.Row{ID: gateway.NewID(prefix), HubID: hubID}
}

func check[T any](t *testing.T, rows gateway.Rows[T], x T, id string) {
	t.Helper()
	if err := rows.Insert(t.Context(), &x); err != nil {
		t.Fatal(err)
	}
	got, err := rows.Get(t.Context(), gateway.AnyHub, id)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, x) {
		t.Fatalf("came back as\n%#v, want\n%#v", got, x)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code gateway.Code) {
	t.Helper()
	var e *gateway.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
}

// Every noun comes back as it was written, times in UTC to the microsecond.
func TestRoundTrip(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		h := hub(t, db)
		at := time.Date(2026, 2, 3, 4, 5, 6, 789123999, time.FixedZone("x", 7200))
		cut := at.UTC().Truncate(time.Microsecond)
		p := gateway.Participant{Row: row("par", h.ID), Issuer: "i", Subject: "s", Email: "a@b.c", EmailVerified: true, Name: "日本", Role: gateway.RoleAdmin, SuspendedAt: &cut}
		check(t, db.Participants(), p, p.ID)
		s := gateway.Session{Row: gateway.Row{ID: "abc"}, Issuer: "i", Subject: "s", ExpiresAt: at}
		must(t, db.Sessions().Insert(t.Context(), &s))
		if !s.ExpiresAt.Equal(cut) || s.ExpiresAt.Location() != time.UTC {
			t.Fatal("time not cut in place", s.ExpiresAt)
		}
		back, err := db.Sessions().Get(t.Context(), gateway.AnyHub, "abc")
		if err != nil || !reflect.DeepEqual(back, s) {
			t.Fatalf("%v\n%#v\n%#v", err, back, s)
		}
		c := gateway.Client{Row: row("cli", h.ID), Name: "c", SecretHash: []byte{0, 1, 255}, Scopes: []string{"a", "b'\"\\"}}
		check(t, db.Clients(), c, c.ID)
		k := gateway.SigningKey{Row: row("key", ""), Alg: "EdDSA", Private: gateway.Sealed{1, 0, 2}}
		check[gateway.SigningKey](t, db.Keys(), k, k.ID)
		in := gateway.Integration{
			Row: row("int", h.ID), Platform: "kaltura", ServiceURL: "https://k.example", PartnerID: 1 << 40, AppToken: gateway.Sealed("\x00secret\xff"),
			Diagnosis: gateway.Diagnosis{At: cut, Checks: []gateway.Check{{ID: gateway.CheckReach, State: "ok", Text: "<&>"}}, Warnings: []string{"w"}, EntryCount: -1},
		}
		check[gateway.Integration](t, db.Integrations(), in, in.ID)
		iv := gateway.Invite{Row: row("inv", h.ID), CreatedBy: "x", ExpiresAt: cut, UsedAt: &cut}
		check(t, db.Invites(), iv, iv.ID)
		m := gateway.Mapping{Row: row("map", h.ID), IntegrationID: in.ID, ParticipantID: p.ID, State: gateway.MappingConflict, Candidates: []string{"x", "y"}}
		check[gateway.Mapping](t, db.Mappings(), m, m.ID)
		u := gateway.Upload{
			Row: row("upl", h.ID), Name: "a/\\\"':?><&*|\u202e\u0001 日本🎥.mp4", Size: 1 << 42, State: gateway.UploadReceiving,
			RelaySent: gateway.Ranges{{Start: 0, End: 5}}, Inspection: gateway.Inspection{Type: gateway.Video, FrameRate: 29.97}, Progress: 0.1, FinishedAt: &cut, Tags: []string{"360"},
		}
		check[gateway.Upload](t, db.Uploads(), u, u.ID)
		it := gateway.LibraryItem{Row: row("item", h.ID), Name: "n", Kind: gateway.ItemCopy, Shared: true, Is360: true}
		check[gateway.LibraryItem](t, db.Library(), it, it.ID)
		as := gateway.Asset{Row: row("ast", ""), Package: gateway.Package{Dir: "d/", Thumbnails: []gateway.Thumbnail{{Key: "k", Width: 1, Height: 2}}}, Progress: 1}
		check[gateway.Asset](t, db.Assets(), as, as.ID)
		j := gateway.Job{Row: row("job", h.ID), Kind: "import", NextTryAt: &cut, CancelRequested: true}
		check[gateway.Job](t, db.Jobs(), j, j.ID)
		must(t, db.Audit().Insert(t.Context(), &gateway.AuditRecord{Row: row("aud", h.ID), Actor: "a", Data: json.RawMessage(`{"a": 1}`)}))
		must(t, db.Audit().Insert(t.Context(), &gateway.AuditRecord{Row: row("aud", h.ID), Actor: "no data"}))
		audits, err := db.Audit().List(t.Context(), gateway.Scope(h.ID), gateway.AuditFilter{}, gateway.Slice{})
		if err != nil || len(audits) != 2 || audits[1].Actor != "a" && audits[0].Actor != "a" {
			t.Fatal(err, audits)
		}
		ev := gateway.Event{HubID: h.ID, Type: "t", Data: json.RawMessage(`{"a": 1}`), At: cut}
		must(t, db.Events().Append(t.Context(), &ev))
		evs, err := db.Events().Since(t.Context(), gateway.Actor{HubID: h.ID, ParticipantID: p.ID}, 0, 10)
		if err != nil || len(evs) != 1 || evs[0].Seq != ev.Seq || ev.Seq == 0 || !evs[0].At.Equal(cut) {
			t.Fatal(err, evs, ev)
		}
	})
}
