package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const ours, other, stranger = "https://media.example.org", "https://other.example.org", "https://evil.example"

var everyRoute = []string{
	"POST /v1/pair", "POST /v1/challenge", "POST /v1/session", "DELETE /v1/pair", "GET /v1/state", "GET /v1/events", "POST /v1/login",
	"POST /v1/dialog", "GET /v1/folders/x", "POST /v1/folders/x", "POST /v1/paths", "POST /v1/jobs", "POST /v1/jobs/x/pause",
	"POST /v1/jobs/x/resume", "POST /v1/jobs/x/first", "POST /v1/jobs/x/cancel", "DELETE /v1/jobs/x",
	"GET /control/status", "GET /control/pair", "POST /control/pair", "POST /control/unpair",
}

// No page that nobody paired gets a word out of the agent, nor may its browser send what needs asking
// first; whatever the page calls itself, and by whatever name it reaches this computer.
func TestAgentStrangers(t *testing.T) {
	r := startAgent(t, t.TempDir())
	r.paired(ours)
	tell := func(p *page, why string) {
		t.Helper()
		for _, route := range everyRoute {
			method, path, _ := strings.Cut(route, " ")
			for _, m := range []string{method, "OPTIONS"} {
				var body any
				if m == "POST" {
					body = map[string]any{}
				}
				a := p.send(m, path, body, nil)
				text, err := io.ReadAll(a.Body)
				if err != nil {
					t.Fatal(err)
				}
				_ = a.Body.Close()
				if a.StatusCode < 400 || len(text) > 0 || a.Header.Get("Access-Control-Allow-Origin") != "" || a.Header.Get("Access-Control-Allow-Private-Network") != "" {
					t.Errorf("%s: %s %s: %d %q %v", why, m, path, a.StatusCode, text, a.Header)
				}
			}
		}
	}
	tell(r.page(stranger), "an origin that nobody paired")
	tell(r.page("null"), "a sandboxed frame or a file")
	tell(r.page(ours+".evil.example"), "an origin that begins alike")
	tell(r.page("http://media.example.org"), "the same host without encryption")
	tell(r.page(""), "a form, an image or a link: no origin")
	for _, host := range []string{"evil.example", fmt.Sprintf("evil.example:%d", r.door.port), "127.0.0.1", "127.0.0.1:1", fmt.Sprintf("127.0.0.1.evil.example:%d", r.door.port)} {
		p := r.page(ours)
		p.host = host
		tell(p, "a name that was bent to this computer: "+host)
	}
	// The key of the commands does not help a page.
	if status, text := r.page(ours).command(r.control, "GET", "/control/status", "", nil); status != 403 || text != "" {
		t.Errorf("a page with the commands' key: %d %s", status, text)
	}
}

// What browsers ask before they let a paired page ask, now and in the versions before.
func TestAgentPreflight(t *testing.T) {
	r := startAgent(t, t.TempDir())
	p := r.paired(ours)
	a := p.send("OPTIONS", "/v1/state", nil, http.Header{"Access-Control-Request-Private-Network": {"true"}, "Access-Control-Request-Headers": {"authorization"}})
	defer func() { _ = a.Body.Close() }()
	want := map[string]string{
		"Access-Control-Allow-Origin": ours, "Access-Control-Allow-Private-Network": "true", "Vary": "Origin",
		"Access-Control-Allow-Headers": "Authorization, Content-Type", "Access-Control-Allow-Credentials": "",
	}
	for k, v := range want {
		if got := a.Header.Get(k); got != v {
			t.Errorf("%s: %q, want %q", k, got, v)
		}
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded"} {
		a := p.send("POST", "/v1/jobs", map[string]any{}, http.Header{"Content-Type": {kind}})
		_ = a.Body.Close()
		if a.StatusCode != 400 {
			t.Errorf("a body that needs no preflight, %s: %d", kind, a.StatusCode)
		}
	}
}

