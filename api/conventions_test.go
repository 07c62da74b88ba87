package api_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/api"
	"isthmus/gateway"
	"isthmus/openapi"
	"isthmus/store"
	"isthmus/store/storetest"
)

func TestIdempotencyKey(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		r := newRigOn(t, db)
		ada, hub := connected(t, r, "shared")
		pat := r.signIn("pat@example.org")
		body := map[string]any{"name": "a.mp4", "size": 1000}
		first := pat.want(201, "POST", hub+"/uploads", body, "Idempotency-Key", "k1")
		again := pat.want(201, "POST", hub+"/uploads", body, "Idempotency-Key", "k1")
		if !bytes.Equal(first.body, again.body) || again.Header.Get("Location") != first.Header.Get("Location") || again.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("repeated: %s %v", again.body, again.Header)
		}
		if other := pat.want(201, "POST", hub+"/uploads", body, "Idempotency-Key", "k2"); bytes.Equal(first.body, other.body) {
			t.Error("another key gave the same upload")
		}
		if p := pat.want(422, "POST", hub+"/uploads", map[string]any{"name": "b.mp4", "size": 1000}, "Idempotency-Key", "k1").problem(t); p.Code != "idempotency_key_reused" {
			t.Errorf("another body: %s", p.Code)
		}
		if a := ada.want(201, "POST", hub+"/uploads", body, "Idempotency-Key", "k1"); bytes.Equal(a.body, first.body) {
			t.Error("somebody else got the answer")
		}
		// A refusal had no effect: the same key may be used for the corrected request.
		pat.want(400, "POST", hub+"/uploads", map[string]any{"name": "a.mp4"}, "Idempotency-Key", "k3")
		pat.want(201, "POST", hub+"/uploads", body, "Idempotency-Key", "k3")
		pat.want(400, "POST", hub+"/uploads", body, "Idempotency-Key", strings.Repeat("x", 256))
		if a := pat.want(201, "POST", hub+"/uploads", body, "Idempotency-Key", "schlüssel-\xff"); bytes.Equal(a.body, first.body) ||
			!bytes.Equal(a.body, pat.want(201, "POST", hub+"/uploads", body, "Idempotency-Key", "schlüssel-\xff").body) {
			t.Error("a key of any bytes")
		}
		var page openapi.UploadPage
		pat.want(200, "GET", hub+"/uploads", nil).into(t, &page)
		if len(page.Items) != 4 {
			t.Errorf("%d uploads", len(page.Items))
		}

		// A secret that is shown once is shown again to whoever lost the answer, and lies nowhere in clear.
		hook := map[string]any{"url": "https://hooks.example.org/in", "events": []string{"*"}}
		var made, same openapi.WebhookCreated
		ada.want(201, "POST", hub+"/webhooks", hook, "Idempotency-Key", "my-own-key-1").into(t, &made)
		ada.want(201, "POST", hub+"/webhooks", hook, "Idempotency-Key", "my-own-key-1").into(t, &same)
		var list openapi.WebhookList
		ada.want(200, "GET", hub+"/webhooks", nil).into(t, &list)
		if made.Secret == "" || made.Secret != same.Secret || len(list.Items) != 1 {
			t.Errorf("%+v %+v", made.Webhook, list)
		}
		if o.DSN == "" {
			keptThroughACrash(t, r, ada, hub, storetest.SQL(t, o))
		}
		rows, err := storetest.SQL(t, o).QueryContext(t.Context(), "SELECT id, owner, state, header, answer FROM idempotency_keys WHERE state = 'done'")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		n := 0
		for ; rows.Next(); n++ {
			var id, owner, state, header, answer []byte
			if err := rows.Scan(&id, &owner, &state, &header, &answer); err != nil {
				t.Fatal(err)
			}
			if all := fmt.Sprintf("%s %s %s %s", id, owner, header, answer); strings.Contains(all, "whsec_") || strings.Contains(all, "hooks.example.org") || strings.Contains(all, "my-own-key") {
				t.Error("the answer lies in clear", all)
			}
		}
		if n < 5 || rows.Err() != nil {
			t.Error(n, rows.Err())
		}
	})
}

