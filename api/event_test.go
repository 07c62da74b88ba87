package api_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/secrets"
)

// listen reads a stream's messages into a channel, one map of fields each.
func (c *caller) listen(ctx context.Context, t *testing.T, path string, header ...string) <-chan map[string]string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", c.r.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("stream: %d %v", resp.StatusCode, resp.Header)
	}
	out := make(chan map[string]string, 100)
	go func() {
		defer close(out)
		defer func() { _ = resp.Body.Close() }()
		lines := bufio.NewScanner(resp.Body)
		m := map[string]string{}
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case lines.Text() == "" && len(m) > 0:
				out <- m
				m = map[string]string{}
			case name == "id" || name == "event" || name == "data":
				m[name] = value
			}
		}
	}()
	return out
}

func next(t *testing.T, in <-chan map[string]string) map[string]string {
	t.Helper()
	select {
	case m, ok := <-in:
		if !ok {
			t.Fatal("the stream ended")
		}
		return m
	case <-time.After(2 * time.Minute):
		t.Fatal("no event came")
	}
	return nil
}

func TestEvents(t *testing.T) {
	r := newRig(t)
	pat := r.signIn("pat@example.org")
	r.signIn("ada@example.org")
	hub := r.hub["bio"]
	say := func(participant, typ, subject string) {
		t.Helper()
		err := r.db.Tx(t.Context(), func(tx gateway.Tx) error {
			return r.events.Append(t.Context(), tx, hub, participant, typ, subject, map[string]any{"text": "line\nbreak"})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	say("", "upload.ready", "upl_0") // before anybody listens: a new listener does not hear of it
	live := pat.listen(t.Context(), t, "/v1/events?hub="+hub)
	say("par_somebody_else", "upload.ready", "upl_secret")
	say("", "upload.ready", "upl_1")
	m := next(t, live)
	if m["event"] != "upload.ready" || m["id"] == "" || !strings.Contains(m["data"], `"subject":"upl_1"`) || !strings.Contains(m["data"], `line\nbreak`) {
		t.Fatalf("event: %v", m)
	}
	r.events.Progress(hub, "", "upload.progress", "upl_1", map[string]any{"progress": 0.5})
	if p := next(t, live); p["event"] != "upload.progress" || p["id"] != "" {
		t.Errorf("progress: %v", p)
	}
	say("", "upload.ready", "upl_2")
	if e := next(t, live); !strings.Contains(e["data"], "upl_2") {
		t.Errorf("event: %v", e)
	}

	// A listener that was away hears what it missed, and only that.
	resumed := pat.listen(t.Context(), t, "/v1/events?hub="+hub, "Last-Event-ID", m["id"])
	if e := next(t, resumed); !strings.Contains(e["data"], "upl_2") {
		t.Errorf("after the break: %v", e)
	}
	r.api.Close() // a graceful stop ends the streams
	for _, in := range []<-chan map[string]string{live, resumed} {
		for range in {
		}
	}
}

// A stream does not outlive the rights it was opened with.
func TestEventsEndWithTheRights(t *testing.T) {
	r := newRig(t)
	r.api.RecheckEvery(5 * time.Millisecond)
	r.signIn("ada@example.org")
	path := "/v1/events?hub=" + r.hub["bio"]
	ended := func(name string, in <-chan map[string]string) {
		t.Helper()
		limit := time.After(2 * time.Minute)
		for {
			select {
			case m, open := <-in:
				if !open {
					return
				}
				if m["id"] == "" { // that they left is an event of its own, which may still arrive
					t.Errorf("%s: %v", name, m)
				}
			case <-limit:
				t.Errorf("%s: the stream goes on", name)
				return
			}
		}
	}
	goesOn := func(in <-chan map[string]string) {
		t.Helper()
		r.events.Progress(r.hub["bio"], "", "x", "y", nil)
		if m := next(t, in); m["event"] != "x" {
			t.Fatal(m)
		}
	}

	pat := r.signIn("pat@example.org")
	out := pat.listen(t.Context(), t, path)
	goesOn(out)
	pat.want(204, "POST", "/auth/logout", nil)
	ended("signed out", out)

	pat = r.signIn("pat@example.org")
	suspended := pat.listen(t.Context(), t, path)
	goesOn(suspended)
	id := gateway.Identity{Issuer: r.base + "/demo-idp", Subject: subjectOf(t, r, "pat@example.org"), Email: "pat@example.org", EmailVerified: true, Name: "Pat"}
	if _, err := r.hubs.SignIn(t.Context(), id); err != nil { // names no hub any more
		t.Fatal(err)
	}
	ended("left the hub", suspended)

	ada := r.signIn("ada@example.org")
	demoted := ada.listen(t.Context(), t, path) // hears all of the hub
	goesOn(demoted)
	id = gateway.Identity{
		Issuer: r.base + "/demo-idp", Subject: subjectOf(t, r, "ada@example.org"), Email: "ada@example.org", EmailVerified: true, Name: "Ada",
		Memberships: []gateway.Membership{{HubExternalID: "bio", Plan: gateway.PlanUniversity, Role: gateway.RoleParticipant}},
	}
	if _, err := r.hubs.SignIn(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	ended("no admin any more", demoted)

	app, _, err := r.access.NewClient(t.Context(), r.hub["bio"], "short", []string{gateway.ScopeEventsRead})
	if err != nil {
		t.Fatal(err)
	}
	short, err := r.tokens.Sign(t.Context(), secrets.Access{
		ID: "t", ClientID: app.ID, HubID: r.hub["bio"], Scopes: []string{gateway.ScopeEventsRead}, ExpiresAt: time.Now().Add(time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	bearer := r.anonymous()
	ended("an expired token", bearer.listen(t.Context(), t, path, "Authorization", "Bearer "+short))
}

// Who opens a stream and reads nothing of what happens is cut off.
func TestAListenerThatDoesNotRead(t *testing.T) {
	r := newRig(t)
	pat := r.signIn("pat@example.org")
	r.api.Patience(100 * time.Millisecond)
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.base+"/v1/events?hub="+r.hub["bio"], nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range pat.http.Jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatal(line, err)
	}
	over := func() bool { return strings.Contains(r.log.String(), `"route":"/v1/events"`) } // written at the end of a request
	limit := time.Now().Add(2 * time.Minute)
	for i := 0; !over(); i++ {
		if time.Now().After(limit) {
			t.Fatal("the stream stays open")
		}
		if i > 300 { // more than any socket holds; the server may be slow to notice
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if err := r.db.Tx(t.Context(), func(tx gateway.Tx) error {
			return r.events.Append(t.Context(), tx, r.hub["bio"], "", "upload.ready", "upl_1", map[string]any{"text": strings.Repeat("x", 200_000)})
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStreamsAreCounted(t *testing.T) {
	r := newRig(t)
	pat := r.signIn("pat@example.org")
	path := "/v1/events?hub=" + r.hub["bio"]
	ctx, hangUp := context.WithCancel(t.Context())
	one := pat.listen(ctx, t, path)
	open := 1
	for ; open < 100; open++ {
		req, err := http.NewRequestWithContext(t.Context(), "GET", r.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := pat.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode == 429 {
			break
		}
	}
	if open == 100 {
		t.Fatal("one person may open streams without end")
	}
	r.signIn("ada@example.org").listen(t.Context(), t, path) // is not held up by that
	hangUp()
	for range one {
	}
	for limit := time.Now().Add(2 * time.Minute); ; { // the server notices soon
		req, err := http.NewRequestWithContext(t.Context(), "GET", r.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := pat.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == 200 {
			return
		}
		if time.Now().After(limit) {
			t.Fatal("a stream that was closed is still counted")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
