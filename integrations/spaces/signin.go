package spaces

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"isthmus/gateway"
)

// Config is all that sign-in needs. Only CookieKey, Scopes and Log may be left out.
type Config struct {
	BaseURL      string // ours, without a path
	Issuer       string // the spaces platform's
	ClientID     string
	ClientSecret gateway.Secret // empty for a public client: PKCE is used always
	Scopes       []string       // default: openid profile email
	HTTP         *http.Client   // the guarded client; for the demo issuer one that reaches it in-process
	// CookieKey seals what the browser keeps during sign-in, 32 bytes or more. Without one a random
	// key is used: sign-ins that were under way at a restart must begin anew.
	CookieKey []byte
	// SignIn starts a session for a verified identity and sets its cookie; SignOut ends it.
	SignIn  func(w http.ResponseWriter, r *http.Request, id gateway.Identity) error
	SignOut func(w http.ResponseWriter, r *http.Request) error
	Log     *slog.Logger
}

// Paths of the handler.
const (
	LoginPath    = "/auth/login"
	CallbackPath = "/auth/callback"
	LogoutPath   = "/auth/logout"
)

// signInTime is how long somebody may take at the identity provider.
const signInTime = 15 * time.Minute

// SignIn is the relying party: an http.Handler for LoginPath, CallbackPath and LogoutPath. Safe for concurrent use.
type SignIn struct {
	cfg     Config
	base    *url.URL
	cookies *httphelper.CookieHandler
	prefix  string
	mux     *http.ServeMux

	mu    sync.Mutex
	party rp.RelyingParty // found by discovery on first use: the provider may start after us
}

// New makes the handler. It does not call the provider yet.
func New(cfg Config) (*SignIn, error) {
	base, err := url.Parse(strings.TrimSuffix(cfg.BaseURL, "/"))
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("spaces: base URL %q", cfg.BaseURL)
	}
	if cfg.Issuer == "" || cfg.ClientID == "" || cfg.HTTP == nil || cfg.SignIn == nil || cfg.SignOut == nil {
		return nil, errors.New("spaces: issuer, client id, HTTP client, SignIn and SignOut are needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if len(cfg.Scopes) == 0 {
		cfg.Scopes = []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail}
	}
	key := cfg.CookieKey
	if len(key) == 0 {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails since Go 1.24
	}
	hash, block := sha256.Sum256(append([]byte("sign "), key...)), sha256.Sum256(append([]byte("seal "), key...))
	s := &SignIn{cfg: cfg, base: base, prefix: "isthmus-login-", mux: http.NewServeMux()}
	options := []httphelper.CookieHandlerOpt{httphelper.WithMaxAge(int(signInTime.Seconds()))}
	if host := base.Hostname(); base.Scheme == "https" || host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1" || host == "::1" {
		s.prefix = "__Host-" + s.prefix
	} else {
		options = append(options, httphelper.WithUnsecure())
	}
	s.cookies = httphelper.NewCookieHandler(hash[:], block[:], options...)
	s.mux.HandleFunc("GET "+LoginPath, s.login)
	s.mux.HandleFunc("GET "+CallbackPath, s.callback)
	s.mux.HandleFunc("POST "+LogoutPath, s.logout)
	return s, nil
}

func (s *SignIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	s.mux.ServeHTTP(w, r)
}

// pending is what the browser keeps during sign-in, sealed.
type pending struct {
	State, Nonce, Verifier, Next string
}

// cookieName tells sign-ins in several tabs apart.
func (s *SignIn) cookieName(state string) string {
	return s.prefix + state[:min(8, len(state))]
}

type nonceKey struct{}

