package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"isthmus/gateway"
	"isthmus/media/mediatest"
	"isthmus/store"
)

// tus sends one tus request.
func (b *badInput) tus(t *testing.T, c *caller, method, tusURL string, offset int64, body []byte, header ...string) answer {
	t.Helper()
	header = append([]string{
		"Tus-Resumable", "1.0.0", "Upload-Offset", strconv.FormatInt(offset, 10), "Content-Type", "application/offset+octet-stream",
	}, header...)
	return b.ask(t, c, method, tusURL, bytes.NewReader(body), header...)
}

func (b *badInput) create(t *testing.T, c *caller, name string, size int) upload {
	t.Helper()
	var up upload
	if status, body := c.call(http.MethodPost, b.hub+"/uploads", map[string]any{"name": name, "size": size}, &up); status != http.StatusCreated {
		t.Fatalf("creating %q answered %d %s", name, status, body)
	}
	return up
}

func (b *badInput) cancel(t *testing.T, hub, id string) {
	t.Helper()
	if status, body := b.pia.call(http.MethodDelete, hub+"/uploads/"+id, nil, nil); status >= 300 {
		t.Errorf("cancelling answered %d %s", status, body)
	}
}

// names: any name is kept as it is and touches nothing on disk.
func (b *badInput) names(t *testing.T) {
	keep := []string{
		`a/b\c"d:e'f?g>h<i&j*k|l.mp4`, "../../../../etc/passwd.mp4", "..", "/etc/passwd.mp4", `C:\Windows\system32\x.mp4`, "CON.mp4", "NUL", "aux.mp4", "LPT1.mp4 ",
		"\u202egpj.exe\u202c.mp4", "\u200f\u0634\u0631\u062d\u200e.mp4", strings.Repeat("x", 300) + ".mp4", strings.Repeat("ж", 400) + ".mp4",
		"🎬👩\u200d🏫🏳️\u200d🌈.mp4", "caf\u00e9.mp4", "cafe\u0301.mp4", "-rf.mp4", ".hidden.mp4", "a%2e%2e%2fb.mp4", "tab\tand\nline.mp4",
		"'; DROP TABLE uploads; --.mp4", "$(touch x)`id`.mp4", "{{7*7}}.mp4", "<script>alert(1)</script>.mp4", " leading and trailing .mp4 ",
	}
	for _, name := range keep {
		var up upload
		in := map[string]any{"name": name, "size": 3, "content_type": "video/mp4"}
		if status, body := b.pia.call(http.MethodPost, b.hub+"/uploads", in, &up); status != http.StatusCreated {
			t.Errorf("%q was refused: %d %s", name, status, body)
			continue
		}
		if got := patch(t, b.pia, up.TusURL, 0, []byte("abc")); got != 3 {
			t.Errorf("%q: offset %d", name, got)
		}
		var kept struct{ Name, Title string }
		b.pia.get(b.hub+"/uploads/"+up.ID, &kept)
		if kept.Name != name {
			t.Errorf("%q became %q", name, kept.Name)
		}
		if kept.Title == "" || strings.ContainsAny(kept.Title, "\u202e\u200f\n") {
			t.Errorf("%q has the title %q", name, kept.Title)
		}
		b.onlyPlainPaths(t)
		b.cancel(t, b.hub, up.ID)
	}
	post := func(in any, status int, code string, header ...string) {
		t.Helper()
		b.refused(t, b.pia, http.MethodPost, b.hub+"/uploads", in, status, code, header...)
	}
	post(map[string]any{"name": "a\x00b.mp4", "size": 3}, http.StatusBadRequest, "name_invalid")
	post([]byte("{\"name\":\"\xff\xfe.mp4\",\"size\":3}"), http.StatusBadRequest, "bad_body", "Content-Type", "application/json")
	post(map[string]any{"name": strings.Repeat("x", 1025), "size": 3}, http.StatusBadRequest, "name_too_long")
	post(map[string]any{"name": "", "size": 3}, http.StatusBadRequest, "bad_body")
	for _, field := range []string{"title", "description", "fingerprint"} {
		a := b.ask(t, b.pia, http.MethodPost, b.hub+"/uploads", jsonBody(t, map[string]any{"name": "a.mp4", "size": 3, field: "a\x00\u202eb"}), "Content-Type", "application/json")
		if a.status == http.StatusCreated { // tidied
			var up upload
			decode(t, a.body, &up)
			b.cancel(t, b.hub, up.ID)
		} else {
			b.explained(t, "NUL in "+field, a, http.StatusBadRequest, "bad_text")
		}
	}
}

