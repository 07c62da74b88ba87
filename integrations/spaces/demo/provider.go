package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/crypto"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"isthmus/gateway"
)

// Hub is a hub of the demo.
type Hub struct {
	ID, Name string
	Plan     gateway.Plan
}

// Person is somebody who can sign in. Roles are by hub id.
type Person struct {
	Email, Password, Name string
	Roles                 map[string]gateway.Role
	Unverified            bool // the e-mail is not verified
}

// Config is all that the provider needs; Log may be nil.
type Config struct {
	Issuer       string // with the path the handler is mounted at, e.g. "http://localhost:8080/demo-idp"
	ClientID     string
	ClientSecret gateway.Secret
	RedirectURI  string
	AppID        string // of a second client without a secret: the spaces platform's own app on a developer's machine; "" for none
	Hubs         []Hub
	People       []Person
	Log          *slog.Logger
}

const (
	codeLife  = time.Minute
	loginTime = 15 * time.Minute
	tokenLife = 10 * time.Minute
)

// Provider is the http.Handler to be mounted at the issuer's path. Safe for concurrent use.
type Provider struct {
	op.UnimplementedServer
	cfg     Config
	handler http.Handler
	signer  jose.Signer
	public  jose.JSONWebKeySet

	attempts gateway.Attempts

	mu     sync.Mutex
	logins map[string]login // by request id; under way
	codes  map[string]login // by code; signed in
	tokens map[string]token // by access token, for userinfo
}

// login is an authorization request with who answered it.
type login struct {
	request oidc.AuthRequest
	person  *Person
	at      time.Time // of the sign-in
	until   time.Time
}

type token struct {
	person *Person
	until  time.Time
}

// New makes a provider with a fresh signing key.
func New(cfg Config) (*Provider, error) {
	u, err := url.Parse(cfg.Issuer)
	if err != nil || u.Host == "" || cfg.ClientID == "" || cfg.ClientSecret == "" || cfg.RedirectURI == "" {
		return nil, errors.New("demo: issuer, client and redirect address are needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	jwk := jose.JSONWebKey{Key: key, KeyID: gateway.NewID("demo"), Algorithm: string(jose.ES256), Use: "sig"}
	p := &Provider{cfg: cfg, attempts: gateway.Attempts{Clock: gateway.SystemClock}, public: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk.Public()}}}
	p.logins, p.codes, p.tokens = map[string]login{}, map[string]login{}, map[string]token{}
	p.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jwk}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	server := op.RegisterServer(p, op.Endpoints{
		Authorization: op.NewEndpoint("/authorize"), Token: op.NewEndpoint("/token"),
		Userinfo: op.NewEndpoint("/userinfo"), JwksURI: op.NewEndpoint("/keys"),
	}, op.WithServerCORSOptions(nil), op.WithFallbackLogger(cfg.Log))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", p.showLogin)
	mux.HandleFunc("POST /login", p.takeLogin)
	mux.Handle("/", server)
	p.handler = http.StripPrefix(strings.TrimSuffix(u.Path, "/"), mux)
	return p, nil
}

func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	p.handler.ServeHTTP(w, r)
}

// Discovery tells what the provider can do.
func (p *Provider) Discovery(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	base := strings.TrimSuffix(p.cfg.Issuer, "/")
	return op.NewResponse(&oidc.DiscoveryConfiguration{
		Issuer: p.cfg.Issuer, AuthorizationEndpoint: base + "/authorize", TokenEndpoint: base + "/token",
		UserinfoEndpoint: base + "/userinfo", JwksURI: base + "/keys",
		ScopesSupported:                   []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail},
		ResponseTypesSupported:            []string{string(oidc.ResponseTypeCode)},
		GrantTypesSupported:               []oidc.GrantType{oidc.GrantTypeCode},
		SubjectTypesSupported:             []string{"public"},
		IDTokenSigningAlgValuesSupported:  []string{string(jose.ES256)},
		TokenEndpointAuthMethodsSupported: []oidc.AuthMethod{oidc.AuthMethodBasic, oidc.AuthMethodPost},
		CodeChallengeMethodsSupported:     []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
		ClaimsSupported:                   []string{"sub", "name", "email", "email_verified", hubsClaim},
	}), nil
}