func (s *SignIn) relyingParty(ctx context.Context) (rp.RelyingParty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.party != nil {
		return s.party, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	p, err := rp.NewRelyingPartyOIDC(ctx, s.cfg.Issuer, s.cfg.ClientID, s.cfg.ClientSecret.Reveal(), s.base.String()+CallbackPath, s.cfg.Scopes,
		rp.WithHTTPClient(s.cfg.HTTP),
		rp.WithVerifierOpts(
			rp.WithNonce(func(ctx context.Context) string { n, _ := ctx.Value(nonceKey{}).(string); return n }),
			rp.WithIssuedAtOffset(time.Minute),
			rp.WithIssuedAtMaxAge(10*time.Minute),
			rp.WithSupportedSigningAlgorithms("RS256", "PS256", "ES256", "EdDSA"),
		),
	)
	if err != nil {
		return nil, gateway.E(gateway.Unavailable, "identity_provider_down", "The identity provider does not answer.").
			Next("Try again in a moment.").Because(err)
	}
	s.party = p
	return p, nil
}

func (s *SignIn) login(w http.ResponseWriter, r *http.Request) {
	// The cookie must come back to the callback's host. Once only: a proxy may hide the host from us.
	if q := r.URL.Query(); r.Host != s.base.Host && !q.Has("moved") {
		q.Set("moved", "1")
		http.Redirect(w, r, s.base.String()+LoginPath+"?"+q.Encode(), http.StatusFound)
		return
	}
	party, err := s.relyingParty(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := pending{State: gateway.NewToken(), Nonce: gateway.NewToken(), Verifier: gateway.NewToken(), Next: localPath(r.URL.Query().Get("next"))}
	raw, err := json.Marshal(p)
	if err == nil {
		err = s.cookies.SetCookie(w, s.cookieName(p.State), string(raw))
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, rp.AuthURL(p.State, party,
		rp.WithCodeChallenge(oidc.NewSHACodeChallenge(p.Verifier)), rp.AuthURLOpt(rp.WithURLParam("nonce", p.Nonce))), http.StatusFound)
}

// localPath lets only addresses of our own pages through, so that sign-in leads nowhere else.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") ||
		u.Host != "" || u.Scheme != "" || strings.HasPrefix(u.Path, "/auth/") || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	return next
}

func errBegun() *gateway.Error {
	return gateway.E(gateway.Invalid, "sign_in_expired", "This sign-in was not begun in this browser, or it took too long.").Next("Sign in again.")
}

func (s *SignIn) callback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	state := q.Get("state")
	name := s.cookieName(state)
	raw, err := s.cookies.CheckCookie(r, name)
	if err != nil {
		s.fail(w, r, errBegun().Because(err))
		return
	}
	s.cookies.DeleteCookie(w, name) // used once, whatever comes of it
	var p pending
	if err := json.Unmarshal([]byte(raw), &p); err != nil || p.State == "" || p.State != state {
		s.fail(w, r, errBegun())
		return
	}
	if iss := q.Get("iss"); iss != "" && iss != s.cfg.Issuer { // RFC 9207: another provider's answer
		s.fail(w, r, gateway.E(gateway.Unauthenticated, "wrong_issuer", "Another identity provider answered.").Next("Sign in again."))
		return
	}
	if e := q.Get("error"); e != "" {
		s.fail(w, r, gateway.E(gateway.Unauthenticated, "sign_in_refused", "The identity provider did not sign you in.").
			Next("Sign in again.").Because(fmt.Errorf("provider says %q", e)))
		return
	}
	id, err := s.exchange(context.WithValue(r.Context(), nonceKey{}, p.Nonce), q.Get("code"), p.Verifier)
	if err == nil {
		err = s.cfg.SignIn(w, r, id)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, p.Next, http.StatusSeeOther)
}

func (s *SignIn) exchange(ctx context.Context, code, verifier string) (gateway.Identity, error) {
	party, err := s.relyingParty(ctx)
	if err != nil {
		return gateway.Identity{}, err
	}
	tokens, err := rp.CodeExchange[*oidc.IDTokenClaims](ctx, code, party, rp.WithCodeVerifier(verifier))
	if err != nil {
		return gateway.Identity{}, gateway.E(gateway.Unauthenticated, "sign_in_failed", "The identity provider's answer could not be verified.").
			Next("Sign in again; if it happens again, tell your administrator.").Because(err)
	}
	c := tokens.IDTokenClaims
	if c.Email == "" || c.Claims[HubsClaim] == nil { // a provider may keep the ID token small
		info, err := rp.Userinfo[*oidc.UserInfo](ctx, tokens.AccessToken, tokens.TokenType, c.Subject, party)
		switch {
		case err == nil:
			merge(c, info)
		case c.Claims[HubsClaim] == nil:
			// To go on without it would take the person for one who has left all hubs.
			return gateway.Identity{}, gateway.E(gateway.Unavailable, "identity_provider_down", "The identity provider did not say which hubs you are in.").
				Next("Try again in a moment.").Because(err)
		default:
			s.cfg.Log.WarnContext(ctx, "userinfo not read", "error", err)
		}
	}
	return identityOf(c)
}

func merge(c *oidc.IDTokenClaims, info *oidc.UserInfo) {
	if c.Email == "" {
		c.Email, c.EmailVerified = info.Email, info.EmailVerified
	}
	if c.Name == "" {
		c.Name, c.GivenName, c.FamilyName = info.Name, info.GivenName, info.FamilyName
	}
	if c.Claims[HubsClaim] == nil && info.Claims[HubsClaim] != nil {
		if c.Claims == nil {
			c.Claims = map[string]any{}
		}
		c.Claims[HubsClaim] = info.Claims[HubsClaim]
	}
}

func (s *SignIn) logout(w http.ResponseWriter, r *http.Request) {
	if err := s.cfg.SignOut(w, r); err != nil {
		s.fail(w, r, err)
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

var failPage = template.Must(template.New("fail").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>Sign-in failed</title>
<main><h1>Sign-in failed</h1><p>{{.Message}} {{.NextStep}}</p><p><a href="` + LoginPath + `">Sign in</a> or <a href="/">go to the start page</a></p></main></html>
`))

// fail shows a person what went wrong: these addresses are opened by browsers.
func (s *SignIn) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := gateway.AsError(err)
	status := http.StatusBadRequest
	switch e.Code {
	case gateway.Internal:
		status = http.StatusInternalServerError
	case gateway.Unavailable:
		status = http.StatusServiceUnavailable
	case gateway.Unauthenticated:
		status = http.StatusUnauthorized
	case gateway.Forbidden:
		status = http.StatusForbidden
	}
	s.cfg.Log.WarnContext(r.Context(), "sign-in failed", "error", e.Error())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := failPage.Execute(w, e); err != nil {
		s.cfg.Log.DebugContext(r.Context(), "page not delivered", "error", err)
	}
}
