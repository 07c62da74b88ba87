package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"isthmus/gateway"
	"isthmus/openapi"
)

// captionLife is how long a caption's address works: players ask for it when the viewer chooses the track.
const captionLife = 6 * time.Hour

// captionsOf gives the text tracks of what ("media:ID" or "item:ID") with addresses for one viewer.
func (s *Server) captionsOf(a gateway.Actor, what string, list []gateway.Caption) ([]openapi.Caption, error) {
	out := make([]openapi.Caption, 0, len(list))
	for _, c := range list {
		t, err := s.tickets.Issue(gateway.TicketCaption, a.HubID+"/"+a.Subject()+"/"+what+":"+c.ID, captionLife)
		if err != nil {
			return nil, err
		}
		out = append(out, openapi.Caption{
			ID: c.ID, Language: c.Language, Label: c.Label, Format: openapi.CaptionFormat(c.Format), Default: c.Default, URL: "/captions/" + t,
		})
	}
	return out, nil
}

// caption serves a text track. The ticket names the viewer, so that visibility is asked again.
func (s *Server) caption(c echo.Context) error {
	none := gateway.E(gateway.NotFound, "caption_not_found", "There are no such captions, or the address has expired.").
		Next("Ask for playback again for a fresh address.")
	subject, err := s.tickets.Check(gateway.TicketCaption, c.Param("ticket"))
	if err != nil {
		return none.Because(err)
	}
	parts := strings.SplitN(subject, "/", 3)
	if len(parts) != 3 {
		return none
	}
	what := strings.SplitN(parts[2], ":", 3)
	if len(what) != 3 {
		return none
	}
	ctx := c.Request().Context()
	a, err := s.viewer(ctx, parts[0], parts[1])
	if err != nil {
		return err
	}
	var vtt []byte
	switch what[0] {
	case "media":
		vtt, err = s.catalog.Caption(ctx, a, what[1], what[2])
	case "item":
		vtt, err = s.library.Caption(ctx, a, what[1], what[2])
	default:
		err = none
	}
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Cache-Control", "private, max-age=1800")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	return c.Blob(http.StatusOK, "text/vtt; charset=utf-8", vtt)
}
