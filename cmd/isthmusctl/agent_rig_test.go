package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// agentRig is an agent that answers on real ports.
type agentRig struct {
	*agentServer
	t      *testing.T
	work   *heldWork
	folder string
	stop   func()
}

// heldWork sends nothing until the test lets it: what is tried here is the order in which the agent does
// things. The real sending is tried with a real server in e2e/agent.test.ts.
type heldWork struct {
	mu        sync.Mutex
	runs      chan *heldRun
	cancelled []string
	offline   bool
	signedIn  func()
}

type heldRun struct {
	job   queueJob
	files []localFile
	on    agentEvents
	ctx   context.Context
	end   chan error
}

func (h *heldWork) work() agentWork {
	return agentWork{
		hubs: func(string) ([]string, error) { return []string{"hub_1"}, nil },
		login: func(_ context.Context, _ string, ended func()) (loginView, error) {
			h.signedIn = ended
			return loginView{ours + "/device", "ABCD-EFGH"}, nil
		},
		send: func(ctx context.Context, j queueJob, files []localFile, on agentEvents) error {
			r := &heldRun{j, files, on, ctx, make(chan error, 1)}
			h.runs <- r
			select {
			case err := <-r.end:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
		cancel: func(_ context.Context, j queueJob) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.offline {
				return fail(exitUnreachable, "The server cannot be reached.", "")
			}
			h.cancelled = append(h.cancelled, j.Transfers...)
			return nil
		},
	}
}

func startAgent(t *testing.T, dir string, folders ...string) *agentRig {
	t.Helper()
	q, err := openQueue(filepath.Join(dir, "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	dialogs := newFileDialog()
	dialogs.env = func() []string { return append(os.Environ(), "DISPLAY=:7") }
	picks, err := newAgentPicks(folders, dialogs)
	if err != nil {
		t.Fatal(err)
	}
	work := &heldWork{runs: make(chan *heldRun, 8)}
	ag, err := newAgent(q, picks, "edit-7", work.work())
	if err != nil {
		t.Fatal(err)
	}
	listeners, port, err := listenAgent([]int{0})
	if err != nil {
		t.Fatal(err)
	}
	door, err := newAgentDoor(q, []int{port}, port)
	if err != nil {
		t.Fatal(err)
	}
	s := &agentServer{agent: ag, door: door, control: "control-key", streams: make(chan struct{}, mostStreams)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, listeners) }()
	r := &agentRig{agentServer: s, t: t, work: work}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := q.close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// page is a browser's page as the agent hears it.
type page struct {
	*agentRig
	origin, host, token string
	key                 ed25519.PrivateKey
}

func (r *agentRig) page(origin string) *page {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return &page{agentRig: r, origin: origin, host: fmt.Sprintf("127.0.0.1:%d", r.door.port), key: key}
}

// paired is a page whose person typed the code and that was let in.
func (r *agentRig) paired(origin string) *page {
	r.t.Helper()
	p := r.page(origin)
	if status, body := p.ask("POST", "/v1/pair", map[string]any{"code": r.door.open(origin), "key": p.public()}); status != 200 {
		r.t.Fatalf("pair: %d %s", status, body)
	}
	p.enter()
	return p
}

func (p *page) public() string {
	return base64.RawURLEncoding.EncodeToString(p.key.Public().(ed25519.PublicKey))
}

func (p *page) challenge() string {
	var c struct{ Challenge string }
	p.get("POST", "/v1/challenge", map[string]any{}, &c)
	return c.Challenge
}

func (p *page) signed(challenge string, port int) map[string]any {
	sum := ed25519.Sign(p.key, statement("page", p.origin, port, challenge))
	return map[string]any{
		"key": p.public(), "challenge": challenge, "nonce": "0123456789abcdef",
		"signature": base64.RawURLEncoding.EncodeToString(sum),
	}
}

func (p *page) enter() {
	p.t.Helper()
	var s struct{ Token, Proof string }
	p.get("POST", "/v1/session", p.signed(p.challenge(), p.door.port), &s)
	p.token = s.Token
	proof, err := base64.RawURLEncoding.DecodeString(s.Proof)
	mine := p.door.key.Public().(ed25519.PublicKey)
	if err != nil || !ed25519.Verify(mine, statement("agent", p.origin, p.door.port, "0123456789abcdef"), proof) {
		p.t.Error("the agent does not prove that it is the paired one")
	}
}

// send asks as the page would, with headers changed by h.
func (p *page) send(method, path string, body any, h http.Header) *http.Response {
	p.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, fmt.Sprintf("http://127.0.0.1:%d%s", p.door.port, path), in)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Host = p.host
	if p.origin != "" {
		req.Header.Set("Origin", p.origin)
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range h {
		req.Header[k] = v
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// command asks as a command of the person would, who has a key, with headers changed by h.
func (p *page) command(key, method, path, body string, h http.Header) (int, string) {
	p.t.Helper()
	all := http.Header{
		controlNonce:    {"n"},
		"Authorization": {controlScheme + controlSum(key, "command", "n", method+" "+path, []byte(body))},
	}
	for k, v := range h {
		all[k] = v
	}
	var in any
	if body != "" {
		in = json.RawMessage(body)
	}
	r := p.send(method, path, in, all)
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if r.StatusCode != http.StatusForbidden && r.Header.Get(controlProof) != controlSum(key, "agent", "n", strconv.Itoa(r.StatusCode), text) {
		p.t.Errorf("%s %s: the answer does not prove who gave it", method, path)
	}
	return r.StatusCode, string(text)
}

func (p *page) ask(method, path string, body any) (int, string) {
	p.t.Helper()
	r := p.send(method, path, body, nil)
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

func (p *page) get(method, path string, body, into any) {
	p.t.Helper()
	status, text := p.ask(method, path, body)
	if status != 200 {
		p.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		p.t.Fatal(err)
	}
}

// refused checks that a request fails with a problem of a code; "" = without a word.
func (p *page) refused(status int, code, method, path string, body any) {
	p.t.Helper()
	got, text := p.ask(method, path, body)
	if got != status || code == "" && text != "" || !strings.Contains(text, code) {
		p.t.Errorf("%s %s by %s: %d %s, want %d %s", method, path, p.origin, got, text, status, code)
	}
}
