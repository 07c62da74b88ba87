package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/outbound"
	"isthmus/store"
	"isthmus/store/storetest"
)

// spacesClient is the spaces platform as a client of the hub.
func (s *site) spacesClient(id string) gateway.Actor {
	return gateway.Actor{HubID: s.house.Hub.ID, ClientID: id, Role: gateway.RoleParticipant, Scopes: []string{
		gateway.ScopeLibraryRead, gateway.ScopeLibraryWrite, gateway.ScopeUploadsWrite, gateway.ScopeMediaImport, gateway.ScopeMediaRead,
	}}
}

// origin serves one file as a media server does; it may break off, and counts what it sent.
type origin struct {
	*httptest.Server
	mu     sync.Mutex
	body   []byte
	tag    string
	tear   int // bytes after which each answer breaks off; 0 = never
	ranges []string
	sent   int
}

func newOrigin(t testing.TB, body []byte) *origin {
	o := &origin{body: body, tag: `"one"`}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	body, tag, tear := o.body, o.tag, o.tear
	o.ranges = append(o.ranges, r.Header.Get("Range"))
	o.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/moved") {
		http.Redirect(w, r, "/film.mp4?"+r.URL.RawQuery, http.StatusFound)
		return
	}
	w.Header().Set("Content-Type", "video/mp4")
	if tag != "" {
		w.Header().Set("ETag", tag)
	}
	out := io.Writer(&counted{w, o})
	if tear > 0 {
		out = &tornAfter{out, tear}
	}
	http.ServeContent(&split{w, out}, r, "", time.Time{}, bytes.NewReader(body))
}

type counted struct {
	w io.Writer
	o *origin
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.o.mu.Lock()
	c.o.sent += n
	c.o.mu.Unlock()
	return n, err
}

type tornAfter struct {
	w    io.Writer
	left int
}

func (t *tornAfter) Write(p []byte) (int, error) {
	if t.left <= 0 {
		panic(http.ErrAbortHandler)
	}
	n, err := t.w.Write(p[:min(len(p), t.left)])
	t.left -= n
	return n, err
}

type split struct {
	http.ResponseWriter
	body io.Writer
}

func (s *split) Write(p []byte) (int, error) { return s.body.Write(p) }

func (o *origin) set(f func(*origin)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o)
}

func (s *site) register(a gateway.Actor, r gateway.Registration) gateway.LibraryItem {
	s.t.Helper()
	it, _, _, err := s.library.Register(s.t.Context(), a, r)
	if err != nil {
		s.t.Fatal(err)
	}
	return it
}

func (l *live) itemReady(id string) gateway.LibraryItem {
	l.t.Helper()
	eventually(l.t, "item ready", func() bool {
		it := l.item(id)
		if it.State == gateway.ItemFailed {
			l.t.Fatalf("%s: %s", it.ErrorCode, it.ErrorText)
		}
		return it.State == gateway.ItemReady
	})
	return l.item(id)
}

