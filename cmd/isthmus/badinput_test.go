package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"isthmus/media/mediatest"
)

// TestBadInput sends a running server what people, clients and attackers get wrong. Every refusal
// must say what is wrong and what to do, show no secret, and spoil nothing else.
func TestBadInput(t *testing.T) {
	if testing.Short() {
		t.Skip("starts whole servers")
	}
	t.Parallel()
	clip := filepath.Join(t.TempDir(), "clip.mp4")
	must(t, mediatest.Clip{Seconds: 1, Width: 160, Height: 90}.Make(t.Context(), clip))
	eachServer(t, func(t *testing.T, s *process) {
		b := &badInput{
			process: s, hub: "/v1/hubs/" + s.demo.HubID, other: "/v1/hubs/" + s.demo.UnconnectedHubID,
			admin: s.signIn("admin"), pia: s.signIn("participant"), carl: s.signIn("content_admin"), client: s.client(),
		}
		awaitReady(t, b.pia, b.hub, send(t, b.pia, b.hub, clip, false))
		for _, part := range []struct {
			name string
			run  func(*testing.T)
		}{
			{"connection", b.connection},
			{"not an admin", b.notAdmin},
			{"other hub's ids", b.foreignIDs},
			{"names", b.names},
			{"tus", b.tusErrors},
			{"odd requests", b.oddRequests},
			{"files", b.files},
			{"deleted entry", b.deletedEntry},
			{"quota", b.quota},
			{"revoked token", b.revokedToken},
		} {
			t.Run(part.name, part.run)
		}
		s.kill()
		s.check()
	}, withoutMedia)
}

type badInput struct {
	*process
	hub, other               string
	admin, pia, carl, client *caller
}

// answer is a whole HTTP answer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (b *badInput) ask(t *testing.T, c *caller, method, path string, body io.Reader, header ...string) answer {
	t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.demo.BaseURL + path
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, path, body)
	must(t, err)
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	} else {
		req.Header.Set("Origin", b.demo.BaseURL)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	must(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	return answer{resp.StatusCode, resp.Header, raw}
}

// refused expects a problem that a person can act on.
func (b *badInput) refused(t *testing.T, c *caller, method, path string, in any, status int, code string, header ...string) answer {
	t.Helper()
	var body io.Reader
	switch v := in.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(v)
	default:
		raw, err := json.Marshal(v)
		must(t, err)
		body = bytes.NewReader(raw)
		header = append([]string{"Content-Type", "application/json"}, header...)
	}
	a := b.ask(t, c, method, path, body, header...)
	b.explained(t, method+" "+path, a, status, code)
	return a
}

func (b *badInput) explained(t *testing.T, what string, a answer, status int, code string) {
	t.Helper()
	what = what[:min(len(what), 120)]
	var p struct {
		problem
		Detail string `json:"detail"`
		Status int    `json:"status"`
	}
	if err := json.Unmarshal(a.body, &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: not a problem: %d %s %.300s", what, a.status, a.header.Get("Content-Type"), a.body)
		return
	}
	if a.status != status || p.Status != status || p.Code != code {
		t.Errorf("%s: answered %d %s, want %d %s: %s", what, a.status, p.Code, status, code, a.body)
	}
	if p.Detail == "" || p.NextStep == "" || p.TraceID == "" {
		t.Errorf("%s: says too little: %s", what, a.body)
	}
	b.tellsNoSecret(t, what, a.body)
}

func (b *badInput) tellsNoSecret(t *testing.T, what string, body []byte) {
	t.Helper()
	secrets := []string{b.demo.ClientSecret, b.demo.Kaltura.AdminSecret, b.demo.Kaltura.UserSecret, wrongToken}
	for _, token := range b.demo.Kaltura.AppTokens {
		secrets = append(secrets, token.Token)
	}
	for _, secret := range secrets {
		if bytes.Contains(body, []byte(secret)) {
			t.Errorf("%s: tells a secret: %s", what, body)
		}
	}
}

const wrongToken = "0123456789abcdef0123456789abcdef"

