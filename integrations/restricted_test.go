package integrations_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/store/storetest"
)

// guarded asks for a session at thumbnails too, as installations with a restricting profile do, and
// counts the sessions that are started.
type guarded struct {
	http.Handler
	started atomic.Int64
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/startSession"):
		g.started.Add(1)
	case strings.Contains(r.URL.Path, "/thumbnail/") && r.URL.Query().Get("ks") == "":
		w.Header().Set("X-Kaltura", "error-3")
		w.Header().Set("X-Kaltura-App", "exiting on error 3 - access control")
		http.NotFound(w, r)
		return
	}
	g.Handler.ServeHTTP(w, r)
}

// restrict lets only sessions with sview play an entry.
func (e *embedded) restrict(entry string) {
	e.t.Helper()
	ks := e.adminKS()
	profile := e.api(ks, "accessControl.add", map[string]any{"accessControl": map[string]any{
		"objectType": "KalturaAccessControl", "name": "KS required", "restrictions": []any{map[string]any{"objectType": "KalturaSessionRestriction"}},
	}})
	e.api(ks, "media.update", map[string]any{"entryId": entry, "mediaEntry": map[string]any{"objectType": "KalturaMediaEntry", "accessControlId": profile["id"]}})
}

// fetch follows an address as a browser does and gives the last status.
func (e *embedded) fetch(address string) int {
	e.t.Helper()
	c := &http.Client{Transport: integrations.NewLocal(http.StripPrefix("/kaltura", e.handler))}
	res, err := c.Get(address)
	must(e.t, err)
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, res.Body)
	must(e.t, err)
	return res.StatusCode
}

func TestRestrictedMediaPlays(t *testing.T) {
	e := newEmbedded(t, storetest.SQLite(t))
	video, _ := clips(t)
	data, err := os.ReadFile(video)
	must(t, err)
	main := e.token(map[string]any{"sessionPrivileges": "list:*,sview:*,edit:*"})
	plain := e.open(main)
	open := uploadFile(t, plain, "open", gateway.Video, data)
	closed := uploadFile(t, plain, "closed", gateway.Video, data)
	picture := upload(t, plain, "closed-picture")
	for _, id := range []string{open, closed, picture.ID} {
		wait(t, plain, id)
	}
	e.restrict(closed)
	e.restrict(picture.ID)

	noView := e.token(map[string]any{"sessionPrivileges": "list:*"})
	player := e.token(map[string]any{"sessionPrivileges": "sview:*,disableentitlementforentry:*"})
	two := noView
	two.PlayerTokenID, two.PlayerToken, two.PlayerHashType = player.AppTokenID, player.AppToken, "SHA256"
	for name, c := range map[string]struct {
		account gateway.Account
		plays   bool
	}{
		"one token with sview": {main, true}, "without sview": {noView, false}, "a second token plays": {two, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := &guarded{Handler: e.handler}
			reg := integrations.New(integrations.Options{Local: map[string]http.Handler{serviceURL: g}})
			opened, err := reg.Open(c.account)
			must(t, err)
			p := opened.(gateway.Player)
			get := func(id string) gateway.Media {
				m, err := opened.Get(t.Context(), alice, id)
				must(t, err)
				return m
			}
			// What anybody may play carries no session.
			pb, err := p.Playback(t.Context(), alice, get(open))
			must(t, err)
			if strings.Contains(pb.DASH+pb.HLS+pb.Progressive, "ks") || pb.DASH == "" {
				t.Errorf("%+v", pb)
			}
			pb, err = p.Playback(t.Context(), alice, get(closed))
			if !c.plays {
				if !gateway.IsReason(err, "playback_restricted") {
					t.Errorf("%v", err)
				}
				return
			}
			must(t, err)
			if left := time.Until(pb.ExpiresAt); left > 10*time.Minute || left < 5*time.Minute {
				t.Errorf("expires in %s", left)
			}
			u, err := url.Parse(pb.DASH)
			must(t, err)
			ks := u.Query().Get("ks")
			if ks == "" || e.fetch(pb.DASH) != http.StatusOK || e.fetch(strings.Split(pb.DASH, "?")[0]) != http.StatusNotFound {
				t.Errorf("played with the address: %d, without its session: %d", e.fetch(pb.DASH), e.fetch(strings.Split(pb.DASH, "?")[0]))
			}
			// It plays this entry, not that one, and does nothing else: no listing of others, no change.
			other := strings.Replace(p2(t, p, get(picture.ID)).Image, "ks=", "x=", 1) + "&ks=" + url.QueryEscape(ks)
			if got := e.fetch(other); got != http.StatusNotFound {
				t.Errorf("the session of one entry opens another: %d", got)
			}
			if got := e.try(ks, "media.list", map[string]any{}); got["totalCount"] != float64(0) {
				t.Errorf("the session lists %v", got)
			}
			for op, params := range map[string]map[string]any{
				"media.update": {"entryId": closed, "mediaEntry": map[string]any{"objectType": "KalturaMediaEntry", "name": "mine"}},
				"media.delete": {"entryId": closed}, "user.list": {}, "appToken.list": {},
			} {
				if got := e.try(ks, op, params); got["code"] == nil {
					t.Errorf("%s with the session of a viewer: %v", op, got)
				}
			}
			// The same viewer asks again at no cost; another one gets their own.
			n := g.started.Load()
			if again, err := p.Playback(t.Context(), alice, get(closed)); err != nil || again.DASH != pb.DASH || g.started.Load() != n {
				t.Errorf("%d sessions for a second look, %v", g.started.Load()-n, err)
			}
			if theirs, err := p.Playback(t.Context(), bob, get(closed)); err != nil || theirs.DASH == pb.DASH {
				t.Errorf("two viewers share a session (%v)", err)
			}
			// Pictures and files pass through us.
			n = g.started.Load()
			for range 5 {
				body, kind, err := p.Thumbnail(t.Context(), alice, get(closed), 100)
				must(t, err)
				_ = body.Close()
				if kind != "image/jpeg" {
					t.Error(kind)
				}
			}
			if got := g.started.Load() - n; got > 1 {
				t.Errorf("%d sessions for five pictures", got)
			}
			body, err := opened.Open(t.Context(), alice, picture.ID, gateway.RenditionOriginal, gateway.Range{End: -1})
			must(t, err)
			b, err := io.ReadAll(body)
			_ = body.Close()
			if err != nil || len(b) == 0 {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		})
	}
}

func p2(t *testing.T, p gateway.Player, m gateway.Media) gateway.Playback {
	t.Helper()
	pb, err := p.Playback(t.Context(), alice, m)
	must(t, err)
	return pb
}