// keptThroughACrash makes whatever shows a secret once, on a server that dies whenever the effect is
// committed and the answer is not: the repeated request gets the same secret all the same.
func keptThroughACrash(t *testing.T, r *rig, ada *caller, hub string, db *sql.DB) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), `CREATE TRIGGER dies BEFORE UPDATE ON idempotency_keys WHEN OLD.state = 'effect' BEGIN SELECT RAISE(ABORT, 'the process died'); END`); err != nil {
		t.Fatal(err)
	}
	if err := r.operators.Ensure(t.Context(), r.base+"/demo-idp", subjectOf(t, r, "ada@example.org"), "Ada"); err != nil {
		t.Fatal(err)
	}
	n := 0
	twice := func(status int, path string, body any) map[string]any {
		t.Helper()
		n++
		header := []string{"Idempotency-Key", fmt.Sprint("crash-", n)}
		first := ada.want(status, "POST", path, body, header...)
		again := ada.want(status, "POST", path, body, header...)
		if !bytes.Equal(first.body, again.body) || again.Header.Get("Idempotency-Replayed") != "true" || first.Header.Get("ETag") != again.Header.Get("ETag") ||
			first.Header.Get("Location") != again.Header.Get("Location") {
			t.Errorf("%s:\n%s %v\n%s %v", path, first.body, first.Header, again.body, again.Header)
		}
		var out map[string]any
		first.into(t, &out)
		return out
	}
	app := map[string]any{"name": "Sync", "type": "machine", "scopes": []string{"media:read"}}
	overlap := map[string]any{"overlap_seconds": 0}
	one := twice(201, hub+"/clients", app)
	twice(200, hub+"/clients/"+one["client"].(map[string]any)["id"].(string)+"/secret", overlap)
	twice(201, hub+"/integrations/kaltura/notifications", nil)
	app["hub"] = r.hub["bio"]
	one = twice(201, "/v1/operator/clients", app)
	twice(200, "/v1/operator/clients/"+one["client"].(map[string]any)["id"].(string)+"/secret", overlap)
	twice(201, "/v1/operator/hubs", map[string]any{"issuer": "https://id.spaces.example", "external_id": "lakeside", "name": "Lakeside"})
	idp := twice(201, "/v1/operator/identity-providers", map[string]any{"issuer": "https://id.spaces.example", "client_id": "isthmus"})
	twice(201, "/v1/operator/identity-providers/"+idp["id"].(string)+"/webhook-secret", nil)
	// What does not keep its answer says so, and is not done twice.
	header := []string{"Idempotency-Key", "crash-operator"}
	body := map[string]any{"issuer": "https://id.spaces.example", "subject": "otto", "name": "Otto"}
	ada.want(201, "POST", "/v1/operator/operators", body, header...)
	if p := ada.want(409, "POST", "/v1/operator/operators", body, header...).problem(t); p.Code != "outcome_unknown" && p.Code != "request_in_progress" {
		t.Errorf("%+v", p)
	}
	if _, err := db.ExecContext(t.Context(), "DROP TRIGGER dies"); err != nil {
		t.Fatal(err)
	}
}

// 100 identical POSTs at once, with one key: one effect; everybody gets its answer or is told to wait.
func TestParallelRequestsWithOneKey(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		r := newRigOn(t, db)
		_, hub := connected(t, r, "shared")
		pat := r.signIn("pat@example.org")
		answers := make([]answer, 100)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				answers[i] = pat.do("POST", hub+"/uploads", map[string]any{"name": "a.mp4", "size": 1000}, "Idempotency-Key", "same")
			})
		}
		wg.Wait()
		var body []byte
		for _, a := range answers {
			switch {
			case a.StatusCode == 409 && a.problem(t).Code == "request_in_progress" && a.Header.Get("Retry-After") != "":
			case a.StatusCode != 201:
				t.Errorf("%d %s", a.StatusCode, a.body)
			case body == nil:
				body = a.body
			case !bytes.Equal(a.body, body):
				t.Errorf("two effects: %s %s", a.body, body)
			}
		}
		var page openapi.UploadPage
		pat.want(200, "GET", hub+"/uploads", nil).into(t, &page)
		if len(page.Items) != 1 || body == nil {
			t.Errorf("%d uploads", len(page.Items))
		}
	})
}

// Every operation that creates takes a key, and every change of settings an If-Match: openapi.yaml says so.
func TestConventionsAreDescribed(t *testing.T) {
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	policies := api.Policies()
	for _, r := range c.routes {
		id, has := r.Operation.OperationID, map[string]bool{}
		for _, p := range r.Operation.Parameters {
			has[p.Value.Name] = true
		}
		if r.Method == http.MethodPost && !policies[id].Public && !has["Idempotency-Key"] {
			t.Errorf("%s takes no Idempotency-Key", id)
		}
		if id != "listLibraryChanges" && has["cursor"] != strings.Contains(fmt.Sprint(headerNames(r)), "Link") {
			t.Errorf("%s has pages without Link, or Link without pages", id)
		}
		if r.Operation.Responses.Default() == nil {
			t.Errorf("%s does not describe its problems", id)
		}
	}
}

