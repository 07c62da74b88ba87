package kaltura

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"isthmus/gateway"
)

const (
	playbackLife   = 10 * time.Minute // of a playback KS
	addressLife    = time.Hour        // addresses without one stay good; told so that clients ask again
	thumbnailLimit = 20 << 20
	thumbnailMax   = 4096
	blockAction    = 1 // KalturaRuleActionType BLOCK
)

// Playback implements gateway.Player. The addresses are the account's playManifest addresses. They
// carry a playback KS only when Kaltura would not play the entry without one, and then one that can
// play this entry and nothing else for ten minutes: every KS of an App Token could end all the
// token's sessions, so none is handed out without need.
func (p *Platform) Playback(ctx context.Context, a gateway.Actor, m gateway.Media) (gateway.Playback, error) {
	if !entryIDs.MatchString(m.ID) {
		return gateway.Playback{}, public(&apiError{Op: "playback", Code: codeEntryMissing})
	}
	out := gateway.Playback{Thumbnail: p.thumbnail(m, 640), ExpiresAt: p.clock().Add(addressLife)}
	if m.Status != gateway.MediaReady {
		return out, gateway.E(gateway.Precondition, "not_ready", "Kaltura is still working on this media.").
			Next("It plays as soon as it is ready.").After(10 * time.Second)
	}
	// Asked as an anonymous viewer: what Kaltura shows them needs no KS.
	widget, err := p.sessions.widgetSession(ctx)
	if err != nil {
		return out, public(err)
	}
	pc, err := p.context(ctx, m.ID, widget)
	if code(err) == codeEntryMissing { // entitlement hides it from anybody; that it exists is known
		pc, err = playbackContext{hidden: true}, nil
	}
	if renewable(err) {
		p.sessions.dropWidget(widget.ks)
		if widget, err = p.sessions.widgetSession(ctx); err == nil {
			pc, err = p.context(ctx, m.ID, widget)
		}
	}
	if err != nil {
		return out, public(err)
	}
	ks := ""
	if pc.blocked() {
		s, ok, err := p.players.playback(ctx, m.ID, a.Subject())
		if err != nil {
			return out, public(err)
		}
		if !ok {
			return out, gateway.E(gateway.Forbidden, "playback_restricted", "Kaltura restricts who may play this media.").
				Next("Ask the Kaltura administrator for an App Token whose sessions are of type USER and hold sview:*; it may be a second one, for playback only.")
		}
		pc, err = p.context(ctx, m.ID, s)
		if renewable(err) { // one that we had given out before: the App Token may have been renewed since
			p.players.dropPlay(m.ID, a.Subject())
			if s, ok, err = p.players.playback(ctx, m.ID, a.Subject()); err == nil && ok {
				pc, err = p.context(ctx, m.ID, s)
			}
		}
		if code(err) == codeEntryMissing { // this person saw it a moment ago, so it is there
			return out, gateway.E(gateway.Forbidden, "playback_entitled", "Kaltura shows this media to members only, and no App Token is there to play it to them.").
				Next("A hub admin adds a player App Token with sview:*,disableentitlementforentry:* under Advanced in the hub settings.")
		}
		if err != nil {
			return out, public(err)
		}
		if pc.blocked() {
			return out, gateway.E(gateway.Forbidden, "playback_blocked", "Kaltura does not allow this media to be played now.").
				Next("Ask the Kaltura administrator about its schedule, moderation and access control profile.")
		}
		ks, out.ExpiresAt = s.ks.Reveal(), s.ends
	}
	if m.Type == gateway.Image {
		out.Image = p.playable(p.path("raw/entry_id/"+m.ID), ks)
		return out, nil
	}
	for _, s := range pc.Sources {
		address := p.playable(string(s.URL), ks)
		switch s.Format {
		case "mpegdash":
			out.DASH = first(out.DASH, address)
		case "applehttp":
			out.HLS = first(out.HLS, address)
		case "url":
			out.Progressive = first(out.Progressive, address)
		}
	}
	if out.DASH == "" && out.HLS == "" && out.Progressive == "" {
		return out, gateway.E(gateway.Precondition, "no_rendition", "Kaltura has no rendition of this media that a browser can play.").
			Next("Ask the Kaltura administrator to convert it (flavorAsset.convert).")
	}
	out.Captions = m.Captions
	return out, nil
}