var plainPath = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// onlyPlainPaths checks that no part of any file's path came from outside.
func (b *badInput) onlyPlainPaths(t *testing.T) {
	t.Helper()
	must(t, filepath.WalkDir(filepath.Join(b.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil { // removed meanwhile
			return nil
		}
		if !plainPath.MatchString(d.Name()) || strings.Contains(d.Name(), "passwd") {
			t.Errorf("a name from outside is on disk: %q", path)
		}
		return nil
	}))
	outside, err := os.ReadDir(b.dir)
	must(t, err)
	for _, e := range outside {
		if e.Name() != "data" && e.Name() != "server.log" {
			t.Errorf("something was written beside the data folder: %q", e.Name())
		}
	}
}

func noise(n int) []byte {
	out := make([]byte, n)
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(out)
	return out
}

// tusErrors: what goes wrong on the way in costs nothing that had arrived.
func (b *badInput) tusErrors(t *testing.T) {
	clip := filepath.Join(t.TempDir(), "clip.mp4")
	must(t, mediatest.Clip{Seconds: 2, Width: 320, Height: 180}.Make(t.Context(), clip))
	body, err := os.ReadFile(clip)
	must(t, err)
	up := b.create(t, b.pia, "clip.mp4", len(body))
	expect := func(a answer, status int, code string) {
		t.Helper()
		b.explained(t, "tus", a, status, code)
	}
	half := len(body) / 2
	patch(t, b.pia, up.TusURL, 0, body[:half])
	expect(b.tus(t, b.pia, http.MethodPatch, up.TusURL, 0, body[:5]), http.StatusConflict, "offset_mismatch")
	expect(b.tus(t, b.pia, http.MethodPatch, up.TusURL, int64(half+1), body[half:]), http.StatusConflict, "offset_mismatch")
	expect(b.tus(t, b.pia, http.MethodPatch, up.TusURL, int64(half), body, "Upload-Offset", "-1"), http.StatusBadRequest, "bad_offset")
	expect(b.tus(t, b.pia, http.MethodPatch, up.TusURL, int64(half), body, "Upload-Offset", "1e3"), http.StatusBadRequest, "bad_offset")
	expect(b.tus(t, b.pia, http.MethodPatch, up.TusURL, int64(half), body, "Tus-Resumable", "0.2.2"), http.StatusPreconditionFailed, "tus_version")
	expect(b.tus(t, b.pia, http.MethodPatch, up.TusURL, int64(half), body, "Content-Type", "video/mp4"), http.StatusUnsupportedMediaType, "unsupported_media_type")
	expect(b.tus(t, b.pia, http.MethodPatch, up.TusURL, int64(half), append(slices.Clone(body), "too much"...)), http.StatusRequestEntityTooLarge, "beyond_size")
	expect(b.tus(t, b.pia, http.MethodPatch, up.TusURL, int64(half), body[half:], "Origin", "https://evil.example"), http.StatusForbidden, "cross_origin")
	finish := b.hub + "/uploads/" + up.ID + "/finish"
	b.refused(t, b.pia, http.MethodPost, finish, map[string]any{"size": len(body)}, http.StatusConflict, "incomplete")
	b.refused(t, b.pia, http.MethodPost, finish, map[string]any{"size": len(body) + 1}, http.StatusConflict, "size_mismatch")
	b.refused(t, b.pia, http.MethodPost, finish, map[string]any{"size": len(body), "sha256": "abc"}, http.StatusBadRequest, "bad_body")

	b.twoClients(t, up, body, half)

	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:])
	b.refused(t, b.pia, http.MethodPost, finish, map[string]any{"size": len(body), "sha256": strings.Repeat("0", 64)}, http.StatusBadRequest, "digest_mismatch")
	right := map[string]any{"size": len(body), "sha256": digest}
	statuses := make(chan int, 6)
	for range cap(statuses) { // at once, and again
		go func() {
			status, _, err := b.pia.try(http.MethodPost, finish, right, nil)
			if err != nil {
				status = 0
			}
			statuses <- status
		}()
	}
	for range cap(statuses) {
		if status := <-statuses; status != http.StatusAccepted {
			t.Errorf("finishing twice answered %d", status)
		}
	}
	b.refused(t, b.pia, http.MethodPost, finish, map[string]any{"size": len(body), "sha256": strings.Repeat("0", 64)}, http.StatusConflict, "already_finished")
	entry := awaitReady(t, b.pia, b.hub, up.ID)
	if n := b.entriesByReference(up.ID); n != 1 {
		t.Errorf("%d entries of one upload", n)
	}
	if got := b.originalDigest(entry); got != digest {
		t.Errorf("the entry holds other bytes: %s", got)
	}
	b.refused(t, b.pia, http.MethodDelete, b.hub+"/uploads/"+up.ID, nil, http.StatusConflict, "already_sent")
	b.refused(t, b.pia, http.MethodPost, b.hub+"/uploads/"+up.ID+"/extend", nil, http.StatusConflict, "upload_ready")
	gone := b.create(t, b.pia, "gone.mp4", 10)
	b.cancel(t, b.hub, gone.ID)
	expect(b.tus(t, b.pia, http.MethodPatch, gone.TusURL, 0, []byte("0123456789")), http.StatusNotFound, "upload_gone")
	b.refused(t, b.pia, http.MethodPost, b.hub+"/uploads/"+gone.ID+"/retry", nil, http.StatusConflict, "upload_cancelled")
	b.refused(t, b.pia, http.MethodPost, b.hub+"/uploads/"+gone.ID+"/finish", map[string]any{"size": 10}, http.StatusConflict, "upload_cancelled")
}

