package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"isthmus/gateway"
)

// requests attacks the form of requests: what no parser should read in two ways, or at all.
func (h *house) requests(t *testing.T) {
	c := h.anonymous()
	secret := func(c gateway.Client) string { return basic(c.ID, h.secrets[c.ID]) }
	for _, path := range []string{"/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/oauth2/device_authorization"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH"} {
			if a := c.do(method, path, nil, "Authorization", secret(h.machine)); a.StatusCode != 405 {
				t.Errorf("%s %s: %d", method, path, a.StatusCode)
			}
		}
		for what, body := range map[string]string{
			"a parameter twice":     "client_id=" + h.native.ID + "&token=a&token=b",
			"a NUL in a parameter":  "client_id=cli%00x&token=x",
			"bytes that no text is": "client_id=%ff%fe&token=x",
			"a bad escape":          "client_id=%zz&token=x",
			"a line break":          "client_id=cli%0d%0aX:+y&token=x",
			"more than any form is": "client_id=" + h.native.ID + "&token=" + strings.Repeat("x", 100_000),
			"no parameters at all":  "",
			"JSON, declared a form": `{"client_id":"` + h.native.ID + `"}`,
			"too many parameters":   strings.Repeat("a=1&", 15_000) + "client_id=" + h.native.ID,
		} {
			a := c.do("POST", path, body, "Content-Type", "application/x-www-form-urlencoded")
			if a.StatusCode != 400 && a.StatusCode != 401 && a.StatusCode != 413 || strings.Contains(string(a.body), "_token\"") {
				t.Errorf("%s, %s: %d %s", path, what, a.StatusCode, a.body)
			}
		}
		for _, kind := range []string{"application/json", "multipart/form-data; boundary=x", "text/plain", ""} {
			if a := c.do("POST", path, `{"grant_type":"client_credentials"}`, "Content-Type", kind, "Authorization", secret(h.machine)); a.StatusCode != 400 {
				t.Errorf("%s as %q: %d %s", path, kind, a.StatusCode, a.body)
			}
		}
	}
	for _, header := range []string{basic("cli%00", "x"), basic("%ff", "x"), basic("%zz", "x"), basic("", ""), "Basic", "Basic !!", "basic " + strings.Repeat("A", 50_000)} {
		got := h.token(nil, url.Values{"grant_type": {"client_credentials"}}, "Authorization", header)
		if got.Status != 400 && got.Status != 401 || got.Error == "" {
			t.Errorf("%.30q: %+v", header, got)
		}
	}
	for what, change := range map[string][]string{
		"a NUL in the state":    {"state", "a\x00b"},
		"no text as the state":  {"state", "\xff"},
		"a NUL in the client":   {"client_id", "cli\x00"},
		"a line break":          {"scope", "library:read\r\nLocation: https://evil.example"},
		"no text as the client": {"client_id", "\xff\xfe"},
	} {
		if a := h.authorize(h.pat, h.ask(h.web, newProof(), change...)); a.StatusCode != 400 || a.Header.Get("Location") != "" {
			t.Errorf("%s: %d to %q", what, a.StatusCode, a.Header.Get("Location"))
		}
	}
	// A state comes back as it was, whatever it holds that is text.
	const state = "a b+c%20d&code=x#ä'\"<script>"
	if q := h.back(h.authorize(h.pat, h.ask(h.web, newProof(), "state", state, "scope", "root")).Header.Get("Location")); q.Get("state") != state || q.Has("code") {
		t.Errorf("state: %v", q)
	}
}