// A paired origin is not enough: each request proves the paired browser by a token that is bound to the
// origin and to this run, and that only the paired key opens.
func TestAgentSessions(t *testing.T) {
	r := startAgent(t, t.TempDir())
	mine, theirs := r.paired(ours), r.paired(other)
	for _, token := range []string{"", "x", theirs.token, mine.token + "x", r.control} {
		p := r.page(ours)
		p.token = token
		p.refused(401, "unpaired", "GET", "/v1/state", nil)
		p.refused(401, "unpaired", "GET", "/v1/events", nil)
	}
	p := r.page(ours)
	p.refused(401, "unpaired", "POST", "/v1/session", p.signed(p.challenge(), r.door.port)) // a key that nobody paired
	p.key = mine.key
	used := p.signed(p.challenge(), r.door.port)
	if status, text := p.ask("POST", "/v1/session", used); status != 200 {
		t.Fatal(text)
	}
	p.refused(401, "unpaired", "POST", "/v1/session", used)                                      // once
	p.refused(401, "unpaired", "POST", "/v1/session", p.signed(theirs.challenge(), p.door.port)) // the other origin's
	p.refused(401, "unpaired", "POST", "/v1/session", p.signed(p.challenge(), p.door.port+1))    // what a program on another port was told
	late := p.signed(p.challenge(), r.door.port)
	r.door.now = func() time.Time { return time.Now().Add(2 * challengeLife) }
	p.refused(401, "unpaired", "POST", "/v1/session", late)
	r.door.now = time.Now

	if status, text := mine.ask("DELETE", "/v1/pair", nil); status != 204 {
		t.Errorf("unpair: %d %s", status, text)
	}
	mine.refused(403, "", "GET", "/v1/state", nil) // and was the last of its origin
	if status, _ := theirs.ask("GET", "/v1/state", nil); status != 200 {
		t.Error("the other one was put out, too")
	}
}

// A code is good once, for one origin, for five tries and ten minutes.
func TestAgentCode(t *testing.T) {
	r := startAgent(t, t.TempDir())
	p := r.page(ours)
	try := func(p *page, code string) (int, string) {
		return p.ask("POST", "/v1/pair", map[string]any{"code": code, "key": p.public()})
	}
	p.refused(403, "", "POST", "/v1/pair", map[string]any{"code": "1-AAAA-AAAA", "key": p.public()}) // nobody asked for one
	theirs := r.paired(other)
	code := r.door.open(ours)
	if _, text := try(theirs, code); !strings.Contains(text, "no_code") {
		t.Errorf("a code for another origin: %s", text)
	}
	for i := range codeTries {
		status, text := try(p, "1-AAAA-AAAA")
		want := "wrong_code"
		if i == codeTries-1 {
			want = "code_spent"
		}
		if status != 403 || !strings.Contains(text, want) {
			t.Errorf("try %d: %d %s", i, status, text)
		}
	}
	if status, _ := try(p, code); status != 403 || r.door.codeState() != "spent" {
		t.Errorf("the right code after too many wrong ones: %d", status)
	}
	code = r.door.open(ours)
	if got, _ := try(p, strings.ToLower(strings.ReplaceAll(code, "-", " "))); got != 200 || r.door.codeState() != "paired" {
		t.Errorf("the right code, typed otherwise: %d", got)
	}
	if _, text := try(p, code); !strings.Contains(text, "no_code") {
		t.Errorf("a code for the second time: %s", text)
	}
	code = r.door.open(ours)
	r.door.now = func() time.Time { return time.Now().Add(2 * codeLife) }
	if _, text := try(p, code); !strings.Contains(text, "no_code") || r.door.codeState() != "over" {
		t.Errorf("a code that is over: %s", text)
	}
}

// Who watches hears of the end of a sign-in when it comes.
func TestAgentLogin(t *testing.T) {
	r := startAgent(t, t.TempDir())
	var v loginView
	r.paired(ours).get("POST", "/v1/login", map[string]any{}, &v)
	changed := r.agent.changed()
	r.work.signedIn()
	select {
	case <-changed:
	default:
		t.Error("nobody was told")
	}
}

// Codes are for the server's own page, which comes by https or from this computer.
func TestAgentOrigins(t *testing.T) {
	good := map[string]string{
		"https://Media.Example.org/": ours, "https://media.example.org:443": ours, "https://media.example.org:8443/x": ours + ":8443",
		"http://localhost:8080": "http://localhost:8080", "http://127.0.0.1:80": "http://127.0.0.1", "http://[::1]:8080": "http://[::1]:8080",
	}
	for in, want := range good {
		if got, err := parseOrigin(in); err != nil || got != want {
			t.Errorf("%s: %q %v", in, got, err)
		}
	}
	for _, in := range []string{"http://media.example.org", "http://192.168.1.2", "ftp://localhost", "https://", "https://a@b", "null", "file:///x", "http://localhost.evil.example"} {
		if got, err := parseOrigin(in); err == nil {
			t.Errorf("%s is taken as %s", in, got)
		}
	}
}

