package spaces

import (
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"isthmus/gateway"
	"isthmus/integrations/spaces/demo"
)

func TestIdentityOf(t *testing.T) {
	claims := func(change func(*oidc.IDTokenClaims)) *oidc.IDTokenClaims {
		c := &oidc.IDTokenClaims{Claims: map[string]any{HubsClaim: []any{
			map[string]any{"id": "h1", "name": "One", "plan": "university", "role": "admin"},
			map[string]any{"name": "without id"},
		}}}
		c.Issuer, c.Subject, c.Email, c.EmailVerified, c.Name = "https://id", "s1", " ada@example.org ", true, "Ada"
		change(c)
		return c
	}
	for name, try := range map[string]struct {
		change func(*oidc.IDTokenClaims)
		want   gateway.Identity
		reason string
	}{
		"plain": {change: func(*oidc.IDTokenClaims) {}, want: gateway.Identity{
			Issuer: "https://id", Subject: "s1", Email: "ada@example.org", EmailVerified: true, Name: "Ada",
			Memberships: []gateway.Membership{{HubExternalID: "h1", HubName: "One", Plan: gateway.PlanUniversity, Role: gateway.RoleAdmin}},
		}},
		"unverified, no name, no hubs": {change: func(c *oidc.IDTokenClaims) {
			c.EmailVerified, c.Name, c.Claims = false, "", nil
		}, want: gateway.Identity{Issuer: "https://id", Subject: "s1", Email: "ada@example.org", Name: " ada@example.org "}},
		"no e-mail is never verified": {change: func(c *oidc.IDTokenClaims) { c.Email, c.Claims = "", nil }, want: gateway.Identity{Issuer: "https://id", Subject: "s1", Name: "Ada"}},
		"hubs are no list":            {change: func(c *oidc.IDTokenClaims) { c.Claims[HubsClaim] = "h1" }, reason: "bad_hub_claim"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := identityOf(claims(try.change))
			if try.reason != "" {
				if !gateway.IsReason(err, try.reason) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got.Name, try.want.Name = strings.TrimSpace(got.Name), strings.TrimSpace(try.want.Name)
			if !slices.Equal(got.Memberships, try.want.Memberships) {
				t.Errorf("memberships %+v", got.Memberships)
			}
			got.Memberships, try.want.Memberships = nil, nil
			if got.Issuer != try.want.Issuer || got.Subject != try.want.Subject || got.Email != try.want.Email || got.EmailVerified != try.want.EmailVerified || got.Name != try.want.Name {
				t.Errorf("got %+v, want %+v", got, try.want)
			}
		})
	}
}

