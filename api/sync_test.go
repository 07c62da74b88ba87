package api_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"isthmus/openapi"
)

// pulled is one page of changes as a client gets it.
func (c *caller) pulled(hub, cursor, more string) openapi.LibraryChangePage {
	c.r.t.Helper()
	var p openapi.LibraryChangePage
	c.want(200, "GET", hub+"/library/changes?cursor="+url.QueryEscape(cursor)+more, nil).into(c.r.t, &p)
	return p
}

// The spaces platform registers, is told, pushes, acknowledges and removes; nobody else learns of what is not theirs.
func TestSpacesMedia(t *testing.T) {
	r := newRig(t)
	ada, hub := connected(t, r, "shared")
	film := mp4(t, 1<<20)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, q, "", time.Time{}, bytes.NewReader(film))
	}))
	defer origin.Close()
	platform := r.client(r.hub["bio"], "library:read", "library:write", "uploads:write")
	stranger := r.client(r.hub["bio"], "library:read", "library:write")
	pat, eve := r.signIn("pat@example.org"), r.signIn("eve@example.org")

	before := platform.pulled(hub, "", "")
	if len(before.Changes) != 0 || before.More || before.Cursor == "" {
		t.Fatalf("%+v", before)
	}
	body := map[string]any{"external_id": "scene/1 é", "name": "Harbour", "tags": []string{"sea"}, "is_360": true, "url": origin.URL + "/harbour.mp4?signature=hidden-signature"}
	var made openapi.Import
	a := platform.want(202, "POST", hub+"/library/register", body)
	a.into(t, &made)
	if made.Item.Source != openapi.LibraryItemSourceSpaces || *made.Item.ExternalID != "scene/1 é" || made.Item.State != openapi.ItemStatePending || !made.Item.Is360 || !made.Item.Shared || !made.Item.Mine {
		t.Fatalf("%s", a.body)
	}
	if strings.Contains(string(a.body)+r.log.String(), "hidden-signature") {
		t.Error("the address is told or logged")
	}
	platform.want(200, "POST", hub+"/library/register", body)
	body["url"] = origin.URL + "/another.mp4"
	if p := platform.want(409, "POST", hub+"/library/register", body).problem(t); p.Code != "other_content" {
		t.Error(p.Code)
	}
	for _, bad := range []string{"https://10.0.0.1/a.mp4", "https://[::1]/a.mp4", "https://169.254.169.254/a.mp4"} {
		if p := platform.want(400, "POST", hub+"/library/register", map[string]any{"external_id": "x", "name": "x", "url": bad}).problem(t); p.Code != "source_url_internal" {
			t.Error(bad, p.Code)
		}
	}
	if p := pat.do("POST", hub+"/library/register", body).problem(t); p.Code != "machine_only" {
		t.Error(p.Code)
	}
	id := made.Item.ID

	// Nobody but the client knows its external ids: what exists and what does not look the same.
	for who, c := range map[string]*caller{"another client": stranger, "a person": pat, "the admin": ada} {
		there := c.want(200, "GET", hub+"/library?external_id="+url.QueryEscape("scene/1 é"), nil)
		not := c.want(200, "GET", hub+"/library?external_id=never", nil)
		if string(there.body) != string(not.body) {
			t.Errorf("%s: %s differs from %s", who, there.body, not.body)
		}
		item := c.want(200, "GET", hub+"/library/"+id, nil) // shared with the hub
		if strings.Contains(string(item.body), "scene/1") {
			t.Errorf("%s sees the external id: %s", who, item.body)
		}
	}
	var mine openapi.LibraryPage
	platform.want(200, "GET", hub+"/library?external_id="+url.QueryEscape("scene/1 é"), nil).into(t, &mine)
	if len(mine.Items) != 1 || mine.Items[0].ID != id {
		t.Error(mine)
	}
	for _, path := range []string{"/library/changes", "/library/" + id, "/library/" + id + "/address"} {
		eve.want(404, "GET", hub+path, nil)
	}
	if x, y := eve.do("POST", hub+"/library/"+id+"/export", nil), eve.do("POST", hub+"/library/lib_0/export", nil); x.StatusCode != 404 || y.StatusCode != 404 {
		t.Error(x.StatusCode, y.StatusCode)
	}

	// Told: to the platform with its id, to others without.
	told := platform.pulled(hub, before.Cursor, "")
	if len(told.Changes) != 1 || told.Changes[0].Op != openapi.LibraryChangeOpUpsert || told.Changes[0].ExternalID == nil || told.Changes[0].AcknowledgedAt != nil {
		t.Fatalf("%+v", told)
	}
	if p := stranger.pulled(hub, "", ""); len(p.Changes) != 1 || p.Changes[0].ExternalID != nil {
		t.Errorf("%+v", p)
	}
	if p := stranger.want(400, "GET", hub+"/library/changes?cursor="+told.Cursor, nil).problem(t); p.Code != "bad_cursor" {
		t.Error(p.Code)
	}

	// Its file comes; the address gives it, also in parts, and to nobody once the item is gone.
	if p := platform.want(409, "GET", hub+"/library/"+id+"/address", nil).problem(t); p.Code != "not_ready" {
		t.Error(p.Code)
	}
	if err := r.library.RunImport(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	it, err := r.db.Library().Get(t.Context(), "*", id)
	if err != nil {
		t.Fatal(err)
	}
	it.State = "ready" // no workers here
	if err := r.db.Library().Update(t.Context(), &it); err != nil {
		t.Fatal(err)
	}
	var address openapi.LibraryAddress
	platform.want(200, "GET", hub+"/library/"+id+"/address", nil).into(t, &address)
	got := r.anonymous().want(200, "GET", address.URL, nil)
	if !bytes.Equal(got.body, film) || !strings.HasPrefix(got.Header.Get("Content-Disposition"), "attachment") {
		t.Error(len(got.body), got.Header)
	}
	if part := r.anonymous().want(206, "GET", address.URL, nil, "Range", "bytes=100-"); !bytes.Equal(part.body, film[100:]) {
		t.Error(len(part.body))
	}
	if p := r.anonymous().want(404, "GET", address.URL+"x", nil).problem(t); p.Code != "no_such_file" {
		t.Error(p.Code)
	}

	// Acknowledged by the platform, which others do not see; waiting ends with the next change.
	platform.want(204, "POST", hub+"/library/"+id+"/acknowledge", nil)
	platform.want(204, "POST", hub+"/library/"+id+"/acknowledge", nil)
	if p := ada.do("POST", hub+"/library/"+id+"/acknowledge", nil).problem(t); p.Code != "machine_only" {
		t.Error(p.Code)
	}
	now := platform.pulled(hub, told.Cursor, "")
	if len(now.Changes) != 1 || now.Changes[0].AcknowledgedAt == nil {
		t.Fatalf("%+v", now)
	}
	waited := make(chan openapi.LibraryChangePage, 1)
	go func() { waited <- platform.pulled(hub, now.Cursor, "&wait=20") }()
	ada.want(200, "PATCH", hub+"/library/"+id, map[string]any{"name": "Harbour at dawn", "tags": []string{"dawn"}})
	if p := <-waited; len(p.Changes) != 1 || p.Changes[0].Item.Name != "Harbour at dawn" {
		t.Errorf("%+v", p)
	}
	if a := pat.do("PATCH", hub+"/library/"+id, map[string]any{"name": "Mine"}); a.StatusCode != 403 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}

	// Pushed at once: each with its own result, and again the same.
	push := map[string]any{"changes": []any{
		map[string]any{"external_id": "scene/1 é", "etag": `"v1"`, "media": map[string]any{"name": "Stale"}},
		map[string]any{"external_id": "scene/2", "media": map[string]any{"name": "Second", "url": origin.URL + "/2.mp4"}},
		map[string]any{"external_id": "scene/3", "media": map[string]any{"name": "Third"}},
		map[string]any{"external_id": "scene/4", "remove": true},
	}}
	for round, want := range [][]string{{"failed stale", "created ", "failed content_missing", "removed "}, {"failed stale", "unchanged ", "failed content_missing", "removed "}} {
		var done openapi.LibraryPushResult
		platform.want(200, "PUT", hub+"/library/changes", push).into(t, &done)
		var have []string
		for _, x := range done.Results {
			code := ""
			if x.Error != nil {
				code = x.Error.Code
			}
			have = append(have, string(x.Result)+" "+code)
		}
		if !slices.Equal(have, want) {
			t.Errorf("round %d: %v", round, have)
		}
		if len(done.Results) == 4 && (done.Results[0].Item == nil || done.Results[0].Item.Name != "Harbour at dawn") {
			t.Error("what is there is not told")
		}
	}
	many := make([]any, 501)
	for i := range many {
		many[i] = map[string]any{"external_id": "x", "remove": true}
	}
	platform.want(400, "PUT", hub+"/library/changes", map[string]any{"changes": many})

	// An upload for the library needs the right to write there.
	up := map[string]any{"name": "a.mp4", "size": 10, "target": "library"}
	var u openapi.Upload
	platform.want(201, "POST", hub+"/uploads", up).into(t, &u)
	if u.Target == nil || *u.Target != openapi.UploadTargetLibrary {
		t.Error(u.Target)
	}
	if p := pat.do("POST", hub+"/uploads", up).problem(t); p.Code != "machine_only" {
		t.Error(p.Code)
	}

	// Sent to Kaltura: once, whoever asks.
	var sent, again openapi.LibraryExportResult
	pat.want(202, "POST", hub+"/library/"+id+"/export", nil).into(t, &sent)
	platform.want(200, "POST", hub+"/library/"+id+"/export", nil).into(t, &again)
	if sent.Upload.ID != again.Upload.ID || sent.Item.Export == nil || sent.Item.Export.State != openapi.UploadStateIngesting || !sent.Upload.Mine || again.Upload.Mine {
		t.Errorf("%+v %+v", sent, again)
	}

	platform.want(204, "DELETE", hub+"/library/"+id, nil)
	r.anonymous().want(404, "GET", address.URL, nil)
	last := platform.pulled(hub, now.Cursor, "&limit=500")
	if !slices.ContainsFunc(last.Changes, func(c openapi.LibraryChange) bool {
		return c.Op == openapi.LibraryChangeOpRemove && c.ID == id && c.ExternalID != nil
	}) {
		t.Errorf("%+v", last)
	}
}
