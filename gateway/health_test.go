package gateway_test

import (
	"errors"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// probe runs the probe of the hub's connection, as its task would, and gives the pause it asks for.
func (w *world) probe() time.Duration {
	w.t.Helper()
	ctx := w.t.Context()
	in, err := w.db.Integrations().ByHub(ctx, w.hub.Hub.ID, gateway.PlatformKaltura)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := w.db.Health().List(ctx, in.ID, gateway.Slice{Limit: 1})
	if err != nil || len(c) != 1 || c[0].Until != nil || c[0].State != in.Health {
		w.t.Fatal(err, c)
	}
	if in.Health == gateway.HealthOK {
		return 0
	}
	var z *gateway.Snooze
	if err = w.integrations.RunProbe(ctx, gateway.ProbeIntegration{IntegrationID: in.ID, ChangeID: c[0].ID}); err != nil && !errors.As(err, &z) {
		w.t.Fatal(err)
	}
	if z == nil {
		return 0
	}
	return z.After
}

func (w *world) health() gateway.HealthReport {
	w.t.Helper()
	r, err := w.integrations.Health(w.t.Context(), w.hub.Admin, gateway.Slice{})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestHealthHasAHistory(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := t.Context()
		w.connect(gateway.VisibilityShared)
		if r := w.health(); len(r.History) != 1 || r.History[0].State != gateway.HealthOK || r.History[0].Until != nil || r.Integration.LastOKAt == nil {
			t.Fatalf("%+v", r)
		}
		_, err := w.integrations.Health(ctx, w.hub.Ada, gateway.Slice{})
		gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")

		w.clock.Add(time.Minute)
		fell := w.clock.Now()
		w.weather.Store(down)
		_, err = w.catalog.Browse(ctx, w.hub.Ada, gateway.Query{})
		gatewaytest.Want(t, err, gateway.Unavailable, "kaltura_down")
		r := w.health()
		if in := r.Integration; in.Health != gateway.HealthDegraded || !in.HealthSince.Equal(fell) || !in.HealthAt.Equal(fell) ||
			in.LastOKAt == nil || !in.LastOKAt.Equal(fell.Add(-time.Minute)) || in.NextTryAt == nil || !in.NextTryAt.After(fell) {
			t.Fatalf("%+v", in)
		}
		if len(r.History) != 2 || r.History[0].State != gateway.HealthDegraded || r.History[0].Text == "" ||
			r.History[1].Until == nil || !r.History[1].Until.Equal(fell) {
			t.Fatalf("%+v", r.History)
		}

		// Probes go on, less and less often, and say when they were.
		var last time.Duration
		for range 12 {
			w.clock.Add(time.Hour / 8)
			pause := w.probe()
			if pause < 4*time.Second || pause > 6*time.Minute {
				t.Fatal(pause)
			}
			last = pause
			if in := w.health().Integration; !in.HealthAt.Equal(w.clock.Now()) || in.NextTryAt == nil || in.NextTryAt.Sub(in.HealthAt).Round(time.Millisecond) != pause.Round(time.Millisecond) {
				t.Fatalf("%+v, pause %s", in, pause)
			}
		}
		if last < 4*time.Minute {
			t.Error("after an hour and a half the pause is", last)
		}
		w.weather.Store(fine)
		if w.probe() != 0 {
			t.Error("the probe goes on")
		}
		r = w.health()
		if r.Integration.Health != gateway.HealthOK || r.Integration.NextTryAt != nil || len(r.History) != 3 {
			t.Fatalf("%+v", r)
		}
		page, err := w.integrations.Health(ctx, w.hub.Admin, gateway.Slice{Limit: 1, After: r.History[0].ID})
		if err != nil || len(page.History) != 1 || page.History[0].ID != r.History[1].ID {
			t.Error(err, page.History)
		}

		// What is older than 90 days goes; what is still so stays.
		w.clock.Add(91 * 24 * time.Hour)
		if err := w.integrations.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if r = w.health(); len(r.History) != 1 || r.History[0].State != gateway.HealthOK {
			t.Errorf("%+v", r.History)
		}
	})
}

// However many requests run into the same outage, it is one change and one event.
func TestAnOutageIsToldOnce(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		in := w.connect(gateway.VisibilityShared)
		answer := gateway.E(gateway.Unavailable, "kaltura_down", "Kaltura cannot be reached right now.")
		together(20, func(int) { w.integrations.Heard(t.Context(), in, answer) })
		if r := w.health(); len(r.History) != 2 || w.happened()["integration.degraded"] != 1 {
			t.Errorf("%d changes, %v", len(r.History), w.happened())
		}
	})
}