// A platform registers a film by its address; the same again is the same item, the film is here, 360°
// is seen, and the address is forgotten.
func TestRegisterByAddress(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		l := newLive(t, db)
		l.work()
		ctx := t.Context()
		o := newOrigin(t, sphereClip(t))
		spaces := l.spacesClient("cli_spaces")
		in := gateway.Registration{ExternalID: "scene-1", Name: "Harbour", Tags: []string{"sea"}, URL: o.URL + "/moved?signature=very-secret", SHA256: digest(sphereClip(t))}

		ids := make([]string, 6)
		outcomes := make([]string, 6)
		together(6, func(i int) {
			it, _, outcome, err := l.library.Register(ctx, spaces, in)
			if err != nil {
				t.Error(err)
			}
			ids[i], outcomes[i] = it.ID, outcome
		})
		if slices.Sort(ids); ids[0] != ids[5] || count(outcomes, gateway.PushCreated) != 1 || count(outcomes, gateway.PushUnchanged) != 5 {
			t.Fatal(ids, outcomes)
		}
		it := l.itemReady(ids[0])
		as, err := l.assets.Get(ctx, it.AssetID)
		if err != nil || !bytes.Equal(l.original(as), sphereClip(t)) {
			t.Fatal("another film", err)
		}
		if !it.Is360 || !it.Shared || it.Source != gateway.SourceSpaces || it.Type != gateway.Video || len(it.SourceURL) != 0 {
			t.Errorf("%+v", it)
		}
		for _, e := range l.allEvents() {
			if strings.Contains(string(e.Data), "very-secret") {
				t.Error("the address is in an event")
			}
		}
		if _, p, err := l.library.Playback(ctx, l.house.Bob, it.ID); err != nil || p.DASH == "" {
			t.Error(p, err)
		}

		// Another client's and another hub's view: nothing there, in the same words.
		stranger := l.spacesClient("cli_stranger")
		_, err = l.library.External(ctx, stranger, "scene-1")
		_, none := l.library.External(ctx, stranger, "scene-never")
		if gateway.CodeOf(err) != gateway.NotFound || err.Error() != none.Error() {
			t.Error(err, none)
		}
		other, _, outcome, err := l.library.Register(ctx, stranger, gateway.Registration{ExternalID: "scene-1", Name: "Mine", URL: o.URL + "/b.mp4"})
		if err != nil || outcome != gateway.PushCreated || other.ID == it.ID {
			t.Error(other.ID, outcome, err)
		}

		// What is said about it follows; what it shows does not.
		in.Name, in.Tags = "Harbour at dawn", []string{"sea", "dawn"}
		again, _, outcome, err := l.library.Register(ctx, spaces, in)
		if err != nil || outcome != gateway.PushUpdated || again.ID != it.ID || again.Name != in.Name || !again.Is360 {
			t.Errorf("%+v %s %v", again, outcome, err)
		}
		in.SHA256 = strings.Repeat("0", 64)
		_, _, _, err = l.library.Register(ctx, spaces, in)
		gatewaytest.Want(t, err, gateway.Conflict, "other_content")
		gatewaytest.Explained(t, err)

		// A person sees it, may not rename it; the client may.
		name := "Renamed"
		_, err = l.library.Change(ctx, l.house.Bob, it.ID, again.Version, gateway.ItemChange{Name: &name})
		gatewaytest.Want(t, err, gateway.Forbidden, "")
		if again, err = l.library.Change(ctx, spaces, it.ID, again.Version, gateway.ItemChange{Name: &name}); err != nil || again.Name != name {
			t.Error(again.Name, err)
		}
		if err = l.library.Remove(ctx, spaces, it.ID); err != nil {
			t.Fatal(err)
		}
		if _, err = l.blobs.Stat(ctx, as.Original); gateway.CodeOf(err) != gateway.NotFound {
			t.Error("the bytes are still here:", err)
		}
		types := l.types(it.ID)
		for _, want := range []string{"library.item_registered", "import.ready", "library.item_renamed", "library.item_removed"} {
			if !slices.Contains(types, want) {
				t.Error(want, "is missing in", types)
			}
		}
		if slices.Contains(types, "library.item_imported") {
			t.Error("the platform is told to take over what it brought itself")
		}
	})
}

