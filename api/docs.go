package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"isthmus/openapi"
)

// routeDocs mounts the description of the API in both forms, and the documentation.
func (s *Server) routeDocs(docs http.Handler) error {
	spec, err := openapi.JSON()
	if err != nil {
		return err
	}
	s.echo.GET("/openapi.yaml", public("application/yaml", openapi.YAML))
	s.echo.GET("/openapi.json", public("application/json", spec))
	if docs == nil {
		return nil
	}
	serve := func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "no-cache")
		docs.ServeHTTP(c.Response(), c.Request())
		return nil
	}
	for _, path := range []string{"/docs", "/docs/*"} {
		s.echo.GET(path, serve)
		s.echo.HEAD(path, serve)
	}
	return nil
}

// public serves a text that is the same for everybody, to pages of other origins too: tools read it.
func public(mime string, body []byte) echo.HandlerFunc {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		h.Set("Cache-Control", "public, max-age=300")
		h.Set("ETag", tag)
		if strings.Contains(c.Request().Header.Get("If-None-Match"), tag) {
			return c.NoContent(http.StatusNotModified)
		}
		return c.Blob(http.StatusOK, mime, body)
	}
}