// twoClients send the rest of one upload at once; whoever loses is told so, and the bytes are right.
func (b *badInput) twoClients(t *testing.T, up upload, body []byte, from int) {
	t.Helper()
	answers := make(chan answer, 4)
	for range cap(answers) {
		go func() { answers <- b.tus(t, b.pia, http.MethodPatch, up.TusURL, int64(from), body[from:]) }()
	}
	for range cap(answers) {
		a := <-answers
		if a.status == http.StatusNoContent {
			continue
		}
		var p problem
		decode(t, a.body, &p)
		if !slices.Contains([]string{"offset_mismatch", "upload_locked", "upload_busy", "upload_taken_over"}, p.Code) {
			t.Errorf("the second client was told %s", a.body)
		}
		b.explained(t, "second client", a, http.StatusConflict, p.Code)
	}
	for range 20 { // whatever connection it comes on, what follows is not cut off with the loser
		b.pia.get(b.hub+"/uploads/"+up.ID, nil)
	}
	for at := head(t, b.pia, up.TusURL); at < int64(len(body)); {
		at = patch(t, b.pia, up.TusURL, at, body[at:])
	}
}

func (b *badInput) oddRequests(t *testing.T) {
	post := b.hub + "/uploads"
	jsonType := []string{"Content-Type", "application/json"}
	for _, try := range []struct {
		method, path string
		in           any
		status       int
		code         string
		header       []string
	}{
		{http.MethodPost, post, []byte("name=x"), 415, "unsupported_media_type", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{http.MethodPost, post, []byte("{}"), 415, "unsupported_media_type", []string{"Content-Type", "text/plain"}},
		{http.MethodPost, post, []byte(`{"name":"a.mp4","size":1}{}`), 400, "bad_body", jsonType},
		{http.MethodPost, post, bytes.Repeat([]byte("["), 100_000), 400, "bad_body", jsonType},
		{http.MethodPost, post, []byte(strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)), 400, "bad_body", jsonType},
		{http.MethodPost, post, []byte(`{"name":"a.mp4","size":1,"tags":[` + strings.Repeat("1,", 300_000) + "1]}"), 400, "bad_body", jsonType},
		{http.MethodPost, post, []byte(`{"name":"` + strings.Repeat("x", 3<<20) + `"}`), 413, "body_too_large", jsonType},
		{http.MethodPost, post, map[string]any{"name": "a.mp4", "size": 1, "owner": "admin"}, 400, "bad_body", nil},
		{http.MethodPost, post, map[string]any{"name": "a.mp4", "size": -1}, 400, "bad_body", nil},
		{http.MethodPost, post, map[string]any{"name": "a.mp4", "size": 1}, 403, "cross_origin", []string{"Origin", "https://evil.example"}},
		{http.MethodPost, post, map[string]any{"name": "a.mp4", "size": 1}, 403, "cross_origin", []string{"Origin", "null"}},
		{http.MethodPatch, post, nil, 405, "method_not_allowed", []string{"X-HTTP-Method-Override", "DELETE"}},
		{http.MethodGet, b.hub + "/media?limit=0", nil, 400, "bad_parameter", nil},
		{http.MethodGet, b.hub + "/media?limit=501", nil, 400, "bad_parameter", nil},
		{http.MethodGet, b.hub + "/media?limit=1&limit=2", nil, 400, "bad_parameter", nil},
		{http.MethodGet, b.hub + "/media?cursor=zzz", nil, 400, "cursor_invalid", nil},
		{http.MethodGet, b.hub + "/library?cursor=zzz", nil, 400, "bad_cursor", nil},
		{http.MethodGet, b.hub + "/library?limit=501", nil, 400, "bad_parameter", nil},
		{http.MethodGet, "/v1/nothing", nil, 404, "route_not_found", nil},
		{http.MethodGet, "/play/forged/manifest.mpd", nil, 404, "no_such_file", nil},
		{http.MethodGet, "/play/a/..%2f..%2fdemo.json", nil, 404, "no_such_file", nil},
		{http.MethodGet, "/thumbs/forged", nil, 404, "no_thumbnail", nil},
		{http.MethodPost, "/files/", nil, 400, "create_by_rest", []string{"Tus-Resumable", "1.0.0"}},
	} {
		b.refused(t, b.pia, try.method, try.path, try.in, try.status, try.code, try.header...)
	}
	// What no database stores in a text is refused wherever it comes in, and never an internal error.
	for _, odd := range []string{"%00", "%ff", "%27%22%5C%25_", "%F0%9F%8E%AC"} {
		for _, path := range []string{"/media?q=", "/library?q=", "/media/", "/library/", "/uploads/", "/jobs/", "/library?cursor=YTE6AA&q="} {
			if a := b.ask(t, b.pia, http.MethodGet, b.hub+path+odd, nil); a.status >= 500 {
				t.Errorf("GET %s%s answered %d %s", path, odd, a.status, a.body)
			}
		}
	}
}