func (s *site) allEvents() []gateway.Event {
	s.t.Helper()
	list, err := s.db.Events().Since(s.t.Context(), s.house.Admin, 0, 500)
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

func TestRegistrationsRefused(t *testing.T) {
	l := newLive(t, storetest.SQLite(t))
	ctx := t.Context()
	spaces := l.spacesClient("cli_spaces")
	ok := gateway.Registration{ExternalID: "x", Name: "X", URL: "https://media.example.org/a.mp4"}
	l.library.Fetcher = outbound.NewSource(outbound.Options{}) // as without allowed networks
	for name, c := range map[string]struct {
		change func(*gateway.Registration)
		code   gateway.Code
		reason string
	}{
		"private":       {func(r *gateway.Registration) { r.URL = "https://10.1.2.3/a.mp4" }, gateway.Invalid, "source_url_internal"},
		"loopback":      {func(r *gateway.Registration) { r.URL = "https://127.0.0.1/a.mp4" }, gateway.Invalid, "source_url_internal"},
		"metadata":      {func(r *gateway.Registration) { r.URL = "https://169.254.169.254/latest" }, gateway.Invalid, "source_url_internal"},
		"local name":    {func(r *gateway.Registration) { r.URL = "https://db.internal/a.mp4" }, gateway.Invalid, "source_url_internal"},
		"odd spelling":  {func(r *gateway.Registration) { r.URL = "https://0x7f.1/a.mp4" }, gateway.Invalid, "source_url_host"},
		"plain http":    {func(r *gateway.Registration) { r.URL = "http://media.example.org/a.mp4" }, gateway.Invalid, "source_url_not_https"},
		"port":          {func(r *gateway.Registration) { r.URL = "https://media.example.org:8443/a.mp4" }, gateway.Invalid, "source_url_port"},
		"password":      {func(r *gateway.Registration) { r.URL = "https://a:b@media.example.org/a.mp4" }, gateway.Invalid, "source_url_userinfo"},
		"file":          {func(r *gateway.Registration) { r.URL = "file:///etc/passwd" }, gateway.Invalid, "source_url_malformed"},
		"no id":         {func(r *gateway.Registration) { r.ExternalID = "" }, gateway.Invalid, "external_id_invalid"},
		"unseen id":     {func(r *gateway.Registration) { r.ExternalID = "a\u200bb" }, gateway.Invalid, "external_id_invalid"},
		"no name":       {func(r *gateway.Registration) { r.Name = " \t" }, gateway.Invalid, "name_invalid"},
		"no content":    {func(r *gateway.Registration) { r.URL = "" }, gateway.Invalid, "content_missing"},
		"two contents":  {func(r *gateway.Registration) { r.UploadID = "upl_x" }, gateway.Invalid, "content_twice"},
		"no digest":     {func(r *gateway.Registration) { r.SHA256 = "xyz" }, gateway.Invalid, "digest_invalid"},
		"unknown owner": {func(r *gateway.Registration) { r.Owner = &gateway.OwnerName{Issuer: "i", Subject: "s"} }, gateway.Invalid, "owner_unknown"},
		"no upload":     {func(r *gateway.Registration) { r.URL, r.UploadID = "", "upl_x" }, gateway.NotFound, "upload_not_found"},
	} {
		r := ok
		c.change(&r)
		_, _, _, err := l.library.Register(ctx, spaces, r)
		if gateway.CodeOf(err) != c.code || !gateway.IsReason(err, c.reason) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		gatewaytest.Explained(t, err)
	}
	_, _, _, err := l.library.Register(ctx, l.house.Admin, ok)
	gatewaytest.Want(t, err, gateway.Forbidden, "machine_only")
	_, _, _, err = l.library.Register(ctx, gatewaytest.Machine(l.house.Hub, gateway.ScopeLibraryRead), ok)
	gatewaytest.Want(t, err, gateway.Forbidden, "")
}

// The fetching goes on where a killed process left it, begins anew when the file changed, and ends
// with a reason when what is there is no film, too large or another one.
func TestFetchingResumes(t *testing.T) {
	t.Parallel()
	l := newLive(t, storetest.SQLite(t))
	ctx := t.Context()
	big := bigClip(t)
	o := newOrigin(t, big)
	spaces := l.spacesClient("cli_spaces")
	run := func(it gateway.LibraryItem) error {
		err := l.library.RunImport(ctx, it.ID)
		l.forgetMemory() // as after kill -9: nothing is known but what is on disk
		return err
	}
	o.set(func(o *origin) { o.tear = len(big) / 3 })
	it := l.register(spaces, gateway.Registration{ExternalID: "big", Name: "Big", URL: o.URL + "/big.mp4"})
	for range 5 {
		if l.item(it.ID).State == gateway.ItemProcessing {
			break
		}
		_ = run(it)
	}
	as, err := l.assets.Get(ctx, l.item(it.ID).AssetID)
	if err != nil || as.SHA256 != digest(big) {
		t.Fatal(err, l.item(it.ID).State, l.item(it.ID).ErrorText)
	}
	o.set(func(o *origin) {
		if o.sent > len(big)+64<<10 || len(o.ranges) < 3 || o.ranges[0] != "" || !strings.HasPrefix(o.ranges[1], "bytes=") {
			t.Errorf("%d bytes for %d, ranges %v", o.sent, len(big), o.ranges)
		}
	})

	// Changed in between: nothing of the old file is in the new one.
	it = l.register(spaces, gateway.Registration{ExternalID: "changing", Name: "Changing", URL: o.URL + "/changing.mp4"})
	l.stageSome(it, big[:len(big)/2])
	if err := l.db.Spaces().SetMark(ctx, it.ID, `"older"`); err != nil {
		t.Fatal(err)
	}
	flat := flatClip(t)
	o.set(func(o *origin) { o.body, o.tag, o.tear = flat, `"two"`, 0 })
	for range 3 {
		_ = run(it)
	}
	if as, err = l.assets.Get(ctx, l.item(it.ID).AssetID); err != nil || as.SHA256 != digest(flat) {
		t.Fatal(err, l.item(it.ID).State, l.item(it.ID).ErrorText)
	}

	for name, c := range map[string]struct {
		body   []byte
		sha    string
		reason string
	}{
		"a page":       {[]byte("<!DOCTYPE html><html><body>Sign in</body></html>"), "", "source_not_media"},
		"empty":        {nil, "", "empty_file"},
		"too large":    {append([]byte{0, 0, 0, 24, 'f', 't', 'y', 'p', 'i', 's', 'o', 'm'}, make([]byte, 3<<20)...), "", "source_too_large"},
		"another file": {flat, strings.Repeat("0", 64), "digest_mismatch"},
	} {
		o.set(func(o *origin) { o.body, o.tag = c.body, fmt.Sprintf("%q", name) })
		l.library.MaxSize = 2 << 20
		it = l.register(spaces, gateway.Registration{ExternalID: name, Name: name, URL: o.URL + "/x.mp4", SHA256: c.sha})
		_ = l.library.RunImport(ctx, it.ID)
		if got := l.item(it.ID); got.State != gateway.ItemFailed || got.ErrorCode != c.reason || got.NextStep == "" {
			t.Errorf("%s: %s %s %s", name, got.State, got.ErrorCode, got.ErrorText)
		}
	}
	// What failed is taken up again under its old name, with other content.
	o.set(func(o *origin) { o.body, o.tag = flat, `"three"` })
	again, _, outcome, err := l.library.Register(ctx, spaces, gateway.Registration{ExternalID: "a page", Name: "a page", URL: o.URL + "/y.mp4"})
	if err != nil || outcome != gateway.PushUpdated || again.State != gateway.ItemPending {
		t.Fatal(outcome, err)
	}
	if err := l.library.RunImport(ctx, again.ID); err != nil || l.item(again.ID).State != gateway.ItemProcessing {
		t.Error(err, l.item(again.ID).State)
	}

	// One that does not answer waits and says so; it can be cancelled.
	o.CloseClientConnections()
	o.Close()
	it = l.register(spaces, gateway.Registration{ExternalID: "down", Name: "Down", URL: o.URL + "/down.mp4"})
	var z *gateway.Snooze
	if err := l.library.RunImport(ctx, it.ID); !asSnooze(err, &z) {
		t.Fatal(err)
	}
	if got := l.item(it.ID); got.ErrorCode != "source_down" || got.State != gateway.ItemImporting {
		t.Error(got.State, got.ErrorCode)
	}
	if _, err := l.jobs.Cancel(ctx, spaces, it.JobID); err != nil || l.item(it.ID).State != gateway.ItemCancelled {
		t.Error(err, l.item(it.ID).State)
	}
}

// stageSome leaves bytes as an earlier run of the fetching would.
func (l *live) stageSome(it gateway.LibraryItem, b []byte) {
	l.t.Helper()
	if err := l.staging.Create(l.t.Context(), it.JobID, int64(2*len(b))); err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.staging.WriteAt(l.t.Context(), it.JobID, 0, bytes.NewReader(b)); err != nil {
		l.t.Fatal(err)
	}
}

// An upload for the library makes no entry, and becomes an item of one person.
func TestRegisterByUpload(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		l := newLive(t, db)
		l.work()
		ctx := t.Context()
		spaces := l.spacesClient("cli_spaces")
		clip := sphereClip(t)
		u, err := l.uploads.Create(ctx, spaces, gateway.NewUpload{Name: "walk.mp4", Size: int64(len(clip)), Target: gateway.TargetLibrary})
		if err != nil {
			t.Fatal(err)
		}
		ada, err := l.db.Participants().Get(ctx, gateway.AnyHub, l.house.Ada.ParticipantID)
		if err != nil {
			t.Fatal(err)
		}
		in := gateway.Registration{ExternalID: "walk", Name: "Walk", UploadID: u.ID, Owner: &gateway.OwnerName{Issuer: ada.Issuer, Subject: ada.Subject}}
		_, _, _, err = l.library.Register(ctx, spaces, in)
		gatewaytest.Want(t, err, gateway.Conflict, "upload_unfinished")
		l.send(spaces, u.ID, clip)
		if u, err = l.uploads.Finish(ctx, spaces, u.ID, u.Size, digest(clip)); err != nil || u.State != gateway.UploadReady {
			t.Fatal(u.State, err)
		}
		it := l.register(spaces, in)
		it = l.itemReady(it.ID)
		if it.ParticipantID != ada.ID || it.Shared || !it.Is360 {
			t.Errorf("%+v", it)
		}
		if n := len(l.entries(u.ID)); n != 0 {
			t.Error(n, "entries in Kaltura")
		}
		if _, _, outcome, err := l.library.Register(ctx, spaces, in); err != nil || outcome != gateway.PushUnchanged {
			t.Error(outcome, err)
		}
		in.ExternalID = "walk-2"
		_, _, _, err = l.library.Register(ctx, spaces, in)
		gatewaytest.Want(t, err, gateway.Conflict, "upload_used")
		_, err = l.uploads.Cancel(ctx, spaces, u.ID)
		gatewaytest.Want(t, err, gateway.Conflict, "upload_used")

		// It is Ada's and the client's, nobody else's.
		for name, a := range map[string]gateway.Actor{"Bob": l.house.Bob, "another client": l.spacesClient("cli_x")} {
			_, err := l.library.Get(ctx, a, it.ID)
			gatewaytest.Want(t, err, gateway.NotFound, "")
			list, err := l.library.List(ctx, a, "", nil, gateway.Slice{})
			if err != nil || len(list) != 0 {
				t.Error(name, "sees", list, err)
			}
		}
		for _, a := range []gateway.Actor{l.house.Ada, spaces} {
			if list, err := l.library.List(ctx, a, "", nil, gateway.Slice{}); err != nil || len(list) != 1 {
				t.Error(list, err)
			}
		}
		theirs := l.upload(l.house.Ada, "kaltura.mp4", flatClip(t))
		in = gateway.Registration{ExternalID: "k", Name: "K", UploadID: theirs.ID}
		_, _, _, err = l.library.Register(ctx, spaces, in)
		gatewaytest.Want(t, err, gateway.NotFound, "upload_not_found")
	})
}

