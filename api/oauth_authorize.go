package api

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"isthmus/gateway"
)

const maxState = 2000

// authorization is a request at the authorization endpoint whose client and redirect URI are verified:
// from here on errors go back to the client.
type authorization struct {
	client      gateway.Client
	redirectURI string
	state       string
	scopes      []string
	challenge   string
	prompt      []string
}

// authorize is the authorization endpoint: the code flow with PKCE (S256), nothing else. What is wrong
// before the redirect URI is known to be the client's is shown here and sent nowhere.
func (s *Server) authorize(c echo.Context) error {
	r := c.Request()
	ctx := r.Context()
	if err := s.take(ctx, c.Response().Header(), s.ofAddress(c.RealIP())); err != nil {
		c.Response().Header().Set("Retry-After", gateway.AsError(err).RetryAfter())
		return s.authorizeFails(c, http.StatusTooManyRequests, "There were too many requests from where you are. Wait a moment.")
	}
	params := r.URL.Query()
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil || r.URL.RawQuery != "" {
			return s.authorizeFails(c, http.StatusBadRequest, "The app's request is not well formed.")
		}
		params = r.PostForm
	} else if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		return s.authorizeFails(c, http.StatusBadRequest, "The app's request is not well formed.")
	}
	if !plain(params) {
		return s.authorizeFails(c, http.StatusBadRequest, "The app's request is not well formed.")
	}
	for _, name := range []string{"client_id", "redirect_uri"} {
		if len(params[name]) != 1 || params.Get(name) == "" {
			return s.authorizeFails(c, http.StatusBadRequest, "The app's request does not say, or says twice, what "+name+" is.")
		}
	}
	client, err := s.oauth.Client(ctx, params.Get("client_id"))
	if gateway.CodeOf(err) == gateway.NotFound {
		return s.authorizeFails(c, http.StatusBadRequest, "This app is not known here, or it was disabled.")
	}
	if err != nil {
		s.log.ErrorContext(ctx, "authorization request failed", "error", err)
		return s.authorizeFails(c, http.StatusServiceUnavailable, "Something does not work here just now. Try again in a moment.")
	}
	if !client.Redirects(params.Get("redirect_uri")) {
		return s.authorizeFails(c, http.StatusBadRequest, "The address to which the app wants the answer is not registered for it.")
	}
	a, code, text := s.readAuthorization(client, params)
	if code != "" {
		return s.sendBack(c, a.redirectURI, a.state, url.Values{"error": {code}, "error_description": {text}})
	}
	return s.proceed(c, a)
}

// readAuthorization reads the rest of a request. Code is that of an error, if any.
func (s *Server) readAuthorization(client gateway.Client, params url.Values) (a authorization, code, text string) {
	a = authorization{client: client, redirectURI: params.Get("redirect_uri")}
	if len(params["state"]) == 1 && len(params.Get("state")) <= maxState {
		a.state = params.Get("state")
	}
	for name, values := range params {
		if len(values) > 1 && name != "resource" {
			return a, "invalid_request", "a parameter occurs twice"
		}
	}
	a.prompt = strings.Fields(params.Get("prompt"))
	var err error
	switch oc := (oauthClient{client}); {
	case len(params.Get("state")) > maxState:
		return a, "invalid_request", "the state is too long"
	case params.Has("request"):
		return a, "request_not_supported", "send the parameters themselves"
	case params.Has("request_uri"):
		return a, "request_uri_not_supported", "send the parameters themselves"
	case params.Get("response_type") == "":
		return a, "invalid_request", "response_type is missing"
	case params.Get("response_type") != string(oidc.ResponseTypeCode):
		return a, "unsupported_response_type", "only code is given here"
	case !oc.may(oidc.GrantTypeCode):
		return a, "unauthorized_client", "this client may not ask people"
	case params.Has("response_mode") && params.Get("response_mode") != "query":
		return a, "invalid_request", "the only response_mode is query"
	case params.Get("code_challenge") == "":
		return a, "invalid_request", "code_challenge is missing: PKCE is needed"
	case params.Get("code_challenge_method") != "S256":
		return a, "invalid_request", "code_challenge_method must be S256"
	case !gateway.GoodChallenge(params.Get("code_challenge")):
		return a, "invalid_request", "code_challenge is not one of S256"
	case slices.Contains(a.prompt, oidc.PromptNone) && len(a.prompt) > 1:
		return a, "invalid_request", "prompt none stands alone"
	case s.target(params) != nil:
		return a, "invalid_target", "tokens are good for " + s.base.String() + " only"
	}
	a.challenge = params.Get("code_challenge")
	if a.scopes, err = client.MayHave(plainScopes(params.Get("scope"))); err != nil {
		return a, "invalid_scope", "this client may not have one of the scopes"
	}
	return a, "", ""
}

