package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"isthmus/gateway"
	"isthmus/openapi"
)

const (
	webReply    = "https://rooms.example/callback?tenant=1"
	nativeReply = "http://127.0.0.1/done"
)

// house is a hub with apps of every type, at a whole server.
type house struct {
	*rig
	ada, pat                             *caller
	web, browser, native, keyed, machine gateway.Client
	secrets                              map[string]string // by client
	key                                  *ecdsa.PrivateKey
}

func newHouse(t testing.TB, r *rig) *house {
	t.Helper()
	h := &house{rig: r, secrets: map[string]string{}}
	h.ada, h.pat = r.signIn("ada@example.org"), r.signIn("pat@example.org")
	r.signIn("eve@example.org")
	var err error
	if h.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: h.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	both := []string{gateway.ScopeMediaRead, gateway.ScopeLibraryRead}
	h.web = h.app(gateway.Client{Type: gateway.ClientWeb, AuthMethod: gateway.AuthSecret, RedirectURIs: []string{webReply}, Scopes: both}, "bio")
	h.browser = h.app(gateway.Client{Type: gateway.ClientBrowser, AuthMethod: gateway.AuthNone, RedirectURIs: []string{"https://page.example/"}, Origins: []string{"https://page.example"}, Scopes: both}, "bio")
	h.native = h.app(gateway.Client{Type: gateway.ClientNative, AuthMethod: gateway.AuthNone, RedirectURIs: []string{nativeReply}, Scopes: both}, "")
	h.keyed = h.app(gateway.Client{Type: gateway.ClientMachine, AuthMethod: gateway.AuthKey, JWKS: string(set), Scopes: both}, "bio")
	h.machine = h.app(gateway.Client{Type: gateway.ClientMachine, AuthMethod: gateway.AuthSecret, RedirectURIs: []string{webReply}, Scopes: both}, "bio")
	return h
}

// run runs a subtest at the same server.
func (h *house) run(t *testing.T, name string, f func(*house, *testing.T)) {
	t.Run(name, func(t *testing.T) {
		r := *h.rig
		r.t = t
		sub := *h
		sub.rig, sub.ada, sub.pat = &r, h.ada.on(t), h.pat.on(t)
		f(&sub, t)
	})
}

// app registers a client as the registration does, with a secret where it keeps one.
func (h *house) app(c gateway.Client, hub string) gateway.Client {
	h.t.Helper()
	c.ID, c.Name = gateway.NewID("cli"), "App "+string(c.Type)
	if hub != "" {
		c.HubID = h.hub[hub]
	}
	if c.AuthMethod == gateway.AuthSecret {
		secret := gateway.NewToken()
		sum := sha256.Sum256([]byte(secret))
		c.SecretHash, h.secrets[c.ID] = sum[:], secret
	}
	if err := h.db.Clients().Insert(h.t.Context(), &c); err != nil {
		h.t.Fatal(err)
	}
	return c
}

// proof is a PKCE pair.
type proof struct{ verifier, challenge string }

func newProof() proof {
	v := gateway.NewToken()
	sum := sha256.Sum256([]byte(v))
	return proof{v, base64.RawURLEncoding.EncodeToString(sum[:])}
}

// ask is a right authorization request of a client, with changes: name, value, …; an empty value removes.
func (h *house) ask(c gateway.Client, p proof, change ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {c.ID}, "state": {"s t+1"}, "code_challenge": {p.challenge}, "code_challenge_method": {"S256"},
		"scope": {gateway.ScopeLibraryRead},
	}
	if len(c.RedirectURIs) > 0 {
		q.Set("redirect_uri", c.RedirectURIs[0])
	}
	for i := 0; i+1 < len(change); i += 2 {
		q.Del(change[i])
		if change[i+1] != "" {
			q.Set(change[i], change[i+1])
		}
	}
	return q
}

func (h *house) authorize(by *caller, q url.Values) answer {
	h.t.Helper()
	return by.do("GET", "/oauth2/authorize?"+q.Encode(), nil)
}

// back reads what came back at the redirect URI.
func (h *house) back(location string) url.Values {
	h.t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		h.t.Fatal(err)
	}
	return u.Query()
}

// consent answers the consent page and gives where the browser goes.
func (h *house) consent(by *caller, location, hub, decision string) string {
	h.t.Helper()
	id, ok := strings.CutPrefix(location, "/consent/")
	if !ok {
		h.t.Fatalf("not asked for consent but sent to %q", location)
	}
	var out struct {
		RedirectTo string `json:"redirect_to"`
	}
	by.want(200, "POST", "/v1/me/consents/"+id, map[string]any{"decision": decision, "hub_id": h.hub[hub]}).into(h.t, &out)
	return out.RedirectTo
}

// code goes through the authorization endpoint and the consent page.
func (h *house) code(by *caller, c gateway.Client, p proof, change ...string) string {
	h.t.Helper()
	a := h.authorize(by, h.ask(c, p, change...))
	if a.StatusCode != 303 {
		h.t.Fatalf("authorize: %d %s", a.StatusCode, a.body)
	}
	to := a.Header.Get("Location")
	if strings.HasPrefix(to, "/consent/") {
		to = h.consent(by, to, "bio", "allow")
	}
	q := h.back(to)
	if q.Get("code") == "" || q.Get("iss") != h.base || q.Get("state") != "s t+1" {
		h.t.Fatalf("answer: %s", to)
	}
	return q.Get("code")
}

