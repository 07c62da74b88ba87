package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/openapi"
)

func TestProblems(t *testing.T) {
	r := newRig(t)
	ada := r.signIn("ada@example.org")
	hub := "/v1/hubs/" + r.hub["bio"]
	for name, try := range map[string]struct {
		method, path string
		body         any
		header       []string
		status       int
		code         string
		pointers     []string
	}{
		"no such route":      {"GET", "/v1/nothing", nil, nil, 404, "route_not_found", nil},
		"no such method":     {"PUT", "/v1/me", nil, nil, 405, "method_not_allowed", nil},
		"get of a post":      {"GET", hub + "/integrations/kaltura/verify", nil, nil, 405, "method_not_allowed", nil},
		"get of token":       {"GET", "/oauth2/token", nil, nil, 405, "method_not_allowed", nil},
		"download by tus":    {"GET", "/files/upl_x", nil, nil, 405, "method_not_allowed", nil},
		"no such hub":        {"GET", "/v1/hubs/hub_x", nil, nil, 404, "hub_not_found", nil},
		"page too large":     {"GET", hub + "/library?limit=501", nil, nil, 400, "bad_parameter", []string{"limit"}},
		"no number":          {"GET", hub + "/library?limit=many", nil, nil, 400, "bad_parameter", []string{"limit"}},
		"bad enum":           {"GET", hub + "/media?sort=best&type=video,smell", nil, nil, 400, "bad_parameter", []string{"sort", "type"}},
		"bad time":           {"GET", hub + "/media?created_after=yesterday", nil, nil, 400, "bad_parameter", []string{"created_after"}},
		"bad cursor":         {"GET", hub + "/library?cursor=abc", nil, nil, 400, "bad_cursor", []string{"cursor"}},
		"no JSON":            {"POST", hub + "/uploads", "name=x", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type", nil},
		"broken JSON":        {"POST", hub + "/uploads", `{"name":`, []string{"Content-Type", "application/json"}, 400, "bad_body", []string{""}},
		"two values":         {"POST", hub + "/uploads", `{"name":"a.mp4","size":1}{}`, []string{"Content-Type", "application/json"}, 400, "bad_body", nil},
		"missing fields":     {"POST", hub + "/uploads", map[string]any{"name": "a"}, nil, 400, "bad_body", []string{""}},
		"wrong types":        {"POST", hub + "/uploads", map[string]any{"name": 1, "size": "x"}, nil, 400, "bad_body", []string{"/name", "/size"}},
		"a field twice":      {"POST", hub + "/uploads", `{"name":"a.mp4","size":1,"name":"b.mp4"}`, []string{"Content-Type", "application/json"}, 400, "bad_body", []string{"/name"}},
		"twice, deeper":      {"PUT", hub + "/integrations/kaltura", `{"service_url":"https://k.example","partner_id":1,"x":[{"a":1,"a":2}]}`, []string{"Content-Type", "application/json"}, 400, "bad_body", []string{"/x/0/a"}},
		"otherwise written":  {"POST", hub + "/uploads", `{"name":"a.mp4","size":1,"Tags":[7]}`, []string{"Content-Type", "application/json"}, 400, "bad_body", []string{"/Tags"}},
		"cut off":            {"POST", hub + "/uploads", `{"name":"a.mp4","tags":[{`, []string{"Content-Type", "application/json"}, 400, "bad_body", []string{""}},
		"null":               {"POST", hub + "/uploads", `{"name":null,"size":1}`, []string{"Content-Type", "application/json"}, 400, "bad_body", []string{"/name"}},
		"only null":          {"POST", hub + "/uploads", `null`, []string{"Content-Type", "application/json"}, 400, "bad_body", nil},
		"unknown field":      {"POST", hub + "/uploads", map[string]any{"name": "a.mp4", "size": 1, "colour": "red"}, nil, 400, "bad_body", nil},
		"negative size":      {"POST", hub + "/uploads", map[string]any{"name": "a.mp4", "size": -1}, nil, 400, "bad_body", []string{"/size"}},
		"bad digest":         {"POST", hub + "/uploads/upl_x/finish", map[string]any{"size": 1, "sha256": "AB"}, nil, 400, "bad_body", []string{"/sha256"}},
		"value of an enum":   {"PUT", hub + "/integrations/kaltura", map[string]any{"service_url": "https://kaltura.example", "partner_id": "x", "app_token_id": "a", "app_token": "b", "hash_type": "SHA3", "visibility": "shared"}, nil, 400, "bad_body", []string{"/partner_id", "/hash_type"}},
		"number too large":   {"POST", hub + "/uploads", `{"name":"a.mp4","size":9223372036854775808}`, []string{"Content-Type", "application/json"}, 400, "bad_body", []string{"/size"}},
		"not UTF-8":          {"POST", hub + "/uploads", "{\"name\":\"\xff.mp4\",\"size\":1}", []string{"Content-Type", "application/json"}, 400, "bad_body", nil},
		"nested deep":        {"POST", hub + "/uploads", `{"name":"a.mp4","size":1,"tags":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, []string{"Content-Type", "application/json"}, 400, "bad_body", nil},
		"many wrong values":  {"POST", hub + "/uploads", `{"name":"a.mp4","size":1,"tags":[` + strings.Repeat("1,", 400_000) + `1]}`, []string{"Content-Type", "application/json"}, 400, "bad_body", nil},
		"parameter twice":    {"GET", hub + "/library?limit=1&limit=2", nil, nil, 400, "bad_parameter", nil},
		"huge body":          {"POST", hub + "/uploads", `{"name":"` + strings.Repeat("x", 2<<20) + `"}`, []string{"Content-Type", "application/json"}, 413, "body_too_large", nil},
		"not connected":      {"GET", hub + "/integrations/kaltura", nil, nil, 404, "not_connected", nil},
		"no version":         {"DELETE", hub + "/integrations/kaltura", nil, nil, 428, "if_match_required", nil},
		"nonsense version":   {"DELETE", hub + "/integrations/kaltura", nil, []string{"If-Match", `"abc"`}, 412, "stale", nil},
		"plan too low":       {"GET", "/v1/hubs/" + r.hub["free"] + "/integrations/kaltura", nil, nil, 403, "plan_too_low", nil},
		"create by tus":      {"POST", "/files/", nil, []string{"Tus-Resumable", "1.0.0"}, 400, "create_by_rest", nil},
		"forged thumbnail":   {"GET", "/thumbs/abc", nil, nil, 404, "no_thumbnail", nil},
		"forged playback":    {"GET", "/play/abc/stream.mpd", nil, nil, 404, "no_such_file", nil},
		"bad event id":       {"GET", "/v1/events?hub=" + r.hub["bio"], nil, []string{"Last-Event-ID", "x"}, 400, "bad_event_id", []string{"Last-Event-ID"}},
		"unknown invitation": {"GET", "/v1/connect/" + gateway.NewToken(), nil, nil, 404, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := ada.on(t).want(try.status, try.method, try.path, try.body, try.header...)
			p := a.problem(t)
			if try.code != "" && p.Code != try.code {
				t.Errorf("code %q, want %q", p.Code, try.code)
			}
			if p.NextStep == nil || p.Detail == nil {
				t.Errorf("it does not say what to do: %s", a.body)
			}
			var got []string
			if p.Errors != nil {
				for _, e := range *p.Errors {
					got = append(got, e.Pointer)
				}
			}
			for _, want := range try.pointers {
				if !contains(got, want) {
					t.Errorf("%q is not among the errors: %s", want, a.body)
				}
			}
			if try.status == 405 && a.Header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			if len(a.body) > 10_000 {
				t.Errorf("an answer of %d bytes", len(a.body))
			}
			if cc := a.Header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
				t.Errorf("Cache-Control %q", cc)
			}
		})
	}
}

func contains(in []string, want string) bool {
	for _, s := range in {
		if s == want {
			return true
		}
	}
	return false
}

// TestValuesAreNotRepeated sends secrets where they do not belong.
func TestValuesAreNotRepeated(t *testing.T) {
	r := newRig(t)
	ada := r.signIn("ada@example.org")
	const secret = "s3cr3t-value-that-must-not-come-back"
	path := "/v1/hubs/" + r.hub["bio"] + "/integrations/kaltura"
	for _, body := range []any{
		map[string]any{"service_url": "x", "partner_id": secret, "app_token_id": "a", "app_token": strings.Repeat(secret, 20), "hash_type": secret, "visibility": secret},
		map[string]any{"service_url": r.base + "/kaltura", "partner_id": 1, "app_token_id": "a", "app_token": secret, "hash_type": "SHA256", "visibility": "shared"},
	} {
		for _, try := range []struct{ method, path string }{{"PUT", path}, {"POST", path + "/verify"}, {"POST", "/v1/connect/" + secret}} {
			a := ada.do(try.method, try.path, body)
			if bytes.Contains(a.body, []byte(secret)) {
				t.Errorf("%s %s repeats the secret: %s", try.method, try.path, a.body)
			}
		}
	}
	if strings.Contains(r.log.String(), secret) {
		t.Errorf("the secret is in the log: %s", r.log)
	}
}

func TestTraceAndHeaders(t *testing.T) {
	r := newRig(t)
	c := r.anonymous()
	a := c.want(401, "GET", "/v1/me", nil, "X-Request-Id", "mine-1", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if p := a.problem(t); p.TraceID != "4bf92f3577b34da6a3ce929d0e0e4736" || *p.Instance != "/v1/me" || a.Header.Get("X-Request-Id") != "mine-1" {
		t.Errorf("ids: %s %v", a.body, a.Header)
	}
	a = c.want(401, "GET", "/v1/me", nil, "X-Request-Id", "evil id\"")
	if id := a.Header.Get("X-Request-Id"); !strings.HasPrefix(id, "req_") {
		t.Errorf("request id %q", id)
	}
	a = c.want(200, "GET", "/library", nil)
	if string(a.body) != "the page" {
		t.Errorf("page: %s", a.body)
	}
	csp := a.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "script-src 'self' 'wasm-unsafe-eval'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%q is not in %q", want, csp)
		}
	}
	if strings.Contains(csp, "unsafe-inline") || a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Referrer-Policy") == "" {
		t.Errorf("headers: %v", a.Header)
	}
	secret := gateway.NewToken()
	a = c.want(404, "GET", "/v1/connect/"+secret, nil)
	if p := a.problem(t); p.Instance != nil || strings.Contains(r.log.String(), secret) {
		t.Error("an invitation's secret is repeated")
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		c.want(200, "GET", path, nil)
	}
	if !bytes.Equal(c.want(200, "GET", "/openapi.yaml", nil).body, openapi.YAML) {
		t.Error("openapi.yaml differs")
	}
	if a := c.do(http.MethodHead, "/library", nil); a.StatusCode != 200 {
		t.Errorf("HEAD: %d", a.StatusCode)
	}
}

// Whoever sends a body byte by byte does not hold a connection for ever.
func TestSlowBodiesEnd(t *testing.T) {
	r := newRig(t)
	r.signIn("ada@example.org")
	token := r.client(r.hub["bio"], gateway.ScopeUploadsWrite).bearer
	r.api.BodyTime(50 * time.Millisecond)
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "POST /v1/hubs/%s/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", r.hub["bio"], token)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil { // only ends a test that would hang
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal("the server waits for ever:", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode < 400 {
		t.Error(resp.Status)
	}
	r.api.BodyTime(time.Minute)
	a := r.signIn("pat@example.org").do("POST", "/v1/hubs/"+r.hub["bio"]+"/uploads", map[string]any{"name": "a.mp4", "size": 1})
	if a.StatusCode >= 500 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