// The commands of this computer prove that they can read a file of the person; and so does the agent, so that no
// program that has its port now is believed.
func TestAgentControl(t *testing.T) {
	r := startAgent(t, t.TempDir())
	p := r.page("")
	is := func(want int, why, key, method, path, body string, h http.Header) string {
		t.Helper()
		status, text := p.command(key, method, path, body, h)
		if status != want || status == 403 && text != "" {
			t.Errorf("%s: %d %s", why, status, text)
		}
		return text
	}
	var st controlStatus
	if err := json.Unmarshal([]byte(is(200, "the right key", r.control, "GET", "/control/status", "", nil)), &st); err != nil || st.Port != r.door.port {
		t.Errorf("%+v %v", st, err)
	}
	is(403, "another key", "wrong", "GET", "/control/status", "", nil)
	is(403, "the key itself", r.control, "GET", "/control/status", "", http.Header{"Authorization": {"Bearer " + r.control}})
	is(403, "another request's proof", r.control, "GET", "/control/status", "", http.Header{
		"Authorization": {controlScheme + controlSum(r.control, "command", "n", "GET /control/pair", nil)},
	})
	is(403, "another nonce's proof", r.control, "GET", "/control/status", "", http.Header{controlNonce: {"m"}})
	is(403, "another body's proof", r.control, "POST", "/control/pair", `{"origin":"https://evil.example"}`, http.Header{
		"Authorization": {controlScheme + controlSum(r.control, "command", "n", "POST /control/pair", []byte(`{"origin":"`+ours+`"}`))},
	})
	is(403, "typed into a browser", r.control, "GET", "/control/status", "", http.Header{"Sec-Fetch-Site": {"none"}})
	is(400, "an origin without encryption", r.control, "POST", "/control/pair", `{"origin":"http://media.example.org"}`, nil)
	var code controlCode
	if err := json.Unmarshal([]byte(is(200, "pair", r.control, "POST", "/control/pair", `{"origin":"`+ours+`"}`, nil)), &code); err != nil || len(code.Code) != 11 {
		t.Errorf("%+v %v", code, err)
	}
	is(204, "unpair", r.control, "POST", "/control/unpair", `{"origin":"`+ours+`"}`, nil)
	if r.door.codeState() != "over" || r.door.allowed(ours) {
		t.Error("a code stays good when its page was unpaired")
	}
}

// An agent that was killed left its file behind, and another user's program has its port.
func TestAgentImpostor(t *testing.T) {
	heard := ""
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard += fmt.Sprint(r.Header)
		w.Header().Set(controlProof, controlSum("", "agent", r.Header.Get(controlNonce), "200", []byte(`{"code":"1-AAAA-AAAA"}`)))
		_, _ = io.WriteString(w, `{"code":"1-AAAA-AAAA"}`)
	}))
	defer fake.Close()
	a := &app{commandLine: &commandLine{}, vault: vault{t.TempDir()}, out: io.Discard, err: io.Discard}
	if err := os.MkdirAll(agentDir(a.vault), 0o700); err != nil {
		t.Fatal(err)
	}
	port := fake.Listener.Addr().(*net.TCPAddr).Port
	if err := writePrivate(runFile(a.vault), agentRunning{Port: port, Key: "the-old-key", PID: 1}); err != nil {
		t.Fatal(err)
	}
	var made controlCode
	if err := a.control(t.Context(), "POST", "pair", controlOrigin{ours}, &made); err != errNoAgent || made.Code != "" {
		t.Errorf("it was believed: %v %q", err, made.Code)
	}
	if heard == "" || strings.Contains(heard, "the-old-key") {
		t.Errorf("it was told %s", heard)
	}
}

// Another user of the computer reads neither the queue nor the token, and an agent has the next port when
// somebody else took the first, on either address.
func TestAgentOtherUsers(t *testing.T) {
	t.Setenv("ISTHMUS_CONFIG_DIR", filepath.Join(t.TempDir(), "config"))
	ctx, cancel := context.WithCancel(t.Context())
	v, err := openVault()
	if err != nil {
		t.Fatal(err)
	}
	taken, port, err := listenAgent([]int{0})
	if err != nil {
		t.Fatal(err)
	}
	six, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here")
	}
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	last := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	a := &app{commandLine: &commandLine{Quiet: true}, vault: v, out: io.Discard, err: io.Discard}
	ended := make(chan error, 1)
	go func() {
		ended <- (&agentRunCommand{Ports: []int{port, six.Addr().(*net.TCPAddr).Port, last}}).Run(ctx, a)
	}()
	var st controlStatus
	for a.control(ctx, "GET", "status", nil, &st) != nil {
		select {
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if st.Port != last {
		t.Errorf("port %d, want %d", st.Port, last)
	}
	for _, name := range []string{"", "queue.db", "running.json"} {
		info, err := os.Stat(filepath.Join(agentDir(v), name))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%q: %v %v", name, info.Mode(), err)
		}
	}
	if err := (&agentRunCommand{Ports: []int{0}}).Run(ctx, a); err != errQueueBusy {
		t.Errorf("a second agent: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := a.control(t.Context(), "GET", "status", nil, &st); err != errNoAgent {
		t.Errorf("after its end: %v", err)
	}
	for _, l := range append(taken, six) {
		_ = l.Close()
	}
}
