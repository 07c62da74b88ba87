package gateway_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

func of(name string, quota int, key string) gateway.LimitOf {
	return gateway.LimitOf{Limit: gateway.Limit{Name: name, Quota: quota, Window: time.Minute}, Key: key}
}

// takes asks until it is refused, and gives how often it was not.
func takes(t testing.TB, l *gateway.Limits, of ...gateway.LimitOf) int {
	t.Helper()
	for n := 0; ; n++ {
		if _, err := l.Take(t.Context(), of...); err != nil {
			gatewaytest.Want(t, err, gateway.RateLimited, "rate_limited")
			if gateway.AsError(err).Retry <= 0 {
				t.Error("it does not say when to come back")
			}
			return n
		}
		if n > 10_000 {
			t.Fatal("there is no limit")
		}
	}
}

func TestLimits(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		clock := gatewaytest.NewClock()
		l := &gateway.Limits{Store: db, Clock: clock.Now}
		defer func() { _ = l.Close(t.Context()) }()
		a := of("user", 60, "user:a")
		states, err := l.Take(t.Context(), a)
		if err != nil || states[0].Left != 59 || states[0].Reset != time.Second {
			t.Fatal(err, states)
		}
		if n := takes(t, l, a); n != 59 {
			t.Errorf("%d of 60 were taken", n+1)
		}
		if n := takes(t, l, of("user", 60, "user:b")); n != 60 {
			t.Errorf("somebody else had %d", n)
		}
		clock.Add(3 * time.Second) // three are back
		if n := takes(t, l, a); n != 3 {
			t.Errorf("%d came back in three seconds", n)
		}
		// A request that one limit refuses costs the others nothing.
		hub := of("hub", 100, "hub:h")
		if n := takes(t, l, a, hub); n != 0 {
			t.Error(n)
		}
		if n := takes(t, l, hub); n != 100 {
			t.Errorf("refused requests cost the hub: %d left", n)
		}
		// After a restart nothing is forgotten that was told.
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := &gateway.Limits{Store: db, Clock: clock.Now}
		if n := takes(t, again, a); n != 0 {
			t.Errorf("a restart gives %d", n)
		}
		clock.Add(time.Hour)
		if n := takes(t, again, a); n != 60 {
			t.Errorf("after an hour %d", n)
		}
		clock.Add(time.Hour)
		if err := again.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.Add(time.Hour)
		if err := again.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if due, err := db.Limits().Charge(t.Context(), clock.Now(), []gateway.LimitCharge{{Key: "user:a"}}); err != nil || !due[0].IsZero() {
			t.Error("it was not forgotten", err, due)
		}
	})
}

// Callers who are not known are counted in this process and leave nothing in the database.
func TestLocalLimits(t *testing.T) {
	db := storetest.SQLite(t)
	l := &gateway.Limits{Store: db, Clock: gatewaytest.NewClock().Now}
	a := of("address", 10, "address:x")
	a.Local = true
	if n := takes(t, l, a); n != 10 {
		t.Error(n)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if due, err := db.Limits().Charge(t.Context(), time.Now(), []gateway.LimitCharge{{Key: a.Key}}); err != nil || !due[0].IsZero() {
		t.Error(err, due)
	}
}

// Two replicas on one database, both under fire: together they take what the limit says, and at most a
// twentieth more.
func TestTwoReplicasShareALimit(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		if o.DSN == "" {
			t.Skip("SQLite has one process")
		}
		clock := gatewaytest.NewClock()
		const quota = 400
		limit := of("client", quota, "client:x")
		var taken atomic.Int64
		var wg sync.WaitGroup
		for range 2 {
			db := storetest.Open(t, store.Options{DSN: o.DSN, DataDir: t.TempDir()})
			l := &gateway.Limits{Store: db, Clock: clock.Now}
			for range 4 {
				wg.Go(func() {
					for range quota {
						if _, err := l.Take(context.WithoutCancel(t.Context()), limit); err == nil {
							taken.Add(1)
						}
					}
				})
			}
			t.Cleanup(func() { _ = l.Close(context.WithoutCancel(t.Context())) })
		}
		wg.Wait()
		if n := taken.Load(); n < quota || n > quota+quota/20 {
			t.Errorf("%d of %d were taken", n, quota)
		}
	})
}

// A database that does not answer stops nobody who is within the limit.
func TestLimitsWithoutDatabase(t *testing.T) {
	clock := gatewaytest.NewClock()
	db, err := store.Open(t.Context(), store.Options{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	l := &gateway.Limits{Store: db, Clock: clock.Now}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if n := takes(t, l, of("user", 50, "user:a")); n != 50 {
		t.Error(n)
	}
	_ = l.Close(t.Context())
}
