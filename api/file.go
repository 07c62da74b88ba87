package api

import (
	"context"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"isthmus/gateway"
)

// thumbLife is how long a thumbnail's address works. Addresses are handed out again for half of
// that, so that a browser finds a picture in its cache when the same list is shown again.
const thumbLife = time.Hour

const defaultThumbWidth, maxThumbWidth = 480, 1920

// routeFiles mounts what is opened by address alone: pictures and playback of our own assets.
func (s *Server) routeFiles() {
	for _, add := range []func(string, echo.HandlerFunc, ...echo.MiddlewareFunc) *echo.Route{s.echo.GET, s.echo.HEAD} {
		add("/thumbs/:ticket", s.thumbnail, shareable)
		add("/captions/:ticket", s.caption, shareable)
		add("/play/:ticket/*", s.play, shareable)
		add("/download/:ticket", s.download, shareable)
	}
}

// shareable lets pages of other origins show what they were given the address of: the ticket in it is
// the permission, no cookie is looked at, and players fetch with scripts.
func shareable(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "Content-Length, Content-Range")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		return next(c)
	}
}

// thumbURL is the address of a picture for one viewer. what is "media:ID" or "item:ID". The ticket
// names the viewer, so that visibility is asked again when the picture is fetched.
func (s *Server) thumbURL(a gateway.Actor, what string) (string, error) {
	subject := a.HubID + "/" + a.Subject() + "/" + what
	t, err := s.thumbTickets.get(subject, func() (string, error) {
		return s.tickets.Issue(gateway.TicketThumbnail, subject, thumbLife)
	})
	return "/thumbs/" + t, err
}

// ticketCache hands the same ticket out for half of its life. The zero value is ready.
type ticketCache struct {
	mu    sync.Mutex
	since time.Time
	young map[string]string
}

const maxCachedTickets = 20_000

func (c *ticketCache) get(subject string, issue func() (string, error)) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || time.Since(c.since) > thumbLife/2 || len(c.young) >= maxCachedTickets {
		c.young, c.since = map[string]string{}, time.Now()
	}
	if t, ok := c.young[subject]; ok {
		return t, nil
	}
	t, err := issue()
	if err == nil {
		c.young[subject] = t
	}
	return t, err
}

func errNoPicture() *gateway.Error {
	return gateway.E(gateway.NotFound, "no_thumbnail", "There is no picture, or the address has expired.").
		Next("Load the list again for a fresh address.")
}

func (s *Server) thumbnail(c echo.Context) error {
	subject, err := s.tickets.Check(gateway.TicketThumbnail, c.Param("ticket"))
	if err != nil {
		return errNoPicture().Because(err)
	}
	width := defaultThumbWidth
	if w := c.QueryParam("w"); w != "" {
		n, err := strconv.Atoi(w)
		if err != nil || n < 1 {
			return gateway.E(gateway.Invalid, reasonParameter, "The width is no number.").At("w").Next("Give the width in pixels.")
		}
		width = min(n, maxThumbWidth)
	}
	ctx := c.Request().Context()
	parts := strings.SplitN(subject, "/", 3)
	if len(parts) != 3 {
		return errNoPicture()
	}
	a, err := s.viewer(ctx, parts[0], parts[1])
	if err != nil {
		return err
	}
	kind, id, _ := strings.Cut(parts[2], ":")
	var body io.ReadCloser
	var mime string
	switch kind {
	case "media":
		body, mime, err = s.catalog.Thumbnail(ctx, a, id, width)
	case "item":
		body, mime, err = s.library.Thumbnail(ctx, a, id, width)
	default:
		err = errNoPicture()
	}
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	h := c.Response().Header()
	h.Set("Content-Type", pictureType(mime))
	h.Set("Cache-Control", "private, max-age=1800")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if c.Request().Method == http.MethodHead {
		return c.NoContent(http.StatusOK)
	}
	c.Response().WriteHeader(http.StatusOK)
	_, err = io.Copy(c.Response(), body)
	return err
}

// pictureType lets only pictures through that a browser shows as such; anything else, whatever the
// platform says it is, is sent as bytes.
func pictureType(mime string) string {
	switch base, _, _ := strings.Cut(mime, ";"); strings.TrimSpace(strings.ToLower(base)) {
	case "image/jpeg", "image/jpg":
		return "image/jpeg"
	case "image/png":
		return "image/png"
	case "image/webp":
		return "image/webp"
	case "image/gif":
		return "image/gif"
	}
	return "application/octet-stream"
}

