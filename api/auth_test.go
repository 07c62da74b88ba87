package api_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"isthmus/gateway"
	"isthmus/openapi"
	"isthmus/store"
	"isthmus/store/storetest"
)

func TestSignInAndOut(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		r := newRigOn(t, db)
		c := r.signIn("ada@example.org")
		var me openapi.Me
		c.want(200, "GET", "/v1/me", nil).into(t, &me)
		if me.Kind != openapi.MeKindPerson || *me.Email != "ada@example.org" || len(me.Hubs) != 2 {
			t.Fatalf("me: %+v", me)
		}
		i := slices.IndexFunc(me.Hubs, func(h openapi.Hub) bool { return h.Name == "Biology" })
		if h := me.Hubs[i]; *h.Role != openapi.RoleAdmin || h.Plan != openapi.PlanUniversity || !h.AllowsIntegrations {
			t.Errorf("hub: %+v", h)
		}
		u, _ := url.Parse(r.base)
		cookies := c.http.Jar.Cookies(u)
		if len(cookies) != 1 || cookies[0].Name != "__Host-isthmus" {
			t.Fatalf("cookies after sign-in: %v", cookies)
		}
		old := cookies[0].Value
		if strings.Contains(r.log.String(), old) {
			t.Error("the session's secret is in the log")
		}

		c.want(204, "POST", "/auth/logout", nil, "Sec-Fetch-Site", "same-origin")
		c.want(401, "GET", "/v1/me", nil)
		again := r.anonymous()
		again.want(401, "GET", "/v1/me", nil, "Cookie", "__Host-isthmus="+old) // ended on the server, not just forgotten
	})
}

func TestSessionCookieAttributes(t *testing.T) {
	r := newRig(t)
	c := r.anonymous()
	a := c.want(302, "GET", "/auth/login", nil)
	a = c.want(302, "GET", a.Header.Get("Location"), nil)
	a = c.want(200, "GET", a.Header.Get("Location"), nil)
	id := string(hiddenID.FindSubmatch(a.body)[1])
	c.want(401, "POST", "/demo-idp/login", url.Values{"id": {id}, "email": {"ada@example.org"}, "password": {"wrong"}})
	a = c.want(303, "POST", "/demo-idp/login", url.Values{"id": {id}, "email": {"ADA@example.org"}, "password": {"ada-pass"}})
	callback := a.Header.Get("Location")

	// Another browser with the same address gets nothing: the sign-in is bound to the one that began it.
	thief := r.anonymous()
	thief.want(400, "GET", callback, nil)

	a = c.want(303, "GET", callback, nil)
	var session string
	for _, line := range a.Header.Values("Set-Cookie") {
		if strings.HasPrefix(line, "__Host-isthmus=") {
			session = line
		}
	}
	for _, want := range []string{"Path=/", "HttpOnly", "Secure", "SameSite=Lax", "Max-Age="} {
		if !strings.Contains(session, want) {
			t.Errorf("%s is missing in %q", want, session)
		}
	}
	if strings.Contains(session, "Domain") {
		t.Error("a host cookie must not name a domain")
	}
	c.want(400, "GET", callback, nil) // a callback works once
}

func TestSignInLeadsNowhereElse(t *testing.T) {
	r := newRig(t)
	for _, next := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "javascript:alert(1)", "/auth/login", "/%2f%2fevil.example/..//x", "\t//evil.example"} {
		c := r.anonymous()
		a := c.want(302, "GET", "/auth/login?next="+url.QueryEscape(next), nil)
		a = c.want(302, "GET", a.Header.Get("Location"), nil)
		a = c.want(200, "GET", a.Header.Get("Location"), nil)
		id := string(hiddenID.FindSubmatch(a.body)[1])
		a = c.want(303, "POST", "/demo-idp/login", url.Values{"id": {id}, "email": {"pat@example.org"}, "password": {"pat-pass"}})
		a = c.want(303, "GET", a.Header.Get("Location"), nil)
		to, err := url.Parse(r.base)
		if err != nil {
			t.Fatal(err)
		}
		if to, err = to.Parse(a.Header.Get("Location")); err != nil || to.Host != strings.TrimPrefix(r.base, "http://") {
			t.Errorf("next=%q leads to %q", next, a.Header.Get("Location"))
		}
	}
}

