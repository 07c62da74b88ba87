package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"isthmus/openapi"
)

// The test binary is the program, too, so that scripts run it as people do.
func TestMain(m *testing.M) {
	testscript.Main(cleaning{m}, map[string]func(){"isthmusctl": main, "hasty": func() { os.Exit(run(os.Args[1:], hasty)) }})
}

// hasty is for lines that are a machine long.
var hasty = patience{grace: 200 * time.Millisecond, again: 300 * time.Millisecond, silence: time.Second, slow: time.Second, stall: 3 * time.Second}

type cleaning struct{ *testing.M }

// Run removes what was built when all is over.
func (m cleaning) Run() int {
	code := m.M.Run()
	_ = os.RemoveAll(tools)
	return code
}

// server is a demo server in a process of its own, behind a UDP relay that can be cut.
type server struct {
	BaseURL      string `json:"base_url"`
	HubID        string `json:"hub_id"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	People       []struct {
		Email, Password, Role string
	} `json:"people"`

	dir     string
	clip    string // a file that can be played
	relay   *relay
	addr    string
	process *exec.Cmd
	start   func() error // and waits until it answers
}

var tools string // folder of what was built

// built is the server's program. Where the tests of cmd/isthmus were built, only linking is left to do.
var built = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "isthmusctl-test-*"); err != nil {
		return "", err
	}
	tools = dir
	binary := filepath.Join(dir, "isthmus")
	if out, err := exec.Command("go", "build", "-o", binary, "isthmus/cmd/isthmus").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	// A second and a half of a picture that can be played.
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x90:rate=10:duration=1.5", "-pix_fmt", "yuv420p", filepath.Join(dir, "clip.mp4")).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return dir, nil
})

// startServer starts a demo server without media, with further flags.
func startServer(t *testing.T, flags ...string) *server {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: t.TempDir(), clip: filepath.Join(dir, "clip.mp4")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	_ = l.Close()
	s.relay = newRelay(t, s.addr)
	log, err := os.Create(filepath.Join(s.dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	s.start = func() error {
		s.process = exec.Command(filepath.Join(dir, "isthmus"), append([]string{
			"serve", "--demo", "--no-demo-media", "--data", filepath.Join(s.dir, "data"), "--addr", s.addr, "--admin-addr", "", "--fast-public", s.relay.addr(),
		}, flags...)...)
		s.process.Stdout, s.process.Stderr = log, log
		s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := s.process.Start(); err != nil {
			return err
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			if r, err := http.Get("http://" + s.addr + "/readyz"); err == nil {
				_ = r.Body.Close()
				if r.StatusCode == http.StatusOK {
					return nil
				}
			}
			if time.Now().After(deadline) {
				return errors.New("the server does not start")
			}
		}
	}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("server log (end):\n%s", b[max(0, len(b)-8000):])
		}
	})
	err = s.start()
	if err == nil {
		var b []byte
		if b, err = os.ReadFile(filepath.Join(s.dir, "data", "demo.json")); err == nil {
			err = json.Unmarshal(b, s)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kill ends the server as a crash does.
func (s *server) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// Everything that the program does, against one server.
func TestScripts(t *testing.T) {
	t.Parallel()
	startServer(t).scripts(t, "testdata")
}

// The way changes under a transfer. Its server is another one, because nobody else's packets may be lost.
func TestFallback(t *testing.T) {
	t.Parallel()
	startServer(t).scripts(t, "testdata/fallback")
}

// The server dies under a transfer, and tickets end soon.
func TestRestart(t *testing.T) {
	t.Parallel()
	startServer(t, "--fast-ticket-life", "1s").scripts(t, "testdata/restart")
}

func (s *server) scripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			e.Setenv("ISTHMUS_CONFIG_DIR", filepath.Join(e.WorkDir, "config"))
			e.Setenv("URL", s.BaseURL)
			e.Setenv("CLIP", s.clip)
			e.Setenv("HUB", s.HubID)
			e.Setenv("CLIENT_ID", s.ClientID)
			e.Setenv("CLIENT_SECRET", s.ClientSecret)
			e.Setenv("KEY", filepath.Join(s.dir, "data", "demo.json"))
			e.Setenv("ISTHMUS_URL", s.BaseURL)
			e.Setenv("TMPDIR", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"approve": s.approve,
			"udp":     s.udp,
			"server":  s.control,
			"mute":    mute,
			"cut":     s.cut,
			"stall":   stall,
			"bytes":   makeBytes,
			"code":    wantCode,
			"waitfor": waitFor,
			"many":    makeMany,
			"jsonis":  jsonIs,
			"import":  s.importEntry,
			"half":    s.half,
		},
	})
}

// approve NAME ROLE: waits until a background program has shown its code in the file NAME, and allows it as
// the demo's person of a role.
func (s *server) approve(ts *testscript.TestScript, neg bool, args []string) {
	var code string
	until(ts, "a code", func() bool {
		m := regexp.MustCompile(`"code":"([A-Z-]+)"`).FindStringSubmatch(maybe(ts, args[0]))
		if m != nil {
			code = m[1]
		}
		return m != nil
	})
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	browser := &http.Client{Jar: jar}
	r, err := browser.Get(s.BaseURL + "/auth/login?next=/")
	ts.Check(err)
	page, err := io.ReadAll(r.Body)
	ts.Check(errors.Join(err, r.Body.Close()))
	form := url.Values{}
	for _, field := range regexp.MustCompile(`<input[^>]*>`).FindAllString(string(page), -1) {
		at := map[string]string{}
		for _, m := range regexp.MustCompile(`(name|value)="([^"]*)"`).FindAllStringSubmatch(field, -1) {
			at[m[1]] = m[2]
		}
		if at["name"] != "" {
			form.Set(at["name"], at["value"])
		}
	}
	for _, p := range s.People {
		if p.Role == args[1] {
			form.Set("email", p.Email)
			form.Set("password", p.Password)
		}
	}
	target := r.Request.URL
	if m := regexp.MustCompile(`<form[^>]*action="([^"]*)"`).FindStringSubmatch(string(page)); m != nil && m[1] != "" {
		target, err = target.Parse(strings.ReplaceAll(m[1], "&amp;", "&"))
		ts.Check(err)
	}
	post := func(to, kind, body string) int {
		req, err := http.NewRequest(http.MethodPost, to, strings.NewReader(body))
		ts.Check(err)
		req.Header.Set("Content-Type", kind)
		req.Header.Set("Origin", s.BaseURL)
		r, err := browser.Do(req)
		ts.Check(err)
		ts.Check(r.Body.Close())
		return r.StatusCode
	}
	post(target.String(), "application/x-www-form-urlencoded", form.Encode())
	decision := "allow"
	if neg {
		decision = "deny"
	}
	if status := post(s.BaseURL+"/v1/me/devices/"+code, "application/json", fmt.Sprintf(`{"decision":%q,"hub_id":%q}`, decision, s.HubID)); status != http.StatusNoContent {
		ts.Fatalf("the decision was answered %d", status)
	}
}

