package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// What pages of other origins may send and read.
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsSend    = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, Last-Event-ID, Range, traceparent, " +
		"Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, Upload-Checksum"
	corsRead = "ETag, Link, Location, Retry-After, X-Request-Id, RateLimit, RateLimit-Policy, Idempotency-Replayed, Preference-Applied, Deprecation, Sunset, " +
		"Tus-Resumable, Upload-Offset, Upload-Length, Upload-Expires"
)

// clientCORS lets the pages of registered clients call the endpoints of programs, without cookies: an
// answer to a request with one stays closed to them.
func (s *Server) clientCORS(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		origin := c.Request().Header.Get("Origin")
		h := c.Response().Header()
		h.Add("Vary", "Origin")
		if origin == "" || origin == s.base.String() {
			return next(c)
		}
		known, err := s.oauth.KnownOrigin(c.Request().Context(), origin)
		if err != nil {
			return err
		}
		if known {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Methods", corsMethods)
			h.Set("Access-Control-Allow-Headers", corsSend)
			h.Set("Access-Control-Expose-Headers", corsRead)
			h.Set("Access-Control-Max-Age", "600")
		}
		return next(c)
	}
}

// apiCORS is clientCORS for the API, whose routes know no OPTIONS of their own.
func (s *Server) apiCORS(next echo.HandlerFunc) echo.HandlerFunc {
	with := s.clientCORS(next)
	preflight := s.clientCORS(noContent)
	return func(c echo.Context) error {
		r := c.Request()
		switch {
		case !strings.HasPrefix(r.URL.Path, "/v1/") && !strings.HasPrefix(r.URL.Path, tusBase):
			return next(c)
		case r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "":
			return preflight(c)
		}
		return with(c)
	}
}
