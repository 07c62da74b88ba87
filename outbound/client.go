package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"code.dny.dev/ssrf"

	"isthmus/gateway"
)

// Options are the operator's choices. A hub admin can never widen them.
type Options struct {
	// AllowNetworks may be dialled although they are internal, on any port and without TLS: for a
	// Kaltura installation inside the operator's own network.
	AllowNetworks []netip.Prefix
	// ResponseHeader is how long to wait for the first byte of an answer; 0 = 15 s. Kaltura's final
	// upload chunk may take 45 s, so the client for platforms gets 75 s.
	ResponseHeader time.Duration
	// Silence is how long a media source may send nothing in the middle of a file; 0 = a minute.
	Silence time.Duration
	// TLS overrides the TLS settings, e.g. an operator's own certificate authority. nil = the system's.
	TLS *tls.Config
	// Resolver looks names up; nil = the system's. What it answers is checked like any address.
	Resolver *net.Resolver
	// Connect is how long a connection may take, the look-up of the name included, and its TLS
	// handshake as long again; 0 = 5 s.
	Connect time.Duration
}

const (
	connectTimeout = 5 * time.Second
	headerTimeout  = 15 * time.Second
)

// New makes the guarded client: tcp to public addresses on port 443 only, https only, both except
// for the networks the operator allowed; no proxy, no redirects, no cookies. It sets no total
// timeout because bodies may be long: callers bound their calls by context. Safe for concurrent use.
func New(o Options) *http.Client {
	return &http.Client{
		Transport:     newGuard(o, 443).transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// guard knows which addresses may be dialled.
type guard struct {
	opts   Options
	public *ssrf.Guardian
}

func newGuard(o Options, ports ...uint16) *guard {
	return &guard{opts: o, public: ssrf.New(ssrf.WithPorts(ports...))}
}

func (g *guard) transport() http.RoundTripper {
	wait := g.opts.ResponseHeader
	if wait == 0 {
		wait = headerTimeout
	}
	connect := g.opts.Connect
	if connect == 0 {
		connect = connectTimeout
	}
	base := func(control func(string, string, syscall.RawConn) error) *http.Transport {
		d := &net.Dialer{Timeout: connect, Control: control, Resolver: g.opts.Resolver}
		return &http.Transport{
			Proxy:                  nil,
			DialContext:            d.DialContext,
			TLSClientConfig:        g.opts.TLS,
			TLSHandshakeTimeout:    connect,
			ResponseHeaderTimeout:  wait,
			ExpectContinueTimeout:  time.Second,
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConns:           256,
			MaxIdleConnsPerHost:    32,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		}
	}
	return &schemes{secure: base(g.control), plain: base(g.controlPlain)}
}

// control lets public addresses and allowed networks through.
func (g *guard) control(network, address string, c syscall.RawConn) error {
	if g.allowed(network, address) {
		return nil
	}
	if err := g.public.Safe(network, address, c); err != nil {
		return refused(err)
	}
	return nil
}

// controlPlain is for http without TLS: allowed networks only.
func (g *guard) controlPlain(network, address string, _ syscall.RawConn) error {
	if g.allowed(network, address) {
		return nil
	}
	return notHTTPS()
}

func (g *guard) allowed(network, address string) bool {
	if network != "tcp4" && network != "tcp6" {
		return false
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return false
	}
	return inAny(g.opts.AllowNetworks, ap.Addr())
}

func inAny(nets []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range nets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func refused(err error) error {
	if errors.Is(err, ssrf.ErrProhibitedPort) {
		return gateway.E(gateway.Invalid, "service_url_port", "This port may not be called.").
			Next("Use port 443, or ask the operator to allow the network.").Because(err)
	}
	return gateway.E(gateway.Invalid, "service_url_internal", "This address is not on the public internet.").
		Next("Use the public address of the server, or ask the operator to allow the network.").Because(err)
}

// schemes sends https and http over different guards.
type schemes struct{ secure, plain *http.Transport }

// RoundTrip implements http.RoundTripper.
func (s *schemes) RoundTrip(r *http.Request) (*http.Response, error) {
	switch r.URL.Scheme {
	case "https":
		return s.secure.RoundTrip(r)
	case "http":
		return s.plain.RoundTrip(r)
	}
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return nil, gateway.E(gateway.Invalid, "service_url_scheme", "Only https addresses can be called.")
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach both transports.
func (s *schemes) CloseIdleConnections() {
	s.secure.CloseIdleConnections()
	s.plain.CloseIdleConnections()
}

// Clean drops query, fragment and user information from the addresses inside an error of
// http.Client, which otherwise quotes the whole URL. nil stays nil.
func Clean(err error) error {
	var ue *url.Error
	if !errors.As(err, &ue) {
		return err
	}
	where := "an address"
	if u, perr := url.Parse(ue.URL); perr == nil {
		where = u.Scheme + "://" + u.Host
	}
	if errors.Is(ue.Err, context.Canceled) || errors.Is(ue.Err, context.DeadlineExceeded) {
		return fmt.Errorf("%s %s: %w", ue.Op, where, ue.Err)
	}
	return fmt.Errorf("%s %s: %w", ue.Op, where, Clean(ue.Err))
}