func TestCrossSiteRequestsAreRefused(t *testing.T) {
	r := newRig(t)
	c := r.signIn("ada@example.org")
	hub := "/v1/hubs/" + r.hub["bio"]
	for name, header := range map[string][]string{
		"fetch metadata": {"Sec-Fetch-Site", "cross-site"},
		"same site only": {"Sec-Fetch-Site", "same-site"},
		"origin":         {"Origin", "https://evil.example"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, try := range []struct{ method, path string }{
				{"POST", hub + "/uploads"},
				{"PUT", hub + "/integrations/kaltura"},
				{"DELETE", hub + "/integrations/kaltura"},
				{"PATCH", "/files/upl_x"},
				{"POST", "/v1/connect/" + gateway.NewToken()},
			} {
				p := c.on(t).want(403, try.method, try.path, map[string]any{"name": "a.mp4", "size": 1}, header...).problem(t)
				if p.Code != "cross_origin" {
					t.Errorf("%s %s: %s", try.method, try.path, p.Code)
				}
			}
			if a := c.on(t).do("POST", "/auth/logout", nil, header...); a.StatusCode != 403 {
				t.Errorf("logout: %d", a.StatusCode)
			}
		})
	}
	c.want(200, "GET", "/v1/me", nil) // still signed in
	a := c.do("POST", hub+"/uploads", map[string]any{"name": "a.mp4", "size": 1}, "Origin", r.base)
	if a.StatusCode == 403 && a.problem(t).Code == "cross_origin" {
		t.Error("our own page is refused")
	}
}

// TestPoliciesHold goes through every operation that needs a hub, as every kind of caller.
func TestPoliciesHold(t *testing.T) {
	r := newRig(t)
	pat, eve := r.signIn("pat@example.org"), r.signIn("eve@example.org")
	ada := r.signIn("ada@example.org")
	bare := r.client(r.hub["bio"])                 // no scope at all
	foreign := r.client(r.hub["other"], scopes...) // another hub's client with everything
	body := map[string]string{"POST": "{}", "PUT": "{}", "PATCH": "{}"}

	unknown := eve.want(404, "GET", "/v1/hubs/"+gateway.NewID("hub"), nil).problem(t)
	for _, op := range operations(t) {
		if !op.inHub {
			continue
		}
		path := strings.NewReplacer("{hub}", r.hub["bio"], "{id}", "x_1").Replace(op.path)
		if op.id == "streamEvents" {
			path += "?hub=" + r.hub["bio"]
		}
		t.Run(op.id, func(t *testing.T) {
			send := func(c *caller) answer {
				return c.on(t).do(op.method, path, body[op.method], "Content-Type", "application/json")
			}
			if a := send(r.anonymous()); a.StatusCode != 401 || a.problem(t).Code != "not_signed_in" || a.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("nobody: %d %s", a.StatusCode, a.body)
			}
			for who, c := range map[string]*caller{"another hub's admin": eve, "another hub's client": foreign} {
				a := send(c)
				p := a.problem(t)
				if a.StatusCode != 404 || p.Code != unknown.Code || *p.Detail != *unknown.Detail || *p.NextStep != *unknown.NextStep {
					t.Errorf("%s: %d %s", who, a.StatusCode, a.body)
				}
			}
			if op.scope != "" {
				a := send(bare)
				if a.StatusCode != 403 || a.problem(t).Code != "missing_scope" || !strings.Contains(a.Header.Get("WWW-Authenticate"), `scope="`+op.scope+`"`) {
					t.Errorf("without the scope: %d %q %s", a.StatusCode, a.Header.Get("WWW-Authenticate"), a.body)
				}
			}
			if strings.HasSuffix(op.scope, ":admin") {
				if a := send(pat); a.StatusCode != 403 || a.problem(t).Code != "not_admin" {
					t.Errorf("a participant: %d %s", a.StatusCode, a.body)
				}
			}
		})
	}
	ada.want(200, "GET", "/v1/hubs/"+r.hub["bio"]+"/members", nil)
}

var scopes = gateway.AllScopes