// connection: what an admin may paste wrongly, before the right thing works.
func (b *badInput) connection(t *testing.T) {
	path := b.other + "/integrations/kaltura"
	good := b.demo.Kaltura.AppTokens[0]
	var expired struct{ ID, Token string }
	b.kaltura("appToken", "add", map[string]any{"appToken": map[string]any{
		"objectType": "KalturaAppToken", "hashType": "SHA256", "sessionPrivileges": "list:*", "expiry": time.Now().Add(-time.Hour).Unix(),
	}}, &expired)
	with := func(change ...any) map[string]any {
		in := map[string]any{
			"service_url": b.demo.Kaltura.ServiceURL, "partner_id": b.demo.Kaltura.PartnerID, "app_token_id": good.ID,
			"app_token": good.Token, "hash_type": good.HashType, "visibility": "shared",
		}
		for i := 0; i < len(change); i += 2 {
			in[change[i].(string)] = change[i+1]
		}
		return in
	}
	type try struct {
		in    map[string]any
		code  string
		field string
	}
	tries := []try{
		{with("app_token", wrongToken), "app_token_hash_mismatch", "/app_token"},
		{with("hash_type", "SHA1"), "app_token_hash_mismatch", "/app_token"},
		{with("hash_type", "CRC32"), "bad_body", "/hash_type"},
		{with("app_token_id", "0_nowhere1"), "app_token_not_found", "/app_token_id"},
		{with("app_token_id", "../../etc"), "app_token_id", "/app_token_id"},
		{with("app_token_id", expired.ID, "app_token", expired.Token), "app_token_expired", "/app_token_id"},
		{with("partner_id", 4711), "partner_unknown", "/partner_id"},
		{with("partner_id", 0), "bad_body", "/partner_id"},
		{with("visibility", "everyone"), "bad_body", "/visibility"},
		{with("service_url", "http://www.kaltura.com"), "service_url_not_https", "/service_url"},
		{with("service_url", "https://user:"+wrongToken+"@www.kaltura.com"), "service_url", "/service_url"},
		{with("service_url", "https://www.kaltura.com/?ks=1"), "service_url", "/service_url"},
		{with("service_url", "https://www.kaltura.com:22"), "service_url_port", "/service_url"},
		{with("service_url", b.demo.BaseURL), "service_url_not_https", "/service_url"}, // ourselves, but not the embedded platform
		{with("service_url", "https://"), "service_url", "/service_url"},
	}
	for _, internal := range []string{"127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "[fd00::1]", "localhost", "localhost."} {
		tries = append(tries, try{with("service_url", "https://"+internal), "service_url_internal", "/service_url"})
	}
	for _, numeric := range []string{"2130706433", "0x7f000001", "0177.0.0.1", "127.1"} {
		tries = append(tries, try{with("service_url", "https://"+numeric), "service_url_host", "/service_url"})
	}
	for _, try := range tries {
		for method, p := range map[string]string{http.MethodPut: path, http.MethodPost: path + "/verify"} {
			a := b.ask(t, b.admin, method, p, jsonBody(t, try.in), "Content-Type", "application/json")
			what := fmt.Sprintf("%s %v", method, try.in)
			b.tellsNoSecret(t, what, a.body)
			if method == http.MethodPost && a.status == http.StatusOK {
				if !diagnosisFails(t, a.body) { // a diagnosis is an answer, not a refusal
					t.Errorf("%s: found nothing wrong: %s", what, a.body)
				}
				continue
			}
			b.explained(t, what, a, http.StatusBadRequest, try.code)
			if !bytes.Contains(a.body, []byte(`"pointer":"`+try.field+`"`)) {
				t.Errorf("%s: does not point to %s: %s", what, try.field, a.body)
			}
		}
	}
	b.refused(t, b.admin, http.MethodGet, path, nil, http.StatusNotFound, "not_connected")
	b.refused(t, b.pia, http.MethodGet, b.other+"/media", nil, http.StatusNotFound, "not_connected")
	// After so much wrong, the right thing still works.
	if status, body := b.admin.call(http.MethodPut, path, with(), nil); status != http.StatusOK {
		t.Fatalf("connecting answered %d %s", status, body)
	}
	b.refused(t, b.admin, http.MethodPatch, path, map[string]any{"visibility": "own"}, http.StatusPreconditionRequired, "if_match_required")
	b.refused(t, b.admin, http.MethodPatch, path, map[string]any{"visibility": "own"}, http.StatusPreconditionFailed, "stale", "If-Match", `"v999"`)
	// A saved token is never sent to another server.
	b.refused(t, b.admin, http.MethodPost, path+"/verify", map[string]any{"service_url": "https://evil.example"}, http.StatusBadRequest, "token_required")
}