func headerNames(r contractRoute) (names []string) {
	for _, status := range []string{"200", "201", "202"} {
		if resp := r.Operation.Responses.Value(status); resp != nil {
			for name := range resp.Value.Headers {
				names = append(names, name)
			}
		}
	}
	return names
}

func TestConditionalReads(t *testing.T) {
	r := newRig(t)
	ada, hub := connected(t, r, "shared")
	for _, path := range []string{"/v1/me", hub, hub + "/library", hub + "/integrations/kaltura", hub + "/members", "/v1/event-types"} {
		a := ada.want(200, "GET", path, nil)
		tag := a.Header.Get("ETag")
		if !strings.HasPrefix(tag, `"`) || len(tag) < 10 {
			t.Errorf("%s: ETag %q", path, tag)
		}
		for _, asked := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
			if b := ada.want(304, "GET", path, nil, "If-None-Match", asked); len(b.body) != 0 || b.Header.Get("ETag") != tag {
				t.Errorf("%s: %s %v", path, b.body, b.Header)
			}
		}
		ada.want(200, "GET", path, nil, "If-None-Match", `"other"`)
	}
	// The tag follows what is shown, and serves as If-Match.
	path := hub + "/integrations/kaltura"
	tag := ada.want(200, "GET", path, nil).Header.Get("ETag")
	change := map[string]any{"mapping_mode": "needs_approval"}
	ada.want(412, "PATCH", path, change, "If-Match", "W/"+tag)
	ada.want(412, "PATCH", path, change, "If-Match", `"v99", `+tag)
	ada.want(428, "PATCH", path, change, "If-Match", "*")
	ada.want(200, "PATCH", path, change, "If-Match", `"other", `+tag+`,"v0"`)
	ada.want(412, "PATCH", path, map[string]any{"mapping_mode": "off"}, "If-Match", tag)
	if now := ada.want(200, "GET", path, nil, "If-None-Match", tag).Header.Get("ETag"); now == tag {
		t.Error("the tag stays although it changed")
	}
}

func TestRateLimits(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		r := newRigLimited(t, db, api.RateLimits{User: 40, Client: 30, Hub: 60, Address: 50})
		pat, ada := r.signIn("pat@example.org"), r.signIn("ada@example.org")
		hub := "/v1/hubs/" + r.hub["bio"]
		until429 := func(c *caller, path string) (n int, a answer) {
			t.Helper()
			for ; n < 200; n++ {
				if a = c.do("GET", path, nil); a.StatusCode == 429 {
					return n, a
				}
			}
			t.Fatal("there is no limit")
			return
		}
		a := pat.want(200, "GET", hub, nil)
		if p, l := a.Header.Get("RateLimit-Policy"), a.Header.Get("RateLimit"); p != `"user";q=40;w=60, "hub";q=60;w=60` || !strings.HasPrefix(l, `"user";r=3`) || !strings.Contains(l, `, "hub";r=59;t=`) {
			t.Errorf("%q %q", p, l)
		}
		n, a := until429(pat, hub)
		if p := a.problem(t); n < 30 || n > 45 || p.Code != "rate_limited" || !p.Retryable || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Header.Get("RateLimit"), `"user";r=0;t=`) {
			t.Errorf("after %d: %s %v", n, a.body, a.Header)
		}
		ada.want(200, "GET", "/v1/me", nil) // somebody else is not held up
		// The hub's limit is used up by its people only.
		eve := r.signIn("eve@example.org")
		for range 20 {
			eve.want(404, "GET", hub, nil)
		}
		if a := ada.want(200, "GET", hub, nil); !strings.Contains(a.Header.Get("RateLimit"), `"hub";r=2`) && !strings.Contains(a.Header.Get("RateLimit"), `"hub";r=1`) {
			t.Errorf("%q", a.Header.Get("RateLimit"))
		}
		if n, a := until429(ada, hub); n > 35 || !strings.Contains(string(a.body), "hub") && !strings.Contains(string(a.body), "user") {
			t.Errorf("after %d: %s", n, a.body)
		}
		// Another server on the same database knows.
		again := newLimitsOf(r)
		if _, err := again.Take(t.Context(), gateway.LimitOf{Limit: gateway.Limit{Name: "hub", Quota: 60, Window: time.Minute}, Key: "hub:" + r.hub["bio"]}); err != nil {
			gatewayWant(t, err)
		}
		if n, _ := until429(r.anonymous(), "/v1/event-types"); n < 20 {
			t.Errorf("an address had %d", n)
		}
		// The authorization server counts as well: who does not authenticate by address, others as the client.
		c, secret, err := r.access.NewClient(t.Context(), r.hub["bio"], "App", []string{gateway.ScopeMediaRead})
		if err != nil {
			t.Fatal(err)
		}
		machine := url.Values{"grant_type": {"client_credentials"}}
		token := func(header ...string) answer { return r.anonymous().do("POST", "/oauth2/token", machine, header...) }
		for path, a := range map[string]answer{
			"token": token(), "authorize": r.anonymous().do("GET", "/oauth2/authorize", nil), "keys": r.anonymous().do("GET", "/oauth2/keys", nil),
		} {
			if a.StatusCode != 429 || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Header.Get("RateLimit"), `"address";r=0;t=`) {
				t.Errorf("%s from an address that has used up its limit: %d %v", path, a.StatusCode, a.Header)
			}
		}
		for n = 0; n < 100; n++ {
			if a = token("Authorization", basic(c.ID, secret.Reveal())); a.StatusCode != 200 {
				break
			}
		}
		if n < 30 || n > 35 || a.StatusCode != 429 || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Header.Get("RateLimit"), `"client";r=0;t=`) {
			t.Errorf("a client had %d tokens, then: %d %s %v", n, a.StatusCode, a.body, a.Header)
		}
	})
}

