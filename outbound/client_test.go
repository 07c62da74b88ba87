package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"isthmus/gateway"
)

// sink counts connections to a loopback port.
func sink(t *testing.T) (port string, hits *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	hits = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			hits.Add(1)
			_ = c.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, hits
}

// special are addresses that no hub may make us call (IANA special registries).
var special = []string{
	"127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "169.254.169.254", "172.16.0.1",
	"192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
	"224.0.0.1", "240.0.0.1", "255.255.255.255",
	"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "100::1", "2001::1", "2001:db8::1",
	"2002:7f00:1::", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "ff02::1",
}

func TestSpecialAddressesAreNeverDialled(t *testing.T) {
	port, hits := sink(t)
	for _, a := range special {
		address := net.JoinHostPort(a, port)
		// The socket itself, with the sink's port allowed, so that only the address can be the reason.
		n, _ := net.LookupPort("tcp", port)
		g := newGuard(Options{}, uint16(n))
		var reached atomic.Bool
		d := net.Dialer{Timeout: time.Minute, Control: func(network, addr string, c syscall.RawConn) error {
			err := g.control(network, addr, c)
			if err == nil {
				reached.Store(true)
			}
			return err
		}}
		c, err := d.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		if err == nil || reached.Load() {
			t.Errorf("%s was dialled", a)
		} else if !gateway.IsReason(err, "service_url_internal") && !strings.Contains(err.Error(), "no suitable address") {
			t.Errorf("%s: %v", a, err)
		}
		// And the client as it is used.
		res, err := New(Options{}).Get("https://" + address + "/?secret=1")
		if err == nil {
			_ = res.Body.Close()
			t.Errorf("%s was called", a)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d connections to the sink", n)
	}
}

func TestSinkWouldBeReachedWithoutTheGuard(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") }))
	defer srv.Close()
	tlsConf := srv.Client().Transport.(*http.Transport).TLSClientConfig
	if _, err := New(Options{TLS: tlsConf}).Get(srv.URL); err == nil {
		t.Fatal("loopback was called")
	}
	res, err := New(Options{TLS: tlsConf, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).Get(srv.URL)
	if err != nil {
		t.Fatalf("the operator's network must be reachable: %v", err)
	}
	_ = res.Body.Close()
}

func TestPortsAndPlainHTTP(t *testing.T) {
	g := newGuard(Options{}, 443)
	if err := g.control("tcp4", "8.8.8.8:443", nil); err != nil {
		t.Error(err)
	}
	if err := g.control("tcp4", "8.8.8.8:22", nil); !gateway.IsReason(err, "service_url_port") {
		t.Errorf("port 22: %v", err)
	}
	if err := g.control("udp4", "8.8.8.8:443", nil); err == nil {
		t.Error("udp was allowed")
	}
	if err := g.controlPlain("tcp4", "8.8.8.8:80", nil); !gateway.IsReason(err, "service_url_not_https") {
		t.Errorf("plain: %v", err)
	}
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	if _, err := New(Options{}).Get(srv.URL); !gateway.IsReason(err, "service_url_not_https") {
		t.Errorf("plain http to loopback: %v", err)
	}
	if _, err := New(Options{}).Get("ftp://example.org/"); !gateway.IsReason(err, "service_url_scheme") {
		t.Errorf("ftp: %v", err)
	}
}

func TestProxiesAreIgnored(t *testing.T) {
	port, hits := sink(t)
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:"+port)
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:"+port)
	_, err := New(Options{}).Get("https://192.0.2.1/")
	if !gateway.IsReason(err, "service_url_internal") {
		t.Errorf("err = %v", err)
	}
	if hits.Load() != 0 {
		t.Error("the proxy was used")
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var second atomic.Int64
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/second" {
			second.Add(1)
			return
		}
		http.Redirect(w, r, "/second", http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	c := New(Options{TLS: srv.Client().Transport.(*http.Transport).TLSClientConfig, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	res, err := c.Post(srv.URL, "text/plain", strings.NewReader("ks=secret"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusTemporaryRedirect || second.Load() != 0 {
		t.Errorf("status %d, second server called %d times", res.StatusCode, second.Load())
	}
}

// TestRebinding: a name that resolves to a public address at first and to loopback afterwards.
func TestRebinding(t *testing.T) {
	port, hits := sink(t)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pc.Close() }()
	go answerLoopback(pc)
	n, _ := net.LookupPort("tcp", port)
	g := newGuard(Options{}, uint16(n))
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
	for range 20 {
		d := net.Dialer{Timeout: time.Minute, Control: g.control, Resolver: resolver}
		c, err := d.Dial("tcp", "kaltura.example.org:"+port)
		if err == nil {
			_ = c.Close()
			t.Fatal("dialled loopback")
		}
		if !gateway.IsReason(err, "service_url_internal") {
			t.Fatal(err)
		}
	}
	if hits.Load() != 0 {
		t.Error("the sink was reached")
	}
}

func answerLoopback(pc net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) == 0 {
			continue
		}
		m.Response, m.Additionals = true, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
				Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
			}}
		}
		if b, err := m.Pack(); err == nil {
			_, _ = pc.WriteTo(b, from)
		}
	}
}

func TestCleanDropsSecrets(t *testing.T) {
	err := Clean(&url.Error{Op: "Post", URL: "https://u:pw@kaltura.example/api?ks=canary#x", Err: errors.New("refused")})
	for _, secret := range []string{"canary", "pw", "/api"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q still holds %q", err, secret)
		}
	}
	if !strings.Contains(err.Error(), "kaltura.example") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%q does not say what happened", err)
	}
	if !errors.Is(Clean(&url.Error{Err: context.Canceled}), context.Canceled) {
		t.Error("the cause is lost")
	}
}

func TestReadAllStopsAtTheLimit(t *testing.T) {
	if b, err := ReadAll(strings.NewReader("12345"), 5); err != nil || string(b) != "12345" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := ReadAll(strings.NewReader("123456"), 5); gateway.CodeOf(err) != gateway.TooLarge {
		t.Errorf("err = %v", err)
	}
}
