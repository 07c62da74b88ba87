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
	"path"
	"strings"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"isthmus/gateway"
)

// Config is all that sign-in needs. Only CookieKey and Log may be left out.
type Config struct {
	BaseURL  string // ours, without a path
	Verifier *Verifier
	People   *gateway.People // hear of log-outs and of who left
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
	LoginPath      = "/auth/login"
	CallbackPath   = "/auth/callback"
	LogoutPath     = "/auth/logout"
	BackLogoutPath = "/auth/backchannel-logout"
	choosePath     = "/sign-in" // our own page
)

// signInTime is how long somebody may take at the identity provider.
const signInTime = 15 * time.Minute

// SignIn is the relying party: an http.Handler for the paths above. Safe for concurrent use.
type SignIn struct {
	cfg     Config
	base    *url.URL
	cookies *httphelper.CookieHandler
	prefix  string
	mux     *http.ServeMux

	mu      sync.Mutex
	parties map[string]party // by provider; found by discovery on first use: a provider may start after us
}

// party is our side of one provider's protocol.
type party struct {
	rp.RelyingParty
	known *known // that it was made from
}

// New makes the handler. It does not call the provider yet.
func New(cfg Config) (*SignIn, error) {
	base, err := url.Parse(strings.TrimSuffix(cfg.BaseURL, "/"))
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("spaces: base URL %q", cfg.BaseURL)
	}
	if cfg.Verifier == nil || cfg.People == nil || cfg.SignIn == nil || cfg.SignOut == nil {
		return nil, errors.New("spaces: Verifier, People, SignIn and SignOut are needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
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
	s.parties = map[string]party{}
	s.mux.HandleFunc("GET "+LoginPath, s.login)
	s.mux.HandleFunc("POST "+LoginPath, s.login) // OpenID's third-party login may come either way
	s.mux.HandleFunc("POST "+BackLogoutPath, s.backLogout)
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
	Provider, State, Nonce, Verifier, Next string
	Silent                                 bool
	Hint                                   string
}

// cookieName tells sign-ins in several tabs apart.
func (s *SignIn) cookieName(state string) string {
	return s.prefix + state[:min(8, len(state))]
}

type nonceKey struct{}

func (s *SignIn) relyingParty(ctx context.Context, p gateway.OpenedProvider) (rp.RelyingParty, error) {
	k, err := s.cfg.Verifier.learn(ctx, p.IdentityProvider)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	have := s.parties[p.ID]
	s.mu.Unlock()
	if have.known == k {
		return have, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	made, err := rp.NewRelyingPartyOIDC(ctx, p.Issuer, p.ClientID, p.Secret.Reveal(), s.base.String()+CallbackPath, p.Scopes,
		rp.WithHTTPClient(s.cfg.Verifier.client(p.Issuer)),
		rp.WithVerifierOpts(
			rp.WithNonce(func(ctx context.Context) string { n, _ := ctx.Value(nonceKey{}).(string); return n }),
			rp.WithIssuedAtOffset(time.Minute),
			rp.WithIssuedAtMaxAge(10*time.Minute),
			rp.WithSupportedSigningAlgorithms(algorithmNames()...),
		),
	)
	if err != nil {
		if have.known != nil && have.known.version == p.Version {
			return have, nil
		}
		return nil, down(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parties[p.ID] = party{made, k}
	return made, nil
}

// chosen gives the provider that a sign-in names by its id or issuer, or the only one there is. None
// and no error: the person has to choose.
func (s *SignIn) chosen(ctx context.Context, q url.Values) (*gateway.OpenedProvider, error) {
	var p gateway.OpenedProvider
	var err error
	switch id, issuer := q.Get("provider"), q.Get("iss"); {
	case issuer != "":
		p, err = s.cfg.Verifier.Providers.ByIssuer(ctx, issuer)
	case id != "":
		p, err = s.cfg.Verifier.Providers.Open(ctx, id)
	default:
		all, err := s.cfg.Verifier.Providers.Enabled(ctx)
		if err != nil || len(all) != 1 {
			return nil, err
		}
		return s.chosen(ctx, url.Values{"provider": {all[0].ID}})
	}
	return &p, err
}

// login begins a sign-in. Parameters: provider (id) or iss (issuer), next or target_link_uri (where to
// go then, ours only), login_hint, and prompt=none to try without a page first.
func (s *SignIn) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, gateway.E(gateway.Invalid, "bad_form", "The sign-in request is not understood.").Next("Sign in again."))
		return
	}
	q := r.Form
	// The cookie must come back to the callback's host. Once only: a proxy may hide the host from us.
	if r.Host != s.base.Host && !q.Has("moved") {
		q.Set("moved", "1")
		http.Redirect(w, r, s.base.String()+LoginPath+"?"+q.Encode(), http.StatusFound)
		return
	}
	next := localPath(q.Get("next"))
	if target := q.Get("target_link_uri"); target != "" {
		next = localPath(strings.TrimPrefix(target, s.base.String()))
	}
	p, err := s.chosen(r.Context(), q)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if p == nil {
		http.Redirect(w, r, choosePath+"?"+url.Values{"next": {next}}.Encode(), http.StatusFound)
		return
	}
	s.begin(w, r, *p, pending{Next: next, Silent: q.Get("prompt") == oidc.PromptNone, Hint: q.Get("login_hint")})
}

// begin sends the browser to the provider.
func (s *SignIn) begin(w http.ResponseWriter, r *http.Request, p gateway.OpenedProvider, begun pending) {
	relying, err := s.relyingParty(r.Context(), p)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	begun.Provider, begun.State, begun.Nonce, begun.Verifier = p.ID, gateway.NewToken(), gateway.NewToken(), gateway.NewToken()
	if len(begun.Hint) > maxHint {
		begun.Hint = ""
	}
	raw, err := json.Marshal(begun)
	if err == nil {
		err = s.cookies.SetCookie(w, s.cookieName(begun.State), string(raw))
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	options := []rp.AuthURLOpt{rp.WithCodeChallenge(oidc.NewSHACodeChallenge(begun.Verifier)), rp.AuthURLOpt(rp.WithURLParam("nonce", begun.Nonce))}
	if begun.Hint != "" {
		options = append(options, rp.AuthURLOpt(rp.WithURLParam("login_hint", begun.Hint)))
	}
	if begun.Silent {
		options = append(options, rp.WithPrompt(oidc.PromptNone))
	}
	http.Redirect(w, r, rp.AuthURL(begun.State, relying, options...), http.StatusFound)
}

// maxHint keeps the cookie small.
const maxHint = 300

// localPath lets only addresses of our own pages through, so that sign-in leads nowhere else.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") ||
		u.Host != "" || u.Scheme != "" || strings.HasPrefix(path.Clean(u.Path)+"/", "/auth/") || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, "\\") {
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
	var begun pending
	if err := json.Unmarshal([]byte(raw), &begun); err != nil || begun.State == "" || begun.State != state {
		s.fail(w, r, errBegun())
		return
	}
	p, err := s.cfg.Verifier.Providers.Open(r.Context(), begun.Provider)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if iss := q.Get("iss"); iss != "" && iss != p.Issuer { // RFC 9207: another provider's answer
		s.fail(w, r, gateway.E(gateway.Unauthenticated, "wrong_issuer", "Another identity provider answered.").Next("Sign in again."))
		return
	}
	switch e := q.Get("error"); {
	case begun.Silent && wantsPage[e]: // now with a page
		s.begin(w, r, p, pending{Next: begun.Next, Hint: begun.Hint})
		return
	case e != "":
		s.fail(w, r, gateway.E(gateway.Unauthenticated, "sign_in_refused", "The identity provider did not sign you in.").
			Next("Sign in again.").Because(fmt.Errorf("provider says %q", e)))
		return
	}
	id, err := s.exchange(context.WithValue(r.Context(), nonceKey{}, begun.Nonce), p, q.Get("code"), begun.Verifier)
	if err == nil {
		err = s.cfg.SignIn(w, r, id)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, begun.Next, http.StatusSeeOther)
}

// wantsPage are the answers to prompt=none that a page at the provider settles.
var wantsPage = map[string]bool{"login_required": true, "interaction_required": true, "consent_required": true, "account_selection_required": true}

func (s *SignIn) exchange(ctx context.Context, p gateway.OpenedProvider, code, verifier string) (gateway.Identity, error) {
	relying, err := s.relyingParty(ctx, p)
	if err != nil {
		return gateway.Identity{}, err
	}
	tokens, err := rp.CodeExchange[*oidc.IDTokenClaims](ctx, code, relying, rp.WithCodeVerifier(verifier))
	if err != nil {
		return gateway.Identity{}, gateway.E(gateway.Unauthenticated, "sign_in_failed", "The identity provider's answer could not be verified.").
			Next("Sign in again; if it happens again, tell your administrator.").Because(err)
	}
	claims := map[string]any{} // as the provider wrote them: the library's own form of them leaves some out
	if _, err := oidc.ParseToken(tokens.IDToken, &claims); err != nil {
		return gateway.Identity{}, invalid(err)
	}
	if !p.Claims.Complete(claims) { // a provider may keep the ID token small
		info, err := rp.Userinfo[*oidc.UserInfo](ctx, tokens.AccessToken, tokens.TokenType, tokens.IDTokenClaims.Subject, relying)
		switch {
		case err == nil:
			err = merge(claims, info)
			if err != nil {
				return gateway.Identity{}, invalid(err)
			}
		case !p.Claims.NamesHubs(claims):
			// To go on without it would take the person for one of whom nothing is known.
			return gateway.Identity{}, gateway.E(gateway.Unavailable, "identity_provider_down", "The identity provider did not say which hubs you are in.").
				Next("Try again in a moment.").Because(err)
		default:
			s.cfg.Log.WarnContext(ctx, "userinfo not read", "error", err)
		}
	}
	return p.Identity(claims)
}

// merge adds what only userinfo says. An address comes with the word whether it is verified.
func merge(claims map[string]any, info *oidc.UserInfo) error {
	raw, err := json.Marshal(info)
	if err != nil {
		return err
	}
	more := map[string]any{}
	if err := json.Unmarshal(raw, &more); err != nil {
		return err
	}
	if has(claims, "email") {
		delete(more, "email_verified")
	} else {
		delete(claims, "email_verified")
	}
	for name, v := range more {
		if !has(claims, name) && !strings.HasPrefix(name, "_") {
			claims[name] = v
		}
	}
	return nil
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
<main><h1>Sign-in failed</h1><p>{{.Message}} {{.NextStep}}</p><p><a href="` + choosePath + `">Sign in</a> or <a href="/">go to the start page</a></p></main></html>
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
