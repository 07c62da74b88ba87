package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/jobs"
	"isthmus/outbound"
	"isthmus/store"
	"isthmus/store/storetest"
)

// receiver is a partner's server: it answers what it is told and keeps what it got.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []received
}

type received struct {
	header http.Header
	body   []byte
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusNoContent}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		r.got = append(r.got, received{q.Header.Clone(), body})
		status := r.status
		r.mu.Unlock()
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

// hooks is a site with webhooks, which may be sent to this machine.
func hooks(t testing.TB, db *store.DB, clock *gatewaytest.Clock) (*site, *gateway.Webhooks) {
	t.Helper()
	s := newSite(t, db, siteOptions{Clock: clock})
	now := gateway.SystemClock
	if clock != nil {
		now = clock.Now
	}
	return s, &gateway.Webhooks{
		Store: db, Clock: now, Sealer: s.keys, Events: s.events,
		Poster: outbound.NewPoster(outbound.Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
	}
}

func (s *site) tell(typ string) {
	s.t.Helper()
	if err := s.db.Tx(s.t.Context(), func(tx gateway.Tx) error {
		return s.events.Append(s.t.Context(), tx, s.house.Hub.ID, "", typ, "thing_1", map[string]any{"n": 1})
	}); err != nil {
		s.t.Fatal(err)
	}
}

func endpoint(t testing.TB, h *gateway.Webhooks, a gateway.Actor, url string, events ...string) (gateway.WebhookEndpoint, gateway.Secret) {
	t.Helper()
	w, secret, err := h.Create(t.Context(), a, gateway.NewWebhook{URL: &url, Events: events})
	if err != nil {
		t.Fatal(err)
	}
	return w, secret
}

// The workers deliver what was written with the event, signed as the reference library wants it.
func TestWebhooksAreDeliveredAndVerify(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s, h := hooks(t, db, nil)
		ctx := t.Context()
		r := newReceiver(t)
		w, secret := endpoint(t, h, s.house.Admin, r.URL+"/in", "integration.*", "upload.ready")
		if !strings.HasPrefix(secret.Reveal(), "whsec_") || strings.Contains(string(w.Secret), secret.Reveal()) {
			t.Error("secret", secret.Reveal()[:6])
		}
		dead := httptest.NewServer(nil)
		dead.Close()
		endpoint(t, h, s.house.Admin, dead.URL, "*")

		s.tell("integration.degraded")
		s.tell("library.changed") // not asked for
		s.tell("upload.ready")
		// What is rolled back is not delivered.
		_ = db.Tx(ctx, func(tx gateway.Tx) error {
			if err := s.events.Append(ctx, tx, s.house.Hub.ID, "", "upload.ready", "never", nil); err != nil {
				t.Error(err)
			}
			return errors.New("no")
		})
		if _, err := h.Test(ctx, s.house.Admin, w.ID); err != nil {
			t.Fatal(err)
		}
		runner, err := db.Runner(jobs.New(jobs.Services{Webhooks: h}), store.JobsOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := runner.Start(ctx); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = runner.Stop(context.WithoutCancel(ctx)) }()
		eventually(t, "three deliveries", func() bool { return len(r.all()) >= 3 })
		check, err := standardwebhooks.NewWebhook(secret.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		types, ids := map[string]int{}, map[string]bool{}
		for _, m := range r.all() {
			if err := check.Verify(m.body, m.header); err != nil {
				t.Error(err)
			}
			if check.Verify(append([]byte(" "), m.body...), m.header) == nil {
				t.Error("a changed body passes")
			}
			var body struct {
				Type, Subject string
				HubID         string `json:"hub_id"`
				Timestamp     time.Time
				Data          json.RawMessage
			}
			if err := json.Unmarshal(m.body, &body); err != nil || body.HubID != s.house.Hub.ID || body.Timestamp.IsZero() || body.Subject == "never" {
				t.Errorf("%v %s", err, m.body)
			}
			types[body.Type]++
			ids[m.header.Get("Webhook-Id")] = true
		}
		if types["integration.degraded"] != 1 || types["upload.ready"] != 1 || types["webhook.test"] != 1 || len(ids) != 3 {
			t.Error(types, ids)
		}
		var log []gateway.WebhookDelivery
		eventually(t, "written down", func() bool {
			if log, err = h.Deliveries(ctx, s.house.Admin, w.ID, gateway.Slice{}); err != nil {
				t.Fatal(err)
			}
			for _, d := range log {
				if d.State != gateway.DeliveryDelivered || d.Status != 204 || d.Attempts != 1 || d.LastTryAt == nil {
					return false
				}
			}
			return len(log) == 3
		})
		// Again, with the same id: the receiver can tell.
		if _, err := h.Redeliver(ctx, s.house.Admin, w.ID, log[2].ID); err != nil {
			t.Fatal(err)
		}
		eventually(t, "again", func() bool { return len(r.all()) == 4 })
		if id := r.all()[3].header.Get("Webhook-Id"); id != log[2].ID || !ids[id] {
			t.Error(id)
		}
		_, err = h.Deliveries(ctx, s.house.Ada, w.ID, gateway.Slice{})
		gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
	})
}