func (p *Platform) context(ctx context.Context, id string, s session) (playbackContext, error) {
	const op = "baseentry.getPlaybackContext"
	scheme, _, _ := strings.Cut(p.base, ":")
	a, err := p.again(ctx, op, params{"entryId": id, "contextDataParams": params{
		"objectType": "KalturaPlaybackContextOptions", "mediaProtocol": scheme,
	}}, s.ks)
	var pc playbackContext
	if err == nil {
		err = a.decode(op, &pc)
	}
	return pc, err
}

func (pc playbackContext) blocked() bool {
	if pc.hidden {
		return true
	}
	for _, a := range pc.Actions {
		if a.Type == blockAction {
			return true
		}
	}
	return false
}

// playable checks an address that goes to the viewer's browser and adds the playback KS.
func (p *Platform) playable(address, ks string) string {
	own, err := url.Parse(p.base)
	if err != nil || address == "" {
		return ""
	}
	u, err := own.Parse(address)
	if err != nil || u.User != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && u.Host != own.Host && (!ip.IsGlobalUnicast() || ip.IsPrivate()) {
		return "" // would make the viewer's browser knock at a machine inside the viewer's own network
	}
	if u.Scheme == "http" && own.Scheme == "https" {
		u.Scheme = "https" // a page on https plays nothing else
	}
	if u.Scheme != "https" && u.Scheme != own.Scheme {
		return ""
	}
	if ks != "" {
		q := u.Query()
		q.Set("ks", ks)
		u.RawQuery = q.Encode()
	}
	return u.String()
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// thumbnail is the address of a picture of at most the given width; the height follows the ratio.
func (p *Platform) thumbnail(m gateway.Media, width int) string {
	version := m.ThumbVersion
	if version == "" {
		version = "0"
	}
	return p.path("thumbnail/entry_id/" + m.ID + "/version/" + version + "/width/" + strconv.Itoa(width))
}

// Thumbnail implements gateway.Player. The bytes pass through us, so that viewers need not reach
// Kaltura and learn no address of it.
func (p *Platform) Thumbnail(ctx context.Context, _ gateway.Actor, m gateway.Media, width int) (io.ReadCloser, string, error) {
	none := gateway.E(gateway.NotFound, "thumbnail_not_found", "Kaltura has no picture of this media yet.").
		Next("Load the page again in a while; sound has none.")
	if !entryIDs.MatchString(m.ID) {
		return nil, "", none
	}
	if width <= 0 {
		width = 320
	}
	const op = "thumbnail"
	address := p.thumbnail(m, min(width, thumbnailMax))
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	res, err := p.get(ctx, op, address, nil)
	if err == nil && restricted(res) {
		if s, ok, serr := p.players.playback(ctx, m.ID, ourselves); serr == nil && ok {
			_ = res.Body.Close()
			res, err = p.get(ctx, op, p.playable(address, s.ks.Reveal()), nil)
		}
	}
	if err != nil {
		cancel()
		return nil, "", public(err)
	}
	body := idle(res.Body, p.silence())
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	if res.StatusCode != http.StatusOK || !pictures[kind] {
		_ = body.Close()
		cancel()
		if f := statusFault(op, res); f != nil && res.StatusCode >= 429 {
			return nil, "", public(f)
		}
		return nil, "", none
	}
	return limited{io.LimitReader(body, thumbnailLimit), closer(func() error { defer cancel(); return body.Close() })}, kind, nil
}

// ourselves stands for the viewer where the session stays with us.
const ourselves = ""

// restricted tells whether Kaltura may let a session pass that it refused to anybody: for the
// entry's schedule, its access control, its moderation, or because entitlement hides it.
func restricted(res *http.Response) bool {
	switch res.StatusCode {
	case http.StatusForbidden, http.StatusUnauthorized:
		return true
	case http.StatusNotFound:
		switch res.Header.Get("X-Kaltura") {
		case "error-1", "error-2", "error-3", "error-13", "error-30":
			return true
		}
	}
	return false
}

// pictures are the types passed on. SVG is none of them: it can hold scripts.
var pictures = map[string]bool{"image/jpeg": true, "image/png": true, "image/gif": true, "image/webp": true}

type closer func() error

// Close implements io.Closer.
func (c closer) Close() error { return c() }
