package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// internalSink is a server on an internal address that the operator has not allowed. Nothing may
// ever call it.
var internalSink struct {
	url, host string
	hits      atomic.Int64
}

func openInternalSink(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	internalSink.host = l.Addr().String()
	internalSink.url = "http://" + internalSink.host
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			internalSink.hits.Add(1)
			_ = c.Close()
		}
	}()
}

// trip is what every network fault goes through: a page and an upload before, a reason while it
// lasts, and everything as it was after.
type trip struct {
	row, name, reasons string
	begin, end         func()
}

func (h *faultHub) suffer(t *testing.T, f trip) {
	t.Helper()
	content := h.w.picture(96, 64)
	up := h.begin(t, content, len(content)/2)
	if _, why := h.page(t, ""); why.Code != "" {
		t.Fatalf("a healthy hub: %+v", why)
	}
	f.begin()
	var why faultProblem
	await(t, "a reason of "+f.reasons, func() error {
		if _, why = h.page(t, "&q=unseen"); why.Code == "" || !strings.Contains(" "+f.reasons+" ", " "+why.Code+" ") {
			return fmt.Errorf("told %+v", why)
		}
		return nil
	})
	if p, _ := h.page(t, ""); !p.Stale {
		t.Error("the earlier page is gone")
	}
	h.send(t, up, int64(len(content)/2), content[len(content)/2:])
	h.finish(t, up, content)
	await(t, "the upload to say that it waits", func() error {
		if got := h.upload(t, up.ID); got.Error == nil {
			return fmt.Errorf("%s", got.State)
		}
		return nil
	})
	f.end()
	recovery := h.recovered(t, up.ID)
	h.arrived(t, up.ID, content)
	reportFault(faultRow{f.row, f.name, "the earlier page with its age; " + why.Code + ": “" + why.words() + "”; the upload accepted and waiting", "nothing; 1 entry, same bytes", recovery})
}

func (w *faultWorld) refused(t *testing.T) {
	t.Parallel()
	h := w.hub(t)
	h.suffer(t, trip{"M29", "connection refused", "kaltura_down", h.proxy.down, h.proxy.up})
}