// assertions attacks private_key_jwt.
func (h *house) assertions(t *testing.T) {
	keyed := h.app(gateway.Client{Type: gateway.ClientMachine, AuthMethod: gateway.AuthKey, JWKS: h.keyed.JWKS, Scopes: h.keyed.Scopes}, "bio")
	got := h.token(&keyed, url.Values{"grant_type": {"client_credentials"}, "scope": {"library:read"}})
	if got.Status != 200 || got.Scope != "library:read" || !h.works(got.Access) {
		t.Fatalf("client credentials: %+v", got)
	}
	sign := func(method jwt.SigningMethod, key any, header map[string]any, change func(jwt.MapClaims)) string {
		t.Helper()
		claims := jwt.MapClaims{
			"iss": keyed.ID, "sub": keyed.ID, "aud": h.base, "jti": gateway.NewToken(), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
		}
		if change != nil {
			change(claims)
		}
		token := jwt.NewWithClaims(method, claims)
		for name, v := range header {
			token.Header[name] = v
		}
		s, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	form := func(assertion string) url.Values {
		return url.Values{
			"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion": {assertion},
		}
	}
	k1 := map[string]any{"kid": "k1"}
	es := func(header map[string]any, change func(jwt.MapClaims)) string {
		return sign(jwt.SigningMethodES256, h.key, header, change)
	}
	claim := func(name string, v any) string { return es(k1, func(c jwt.MapClaims) { c[name] = v }) }
	for what, assertion := range map[string]string{
		"for us and for another":      claim("aud", []string{h.base, "https://evil.example"}),
		"for us and for nobody":       claim("aud", []string{h.base, ""}),
		"for a prefix of us":          claim("aud", h.base+".evil.example"),
		"of a key that is not known":  es(map[string]any{"kid": "k2"}, nil),
		"of a key that is no name":    es(map[string]any{"kid": []string{"k1"}}, nil),
		"with its own key":            es(map[string]any{"kid": "k1", "jwk": map[string]any{"kty": "EC"}}, nil),
		"with the address of a key":   es(map[string]any{"kid": "k1", "jku": "https://evil.example/keys"}, nil),
		"with a critical header":      es(map[string]any{"kid": "k1", "crit": []string{"b64"}, "b64": false}, nil),
		"that is an access token":     es(map[string]any{"kid": "k1", "typ": "at+jwt"}, nil),
		"not valid yet":               claim("nbf", time.Now().Add(time.Hour).Unix()),
		"with a number as its id":     claim("jti", 7),
		"with an endless id":          claim("jti", strings.Repeat("x", 300)),
		"of a client with a NUL":      es(k1, func(c jwt.MapClaims) { c["iss"], c["sub"] = "cli\x00", "cli\x00" }),
		"with the algorithm none":     sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, k1, nil),
		"signed with the key's text":  sign(jwt.SigningMethodHS256, []byte(keyed.JWKS), k1, nil),
		"with a time that is a text":  claim("exp", "9999999999"),
		"that ends before it began":   claim("exp", -1),
		"of a client that has no key": es(k1, func(c jwt.MapClaims) { c["iss"], c["sub"] = h.machine.ID, h.machine.ID }),
	} {
		if got := h.token(nil, form(assertion)); got.Status != 401 || got.Error != "invalid_client" {
			t.Errorf("an assertion %s: %+v", what, got)
		}
	}
	// What is right is right without a key's name, too, and once: whichever endpoint had it.
	once := es(nil, func(c jwt.MapClaims) { c["aud"] = []string{h.base, h.base + "/oauth2/token"} })
	with := form(once)
	with.Set("token", "x")
	if got := h.post("/oauth2/revoke", nil, with); got.Status != 200 {
		t.Errorf("an assertion at another endpoint: %+v", got)
	}
	if got := h.token(nil, form(once)); got.Error != "invalid_client" {
		t.Errorf("an assertion at two endpoints: %+v", got)
	}
}

