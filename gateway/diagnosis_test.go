package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// userToken connects with a token that gives user sessions only, so that it needs its privileges.
func (w *world) userToken(fields map[string]any) (token, gateway.Integration) {
	w.t.Helper()
	all := map[string]any{"sessionType": 0}
	for k, v := range fields {
		all[k] = v
	}
	tok := w.token(all)
	c := tok.connection(gateway.VisibilityShared)
	c.MatchBy = gateway.MatchUserID
	in, err := w.integrations.Save(w.t.Context(), w.hub.Admin, 0, c)
	if err != nil {
		w.t.Fatal(err)
	}
	return tok, in
}

func (w *world) updateToken(id string, fields map[string]any) {
	w.t.Helper()
	fields["objectType"] = "KalturaAppToken"
	var out any
	w.ask("appToken", "update", map[string]any{"id": id, "appToken": fields}, &out)
}

// told gives the data of the events of a type that an actor may see.
func told(t testing.TB, db *store.DB, a gateway.Actor, typ string) (out []map[string]any) {
	t.Helper()
	all, err := db.Events().Since(t.Context(), a, 0, 500)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Type != typ {
			continue
		}
		var data map[string]any
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		out = append(out, data)
	}
	return out
}

func (w *world) diagnose(id string) {
	w.t.Helper()
	if err := w.integrations.RunDiagnose(w.t.Context(), id); err != nil {
		w.t.Fatal(err)
	}
}

func TestALostPrivilegeIsToldOnce(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		tok, in := w.userToken(nil)
		w.diagnose(in.ID)
		lost := func() []map[string]any { return told(t, db, w.hub.Admin, "integration.privilege_lost") }
		if n := len(lost()); n != 0 {
			t.Fatalf("%d told although nothing changed", n)
		}
		w.updateToken(tok.ID, map[string]any{"sessionPrivileges": "sview:*"})
		for range 3 {
			w.clock.Add(24 * time.Hour)
			w.diagnose(in.ID)
		}
		got := lost()
		if len(got) != 1 || got[0]["privilege"] != "list_all" || got[0]["needed"] != true || got[0]["text"] == "" || got[0]["fix"] == "" {
			t.Fatalf("%v", got)
		}
		if others := told(t, db, w.hub.Ada, "integration.privilege_lost"); len(others) != 0 {
			t.Error("a participant can do nothing about it")
		}
		now, err := w.integrations.Get(t.Context(), w.hub.Admin)
		if err != nil || !now.Diagnosis.At.Equal(w.clock.Now()) || len(now.Diagnosis.Failed()) != 1 || now.Version != in.Version {
			t.Fatalf("%+v, %v", now, err)
		}
		w.updateToken(tok.ID, map[string]any{"sessionPrivileges": "list:*,sview:*"})
		if now, err = w.integrations.Check(t.Context(), w.hub.Admin); err != nil || len(now.Diagnosis.Failed()) != 0 {
			t.Fatalf("%+v, %v", now, err)
		}
		w.diagnose(in.ID)
		if back := told(t, db, w.hub.Admin, "integration.privilege_regained"); len(back) != 1 || back[0]["privilege"] != "list_all" {
			t.Fatalf("%v", back)
		}
		_, err = w.integrations.Check(t.Context(), w.hub.Ada)
		gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
	})
}