// toxics are faults of the line, made by toxiproxy between the gateway and the proxy.
func (w *faultWorld) toxics(t *testing.T) {
	log := zerolog.Nop()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), log)
	for _, c := range []struct{ name, toxic, reasons string }{
		{"silence on the line", `{"name":"x","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`, "kaltura_slow"},
		{"connections reset", `{"name":"x","type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`, "kaltura_down"},
		{"line cut after 100 bytes", `{"name":"x","type":"limit_data","stream":"downstream","attributes":{"bytes":100}}`, "kaltura_down"},
		{"latency of 9 s", `{"name":"x","type":"latency","stream":"downstream","attributes":{"latency":9000}}`, "kaltura_slow"},
		{"latency of 100 ± 50 ms", `{"name":"x","type":"latency","stream":"downstream","attributes":{"latency":100,"jitter":50}}`, ""},
		{"answers in slices of 50 bytes", `{"name":"x","type":"slicer","stream":"downstream","attributes":{"average_size":50,"delay":100}}`, ""},
		{"line of 64 kB/s", `{"name":"x","type":"bandwidth","stream":"upstream","attributes":{"rate":64}}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := w.take(t)
			h.proxy = newFaultProxy(t, w.kaltura.ServiceURL, nil)
			line := toxiproxy.NewProxy(server, c.name, "127.0.0.1:0", h.proxy.addr)
			if err := line.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(line.Stop)
			h.connect(t, "http://"+line.Listen, w.kaltura.AppTokens[0])
			begin := func() {
				if _, err := line.Toxics.AddToxicJson(strings.NewReader(c.toxic)); err != nil {
					t.Error(err)
				}
			}
			end := func() {
				if err := line.Toxics.RemoveToxic(t.Context(), "x"); err != nil {
					t.Error(err)
				}
			}
			if c.reasons != "" {
				h.suffer(t, trip{"M31", c.name, c.reasons, begin, end})
				return
			}
			begin()
			content := w.picture(96, 64)
			up := h.begin(t, content, len(content))
			h.finish(t, up, content)
			h.arrived(t, up.ID, content)
			if p, why := h.page(t, ""); p.Stale || why.Code != "" {
				t.Errorf("%+v", why)
			}
			reportFault(faultRow{"M31", c.name, "the same pages, later", "nothing; 1 entry, same bytes", 0})
		})
	}
}

// authority signs certificates that the server under test trusts (SSL_CERT_FILE), and others.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Fault tests"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) issue(t testing.TB, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// certificates: a wrong one says what is wrong, and nothing is ever sent without a right one.
func (w *faultWorld) certificates(t *testing.T, ca *authority) {
	stranger := newAuthority(t)
	for _, c := range []struct {
		name, says string
		cert       *tls.Certificate
	}{
		{"certificate expired", "expired", ca.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })},
		{"certificate of another host", "another name", ca.issue(t, func(c *x509.Certificate) { c.IPAddresses = nil; c.DNSNames = []string{"other.example"} })},
		{"certificate of an unknown authority", "nobody whom we trust", stranger.issue(t, nil)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var now atomic.Pointer[tls.Certificate]
			good := ca.issue(t, nil)
			now.Store(good)
			h := w.take(t)
			h.proxy = newFaultProxy(t, w.kaltura.ServiceURL, now.Load)
			h.connect(t, h.proxy.url(), w.kaltura.AppTokens[0])
			var before int
			h.suffer(t, trip{
				row: "M37", name: c.name, reasons: "kaltura_tls",
				begin: func() {
					now.Store(c.cert)
					h.proxy.down() // connections that were checked before are gone
					h.proxy.up()
					before = h.proxy.total()
				},
				end: func() {
					if _, why := h.page(t, "&q=words"); !strings.Contains(why.words(), c.says) {
						t.Errorf("told %+v", why)
					}
					if n := h.proxy.total(); n != before {
						t.Errorf("%d requests were sent over a connection with a wrong certificate", n-before)
					}
					now.Store(good)
				},
			})
			if h.proxy.raw != 0 {
				t.Errorf("%d connections without TLS", h.proxy.raw)
			}
		})
	}
}

// imports: a copy of an entry whose bytes do not want to come.
func (w *faultWorld) imports(t *testing.T, entry string) {
	raw := func(f func(*exchange)) fault {
		return func(x *exchange) bool {
			if x.op != "" || !strings.Contains(x.r.URL.Path, "/raw/") {
				return false
			}
			f(x)
			return true
		}
	}
	half := func(after func(*exchange)) fault {
		return raw(func(x *exchange) {
			a := x.forward()
			for k, v := range a.header {
				x.Header()[k] = v
			}
			x.Header().Set("Content-Length", fmt.Sprint(len(a.body)))
			x.WriteHeader(a.status)
			_, _ = x.Write(a.body[:len(a.body)/2])
			after(x)
		})
	}
	for _, c := range []struct {
		name string
		f    fault
	}{
		{"download cut in the middle", half((*exchange).cut)},
		{"download silent in the middle", half((*exchange).hang)},
		{"download answers 503", raw(func(x *exchange) { x.say(503, "text/plain", "later") })},
		{"download answers a page", raw(func(x *exchange) { x.say(200, "text/html", "<html>please log in</html>") })},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := w.hub(t)
			h.proxy.set(c.f)
			var in libraryImport
			status, body := h.do(t, http.MethodPost, "/library", map[string]any{"entry_id": entry, "kind": "copy"}, &in)
			if status >= 300 {
				t.Fatalf("import answered %d %s", status, body)
			}
			await(t, "some tries", func() error {
				if n := h.proxy.count(""); n < 2 {
					return fmt.Errorf("%d requests", n)
				}
				return nil
			})
			h.proxy.set(nil)
			began := time.Now()
			await(t, "the copy", func() error {
				status, body := h.do(t, http.MethodGet, "/library/"+in.Item.ID, nil, &in.Item)
				if status != http.StatusOK || in.Item.State == "failed" {
					t.Fatalf("%d %s", status, body)
				}
				if in.Item.State != "ready" {
					return fmt.Errorf("%s", body)
				}
				return nil
			})
			reportFault(faultRow{"M31", c.name, "“importing”, then ready", "nothing", time.Since(began)})
		})
	}
}
