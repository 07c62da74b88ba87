package api

import (
	"bytes"
	"html/template"
	"net/http"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"

	"isthmus/gateway"
)

const embedPath = "/embed/picker"

// routeEmbed mounts the picker, the one page of ours that other sites may show in a frame. Who shows
// it is named by the public id of a client; only pages from that client's registered origins are let.
func (s *Server) routeEmbed() {
	s.echo.GET(embedPath, s.pickerPage)
}

func (s *Server) pickerPage(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store") // who may frame it can change at any time
	origins, err := s.access.EmbedOrigins(c.Request().Context(), c.QueryParam("client"))
	if err != nil {
		return s.refuseEmbed(c, err)
	}
	origins = framers(origins)
	if len(origins) == 0 {
		return s.refuseEmbed(c, gateway.E(gateway.Forbidden, "no_origins", "This client has no site that may show the media library.").
			Next("Register the origin of your site, such as https://spaces.example.org, with the client."))
	}
	if len(s.picker) == 0 {
		return gateway.E(gateway.NotFound, reasonRoute, "This server was built without its pages.").Next("Build it with make.")
	}
	h.Set("Content-Security-Policy", contentPolicy(s.playbackHosts, origins...))
	h.Del("X-Frame-Options") // knows no list; the policy's frame-ancestors does
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	const slot = `name="isthmus-origins" content="`
	page := bytes.Replace(s.picker, []byte(slot), []byte(slot+template.HTMLEscapeString(strings.Join(origins, " "))), 1)
	return c.HTMLBlob(http.StatusOK, page)
}

var originForm = regexp.MustCompile(`^https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?$`)

// framers drops whatever is no plain origin: the list becomes part of a header in which a space or a
// semicolon would mean something.
func framers(origins []string) []string {
	var out []string
	for _, o := range origins {
		if originForm.MatchString(o) {
			out = append(out, o)
		}
	}
	return out
}

var refusedPage = template.Must(template.New("refused").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Not shown here</title></head>
<body><main><h1>The media library is not shown here</h1><p>{{.Message}} {{.NextStep}}</p><p>Code: <code>{{.Reason}}</code></p></main></body></html>
`))

// refuseEmbed says why in a page that itself may be shown nowhere; a frame of it stays empty, and the
// script around the frame tells its host.
func (s *Server) refuseEmbed(c echo.Context, err error) error {
	e := gateway.AsError(err)
	if status := statusOf(e); status >= http.StatusInternalServerError {
		return err
	}
	var b bytes.Buffer
	if err := refusedPage.Execute(&b, e); err != nil {
		return err
	}
	return c.HTMLBlob(statusOf(e), b.Bytes())
}