func jsonBody(t *testing.T, in any) io.Reader {
	t.Helper()
	raw, err := json.Marshal(in)
	must(t, err)
	return bytes.NewReader(raw)
}

// diagnosisFails tells whether a needed check failed, each failure with a way out.
func diagnosisFails(t *testing.T, body []byte) bool {
	t.Helper()
	var d struct {
		Checks []struct {
			State, Text, Fix string
			Needed           bool
		}
	}
	decode(t, body, &d)
	failed := false
	for _, c := range d.Checks {
		if c.State == "failed" {
			failed = failed || c.Needed
			if c.Text == "" || c.Fix == "" {
				t.Errorf("a failed check gives no way out: %s", body)
			}
		}
	}
	return failed
}

func (b *badInput) notAdmin(t *testing.T) {
	path := b.hub + "/integrations/kaltura"
	for _, c := range []*caller{b.pia, b.carl} {
		for _, try := range []struct {
			method, path string
			in           any
		}{
			{http.MethodGet, path, nil},
			{http.MethodPut, path, map[string]any{
				"service_url": b.demo.Kaltura.ServiceURL, "partner_id": 1, "app_token_id": "a", "app_token": wrongToken, "hash_type": "SHA256", "visibility": "shared",
			}},
			{http.MethodPatch, path, map[string]any{"visibility": "own"}},
			{http.MethodDelete, path, nil},
			{http.MethodPost, path + "/verify", map[string]any{}},
			{http.MethodGet, path + "/impact", nil},
			{http.MethodPost, path + "/invites", map[string]any{}},
			{http.MethodGet, b.hub + "/mappings", nil},
			{http.MethodGet, b.hub + "/members", nil},
		} {
			b.refused(t, c, try.method, try.path, try.in, http.StatusForbidden, "not_admin", "If-Match", `"v1"`)
		}
	}
	nobody := &caller{s: b.process, http: &http.Client{}}
	b.refused(t, nobody, http.MethodGet, b.hub+"/media", nil, http.StatusUnauthorized, "not_signed_in")
	forged := &caller{s: b.process, http: &http.Client{}, bearer: b.client.bearer[:len(b.client.bearer)-4] + "AAAA"}
	if a := b.ask(t, forged, http.MethodGet, b.hub+"/media", nil); a.status != http.StatusUnauthorized {
		t.Errorf("a forged token answered %d %s", a.status, a.body)
	}
}