func TestLocalPath(t *testing.T) {
	for next, want := range map[string]string{
		"/library?tab=kaltura#x": "/library?tab=kaltura#x", "": "/", "library": "/", "//evil.example": "/", `/\evil.example`: "/",
		"https://evil.example/": "/", "/auth/login": "/", "/a\r\nSet-Cookie: x": "/", "javascript:alert(1)": "/", "/%zz": "/",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

// party is a relying party with the demo's provider, on a real socket.
type party struct {
	t        *testing.T
	base     string
	signedIn []gateway.Identity
	refuse   error
}

func newParty(t *testing.T) *party {
	p := &party{t: t}
	mux := http.NewServeMux()
	ts := httptest.NewServer(mux)
	t.Cleanup(ts.Close)
	p.base = ts.URL
	idp, err := demo.New(demo.Config{
		Issuer: p.base + "/demo-idp", ClientID: "isthmus", ClientSecret: "secret", RedirectURI: p.base + CallbackPath,
		Hubs:   []demo.Hub{{ID: "h1", Name: "One", Plan: gateway.PlanEnterprise}},
		People: []demo.Person{{Email: "ada@example.org", Password: "pw", Name: "Ada", Roles: map[string]gateway.Role{"h1": gateway.RoleAdmin}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{
		BaseURL: p.base, Issuer: p.base + "/demo-idp", ClientID: "isthmus", ClientSecret: "secret", HTTP: ts.Client(),
		SignIn: func(_ http.ResponseWriter, _ *http.Request, id gateway.Identity) error {
			if p.refuse == nil {
				p.signedIn = append(p.signedIn, id)
			}
			return p.refuse
		},
		SignOut: func(http.ResponseWriter, *http.Request) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/demo-idp/", idp)
	mux.Handle("/auth/", s)
	return p
}

type browser struct {
	p *party
	*http.Client
}

func (p *party) browser() browser {
	jar, _ := cookiejar.New(nil)
	return browser{p, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b browser) get(address string) (int, string) {
	b.p.t.Helper()
	resp, err := b.Get(address)
	if err != nil {
		b.p.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}

var loginID = regexp.MustCompile(`id=(.+)$`)

// begin goes to the provider and signs in there; what is left to do is the callback.
func (b browser) begin() (callback string) {
	b.p.t.Helper()
	_, authorize := b.get(b.p.base + LoginPath)
	_, login := b.get(authorize)
	id := loginID.FindStringSubmatch(login)
	if id == nil {
		b.p.t.Fatalf("led to %q", login)
	}
	resp, err := b.PostForm(b.p.base+"/demo-idp/login", url.Values{"id": {id[1]}, "email": {"ada@example.org"}, "password": {"pw"}})
	if err != nil {
		b.p.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.Header.Get("Location")
}

func change(t *testing.T, address, name, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func param(t *testing.T, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}

func TestCallback(t *testing.T) {
	p := newParty(t)
	b := p.browser()
	status, to := b.get(b.begin())
	if status != http.StatusSeeOther || to != "/" || len(p.signedIn) != 1 || !p.signedIn[0].EmailVerified || p.signedIn[0].Memberships[0].HubExternalID != "h1" {
		t.Fatalf("%d %q %+v", status, to, p.signedIn)
	}

	p.signedIn = nil
	attacker := p.browser()
	for name, spoil := range map[string]func(own, stolen string) string{ // each with fresh sign-ins under way
		"another browser's callback":       func(_, stolen string) string { return stolen },
		"another sign-in's code":           func(own, stolen string) string { return change(t, own, "code", param(t, stolen, "code")) },
		"another issuer":                   func(own, _ string) string { return change(t, own, "iss", "https://evil.example") },
		"no state":                         func(own, _ string) string { return change(t, own, "state", "") },
		"a refusal by the provider":        func(own, _ string) string { return change(t, own, "error", "access_denied") },
		"a callback that nobody asked for": func(string, string) string { return p.base + CallbackPath + "?code=x&state=y" },
		"a state that begins the same":     func(own, _ string) string { return change(t, own, "state", param(t, own, "state")[:8]+"other") },
	} {
		if status, _ := attacker.get(spoil(attacker.begin(), p.browser().begin())); status < 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
	if len(p.signedIn) != 0 {
		t.Errorf("signed in: %+v", p.signedIn)
	}

	p.refuse = errors.New("database down")
	b = p.browser()
	if status, _ := b.get(b.begin()); status != http.StatusInternalServerError {
		t.Errorf("a failed session: %d", status)
	}
}

// TestProviderWantsPKCE asks the demo's provider as a careless client would.
func TestProviderWantsPKCE(t *testing.T) {
	p := newParty(t)
	b := p.browser()
	_, authorize := b.get(p.base + LoginPath)
	if param(t, authorize, "code_challenge_method") != "S256" || param(t, authorize, "nonce") == "" || param(t, authorize, "state") == "" {
		t.Fatalf("our own request: %s", authorize)
	}
	for name, address := range map[string]string{
		"no challenge":   change(t, authorize, "code_challenge", ""),
		"plain":          change(t, authorize, "code_challenge_method", "plain"),
		"other client":   change(t, authorize, "client_id", "evil"),
		"other redirect": change(t, authorize, "redirect_uri", "https://evil.example/"),
		"implicit":       change(t, authorize, "response_type", "id_token"),
	} {
		if status, to := b.get(address); status < 400 {
			t.Errorf("%s: %d %s", name, status, to)
		}
	}
	callback := b.begin()
	code := param(t, callback, "code")
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.base + CallbackPath}, "code_verifier": {strings.Repeat("x", 43)}, "client_id": {"isthmus"}, "client_secret": {"secret"}}
	for range 2 { // wrong verifier; then the code is used up
		resp, err := b.PostForm(p.base+"/demo-idp/token", form)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("token: %d", resp.StatusCode)
		}
	}
	if status, _ := b.get(callback); status < 400 {
		t.Error("a used code signed somebody in")
	}
}
