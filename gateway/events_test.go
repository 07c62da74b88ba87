package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// next reads one message; the deadline only ends a test that would hang.
func next(t *testing.T, ch <-chan gateway.Live) gateway.Live {
	t.Helper()
	select {
	case m, ok := <-ch:
		if !ok {
			t.Fatal("closed")
		}
		return m
	case <-time.After(2 * time.Minute):
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

// plain drops the blanks that Postgres puts into JSON.
func plain(raw json.RawMessage) string {
	var b bytes.Buffer
	_ = json.Compact(&b, raw)
	return b.String()
}

func TestEventsReachWhoMaySee(t *testing.T) {
	storetest.EachInTurn(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		others := goleak.IgnoreCurrent()
		defer func() {
			// The library waits for half a second only, in which a busy machine may end nothing.
			err := goleak.Find(others)
			for end := time.Now().Add(2 * time.Minute); err != nil && time.Now().Before(end); {
				err = goleak.Find(others)
			}
			if err != nil {
				t.Error(err)
			}
		}()
		h := gatewaytest.NewHouse(t, db, gateway.SystemClock, "north", gateway.PlanEnterprise)
		far := gatewaytest.NewHouse(t, db, gateway.SystemClock, "south", gateway.PlanEnterprise)
		events := &gateway.Events{Store: db, Clock: gateway.SystemClock}
		elsewhere := &gateway.Events{Store: db, Clock: gateway.SystemClock} // another replica
		ctx, cancel := context.WithCancel(t.Context())
		listen := func(a gateway.Actor, seq int64) <-chan gateway.Live {
			ch, err := events.Listen(ctx, a, seq)
			if err != nil {
				t.Fatal(err)
			}
			return ch
		}
		put := func(e *gateway.Events, hub, par, subject string) {
			t.Helper()
			if err := db.Tx(ctx, func(tx gateway.Tx) error {
				return e.Append(ctx, tx, hub, par, "x.done", subject, map[string]int{"n": 1})
			}); err != nil {
				t.Fatal(err)
			}
		}
		put(events, h.Hub.ID, "", "before")
		ada, bob, admin, stranger := listen(h.Ada, gateway.FromNow), listen(h.Bob, gateway.FromNow), listen(h.Admin, gateway.FromNow), listen(far.Admin, 0)

		put(events, h.Hub.ID, h.Ada.ParticipantID, "adas")
		put(elsewhere, h.Hub.ID, h.Bob.ParticipantID, "bobs")
		rolledBack := errors.New("no")
		if err := db.Tx(ctx, func(tx gateway.Tx) error {
			_ = events.Append(ctx, tx, h.Hub.ID, "", "x.done", "never", nil)
			return rolledBack
		}); !errors.Is(err, rolledBack) {
			t.Fatal(err)
		}
		put(events, h.Hub.ID, "", "all")
		put(events, far.Hub.ID, "", "far")

		for name, c := range map[string]struct {
			ch   <-chan gateway.Live
			want []string
		}{
			"ada": {ada, []string{"adas", "all"}}, "bob": {bob, []string{"bobs", "all"}},
			"admin": {admin, []string{"adas", "bobs", "all"}}, "stranger": {stranger, []string{"far"}},
		} {
			seq := int64(0)
			for _, want := range c.want {
				m := next(t, c.ch)
				if m.Subject != want || m.Type != "x.done" || m.Seq <= seq || plain(m.Data) != `{"n":1}` {
					t.Errorf("%s got %+v %s, want %s", name, m, m.Data, want)
				}
				seq = m.Seq
			}
		}

		// Progress is for the same people and is not kept.
		events.Progress(h.Hub.ID, h.Ada.ParticipantID, "x.progress", "adas", 0.5)
		for _, ch := range []<-chan gateway.Live{ada, admin} {
			if m := next(t, ch); m.Seq != 0 || m.Type != "x.progress" || plain(m.Data) != "0.5" {
				t.Errorf("%+v", m)
			}
		}
		put(events, h.Hub.ID, "", "last")
		if m := next(t, bob); m.Subject != "last" {
			t.Errorf("bob saw %+v", m)
		}
		cancel()
		for _, ch := range []<-chan gateway.Live{ada, bob, admin, stranger} {
			for range ch {
			}
		}
	})
}

func TestEventsResumeWithoutGap(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		h := gatewaytest.NewHouse(t, db, gateway.SystemClock, "north", gateway.PlanEnterprise)
		events := &gateway.Events{Store: db, Clock: gateway.SystemClock}
		const writers, each = 4, 60 // more than one batch together
		for w := range writers {
			go func() {
				for i := range each {
					err := db.Tx(context.WithoutCancel(t.Context()), func(tx gateway.Tx) error {
						return events.Append(context.WithoutCancel(t.Context()), tx, h.Hub.ID, "", "x", fmt.Sprint(w, "/", i), nil)
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			}()
		}
		// A reader that hangs up every few events and comes back with the last id it saw.
		seen, last := map[string]int{}, int64(0)
		for len(seen) < writers*each {
			ctx, cancel := context.WithCancel(t.Context())
			ch, err := events.Listen(ctx, h.Ada, last)
			if err != nil {
				t.Fatal(err)
			}
			for range 7 {
				if len(seen) == writers*each {
					break
				}
				m := next(t, ch)
				seen[m.Subject]++
				last = m.Seq
			}
			cancel()
		}
		for s, n := range seen {
			if n != 1 {
				t.Errorf("%s came %d times", s, n)
			}
		}
	})
}

func TestMaySee(t *testing.T) {
	ada := gateway.Actor{HubID: "h", ParticipantID: "ada"}
	for _, c := range []struct {
		a    gateway.Actor
		par  string
		want bool
	}{
		{ada, "", true},
		{ada, "ada", true},
		{ada, "bob", false},
		{gateway.Actor{HubID: "h", ParticipantID: "adm", Role: gateway.RoleAdmin}, "ada", true},
		{gateway.Actor{HubID: "h", ParticipantID: "con", Role: gateway.RoleContentAdmin}, "ada", false},
		{gateway.Actor{HubID: "h", ParticipantID: "con", Role: gateway.RoleContentAdmin}, gateway.AudienceContent, true},
		{gateway.Actor{HubID: "h", ParticipantID: "adm", Role: gateway.RoleAdmin}, gateway.AudienceContent, true},
		{ada, gateway.AudienceContent, false},
		{gateway.Actor{HubID: "h", ClientID: "cli", Role: gateway.RoleContentAdmin}, gateway.AudienceContent, false},
		{gateway.Actor{HubID: "other", ParticipantID: "con", Role: gateway.RoleContentAdmin}, gateway.AudienceContent, false},
		{gateway.Actor{HubID: "h", ClientID: "cli", Role: gateway.RoleAdmin}, "ada", false},
		{gateway.Actor{HubID: "h", ClientID: "cli"}, "", true},
		{gateway.Actor{HubID: "other", ParticipantID: "adm", Role: gateway.RoleAdmin}, "", false},
	} {
		if got := gateway.MaySee(c.a, "h", c.par); got != c.want {
			t.Errorf("%+v of %q: %v", c.a, c.par, got)
		}
	}
}

// What a machine client imports for itself, DecideItem shows to nobody else: neither does the event log.
func TestMachinesWorkIsNoNewsForTheHub(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		ctx := t.Context()
		robot := gatewaytest.Machine(s.house.Hub, gateway.ScopeMediaImport, gateway.ScopeLibraryWrite)
		other := robot
		other.ClientID = "cli_other"
		it := gateway.LibraryItem{
			Row: gateway.Row{ID: gateway.NewID("lib"), HubID: s.house.Hub.ID}, ClientID: robot.ClientID, EntryID: "0_secret", Kind: gateway.ItemCopy,
			Name: "secret", State: gateway.ItemPending, JobID: gateway.NewID("job"),
		}
		job := gateway.Job{
			Row: gateway.Row{ID: it.JobID, HubID: it.HubID}, ClientID: robot.ClientID, Kind: "import", Subject: it.ID, State: gateway.JobQueued,
		}
		if err := errors.Join(db.Library().Insert(ctx, &it), db.Jobs().Insert(ctx, &job)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.jobs.Cancel(ctx, robot, job.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.library.Remove(ctx, robot, it.ID); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			who  gateway.Actor
			want int
		}{"the client": {robot, 2}, "another client": {other, 0}, "a participant": {s.house.Bob, 0}, "an admin": {s.house.Admin, 2}} {
			heard, err := db.Events().Since(ctx, c.who, 0, 500)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, e := range heard {
				if e.Subject == it.ID || e.Subject == job.ID {
					n++
				}
			}
			if n != c.want {
				t.Errorf("%s hears %d of it, want %d", name, n, c.want)
			}
		}
	})
}

func TestOldEventsAreForgotten(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		clock := gatewaytest.NewClock()
		h := gatewaytest.NewHouse(t, db, clock.Now, "north", gateway.PlanEnterprise)
		events := &gateway.Events{Store: db, Clock: clock.Now}
		put := func(n int) {
			t.Helper()
			if err := db.Tx(ctx, func(tx gateway.Tx) error {
				for range n {
					if err := events.Append(ctx, tx, h.Hub.ID, "", "x", "y", nil); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		left := func() int {
			t.Helper()
			if err := events.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
			all, err := db.Events().Since(ctx, h.Admin, 0, 500)
			if err != nil {
				t.Fatal(err)
			}
			return len(all)
		}
		put(600)
		clock.Add(20 * 24 * time.Hour)
		put(3)
		if n := left(); n != 500 { // of 603, the most that a look gives
			t.Fatal("too early:", n)
		}
		clock.Add(20 * 24 * time.Hour)
		if n := left(); n != 3 {
			t.Fatal("left:", n)
		}
		last, err := db.Events().Last(ctx)
		if err != nil {
			t.Fatal(err)
		}
		// A listener that was away for longer, or knows of a future that was undone, is told so and goes on.
		for _, c := range []struct{ seq, from int64 }{{1, last - 3}, {last + 1000, last + 1}} {
			live, stop := context.WithCancel(ctx)
			ch, err := events.Listen(live, h.Admin, c.seq)
			if err != nil {
				t.Fatal(err)
			}
			if m := next(t, ch); m.Type != gateway.EventsGone || m.Seq != c.from {
				t.Errorf("after %d: %+v", c.seq, m)
			}
			put(1)
			if m := next(t, ch); m.Type != "x" {
				t.Errorf("after %d: %+v", c.seq, m)
			}
			stop()
		}
		if _, err := events.List(ctx, h.Admin, last+1000, 10); !gateway.IsReason(err, "events_gone") {
			t.Error("a cursor of the future:", err)
		}
		if last, err = db.Events().Last(ctx); err != nil {
			t.Fatal(err)
		}
		clock.Add(365 * 24 * time.Hour)
		if n := left(); n != 1 {
			t.Fatal("left:", n)
		}
		if now, err := db.Events().Last(ctx); err != nil || now != last {
			t.Error("listeners lose their place:", now, last, err)
		}
	})
}