// foreignIDs: an id of another hub answers exactly as one that was never given out.
func (b *badInput) foreignIDs(t *testing.T) {
	// Pia is in both hubs; what she has in the other one is not to be reached through this one.
	var page mediaPage
	b.pia.get(b.other+"/media", &page)
	if len(page.Items) == 0 {
		t.Fatal("the other hub has no media")
	}
	var imported libraryImport
	if status, body := b.pia.call(http.MethodPost, b.other+"/library", map[string]any{"entry_id": page.Items[0].ID, "kind": "link"}, &imported); status >= 300 {
		t.Fatalf("import: %d %s", status, body)
	}
	var up upload
	if status, body := b.pia.call(http.MethodPost, b.other+"/uploads", map[string]any{"name": "a.mp4", "size": 10}, &up); status != http.StatusCreated {
		t.Fatalf("upload: %d %s", status, body)
	}
	var mappings struct{ Items []struct{ ID string } }
	b.admin.get(b.other+"/mappings", &mappings)
	if len(mappings.Items) == 0 {
		t.Fatal("the other hub has no mapping")
	}
	ids := []struct{ known, unknown string }{
		{imported.Item.ID, "lib_00000000000000000000000000"},
		{up.ID, "upl_00000000000000000000000000"},
		{imported.Job.ID, "job_00000000000000000000000000"},
		{mappings.Items[0].ID, "map_00000000000000000000000000"},
	}
	finish := map[string]any{"size": 10}
	for _, try := range []struct {
		c            *caller
		method, path string // %s is the id
		in           any
		id           int
	}{
		{b.pia, http.MethodGet, "/library/%s", nil, 0},
		{b.pia, http.MethodGet, "/library/%s/playback", nil, 0},
		{b.pia, http.MethodPatch, "/library/%s", map[string]any{"shared": true}, 0},
		{b.pia, http.MethodDelete, "/library/%s", nil, 0},
		{b.admin, http.MethodDelete, "/library/%s", nil, 0},
		{b.pia, http.MethodGet, "/uploads/%s", nil, 1},
		{b.pia, http.MethodDelete, "/uploads/%s", nil, 1},
		{b.pia, http.MethodPost, "/uploads/%s/finish", finish, 1},
		{b.pia, http.MethodPost, "/uploads/%s/extend", nil, 1},
		{b.pia, http.MethodPost, "/uploads/%s/retry", nil, 1},
		{b.admin, http.MethodGet, "/uploads/%s", nil, 1},
		{b.pia, http.MethodGet, "/jobs/%s", nil, 2},
		{b.pia, http.MethodDelete, "/jobs/%s", nil, 2},
		{b.admin, http.MethodPatch, "/mappings/%s", map[string]any{"platform_user_id": "carl.curator"}, 3},
		{b.admin, http.MethodDelete, "/mappings/%s", nil, 3},
	} {
		var told []string
		for _, id := range []string{ids[try.id].known, ids[try.id].unknown} {
			a := b.ask(t, try.c, try.method, b.hub+fmt.Sprintf(try.path, id), bodyOf(t, try.in), "Content-Type", "application/json", "If-Match", `"v1"`)
			if a.status != http.StatusNotFound {
				t.Errorf("%s %s answered %d %s", try.method, try.path, a.status, a.body)
			}
			told = append(told, timeless(a.body, id))
		}
		if told[0] != told[1] {
			t.Errorf("%s %s tells a foreign id from an unknown one:\n%s\n%s", try.method, try.path, told[0], told[1])
		}
	}
	// The client belongs to this hub only: the whole other hub is as unknown as one that does not exist.
	const noHub = "hub_00000000000000000000000000"
	for _, path := range []string{
		"", "/members", "/integrations/kaltura", "/mappings", "/media", "/media/" + page.Items[0].ID, "/media/" + page.Items[0].ID + "/playback",
		"/library", "/library/" + imported.Item.ID, "/uploads", "/uploads/" + up.ID, "/jobs", "/jobs/" + imported.Job.ID,
	} {
		foreign := b.ask(t, b.client, http.MethodGet, b.other+path, nil)
		unknown := b.ask(t, b.client, http.MethodGet, "/v1/hubs/"+noHub+path, nil)
		if foreign.status != http.StatusNotFound || timeless(foreign.body, b.demo.UnconnectedHubID) != timeless(unknown.body, noHub) {
			t.Errorf("GET %s of a foreign hub: %d %s, of an unknown one: %d %s", path, foreign.status, foreign.body, unknown.status, unknown.body)
		}
	}
	for _, c := range []*caller{b.client, b.carl, b.admin} { // an admin may see an upload, not write into it
		for _, method := range []string{http.MethodPatch, http.MethodDelete} {
			foreign := b.tus(t, c, method, up.TusURL, 0, []byte("0123456789"))
			unknown := b.tus(t, c, method, strings.Replace(up.TusURL, up.ID, ids[1].unknown, 1), 0, []byte("0123456789"))
			if foreign.status != http.StatusNotFound || timeless(foreign.body, up.ID) != timeless(unknown.body, ids[1].unknown) {
				t.Errorf("tus %s by a stranger: %d %s, unknown: %d %s", method, foreign.status, foreign.body, unknown.status, unknown.body)
			}
		}
	}
	b.pia.get(b.other+"/library/"+imported.Item.ID, nil)
	b.pia.get(b.other+"/uploads/"+up.ID, &up)
	if up.State != "receiving" || up.Offset != 0 {
		t.Errorf("strangers changed the upload: %+v", up)
	}
	b.cancel(t, b.other, up.ID)
}

func bodyOf(t *testing.T, in any) io.Reader {
	if in == nil {
		return nil
	}
	return jsonBody(t, in)
}

var traceID = regexp.MustCompile(`"trace_id":"[^"]*"`)

// timeless leaves out of a problem what must differ.
func timeless(body []byte, id string) string {
	return strings.ReplaceAll(traceID.ReplaceAllString(string(body), ""), id, "ID")
}
