package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"isthmus/openapi"
)

// routeDocs mounts the description of the API in both forms, and the documentation. What takes a server as long to make
// as everything else at its start is made when it is first asked for.
func (s *Server) routeDocs(docs func() (http.Handler, error)) {
	s.echo.GET("/openapi.yaml", public("application/yaml", ready(openapi.YAML)))
	s.echo.GET("/openapi.json", public("application/json", openapi.JSON))
	if docs == nil {
		return
	}
	serve := func(c echo.Context) error {
		site, err := docs()
		if err != nil {
			return err
		}
		c.Response().Header().Set("Cache-Control", "no-cache")
		site.ServeHTTP(c.Response(), c.Request())
		return nil
	}
	for _, path := range []string{"/docs", "/docs/*"} {
		s.echo.GET(path, serve)
		s.echo.HEAD(path, serve)
	}
}

// ready is for public what needs no making.
func ready(text []byte) func() ([]byte, error) { return func() ([]byte, error) { return text, nil } }

// public serves a text that is the same for everybody, to pages of other origins too: tools read it.
func public(mime string, text func() ([]byte, error)) echo.HandlerFunc {
	tag := sync.OnceValue(func() string {
		body, _ := text()
		sum := sha256.Sum256(body)
		return `"` + hex.EncodeToString(sum[:12]) + `"`
	})
	return func(c echo.Context) error {
		body, err := text()
		if err != nil {
			return err
		}
		h := c.Response().Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		h.Set("Cache-Control", "public, max-age=300")
		h.Set("ETag", tag())
		if strings.Contains(c.Request().Header.Get("If-None-Match"), tag()) {
			return c.NoContent(http.StatusNotModified)
		}
		return c.Blob(http.StatusOK, mime, body)
	}
}