func plainText(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// attempt makes one attempt and gives the pause that it asks for.
func attempt(t testing.TB, h *gateway.Webhooks, id string) time.Duration {
	t.Helper()
	err := h.RunDelivery(t.Context(), id)
	var z *gateway.Snooze
	if errors.As(err, &z) {
		return z.After
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

func TestAFailingReceiverIsTriedForThreeDaysThenSwitchedOff(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		clock := gatewaytest.NewClock()
		s, h := hooks(t, db, clock)
		ctx := t.Context()
		r := newReceiver(t)
		r.answer(500)
		w, _ := endpoint(t, h, s.house.Admin, r.URL+"/canary/?token=canary", "upload.ready", "webhook.disabled")
		other := newReceiver(t)
		told, _ := endpoint(t, h, s.house.Admin, other.URL, "webhook.disabled")
		s.tell("upload.ready")
		log, err := h.Deliveries(ctx, s.house.Admin, w.ID, gateway.Slice{})
		if err != nil || len(log) != 1 {
			t.Fatal(err, log)
		}
		began, last := clock.Now(), time.Duration(0)
		for n := 1; ; n++ {
			pause := attempt(t, h, log[0].ID)
			if len(r.all()) != n {
				t.Fatal(len(r.all()), n)
			}
			if pause == 0 {
				break
			}
			if pause < last {
				t.Errorf("pause %s after %s", pause, last)
			}
			last = pause * 6 / 10 // jitter may make the next one a little shorter
			clock.Add(pause)
		}
		if took := clock.Now().Sub(began); took < 60*time.Hour || took > 100*time.Hour {
			t.Error(took)
		}
		got, err := h.Get(ctx, s.house.Admin, w.ID)
		if err != nil || got.LastStatus != 500 || got.LastText == "" || got.FailingSince == nil {
			t.Fatal(err, got)
		}
		if got.State == gateway.WebhookEnabled { // jitter decides whether the last try came after 72 h
			clock.Add(72 * time.Hour)
			s.tell("upload.ready")
			log, _ = h.Deliveries(ctx, s.house.Admin, w.ID, gateway.Slice{})
			attempt(t, h, log[0].ID)
			got, _ = h.Get(ctx, s.house.Admin, w.ID)
		}
		if got.State != gateway.WebhookDisabled || got.Reason == "" || count(s.types(w.ID), "webhook.disabled") != 1 {
			t.Fatalf("%+v %v", got, s.types(w.ID))
		}
		// The others hear which one it was, and nothing that is its secret; nor do the logs.
		news, err := h.Deliveries(ctx, s.house.Admin, told.ID, gateway.Slice{})
		if err != nil || len(news) != 1 || !strings.Contains(news[0].Body, w.ID) || !strings.Contains(news[0].Body, w.Host()) || w.Host() == "" {
			t.Error(err, news)
		}
		events, err := db.Events().Since(ctx, s.house.Admin, 0, 500)
		if err != nil {
			t.Fatal(err)
		}
		audits, err := db.Audit().List(ctx, gateway.Scope(s.house.Hub.ID), gateway.AuditFilter{}, gateway.Slice{Limit: 500})
		if err != nil || len(audits) == 0 {
			t.Fatal(err)
		}
		if said := news[0].Body + plainText(t, events) + plainText(t, audits); strings.Contains(said, "canary") {
			t.Error(said)
		}
		before := len(r.all())
		s.tell("upload.ready")
		if log, _ = h.Deliveries(ctx, s.house.Admin, w.ID, gateway.Slice{}); len(r.all()) != before || log[0].State == gateway.DeliveryPending && log[0].Attempts == 0 {
			t.Error("a switched-off endpoint gets events")
		}
		// Switched on again it starts afresh; 410 switches it off at once.
		on := true
		if got, err = h.Update(ctx, s.house.Admin, w.ID, got.Version, gateway.NewWebhook{Enabled: &on}); err != nil || got.State != gateway.WebhookEnabled || got.FailingSince != nil {
			t.Fatal(err, got)
		}
		r.answer(http.StatusGone)
		d, err := h.Test(ctx, s.house.Admin, w.ID)
		if err != nil || attempt(t, h, d.ID) != 0 {
			t.Fatal(err)
		}
		if got, _ = h.Get(ctx, s.house.Admin, w.ID); got.State != gateway.WebhookDisabled {
			t.Error(got)
		}
		clock.Add(8 * 24 * time.Hour)
		if err := h.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

// One receiver that hangs takes two workers and no more, and those that fail together take six.
func TestADeadReceiverTakesFewWorkers(t *testing.T) {
	s, h := hooks(t, storetest.SQLite(t), nil)
	release := make(chan struct{})
	var mu sync.Mutex
	busy, most := 0, 0
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		busy++
		most = max(most, busy)
		mu.Unlock()
		<-release
		mu.Lock()
		busy--
		mu.Unlock()
	}))
	defer slow.Close()
	w, _ := endpoint(t, h, s.house.Admin, slow.URL, "upload.ready")
	good := newReceiver(t)
	g, _ := endpoint(t, h, s.house.Admin, good.URL, "upload.ready")
	for range 20 {
		s.tell("upload.ready")
	}
	log, err := h.Deliveries(t.Context(), s.house.Admin, w.ID, gateway.Slice{})
	if err != nil || len(log) != 20 {
		t.Fatal(err, len(log))
	}
	var wg sync.WaitGroup
	for _, d := range log {
		wg.Go(func() { _ = h.RunDelivery(t.Context(), d.ID) })
	}
	eventually(t, "the slow one holds its places", func() bool { mu.Lock(); defer mu.Unlock(); return busy == 2 })
	log, _ = h.Deliveries(t.Context(), s.house.Admin, g.ID, gateway.Slice{})
	for _, d := range log {
		if p := attempt(t, h, d.ID); p != 0 {
			t.Fatal("the good one waits", p)
		}
	}
	if n := len(good.all()); n != 20 {
		t.Error(n)
	}
	close(release)
	wg.Wait()
	if most != 2 {
		t.Error(most)
	}
}

// An attempt that is under way is the only one of its message, on all replicas, whatever an admin does
// meanwhile. What a process that died was about is taken over at once when it starts again.
func TestOneAttemptAtATime(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		clock := gatewaytest.NewClock()
		s, h := hooks(t, db, clock)
		process := func(replica string) *gateway.Webhooks {
			return &gateway.Webhooks{Store: db, Clock: clock.Now, Sealer: s.keys, Events: s.events, Poster: h.Poster, Replica: replica}
		}
		one, two := process("r1"), process("r2")
		began, release := make(chan struct{}, 9), make(chan struct{})
		slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { began <- struct{}{}; <-release }))
		defer slow.Close()
		w, _ := endpoint(t, one, s.house.Admin, slow.URL, "upload.ready")
		s.tell("upload.ready")
		log, err := one.Deliveries(t.Context(), s.house.Admin, w.ID, gateway.Slice{})
		if err != nil || len(log) != 1 {
			t.Fatal(err, log)
		}
		id := log[0].ID
		first := make(chan error, 1)
		go func() { first <- one.RunDelivery(t.Context(), id) }()
		<-began
		if _, err := two.Redeliver(t.Context(), s.house.Admin, w.ID, id); err != nil {
			t.Fatal(err)
		}
		for _, other := range []*gateway.Webhooks{one, two} {
			if p := attempt(t, other, id); p <= 0 || p > 2*time.Second {
				t.Error("a second attempt beside the first", p)
			}
		}
		again := process("r1") // it was killed and started again
		second := make(chan error, 1)
		go func() { second <- again.RunDelivery(t.Context(), id) }()
		<-began
		clock.Add(time.Minute) // a process that is silent for longer than an attempt can take
		third := make(chan error, 1)
		go func() { third <- two.RunDelivery(t.Context(), id) }()
		<-began
		close(release)
		for _, done := range []chan error{first, second, third} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if d, err := db.Deliveries().Get(t.Context(), gateway.AnyHub, id); err != nil || d.State != gateway.DeliveryDelivered || d.BusyUntil != nil || len(began) != 0 {
			t.Errorf("%v %+v, %d more calls", err, d, len(began))
		}
	})
}