func TestBadTokens(t *testing.T) {
	r := newRig(t)
	r.signIn("ada@example.org")
	c := r.client(r.hub["bio"], scopes...)
	c.want(200, "GET", "/v1/me", nil)
	good := c.bearer
	parts := strings.Split(good, ".")
	ticket, err := r.tickets.Issue(gateway.TicketThumbnail, "x", 1e12)
	if err != nil {
		t.Fatal(err)
	}
	for name, bearer := range map[string]string{
		"garbage": "abc", "unsigned": parts[0] + "." + parts[1] + ".", "none": "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + parts[1] + ".",
		"cut": good[:len(good)-4], "a ticket": ticket,
	} {
		c.bearer = bearer
		a := c.want(401, "GET", "/v1/me", nil)
		if p := a.problem(t); p.Code != "invalid_token" || !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	c.bearer = ""
	c.want(401, "GET", "/v1/me", nil, "Authorization", "Basic abc")
	if strings.Contains(r.log.String(), parts[2]) {
		t.Error("a token is in the log")
	}
}

func TestUnverifiedMailIsMarked(t *testing.T) {
	r := newRig(t)
	r.signIn("uma@example.org")
	ada := r.signIn("ada@example.org")
	var page openapi.MemberPage
	ada.want(200, "GET", "/v1/hubs/"+r.hub["bio"]+"/members", nil).into(t, &page)
	verified := map[string]bool{}
	for _, m := range page.Items {
		verified[m.Email] = m.EmailVerified
	}
	if v, known := verified["uma@example.org"]; !known || v || !verified["ada@example.org"] {
		t.Errorf("members: %v", verified)
	}
}

func TestOAuth(t *testing.T) {
	r := newRig(t)
	r.signIn("ada@example.org")
	cl, secret, err := r.access.NewClient(t.Context(), r.hub["bio"], "partner", []string{gateway.ScopeMediaRead, gateway.ScopeUploadsWrite})
	if err != nil {
		t.Fatal(err)
	}
	c := r.anonymous()
	grant := url.Values{"grant_type": {"client_credentials"}}
	type tokenAnswer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		Scope       string `json:"scope"`
		Error       string `json:"error"`
	}
	ask := func(form url.Values, header ...string) (int, tokenAnswer, http.Header) {
		a := c.do("POST", "/oauth2/token", form, header...)
		var out tokenAnswer
		a.into(t, &out)
		return a.StatusCode, out, a.Header
	}
	status, tok, h := ask(grant, "Authorization", basic(cl.ID, secret.Reveal()))
	if status != 200 || !strings.EqualFold(tok.TokenType, "bearer") || tok.ExpiresIn != 600 || tok.Scope != "media:read uploads:write" || !strings.Contains(h.Get("Cache-Control"), "no-store") {
		t.Fatalf("basic: %d %+v %v", status, tok, h)
	}
	post := url.Values{"grant_type": {"client_credentials"}, "client_id": {cl.ID}, "client_secret": {secret.Reveal()}, "scope": {"media:read"}}
	if status, tok, _ = ask(post); status != 200 || tok.Scope != "media:read" {
		t.Fatalf("post: %d %+v", status, tok)
	}
	c.bearer = tok.AccessToken
	var me openapi.Me
	c.want(200, "GET", "/v1/me", nil).into(t, &me)
	if me.Kind != openapi.MeKindClient || *me.ClientID != cl.ID || me.Hubs[0].ID != r.hub["bio"] || !slices.Equal(*me.Scopes, []string{"media:read"}) {
		t.Errorf("me: %+v", me)
	}
	c.want(403, "GET", "/v1/hubs/"+r.hub["bio"]+"/uploads", nil) // the narrower token
	c.bearer = ""

	for name, try := range map[string]struct {
		form   url.Values
		header []string
		status int
		code   string
	}{
		"wrong secret":  {grant, []string{"Authorization", basic(cl.ID, "wrong")}, 401, "invalid_client"},
		"unknown":       {grant, []string{"Authorization", basic("cli_nobody", "wrong")}, 401, "invalid_client"},
		"no client":     {grant, nil, 400, "invalid_request"},
		"no grant":      {url.Values{}, []string{"Authorization", basic(cl.ID, secret.Reveal())}, 400, "invalid_request"},
		"other grant":   {url.Values{"grant_type": {"password"}}, []string{"Authorization", basic(cl.ID, secret.Reveal())}, 400, "unsupported_grant_type"},
		"scope too far": {url.Values{"grant_type": {"client_credentials"}, "scope": {"connections:admin"}}, []string{"Authorization", basic(cl.ID, secret.Reveal())}, 400, "invalid_scope"},
		"two ways":      {post, []string{"Authorization", basic(cl.ID, secret.Reveal())}, 400, "invalid_request"},
		"other api":     {url.Values{"grant_type": {"client_credentials"}, "resource": {"https://else.example"}}, []string{"Authorization", basic(cl.ID, secret.Reveal())}, 400, "invalid_target"},
	} {
		status, out, h := ask(try.form, try.header...)
		if status != try.status || out.Error != try.code || out.AccessToken != "" {
			t.Errorf("%s: %d %+v", name, status, out)
		}
		if status == 401 && !strings.HasPrefix(h.Get("WWW-Authenticate"), "Basic") {
			t.Errorf("%s: no challenge", name)
		}
	}
	if a := c.do("POST", "/oauth2/token?"+post.Encode(), url.Values{}); a.StatusCode != 400 {
		t.Errorf("credentials in the address: %d", a.StatusCode)
	}
	c.want(405, "GET", "/oauth2/token", nil)
	if strings.Contains(r.log.String(), secret.Reveal()) {
		t.Error("the client's secret is in the log")
	}

	var meta struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
		JWKSURI       string `json:"jwks_uri"`
	}
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		c.want(200, "GET", path, nil).into(t, &meta)
		if meta.Issuer != r.base || meta.TokenEndpoint != r.base+"/oauth2/token" {
			t.Errorf("%s: %+v", path, meta)
		}
	}
	if keys := string(c.want(200, "GET", meta.JWKSURI, nil).body); !strings.Contains(keys, `"kty":"EC"`) || strings.Contains(keys, `"d":`) {
		t.Errorf("keys: %s", keys)
	}
}