// Keys publishes the signing key.
func (p *Provider) Keys(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	return op.NewResponse(p.public), nil
}

// known gives a client by its id.
func (p *Provider) known(id string) (client, bool) {
	if id != "" && id == p.cfg.AppID {
		return client{p, true}, true
	}
	return client{p, false}, id == p.cfg.ClientID
}

// VerifyAuthRequest knows its clients and wants PKCE with S256.
func (p *Provider) VerifyAuthRequest(_ context.Context, r *op.Request[oidc.AuthRequest]) (*op.ClientRequest[oidc.AuthRequest], error) {
	c, known := p.known(r.Data.ClientID)
	switch {
	case r.Data.RequestParam != "":
		return nil, oidc.ErrRequestNotSupported()
	case !known:
		return nil, oidc.ErrInvalidRequest().WithDescription("unknown client")
	case r.Data.CodeChallenge == "" || r.Data.CodeChallengeMethod != oidc.CodeChallengeMethodS256:
		return nil, oidc.ErrInvalidRequest().WithDescription("PKCE with S256 is needed")
	}
	return &op.ClientRequest[oidc.AuthRequest]{Request: r, Client: c}, nil
}

// Authorize sends the browser to the login page.
func (p *Provider) Authorize(_ context.Context, r *op.ClientRequest[oidc.AuthRequest]) (*op.Redirect, error) {
	id := gateway.NewToken()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget()
	p.logins[id] = login{request: *r.Data, until: time.Now().Add(loginTime)}
	return op.NewRedirect(strings.TrimSuffix(p.cfg.Issuer, "/") + "/login?id=" + id), nil
}

// forget drops what is over. Call with the lock held.
func (p *Provider) forget() {
	now := time.Now()
	for _, m := range []map[string]login{p.logins, p.codes} {
		for k, v := range m {
			if now.After(v.until) {
				delete(m, k)
			}
		}
	}
	for k, v := range p.tokens {
		if now.After(v.until) {
			delete(p.tokens, k)
		}
	}
}

// person finds somebody by e-mail and password, in a time that tells nothing of the password.
func (p *Provider) person(email, password string) *Person {
	var found *Person
	given := sha256.Sum256([]byte(password))
	for i := range p.cfg.People {
		one := &p.cfg.People[i]
		want := sha256.Sum256([]byte(one.Password))
		if strings.EqualFold(one.Email, strings.TrimSpace(email)) && subtle.ConstantTimeCompare(given[:], want[:]) == 1 {
			found = one
		}
	}
	return found
}

// VerifyClient checks Isthmus' secret; the app has none and proves itself by PKCE.
func (p *Provider) VerifyClient(_ context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	c, known := p.known(r.Data.ClientID)
	if known && c.app && r.Data.ClientSecret == "" {
		return c, nil
	}
	given, want := sha256.Sum256([]byte(r.Data.ClientSecret)), sha256.Sum256([]byte(p.cfg.ClientSecret.Reveal()))
	if !known || c.app || subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
		return nil, op.NewStatusError(oidc.ErrInvalidClient(), http.StatusUnauthorized)
	}
	return c, nil
}