func TestWhereWebhooksMayGo(t *testing.T) {
	s, h := hooks(t, storetest.SQLite(t), nil)
	strict := &gateway.Webhooks{Store: h.Store, Clock: h.Clock, Sealer: h.Sealer, Events: h.Events, Poster: outbound.NewPoster(outbound.Options{})}
	for _, url := range []string{"http://example.org/in", "https://127.0.0.1/", "https://10.1.2.3/", "https://localhost/", "https://a:b@example.org/", "nonsense"} {
		_, _, err := strict.Create(t.Context(), s.house.Admin, gateway.NewWebhook{URL: &url, Events: []string{"*"}})
		if e := gateway.AsError(err); gateway.CodeOf(err) != gateway.Invalid || e.Field != "/url" {
			t.Error(url, err)
		}
	}
	url := "https://hooks.example.org/in"
	_, _, err := strict.Create(t.Context(), s.house.Admin, gateway.NewWebhook{URL: &url, Events: []string{"upload.redy"}})
	gatewaytest.Want(t, err, gateway.Invalid, "event_unknown")
	_, _, err = strict.Create(t.Context(), s.house.Ada, gateway.NewWebhook{URL: &url, Events: []string{"*"}})
	gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
	// Another hub's endpoint does not exist.
	w, _, err := strict.Create(t.Context(), s.house.Admin, gateway.NewWebhook{URL: &url, Events: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	south := gatewaytest.NewHouse(t, s.db, gateway.SystemClock, "south", gateway.PlanUniversity)
	_, err = strict.Get(t.Context(), south.Admin, w.ID)
	gatewaytest.Want(t, err, gateway.NotFound, "webhook_not_found")
	_, err = strict.Test(t.Context(), south.Admin, w.ID)
	gatewaytest.Want(t, err, gateway.NotFound, "webhook_not_found")
	// Nor can it be deleted from there, and nobody's attempt fills the audit log.
	for _, id := range []string{w.ID, "any text"} {
		gatewaytest.Want(t, strict.Delete(t.Context(), south.Admin, id, 1), gateway.NotFound, "webhook_not_found")
	}
	if all, err := s.db.Audit().List(t.Context(), gateway.Scope(south.Hub.ID), gateway.AuditFilter{Action: "webhook."}, gateway.Slice{}); err != nil || len(all) != 0 {
		t.Error(err, all)
	}
	if err := strict.Delete(t.Context(), s.house.Admin, w.ID, w.Version); err != nil {
		t.Error(err)
	}
	gatewaytest.Want(t, strict.Delete(t.Context(), s.house.Admin, w.ID, w.Version), gateway.NotFound, "webhook_not_found")
}

// A switched-off endpoint is not called: what is on its way waits, counts nothing, and goes on.
func TestDeliveriesWaitWhileTheirEndpointIsOff(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		clock := gatewaytest.NewClock()
		s, h := hooks(t, db, clock)
		ctx := t.Context()
		r := newReceiver(t)
		r.answer(500)
		w, _ := endpoint(t, h, s.house.Admin, r.URL, "upload.ready")
		s.tell("upload.ready")
		log := func() gateway.WebhookDelivery {
			t.Helper()
			all, err := h.Deliveries(ctx, s.house.Admin, w.ID, gateway.Slice{})
			if err != nil || len(all) != 1 {
				t.Fatal(err, all)
			}
			return all[0]
		}
		turn := func(on bool) {
			t.Helper()
			now, err := h.Get(ctx, s.house.Admin, w.ID)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = h.Update(ctx, s.house.Admin, w.ID, now.Version, gateway.NewWebhook{Enabled: &on}); err != nil {
				t.Fatal(err)
			}
		}
		first := log()
		attempt(t, h, first.ID)
		before := log()
		turn(false)
		clock.Add(time.Minute)
		if pause := attempt(t, h, first.ID); pause <= 0 {
			t.Error("it does not wait")
		}
		if d := log(); d.State != gateway.DeliveryPending || d.Attempts != 1 || !d.LastTryAt.Equal(*before.LastTryAt) || d.Text == before.Text || len(r.all()) != 1 {
			t.Errorf("%+v, %d calls", d, len(r.all()))
		}
		// On again: the task that waits is brought forward, the workers do it at once.
		r.answer(204)
		turn(true)
		runner, err := db.Runner(jobs.New(jobs.Services{Webhooks: h}), store.JobsOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := runner.Start(ctx); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = runner.Stop(context.WithoutCancel(ctx)) }()
		eventually(t, "sent", func() bool { return log().State == gateway.DeliveryDelivered })
		if d := log(); d.Attempts != 2 || len(r.all()) != 2 || d.Text != "" {
			t.Errorf("%+v, %d calls", d, len(r.all()))
		}
	})
}