// client is the demo's app.
func (s *server) client(ts *testscript.TestScript) *openapi.ClientWithResponses {
	tokens := openapi.Credentials{BaseURL: s.BaseURL, ClientID: s.ClientID, ClientSecret: s.ClientSecret}
	c, err := openapi.Connect(s.BaseURL, tokens.ClientCredentials(context.Background()), nil)
	ts.Check(err)
	return c
}

// import EVENTS: copies the entry of the event "ready" into the library and sets $ITEM and $ENTRY.
func (s *server) importEntry(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(`"event":"ready".*"entry":"([^"]+)"`).FindStringSubmatch(ts.ReadFile(args[0]))
	if m == nil {
		ts.Fatalf("no entry is ready")
	}
	r, err := s.client(ts).ImportMediaWithResponse(context.Background(), s.HubID, &openapi.ImportMediaParams{Prefer: ptr("wait=50")},
		openapi.ImportInput{EntryID: m[1], Kind: openapi.ItemKindCopy})
	ts.Check(err)
	if r.JSON200 == nil || r.JSON200.Item.State != openapi.ItemStateReady { // it was waited for
		ts.Fatalf("the import answered %s: %s", r.Status(), r.Body)
	}
	ts.Setenv("ITEM", r.JSON200.Item.ID)
	ts.Setenv("ENTRY", m[1])
}

// half ITEM FILE: what a fetch of the item leaves that broke off in the middle.
func (s *server) half(ts *testscript.TestScript, _ bool, args []string) {
	r, err := s.client(ts).GetLibraryAddressWithResponse(context.Background(), s.HubID, args[0])
	ts.Check(err)
	body, err := http.Get(r.JSON200.URL)
	ts.Check(err)
	b, err := io.ReadAll(body.Body)
	ts.Check(errors.Join(err, body.Body.Close()))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".part"), b[:len(b)/2], 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".part.etag"), []byte(body.Header.Get("ETag")), 0o600))
}

// udp on|off|slow: lets the fast path's packets through, or not, or few of them.
func (s *server) udp(ts *testscript.TestScript, _ bool, args []string) {
	rate, ok := map[string]int{"on": -1, "off": 0, "slow": 25_000}[args[0]]
	if !ok {
		ts.Fatalf("udp on, off or slow")
	}
	s.relay.limit(rate)
}

// server kill|start: as a crash does it, and again.
func (s *server) control(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "kill" {
		s.kill()
		return
	}
	ts.Check(s.start())
}