// CodeExchange gives the tokens for a code, once.
func (p *Provider) CodeExchange(_ context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	p.mu.Lock()
	l, ok := p.codes[r.Data.Code]
	delete(p.codes, r.Data.Code)
	p.mu.Unlock()
	if !ok || time.Now().After(l.until) || l.request.RedirectURI != r.Data.RedirectURI || l.request.ClientID != r.Client.GetID() {
		return nil, oidc.ErrInvalidGrant()
	}
	challenge := &oidc.CodeChallenge{Challenge: l.request.CodeChallenge, Method: l.request.CodeChallengeMethod}
	if err := op.AuthorizeCodeChallenge(r.Data.CodeVerifier, challenge); err != nil {
		return nil, err
	}
	access := gateway.NewToken()
	claims := oidc.NewIDTokenClaims(p.cfg.Issuer, Subject(l.person.Email), []string{l.request.ClientID}, time.Now().Add(tokenLife), l.at,
		l.request.Nonce, "", []string{"pwd"}, l.request.ClientID, 0)
	claims.SetUserInfo(p.about(l.person))
	var err error
	if claims.AccessTokenHash, err = oidc.ClaimHash(access, jose.ES256); err != nil {
		return nil, err
	}
	signed, err := crypto.Sign(claims, p.signer)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.tokens[access] = token{l.person, time.Now().Add(tokenLife)}
	p.mu.Unlock()
	return op.NewResponse(&oidc.AccessTokenResponse{
		AccessToken: access, TokenType: oidc.BearerToken, ExpiresIn: uint64(tokenLife.Seconds()), IDToken: signed,
	}), nil
}

// UserInfo repeats what the ID token says.
func (p *Provider) UserInfo(_ context.Context, r *op.Request[oidc.UserInfoRequest]) (*op.Response, error) {
	p.mu.Lock()
	t, ok := p.tokens[r.Data.AccessToken]
	p.mu.Unlock()
	if !ok || time.Now().After(t.until) {
		return nil, op.NewStatusError(oidc.ErrAccessDenied(), http.StatusUnauthorized)
	}
	return op.NewResponse(p.about(t.person)), nil
}

const hubsClaim = "isthmus_hubs"

// Subject is the person's id in the tokens of this provider.
func Subject(email string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.ToLower(email))))[:24]
}

func (p *Provider) about(person *Person) *oidc.UserInfo {
	hubs := []map[string]string{}
	for _, h := range p.cfg.Hubs {
		if role, in := person.Roles[h.ID]; in {
			hubs = append(hubs, map[string]string{"id": h.ID, "name": h.Name, "plan": string(h.Plan), "role": string(role)})
		}
	}
	return &oidc.UserInfo{
		Subject:         Subject(person.Email),
		UserInfoProfile: oidc.UserInfoProfile{Name: person.Name},
		UserInfoEmail:   oidc.UserInfoEmail{Email: person.Email, EmailVerified: oidc.Bool(!person.Unverified)},
		Claims:          map[string]any{hubsClaim: hubs},
	}
}

// client is Isthmus as the provider's client, or the app.
type client struct {
	p   *Provider
	app bool
}

func (c client) GetID() string {
	if c.app {
		return c.p.cfg.AppID
	}
	return c.p.cfg.ClientID
}

func (c client) RedirectURIs() []string {
	if c.app {
		return []string{"http://127.0.0.1/callback"} // at any port
	}
	return []string{c.p.cfg.RedirectURI}
}
func (c client) PostLogoutRedirectURIs() []string { return nil }
func (c client) ApplicationType() op.ApplicationType {
	if c.app {
		return op.ApplicationTypeNative
	}
	return op.ApplicationTypeWeb
}

func (c client) AuthMethod() oidc.AuthMethod {
	if c.app {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodBasic
}

func (c client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c client) GrantTypes() []oidc.GrantType        { return []oidc.GrantType{oidc.GrantTypeCode} }
func (c client) LoginURL(string) string              { return "" }
func (c client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }
func (c client) IDTokenLifetime() time.Duration      { return tokenLife }
func (c client) DevMode() bool                       { return true } // http on this machine
func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}

func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}
func (c client) IsScopeAllowed(string) bool           { return false }
func (c client) IDTokenUserinfoClaimsAssertion() bool { return true }
func (c client) ClockSkew() time.Duration             { return 0 }
