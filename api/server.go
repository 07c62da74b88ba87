package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"isthmus/gateway"
)

// Services are what the API translates to.
type Services struct {
	Hubs         *gateway.Hubs
	Operators    *gateway.Operators
	Providers    *gateway.IdentityProviders
	People       *gateway.People
	Clients      *gateway.Clients
	Access       *gateway.Access
	OAuth        *gateway.OAuth
	Integrations *gateway.Integrations
	Mappings     *gateway.Mappings
	Audits       *gateway.Audits
	Catalog      *gateway.Catalog
	Library      *gateway.Library
	Uploads      *gateway.Uploads
	Transfers    *gateway.Transfers
	Jobs         *gateway.Jobs
	Events       *gateway.Events
	Webhooks     *gateway.Webhooks
	Idempotency  *gateway.Idempotency
	Limits       *gateway.Limits
	Spherical    *gateway.Spherical
	DropFolders  *gateway.DropFolders
}

// Config is all the server needs. Nothing in it may be nil unless it says so.
type Config struct {
	BaseURL       string // as browsers and clients see this server, e.g. "https://isthmus.example.org"; no path
	Services      Services
	Tokens        *Tokens
	Identities    Identities // nil: tokens of identity providers are not exchanged
	Tickets       gateway.Tickets
	Protocol      IdentityProtocol
	Blobs         gateway.Blobs
	Web           http.Handler                 // the page; takes every GET that nothing else does
	Picker        []byte                       // the page that other sites may frame; nil: there is none
	Docs          func() (http.Handler, error) // everything below /docs; nil: there is none
	DropSchema    []byte                       // XSD of manifests; nil: there is none
	Ready         func(context.Context) error  // nil: always ready
	PlaybackHosts []string                     // CSP sources that media may be played from beside our own, e.g. "https://*.kaltura.com"
	TrustProxies  []*net.IPNet                 // whose X-Forwarded-For is believed; nil: nobody's
	Limits        RateLimits
	Log           *slog.Logger // nil: slog.Default()
}

// Server is the HTTP front. It is an http.Handler; safe for concurrent use.
type Server struct {
	hubs         *gateway.Hubs
	operators    *gateway.Operators
	providers    *gateway.IdentityProviders
	people       *gateway.People
	protocol     IdentityProtocol
	clients      *gateway.Clients
	access       *gateway.Access
	oauth        *gateway.OAuth
	integrations *gateway.Integrations
	mappings     *gateway.Mappings
	audits       *gateway.Audits
	catalog      *gateway.Catalog
	library      *gateway.Library
	uploads      *gateway.Uploads
	transfers    *gateway.Transfers
	jobs         *gateway.Jobs
	events       *gateway.Events
	webhooks     *gateway.Webhooks
	spherical    *gateway.Spherical
	drops        *gateway.DropFolders
	dropSchema   bool

	base          *url.URL
	https         bool
	tokens        *Tokens
	identities    Identities
	tickets       gateway.Tickets
	blobs         gateway.Blobs
	playbackHosts []string
	picker        []byte
	ready         func(context.Context) error
	cookieName    string
	cookieSecure  bool
	sameOrigin    *http.CrossOriginProtection
	thumbTickets  ticketCache
	once          *gateway.Idempotency
	limits        *gateway.Limits
	rates         rates
	attempts      *gateway.Attempts
	recheck       atomic.Int64 // a time.Duration: how often the rights of a listener are looked at again
	patience      atomic.Int64 // a time.Duration: that a listener may leave one message lying
	playing       permits
	streams       crowd
	bodyTime      atomic.Int64 // a time.Duration: that a client may take to send a body, uploads apart
	log           *slog.Logger
	echo          *echo.Echo
	closing       context.Context
	close         context.CancelFunc
}

// maxBody is the size of a JSON or form body, maxBatch that of one that announces many files, maxManifest that of
// a manifest, which is read as it comes. Uploads have their own limit.
const maxBody, maxBatch, maxManifest = 1 << 20, 8 << 20, 64 << 20

