package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/openapi"
	"isthmus/store"
	"isthmus/store/storetest"
)

// connected is a rig whose university hub is connected.
func connected(t testing.TB, r *rig, visibility string) (admin *caller, hub string) {
	t.Helper()
	admin = r.signIn("ada@example.org")
	hub = "/v1/hubs/" + r.hub["bio"]
	admin.want(200, "PUT", hub+"/integrations/kaltura", r.appToken(visibility))
	return admin, hub
}

func TestSettings(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		r := newRigOn(t, db)
		ada := r.signIn("ada@example.org")
		hub := "/v1/hubs/" + r.hub["bio"]
		path := hub + "/integrations/kaltura"
		body := r.appToken("shared")

		var d openapi.Diagnosis
		ada.want(200, "POST", path+"/verify", body).into(t, &d)
		if len(d.Checks) < 3 || d.Checks[0].State != openapi.CheckStateOk {
			t.Errorf("diagnosis: %+v", d)
		}
		ada.want(404, "GET", path, nil)
		var req openapi.TokenRequest
		ada.want(200, "GET", path+"/token-request?visibility=own&service_url=https://kaltura.example", nil).into(t, &req)
		if !strings.Contains(req.Curl, "https://kaltura.example") || len(req.Explain) == 0 {
			t.Errorf("token request: %+v", req)
		}

		a := ada.want(200, "PUT", path, body)
		var in openapi.Integration
		a.into(t, &in)
		tag := a.Header.Get("ETag")
		token := body["app_token"].(string)
		if tag == "" || tag != in.Etag || in.TokenLast4 != token[len(token)-4:] || in.PartnerID != partner || strings.Contains(string(a.body), token) {
			t.Fatalf("saved: %s", a.body)
		}
		// Whoever did not see the newest version changes nothing.
		ada.want(428, "PUT", path, body)
		ada.want(428, "PATCH", path, map[string]any{"mapping_mode": "off"})
		ada.want(412, "PATCH", path, map[string]any{"mapping_mode": "off"}, "If-Match", `"v999"`)
		a = ada.want(200, "PATCH", path, map[string]any{"mapping_mode": "needs_approval"}, "If-Match", tag, "Content-Type", "application/merge-patch+json")
		a.into(t, &in)
		if in.MappingMode != openapi.MappingModeNeedsApproval || in.ServiceURL != r.base+"/kaltura" || in.Etag == tag {
			t.Errorf("patched: %s", a.body)
		}
		ada.want(412, "DELETE", path, nil, "If-Match", tag)

		var mine openapi.MyIntegrations
		r.signIn("pat@example.org").want(200, "GET", "/v1/me/integrations", nil).into(t, &mine)
		if len(mine.Items) != 1 || mine.Items[0].State != openapi.MyIntegrationStateConnected || mine.Items[0].Mapping.State != openapi.MyMappingStateNone || mine.Items[0].WhatISee == "" {
			t.Errorf("account page: %+v", mine)
		}
		ada.want(200, "GET", path+"/impact", nil)
		ada.want(204, "DELETE", path, nil, "If-Match", in.Etag)
		ada.want(404, "GET", path, nil)
	})
}

func TestInvite(t *testing.T) {
	r := newRig(t)
	ada := r.signIn("ada@example.org")
	hub := "/v1/hubs/" + r.hub["bio"]
	var inv openapi.Invite
	ada.want(201, "POST", hub+"/integrations/kaltura/invites", map[string]any{"visibility": "own"}).into(t, &inv)
	secret, ok := strings.CutPrefix(inv.URL, r.base+"/connect/")
	if !ok {
		t.Fatalf("invite: %+v", inv)
	}
	stranger := r.anonymous()
	var info openapi.InviteInfo
	stranger.want(200, "GET", "/v1/connect/"+secret, nil).into(t, &info)
	if info.HubName != "Biology" || info.Visibility != openapi.VisibilityOwn || info.TokenRequest.Body == "" {
		t.Errorf("invite: %+v", info)
	}
	body := r.appToken("own")
	body["visibility"] = "shared" // not the stranger's to choose
	stranger.want(200, "POST", "/v1/connect/"+secret, body)
	var in openapi.Integration
	ada.want(200, "GET", hub+"/integrations/kaltura", nil).into(t, &in)
	if in.Visibility != openapi.VisibilityOwn {
		t.Errorf("the invite's visibility did not hold: %s", in.Visibility)
	}
	stranger.want(404, "POST", "/v1/connect/"+secret, body)
	if strings.Contains(r.log.String(), secret) || strings.Contains(r.log.String(), body["app_token"].(string)) {
		t.Error("a secret is in the log")
	}
}