// proceed asks the person on a page of ours, or answers at once when they have allowed it all before.
func (s *Server) proceed(c echo.Context, a authorization) error {
	ctx := c.Request().Context()
	silent := slices.Contains(a.prompt, oidc.PromptNone)
	ses, err := s.signedIn(c.Request())
	known := err == nil
	hub := ""
	if known && (silent || len(a.prompt) == 0) { // whatever else an app wants to happen, it is not nothing
		hub, err = s.oauth.Remembered(ctx, ses, a.client, a.scopes)
	}
	if err != nil && gateway.CodeOf(err) != gateway.Unauthenticated {
		return s.oauthTrouble(c, a, err)
	}
	switch {
	case silent && !known:
		return s.sendBack(c, a.redirectURI, a.state, url.Values{"error": {"login_required"}, "error_description": {"nobody is signed in"}})
	case silent && hub == "":
		return s.sendBack(c, a.redirectURI, a.state, url.Values{"error": {"consent_required"}, "error_description": {"the person has to be asked"}})
	}
	q, err := s.oauth.Begin(ctx, gateway.AuthorizationRequest{
		ClientID: a.client.ID, RedirectURI: a.redirectURI, State: a.state, Scopes: a.scopes, Challenge: a.challenge,
	})
	if err != nil {
		return s.oauthTrouble(c, a, err)
	}
	if hub == "" {
		return c.Redirect(http.StatusSeeOther, consentPage+q.ID)
	}
	answer, err := s.oauth.Decide(ctx, ses, q.ID, hub, true)
	if err != nil {
		return s.oauthTrouble(c, a, err)
	}
	return c.Redirect(http.StatusSeeOther, s.answerURL(answer))
}

// signedIn gives the session of a browser that comes from another site by a link.
func (s *Server) signedIn(r *http.Request) (gateway.Session, error) {
	ck, err := r.Cookie(s.cookieName)
	if err != nil || ck.Value == "" {
		return gateway.Session{}, errSignIn()
	}
	return s.access.Session(r.Context(), ck.Value)
}

func (s *Server) oauthTrouble(c echo.Context, a authorization, err error) error {
	s.log.ErrorContext(c.Request().Context(), "authorization request failed", "error", err)
	return s.sendBack(c, a.redirectURI, a.state, url.Values{"error": {"server_error"}, "error_description": {"try again in a moment"}})
}

// sendBack answers a client by way of its redirect URI, which must be verified.
func (s *Server) sendBack(c echo.Context, redirectURI, state string, params url.Values) error {
	return c.Redirect(http.StatusSeeOther, s.backURL(redirectURI, state, params))
}

// backURL adds parameters to a redirect URI and leaves its own text as it is. Every answer says who
// gives it (RFC 9207).
func (s *Server) backURL(redirectURI, state string, params url.Values) string {
	params.Set("iss", s.base.String())
	if state != "" {
		params.Set("state", state)
	}
	join := "?"
	if strings.Contains(redirectURI, "?") {
		join = "&"
	}
	return redirectURI + join + params.Encode()
}

// answerURL is where a person's decision is sent.
func (s *Server) answerURL(a gateway.Answer) string {
	if a.Code == "" {
		return s.backURL(a.RedirectURI, a.State, url.Values{"error": {"access_denied"}, "error_description": {"the person refused"}})
	}
	return s.backURL(a.RedirectURI, a.State, url.Values{"code": {a.Code}})
}

var authorizePageHTML = template.Must(template.New("authorize").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>The app cannot continue</title>
<main><h1>The app cannot continue</h1><p>{{.}} Go back to the app and try again; if it happens again, tell its makers.</p><p><a href="/">Go to the start page of Isthmus</a></p></main></html>
`))

// authorizeFails tells a person here what is wrong with a request whose answer may be sent nowhere.
func (s *Server) authorizeFails(c echo.Context, status int, text string) error {
	c.Response().Header().Set("Content-Type", "text/html; charset=utf-8")
	c.Response().WriteHeader(status)
	if err := authorizePageHTML.Execute(c.Response(), text); err != nil {
		s.log.DebugContext(context.WithoutCancel(c.Request().Context()), "page not delivered", "error", err)
	}
	return nil
}
