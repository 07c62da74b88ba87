package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"isthmus/media/mediatest"
)

// What the API answers, as far as these tests look.
type (
	mediaPage struct {
		Items []mediaItem `json:"items"`
		Next  string      `json:"next"`
	}
	mediaItem struct {
		ID      string   `json:"id"`
		Name    string   `json:"name"`
		Status  string   `json:"status"`
		OwnerID string   `json:"owner_id"`
		Tags    []string `json:"tags"`
		Is360   bool     `json:"is_360"`
	}
	upload struct {
		ID      string `json:"id"`
		State   string `json:"state"`
		TusURL  string `json:"tus_url"`
		EntryID string `json:"entry_id"`
		Offset  int64  `json:"offset"`
		Error   *struct {
			Code, Text string
		} `json:"error"`
	}
	playback struct {
		DASH       string `json:"dash"`
		Projection string `json:"projection"`
		Is360      bool   `json:"is_360"`
	}
	libraryImport struct {
		Item struct{ ID, State string } `json:"item"`
		Job  struct{ ID, State string } `json:"job"`
	}
	problem struct {
		Code     string `json:"code"`
		NextStep string `json:"next_step"`
		TraceID  string `json:"trace_id"`
	}
)

// TestOutcome drives the main job over HTTP as a partner's engineer would with curl: sign in,
// connect a hub, browse, import, upload a flat and a spherical video with a restart in the middle,
// and play both in DASH. It is on SQLite; the browser's main job, e2e/outcome.test.ts, is on Postgres.
func TestOutcome(t *testing.T) {
	if testing.Short() {
		t.Skip("starts whole servers")
	}
	t.Parallel()
	s := newServer(t, "")
	hub := "/v1/hubs/" + s.demo.HubID
	client := s.client()
	var page mediaPage
	s.eventually("the demo media to be listed as ready", func() error {
		client.get(hub+"/media?source=kaltura", &page)
		if len(page.Items) < 3 {
			return fmt.Errorf("%d items", len(page.Items))
		}
		return nil
	})

	t.Run("connect", func(t *testing.T) { connect(t, s) })

	participant := s.signIn("participant")
	dir := t.TempDir()
	flat, spherical := filepath.Join(dir, "flat & large – größer.mp4"), filepath.Join(dir, "spherical.mp4")
	must(t, mediatest.Clip{Seconds: 12, Width: 1280, Height: 720}.Make(t.Context(), flat))
	must(t, mediatest.Sphere(t.Context(), spherical, 8, 1920))

	up1 := send(t, participant, hub, flat, true)
	up2 := send(t, participant, hub, spherical, false)
	entry1, entry2 := awaitReady(t, participant, hub, up1), awaitReady(t, participant, hub, up2)

	var m1, m2 mediaItem
	participant.get(hub+"/media/"+entry1, &m1)
	participant.get(hub+"/media/"+entry2, &m2)
	if m1.Is360 || slices.Contains(m1.Tags, "360") {
		t.Errorf("the flat video carries the tag 360: %v", m1.Tags)
	}
	if !m2.Is360 || !slices.Contains(m2.Tags, "360") {
		t.Errorf("the spherical video lacks the tag 360: %v", m2.Tags)
	}
	if m1.Name != "flat & large – größer" {
		t.Errorf("the name was not kept: %q", m1.Name)
	}
	playsDASH(t, participant, hub+"/media/"+entry1+"/playback", false)
	playsDASH(t, participant, hub+"/media/"+entry2+"/playback", true)

	t.Run("import", func(t *testing.T) { imports(t, s, participant, hub, entry2, spherical) })
	t.Run("visibility", func(t *testing.T) { ownVisibility(t, s, participant, hub, entry1) })
	t.Run("strangers", func(t *testing.T) { strangers(t, s, client, participant, entry1) })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// connect is the hub admin's path on the hub that is not connected yet, wrong token first.
func connect(t *testing.T, s *process) {
	admin := s.signIn("admin")
	path := "/v1/hubs/" + s.demo.UnconnectedHubID + "/integrations/kaltura"
	var p problem
	if status, body := admin.call(http.MethodGet, path, nil, nil); status != http.StatusNotFound {
		t.Fatalf("before connecting: %d %s", status, body)
	}
	token := s.demo.Kaltura.AppTokens[0]
	connection := map[string]any{
		"service_url": s.demo.Kaltura.ServiceURL, "partner_id": s.demo.Kaltura.PartnerID, "app_token_id": token.ID,
		"app_token": strings.Repeat("0", len(token.Token)), "hash_type": token.HashType, "visibility": token.Visibility,
	}
	status, body := admin.call(http.MethodPut, path, connection, nil)
	decode(t, body, &p)
	if status < 400 || p.Code != "app_token_hash_mismatch" || p.NextStep == "" {
		t.Fatalf("a wrong token answered %d %s", status, body)
	}
	connection["app_token"] = token.Token
	var saved struct {
		ETag       string `json:"etag"`
		TokenLast4 string `json:"token_last4"`
		Diagnosis  struct {
			Checks []struct {
				ID, State string
				Needed    bool
			}
		}
	}
	if status, body := admin.call(http.MethodPut, path, connection, &saved); status != http.StatusOK {
		t.Fatalf("connecting answered %d %s", status, body)
	} else if bytes.Contains(body, []byte(token.Token)) {
		t.Fatal("the answer shows the App Token")
	}
	for _, c := range saved.Diagnosis.Checks {
		if c.Needed && c.State != "ok" {
			t.Errorf("check %s is %s", c.ID, c.State)
		}
	}
	if saved.TokenLast4 != token.Token[len(token.Token)-4:] {
		t.Errorf("last four characters are shown as %q", saved.TokenLast4)
	}
	participant := s.signIn("participant")
	status, body = participant.call(http.MethodPatch, path, map[string]any{"visibility": "own"}, nil,
		"If-Match", strconv.Quote(strings.Trim(saved.ETag, `"`)), "Content-Type", "application/merge-patch+json")
	if status != http.StatusForbidden {
		t.Errorf("a participant changing settings got %d %s", status, body)
	}
}

// send uploads a file by tus in two requests, with a kill -9 between them if asked, and finishes it.
func send(t *testing.T, c *caller, hub, file string, crash bool) string {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	var up upload
	in := map[string]any{"name": filepath.Base(file), "size": len(b), "content_type": "video/mp4"}
	if status, body := c.call(http.MethodPost, hub+"/uploads", in, &up); status != http.StatusCreated {
		t.Fatalf("creating an upload answered %d %s", status, body)
	}
	half := len(b) / 2
	if got := patch(t, c, up.TusURL, 0, b[:half]); got != int64(half) {
		t.Fatalf("offset after the first half is %d, want %d", got, half)
	}
	if crash {
		c.s.kill()
		c.s.start()
	}
	offset := head(t, c, up.TusURL)
	if offset != int64(half) {
		t.Fatalf("acknowledged %d bytes, the server knows %d", half, offset)
	}
	if status, body := c.call(http.MethodPost, hub+"/uploads/"+up.ID+"/finish", map[string]any{"size": len(b)}, nil); status != http.StatusConflict {
		t.Fatalf("finishing half a file answered %d %s", status, body)
	}
	patch(t, c, up.TusURL, offset, b[half:])
	sum := sha256.Sum256(b)
	finish := map[string]any{"size": len(b), "sha256": strings.Repeat("0", 64)}
	var p problem
	status, body := c.call(http.MethodPost, hub+"/uploads/"+up.ID+"/finish", finish, nil)
	if decode(t, body, &p); p.Code != "digest_mismatch" {
		t.Fatalf("a wrong digest answered %d %s", status, body)
	}
	finish["sha256"] = hex.EncodeToString(sum[:])
	for range 2 { // the second time is harmless
		if status, body := c.call(http.MethodPost, hub+"/uploads/"+up.ID+"/finish", finish, nil); status >= 300 {
			t.Fatalf("finish answered %d %s", status, body)
		}
	}
	return up.ID
}

func patch(t *testing.T, c *caller, tusURL string, offset int64, b []byte) int64 {
	t.Helper()
	resp := tus(t, c, http.MethodPatch, tusURL, bytes.NewReader(b), "Upload-Offset", strconv.FormatInt(offset, 10), "Content-Type", "application/offset+octet-stream")
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("PATCH answered %s", resp.Status)
	}
	n, _ := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
	return n
}

