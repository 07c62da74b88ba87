package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"isthmus/gateway"
	"isthmus/openapi"
	"isthmus/store"
	"isthmus/store/storetest"
)

// TestAppActsForAPerson goes the whole way of an app: consent, tokens, refresh, revocation by the person.
func TestAppActsForAPerson(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, newRigOn(t, db))
		p := newProof()
		a := h.authorize(h.pat, h.ask(h.web, p))
		to := a.Header.Get("Location")
		var ask openapi.ConsentAsk
		h.pat.want(200, "GET", "/v1/me/consents/"+strings.TrimPrefix(to, "/consent/"), nil).into(t, &ask)
		if ask.Client.Name != h.web.Name || *ask.ReturnsTo != "rooms.example" || len(ask.Hubs) != 1 || ask.Hubs[0].Allowed ||
			len(ask.Scopes) != 1 || ask.Scopes[0].Title == "" {
			t.Fatalf("asked: %+v", ask)
		}
		location := h.consent(h.pat, to, "bio", "allow")
		if !strings.HasPrefix(location, webReply+"&") {
			t.Fatalf("answer: %s", location)
		}
		got := h.token(&h.web, redeem(h.web, h.back(location).Get("code"), p))
		if got.Status != 200 || got.Scope != "library:read" || got.ExpiresIn != 600 || got.Refresh == "" {
			t.Fatalf("tokens: %+v", got)
		}
		app := h.anonymous()
		app.bearer = got.Access
		var me openapi.Me
		app.want(200, "GET", "/v1/me", nil).into(t, &me)
		if me.Kind != openapi.MeKindPerson || *me.Email != "pat@example.org" || *me.ClientID != h.web.ID || len(me.Hubs) != 1 {
			t.Errorf("me: %+v", me)
		}
		if !h.works(got.Access) {
			t.Error("the token does not open the library")
		}
		if p := app.want(403, "GET", "/v1/hubs/"+h.hub["bio"]+"/uploads", nil).problem(t); p.Code != "missing_scope" || !strings.Contains(*p.Detail, "uploads:write") {
			t.Errorf("without the scope: %+v", p)
		}
		app.want(404, "GET", "/v1/hubs/"+h.hub["other"]+"/library", nil)
		for _, path := range []string{"/v1/me/grants", "/v1/me/consents/arq_x", "/v1/me/devices/BCDF-GHJK"} {
			if p := app.want(403, "GET", path, nil).problem(t); p.Code != "session_required" {
				t.Errorf("%s with a token: %s", path, p.Code)
			}
		}

		next := h.token(&h.web, refresh(got.Refresh))
		if next.Status != 200 || next.Refresh == got.Refresh || !h.works(next.Access) || !h.works(got.Access) {
			t.Fatalf("refresh: %+v", next)
		}

		// What was allowed is remembered, in its scopes only.
		p = newProof()
		if a := h.authorize(h.pat, h.ask(h.web, p)); !strings.HasPrefix(a.Header.Get("Location"), webReply) {
			t.Errorf("asked again: %s", a.Header.Get("Location"))
		}
		if a := h.authorize(h.pat, h.ask(h.web, p, "scope", "media:read library:read")); !strings.HasPrefix(a.Header.Get("Location"), "/consent/") {
			t.Errorf("more scopes without a question: %s", a.Header.Get("Location"))
		}
		if a := h.authorize(h.ada, h.ask(h.web, p, "prompt", "none")); h.back(a.Header.Get("Location")).Get("error") != "consent_required" {
			t.Errorf("another person: %s", a.Header.Get("Location"))
		}
		if a := h.authorize(h.anonymous(), h.ask(h.web, p, "prompt", "none")); h.back(a.Header.Get("Location")).Get("error") != "login_required" {
			t.Errorf("nobody: %s", a.Header.Get("Location"))
		}

		mine := h.grants(h.pat)
		if len(mine) != 1 || mine[0].Client.ID != h.web.ID || mine[0].LastUsedAt == nil || len(h.grants(h.ada)) != 0 {
			t.Fatalf("grants: %+v", mine)
		}
		h.ada.want(404, "DELETE", "/v1/me/grants/"+mine[0].ID, nil)
		h.pat.want(204, "DELETE", "/v1/me/grants/"+mine[0].ID, nil)
		h.pat.want(204, "DELETE", "/v1/me/grants/"+mine[0].ID, nil)
		if a := app.want(401, "GET", "/v1/me", nil); !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="invalid_token"`) || !strings.Contains(a.Header.Get("WWW-Authenticate"), "/.well-known/oauth-protected-resource") {
			t.Errorf("revoked: %v", a.Header)
		}
		if again := h.token(&h.web, refresh(next.Refresh)); again.Error != "invalid_grant" {
			t.Errorf("refresh after the revocation: %+v", again)
		}
		if len(h.grants(h.pat)) != 0 {
			t.Error("the revoked grant is listed")
		}
		log := h.log.String()
		for _, secret := range []string{got.Access, got.Refresh, next.Refresh, h.secrets[h.web.ID], h.back(location).Get("code"), p.verifier} {
			if strings.Contains(log, secret) {
				t.Error("a secret is in the log")
			}
		}
		audit, err := db.Audit().List(t.Context(), gateway.Scope(h.hub["bio"]), gateway.AuditFilter{}, gateway.Slice{})
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, line := range audit {
			count[line.Action]++
		}
		if count["grant.allow"] != 1 || count["token.issue"] != 2 || count["grant.revoke"] != 1 {
			t.Errorf("audit: %v", count)
		}
		h.run(t, "text that no database keeps", (*house).oddText)
		h.run(t, "one wins", (*house).oneWins)
	})
}

// oddText: what Postgres and SQLite cannot keep, or do not keep alike, is refused before it comes to them.
func (h *house) oddText(t *testing.T) {
	for _, odd := range []string{"\x00", "\xff", "cli\x00x"} {
		for _, path := range []string{"/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/oauth2/device_authorization"} {
			form := refresh(odd)
			form.Set("client_id", odd)
			form.Set("token", odd)
			if got := h.post(path, nil, form); got.Status != 400 || got.Error != "invalid_request" {
				t.Errorf("%s with %q: %+v", path, odd, got)
			}
		}
		if got := h.token(nil, refresh("x"), "Authorization", basic(url.QueryEscape(odd), "x")); got.Status != 400 && got.Status != 401 {
			t.Errorf("the header with %q: %+v", odd, got)
		}
		for _, name := range []string{"client_id", "redirect_uri", "state", "scope", "code_challenge", "prompt"} {
			if a := h.authorize(h.pat, h.ask(h.web, newProof(), name, odd)); a.StatusCode != 400 {
				t.Errorf("%s is %q: %d", name, odd, a.StatusCode)
			}
		}
		assertion := h.assertion(h.keyed.ID, func(c jwt.MapClaims) { c["iss"], c["sub"] = odd, odd })
		if got := h.token(nil, url.Values{
			"grant_type": {"client_credentials"}, "client_assertion": {assertion},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		}); got.Status != 401 {
			t.Errorf("an assertion of %q: %+v", odd, got)
		}
	}
}

// TestRightsOfToday: a token says who it is of; what they may do is looked up.
func TestRightsOfToday(t *testing.T) {
	h := newHouse(t, newRig(t))
	admin := h.app(gateway.Client{Type: gateway.ClientWeb, AuthMethod: gateway.AuthSecret, RedirectURIs: []string{webReply}, Scopes: gateway.AllScopes}, "bio")
	p := newProof()
	got := h.token(&admin, redeem(admin, h.code(h.ada, admin, p, "scope", ""), p))
	app := h.anonymous()
	app.bearer = got.Access
	members := "/v1/hubs/" + h.hub["bio"] + "/members"
	app.want(200, "GET", members, nil)
	id := gateway.Identity{
		Issuer: h.base + "/demo-idp", Subject: subjectOf(t, h.rig, "ada@example.org"), Email: "ada@example.org", EmailVerified: true, Name: "Ada",
		Memberships: []gateway.Membership{{HubExternalID: "bio", Plan: gateway.PlanUniversity, Role: gateway.RoleParticipant}},
	}
	if _, err := h.hubs.SignIn(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if p := app.want(403, "GET", members, nil).problem(t); p.Code != "not_admin" {
		t.Errorf("no admin any more: %s", p.Code)
	}
	if !h.works(got.Access) {
		t.Error("a participant's right is gone, too")
	}
	id.Memberships = nil
	if _, err := h.hubs.SignIn(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	app.want(404, "GET", members, nil)
	if again := h.token(&admin, refresh(got.Refresh)); again.Error != "invalid_grant" {
		t.Errorf("refresh of who left: %+v", again)
	}

	// A disabled client is nobody at once, also where it acts for itself.
	machine := h.client(h.hub["bio"], gateway.ScopeLibraryRead)
	var me openapi.Me
	machine.want(200, "GET", "/v1/me", nil).into(t, &me)
	c, err := h.db.Clients().Get(t.Context(), gateway.AnyHub, *me.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	now := gateway.SystemClock()
	c.DisabledAt = &now
	if err := h.db.Clients().Update(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	machine.want(401, "GET", "/v1/me", nil)
}

// oneWins: of many that use a code, a refresh token or a device code at once, one gets tokens.
func (h *house) oneWins(t *testing.T) {
	race := func(what string, n int, send func() tokens) {
		t.Helper()
		var mu sync.Mutex
		var won []tokens
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				got := send()
				mu.Lock()
				defer mu.Unlock()
				switch {
				case got.Access != "":
					won = append(won, got)
				case got.Error != "invalid_grant":
					t.Errorf("%s: %+v", what, got)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%s: %d won", what, len(won))
		}
		// Used twice means seen by two: nothing that came of it works on.
		if h.works(won[0].Access) {
			t.Errorf("%s: the winner's access token works", what)
		}
		if again := h.token(&h.native, refresh(won[0].Refresh)); again.Error != "invalid_grant" {
			t.Errorf("%s: the winner refreshes: %+v", what, again)
		}
	}
	p := newProof()
	code := h.code(h.pat, h.native, p)
	race("code", 10, func() tokens { return h.token(&h.native, redeem(h.native, code, p)) })
	first := h.signedIn(h.pat, h.native)
	race("refresh token", 20, func() tokens { return h.token(&h.native, refresh(first.Refresh)) })
	device, user := h.device(h.native)
	h.pat.want(204, "POST", "/v1/me/devices/"+user, map[string]any{"decision": "allow", "hub_id": h.hub["bio"]})
	race("device code", 10, func() tokens { return h.token(&h.native, poll(device)) })
}

// TestAppTokens: the other ways to tokens, and what apps learn of them, at one server.
func TestAppTokens(t *testing.T) {
	h := newHouse(t, newRig(t))
	h.run(t, "exchange", (*house).exchanges)
	h.run(t, "introspection and revocation", (*house).looksInto)
	h.run(t, "device", (*house).devices)
}

func (h *house) devices(t *testing.T) {
	device, user := h.device(h.native)
	if got := h.token(&h.native, poll(device)); got.Error != "authorization_pending" || got.Status != 400 {
		t.Fatalf("pending: %+v", got)
	}
	if got := h.token(&h.native, poll(device)); got.Error != "slow_down" {
		t.Fatalf("too soon: %+v", got)
	}
	var ask openapi.ConsentAsk
	typed := strings.ToLower(strings.ReplaceAll(user, "-", " "))
	h.ada.want(200, "GET", "/v1/me/devices/"+url.PathEscape(typed), nil).into(t, &ask)
	if ask.Client.Type != openapi.AppShownTypeNative || len(ask.Hubs) != 2 || ask.ReturnsTo != nil { // a client for all hubs
		t.Fatalf("asked: %+v", ask)
	}
	h.ada.want(404, "POST", "/v1/me/devices/"+user, map[string]any{"decision": "allow", "hub_id": h.hub["other"]})
	h.ada.want(204, "POST", "/v1/me/devices/"+user, map[string]any{"decision": "allow", "hub_id": h.hub["free"]})
	h.ada.want(404, "POST", "/v1/me/devices/"+user, map[string]any{"decision": "deny"})
	got := h.token(&h.native, poll(device))
	app := h.anonymous()
	app.bearer = got.Access
	var me openapi.Me
	app.want(200, "GET", "/v1/me", nil).into(t, &me)
	if me.Hubs[0].ID != h.hub["free"] || *me.Email != "ada@example.org" {
		t.Errorf("me: %+v", me)
	}

	var a answer
	for range 60 {
		if a = h.pat.do("GET", "/v1/me/devices/ZZZZ-ZZZZ", nil); a.StatusCode != 404 {
			break
		}
	}
	if a.StatusCode != 429 || a.Header.Get("Retry-After") == "" {
		t.Errorf("guessing user codes: %d %s", a.StatusCode, a.body)
	}
}

func (h *house) exchanges(t *testing.T) {
	got := h.token(&h.machine, exchange(h.idToken("pat@example.org"), "id_token"))
	if got.Status != 200 || got.Issued != "urn:ietf:params:oauth:token-type:access_token" || !strings.EqualFold(got.Type, "bearer") || got.Scope != "media:read library:read" || !h.works(got.Access) {
		t.Fatalf("exchange: %+v", got)
	}
	app := h.anonymous()
	app.bearer = got.Access
	var me openapi.Me
	app.want(200, "GET", "/v1/me", nil).into(t, &me)
	if *me.Email != "pat@example.org" || me.Hubs[0].ID != h.hub["bio"] {
		t.Errorf("me: %+v", me)
	}
	mine := h.grants(h.pat)
	if len(mine) != 1 || mine[0].Via != openapi.AppGrantViaExchange {
		t.Fatalf("grants: %+v", mine)
	}
	h.pat.want(204, "DELETE", "/v1/me/grants/"+mine[0].ID, nil)
	if h.works(got.Access) {
		t.Error("works after the revocation")
	}
	if again := h.token(&h.machine, exchange(h.idToken("pat@example.org"), "id_token")); again.Error != "invalid_request" || again.Access != "" {
		t.Errorf("the revocation does not last: %+v", again)
	}
	if mine = h.grants(h.pat); len(mine) != 1 || mine[0].RevokedAt == nil {
		t.Fatalf("grants: %+v", mine)
	}
	h.pat.want(204, "POST", "/v1/me/grants/"+mine[0].ID+"/allow", nil)
	if again := h.token(&h.machine, exchange(h.idToken("pat@example.org"), "id_token")); again.Status != 200 || h.works(got.Access) {
		t.Errorf("allowed again: %+v", again)
	}
}

func (h *house) looksInto(t *testing.T) {
	got := h.signedIn(h.pat, h.web)
	other := h.app(gateway.Client{Type: gateway.ClientMachine, AuthMethod: gateway.AuthSecret, Scopes: gateway.AllScopes}, "other")
	look := func(c gateway.Client, token string) map[string]any {
		t.Helper()
		var out map[string]any
		a := h.anonymous().want(200, "POST", "/oauth2/introspect", url.Values{"token": {token}}, "Authorization", basic(c.ID, h.secrets[c.ID]))
		if err := json.Unmarshal(a.body, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	in := look(h.web, got.Access)
	if in["active"] != true || in["client_id"] != h.web.ID || in["scope"] != "library:read" || in["hub"] != h.hub["bio"] || in["iss"] != h.base || in["exp"] == nil {
		t.Errorf("access token: %v", in)
	}
	if in = look(h.web, got.Refresh); in["active"] != true || in["token_type"] != "refresh_token" {
		t.Errorf("refresh token: %v", in)
	}
	for what, in := range map[string]map[string]any{
		"another hub's client": look(other, got.Access), "another hub's client, refresh token": look(other, got.Refresh), "garbage": look(h.machine, "x"),
	} {
		if len(in) != 1 || in["active"] != false {
			t.Errorf("%s: %v", what, in)
		}
	}
	if r := h.post("/oauth2/introspect", nil, url.Values{"token": {got.Access}, "client_id": {h.web.ID}}); r.Status == 200 {
		t.Error("introspection without authentication")
	}
	if r := h.post("/oauth2/introspect", nil, url.Values{"token": {got.Access}, "client_id": {h.native.ID}}); r.Status == 200 {
		t.Error("introspection by a public client")
	}

	// Others' tokens are left alone, and the answer does not tell.
	for _, token := range []string{got.Access, got.Refresh, "x"} {
		if r := h.post("/oauth2/revoke", &other, url.Values{"token": {token}}); r.Status != 200 {
			t.Errorf("revoke: %+v", r)
		}
	}
	if !h.works(got.Access) || look(h.web, got.Refresh)["active"] != true {
		t.Error("another client revoked it")
	}
	second := h.token(&h.web, refresh(got.Refresh))
	if r := h.post("/oauth2/revoke", &h.web, url.Values{"token": {got.Access}, "token_type_hint": {"refresh_token"}}); r.Status != 200 || h.works(got.Access) || !h.works(second.Access) {
		t.Errorf("one access token: %+v", r)
	}
	if r := h.post("/oauth2/revoke", &h.web, url.Values{"token": {second.Refresh}}); r.Status != 200 || h.works(second.Access) {
		t.Errorf("refresh token: %+v", r)
	}
	if in := look(h.web, second.Access); in["active"] != false {
		t.Errorf("revoked: %v", in)
	}
}

func TestCORS(t *testing.T) {
	h := newHouse(t, newRig(t))
	c := h.anonymous()
	for _, path := range []string{"/oauth2/token", "/oauth2/revoke"} {
		for origin, want := range map[string]string{"https://page.example": "https://page.example", "https://evil.example": "", "null": "", `%`: "", "https://page.example.evil": ""} {
			a := c.want(204, "OPTIONS", path, nil, "Origin", origin, "Access-Control-Request-Method", "POST")
			if got := a.Header.Get("Access-Control-Allow-Origin"); got != want || a.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s from %s: %q", path, origin, got)
			}
		}
	}
	library := "/v1/hubs/" + h.hub["bio"] + "/library"
	for origin, want := range map[string]string{"https://page.example": "https://page.example", "https://evil.example": ""} {
		a := c.do("OPTIONS", library, nil, "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
		if got := a.Header.Get("Access-Control-Allow-Origin"); a.StatusCode != 204 || got != want {
			t.Errorf("API from %s: %d %q", origin, a.StatusCode, got)
		}
		// Also a refusal can be read, and a cookie opens nothing to another page.
		if a := h.pat.want(200, "GET", library, nil, "Origin", origin); a.Header.Get("Access-Control-Allow-Origin") != want || a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("API with a cookie from %s: %v", origin, a.Header)
		}
		if a := c.want(401, "GET", library, nil, "Origin", origin); a.Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("refusal from %s: %v", origin, a.Header)
		}
	}
	p := newProof()
	code := h.code(h.pat, h.browser, p)
	if got := h.token(&h.browser, redeem(h.browser, code, p), "Origin", "https://evil.example"); got.Error != "invalid_client" {
		t.Errorf("another page redeems the code: %+v", got)
	}
	if got := h.token(&h.browser, redeem(h.browser, code, p), "Origin", "https://page.example"); got.Status != 200 {
		t.Errorf("the app's own page: %+v", got)
	}
	if a := c.want(404, "OPTIONS", "/oauth2/nothing", nil, "Origin", "https://page.example"); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("CORS everywhere")
	}
	h.run(t, "metadata", (*house).metadata)
}

func (h *house) metadata(t *testing.T) {
	c := h.anonymous()
	var meta map[string]any
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		c.want(200, "GET", path, nil, "Host", "evil.example").into(t, &meta)
		if meta["issuer"] != h.base || fmt.Sprint(meta["code_challenge_methods_supported"]) != "[S256]" || meta["authorization_response_iss_parameter_supported"] != true {
			t.Errorf("%s: %v", path, meta)
		}
		for name, v := range meta {
			if u, _ := v.(string); strings.HasSuffix(name, "_endpoint") && !strings.HasPrefix(u, h.base+"/") {
				t.Errorf("%s is at %s", name, u)
			}
		}
	}
	var resource struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
	}
	c.want(200, "GET", "/.well-known/oauth-protected-resource", nil).into(t, &resource)
	if resource.Resource != h.base || !slices.Equal(resource.Servers, []string{h.base}) {
		t.Errorf("resource: %+v", resource)
	}
	if a := c.want(401, "GET", "/v1/me", nil); !strings.Contains(a.Header.Get("WWW-Authenticate"), `resource_metadata="`+h.base+`/.well-known/oauth-protected-resource"`) {
		t.Errorf("challenge: %v", a.Header["Www-Authenticate"])
	}
}