// An outage in the middle of the night says nothing about privileges and wipes out nothing that is known.
func TestAnOutageLosesNoPrivilege(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	_, in := w.userToken(nil)
	w.diagnose(in.ID)
	before, err := w.integrations.Get(t.Context(), w.hub.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []int32{down, html} {
		w.weather.Store(bad)
		w.clock.Add(24 * time.Hour)
		var z *gateway.Snooze
		if err := w.integrations.RunDiagnose(t.Context(), in.ID); !errors.As(err, &z) || z.After < time.Minute {
			t.Errorf("%v", err)
		}
		now, err := w.integrations.Get(t.Context(), w.hub.Admin)
		if err != nil || !now.Diagnosis.At.Equal(before.Diagnosis.At) {
			t.Errorf("%v, %v", now.Diagnosis, err)
		}
	}
	// Who asks sees it as it is.
	now, err := w.integrations.Check(t.Context(), w.hub.Admin)
	if err != nil || len(now.Diagnosis.Failed()) == 0 || now.Diagnosis.Failed()[0].ID != gateway.CheckReach || now.Health != gateway.HealthDegraded {
		t.Errorf("%+v, %v", now, err)
	}
	w.weather.Store(fine)
	w.clock.Add(time.Hour)
	w.diagnose(in.ID)
	for _, typ := range []string{"integration.privilege_lost", "integration.privilege_regained"} {
		if n := len(told(t, w.db, w.hub.Admin, typ)); n != 0 {
			t.Errorf("%d × %s", n, typ)
		}
	}
}

// A token that the admin replaced by a smaller one was not robbed of anything.
func TestAnotherTokenLosesNoPrivilege(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	in := w.connect(gateway.VisibilityShared) // without sessionType: may manage users
	w.diagnose(in.ID)
	c := w.token(map[string]any{"sessionType": 0}).connection(gateway.VisibilityShared)
	c.MatchBy = gateway.MatchUserID
	if _, err := w.integrations.Save(t.Context(), w.hub.Admin, in.Version, c); err != nil {
		t.Fatal(err)
	}
	w.diagnose(in.ID)
	if got := told(t, w.db, w.hub.Admin, "integration.privilege_lost"); len(got) != 0 {
		t.Error(got)
	}
}

func TestWarningsBeforeATokenEnds(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ends := w.clock.Now().Add(40*24*time.Hour + time.Hour)
		tok := w.token(map[string]any{"expiry": ends.Unix()})
		in, err := w.integrations.Save(t.Context(), w.hub.Admin, 0, tok.connection(gateway.VisibilityShared))
		if err != nil {
			t.Fatal(err)
		}
		days := func() (out []any) {
			for _, e := range told(t, db, w.hub.Admin, "integration.expiring") {
				out = append(out, e["days_left"])
			}
			return out
		}
		live := func(n int) {
			for range 4 * n {
				w.clock.Add(6 * time.Hour)
				for range 2 {
					if err := w.integrations.KeepAlive(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		live(35)
		if got := fmt.Sprint(days()); got != "[30 14 7]" {
			t.Errorf("told %s days ahead", got)
		}
		// The Kaltura administrator moves the expiry: all is quiet, and later it begins anew.
		w.updateToken(tok.ID, map[string]any{"expiry": ends.Add(30 * 24 * time.Hour).Unix()})
		w.diagnose(in.ID)
		if e, ok := w.saved().Diagnosis.Expiry(w.clock.Now()); !ok || e.Near {
			t.Errorf("%+v", e)
		}
		live(35)
		if got := fmt.Sprint(days()); got != "[30 14 7 30 14 7 3 1]" {
			t.Errorf("told %s days ahead", got)
		}
		e, ok := w.saved().Diagnosis.Expiry(w.clock.Now())
		if !ok || !e.Near || e.DaysLeft != 1 || e.Message == "" || e.NextStep == "" {
			t.Errorf("%+v", e)
		}
		if len(told(t, db, w.hub.Ada, "integration.expiring")) != 0 {
			t.Error("a participant can do nothing about it")
		}
	})
}

func (w *world) saved() gateway.Integration {
	w.t.Helper()
	in, err := w.integrations.Get(w.t.Context(), w.hub.Admin)
	if err != nil {
		w.t.Fatal(err)
	}
	return in
}

// A token for user sessions may not read its own expiry; its sessions, which get shorter, tell.
func TestTheEndOfATokenThatMayNotReadItself(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ends := w.clock.Now().Add(5*24*time.Hour + 10*time.Hour)
	_, in := w.userToken(map[string]any{"expiry": ends.Unix()})
	for range 5 {
		w.diagnose(in.ID)
		if !w.saved().Diagnosis.TokenExpiry.IsZero() {
			t.Fatal("known too early to be true")
		}
		w.clock.Add(24 * time.Hour)
	}
	for range 3 { // looking again soon after changes nothing
		w.diagnose(in.ID)
		if got := w.saved().Diagnosis.TokenExpiry; got.Sub(ends).Abs() > time.Minute {
			t.Fatalf("%v, ends %v", got, ends)
		}
		w.clock.Add(30 * time.Second)
	}
	if got := told(t, w.db, w.hub.Admin, "integration.expiring"); len(got) != 1 || got[0]["days_left"] != 1.0 {
		t.Errorf("%v", got)
	}
}

// Shorter sessions that stay as short the next day are a choice and no end.
func TestShorterSessionsAreNoEnd(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	tok, in := w.userToken(nil)
	w.diagnose(in.ID)
	w.updateToken(tok.ID, map[string]any{"sessionDuration": 7200})
	w.clock.Add(24 * time.Hour)
	w.diagnose(in.ID)
	w.clock.Add(time.Hour)
	w.diagnose(in.ID)
	if got := w.saved().Diagnosis; !got.TokenExpiry.IsZero() || got.SessionLife < 7100 || got.SessionLife > 7200 {
		t.Errorf("%+v", got)
	}
}

func TestEachConnectionHasItsTimeOfDay(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	in := w.connect(gateway.VisibilityShared)
	var due []time.Time
	for range 3 * 24 * 6 {
		w.clock.Add(10 * time.Minute)
		if err := w.integrations.KeepAlive(t.Context()); err != nil {
			t.Fatal(err)
		}
		u, err := w.db.Upkeeps().Get(t.Context(), gateway.AnyHub, in.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !u.DiagnoseAt.After(w.clock.Now()) || u.DiagnoseAt.Sub(w.clock.Now()) > 24*time.Hour {
			t.Fatalf("due %v at %v", u.DiagnoseAt, w.clock.Now())
		}
		if !slices.ContainsFunc(due, u.DiagnoseAt.Equal) {
			due = append(due, u.DiagnoseAt)
		}
	}
	if len(due) < 3 || len(due) > 4 || due[1].Sub(due[0]) != 24*time.Hour {
		t.Errorf("%v", due)
	}
	if err := w.integrations.Disconnect(t.Context(), w.hub.Admin, 0); err != nil {
		t.Fatal(err)
	}
	if err := w.integrations.KeepAlive(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := w.db.Upkeeps().Get(t.Context(), gateway.AnyHub, in.ID)
	gatewaytest.Want(t, err, gateway.NotFound, "")
}