// strangers attacks with what belongs to others.
func (h *house) strangers(t *testing.T) {
	live := h.signedIn(h.pat, h.web)
	look := func(c gateway.Client, token string) string {
		t.Helper()
		return string(h.anonymous().want(200, "POST", "/oauth2/introspect", url.Values{"token": {token}}, "Authorization", basic(c.ID, h.secrets[c.ID])).body)
	}
	for _, token := range []string{live.Access, live.Refresh} {
		if got := look(h.machine, token); strings.TrimSpace(got) != `{"active":false}` {
			t.Errorf("introspection by another client of the hub: %s", got)
		}
		if got := h.post("/oauth2/revoke", &h.machine, url.Values{"token": {token}}); got.Status != 200 {
			t.Errorf("revocation by another client of the hub: %+v", got)
		}
	}
	if !h.works(live.Access) || !strings.Contains(look(h.web, live.Refresh), `"active":true`) {
		t.Error("another client of the hub revoked a token")
	}
	// A token of nobody's provider, and one of ours of another kind.
	forged := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "https://evil.example", "sub": "pat", "aud": "isthmus", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
		"email": "pat@example.org", "email_verified": true, "hubs": []any{map[string]any{"id": "bio", "role": "admin"}},
	})
	for _, issuer := range []string{"https://evil.example", h.base + "/demo-idp", h.base + "/demo-idp/", ""} {
		forged.Claims.(jwt.MapClaims)["iss"] = issuer
		token, err := forged.SignedString(h.key)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"id_token", "access_token", "jwt"} {
			if got := h.token(&h.machine, exchange(token, kind)); got.Error != "invalid_request" || got.Access != "" {
				t.Errorf("a forged %s of %q: %+v", kind, issuer, got)
			}
		}
	}
	// What an app may not have any more is gone from the tokens that it has.
	c, err := h.db.Clients().Get(t.Context(), gateway.AnyHub, h.web.ID)
	if err != nil {
		t.Fatal(err)
	}
	c.Scopes = []string{gateway.ScopeMediaRead}
	if err := h.db.Clients().Update(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	app := h.anonymous()
	app.bearer = live.Access
	if p := app.want(403, "GET", "/v1/hubs/"+h.hub["bio"]+"/library", nil).problem(t); p.Code != "missing_scope" {
		t.Errorf("with a scope that was taken from the client: %s", p.Code)
	}
	for _, token := range []string{live.Access, live.Refresh} {
		if got := look(h.web, token); !strings.Contains(got, `"active":true`) || strings.Contains(got, gateway.ScopeLibraryRead) {
			t.Errorf("introspection tells of a scope that was taken: %s", got)
		}
	}
	c.Scopes = h.web.Scopes
	if err := h.db.Clients().Update(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	// Of who is suspended nothing is active.
	p, err := h.db.Participants().Get(t.Context(), gateway.AnyHub, h.participant("pat@example.org"))
	if err != nil {
		t.Fatal(err)
	}
	suspend := func(at *time.Time) {
		t.Helper()
		p.SuspendedAt = at
		if err := h.db.Participants().Update(t.Context(), &p); err != nil {
			t.Fatal(err)
		}
	}
	now := gateway.SystemClock()
	suspend(&now)
	for _, token := range []string{live.Access, live.Refresh} {
		if got := look(h.web, token); strings.TrimSpace(got) != `{"active":false}` {
			t.Errorf("introspection of a suspended person's token: %s", got)
		}
	}
	suspend(nil)
}

// participant gives a person's id in the hub.
func (h *house) participant(email string) string {
	h.t.Helper()
	var members struct {
		Items []struct{ ID, Email string }
	}
	h.ada.want(200, "GET", "/v1/hubs/"+h.hub["bio"]+"/members", nil).into(h.t, &members)
	for _, m := range members.Items {
		if m.Email == email {
			return m.ID
		}
	}
	h.t.Fatalf("no member %s", email)
	return ""
}

// pages attacks the pages: who frames them, who answers in the person's name, what they repeat.
func (h *house) pages(t *testing.T) {
	h.signedIn(h.pat, h.web) // remembered from now on
	for _, path := range []string{"/consent/arq_x", "/device", "/device?user_code=BCDF-GHJK", "/account"} {
		a := h.pat.do("GET", path, nil)
		if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || a.Header.Get("X-Frame-Options") != "DENY" || a.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s may be framed, or leaks its address: %v", path, a.Header)
		}
	}
	for _, prompt := range []string{"login", "select_account", "create"} {
		if to := h.authorize(h.pat, h.ask(h.web, newProof(), "prompt", prompt)).Header.Get("Location"); !strings.HasPrefix(to, "/consent/") {
			t.Errorf("prompt=%s is answered without a person: %s", prompt, to)
		}
	}
	_, user := h.device(h.native)
	for path, body := range map[string]any{
		"/v1/me/devices/" + user: map[string]any{"decision": "allow", "hub_id": h.hub["bio"]},
		"/v1/me/grants/x/allow":  nil,
	} {
		for _, header := range [][]string{{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}} {
			if a := h.pat.do("POST", path, body, header...); a.StatusCode != 403 || a.problem(t).Code != "cross_origin" {
				t.Errorf("%s with %v: %d %s", path, header, a.StatusCode, a.body)
			}
		}
	}
	for _, path := range []string{"/download/eyJ.secret.ticket", "/thumbs/eyJ.secret.ticket", "/play/eyJ.secret.ticket/a.mpd", "/captions/eyJ.secret.ticket"} {
		if a := h.anonymous().do("GET", path, nil); a.StatusCode < 400 || bytes.Contains(a.body, []byte("secret.ticket")) {
			t.Errorf("%s: the answer repeats the ticket: %d %s", path, a.StatusCode, a.body)
		}
	}
}

// crowd: many right authentications at once are no attack; of many wrong ones few are answered.
func (h *house) crowd(t *testing.T) {
	form := url.Values{"grant_type": {"client_credentials"}}
	many := func(n int, authorization string) map[int]int {
		var mu sync.Mutex
		var wg sync.WaitGroup
		count := map[int]int{}
		for range n {
			wg.Go(func() {
				a := h.anonymous().do(http.MethodPost, "/oauth2/token", form, "Authorization", authorization)
				var e struct{ Error string }
				if a.StatusCode == 429 && (json.Unmarshal(a.body, &e) != nil || e.Error != "temporarily_unavailable" || a.Header.Get("Retry-After") == "") {
					t.Errorf("refused with %s, %v", a.body, a.Header)
				}
				mu.Lock()
				defer mu.Unlock()
				count[a.StatusCode]++
			})
		}
		wg.Wait()
		return count
	}
	if got := many(60, basic(h.machine.ID, h.secrets[h.machine.ID])); got[200] != 60 {
		t.Errorf("60 right ones at once: %v", got)
	}
	if got := many(60, basic(h.web.ID, "wrong")); got[401] > 25 || got[401]+got[429] != 60 {
		t.Errorf("60 wrong ones at once: %v", got)
	}
	// Other spellings of the name are the same name, and the right secret is not told from a wrong one now.
	if got := many(5, basic(strings.Replace(h.web.ID, "cli_", "%63li%5F", 1), "wrong")); got[429] < 4 {
		t.Errorf("another spelling of the name: %v", got)
	}
	if got := many(1, basic(h.machine.ID, h.secrets[h.machine.ID])); got[200] != 1 {
		t.Errorf("another client from the same address: %v", got)
	}
}