// Imports are told to the platform: with an address when they are the hub's to see, which ends with that.
func TestImportsAreAnnounced(t *testing.T) {
	t.Parallel()
	l := newLive(t, storetest.SQLite(t))
	l.work()
	ctx := t.Context()
	entry := l.ready("walk.mp4", flatClip(t))
	said := func(typ, subject string) (n gateway.Announcement, times int) {
		for _, e := range l.allEvents() {
			if e.Type == typ && e.Subject == subject {
				times++
				if err := json.Unmarshal(e.Data, &n); err != nil {
					t.Error(err)
				}
			}
		}
		return n, times
	}
	read := func(n gateway.Announcement) ([]byte, error) {
		if n.Address == nil {
			t.Fatal("no address")
		}
		ticket, ok := strings.CutPrefix(n.Address.URL, "https://isthmus.example/download/")
		if !ok || strings.Contains(n.Address.URL, "ks=") {
			t.Fatal(n.Address.URL)
		}
		subject, err := l.library.Tickets.Check(gateway.TicketDownload, ticket)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(subject, "/")
		a := gateway.Everybody(parts[0])
		if id, ok := strings.CutPrefix(parts[1], "client:"); ok {
			a.ClientID = id
		}
		c, err := l.library.Content(ctx, a, parts[2])
		if err != nil {
			return nil, err
		}
		if c.Open == nil {
			as, err := l.assets.Get(ctx, l.item(parts[2]).AssetID)
			return l.original(as), err
		}
		r, err := c.Open(ctx, 0)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}

	// A person's own: told, without an address.
	link, _, _, err := l.library.Import(ctx, l.house.Bob, entry, gateway.ItemLink, "")
	if err != nil {
		t.Fatal(err)
	}
	if n, times := said("library.item_imported", link.ID); times != 1 || n.Address != nil || n.Shared || n.Source != gateway.SourceKaltura {
		t.Errorf("%d %+v", times, n)
	}
	// Shared: everybody's, through us, until it is taken back.
	if link, err = l.library.Share(ctx, l.house.Bob, link.ID, link.Version, true); err != nil {
		t.Fatal(err)
	}
	n, _ := said("library.item_shared", link.ID)
	if b, err := read(n); err != nil || !bytes.Equal(b, flatClip(t)) {
		t.Error(len(b), err)
	}
	if _, err = l.library.Share(ctx, l.house.Bob, link.ID, link.Version, false); err != nil {
		t.Fatal(err)
	}
	_, err = read(n)
	gatewaytest.Want(t, err, gateway.NotFound, "")

	// A client's own copy: for the client.
	copied, _, _, err := l.library.Import(ctx, l.spacesClient("cli_spaces"), entry, gateway.ItemCopy, "")
	if err != nil {
		t.Fatal(err)
	}
	l.itemReady(copied.ID)
	n, times := said("library.item_imported", copied.ID)
	if b, err := read(n); times != 1 || err != nil || !bytes.Equal(b, flatClip(t)) {
		t.Error(times, len(b), err)
	}
}
