package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"isthmus/transfer/rate"
)

// tickets is a real, small Tickets: tokens are the keys of a map.
type tickets struct {
	mu     sync.Mutex
	grants map[string]Grant
}

func (t *tickets) Open(_ context.Context, token string) (Grant, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, ok := t.grants[token]
	if !ok {
		return Grant{}, fail(CodeTicket, "no such ticket")
	}
	return g, nil
}

// world is a server, its folder and a client's folder.
type world struct {
	t        testing.TB
	tickets  *tickets
	dir      *Dir
	in, out  string // folders: received, to send
	cfg      Config
	server   *Server
	stop     func() // ends the server and waits
	key      KeyHash
	contents map[string][]byte
	uploads  []Upload
	noDigest bool
}

func newWorld(t testing.TB, sizes ...int) *world {
	t.Helper()
	w := &world{t: t, in: t.TempDir(), out: t.TempDir(), tickets: &tickets{grants: map[string]Grant{}}, contents: map[string][]byte{}}
	r := rand.NewChaCha8([32]byte{byte(len(sizes))})
	for i, n := range sizes {
		b := make([]byte, n)
		_, _ = r.Read(b)
		u := Upload{ID: fmt.Sprintf("upl_%d", i), Name: fmt.Sprintf("clip %d.mp4", i), Size: int64(n)}
		w.uploads = append(w.uploads, u)
		w.contents[u.ID] = b
		w.must(os.WriteFile(filepath.Join(w.out, u.ID), b, 0o600))
	}
	w.tickets.grants["good"] = Grant{Uploads: w.uploads}
	cert, err := NewCertificate()
	w.must(err)
	w.key, err = HashKey(cert)
	w.must(err)
	w.cfg = Config{Certificate: cert, Tickets: w.tickets, Secret: bytes.Repeat([]byte{7}, 32)}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// start runs the server, at the same address again when it ran before.
func (w *world) start() {
	w.t.Helper()
	w.startAt("127.0.0.1:0")
}

func (w *world) startAt(addr string) {
	w.t.Helper()
	w.dir = OpenDir(w.in, w.noDigest)
	cfg := w.cfg
	if cfg.Files == nil {
		cfg.Files = w.dir
	}
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s, err := Listen(addr, cfg)
	w.must(err)
	w.server = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
		if err := w.dir.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(func() { w.stop() })
}

func (w *world) open(u Upload) (File, error) { return os.Open(filepath.Join(w.out, u.ID)) }

func (w *world) sender(addr netip.AddrPort) SenderConfig {
	c := SenderConfig{
		Ticket: Ticket{Token: "good", Address: addr.String(), KeyHash: w.key},
		Open:   w.open,
		Rate:   rate.Config{Policy: rate.High},
	}
	if testing.Verbose() {
		c.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return c
}

// send sends everything and checks each receipt and file.
func (w *world) send(s *Sender) Progress {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	results, err := s.Send(ctx)
	if err != nil {
		w.t.Fatalf("Send: %v (%+v)", err, s.Progress())
	}
	if len(results) != len(w.uploads) {
		w.t.Fatalf("%d results of %d uploads", len(results), len(w.uploads))
	}
	for _, r := range results {
		want := sha256.Sum256(w.contents[r.ID])
		if r.Err != nil || !bytes.Equal(r.SHA256, want[:]) {
			w.t.Errorf("%s: %x, %v; want %x", r.ID, r.SHA256, r.Err, want)
		}
	}
	w.arrived()
	return s.Progress()
}

// arrived compares what the server has with what was sent.
func (w *world) arrived() {
	w.t.Helper()
	for id, want := range w.contents {
		got, err := os.ReadFile(filepath.Join(w.in, id))
		w.must(err)
		if !bytes.Equal(got, want) {
			w.t.Errorf("%s differs", id)
		}
	}
}

func TestSendsFiles(t *testing.T) {
	t.Parallel()
	for _, one := range []bool{false, true} {
		t.Run(fmt.Sprintf("one_socket=%v", one), func(t *testing.T) {
			w := newWorld(t, 5_000_000, 0, 1, 1400, 70_000)
			w.cfg.OneSocket = one
			w.start()
			p := w.send(NewSender(w.sender(w.server.Addr())))
			if p.Done != p.Total || p.Total != 5_071_401 {
				t.Errorf("progress says %d of %d", p.Done, p.Total)
			}
		})
	}
}

// pkcs8 is the server's private key for another process.
func (w *world) pkcs8() []byte {
	b, err := x509.MarshalPKCS8PrivateKey(w.cfg.Certificate.PrivateKey)
	w.must(err)
	return b
}

func parseCertificate(chain [][]byte, key []byte) (tls.Certificate, error) {
	k, err := x509.ParsePKCS8PrivateKey(key)
	return tls.Certificate{Certificate: chain, PrivateKey: k}, err
}

func mustAddr(t testing.TB, s string) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

func TestSecondServerIsRefused(t *testing.T) {
	w := newWorld(t, 10)
	w.start()
	cfg := w.cfg
	cfg.Files = w.dir
	for _, one := range []bool{false, true} {
		cfg.OneSocket = one
		if s, err := Listen(w.server.Addr().String(), cfg); err == nil {
			t.Errorf("two servers on one port: %v", s.Addr())
		}
	}
}

// TestListensOnEveryAddress: the server answers from the address that the client sent to.
func TestListensOnEveryAddress(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
		w := newWorld(t, 300_000)
		w.startAt(":0")
		p := newProxy(t, netip.AddrPortFrom(netip.MustParseAddr(host), w.server.Addr().Port()), faults{})
		got := w.send(NewSender(w.through(p)))
		if n := p.strangers.Load(); n > 0 || got.Tries != 1 {
			t.Errorf("%s: %d packets came from another address; %d connections", host, n, got.Tries)
		}
	}
}

// until waits for what comes soon.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !eventually(ok) {
		t.Fatal(what)
	}
}

// eventually tells whether it came. Any goroutine.
func eventually(ok func() bool) bool {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}