func head(t *testing.T, c *caller, tusURL string) int64 {
	t.Helper()
	resp := tus(t, c, http.MethodHead, tusURL, nil)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("HEAD answered %s", resp.Status)
	}
	n, _ := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
	return n
}

func tus(t *testing.T, c *caller, method, tusURL string, body io.Reader, header ...string) *http.Response {
	t.Helper()
	u, err := url.Parse(c.s.demo.BaseURL)
	must(t, err)
	u, err = u.Parse(tusURL)
	must(t, err)
	req, err := http.NewRequest(method, u.String(), body)
	must(t, err)
	req.Header.Set("Tus-Resumable", "1.0.0")
	req.Header.Set("Origin", c.s.demo.BaseURL)
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	must(t, err)
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp
}

func awaitReady(t *testing.T, c *caller, hub, id string) string {
	t.Helper()
	var up upload
	c.s.eventually("upload "+id+" to be ready", func() error {
		c.get(hub+"/uploads/"+id, &up)
		if up.State == "failed" || up.State == "cancelled" || up.State == "expired" {
			t.Fatalf("upload is %s: %+v", up.State, up.Error)
		}
		if up.State != "ready" {
			return fmt.Errorf("it is %s", up.State)
		}
		return nil
	})
	return up.EntryID
}

