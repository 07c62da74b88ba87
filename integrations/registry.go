package integrations

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"isthmus/gateway"
	"isthmus/integrations/kaltura"
)

// Options are what the registry needs.
type Options struct {
	// Outbound is the guarded client; only its transport is used. Kaltura's last upload chunk can take
	// 45 s, so it should wait at least 75 s for response headers.
	Outbound *http.Client
	// Local maps exact service URLs to handlers in this process. A handler sees paths below its
	// service URL: "/api_v3/…", "/p/…".
	Local map[string]http.Handler
	// CheckURL normalises a service URL or refuses it (outbound.Options.ServiceURL). nil accepts https only.
	CheckURL func(string) (string, error)
	Log      *slog.Logger
	Clock    gateway.Clock
	Patience time.Duration // of a call with all its repeats; 0 = the platform's own
}

// opener makes an account of one platform usable.
type opener func(gateway.Account, http.RoundTripper) (gateway.Platform, error)

// Registry implements gateway.Platforms.
type Registry struct {
	opts      Options
	platforms map[string]opener

	mu     sync.Mutex
	open   map[string]*opened
	newest map[string]saved // by integration
}

// saved is an account as an admin saved it.
type saved struct {
	platform gateway.Platform
	at       time.Time
}

type opened struct {
	platform gateway.Platform
	usedAt   time.Time
}

var _ gateway.Platforms = (*Registry)(nil)

// New makes the registry of all platforms. Safe for concurrent use.
func New(o Options) *Registry {
	if o.Clock == nil {
		o.Clock = gateway.SystemClock
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.CheckURL == nil {
		o.CheckURL = httpsOnly
	}
	local := make(map[string]http.Handler, len(o.Local))
	for u, h := range o.Local {
		local[strings.TrimRight(u, "/")] = h
	}
	o.Local = local
	r := &Registry{opts: o, open: map[string]*opened{}, newest: map[string]saved{}}
	r.platforms = map[string]opener{
		gateway.PlatformKaltura: func(a gateway.Account, rt http.RoundTripper) (gateway.Platform, error) {
			return kaltura.New(a, kaltura.Options{Transport: rt, Log: o.Log, Clock: o.Clock, Patience: o.Patience})
		},
	}
	return r
}

const (
	keepUnused = time.Hour
	keepAtMost = 4096
)

// Open implements gateway.Platforms. Accounts are the same when all their fields but SavedAt are; a
// rotated token therefore starts afresh, and takes over from the one before it.
func (r *Registry) Open(a gateway.Account) (gateway.Platform, error) {
	open := r.platforms[a.Platform]
	if open == nil {
		return nil, gateway.E(gateway.Invalid, "platform_unknown", "This media platform is not known.").At("/platform")
	}
	rt, base, err := r.route(a.ServiceURL)
	if err != nil {
		return nil, err
	}
	a.ServiceURL = base
	key := accountKey(a)
	now := r.opts.Clock()

	r.mu.Lock()
	defer r.mu.Unlock()
	if had := r.open[key]; had != nil {
		had.usedAt = now
		r.succeed(a, had.platform)
		return had.platform, nil
	}
	p, err := open(a, rt)
	if err != nil {
		return nil, err
	}
	if len(r.open) >= keepAtMost {
		for k, o := range r.open {
			if now.Sub(o.usedAt) > keepUnused {
				delete(r.open, k)
			}
		}
	}
	r.open[key] = &opened{platform: p, usedAt: now}
	r.succeed(a, p)
	return p, nil
}

// successor is a platform that can let another one take over from it.
type successor interface{ Succeed(gateway.Platform) }

// succeed lets the account that was saved last take over from the others of its integration: their
// token may be deleted any time, and work under way still holds them.
func (r *Registry) succeed(a gateway.Account, p gateway.Platform) {
	s, ok := p.(successor)
	if !ok || a.SavedAt.IsZero() {
		return
	}
	known, had := r.newest[a.IntegrationID]
	switch {
	case had && known.platform != p && !a.SavedAt.After(known.at):
		s.Succeed(known.platform)
	case !had || a.SavedAt.After(known.at):
		s.Succeed(nil)
		if had && known.platform != p {
			known.platform.(successor).Succeed(p)
		}
		r.newest[a.IntegrationID] = saved{p, a.SavedAt}
	}
}

// route chooses how an account is reached.
func (r *Registry) route(serviceURL string) (http.RoundTripper, string, error) {
	base := strings.TrimRight(serviceURL, "/")
	var guarded http.RoundTripper
	if r.opts.Outbound != nil {
		guarded = r.opts.Outbound.Transport
	}
	if guarded == nil { // never the default transport, which would call anything
		guarded = closed{}
	}
	if h, ok := r.opts.Local[base]; ok {
		u, err := url.Parse(base)
		if err != nil {
			return nil, "", gateway.E(gateway.Internal, "", "The local platform's address is malformed.").Because(err)
		}
		return &split{base: u, local: NewLocal(http.StripPrefix(u.Path, h)), remote: guarded}, base, nil
	}
	base, err := r.opts.CheckURL(serviceURL)
	return guarded, base, err
}

func accountKey(a gateway.Account) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %q %q %q %q %d %q %q %d %q %q %q", a.IntegrationID, a.ServiceURL, a.PartnerID,
		a.AppTokenID, a.AppToken.Reveal(), a.HashType, a.MatchBy, a.CategoryID, a.Entitlement, a.PrivacyContext,
		a.ConversionProfileID, a.PlayerTokenID, a.PlayerToken.Reveal(), a.PlayerHashType))
	return a.Platform + "/" + hex.EncodeToString(sum[:])
}

func httpsOnly(raw string) (string, error) {
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", gateway.E(gateway.Invalid, "service_url_not_https", "The address does not begin with https://.").
			Next("Use the https address.").At("/service_url")
	}
	return u.String(), nil
}

// closed refuses every call.
type closed struct{}

// RoundTrip implements http.RoundTripper.
func (closed) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return nil, gateway.E(gateway.Unavailable, "outbound_closed", "This server makes no outgoing calls.")
}

// split sends what lies below the account's own local service URL to the handler and everything
// else over the network.
type split struct {
	base          *url.URL
	local, remote http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (s *split) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == s.base.Scheme && r.URL.Host == s.base.Host && strings.HasPrefix(r.URL.Path, s.base.Path+"/") {
		return s.local.RoundTrip(r)
	}
	return s.remote.RoundTrip(r)
}
