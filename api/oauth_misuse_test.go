package api_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"isthmus/gateway"
)

// TestOAuthMisuse is the list of RFC 9700's and others' attacks and mistakes: each gets the error that
// its RFC names, and nobody ever a token.
func TestOAuthMisuse(t *testing.T) {
	h := newHouse(t, newRig(t))
	foreign := h.app(gateway.Client{Type: gateway.ClientWeb, AuthMethod: gateway.AuthSecret, RedirectURIs: []string{webReply}, Scopes: gateway.AllScopes}, "other")
	off := h.app(gateway.Client{Type: gateway.ClientWeb, AuthMethod: gateway.AuthSecret, RedirectURIs: []string{webReply}, Scopes: gateway.AllScopes}, "bio")

	// At the authorization endpoint: "local" errors go nowhere, the others back to the client.
	for _, try := range []struct {
		name   string
		client gateway.Client
		change []string
		want   string
	}{
		{"no PKCE", h.web, []string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
		{"PKCE plain", h.web, []string{"code_challenge_method", "plain"}, "invalid_request"},
		{"PKCE without a method", h.web, []string{"code_challenge_method", ""}, "invalid_request"},
		{"challenge too short", h.web, []string{"code_challenge", "abc"}, "invalid_request"},
		{"challenge with padding", h.web, []string{"code_challenge", newProof().challenge + "="}, "invalid_request"},
		{"implicit grant", h.web, []string{"response_type", "token"}, "unsupported_response_type"},
		{"hybrid flow", h.web, []string{"response_type", "code id_token"}, "unsupported_response_type"},
		{"no response type", h.web, []string{"response_type", ""}, "invalid_request"},
		{"answer in the fragment", h.web, []string{"response_mode", "fragment"}, "invalid_request"},
		{"answer by a form", h.web, []string{"response_mode", "form_post"}, "invalid_request"},
		{"request object", h.web, []string{"request", "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"},
		{"request by address", h.web, []string{"request_uri", "https://evil.example/r"}, "request_uri_not_supported"},
		{"scope of another", h.web, []string{"scope", "library:read connections:admin"}, "invalid_scope"},
		{"scope that is none", h.web, []string{"scope", "root"}, "invalid_scope"},
		{"another API", h.web, []string{"resource", "https://else.example"}, "invalid_target"},
		{"prompt none and more", h.web, []string{"prompt", "none consent"}, "invalid_request"},
		{"endless state", h.web, []string{"state", strings.Repeat("s", 3000)}, "invalid_request"},
		{"a machine asks people", h.machine, nil, "unauthorized_client"},
		{"unknown client", gateway.Client{Row: gateway.Row{ID: "cli_nobody"}, RedirectURIs: []string{webReply}}, nil, "local"},
		{"no client", h.web, []string{"client_id", ""}, "local"},
		{"no redirect URI", h.web, []string{"redirect_uri", ""}, "local"},
		{"another client's redirect URI", h.web, []string{"redirect_uri", h.browser.RedirectURIs[0]}, "local"},
	} {
		a := h.authorize(h.pat, h.ask(try.client, newProof(), try.change...))
		to := a.Header.Get("Location")
		if try.want == "local" {
			if a.StatusCode != 400 || to != "" || !strings.Contains(a.Header.Get("Content-Type"), "text/html") {
				t.Errorf("%s: %d to %q", try.name, a.StatusCode, to)
			}
			continue
		}
		q := h.back(to)
		if a.StatusCode != 303 || !strings.HasPrefix(to, webReply+"&") || q.Get("error") != try.want || q.Get("iss") != h.base || q.Has("code") {
			t.Errorf("%s: %d to %q, want %s", try.name, a.StatusCode, to, try.want)
		}
	}
	twice := h.ask(h.web, newProof())
	twice.Add("scope", "media:read")
	if a := h.authorize(h.pat, twice); h.back(a.Header.Get("Location")).Get("error") != "invalid_request" {
		t.Errorf("scope twice: %v", a.Header)
	}

	// At the token endpoint. form gives what is sent; as is whom it is sent as, nil for nobody.
	p := newProof()
	code := func() string { return h.code(h.pat, h.web, p) }
	with := func(form url.Values, change ...string) url.Values {
		for i := 0; i+1 < len(change); i += 2 {
			form.Del(change[i])
			if change[i+1] != "" {
				form.Set(change[i], change[i+1])
			}
		}
		return form
	}
	asserted := func(assertion string) url.Values {
		return url.Values{
			"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion": {assertion},
		}
	}
	claim := func(name string, v any) url.Values {
		return asserted(h.assertion(h.keyed.ID, func(c jwt.MapClaims) {
			if c[name] = v; v == nil {
				delete(c, name)
			}
		}))
	}
	changeCode := func(code string, f func(*gateway.AuthorizationCode)) string {
		c, err := h.db.AuthorizationCodes().Get(t.Context(), gateway.AnyHub, sha256hex(code))
		if err != nil {
			t.Fatal(err)
		}
		f(&c)
		if err := h.db.AuthorizationCodes().Update(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
		return code
	}
	replayed := h.assertion(h.keyed.ID, nil)
	if got := h.token(nil, asserted(replayed)); got.Status != 200 {
		t.Fatalf("the assertion is no good: %+v", got)
	}
	withSecret := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": h.keyed.ID, "sub": h.keyed.ID, "aud": h.base, "jti": "1", "exp": time.Now().Add(time.Minute).Unix(),
	})
	confused, err := withSecret.SignedString([]byte(h.keyed.JWKS))
	if err != nil {
		t.Fatal(err)
	}
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(replayed, ".")[1] + "."
	used := h.signedIn(h.pat, h.web)
	if got := h.token(&h.web, refresh(used.Refresh)); got.Status != 200 {
		t.Fatal(got)
	}
	ended := h.signedIn(h.pat, h.web)
	h.post("/oauth2/revoke", &h.web, url.Values{"token": {ended.Refresh}})
	live := h.signedIn(h.pat, h.web)
	mobile := h.signedIn(h.pat, h.native)
	denied, user := h.device(h.native)
	h.pat.want(204, "POST", "/v1/me/devices/"+user, map[string]any{"decision": "deny"})
	waiting, _ := h.device(h.native)
	disabledCode := func() string {
		code := h.code(h.pat, off, p)
		c := off
		now := gateway.SystemClock()
		c.DisabledAt = &now
		if err := h.db.Clients().Update(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
		return code
	}()
	machine := url.Values{"grant_type": {"client_credentials"}}
	for _, try := range []struct {
		name   string
		as     *gateway.Client
		form   url.Values
		header []string
		status int
		want   string
	}{
		{"code without its verifier", &h.web, with(redeem(h.web, code(), p), "code_verifier", ""), nil, 400, "invalid_grant"},
		{"code with another verifier", &h.web, redeem(h.web, code(), newProof()), nil, 400, "invalid_grant"},
		{"verifier is the challenge", &h.web, with(redeem(h.web, code(), p), "code_verifier", p.challenge), nil, 400, "invalid_grant"},
		{"verifier too short", &h.web, with(redeem(h.web, code(), p), "code_verifier", "short"), nil, 400, "invalid_grant"},
		{"another client's code", &foreign, redeem(h.web, code(), p), nil, 400, "invalid_grant"},
		{"code of a public client by another", &h.native, redeem(h.web, code(), p), nil, 400, "invalid_grant"},
		{"code with another redirect URI", &h.web, with(redeem(h.web, code(), p), "redirect_uri", webReply+"&x=1"), nil, 400, "invalid_grant"},
		{"code without its redirect URI", &h.web, with(redeem(h.web, code(), p), "redirect_uri", ""), nil, 400, "invalid_request"},
		{"no code", &h.web, with(redeem(h.web, "", p), "code", ""), nil, 400, "invalid_request"},
		{"a made-up code", &h.web, redeem(h.web, gateway.NewToken(), p), nil, 400, "invalid_grant"},
		{"the hash of a code", &h.web, redeem(h.web, sha256hex(code()), p), nil, 400, "invalid_grant"},
		{"an expired code", &h.web, redeem(h.web, changeCode(code(), func(c *gateway.AuthorizationCode) { c.ExpiresAt = time.Now().Add(-time.Second) }), p), nil, 400, "invalid_grant"},
		{"code that was stored without PKCE", &h.web, with(redeem(h.web, changeCode(code(), func(c *gateway.AuthorizationCode) { c.Challenge = "" }), p), "code_verifier", ""), nil, 400, "invalid_grant"},
		{"code as a refresh token", &h.web, refresh(code()), nil, 400, "invalid_grant"},
		{"code of a disabled client", &off, redeem(off, disabledCode, p), nil, 401, "invalid_client"},
		{"no authentication", nil, with(redeem(h.web, code(), p), "client_id", h.web.ID), nil, 401, "invalid_client"},
		{"a wrong secret", nil, redeem(h.web, code(), p), []string{"Authorization", basic(h.web.ID, "wrong")}, 401, "invalid_client"},
		{"another client's secret", nil, machine, []string{"Authorization", basic(h.machine.ID, h.secrets[h.web.ID])}, 401, "invalid_client"},
		{"two ways to authenticate", &h.web, with(redeem(h.web, code(), p), "client_secret", h.secrets[h.web.ID]), nil, 400, "invalid_request"},
		{"header and body name two clients", &h.web, with(redeem(h.web, code(), p), "client_id", foreign.ID), nil, 400, "invalid_request"},
		{"a secret for a client that has none", nil, with(refresh(mobile.Refresh), "client_id", h.native.ID, "client_secret", "x"), nil, 401, "invalid_client"},
		{"bearer instead of a client", nil, machine, []string{"Authorization", "Bearer " + live.Access}, 401, "invalid_client"},
		{"password grant", &h.web, url.Values{"grant_type": {"password"}, "username": {"ada@example.org"}, "password": {"ada-pass"}}, nil, 400, "unsupported_grant_type"},
		{"implicit as a grant", &h.web, url.Values{"grant_type": {"implicit"}}, nil, 400, "unsupported_grant_type"},
		{"no grant", &h.web, url.Values{}, nil, 400, "invalid_request"},
		{"a public client acts for itself", &h.native, url.Values{"grant_type": {"client_credentials"}}, nil, 400, "unauthorized_client"},
		{"an app of people acts for itself", &h.web, url.Values{"grant_type": {"client_credentials"}}, nil, 400, "unauthorized_client"},
		{"a machine with more scopes", &h.machine, url.Values{"grant_type": {"client_credentials"}, "scope": {"hub:admin"}}, nil, 400, "invalid_scope"},
		{"a machine for another API", &h.machine, url.Values{"grant_type": {"client_credentials"}, "resource": {"https://else.example"}}, nil, 400, "invalid_target"},
		{"a parameter twice", &h.machine, url.Values{"grant_type": {"client_credentials", "client_credentials"}}, nil, 400, "invalid_request"},
		{"refresh token twice", &h.web, refresh(used.Refresh), nil, 400, "invalid_grant"},
		{"refresh token that was revoked", &h.web, refresh(ended.Refresh), nil, 400, "invalid_grant"},
		{"another client's refresh token", &foreign, refresh(live.Refresh), nil, 400, "invalid_grant"},
		{"a public client with another's refresh token", &h.native, refresh(live.Refresh), nil, 400, "invalid_grant"},
		{"refresh for more scopes", &h.web, with(refresh(live.Refresh), "scope", "library:read media:read"), nil, 400, "invalid_scope"},
		{"an access token as a refresh token", &h.web, refresh(live.Access), nil, 400, "invalid_grant"},
		{"no refresh token", &h.web, url.Values{"grant_type": {"refresh_token"}}, nil, 400, "invalid_request"},
		{"an assertion twice", nil, asserted(replayed), nil, 401, "invalid_client"},
		{"an assertion for somebody else", nil, claim("aud", "https://else.example"), nil, 401, "invalid_client"},
		{"an assertion for nobody", nil, claim("aud", nil), nil, 401, "invalid_client"},
		{"an assertion about another client", nil, claim("sub", h.machine.ID), nil, 401, "invalid_client"},
		{"an assertion of another client", nil, claim("iss", h.web.ID), nil, 401, "invalid_client"},
		{"an assertion that has expired", nil, claim("exp", time.Now().Add(-time.Minute).Unix()), nil, 401, "invalid_client"},
		{"an assertion without end", nil, claim("exp", nil), nil, 401, "invalid_client"},
		{"an assertion for a year", nil, claim("exp", time.Now().Add(365*24*time.Hour).Unix()), nil, 401, "invalid_client"},
		{"an assertion from the future", nil, claim("iat", time.Now().Add(time.Hour).Unix()), nil, 401, "invalid_client"},
		{"an assertion without an id", nil, claim("jti", nil), nil, 401, "invalid_client"},
		{"an assertion signed with the public key", nil, asserted(confused), nil, 401, "invalid_client"},
		{"an assertion that nobody signed", nil, asserted(unsigned), nil, 401, "invalid_client"},
		{"an assertion and another client's id", nil, with(asserted(h.assertion(h.keyed.ID, nil)), "client_id", h.machine.ID), nil, 401, "invalid_client"},
		{"an assertion of an unknown type", nil, with(asserted(h.assertion(h.keyed.ID, nil)), "client_assertion_type", "x"), nil, 400, "invalid_request"},
		{"our own token exchanged", &h.machine, exchange(live.Access, "access_token"), nil, 400, "invalid_request"},
		{"garbage exchanged", &h.machine, exchange("x.y.z", "id_token"), nil, 400, "invalid_request"},
		{"an ID token as an access token", &h.machine, exchange(h.idToken("pat@example.org"), "access_token"), nil, 400, "invalid_request"},
		{"a person of another hub exchanged", &h.machine, exchange(h.idToken("eve@example.org"), "id_token"), nil, 400, "invalid_request"},
		{"a refresh token exchanged", &h.machine, exchange(live.Refresh, "refresh_token"), nil, 400, "invalid_request"},
		{"SAML exchanged", &h.machine, exchange("x", "saml2"), nil, 400, "invalid_request"},
		{"exchanged for another API", &h.machine, with(exchange(h.idToken("pat@example.org"), "id_token"), "audience", "https://else.example"), nil, 400, "invalid_target"},
		{"exchanged for more scopes", &h.machine, with(exchange(h.idToken("pat@example.org"), "id_token"), "scope", "hub:admin"), nil, 400, "invalid_scope"},
		{"exchanged with an actor", &h.machine, with(exchange(h.idToken("pat@example.org"), "id_token"), "actor_token", "x", "actor_token_type", "urn:ietf:params:oauth:token-type:jwt"), nil, 400, "invalid_request"},
		{"exchanged by a public client", &h.browser, exchange(h.idToken("pat@example.org"), "id_token"), nil, 400, "unauthorized_client"},
		{"a device's code by another client", &h.browser, poll(waiting), nil, 400, "unauthorized_client"},
		{"a device that was refused", &h.native, poll(denied), nil, 400, "access_denied"},
		{"a made-up device code", &h.native, poll(gateway.NewToken()), nil, 400, "invalid_grant"},
		{"a user code as a device code", &h.native, poll(user), nil, 400, "invalid_grant"},
	} {
		got := h.token(try.as, try.form, try.header...)
		if got.Status != try.status || got.Error != try.want || got.Access != "" || got.Refresh != "" {
			t.Errorf("%s: %+v, want %d %s", try.name, got, try.status, try.want)
		}
	}
	if again := h.token(&h.native, refresh(mobile.Refresh)); again.Status != 200 {
		t.Errorf("misuse of others ended a family: %+v", again)
	}
	if !h.works(live.Access) {
		t.Error("misuse by others ended an access token")
	}

	// A code that comes twice takes back what it gave; so does a refresh token.
	c := code()
	first := h.token(&h.web, redeem(h.web, c, p))
	if second := h.token(&h.web, redeem(h.web, c, p)); second.Error != "invalid_grant" || h.works(first.Access) || h.token(&h.web, refresh(first.Refresh)).Error != "invalid_grant" {
		t.Errorf("code twice: %+v", second)
	}
	first = h.signedIn(h.pat, h.web)
	next := h.token(&h.web, refresh(first.Refresh))
	if again := h.token(&h.web, refresh(first.Refresh)); again.Error != "invalid_grant" || h.works(next.Access) || h.token(&h.web, refresh(next.Refresh)).Error != "invalid_grant" {
		t.Errorf("refresh token twice: %+v", again)
	}

	// The consent page's own requests.
	to := h.authorize(h.pat, h.ask(h.web, newProof(), "prompt", "consent")).Header.Get("Location")
	path := "/v1/me/consents/" + strings.TrimPrefix(to, "/consent/")
	allow := func(hub string) map[string]any { return map[string]any{"decision": "allow", "hub_id": h.hub[hub]} }
	if a := h.pat.want(403, "POST", path, allow("bio"), "Origin", "https://evil.example"); a.problem(t).Code != "cross_origin" {
		t.Errorf("from another site: %s", a.body)
	}
	h.anonymous().want(401, "POST", path, allow("bio"))
	h.pat.want(404, "POST", path, allow("other"))
	h.pat.want(404, "POST", path, map[string]any{"decision": "allow"})
	h.pat.want(400, "POST", path, map[string]any{"decision": "maybe"})
	app := h.anonymous()
	app.bearer = live.Access
	app.want(403, "POST", path, allow("bio"))
	app.bearer = ""
	if q := h.back(h.consent(h.pat, to, "bio", "deny")); q.Get("error") != "access_denied" || q.Get("iss") != h.base || q.Get("state") == "" || q.Has("code") {
		t.Errorf("denied: %v", q)
	}
	h.pat.want(404, "POST", path, allow("bio"))
	// Tokens travel in the header only.
	app.want(401, "GET", "/v1/me?access_token="+url.QueryEscape(live.Access), nil)
	if a := app.do("POST", "/oauth2/token?client_id="+h.machine.ID+"&client_secret="+h.secrets[h.machine.ID], machine); a.StatusCode != 400 || strings.Contains(string(a.body), "access_token") {
		t.Errorf("credentials in the address: %d %s", a.StatusCode, a.body)
	}
	h.run(t, "requests", (*house).requests)
	h.run(t, "assertions", (*house).assertions)
	h.run(t, "strangers", (*house).strangers)
	h.run(t, "pages", (*house).pages)
	h.run(t, "redirects", (*house).redirects)
	h.run(t, "crowd", (*house).crowd) // the last: the address has tried much then
	log := h.log.String()
	for _, secret := range []string{h.secrets[h.machine.ID], live.Access, live.Refresh, c} {
		if strings.Contains(log, secret) {
			t.Error("a secret is in the log")
		}
	}
}

// redirects: answers go to registered addresses only, compared byte by byte, a loopback's port of a
// native client apart.
func (h *house) redirects(t *testing.T) {
	const own = "https://rooms.example/callback"
	web := h.app(gateway.Client{Type: gateway.ClientWeb, AuthMethod: gateway.AuthSecret, RedirectURIs: []string{own}, Scopes: gateway.AllScopes}, "bio")
	for _, good := range []string{nativeReply, "http://127.0.0.1:4711/done", "http://127.0.0.1:80/done", "http://127.0.0.1:65535/done"} {
		if to := h.authorize(h.pat, h.ask(h.native, newProof(), "redirect_uri", good)); !strings.HasPrefix(to.Header.Get("Location"), "/consent/") {
			t.Errorf("%s is refused: %d", good, to.StatusCode)
		}
	}
	native := []string{
		"http://127.0.0.1:/done", "http://127.0.0.1:0/done", "http://127.0.0.1:080/done", "http://127.0.0.1:123456/done", "http://127.0.0.1:80/done/", "http://127.0.0.1:80/done?x=1",
		"http://127.0.0.1:80/done#x", "http://127.0.0.1:80/Done", "http://127.0.0.1:80@evil.example/done", "http://127.0.0.1@evil.example/done", "http://127.0.0.1.evil.example/done",
		"http://localhost/done", "http://[::1]/done", "http://127.0.0.2/done", "http://127.1/done", "http://2130706433/done", "http://0x7f000001/done", "https://127.0.0.1/done",
		"http://127.0.0.1:80\\@evil.example/done", "http://127.0.0.1:80/done\r\nX: y", "http://127.0.0.1:80/%64one", "http://user@127.0.0.1:80/done",
	}
	bad := []string{
		own + "/", own + "x", own + "?x=1", own + "#x", own + "/../evil", own + "/..%2fevil", own + "%2f", own + "%00", own + "\x00", own + " ", " " + own, own + "\t", own + "\n",
		own + ".evil.example", "https://rooms.example.evil.example/callback", "https://evil.example/https://rooms.example/callback", "https://evil.example?u=" + own,
		"https://rooms.example@evil.example/callback", "https://rooms.example:pw@evil.example/callback", "https://evil.example\\@rooms.example/callback", "https://rooms.example\\.evil.example/callback",
		"https:\\\\rooms.example\\callback", "https:/rooms.example/callback", "https:rooms.example/callback", "//rooms.example/callback", "/callback", "callback",
		"http://rooms.example/callback", "HTTPS://rooms.example/callback", "https://ROOMS.example/callback", "https://rooms.example/CALLBACK", "https://rooms.example:443/callback",
		"https://rooms.example:8443/callback", "https://rooms.example./callback", "https://rooms%2eexample/callback", "https://rooms.example/%63allback", "https://rooms.example//callback",
		"https://rooms。example/callback", "https://rooms.examp\u200dle/callback", "https://ｒooms.example/callback", "https://xn--rooms.example/callback",
		"javascript:alert(1)", "JavaScript://rooms.example/%0aalert(1)", "data:text/html,x", "file:///etc/passwd", "vbscript:x", "about:blank", "blob:https://rooms.example/1",
		"https://sub.rooms.example/callback", "https://*.example/callback", "https://rooms.example/*", "https://[::1]/callback", "https://127.0.0.1/callback", "null", "undefined", "*",
		own + "&redirect_uri=https://evil.example", own + ";x", own + "?", own + "/.", "https://rooms.example/./callback", "com.example.app:/callback", "http://127.0.0.1/done",
	}
	try := func(c gateway.Client, uri string, a answer) {
		if to := a.Header.Get("Location"); a.StatusCode != 400 || to != "" || a.Header.Get("Refresh") != "" || strings.Contains(string(a.body), "evil.example") {
			t.Errorf("%s, %q: %d to %q", c.Type, uri, a.StatusCode, to)
		}
	}
	for _, uri := range bad {
		// With and without further mistakes: an error must not find a way out either.
		try(web, uri, h.authorize(h.pat, h.ask(web, newProof(), "redirect_uri", uri)))
		try(web, uri, h.authorize(h.anonymous(), h.ask(web, newProof(), "redirect_uri", uri, "response_type", "token")))
		try(web, uri, h.authorize(h.pat, h.ask(web, newProof(), "redirect_uri", uri, "prompt", "none")))
	}
	for _, uri := range native {
		try(h.native, uri, h.authorize(h.pat, h.ask(h.native, newProof(), "redirect_uri", uri)))
	}
	for _, second := range []string{own, "https://evil.example", ""} {
		q := h.ask(web, newProof())
		q.Add("redirect_uri", second)
		try(web, "twice, "+second, h.authorize(h.pat, q))
	}
	// In a body, and both ways at once.
	try(web, "form", h.pat.do(http.MethodPost, "/oauth2/authorize", h.ask(web, newProof(), "redirect_uri", "https://evil.example/")))
	try(web, "form and address", h.pat.do(http.MethodPost, "/oauth2/authorize?redirect_uri=https://evil.example", h.ask(web, newProof())))
	try(web, "broken query", h.pat.do(http.MethodGet, "/oauth2/authorize?"+h.ask(web, newProof()).Encode()+"&%zz", nil))
}
