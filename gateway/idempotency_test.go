package gateway_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

func keyed(body string) gateway.KeyedRequest {
	return gateway.KeyedRequest{HubID: "hub_1", Caller: "client:x", Operation: "createThing", Key: "k1", Fingerprint: sha256.Sum256([]byte(body))}
}

func ok(body string) gateway.KeptAnswer {
	return gateway.KeptAnswer{Status: 201, Header: map[string]string{"Location": "/x"}, Body: []byte(body)}
}

// oneEffect writes something the way any service does.
func (s *site) oneEffect(ctx context.Context) error {
	return s.db.Tx(ctx, func(tx gateway.Tx) error {
		return s.events.Append(ctx, tx, s.house.Hub.ID, "", "upload.ready", "thing", nil)
	})
}

func TestIdempotencyKeys(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		clock := gatewaytest.NewClock()
		s := newSite(t, db, siteOptions{Clock: clock})
		process := func(replica string) *gateway.Idempotency {
			return &gateway.Idempotency{Store: db, Clock: clock.Now, Sealer: s.keys, Replica: replica}
		}
		one := process("r1")
		begin := func(i *gateway.Idempotency, q gateway.KeyedRequest) (context.Context, *gateway.Once, *gateway.KeptAnswer) {
			t.Helper()
			ctx, o, had, err := i.Begin(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			return ctx, o, had
		}
		refused := func(i *gateway.Idempotency, q gateway.KeyedRequest, code gateway.Code, reason string) {
			t.Helper()
			_, _, _, err := i.Begin(t.Context(), q)
			gatewaytest.Want(t, err, code, reason)
			gatewaytest.Explained(t, err)
		}
		q := keyed("a")

		ctx, o, had := begin(one, q)
		if had != nil {
			t.Fatal(had)
		}
		refused(one, q, gateway.Conflict, "request_in_progress")
		refused(process("r2"), q, gateway.Conflict, "request_in_progress")
		refused(one, keyed("b"), gateway.Invalid, "idempotency_key_reused")
		const secret = "whsec_canary-of-the-answer"
		if err := o.End(ctx, ok(secret)); err != nil {
			t.Fatal(err)
		}
		if _, _, had = begin(process("r2"), q); had == nil || had.Status != 201 || string(had.Body) != secret || had.Header["Location"] != "/x" {
			t.Fatalf("%+v", had)
		}
		refused(one, keyed("b"), gateway.Invalid, "idempotency_key_reused")
		// Somebody else's key of the same name, or for something else, is another one.
		for i, other := range []gateway.KeyedRequest{
			{HubID: "hub_2", Caller: q.Caller, Operation: q.Operation, Key: q.Key},
			{HubID: q.HubID, Caller: "client:y", Operation: q.Operation, Key: q.Key},
			{HubID: q.HubID, Caller: q.Caller, Operation: "createOther", Key: q.Key},
		} {
			ctx, o, had := begin(one, other)
			if had != nil {
				t.Errorf("%d: somebody else's answer", i)
				continue
			}
			// What was refused leaves nothing behind.
			if err := o.End(ctx, gateway.KeptAnswer{Status: 409, Body: []byte("no")}); err != nil {
				t.Error(err)
			}
			if ctx, o, had = begin(one, other); had != nil {
				t.Error("a refusal was kept")
			} else if err := o.End(ctx, ok("x")); err != nil {
				t.Error(err)
			}
		}

		// After a day it is forgotten.
		clock.Add(25 * time.Hour)
		ctx, o, had = begin(one, keyed("b"))
		if had != nil {
			t.Error("it was kept for longer than a day")
		}
		if err := o.End(ctx, ok("new")); err != nil {
			t.Fatal(err)
		}
		clock.Add(25 * time.Hour)
		if err := one.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// The process dies between the effect and its answer. What becomes of the repeated request depends on
// the kind of operation; in no case is there a second effect.
func TestACrashBetweenEffectAndAnswer(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		clock := gatewaytest.NewClock()
		s := newSite(t, db, siteOptions{Clock: clock})
		effects := func() int { return count(s.types("thing"), "upload.ready") }
		n := 0
		crash := func(natural bool, work func(context.Context) error) (*gateway.Idempotency, gateway.KeyedRequest) {
			t.Helper()
			n++
			q := keyed("a")
			q.Key, q.Natural = fmt.Sprint("crash", n), natural
			dead := &gateway.Idempotency{Store: db, Clock: clock.Now, Sealer: s.keys, Replica: "r1"}
			ctx, _, _, err := dead.Begin(t.Context(), q)
			if err == nil {
				err = work(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
			// The process never comes to End. The same replica starts again.
			return &gateway.Idempotency{Store: db, Clock: clock.Now, Sealer: s.keys, Replica: "r1"}, q
		}

		// Nothing happened yet: it simply runs.
		started, q := crash(false, func(context.Context) error { return nil })
		ctx, o, had, err := started.Begin(t.Context(), q)
		if err != nil || had != nil {
			t.Fatal(err, had)
		}
		if err := o.End(ctx, ok("done")); err != nil {
			t.Fatal(err)
		}

		// The service keeps its answer in its transaction: the very answer is there.
		before := s.uploadCount()
		started, q = crash(false, func(ctx context.Context) error {
			gateway.AnswerWith(ctx, func(u gateway.Upload) (gateway.KeptAnswer, error) { return ok(u.ID), nil })
			_, err := s.uploads.Create(ctx, s.house.Ada, gateway.NewUpload{Name: "a.mp4", Size: 10})
			return err
		})
		_, _, had, err = started.Begin(t.Context(), q)
		if err != nil || had == nil || !strings.HasPrefix(string(had.Body), "upl_") || s.uploadCount() != before+1 {
			t.Fatal(err, had)
		}

		// Any other operation: it does not run again, and says so.
		was := effects()
		started, q = crash(false, s.oneEffect)
		_, _, _, err = started.Begin(t.Context(), q)
		gatewaytest.Want(t, err, gateway.Conflict, "outcome_unknown")
		if effects() != was+1 {
			t.Error(effects(), was)
		}

		// The same when the process lives on and the request fails after its effect; before, it may be repeated.
		for _, status := range []int{500, 503, 0} { // 0: a panic
			alive, q := crash(false, func(context.Context) error { return nil })
			ctx, o, _, err = alive.Begin(t.Context(), q)
			if err == nil {
				err = o.End(ctx, gateway.KeptAnswer{Status: status})
			}
			if err == nil {
				ctx, o, had, err = alive.Begin(t.Context(), q)
			}
			if err != nil || had != nil {
				t.Fatal(err, had)
			}
			if err := errors.Join(s.oneEffect(ctx), o.End(ctx, gateway.KeptAnswer{Status: status})); err != nil {
				t.Fatal(err)
			}
			_, _, _, err = alive.Begin(t.Context(), q)
			gatewaytest.Want(t, err, gateway.Conflict, "outcome_unknown")
		}

		// One that is harmless when repeated runs again.
		started, q = crash(true, s.oneEffect)
		if _, o, had, err = started.Begin(t.Context(), q); err != nil || had != nil {
			t.Fatal(err, had)
		}
		if err := o.End(t.Context(), ok("again")); err != nil {
			t.Fatal(err)
		}

		// Another replica waits until the first one has been silent for long enough.
		_, q = crash(false, func(context.Context) error { return nil })
		other := &gateway.Idempotency{Store: db, Clock: clock.Now, Sealer: s.keys, Replica: "r2"}
		_, _, _, err = other.Begin(t.Context(), q)
		gatewaytest.Want(t, err, gateway.Conflict, "request_in_progress")
		clock.Add(time.Minute)
		if _, o, _, err = other.Begin(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		if err := o.End(t.Context(), ok("mine")); err != nil {
			t.Fatal(err)
		}
	})
}

// A request that hung so long that another took its place cannot commit its effect any more.
func TestWhoWasReplacedHasNoEffect(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		clock := gatewaytest.NewClock()
		s := newSite(t, db, siteOptions{Clock: clock})
		slow := &gateway.Idempotency{Store: db, Clock: clock.Now, Sealer: s.keys, Replica: "r1"}
		fast := &gateway.Idempotency{Store: db, Clock: clock.Now, Sealer: s.keys, Replica: "r2"}
		q := keyed("a")
		late, o, _, err := slow.Begin(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		clock.Add(time.Minute)
		ctx, second, _, err := fast.Begin(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.oneEffect(ctx); err != nil {
			t.Fatal(err)
		}
		gatewaytest.Want(t, s.oneEffect(late), gateway.Conflict, "request_in_progress")
		if err := o.End(late, gateway.KeptAnswer{Status: 500}); err != nil && !errors.Is(err, context.Canceled) {
			t.Log(err)
		}
		if err := second.End(ctx, ok("second")); err != nil {
			t.Fatal(err)
		}
		if _, _, had, err := slow.Begin(t.Context(), q); err != nil || had == nil || string(had.Body) != "second" {
			t.Error(err, had)
		}
		if n := count(s.types("thing"), "upload.ready"); n != 1 {
			t.Errorf("%d effects", n)
		}
	})
}

func (s *site) uploadCount() int {
	s.t.Helper()
	all, err := s.db.Uploads().List(s.t.Context(), gateway.Scope(s.house.Hub.ID), "", "", nil, gateway.Slice{})
	if err != nil {
		s.t.Fatal(err)
	}
	return len(all)
}