// A platform that answers some and refuses others does not change its state with each answer.
func TestFlappingIsDamped(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	w.connect(gateway.VisibilityShared)
	no := gateway.E(gateway.Unavailable, "kaltura_down", "Kaltura cannot be reached right now.")
	for i := range 100 {
		in, err := w.integrations.Get(ctx, w.hub.Admin)
		if err != nil {
			t.Fatal(err)
		}
		var answer error
		if i%2 == 0 {
			answer = no
		}
		w.clock.Add(time.Second)
		w.integrations.Heard(ctx, in, answer)
	}
	r := w.health()
	if n := len(r.History); n > 8 || r.Integration.Health != gateway.HealthDegraded {
		t.Errorf("%d changes, %s", n, r.Integration.Health)
	}
	// The probe decides, and later than at first.
	if wait := r.Integration.NextTryAt.Sub(r.Integration.HealthSince); wait < time.Minute {
		t.Error("first probe after", wait)
	}
	if w.probe(); w.health().Integration.Health != gateway.HealthOK {
		t.Error(w.health().Integration)
	}
	// What is our own doing says nothing about the platform.
	in := w.health().Integration
	for _, reason := range []string{"kaltura_crowded", "source_failed", "cancelled"} {
		w.integrations.Heard(ctx, in, gateway.E(gateway.Unavailable, reason, "ours"))
	}
	if w.health().Integration.Health != gateway.HealthOK {
		t.Error(w.health().Integration)
	}
}

// A refused credential is asked about rarely, told once, and not forgotten because an old session still works.
func TestARefusedTokenIsProbedRarely(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	in := w.connect(gateway.VisibilityShared)
	var gone any
	w.ask("appToken", "delete", map[string]any{"id": in.AppTokenID}, &gone)
	if err := w.integrations.Probe(ctx); err != nil {
		t.Fatal(err)
	}
	before := w.calls.Load()
	for range 24 {
		if pause := w.probe(); pause < 90*time.Second {
			t.Fatal(pause)
		} else {
			w.clock.Add(pause)
		}
		if err := w.integrations.Probe(ctx); err != nil { // the round every five minutes leaves it alone
			t.Fatal(err)
		}
	}
	if n := w.calls.Load() - before; n > 24*3 {
		t.Error(n, "calls")
	}
	r := w.health()
	w.integrations.Heard(ctx, r.Integration, nil)
	if r = w.health(); r.Integration.Health != gateway.HealthCredentialsInvalid || len(r.History) != 2 || w.happened()["integration.degraded"] != 1 {
		t.Errorf("%+v %v", r, w.happened())
	}
}

// A lost probe is queued again by what is still so, whichever row sorts last.
func TestALostProbeIsQueuedAgain(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		w := newWorld(t, db)
		ctx := t.Context()
		in := w.connect(gateway.VisibilityShared)
		// A row that is over and whose id sorts after all that come, as early releases of the history made them.
		over := w.clock.Now().Add(-time.Hour)
		if err := db.Health().Insert(ctx, &gateway.HealthChange{
			Row: gateway.Row{ID: "hch_zzzzzzzz", HubID: in.HubID}, IntegrationID: in.ID, State: gateway.HealthDegraded, Since: over, Until: &over,
		}); err != nil {
			t.Fatal(err)
		}
		w.integrations.Heard(ctx, in, gateway.E(gateway.Unavailable, "kaltura_down", "Kaltura cannot be reached right now."))
		raw := storetest.SQL(t, o)
		if _, err := raw.ExecContext(ctx, "DELETE FROM river_job"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.integrations.Probe(ctx); err != nil {
				t.Fatal(err)
			}
		}
		open, err := db.Health().Open(ctx, in.ID)
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := raw.QueryRowContext(ctx, "SELECT count(*) FROM river_job WHERE kind = 'probe_integration' AND CAST(args AS text) LIKE '%"+open.ID+"%'").Scan(&n); err != nil || n != 1 {
			t.Error(n, "probes", err)
		}
		if r := w.health(); len(r.History) != 3 || r.History[0].ID != open.ID || r.History[2].ID != "hch_zzzzzzzz" {
			t.Errorf("%+v", r.History)
		}
	})
}