// After three days a delivery waits no longer; nothing that did not happen is written down.
func TestDeliveriesDoNotWaitForEver(t *testing.T) {
	clock := gatewaytest.NewClock()
	s, h := hooks(t, storetest.SQLite(t), clock)
	r := newReceiver(t)
	w, _ := endpoint(t, h, s.house.Admin, r.URL, "upload.ready")
	s.tell("upload.ready")
	off := false
	if _, err := h.Update(t.Context(), s.house.Admin, w.ID, w.Version, gateway.NewWebhook{Enabled: &off}); err != nil {
		t.Fatal(err)
	}
	log, _ := h.Deliveries(t.Context(), s.house.Admin, w.ID, gateway.Slice{})
	h.Clock = func() time.Time { return log[0].CreatedAt.Add(73 * time.Hour) }
	if attempt(t, h, log[0].ID) != 0 {
		t.Error("it still waits")
	}
	log, err := h.Deliveries(t.Context(), s.house.Admin, w.ID, gateway.Slice{})
	if err != nil || log[0].State != gateway.DeliveryFailed || log[0].Attempts != 0 || log[0].LastTryAt != nil || log[0].Text == "" || len(r.all()) != 0 {
		t.Errorf("%v %+v", err, log)
	}
}

// Two hubs whose receivers have long been dead and slow hold few places: neither another hub's
// endpoint that failed once nor one that works waits for them.
func TestTheDeadLeaveRoomForThoseThatFailedOnce(t *testing.T) {
	clock := gatewaytest.NewClock()
	s, h := hooks(t, storetest.SQLite(t), clock)
	south := gatewaytest.NewHouse(t, s.db, gateway.SystemClock, "south", gateway.PlanUniversity)
	west := gatewaytest.NewHouse(t, s.db, gateway.SystemClock, "west", gateway.PlanUniversity)
	release := make(chan struct{})
	var mu sync.Mutex
	busy := map[string]int{}
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		mu.Lock()
		busy[q.URL.Path]++
		mu.Unlock()
		<-release
	}))
	defer slow.Close()
	failing := func(w gateway.WebhookEndpoint, since time.Duration) {
		t.Helper()
		at := clock.Now().Add(-since)
		w.FailingSince = &at
		if err := s.db.Tx(t.Context(), func(tx gateway.Tx) error { return tx.Webhooks().SetResult(t.Context(), &w) }); err != nil {
			t.Fatal(err)
		}
	}
	send := func(a gateway.Actor, w gateway.WebhookEndpoint) string {
		t.Helper()
		d, err := h.Test(t.Context(), a, w.ID)
		if err != nil {
			t.Fatal(err)
		}
		return d.ID
	}
	var wg sync.WaitGroup
	for hub, a := range map[string]gateway.Actor{"/a": s.house.Admin, "/b": south.Admin} {
		for _, since := range []time.Duration{48 * time.Hour, 48 * time.Hour, time.Minute, time.Minute} {
			w, _ := endpoint(t, h, a, slow.URL+hub, "upload.ready")
			failing(w, since)
			for range 3 {
				id := send(a, w)
				wg.Go(func() { _ = h.RunDelivery(t.Context(), id) })
			}
		}
	}
	eventually(t, "both hubs hold places", func() bool { mu.Lock(); defer mu.Unlock(); return busy["/a"] > 0 && busy["/b"] > 0 })
	good := newReceiver(t)
	w, _ := endpoint(t, h, west.Admin, good.URL, "upload.ready")
	failing(w, time.Minute)
	if p := attempt(t, h, send(west.Admin, w)); p != 0 || len(good.all()) != 1 {
		t.Error("who failed once waits", p)
	}
	close(release)
	wg.Wait()
	if busy["/a"] > 2 || busy["/b"] > 2 {
		t.Error("places of a hub", busy)
	}
}