// playsDASH follows the playback address to a manifest and fetches what it names first.
func playsDASH(t *testing.T, c *caller, path string, spherical bool) {
	t.Helper()
	var pb playback
	c.get(path, &pb)
	if pb.Is360 != spherical || (pb.Projection == "equirectangular") != spherical {
		t.Errorf("projection is %q, is_360 %v", pb.Projection, pb.Is360)
	}
	manifest, at := fetch(t, c, c.s.demo.BaseURL, pb.DASH)
	var mpd struct {
		XMLName xml.Name `xml:"MPD"`
		Sets    []struct {
			Representations []struct {
				ID       string `xml:"id,attr"`
				Template struct {
					Init string `xml:"initialization,attr"`
				} `xml:"SegmentTemplate"`
			} `xml:"Representation"`
			Template struct {
				Init string `xml:"initialization,attr"`
			} `xml:"SegmentTemplate"`
		} `xml:"Period>AdaptationSet"`
	}
	must(t, xml.Unmarshal(manifest, &mpd))
	if len(mpd.Sets) == 0 || len(mpd.Sets[0].Representations) == 0 {
		t.Fatalf("manifest has no representation: %s", manifest)
	}
	r := mpd.Sets[0].Representations[0]
	init := r.Template.Init
	if init == "" {
		init = mpd.Sets[0].Template.Init
	}
	segment, _ := fetch(t, c, at, strings.ReplaceAll(init, "$RepresentationID$", r.ID))
	if !bytes.Contains(segment[:min(64, len(segment))], []byte("ftyp")) {
		t.Errorf("the init segment does not begin with ftyp")
	}
}

func fetch(t *testing.T, c *caller, base, ref string) ([]byte, string) {
	t.Helper()
	u, err := url.Parse(base)
	must(t, err)
	if u, err = u.Parse(ref); err != nil {
		t.Fatal(err)
	}
	resp, err := c.http.Get(u.String())
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s answered %s: %.300s", u.Path, resp.Status, b)
	}
	return b, resp.Request.URL.String()
}

func imports(t *testing.T, s *process, c *caller, hub, entry, original string) {
	ids := map[string]string{}
	for _, kind := range []string{"link", "copy"} {
		var first, again libraryImport
		in := map[string]any{"entry_id": entry, "kind": kind}
		if status, body := c.call(http.MethodPost, hub+"/library", in, &first); status != http.StatusAccepted && status != http.StatusOK {
			t.Fatalf("import as %s answered %d %s", kind, status, body)
		}
		c.call(http.MethodPost, hub+"/library", in, &again)
		if first.Item.ID == "" || first.Item.ID != again.Item.ID {
			t.Errorf("importing twice as %s gave %q and %q", kind, first.Item.ID, again.Item.ID)
		}
		ids[kind] = first.Item.ID
		s.eventually("the "+kind+" to be ready", func() error {
			var item struct {
				State string `json:"state"`
				Error any    `json:"error"`
			}
			c.get(hub+"/library/"+first.Item.ID, &item)
			if item.State == "failed" {
				t.Fatalf("import failed: %v", item.Error)
			}
			if item.State != "ready" {
				return fmt.Errorf("it is %s", item.State)
			}
			return nil
		})
		playsDASH(t, c, hub+"/library/"+first.Item.ID+"/playback", true)
	}
	if ids["link"] == ids["copy"] {
		t.Error("link and copy are one item")
	}
	if status, body := c.call(http.MethodPost, hub+"/library", map[string]any{"entry_id": "0_missing0", "kind": "link"}, nil); status != http.StatusNotFound {
		t.Errorf("importing a missing entry answered %d %s", status, body)
	}
}