// cut: the server at another address, $CUT, where the first answer to a finish breaks off.
func (s *server) cut(ts *testscript.TestScript, _ bool, _ []string) {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.addr})
	var first atomic.Bool
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/finish") || !first.CompareAndSwap(false, true) {
			proxy.ServeHTTP(w, r)
			return
		}
		whole := httptest.NewRecorder()
		proxy.ServeHTTP(whole, r)
		w.Header().Set("Content-Type", whole.Header().Get("Content-Type"))
		w.Header().Set("Content-Length", strconv.Itoa(whole.Body.Len()))
		w.WriteHeader(whole.Code)
		_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
		panic(http.ErrAbortHandler)
	}))
	ts.Defer(front.Close)
	ts.Setenv("CUT", front.URL)
}

// stall FILE: a file at an address, $STALL, of which the first answer gives a half and then nothing more.
func stall(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	var first atomic.Bool
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		if r.Method == http.MethodHead || !first.CompareAndSwap(false, true) {
			http.ServeContent(w, r, "f.mp4", time.Time{}, strings.NewReader(text))
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = io.WriteString(w, text[:len(text)/2])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	ts.Defer(front.Close)
	ts.Setenv("STALL", front.URL+"/download/x")
}

// mute: a server that takes connections and never answers, at $MUTE.
func mute(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv("MUTE", l.Addr().String())
}

// bytes FILE N [SEED]: a file of N bytes that differ.
func makeBytes(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	x := uint32(n)
	if len(args) > 2 {
		x += uint32(len(args[2])) * 7919
	}
	b := make([]byte, n)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	copy(b[4:], "ftypisom") // an MP4, as far as its head tells
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// many DIR N SIZE: N small files in folders.
func makeMany(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	for i := range n {
		makeBytes(ts, false, []string{fmt.Sprintf("%s/%02d/f%05d.mp4", args[0], i%10, i), args[2], strings.Repeat("x", i%97)})
	}
}

// code N: how the last program ended. (testscript itself knows only well or not.)
func wantCode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	have := 0
	if errors.As(err, &exit) {
		have = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if have != want {
		ts.Fatalf("it ended with %d, not %d", have, want)
	}
}

// waitfor FILE PATTERN: until a file has a line that fits.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, args[1]+" in "+args[0], func() bool { return regexp.MustCompile(args[1]).MatchString(maybe(ts, args[0])) })
}

// jsonis FILE EVENT N: how many lines tell of an event.
func jsonIs(ts *testscript.TestScript, _ bool, args []string) {
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var e event
		ts.Check(json.Unmarshal([]byte(line), &e))
		if e.Time.IsZero() {
			ts.Fatalf("no time in %s", line)
		}
		if e.Event == args[1] {
			n++
		}
	}
	if want := args[2]; strconv.Itoa(n) != want {
		ts.Fatalf("%d times %s, not %s", n, args[1], want)
	}
}

func maybe(ts *testscript.TestScript, name string) string {
	b, _ := os.ReadFile(ts.MkAbs(name)) // not there yet
	return string(b)
}

func until(ts *testscript.TestScript, what string, ok func() bool) {
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("waited in vain for %s", what)
		}
	}
}

// relay passes UDP packets on, each client by a socket of its own, as many as it is allowed to.
type relay struct {
	front *net.UDPConn
	to    *net.UDPAddr

	mu    sync.Mutex
	rate  int // bytes/s; negative: all
	room  float64
	at    time.Time
	backs map[string]*net.UDPConn
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	r := &relay{backs: map[string]*net.UDPConn{}, rate: -1}
	var err error
	if r.to, err = net.ResolveUDPAddr("udp", to); err != nil {
		t.Fatal(err)
	}
	if r.front, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.front.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, b := range r.backs {
			_ = b.Close()
		}
	})
	go r.run()
	return r
}

func (r *relay) addr() string { return r.front.LocalAddr().String() }

func (r *relay) limit(rate int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rate, r.room, r.at = rate, 0, time.Now()
}

// passes tells whether n bytes go through now; what does not is lost, as a policer has it.
func (r *relay) passes(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rate <= 0 {
		return r.rate < 0
	}
	now := time.Now()
	r.room, r.at = min(r.room+now.Sub(r.at).Seconds()*float64(r.rate), 8_000), now
	if r.room < float64(n) {
		return false
	}
	r.room -= float64(n)
	return true
}

func (r *relay) run() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := r.front.ReadFromUDP(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		back := r.backs[from.String()]
		if back == nil {
			if back, err = net.DialUDP("udp", nil, r.to); err != nil {
				r.mu.Unlock()
				continue
			}
			r.backs[from.String()] = back
			go r.answers(back, from)
		}
		r.mu.Unlock()
		if r.passes(n) {
			_, _ = back.Write(buf[:n])
		}
	}
}

func (r *relay) answers(back *net.UDPConn, to *net.UDPAddr) {
	buf := make([]byte, 64<<10)
	for {
		n, err := back.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && r.passes(0) {
			_, _ = r.front.WriteToUDP(buf[:n], to)
		}
	}
}
