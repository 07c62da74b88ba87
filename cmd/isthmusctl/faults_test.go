package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// udp on|off|slow: lets the fast path's packets through, or not, or few of them.
func (s *server) udp(ts *testscript.TestScript, _ bool, args []string) {
	rate, ok := map[string]int{"on": -1, "off": 0, "slow": 25_000}[args[0]]
	if !ok {
		ts.Fatalf("udp on, off or slow")
	}
	s.relay.limit(rate)
}

// tcp on|off: lets HTTP's bytes through, or keeps them.
func (s *server) tcp(_ *testscript.TestScript, _ bool, args []string) { s.line.hold(args[0] == "off") }

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

// line passes TCP connections on. While it is held they stay, and nothing moves on them.
type line struct {
	front net.Listener
	to    string

	mu   sync.Mutex
	free chan struct{} // closed while bytes may pass
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{front: front, to: to, free: make(chan struct{})}
	close(l.free)
	t.Cleanup(func() { _ = front.Close() })
	go func() {
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			go l.pass(c)
		}
	}()
	return l
}

func (l *line) url() string {
	return fmt.Sprintf("http://localhost:%d", l.front.Addr().(*net.TCPAddr).Port)
}

func (l *line) hold(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if yes {
		l.free = make(chan struct{})
	} else {
		close(l.free)
	}
}

func (l *line) pass(c net.Conn) {
	back, err := net.Dial("tcp", l.to)
	if err != nil {
		_ = c.Close()
		return
	}
	one := func(to, from net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			l.mu.Lock()
			free := l.free
			l.mu.Unlock()
			<-free
			if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
				_ = errors.Join(c.Close(), back.Close())
				return
			}
		}
	}
	go one(back, c)
	one(c, back)
}
