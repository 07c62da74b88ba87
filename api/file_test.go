package api_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/openapi"
)

func (r *rig) publish(key string, content []byte) {
	r.t.Helper()
	id := gateway.NewID("stg")
	if err := r.staging.Create(r.t.Context(), id, int64(len(content))); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.staging.WriteAt(r.t.Context(), id, 0, bytes.NewReader(content)); err != nil {
		r.t.Fatal(err)
	}
	if err := r.blobs.Adopt(r.t.Context(), id, key); err != nil {
		r.t.Fatal(err)
	}
}

func TestPlay(t *testing.T) {
	r := newRig(t)
	c := r.anonymous() // the ticket is the permission
	content := bytes.Repeat([]byte("0123456789"), 100)
	r.publish("assets/as1/gen1/stream.mpd", []byte("<MPD/>"))
	r.publish("assets/as1/gen1/video/seg-1.m4s", content)
	r.publish("assets/as1/gen1/secret.txt", []byte("no"))
	r.publish("assets/as1/other/stream.mpd", []byte("<other/>"))
	r.publish("assets/as1/gen10/stream.mpd", []byte("<ten/>"))
	r.signIn("pat@example.org")
	hub := r.hub["bio"]
	pats := participantOf(t, r, "pat@example.org")
	item := gateway.LibraryItem{
		Row: gateway.Row{ID: gateway.NewID("lib"), HubID: hub}, ParticipantID: pats.ID, EntryID: "0_a", Kind: gateway.ItemCopy,
		State: gateway.ItemReady, AssetID: "as1",
	}
	if err := r.db.Library().Insert(t.Context(), &item); err != nil {
		t.Fatal(err)
	}
	viewer := hub + "/participant:" + pats.ID + "/" + item.ID + "/"
	ticket, err := r.tickets.Issue(gateway.TicketPlay, viewer+"assets/as1/gen1/", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	play := "/play/" + ticket
	a := c.want(200, "GET", play+"/stream.mpd", nil)
	if a.Header.Get("Content-Type") != "application/dash+xml" || string(a.body) != "<MPD/>" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("manifest: %v %s", a.Header, a.body)
	}
	a = c.want(206, "GET", play+"/video/seg-1.m4s", nil, "Range", "bytes=995-")
	if string(a.body) != "56789" || a.Header.Get("Content-Range") != "bytes 995-999/1000" {
		t.Errorf("range: %v %s", a.Header, a.body)
	}
	a = c.want(206, "GET", play+"/video/seg-1.m4s", nil, "Range", "bytes=10-19")
	if string(a.body) != "0123456789" {
		t.Errorf("range: %s", a.body)
	}
	if a = c.want(200, "GET", play+"/video/seg-1.m4s", nil); !bytes.Equal(a.body, content) {
		t.Error("the whole differs")
	}
	c.want(304, "GET", play+"/video/seg-1.m4s", nil, "If-None-Match", a.Header.Get("ETag"))
	c.want(416, "GET", play+"/video/seg-1.m4s", nil, "Range", "bytes=5000-")
	if a = c.want(200, "HEAD", play+"/video/seg-1.m4s", nil); a.ContentLength != 1000 {
		t.Errorf("HEAD: %d", a.ContentLength)
	}
	for _, path := range []string{
		"/secret.txt", "/none.mpd", "/", "/../other/stream.mpd", "/%2e%2e/other/stream.mpd", "/..%2fother/stream.mpd", "/../gen10/stream.mpd", "//stream.mpd", "/video//seg-1.m4s", "0/stream.mpd",
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", r.base+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = play + path // as it is, not cleaned by the client
		resp, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 404 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	thumb, err := r.tickets.Issue(gateway.TicketThumbnail, "assets/as1/gen1/", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c.want(404, "GET", "/play/"+thumb+"/stream.mpd", nil) // a ticket of another purpose
	if strings.Contains(r.log.String(), ticket) {
		t.Error("a ticket is in the log")
	}

	// A ticket that is still young opens nothing to whom the item is not shown (any more).
	r.publish("assets/as2/gen1/stream.mpd", []byte("<two/>"))
	r.signIn("ada@example.org")
	ada := participantOf(t, r, "ada@example.org")
	for name, subject := range map[string]string{
		"somebody else":       hub + "/participant:" + ada.ID + "/" + item.ID + "/assets/as1/gen1/",
		"another asset":       viewer + "assets/as2/gen1/",
		"a client":            hub + "/client:cli_1/" + item.ID + "/assets/as1/gen1/",
		"an item that is not": hub + "/participant:" + pats.ID + "/lib_none/assets/as1/gen1/",
		"of old":              "assets/as1/gen1/",
	} {
		bad, err := r.tickets.Issue(gateway.TicketPlay, subject, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if a := c.want(404, "GET", "/play/"+bad+"/stream.mpd", nil); a.problem(t).Code != "no_such_file" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	fresh, err := r.tickets.Issue(gateway.TicketPlay, viewer+"assets/as1/gen1/", 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.db.Library().Delete(t.Context(), gateway.Scope(hub), item.ID); err != nil {
		t.Fatal(err)
	}
	r.api.ForgetPermits() // a minute later
	c.want(404, "GET", "/play/"+fresh+"/stream.mpd", nil)
}

// TestThumbnails looks at an entry's picture as long as the viewer may see the entry, not longer.
func TestThumbnails(t *testing.T) {
	r := newRig(t)
	_, hub := connected(t, r, "shared")
	var ks string
	r.kalturaCall("session", "start", map[string]any{"secret": "admin-secret-of-the-account-01", "userId": "kadmin@example.org", "type": 2, "partnerId": partner, "expiry": 3600}, &ks)
	var entry struct{ ID string }
	r.kalturaCall("media", "add", map[string]any{"ks": ks, "entry": map[string]any{"objectType": "KalturaMediaEntry", "name": "one", "mediaType": 1}}, &entry)
	pat := r.signIn("pat@example.org")
	var m openapi.Media
	pat.want(200, "GET", hub+"/media/"+entry.ID, nil).into(t, &m)
	var again openapi.Media
	pat.want(200, "GET", hub+"/media/"+entry.ID, nil).into(t, &again)
	if m.ThumbnailURL != again.ThumbnailURL {
		t.Error("the address changes with every look, so that no browser can keep the picture")
	}
	var other openapi.Media
	r.signIn("ada@example.org").want(200, "GET", hub+"/media/"+entry.ID, nil).into(t, &other)
	if m.ThumbnailURL == other.ThumbnailURL {
		t.Error("two people share an address")
	}
	anybody := r.anonymous()
	anybody.want(400, "GET", m.ThumbnailURL+"?w=wide", nil)
	before := anybody.do("GET", m.ThumbnailURL+"?w=320", nil)
	if before.StatusCode == 200 && !strings.HasPrefix(before.Header.Get("Content-Type"), "image/") {
		t.Errorf("picture: %v", before.Header)
	}
	if before.StatusCode != 200 && before.StatusCode != 404 { // an entry without content may have no picture
		t.Errorf("picture: %d %s", before.StatusCode, before.body)
	}
	// Pat leaves the hub: the address, still young, opens nothing any more.
	id := gateway.Identity{Issuer: r.base + "/demo-idp", Subject: subjectOf(t, r, "pat@example.org"), Email: "pat@example.org", EmailVerified: true, Name: "Pat"}
	if _, err := r.hubs.SignIn(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if a := anybody.want(404, "GET", m.ThumbnailURL+"?w=320", nil); a.problem(t).Code != "hub_not_found" {
		t.Errorf("after leaving: %s", a.body)
	}
}

func subjectOf(t *testing.T, r *rig, email string) string { return participantOf(t, r, email).Subject }

func participantOf(t *testing.T, r *rig, email string) gateway.Participant {
	t.Helper()
	all, err := r.db.Participants().List(t.Context(), gateway.Scope(r.hub["bio"]), gateway.Slice{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Email == email {
			return p
		}
	}
	t.Fatal("nobody has that e-mail")
	return gateway.Participant{}
}