// files: what only shows when the bytes are looked at ends in a clear state; the good file beside
// them is not held up.
func (b *badInput) files(t *testing.T) {
	b.refused(t, b.pia, http.MethodPost, b.hub+"/uploads", map[string]any{"name": "empty.mp4", "size": 0}, http.StatusBadRequest, "empty_file")
	for _, name := range []string{"list.m3u8", "notes.txt", "page.html", "image.svg"} {
		b.refused(t, b.pia, http.MethodPost, b.hub+"/uploads", map[string]any{"name": name, "size": 5, "content_type": "video/mp4"}, http.StatusBadRequest, "type_not_accepted")
	}
	dir := t.TempDir()
	whole, odd := filepath.Join(dir, "whole.mp4"), filepath.Join(dir, "odd.mkv")
	must(t, mediatest.Clip{Seconds: 2, Width: 320, Height: 180}.Make(t.Context(), whole))
	must(t, mediatest.FFmpeg(t.Context(), "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=1", "-c:v", "cinepak", odd))
	good, err := os.ReadFile(whole)
	must(t, err)
	unplayable, err := os.ReadFile(odd)
	must(t, err)
	playlist := "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXTINF:1,\nhttp://127.0.0.1:1/x.ts\n#EXT-X-ENDLIST\n"
	wrong := map[string][]byte{
		"truncated.mp4":   good[:len(good)*2/3], // the index is at the end
		"text.mp4":        []byte(strings.Repeat("These are words.\n", 200)),
		"playlist.mp4":    []byte(playlist),
		"concat.mp4":      []byte("ffconcat version 1.0\nfile /etc/passwd\n"),
		"noise.mp4":       noise(50_000),
		"zeroes.mp4":      make([]byte, 4096),
		"program.mp4":     append([]byte("\x7fELF\x02\x01\x01"), noise(4000)...),
		"unplayable.mkv":  unplayable,
		"header only.mp4": good[:40],
	}
	ids := map[string]string{}
	for name, body := range wrong {
		ids[name] = b.sendWhole(t, b.pia, name, body)
	}
	fine := b.sendWhole(t, b.pia, "fine.mp4", good)
	for name, id := range ids {
		var up struct {
			State string
			Error *struct {
				Code, Message string
				NextStep      string `json:"next_step"`
			}
		}
		b.eventually(name+" to be judged", func() error {
			b.pia.get(b.hub+"/uploads/"+id, &up)
			if up.State != "failed" && up.State != "ready" {
				return fmt.Errorf("it is %s", up.State)
			}
			return nil
		})
		if up.State != "failed" || up.Error == nil || up.Error.Code == "" || up.Error.Message == "" || up.Error.NextStep == "" {
			t.Errorf("%s is %s: %+v", name, up.State, up.Error)
			continue
		}
		if strings.Contains(up.Error.Message+up.Error.NextStep, b.dir) {
			t.Errorf("%s: a path is told: %+v", name, up.Error)
		}
		if n := b.entriesByReference(id); n != 0 {
			t.Errorf("%s left %d entries", name, n)
		}
	}
	if entry := awaitReady(t, b.pia, b.hub, fine); entry == "" {
		t.Error("the good file has no entry")
	}
}

