package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"isthmus/gateway"
)

type contextKey int

const (
	traceKey contextKey = iota
	callerKey
	actorKey
	operatorKey
	tusFailureKey
	headerKey
)

// trace names one request in answers and logs.
type trace struct {
	trace, request string
	span, flags    string // of this server's part (W3C Trace Context)
	instance       string // the request's path, or nothing where it would hold a secret
	url            *url.URL
	address        string // of the caller
}

func traceOf(ctx context.Context) trace {
	t, _ := ctx.Value(traceKey).(trace)
	return t
}

var (
	goodRequestID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)
	traceparent   = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$`)
)

// parent reads a traceparent (W3C Trace Context). One of a later version is read as far as we know it.
func parent(header string) (trace, flags string, ok bool) {
	m := traceparent.FindStringSubmatch(header)
	if m == nil || m[1] == "ff" || m[1] == "00" && m[5] != "" || strings.Trim(m[2], "0") == "" || strings.Trim(m[3], "0") == "" {
		return "", "", false
	}
	return m[2], m[4], true
}

// identify gives every request a request id and a trace id, taken from the caller when well formed.
func (s *Server) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		t := trace{request: r.Header.Get(echo.HeaderXRequestID), url: r.URL, address: c.RealIP()}
		if !goodRequestID.MatchString(t.request) {
			t.request = gateway.NewID("req")
		}
		var b [24]byte
		_, _ = rand.Read(b[:]) // never fails since Go 1.24
		t.span = hex.EncodeToString(b[16:])
		var ok bool
		if t.trace, t.flags, ok = parent(r.Header.Get("traceparent")); !ok {
			t.trace, t.flags = hex.EncodeToString(b[:16]), "00" // nobody records it
		}
		if !secretPath(r.URL.Path) {
			t.instance = r.URL.Path
		}
		c.SetRequest(r.WithContext(gateway.WithRequestID(context.WithValue(r.Context(), traceKey, t), t.request)))
		c.Response().Header().Set(echo.HeaderXRequestID, t.request)
		c.Response().Header().Set("traceparent", "00-"+t.trace+"-"+t.span+"-"+t.flags)
		return next(c)
	}
}

// secretPath tells whether an address is itself a credential and must not be repeated.
func secretPath(p string) bool {
	for _, prefix := range []string{"/v1/connect/", "/connect/", "/thumbs/", "/captions/", "/play/", "/download/"} {
		if strings.HasPrefix(p, prefix) {
			return true
		}
	}
	return false
}

// tracedLog adds the ids of the request to every line that is written for it.
type tracedLog struct{ slog.Handler }

func (h tracedLog) Handle(ctx context.Context, r slog.Record) error {
	if t := traceOf(ctx); t.trace != "" {
		r.AddAttrs(slog.String("request_id", t.request), slog.String("trace_id", t.trace), slog.String("span_id", t.span))
	}
	return h.Handler.Handle(ctx, r)
}

func (h tracedLog) WithAttrs(a []slog.Attr) slog.Handler { return tracedLog{h.Handler.WithAttrs(a)} }

func (h tracedLog) WithGroup(name string) slog.Handler { return tracedLog{h.Handler.WithGroup(name)} }

// accessLog writes one line per request, with the route's template instead of the address, which
// may hold secrets.
func (s *Server) accessLog(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		begin := time.Now()
		err := next(c)
		if err != nil {
			c.Error(err) // renders it, so that the status below is the one sent
		}
		route := c.Path()
		level := slog.LevelInfo
		if route == "/healthz" || route == "/readyz" {
			level = slog.LevelDebug
		}
		ctx := c.Request().Context()
		args := []any{
			"method", c.Request().Method, "route", route, "status", c.Response().Status,
			"duration_ms", float64(time.Since(begin).Microseconds()) / 1000, "bytes", c.Response().Size,
			"remote", c.RealIP(),
		}
		if a, ok := ctx.Value(actorKey).(gateway.Actor); ok {
			args = append(args, "hub", a.HubID, "actor", a.Subject())
		}
		s.log.Log(ctx, level, "request", args...)
		return nil
	}
}

// recoverPanics turns a panic into an internal error; the stack goes to the log only.
func (s *Server) recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			err = gateway.AsError(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}()
		return next(c)
	}
}

// agentPorts are where isthmusctl's agent listens on the reader's own computer (docs/agent.md).
const agentPorts = "http://127.0.0.1:27710 http://127.0.0.1:27711 http://127.0.0.1:27712"

// contentPolicy is the page's Content-Security-Policy. Players need blob: media and workers, the
// checksum needs WebAssembly; scripts come from our own origin only. Nobody frames it but the framers.
func contentPolicy(playbackHosts []string, framers ...string) string {
	hosts := strings.Join(playbackHosts, " ")
	ancestors := "'none'"
	if len(framers) > 0 {
		ancestors = strings.Join(framers, " ")
	}
	return strings.Join([]string{
		"default-src 'self'",
		"script-src 'self' 'wasm-unsafe-eval'",
		"worker-src 'self' blob:",
		"style-src 'self'",
		"img-src 'self' data: blob: " + hosts,
		"media-src 'self' data: blob: " + hosts,
		"connect-src 'self' data: blob: " + agentPorts + " " + hosts,
		"font-src 'self' data:",
		"object-src 'none'",
		"base-uri 'none'",
		"form-action 'self'",
		"frame-ancestors " + ancestors,
	}, "; ")
}

func (s *Server) secureHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	policy := contentPolicy(s.playbackHosts)
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), accelerometer=(self), gyroscope=(self), fullscreen=(self), xr-spatial-tracking=(self)")
		if s.https {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		return next(c)
	}
}

// noStore keeps answers of the API out of every cache.
func noStore(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "private, no-store")
		return next(c)
	}
}

// bodyLimit bounds a body's size, and the time in which it has to arrive: a client that sends a byte
// now and then must not hold a connection for ever.
func (s *Server) bodyLimit(n int64) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if r.ContentLength > n {
				return &http.MaxBytesError{Limit: n}
			}
			r.Body = http.MaxBytesReader(c.Response(), r.Body, n)
			if r.ContentLength != 0 {
				rc := http.NewResponseController(c.Response())
				if rc.SetReadDeadline(time.Now().Add(time.Duration(s.bodyTime.Load()))) == nil {
					r.Body = &timedBody{r.Body, rc}
				}
			}
			return next(c)
		}
	}
}

// timedBody lifts the connection's deadline when the body has come: what follows may take longer.
type timedBody struct {
	io.ReadCloser
	rc *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, gateway.E(gateway.Unavailable, "too_slow", "The request's body took too long to arrive.").
			Next("Send it again over a better line.").Because(err)
	}
	_ = b.rc.SetReadDeadline(time.Time{})
	return n, err
}