// TestUploadByTus announces a file, sends it in pieces with a break and a wrong offset, and finishes it.
func TestUploadByTus(t *testing.T) {
	r := newRig(t)
	_, hub := connected(t, r, "shared")
	pat, eve := r.signIn("pat@example.org"), r.signIn("eve@example.org")
	machine := r.client(r.hub["bio"], scopes...)

	content := mp4(t, 3<<20)
	const name = "beach \"walk\" \u202e 360 & größer.mp4"
	a := pat.want(201, "POST", hub+"/uploads", map[string]any{"name": name, "size": len(content), "tags": []string{"beach"}, "fingerprint": "f1"})
	var u openapi.Upload
	a.into(t, &u)
	if u.Name != name || u.State != openapi.UploadStateReceiving || u.TusURL != r.base+"/files/"+u.ID || !u.Mine || a.Header.Get("Location") != hub+"/uploads/"+u.ID {
		t.Fatalf("upload: %s", a.body)
	}

	offset := func(c *caller) int64 {
		t.Helper()
		a := c.want(200, "HEAD", u.TusURL, nil, "Tus-Resumable", "1.0.0")
		n, err := strconv.ParseInt(a.Header.Get("Upload-Offset"), 10, 64)
		if err != nil || a.Header.Get("Upload-Length") != strconv.Itoa(len(content)) || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
			t.Fatalf("HEAD: %v", a.Header)
		}
		return n
	}
	patch := func(c *caller, at int64, body []byte, header ...string) answer {
		t.Helper()
		header = append([]string{"Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.FormatInt(at, 10)}, header...)
		return c.do("PATCH", u.TusURL, string(body), header...)
	}
	if n := offset(pat); n != 0 {
		t.Fatalf("begins at %d", n)
	}
	const first = 1 << 20
	if a := patch(pat, 0, content[:first]); a.StatusCode != 204 || a.Header.Get("Upload-Offset") != strconv.Itoa(first) {
		t.Fatalf("first piece: %d %s %v", a.StatusCode, a.body, a.Header)
	}

	// Only the owner may touch it, whoever else is signed in, and with one answer for all others.
	for who, c := range map[string]*caller{"another hub's admin": eve, "a client of the hub": machine, "the hub's admin": r.signIn("ada@example.org")} {
		if a := patch(c, first, content[first:]); a.StatusCode != 404 || a.problem(t).Code != "upload_not_found" {
			t.Errorf("PATCH by %s: %d %s", who, a.StatusCode, a.body)
		}
		if a := c.do("HEAD", u.TusURL, nil, "Tus-Resumable", "1.0.0"); a.StatusCode != 404 {
			t.Errorf("HEAD by %s: %d", who, a.StatusCode)
		}
		if a := c.do("DELETE", u.TusURL, nil, "Tus-Resumable", "1.0.0"); a.StatusCode != 404 {
			t.Errorf("DELETE by %s: %d", who, a.StatusCode)
		}
	}
	r.anonymous().want(401, "HEAD", u.TusURL, nil, "Tus-Resumable", "1.0.0")

	for why, try := range map[string]struct {
		a      answer
		status int
		code   string
	}{
		"behind":       {patch(pat, 0, content[:10]), 409, "offset_mismatch"},
		"ahead":        {patch(pat, first+1, content[first:]), 409, "offset_mismatch"},
		"no offset":    {pat.do("PATCH", u.TusURL, "x", "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream"), 400, "bad_offset"},
		"no type":      {pat.do("PATCH", u.TusURL, "x", "Tus-Resumable", "1.0.0", "Upload-Offset", "0"), 415, "unsupported_media_type"},
		"no version":   {pat.do("PATCH", u.TusURL, "x", "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0"), 412, "tus_version"},
		"too much":     {patch(pat, first, append(bytes.Clone(content[first:]), 'x')), 413, "beyond_size"},
		"finish early": {pat.do("POST", hub+"/uploads/"+u.ID+"/finish", map[string]any{"size": len(content)}), 0, ""},
	} {
		if try.status != 0 && try.a.StatusCode != try.status {
			t.Errorf("%s: %d %s", why, try.a.StatusCode, try.a.body)
		}
		if p := try.a.problem(t); try.code != "" && p.Code != try.code {
			t.Errorf("%s: %s", why, p.Code)
		}
	}

	// A connection that breaks in the middle keeps what had arrived.
	breakOff(t, pat, u.TusURL, first, content[first:2<<20], len(content)-first)
	at := offset(pat)
	if at < first || at > 2<<20 {
		t.Fatalf("after the break at %d", at)
	}
	again := r.signIn("pat@example.org") // another device
	var page openapi.UploadPage
	again.want(200, "GET", hub+"/uploads?state=receiving", nil).into(t, &page)
	if len(page.Items) != 1 || page.Items[0].ID != u.ID || *page.Items[0].Fingerprint != "f1" {
		t.Fatalf("list: %+v", page)
	}
	a = patch(again, at, content[at:])
	for try := 0; a.StatusCode == 409 && try < 100; try++ { // what was under way when the line broke may arrive after the HEAD
		at = offset(again)
		a = patch(again, at, content[at:])
	}
	if a.StatusCode != 204 || a.Header.Get("Upload-Offset") != strconv.Itoa(len(content)) {
		t.Fatalf("last piece: %d %s", a.StatusCode, a.body)
	}
	again.want(200, "GET", hub+"/uploads/"+u.ID, nil).into(t, &u)
	if u.State != openapi.UploadStateReceiving {
		t.Fatalf("the last byte must not finish an upload, but it is %s", u.State)
	}
	sum := sha256.Sum256(content)
	again.want(202, "POST", hub+"/uploads/"+u.ID+"/finish", map[string]any{"size": len(content), "sha256": hex.EncodeToString(sum[:])}).into(t, &u)
	if u.State == openapi.UploadStateReceiving || *u.Sha256 != hex.EncodeToString(sum[:]) {
		t.Errorf("finished: %+v", u)
	}
	again.want(202, "POST", hub+"/uploads/"+u.ID+"/finish", map[string]any{"size": len(content), "sha256": hex.EncodeToString(sum[:])})
	again.want(409, "POST", hub+"/uploads/"+u.ID+"/finish", map[string]any{"size": len(content), "sha256": strings.Repeat("0", 64)})
	if f, err := r.staging.Open(t.Context(), u.ID); err != nil {
		t.Error(err)
	} else {
		got, err := io.ReadAll(io.NewSectionReader(f, 0, int64(len(content))))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("the staged bytes differ: %v", err)
		}
		_ = f.Close()
	}
}