func newLimitsOf(r *rig) *gateway.Limits {
	return &gateway.Limits{Store: r.db, Clock: gateway.SystemClock}
}

func gatewayWant(t *testing.T, err error) {
	t.Helper()
	if gateway.CodeOf(err) != gateway.RateLimited {
		t.Error(err)
	}
}

func TestPreferWait(t *testing.T) {
	r := newRig(t)
	_, hub := connected(t, r, "shared")
	pat := r.signIn("pat@example.org")
	var u openapi.Upload
	pat.want(201, "POST", hub+"/uploads", map[string]any{"name": "a.mp4", "size": 1000}).into(t, &u)
	path := hub + "/uploads/" + u.ID
	if a := pat.want(200, "GET", path, nil, "Prefer", "respond-async, wait=1; x=y, handling=lenient"); a.Header.Get("Preference-Applied") != "respond-async, wait=1" {
		t.Errorf("%v", a.Header)
	}
	if a := pat.want(200, "GET", path, nil, "Prefer", "wait=soon, wait=-1"); a.Header.Get("Preference-Applied") != "" {
		t.Errorf("%v", a.Header)
	}
	// The answer comes as soon as the work is over, long before the time is.
	begun := make(chan struct{})
	done := make(chan answer, 1)
	go func() {
		close(begun)
		done <- pat.do("GET", path, nil, "Prefer", "wait=40")
	}()
	<-begun
	pat.want(200, "DELETE", path, nil)
	select {
	case a := <-done:
		if a.into(t, &u); u.State != openapi.UploadStateCancelled || a.Header.Get("Preference-Applied") != "wait=40" {
			t.Errorf("%s %v", a.body, a.Header)
		}
	case <-time.After(30 * time.Second):
		t.Error("it waits on although the upload is over")
	}
}

func TestTraceContext(t *testing.T) {
	r := newRig(t)
	c := r.anonymous()
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for header, want := range map[string]bool{
		"00-" + trace + "-00f067aa0ba902b7-01":                    true,
		"cc-" + trace + "-00f067aa0ba902b7-01-later":              true, // a later version
		"00-" + trace + "-00f067aa0ba902b7-01-more":               false,
		"ff-" + trace + "-00f067aa0ba902b7-01":                    false,
		"00-" + trace + "-0000000000000000-01":                    false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": false,
		"00-" + strings.ToUpper(trace) + "-00f067aa0ba902b7-01":   false,
	} {
		a := c.want(401, "GET", "/v1/me", nil, "traceparent", header)
		p, parts := a.problem(t), strings.Split(a.Header.Get("traceparent"), "-")
		if len(parts) != 4 || parts[1] != p.TraceID || (p.TraceID == trace) != want || parts[2] == "00f067aa0ba902b7" || want && parts[3] != "01" {
			t.Errorf("%s: %v %s", header, parts, p.TraceID)
		}
		if !strings.Contains(r.log.String(), `"trace_id":"`+p.TraceID+`","span_id":"`+parts[2]+`"`) {
			t.Errorf("%s is not in the log", p.TraceID)
		}
	}
}

