package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/jobs"
	"isthmus/store"
	"isthmus/store/storetest"
)

// wild is a receiver that speaks past net/http: it reads one request and does as it likes.
func wild(t testing.TB, do func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				r := textproto.NewReader(bufio.NewReader(c))
				for {
					line, err := r.ReadLine()
					if err != nil || line == "" {
						break
					}
				}
				do(c)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// rude is one that talks before it is asked.
func rude(t testing.TB, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

// Whatever a receiver does, an attempt ends, is written down without a secret, and is made again unless
// the receiver took the message or is gone.
func TestReceiversOfAllKinds(t *testing.T) {
	clock := gatewaytest.NewClock()
	s, h := hooks(t, storetest.SQLite(t), clock)
	elsewhere := newReceiver(t)
	say := func(text string) func(net.Conn) { return func(c net.Conn) { _, _ = io.WriteString(c, text) } }
	answer := func(status int, header ...string) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			body, _ := io.ReadAll(q.Body)
			_, _ = fmt.Fprintf(w, "echo %s %s %s <b>words</b>", q.Header.Get("Webhook-Signature"), q.URL, body)
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	for name, try := range map[string]struct {
		url       string
		status    int64
		state     gateway.DeliveryState
		min, max  time.Duration // pause
		off, echo bool
	}{
		"took it":             {answer(200), 200, gateway.DeliveryDelivered, 0, 0, false, true},
		"took it, no body":    {answer(204), 204, gateway.DeliveryDelivered, 0, 0, false, false},
		"moved":               {answer(301, "Location", elsewhere.URL), 301, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, true},
		"moved for now":       {answer(307, "Location", elsewhere.URL), 307, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, true},
		"not here":            {answer(404), 404, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, true},
		"gone":                {answer(410), 410, gateway.DeliveryFailed, 0, 0, true, true},
		"broken":              {answer(500), 500, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, true},
		"wait a minute":       {answer(429, "Retry-After", "60"), 429, gateway.DeliveryPending, time.Minute, time.Minute, false, true},
		"wait until":          {answer(503, "Retry-After", time.Now().Add(2*time.Hour).UTC().Format(http.TimeFormat)), 503, gateway.DeliveryPending, 110 * time.Minute, 2 * time.Hour, false, true},
		"wait for ever":       {answer(429, "Retry-After", strconv.Itoa(1<<62)), 429, gateway.DeliveryPending, 24 * time.Hour, 24 * time.Hour, false, true},
		"wait for more":       {answer(429, "Retry-After", strings.Repeat("9", 40)), 429, gateway.DeliveryPending, 24 * time.Hour, 24 * time.Hour, false, true},
		"wait backwards":      {answer(429, "Retry-After", "-5"), 429, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, true},
		"wait since":          {answer(429, "Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT"), 429, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, true},
		"wait for nonsense":   {answer(429, "Retry-After", "soon"), 429, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, true},
		"hangs up":            {wild(t, func(net.Conn) {}), 0, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, false},
		"resets":              {wild(t, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }), 0, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, false},
		"no HTTP":             {wild(t, say("220 smtp.example.org ESMTP\r\n")), 0, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, false},
		"half a header":       {wild(t, say("HTTP/1.1 200 OK\r\nContent-Le")), 0, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, false},
		"a huge header":       {wild(t, say("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)+"\r\n\r\n")), 0, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, false},
		"body breaks off":     {wild(t, say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")), 200, gateway.DeliveryDelivered, 0, 0, false, false},
		"a body without end":  {wild(t, endless), 200, gateway.DeliveryDelivered, 0, 0, false, false},
		"a byte now and then": {wild(t, trickle), 200, gateway.DeliveryDelivered, 0, 0, false, false},
		"forged fields":       {wild(t, say("HTTP/1.1 500 \x1b[31mred\r\nX-A: 1\r\nSet-Cookie: a=b\r\nContent-Length: 12\r\n\r\n\x00\x1b[31m\u202ered\n")), 500, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, false},
		"not UTF-8":           {wild(t, say("HTTP/1.1 500 X\r\nContent-Length: 4\r\n\r\n\xff\xfe\xfd\xfc")), 500, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, false},
		"garbage for TLS":     {strings.Replace(rude(t, strings.Repeat("\x16\x03\x01\xff", 100)), "http:", "https:", 1), 0, gateway.DeliveryPending, 4 * time.Second, 6 * time.Second, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, secret := endpoint(t, h, s.house.Admin, try.url+"/canary-path/?token=canary", "upload.ready")
			defer func() {
				now, err := h.Get(t.Context(), s.house.Admin, w.ID)
				if err == nil {
					err = h.Delete(t.Context(), s.house.Admin, w.ID, now.Version)
				}
				if err != nil {
					t.Error(err)
				}
			}()
			s.tell("upload.ready")
			log, err := h.Deliveries(t.Context(), s.house.Admin, w.ID, gateway.Slice{})
			if err != nil || len(log) != 1 {
				t.Fatal(err, log)
			}
			pause := attempt(t, h, log[0].ID)
			if pause < try.min || pause > try.max {
				t.Errorf("pause %s, want %s to %s", pause, try.min, try.max)
			}
			d, err := s.db.Deliveries().Get(t.Context(), gateway.AnyHub, log[0].ID)
			if err != nil || d.State != try.state || d.Status != try.status || d.Attempts != 1 || (d.Text == "") != (try.state == gateway.DeliveryDelivered) {
				t.Errorf("%v %+v", err, d)
			}
			if echoed := strings.Contains(d.Excerpt, "words"); echoed != try.echo {
				t.Errorf("excerpt %q", d.Excerpt)
			}
			all := d.Excerpt + d.Text
			if strings.Contains(all, "canary") || strings.Contains(all, secret.Reveal()) || strings.Contains(all, "v1,") || len(d.Excerpt) > 600 || strings.ContainsAny(all, "\x00\x1b\u202e") {
				t.Errorf("%q", all)
			}
			if now, err := h.Get(t.Context(), s.house.Admin, w.ID); err != nil || (now.State == gateway.WebhookDisabled) != try.off {
				t.Error(err, now.State)
			}
		})
	}
	if n := len(elsewhere.all()); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

func endless(c net.Conn) {
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	for {
		if _, err := c.Write(make([]byte, 32<<10)); err != nil {
			return
		}
	}
}

func trickle(c net.Conn) {
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
	for {
		if _, err := c.Write([]byte{'x'}); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// With real workers: a receiver that hangs keeps the one beside it waiting for nothing.
func TestAHangingReceiverDelaysNobody(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s, h := hooks(t, db, nil)
		release := make(chan struct{})
		hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		defer hanging.Close()
		defer close(release)
		fast := newReceiver(t)
		slow, _ := endpoint(t, h, s.house.Admin, hanging.URL, "*")
		endpoint(t, h, s.house.Admin, fast.URL, "upload.ready")
		runner, err := db.Runner(jobs.New(jobs.Services{Webhooks: h}), store.JobsOptions{Patience: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if err := runner.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = runner.Stop(context.WithoutCancel(t.Context())) }()
		const many = 8 // four times the places that an endpoint has
		for range many {
			s.tell("upload.ready")
		}
		eventually(t, "the fast one to have all", func() bool { return len(fast.all()) == many })
		log, err := h.Deliveries(t.Context(), s.house.Admin, slow.ID, gateway.Slice{})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range log {
			if d.State == gateway.DeliveryDelivered {
				t.Error("the hanging one was served")
			}
		}
	})
}

// What happened while an endpoint was off, or not there yet, can be sent later; nothing is sent twice
// unless that is asked for.
func TestReplayOfATime(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		clock := gatewaytest.NewClock()
		s, h := hooks(t, db, clock)
		r := newReceiver(t)
		begin := clock.Now()
		s.tell("upload.ready") // before there is an endpoint
		clock.Add(time.Minute)
		w, _ := endpoint(t, h, s.house.Admin, r.URL, "upload.*")
		s.tell("upload.ready")
		s.tell("library.changed") // not asked for
		work := func() {
			t.Helper()
			left, err := db.Deliveries().Unfinished(t.Context(), gateway.Slice{})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range left {
				attempt(t, h, d.ID)
			}
		}
		work()
		if len(r.all()) != 1 {
			t.Fatal(len(r.all()))
		}
		first := r.all()[0].header.Get("Webhook-Id")
		turn := func(on bool) {
			t.Helper()
			now, err := h.Get(t.Context(), s.house.Admin, w.ID)
			if err == nil {
				_, err = h.Update(t.Context(), s.house.Admin, w.ID, now.Version, gateway.NewWebhook{Enabled: &on})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		turn(false)
		_, err := h.Replay(t.Context(), s.house.Admin, w.ID, begin, clock.Now(), false)
		gatewaytest.Want(t, err, gateway.Conflict, "webhook_disabled")
		clock.Add(time.Minute)
		s.tell("upload.ready") // while it is off
		clock.Add(time.Minute)
		turn(true)
		replay := func(to time.Time, all bool, want int) {
			t.Helper()
			done, err := h.Replay(t.Context(), s.house.Admin, w.ID, begin, to, all)
			if err != nil || done.Queued != want || done.Next != nil {
				t.Errorf("%v %+v, want %d", err, done, want)
			}
			work()
		}
		replay(begin.Add(30*time.Second), false, 1) // only what was before the endpoint
		replay(clock.Now(), false, 1)               // only what is missing still
		replay(clock.Now(), false, 0)
		if len(r.all()) != 3 {
			t.Fatal(len(r.all()))
		}
		replay(clock.Now(), true, 3)
		ids := map[string]int{}
		for _, m := range r.all() {
			ids[m.header.Get("Webhook-Id")]++
		}
		if len(ids) != 3 || ids[first] != 2 {
			t.Errorf("the same message has several ids: %v", ids)
		}
		_, err = h.Replay(t.Context(), s.house.Admin, w.ID, begin, begin, false)
		gatewaytest.Want(t, err, gateway.Invalid, "bad_range")
	})
}

// A message stays within its size: data that are too large are left out, and it says so.
func TestLargeEventsAreCut(t *testing.T) {
	s, h := hooks(t, storetest.SQLite(t), nil)
	w, _ := endpoint(t, h, s.house.Admin, newReceiver(t).URL, "upload.*")
	if err := s.db.Tx(t.Context(), func(tx gateway.Tx) error {
		return s.events.Append(t.Context(), tx, s.house.Hub.ID, "", "upload.ready", "thing", map[string]any{"text": strings.Repeat("x", 100_000)})
	}); err != nil {
		t.Fatal(err)
	}
	log, err := h.Deliveries(t.Context(), s.house.Admin, w.ID, gateway.Slice{})
	if err != nil || len(log) != 1 || len(log[0].Body) > 64<<10 || !strings.Contains(log[0].Body, `"data_truncated":true`) {
		t.Error(err, len(log))
	}
}