// breakOff sends a PATCH that promises more than it sends.
func breakOff(t *testing.T, c *caller, url string, at int, part []byte, promised int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body, w := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, "PATCH", url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(promised)
	req.Header.Set("Tus-Resumable", "1.0.0")
	req.Header.Set("Content-Type", "application/offset+octet-stream")
	req.Header.Set("Upload-Offset", strconv.Itoa(at))
	go func() {
		_, _ = w.Write(part)
		_ = w.CloseWithError(io.ErrUnexpectedEOF)
	}()
	if resp, err := c.http.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Fatalf("a broken body was answered with %d", resp.StatusCode)
	}
}

// TestTusNewerRequest: a request whose client went silent gives the upload up to a newer one.
func TestTusNewerRequest(t *testing.T) {
	r := newRig(t)
	_, hub := connected(t, r, "shared")
	pat := r.signIn("pat@example.org")
	content := mp4(t, 1<<20)
	var u openapi.Upload
	pat.want(201, "POST", hub+"/uploads", map[string]any{"name": "a.mp4", "size": len(content)}).into(t, &u)
	body, silent := io.Pipe()
	defer func() { _ = silent.Close() }()
	req, err := http.NewRequestWithContext(t.Context(), "PATCH", u.TusURL, io.MultiReader(bytes.NewReader(content[:1000]), body))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(content))
	req.Header = http.Header{"Tus-Resumable": {"1.0.0"}, "Content-Type": {"application/offset+octet-stream"}, "Upload-Offset": {"0"}}
	older := make(chan string, 1)
	go func() {
		resp, err := pat.http.Do(req)
		if err != nil {
			older <- err.Error()
			return
		}
		defer func() { _ = resp.Body.Close() }()
		text, _ := io.ReadAll(resp.Body)
		older <- string(text)
	}()
	for {
		pat.want(200, "HEAD", u.TusURL, nil, "Tus-Resumable", "1.0.0")
		select {
		case got := <-older:
			if !strings.Contains(got, "upload_taken_over") {
				t.Errorf("the silent request: %s", got)
			}
			a := pat.want(200, "HEAD", u.TusURL, nil, "Tus-Resumable", "1.0.0")
			at, err := strconv.Atoi(a.Header.Get("Upload-Offset"))
			if err != nil || at > 1000 {
				t.Fatalf("offset %q", a.Header.Get("Upload-Offset"))
			}
			pat.want(204, "PATCH", u.TusURL, string(content[at:]), "Tus-Resumable", "1.0.0",
				"Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.Itoa(at))
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// mp4 is n bytes that begin as an MP4 does; what the pipeline says of them is not the API's business.
func mp4(t testing.TB, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	copy(b, "\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41\x00\x00\x00\x08free")
	return b
}

func TestTusCancelAndOptions(t *testing.T) {
	r := newRig(t)
	_, hub := connected(t, r, "shared")
	pat := r.signIn("pat@example.org")
	var u openapi.Upload
	pat.want(201, "POST", hub+"/uploads", map[string]any{"name": "a.mp4", "size": 1000}).into(t, &u)
	a := r.anonymous().want(200, "OPTIONS", "/files/"+u.ID, nil, "Origin", "https://evil.example")
	if a.Header.Get("Tus-Version") != "1.0.0" || !strings.Contains(a.Header.Get("Tus-Extension"), "termination") {
		t.Errorf("OPTIONS: %v", a.Header)
	}
	if a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another site's pages may not use this")
	}
	pat.want(204, "DELETE", u.TusURL, nil, "Tus-Resumable", "1.0.0")
	pat.want(200, "GET", hub+"/uploads/"+u.ID, nil).into(t, &u)
	if u.State != openapi.UploadStateCancelled {
		t.Errorf("state %s", u.State)
	}
	pat.want(404, "HEAD", u.TusURL, nil, "Tus-Resumable", "1.0.0")
}

func TestBrowseAndPages(t *testing.T) {
	r := newRig(t)
	ada, hub := connected(t, r, "shared")
	var ks string
	r.kalturaCall("session", "start", map[string]any{"secret": "admin-secret-of-the-account-01", "userId": "kadmin@example.org", "type": 2, "partnerId": partner, "expiry": 3600}, &ks)
	for _, name := range []string{"one", "two", "three"} {
		r.kalturaCall("media", "add", map[string]any{"ks": ks, "entry": map[string]any{"objectType": "KalturaMediaEntry", "name": name, "mediaType": 1, "tags": "360"}}, nil)
	}
	machine := r.client(r.hub["bio"], gateway.ScopeMediaRead)
	seen := map[string]bool{}
	path := hub + "/media?source=kaltura&limit=2&status=uploading,processing,ready"
	for pages := 0; path != "" && pages < 5; pages++ {
		a := machine.want(200, "GET", path, nil)
		var page openapi.MediaPage
		a.into(t, &page)
		for _, m := range page.Items {
			if m.Decision.Reason != "shared" || m.Decision.Text == "" || !m.Is360 || !strings.HasPrefix(m.ThumbnailURL, "/thumbs/") {
				t.Errorf("item: %+v", m)
			}
			seen[m.Name] = true
		}
		link := a.Header.Get("Link")
		if (page.Next == nil) != (link == "") {
			t.Errorf("next %v, Link %q", page.Next, link)
		}
		path = ""
		if link != "" {
			path = strings.TrimPrefix(strings.SplitN(link, ">", 2)[0], "<")
		}
	}
	if len(seen) != 3 {
		t.Errorf("saw %v", seen)
	}
	var members openapi.MemberPage
	r.signIn("pat@example.org")
	total := 0
	for path := hub + "/members?limit=1"; path != ""; {
		a := ada.want(200, "GET", path, nil)
		members = openapi.MemberPage{}
		a.into(t, &members)
		total += len(members.Items)
		path = ""
		if members.Next != nil {
			path = hub + "/members?limit=1&cursor=" + *members.Next
		}
	}
	if total != 2 {
		t.Errorf("%d members over all pages", total)
	}
}

// TestStopKeepsWhatArrived stops the server in the middle of a body.
func TestStopKeepsWhatArrived(t *testing.T) {
	r := newRig(t)
	_, hub := connected(t, r, "shared")
	pat := r.signIn("pat@example.org")
	content := mp4(t, 2<<20)
	var u openapi.Upload
	pat.want(201, "POST", hub+"/uploads", map[string]any{"name": "a.mp4", "size": len(content)}).into(t, &u)
	body, w := io.Pipe()
	defer func() { _ = w.Close() }()
	req, err := http.NewRequestWithContext(t.Context(), "PATCH", u.TusURL, body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(content))
	req.Header.Set("Tus-Resumable", "1.0.0")
	req.Header.Set("Content-Type", "application/offset+octet-stream")
	req.Header.Set("Upload-Offset", "0")
	answered := make(chan *http.Response, 1)
	go func() {
		resp, err := pat.http.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		answered <- resp
	}()
	if _, err := w.Write(content[:1<<20]); err != nil {
		t.Fatal(err)
	}
	r.api.Close()
	if resp := <-answered; resp != nil && resp.StatusCode != 503 {
		t.Errorf("answered %d", resp.StatusCode)
	}
	var at int64
	for range 2 { // the second look is at what a HEAD tells after the first request let go
		a := pat.want(200, "HEAD", u.TusURL, nil, "Tus-Resumable", "1.0.0")
		if at, err = strconv.ParseInt(a.Header.Get("Upload-Offset"), 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if at > 1<<20 {
		t.Errorf("%d bytes are said to be there", at)
	}
	f, err := r.staging.Open(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	got := make([]byte, at)
	if _, err := f.ReadAt(got, 0); err != nil && at > 0 || !bytes.Equal(got, content[:at]) {
		t.Errorf("the kept bytes differ: %v", err)
	}
}