func TestListEvents(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		r := newRigOn(t, db)
		pat, ada := r.signIn("pat@example.org"), r.signIn("ada@example.org")
		path := "/v1/hubs/" + r.hub["bio"] + "/events"
		say := func(audience, subject string) {
			t.Helper()
			if err := db.Tx(t.Context(), func(tx gateway.Tx) error {
				return r.events.Append(t.Context(), tx, r.hub["bio"], audience, "upload.ready", subject, map[string]any{"n": 1})
			}); err != nil {
				t.Fatal(err)
			}
		}
		read := func(c *caller, query url.Values) openapi.EventPage {
			t.Helper()
			var p openapi.EventPage
			c.want(200, "GET", path+"?"+query.Encode(), nil).into(t, &p)
			return p
		}
		now := read(pat, url.Values{"from": {"now"}})
		if len(now.Items) != 0 || now.Next == "" || now.More {
			t.Fatalf("%+v", now)
		}
		for i := range 5 {
			say("", fmt.Sprint("thing_", i))
		}
		say("par_else", "secret_thing")
		var seen []string
		cursor := now.Next
		for range 10 {
			p := read(pat, url.Values{"cursor": {cursor}, "limit": {"2"}})
			for _, e := range p.Items {
				seen = append(seen, e.Subject)
				if e.ID == nil || !strings.HasPrefix(*e.ID, "evt_") || e.Timestamp == nil || *e.HubID != r.hub["bio"] {
					t.Errorf("%+v", e)
				}
			}
			if cursor = p.Next; !p.More {
				break
			}
		}
		if strings.Join(seen, " ") != "thing_0 thing_1 thing_2 thing_3 thing_4" {
			t.Errorf("%v", seen)
		}
		say("", "thing_5")
		if p := read(pat, url.Values{"cursor": {cursor}}); len(p.Items) != 1 || p.Items[0].Subject != "thing_5" || p.More {
			t.Errorf("%+v", p)
		}
		if p := read(ada, url.Values{}); len(p.Items) < 7 {
			t.Errorf("an admin sees %d", len(p.Items))
		}
		pat.want(400, "GET", path+"?cursor=abc", nil)
		// What is too old to be told is noticed, not skipped.
		if _, err := db.Events().Trim(t.Context(), time.Now().Add(time.Hour), 500); err != nil {
			t.Fatal(err)
		}
		if p := pat.want(410, "GET", path+"?cursor="+now.Next, nil).problem(t); now.Next != "" && p.Code != "events_gone" {
			t.Errorf("%+v", p)
		}
		read(pat, url.Values{})
	})
}

func TestEventTypesAreShown(t *testing.T) {
	r := newRig(t)
	var list openapi.EventTypeList
	r.anonymous().want(200, "GET", "/v1/event-types", nil).into(t, &list)
	if len(list.Items) != len(gateway.EventTypes) {
		t.Error(len(list.Items))
	}
}

// What the rig checks answers with does find what is wrong.
func TestContractIsChecked(t *testing.T) {
	req, err := http.NewRequestWithContext(context.Background(), "GET", "http://x/v1/hubs/hub_1/webhooks/whe_1", nil)
	if err != nil {
		t.Fatal(err)
	}
	good := http.Header{"Content-Type": {"application/json"}, "Traceparent": {"x"}, "X-Request-Id": {"x"}, "Cache-Control": {"x"}}
	const hook = `{"id":"w","etag":"v1","url":"u","description":"","events":["*"],"state":"enabled","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}`
	for name, try := range map[string]struct {
		status int
		header http.Header
		body   string
		right  bool
	}{
		"right":        {200, good, hook, true},
		"missing":      {200, good, `{"id":"w"}`, false},
		"wrong enum":   {200, good, strings.Replace(hook, "enabled", "on", 1), false},
		"wrong status": {201, good, hook, false},
		"wrong type":   {200, http.Header{"Content-Type": {"text/plain"}, "Traceparent": {"x"}, "X-Request-Id": {"x"}, "Cache-Control": {"x"}}, hook, false},
		"no trace":     {200, http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"x"}, "Cache-Control": {"x"}}, hook, false},
		"bare problem": {404, http.Header{"Content-Type": {"application/problem+json"}, "Traceparent": {"x"}, "X-Request-Id": {"x"}, "Cache-Control": {"x"}}, `{"title":"no"}`, false},
	} {
		probe := &failing{TB: t}
		kept(probe, req, &http.Response{StatusCode: try.status, Header: try.header}, []byte(try.body))
		if probe.failed == try.right {
			t.Errorf("%s: failed %v", name, probe.failed)
		}
	}
}

// failing notes that a test would have failed.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Errorf(string, ...any) { f.failed = true }