// Guessing is slowed down; who knows the secret is not held up by others' guesses.
func TestGuessingIsSlowedDown(t *testing.T) {
	r := newRig(t)
	r.signIn("ada@example.org")
	cl, secret, err := r.access.NewClient(t.Context(), r.hub["bio"], "partner", []string{gateway.ScopeMediaRead})
	if err != nil {
		t.Fatal(err)
	}
	other, otherSecret, err := r.access.NewClient(t.Context(), r.hub["bio"], "other", []string{gateway.ScopeMediaRead})
	if err != nil {
		t.Fatal(err)
	}
	c := r.anonymous()
	grant := url.Values{"grant_type": {"client_credentials"}}
	var a answer
	for range 60 {
		if a = c.do("POST", "/oauth2/token", grant, "Authorization", basic(cl.ID, "wrong")); a.StatusCode != 401 {
			break
		}
	}
	if a.StatusCode != 429 || a.Header.Get("Retry-After") == "" || !strings.Contains(string(a.body), `"error"`) {
		t.Fatalf("guessing: %d %v %s", a.StatusCode, a.Header, a.body)
	}
	c.want(429, "POST", "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {cl.ID}, "client_secret": {secret.Reveal()}})
	for range 60 {
		c.want(200, "POST", "/oauth2/token", grant, "Authorization", basic(other.ID, otherSecret.Reveal()))
	}

	login := r.anonymous()
	a = login.want(302, "GET", "/auth/login", nil)
	a = login.want(302, "GET", a.Header.Get("Location"), nil)
	a = login.want(200, "GET", a.Header.Get("Location"), nil)
	id := hiddenID.FindSubmatch(a.body)
	for range 60 {
		a = login.do("POST", "/demo-idp/login", url.Values{"id": {string(id[1])}, "email": {"pat@example.org"}, "password": {"guess"}})
		if a.StatusCode != 401 {
			break
		}
	}
	if a.StatusCode != 429 || a.Header.Get("Retry-After") == "" {
		t.Fatalf("guessing: %d %v %s", a.StatusCode, a.Header, a.body)
	}
	login.want(303, "POST", "/demo-idp/login", url.Values{"id": {string(id[1])}, "email": {"ada@example.org"}, "password": {"ada-pass"}})
}