func (b *badInput) sendWhole(t *testing.T, c *caller, name string, body []byte) string {
	t.Helper()
	up := b.create(t, c, name, len(body))
	if got := patch(t, c, up.TusURL, 0, body); got != int64(len(body)) {
		t.Fatalf("%s: offset %d of %d", name, got, len(body))
	}
	if status, raw := c.call(http.MethodPost, b.hub+"/uploads/"+up.ID+"/finish", map[string]any{"size": len(body)}, nil); status >= 300 {
		t.Fatalf("%s: finish answered %d %s", name, status, raw)
	}
	return up.ID
}

// deletedEntry: what is gone in Kaltura is gone here, and a link to it says so.
func (b *badInput) deletedEntry(t *testing.T) {
	clip := filepath.Join(t.TempDir(), "clip.mp4")
	must(t, mediatest.Clip{Seconds: 1, Width: 320, Height: 180}.Make(t.Context(), clip))
	body, err := os.ReadFile(clip)
	must(t, err)
	entry := awaitReady(t, b.pia, b.hub, b.sendWhole(t, b.pia, "soon gone.mp4", body))
	var link libraryImport
	if status, raw := b.pia.call(http.MethodPost, b.hub+"/library", map[string]any{"entry_id": entry, "kind": "link"}, &link); status >= 300 {
		t.Fatalf("import: %d %s", status, raw)
	}
	b.kaltura("media", "delete", map[string]any{"entryId": entry}, nil)
	for _, kind := range []string{"link", "copy"} {
		a := b.ask(t, b.carl, http.MethodPost, b.hub+"/library", jsonBody(t, map[string]any{"entry_id": entry, "kind": kind}), "Content-Type", "application/json")
		unknown := b.ask(t, b.carl, http.MethodPost, b.hub+"/library", jsonBody(t, map[string]any{"entry_id": "0_unknown0", "kind": kind}), "Content-Type", "application/json")
		if a.status != http.StatusNotFound || timeless(a.body, entry) != timeless(unknown.body, "0_unknown0") {
			t.Errorf("importing a deleted entry: %d %s; an unknown one: %d %s", a.status, a.body, unknown.status, unknown.body)
		}
	}
	b.refused(t, b.carl, http.MethodPost, b.hub+"/library", map[string]any{"entry_id": "../../etc/passwd", "kind": "link"}, http.StatusNotFound, "media_not_found")
	b.refused(t, b.pia, http.MethodGet, b.hub+"/library/"+link.Item.ID+"/playback", nil, http.StatusNotFound, "media_not_found")
	b.pia.get(b.hub+"/library/"+link.Item.ID, nil) // still listed: its owner decides what becomes of it
}

// quota is set where the operator's tools will set it, in the database.
func (b *badInput) quota(t *testing.T) {
	b.kill()
	b.setQuota(t, 1000)
	b.start()
	defer func() {
		b.kill()
		b.setQuota(t, 0)
		b.start()
	}()
	first := b.create(t, b.pia, "fits.mp4", 900)
	a := b.refused(t, b.carl, http.MethodPost, b.hub+"/uploads", map[string]any{"name": "too much.mp4", "size": 101}, http.StatusRequestEntityTooLarge, "quota_exceeded")
	if !strings.Contains(string(a.body), "100") {
		t.Errorf("the refusal does not say what is free: %s", a.body)
	}
	if got := patch(t, b.pia, first.TusURL, 0, make([]byte, 900)); got != 900 {
		t.Errorf("the upload within the quota stopped at %d", got)
	}
	b.cancel(t, b.hub, first.ID)
	again := b.create(t, b.pia, "now it fits.mp4", 1000)
	b.cancel(t, b.hub, again.ID)
}

func (b *badInput) setQuota(t *testing.T, bytes int64) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DSN: b.dsn, DataDir: filepath.Join(b.dir, "data")})
	must(t, err)
	hub, err := db.Hubs().Get(t.Context(), gateway.AnyHub, b.demo.HubID)
	must(t, err)
	hub.QuotaBytes = bytes
	must(t, db.Hubs().Update(t.Context(), &hub))
	must(t, db.Close())
}

