package spaces

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"isthmus/gateway"
	"isthmus/integrations/spaces/demo"
	"isthmus/secrets"
	"isthmus/store"
	"isthmus/store/storetest"
)

// site is the sign-in on a real socket and database, with the demo's provider beside it.
type site struct {
	t         *testing.T
	base      string
	db        *store.DB
	clock     *skewed
	signIn    *SignIn
	verifier  *Verifier
	providers *gateway.IdentityProviders
	people    *gateway.People
	hubs      *gateway.Hubs
	signedIn  []gateway.Identity
	refuse    error
}

// skewed is the real clock, moved.
type skewed struct {
	mu sync.Mutex
	by time.Duration
}

func (c *skewed) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return gateway.SystemClock().Add(c.by)
}

func (c *skewed) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += d
}

func newSite(t *testing.T) *site { return newSiteOn(t, storetest.SQLite(t)) }

func newSiteOn(t *testing.T, db *store.DB) *site {
	s := &site{t: t, db: db, clock: &skewed{}}
	mux := http.NewServeMux()
	ts := httptest.NewServer(mux)
	t.Cleanup(ts.Close)
	s.base = ts.URL
	idp, err := demo.New(demo.Config{
		Issuer: s.base + "/demo-idp", ClientID: "isthmus", ClientSecret: "secret", RedirectURI: s.base + CallbackPath,
		Hubs:   []demo.Hub{{ID: "h1", Name: "One", Plan: gateway.PlanEnterprise}},
		People: []demo.Person{{Email: "ada@example.org", Password: "pw", Name: "Ada", Roles: map[string]gateway.Role{"h1": gateway.RoleAdmin}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := secrets.OpenKeyring(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	events := &gateway.Events{Store: db, Clock: s.clock.now}
	s.hubs = &gateway.Hubs{Store: db, Clock: s.clock.now, Events: events}
	s.people = &gateway.People{Store: db, Clock: s.clock.now, Events: events}
	s.providers = &gateway.IdentityProviders{Store: db, Clock: s.clock.now, Sealer: keys}
	s.verifier = &Verifier{Providers: s.providers, HTTP: ts.Client(), Clock: s.clock.now}
	s.fix(s.base+"/demo-idp", "idp_demo", nil)
	s.signIn, err = New(Config{
		BaseURL: s.base, Verifier: s.verifier, People: s.people,
		SignIn: func(_ http.ResponseWriter, _ *http.Request, id gateway.Identity) error {
			if s.refuse == nil {
				s.signedIn = append(s.signedIn, id)
			}
			return s.refuse
		},
		SignOut: func(http.ResponseWriter, *http.Request) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/demo-idp/", idp)
	mux.Handle("/auth/", s.signIn)
	return s
}

// fix adds a provider.
func (s *site) fix(issuer, id string, change func(*gateway.OpenedProvider)) gateway.IdentityProvider {
	s.t.Helper()
	p := gateway.OpenedProvider{Secret: "secret", IdentityProvider: gateway.IdentityProvider{
		Row: gateway.Row{ID: id}, Issuer: issuer, ClientID: "isthmus", Name: id, Source: gateway.ProviderFlags,
	}}
	if change != nil {
		change(&p)
	}
	if err := s.providers.Fix(p); err != nil {
		s.t.Fatal(err)
	}
	return s.providers.Fixed[len(s.providers.Fixed)-1].IdentityProvider
}

type browser struct {
	s *site
	*http.Client
}

func (s *site) browser() browser {
	jar, _ := cookiejar.New(nil)
	return browser{s, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b browser) get(address string) (int, string) {
	b.s.t.Helper()
	resp, err := b.Get(address)
	if err != nil {
		b.s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}

var loginID = regexp.MustCompile(`id=(.+)$`)

// begin goes to the provider and signs in there; what is left to do is the callback.
func (b browser) begin(query ...string) (callback string) {
	b.s.t.Helper()
	address := b.s.base + LoginPath
	if len(query) > 0 {
		address += "?" + query[0]
	}
	_, authorize := b.get(address)
	_, login := b.get(authorize)
	id := loginID.FindStringSubmatch(login)
	if id == nil {
		b.s.t.Fatalf("led to %q", login)
	}
	resp, err := b.PostForm(b.s.base+"/demo-idp/login", url.Values{"id": {id[1]}, "email": {"ada@example.org"}, "password": {"pw"}})
	if err != nil {
		b.s.t.Fatal(err)
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

// issuer is a provider whose tokens, keys and answers the test decides.
type issuer struct {
	t   *testing.T
	url string

	mu       sync.Mutex
	keys     []jose.JSONWebKey // published
	fetches  int               // of keys
	gone     bool              // the keys are not to be had
	lost     bool              // nor is the discovery document
	slow     func()            // called before a failure is told
	idToken  string            // that the token endpoint gives
	userinfo map[string]any    // nil: there is no such endpoint

	discoveries int
}

// fails answers as a server that is not well.
func (i *issuer) fails(w http.ResponseWriter) {
	if i.slow != nil {
		i.slow()
	}
	w.WriteHeader(http.StatusBadGateway)
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{t: t}
	mux := http.NewServeMux()
	ts := httptest.NewServer(mux)
	t.Cleanup(ts.Close)
	i.url = ts.URL
	say := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.discoveries++; i.lost {
			i.fails(w)
			return
		}
		say(w, map[string]any{
			"issuer": i.url, "authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/token",
			"userinfo_endpoint": i.url + "/userinfo", "jwks_uri": i.url + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"},
			"code_challenge_methods_supported": []string{"S256"}, "claims_supported": []string{"isthmus_hubs"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.fetches++
		if i.gone {
			i.fails(w)
			return
		}
		set := jose.JSONWebKeySet{}
		for _, k := range i.keys {
			set.Keys = append(set.Keys, k.Public())
		}
		say(w, set)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		id, secret, _ := r.BasicAuth()
		switch {
		case id != "isthmus" || secret != "secret":
			w.WriteHeader(http.StatusUnauthorized)
			say(w, map[string]any{"error": "invalid_client"})
		case r.FormValue("code") != "c":
			w.WriteHeader(http.StatusBadRequest)
			say(w, map[string]any{"error": "invalid_grant"})
		default:
			say(w, map[string]any{"access_token": "a", "token_type": "Bearer", "expires_in": 60, "id_token": i.idToken})
		}
	})
	mux.HandleFunc("/userinfo", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.userinfo == nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		say(w, i.userinfo)
	})
	i.keys = []jose.JSONWebKey{newKey(t, "k1")}
	return i
}

func newKey(t *testing.T, id string) jose.JSONWebKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: "ES256", Use: "sig"}
}

// claims of a good ID token; change what is to be wrong.
func (i *issuer) claims(change map[string]any) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": i.url, "sub": "s1", "aud": "isthmus", "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		"email": "ada@example.org", "email_verified": true, "name": "Ada",
		"isthmus_hubs": []any{map[string]any{"id": "h1", "name": "One", "plan": "enterprise", "role": "admin"}},
	}
	for name, v := range change {
		if v == nil {
			delete(c, name)
		} else {
			c[name] = v
		}
	}
	return c
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, typ string, claims any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (i *issuer) token(change map[string]any) string {
	return sign(i.t, jose.ES256, i.keys[0], "JWT", i.claims(change))
}

func drain(t *testing.T, resp *http.Response, err error) (int, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