// ownVisibility switches the connected hub: now a second person must not meet the first one's entry on any path.
func ownVisibility(t *testing.T, s *process, owner *caller, hub, entry string) {
	other := s.signIn("content_admin")
	other.get(hub+"/media/"+entry, nil) // shared: sees it
	admin := s.signIn("admin")
	var in struct {
		ETag string `json:"etag"`
	}
	admin.get(hub+"/integrations/kaltura", &in)
	var own tokenFile
	for _, token := range s.demo.Kaltura.AppTokens {
		if token.Visibility == "own" {
			own = token
		}
	}
	status, body := admin.call(http.MethodPatch, hub+"/integrations/kaltura",
		map[string]any{"visibility": "own", "app_token_id": own.ID, "app_token": own.Token, "hash_type": own.HashType}, nil,
		"If-Match", strconv.Quote(strings.Trim(in.ETag, `"`)), "Content-Type", "application/merge-patch+json")
	if status != http.StatusOK {
		t.Fatalf("switching to own answered %d %s", status, body)
	}
	for _, path := range []string{"", "/playback"} {
		if status, body := other.call(http.MethodGet, hub+"/media/"+entry+path, nil, nil); status != http.StatusNotFound {
			t.Errorf("another person's GET %s answered %d %s", path, status, body)
		}
		owner.get(hub+"/media/"+entry+path, nil)
	}
	for _, post := range []struct {
		path string
		in   any
	}{{"/library", map[string]any{"entry_id": entry, "kind": "link"}}, {"/media/" + entry + "/mark-360", map[string]any{}}} {
		if status, body := other.call(http.MethodPost, hub+post.path, post.in, nil); status != http.StatusNotFound {
			t.Errorf("another person's POST %s answered %d %s", post.path, status, body)
		}
	}
	var page mediaPage
	other.get(hub+"/media?source=kaltura", &page)
	for _, m := range page.Items {
		if m.ID == entry {
			t.Error("another person's entry is listed")
		}
	}
	if status, body := s.client().call(http.MethodGet, hub+"/media?source=kaltura", nil, nil); status != http.StatusForbidden {
		t.Errorf("a machine client in own mode got %d %s", status, body)
	}
}

// strangers checks that another hub's ids, a missing token and a cross-site cookie lead nowhere.
func strangers(t *testing.T, s *process, client, participant *caller, entry string) {
	foreign := "/v1/hubs/" + s.demo.UnconnectedHubID
	status, body := client.call(http.MethodGet, foreign+"/media/"+entry, nil, nil)
	statusUnknown, bodyUnknown := client.call(http.MethodGet, "/v1/hubs/hub_00000000000000000000000000/media/"+entry, nil, nil)
	if status != http.StatusNotFound || statusUnknown != http.StatusNotFound {
		t.Errorf("a client in another hub got %d, in an unknown one %d", status, statusUnknown)
	}
	var a, b problem
	decode(t, body, &a)
	decode(t, bodyUnknown, &b)
	if a.Code != b.Code || a.NextStep != b.NextStep {
		t.Errorf("another hub and an unknown one differ: %s, %s", body, bodyUnknown)
	}
	nobody := &caller{s: s, http: &http.Client{}}
	if status, _ := nobody.call(http.MethodGet, "/v1/me", nil, nil); status != http.StatusUnauthorized {
		t.Errorf("without credentials /v1/me answered %d", status)
	}
	if status, _ := participant.call(http.MethodPost, "/v1/hubs/"+s.demo.HubID+"/uploads", map[string]any{"name": "x.mp4", "size": 1}, nil,
		"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("a cross-site request with a cookie got %d", status)
	}
}

func decode(t *testing.T, b []byte, out any) {
	t.Helper()
	if err := json.Unmarshal(b, out); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
}