// viewer makes the actor that a ticket was given to, as they are now.
func (s *Server) viewer(ctx context.Context, hub, subject string) (gateway.Actor, error) {
	kind, id, _ := strings.Cut(subject, ":")
	switch kind {
	case "participant":
		return s.hubs.ActorFor(ctx, hub, id)
	case "client":
		scopes, err := s.access.Stands(ctx, gateway.Bearer{ClientID: id, HubID: hub}, []string{gateway.ScopeMediaRead, gateway.ScopeLibraryRead})
		if gateway.CodeOf(err) == gateway.Unauthenticated {
			return gateway.Actor{}, errNoPicture()
		} else if err != nil {
			return gateway.Actor{}, err
		}
		return gateway.Actor{HubID: hub, ClientID: id, Role: gateway.RoleParticipant, Scopes: scopes}, nil
	}
	return gateway.Actor{}, errNoPicture()
}

// playTypes are the files that a package consists of; nothing else is served.
var playTypes = map[string]string{
	".mpd": "application/dash+xml", ".m3u8": "application/vnd.apple.mpegurl", ".m4s": "video/iso.segment", ".mp4": "video/mp4",
	".m4a": "audio/mp4", ".m4v": "video/mp4", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp",
	".json": "application/json", ".vtt": "text/vtt", ".mp3": "audio/mpeg",
}

func errNoFile() *gateway.Error {
	return gateway.E(gateway.NotFound, "no_such_file", "There is nothing to play here, or the address has expired.").
		Next("Ask for playback again for a fresh address.")
}

// playable gives the prefix that a ticket opens. The ticket names the viewer, too, whose rights are
// looked at again every minute: it must not outlive them by the hours that a long film takes.
func (s *Server) playable(ctx context.Context, ticket string) (prefix string, _ error) {
	subject, err := s.tickets.Check(gateway.TicketPlay, ticket)
	if err != nil {
		return "", errNoFile().Because(err)
	}
	parts := strings.SplitN(subject, "/", 4)
	if len(parts) != 4 {
		return "", errNoFile()
	}
	if s.playing.young(subject) {
		return parts[3], nil
	}
	a, err := s.viewer(ctx, parts[0], parts[1])
	if err == nil {
		err = s.library.Plays(ctx, a, parts[2], parts[3])
	}
	if gateway.CodeOf(err) == gateway.NotFound {
		return "", errNoFile().Because(err)
	}
	if err == nil {
		s.playing.grant(subject)
	}
	return parts[3], err
}

// permits remembers for a minute what was allowed, so that the segments of a film do not ask the
// database each. The zero value is ready; safe for concurrent use.
type permits struct {
	mu    sync.Mutex
	since map[string]time.Time
}

const (
	permitLife = time.Minute
	maxPermits = 20_000
)

func (p *permits) young(what string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.since[what]
	return ok && time.Since(at) < permitLife
}

func (p *permits) grant(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since == nil || len(p.since) >= maxPermits {
		p.since = map[string]time.Time{}
	}
	p.since[what] = time.Now()
}

// play serves the files of one package. The ticket is the permission for everything below its
// prefix, so that a player can follow relative addresses.
func (s *Server) play(c echo.Context) error {
	ctx := c.Request().Context()
	prefix, err := s.playable(ctx, c.Param("ticket"))
	if err != nil {
		return err
	}
	rest := c.Param("*")
	mime, known := playTypes[path.Ext(rest)]
	if !known || prefix == "" || path.Clean("/"+rest) != "/"+rest || strings.ContainsAny(rest, "\\\x00") {
		return errNoFile()
	}
	key := strings.TrimSuffix(prefix, "/") + "/" + rest
	info, err := s.blobs.Stat(ctx, key)
	if err != nil {
		if gateway.CodeOf(err) == gateway.NotFound {
			return errNoFile()
		}
		return err
	}
	body := gateway.SeekBlob(ctx, s.blobs, key, info.Size)
	defer func() { _ = body.Close() }() // only read
	h := c.Response().Header()
	h.Set("Content-Type", mime)
	h.Set("Cache-Control", "private, max-age=3600, immutable")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("ETag", `"`+strconv.FormatInt(info.Size, 36)+"-"+strconv.FormatInt(info.ModTime.UnixMilli(), 36)+`"`)
	http.ServeContent(c.Response(), c.Request(), "", info.ModTime, body)
	return nil
}