// revokedToken: the account's administrator deletes the App Token while a file is on its way. It
// waits, says why, and goes on when a new token is pasted; nothing is sent again.
func (b *badInput) revokedToken(t *testing.T) {
	clip := filepath.Join(t.TempDir(), "clip.mp4")
	must(t, mediatest.Clip{Seconds: 2, Width: 320, Height: 180}.Make(t.Context(), clip))
	body, err := os.ReadFile(clip)
	must(t, err)
	up := b.create(t, b.pia, "waits.mp4", len(body))
	half := len(body) / 2
	patch(t, b.pia, up.TusURL, 0, body[:half])
	settings := b.hub + "/integrations/kaltura"
	var in struct {
		ETag       string `json:"etag"`
		AppTokenID string `json:"app_token_id"`
		Health     any    `json:"health"`
	}
	b.admin.get(settings, &in)
	b.kaltura("appToken", "delete", map[string]any{"id": in.AppTokenID}, nil)

	b.eventually("browsing to tell that the token is gone", func() error {
		if a := b.ask(t, b.pia, http.MethodGet, b.hub+"/media?q="+strconv.Itoa(rand.Int()), nil); a.status == http.StatusOK {
			return fmt.Errorf("it answers %d", a.status)
		}
		return nil
	})
	b.refused(t, b.pia, http.MethodGet, b.hub+"/media?q="+strconv.Itoa(rand.Int()), nil, http.StatusConflict, "credentials_invalid")
	b.admin.get(settings, &in)
	if raw, _ := json.Marshal(in.Health); !strings.Contains(string(raw), "credentials_invalid") {
		t.Errorf("the settings show the health %s", raw)
	}
	// The bytes are taken all the same.
	if got := patch(t, b.pia, up.TusURL, int64(half), body[half:]); got != int64(len(body)) {
		t.Fatalf("offset %d of %d", got, len(body))
	}
	if status, raw := b.pia.call(http.MethodPost, b.hub+"/uploads/"+up.ID+"/finish", map[string]any{"size": len(body)}, nil); status >= 300 {
		t.Fatalf("finish answered %d %s", status, raw)
	}
	var waits struct {
		State string
		Error *struct {
			Code     string
			NextStep string `json:"next_step"`
		}
	}
	b.eventually("the upload to say what it waits for", func() error {
		b.pia.get(b.hub+"/uploads/"+up.ID, &waits)
		if waits.Error == nil {
			return fmt.Errorf("it is %s", waits.State)
		}
		return nil
	})
	if waits.State != "ingesting" || waits.Error.Code != "credentials_invalid" || waits.Error.NextStep == "" {
		t.Errorf("the waiting upload is %s: %+v", waits.State, waits.Error)
	}
	b.kill() // and a restart changes nothing about it
	b.start()
	var fresh struct{ ID, Token string }
	b.kaltura("appToken", "add", map[string]any{"appToken": map[string]any{
		"objectType": "KalturaAppToken", "hashType": "SHA256", "sessionPrivileges": "list:*,sview:*",
	}}, &fresh)
	change := map[string]any{"app_token_id": fresh.ID, "app_token": wrongToken, "hash_type": "SHA256"}
	merge := []string{"If-Match", in.ETag, "Content-Type", "application/merge-patch+json"}
	b.refused(t, b.admin, http.MethodPatch, settings, change, http.StatusBadRequest, "app_token_hash_mismatch", merge...)
	change["app_token"] = fresh.Token
	status, raw := b.admin.call(http.MethodPatch, settings, change, nil, merge...)
	if status != http.StatusOK {
		t.Fatalf("the new token answered %d %s", status, raw)
	}
	if bytes.Contains(raw, []byte(fresh.Token)) {
		t.Error("the answer shows the new token")
	}
	entry := awaitReady(t, b.pia, b.hub, up.ID)
	sum := sha256.Sum256(body)
	if got := b.originalDigest(entry); got != hex.EncodeToString(sum[:]) {
		t.Errorf("the entry holds other bytes: %s", got)
	}
	if n := b.entriesByReference(up.ID); n != 1 {
		t.Errorf("%d entries of one upload", n)
	}
	var page mediaPage
	b.pia.get(b.hub+"/media", &page)
	if len(page.Items) == 0 {
		t.Error("after the new token nothing is listed")
	}
}