type tokens struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	Scope     string `json:"scope"`
	ExpiresIn int    `json:"expires_in"`
	Type      string `json:"token_type"`
	Issued    string `json:"issued_token_type"`
	Error     string `json:"error"`
	Text      string `json:"error_description"`
	Status    int    `json:"-"`
}

// post sends a form to an endpoint as a client; client may be nil.
func (h *house) post(path string, c *gateway.Client, form url.Values, header ...string) tokens {
	h.t.Helper()
	if c != nil {
		switch c.AuthMethod {
		case gateway.AuthSecret:
			header = append(header, "Authorization", basic(c.ID, h.secrets[c.ID]))
		case gateway.AuthKey:
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", h.assertion(c.ID, nil))
		default:
			form.Set("client_id", c.ID)
		}
	}
	a := h.anonymous().do("POST", path, form, header...)
	out := tokens{Status: a.StatusCode}
	if len(a.body) > 0 {
		a.into(h.t, &out)
	}
	return out
}

func (h *house) token(c *gateway.Client, form url.Values, header ...string) tokens {
	h.t.Helper()
	return h.post("/oauth2/token", c, form, header...)
}

func redeem(c gateway.Client, code string, p proof) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.RedirectURIs[0]}, "code_verifier": {p.verifier}}
}

func refresh(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

// signedIn gives the tokens that a person's app has.
func (h *house) signedIn(by *caller, c gateway.Client) tokens {
	h.t.Helper()
	p := newProof()
	got := h.token(&c, redeem(c, h.code(by, c, p), p))
	if got.Status != 200 || got.Access == "" || got.Refresh == "" {
		h.t.Fatalf("tokens: %+v", got)
	}
	return got
}

// works tells whether an access token opens the API.
func (h *house) works(token string) bool {
	h.t.Helper()
	c := h.anonymous()
	c.bearer = token
	return c.do("GET", "/v1/hubs/"+h.hub["bio"]+"/library", nil).StatusCode == 200
}

// assertion signs a client assertion; change edits its claims.
func (h *house) assertion(client string, change func(jwt.MapClaims)) string {
	h.t.Helper()
	claims := jwt.MapClaims{
		"iss": client, "sub": client, "aud": h.base, "jti": gateway.NewToken(), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	}
	if change != nil {
		change(claims)
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	t.Header["kid"] = "k1"
	s, err := t.SignedString(h.key)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// idToken signs in at the demo identity provider and gives its ID token.
func (h *house) idToken(email string) string {
	h.t.Helper()
	c, p := h.anonymous(), newProof()
	q := url.Values{
		"response_type": {"code"}, "client_id": {"isthmus"}, "redirect_uri": {h.base + "/auth/callback"}, "scope": {"openid profile email"},
		"state": {"s"}, "nonce": {gateway.NewToken()}, "code_challenge": {p.challenge}, "code_challenge_method": {"S256"},
	}
	a := c.want(302, "GET", "/demo-idp/authorize?"+q.Encode(), nil)
	a = c.want(200, "GET", a.Header.Get("Location"), nil)
	id := hiddenID.FindSubmatch(a.body)
	password, _, _ := strings.Cut(email, "@")
	a = c.want(303, "POST", "/demo-idp/login", url.Values{"id": {string(id[1])}, "email": {email}, "password": {password + "-pass"}})
	var out struct {
		IDToken string `json:"id_token"`
	}
	c.want(200, "POST", "/demo-idp/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {h.back(a.Header.Get("Location")).Get("code")}, "redirect_uri": {h.base + "/auth/callback"},
		"code_verifier": {p.verifier},
	}, "Authorization", basic("isthmus", "demo-secret")).into(h.t, &out)
	return out.IDToken
}

func exchange(token, kind string) url.Values {
	return url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {token},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:" + kind},
	}
}

// device begins the flow of a device.
func (h *house) device(c gateway.Client) (device, user string) {
	h.t.Helper()
	var out struct {
		Device   string `json:"device_code"`
		User     string `json:"user_code"`
		URI      string `json:"verification_uri"`
		Interval int    `json:"interval"`
	}
	h.anonymous().want(200, "POST", "/oauth2/device_authorization", url.Values{"client_id": {c.ID}}).into(h.t, &out)
	if out.URI != h.base+"/device" || out.Interval != 5 {
		h.t.Fatalf("device: %+v", out)
	}
	return out.Device, out.User
}

func poll(device string) url.Values {
	return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {device}}
}

func (h *house) grants(by *caller) []openapi.AppGrant {
	h.t.Helper()
	var out openapi.AppGrants
	by.want(200, "GET", "/v1/me/grants", nil).into(h.t, &out)
	return out.Items
}

// sha256hex is how codes and tokens are kept.
func sha256hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