// New builds the server.
func New(cfg Config) (*Server, error) {
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") || strings.Trim(base.Path, "/") != "" {
		return nil, fmt.Errorf("base URL %q must be http(s)://host[:port] without a path", cfg.BaseURL)
	}
	base.Path = ""
	sv := cfg.Services
	s := &Server{
		hubs: sv.Hubs, operators: sv.Operators, providers: sv.Providers, people: sv.People, protocol: cfg.Protocol, clients: sv.Clients, access: sv.Access, integrations: sv.Integrations, mappings: sv.Mappings, audits: sv.Audits, catalog: sv.Catalog,
		library: sv.Library, uploads: sv.Uploads, transfers: sv.Transfers, jobs: sv.Jobs, events: sv.Events, webhooks: sv.Webhooks, spherical: sv.Spherical, drops: sv.DropFolders,
		base: base, https: base.Scheme == "https", tokens: cfg.Tokens, tickets: cfg.Tickets, blobs: cfg.Blobs,
		playbackHosts: cfg.PlaybackHosts, picker: cfg.Picker, ready: cfg.Ready, log: cfg.Log, sameOrigin: http.NewCrossOriginProtection(),
		attempts: &gateway.Attempts{Clock: gateway.SystemClock}, once: sv.Idempotency, limits: sv.Limits, rates: cfg.Limits.rates(),
	}
	s.oauth, s.identities = sv.OAuth, cfg.Identities
	s.recheck.Store(int64(time.Minute))
	s.patience.Store(int64(time.Minute))
	s.bodyTime.Store(int64(30 * time.Second))
	if s.log == nil {
		s.log = slog.Default()
	}
	s.log = slog.New(tracedLog{s.log.Handler()})
	s.cookieName, s.cookieSecure = sessionCookie(base)
	if err := s.sameOrigin.AddTrustedOrigin(base.String()); err != nil {
		return nil, err
	}
	s.closing, s.close = context.WithCancel(context.Background())

	e := echo.New()
	s.echo = e
	e.HideBanner, e.HidePort = true, true
	e.Binder = binder{}
	e.HTTPErrorHandler = s.renderError
	e.IPExtractor = echo.ExtractIPDirect()
	if len(cfg.TrustProxies) > 0 {
		trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
		for _, n := range cfg.TrustProxies {
			trust = append(trust, echo.TrustIPRange(n))
		}
		e.IPExtractor = echo.ExtractIPFromXFFHeader(trust...)
	}
	e.Use(s.identify, s.accessLog, s.recoverPanics, s.secureHeaders, s.apiCORS, page(cfg.Web))

	if err := s.routeREST(); err != nil {
		return nil, err
	}
	s.routeOAuth()
	if err := s.routeTus(); err != nil {
		return nil, err
	}
	s.routeFiles()
	s.routeEmbed()
	s.dropSchema = cfg.DropSchema != nil
	if s.dropSchema {
		e.GET(xsdPath, public("application/xml", ready(cfg.DropSchema)))
	}
	s.routeDocs(cfg.Docs)
	e.GET("/healthz", s.healthz)
	e.GET("/readyz", s.readyz)
	return s, nil
}

// page serves the front end where nothing else is. It is no route, because a route for everything
// would hide that an address takes other methods.
func page(web http.Handler) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			err := next(c)
			r := c.Request()
			if err != echo.ErrNotFound || (r.Method != http.MethodGet && r.Method != http.MethodHead) || forPrograms(r.URL.Path) {
				return err
			}
			web.ServeHTTP(c.Response(), r)
			return nil
		}
	}
}

// forPrograms tells addresses of programs from those of people: a mistake below the former is a problem.
func forPrograms(p string) bool {
	for _, prefix := range []string{"/v1/", "/oauth2/", "/.well-known/", tusBase, "/thumbs/", "/captions/", "/play/"} {
		if strings.HasPrefix(p+"/", prefix) {
			return true
		}
	}
	return false
}

func (s *Server) routeREST() error {
	spec, err := loadSpec()
	if err != nil {
		return err
	}
	per := map[string][]echo.MiddlewareFunc{}
	for _, op := range spec.ops {
		limit := int64(maxBody)
		switch {
		case op.batch():
			limit = maxBatch
		case op.stream():
			limit = maxManifest
		}
		per[op.OperationID] = []echo.MiddlewareFunc{
			noStore, s.bodyLimit(limit), s.authenticate, s.limitCaller, s.enforce(op.OperationID), s.limitHub,
			conditional, prefer(op), s.idempotent(op.OperationID), validate(spec.doc, op),
		}
		announce, err := deprecated(op)
		if err != nil {
			return err
		}
		if announce != nil {
			per[op.OperationID] = append([]echo.MiddlewareFunc{announce}, per[op.OperationID]...)
		}
	}
	RegisterHandlersWithOptions(s.echo, NewStrictHandler(s, nil), RegisterHandlersOptions{OperationMiddlewares: per})
	return nil
}

// Mount puts another handler under a prefix such as "/kaltura/", before the server serves. The
// handler sees the whole path.
func (s *Server) Mount(prefix string, h http.Handler) {
	w := echo.WrapHandler(h)
	prefix = strings.TrimSuffix(prefix, "/")
	s.echo.Any(prefix, w)
	s.echo.Any(prefix+"/*", w)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Close ends the event streams, which would otherwise keep a graceful stop waiting. Register it
// with http.Server.RegisterOnShutdown.
func (s *Server) Close() { s.close() }

// healthz says that the process runs.
func (s *Server) healthz(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.String(http.StatusOK, "ok\n")
}

// readyz says whether requests can be served; the reason goes to the log only.
func (s *Server) readyz(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	if s.ready != nil {
		ctx, cancel := context.WithTimeout(c.Request().Context(), 5*time.Second)
		defer cancel()
		if err := s.ready(ctx); err != nil {
			if !errors.Is(err, context.Canceled) {
				s.log.WarnContext(ctx, "not ready", "error", err)
			}
			return c.String(http.StatusServiceUnavailable, "not ready\n")
		}
	}
	return c.String(http.StatusOK, "ok\n")
}
