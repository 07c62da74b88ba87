package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"isthmus/gateway"
	"isthmus/secrets"
)

// tokenLife is how long an access token works. It is short because a JWT cannot be called back.
const tokenLife = 10 * time.Minute

const (
	tokenPath = "/oauth2/token"
	keysPath  = "/oauth2/keys"
)

// routeOAuth mounts the token endpoint, the public keys and the metadata. The OpenID library
// parses requests and renders errors as RFC 6749 wants; the tokens themselves are ours (RFC 9068),
// because the library cannot set their type to at+jwt.
func (s *Server) routeOAuth() {
	issuer := &issuer{s: s}
	h := op.RegisterServer(issuer, op.Endpoints{Token: op.NewEndpoint(tokenPath), JwksURI: op.NewEndpoint(keysPath)},
		op.WithServerCORSOptions(nil), op.WithFallbackLogger(s.log))
	public := func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "public, max-age=300")
		h.ServeHTTP(c.Response(), c.Request())
		return nil
	}
	s.echo.POST(tokenPath, s.token(h), noStore, s.bodyLimit(maxBody))
	s.echo.GET(keysPath, public)
	s.echo.GET(oidc.DiscoveryEndpoint, public)
	s.echo.GET("/.well-known/oauth-authorization-server", func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "public, max-age=300")
		return c.JSON(http.StatusOK, issuer.metadata())
	})
}

// token guards the library's handler: credentials come in the header or the body, by one of both,
// never in the address, where they would be logged on the way.
func (s *Server) token(h http.Handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		w := c.Response()
		w.Header().Set("Pragma", "no-cache")
		refuse := func(e *oidc.Error) error {
			return c.JSON(http.StatusBadRequest, map[string]string{"error": string(e.ErrorType), "error_description": e.Description})
		}
		if r.URL.RawQuery != "" {
			return refuse(oidc.ErrInvalidRequest().WithDescription("parameters belong into the body, not into the address"))
		}
		if err := r.ParseForm(); err != nil {
			return refuse(oidc.ErrInvalidRequest().WithDescription("the body is no form"))
		}
		for name, values := range r.PostForm {
			if len(values) > 1 && name != "resource" && name != "audience" {
				return refuse(oidc.ErrInvalidRequest().WithDescription("a parameter occurs twice"))
			}
		}
		_, _, basic := r.BasicAuth()
		if basic && r.PostForm.Has("client_secret") {
			return refuse(oidc.ErrInvalidRequest().WithDescription("use one way to authenticate, not two"))
		}
		client := r.PostForm.Get("client_id")
		if basic {
			client, _, _ = r.BasicAuth()
		}
		done, err := s.attempts.Begin(client, c.RealIP())
		if err != nil {
			w.Header().Set("Retry-After", gateway.AsError(err).RetryAfter())
			return c.JSON(http.StatusTooManyRequests, map[string]string{
				"error": "temporarily_unavailable", "error_description": "too many wrong attempts; wait before the next",
			})
		}
		answer := &challengeWriter{ResponseWriter: w, basic: basic}
		h.ServeHTTP(answer, r)
		done(!answer.refused)
		return nil
	}
}

// challengeWriter adds the challenge that RFC 6749 §5.2 wants with a 401, and remembers one.
type challengeWriter struct {
	http.ResponseWriter
	basic   bool
	refused bool
}

func (w *challengeWriter) WriteHeader(status int) {
	w.refused = w.refused || status == http.StatusUnauthorized
	if w.refused && w.basic {
		w.Header().Set("WWW-Authenticate", `Basic realm="isthmus"`)
	}
	w.ResponseWriter.WriteHeader(status)
}

// issuer is our side of the library's server.
type issuer struct {
	op.UnimplementedServer
	s *Server
}

// metadata is RFC 8414; it names only what works.
type metadata struct {
	Issuer                 string   `json:"issuer"`
	TokenEndpoint          string   `json:"token_endpoint"`
	JWKSURI                string   `json:"jwks_uri"`
	ScopesSupported        []string `json:"scopes_supported"`
	ResponseTypesSupported []string `json:"response_types_supported"`
	GrantTypesSupported    []string `json:"grant_types_supported"`
	AuthMethods            []string `json:"token_endpoint_auth_methods_supported"`
	ServiceDocumentation   string   `json:"service_documentation"`
}

func (i *issuer) metadata() metadata {
	base := i.s.base.String()
	return metadata{
		Issuer: base, TokenEndpoint: base + tokenPath, JWKSURI: base + keysPath, ScopesSupported: allScopes,
		ResponseTypesSupported: []string{}, GrantTypesSupported: []string{string(oidc.GrantTypeClientCredentials)},
		AuthMethods:          []string{string(oidc.AuthMethodBasic), string(oidc.AuthMethodPost)},
		ServiceDocumentation: base + "/openapi.yaml",
	}
}

var allScopes = []string{
	gateway.ScopeMediaRead, gateway.ScopeMediaImport, gateway.ScopeUploadsWrite, gateway.ScopeConnectionsAdmin,
	gateway.ScopeMappingsAdmin, gateway.ScopeEventsRead, gateway.ScopeWebhooksAdmin,
}

func (i *issuer) Discovery(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	return op.NewResponse(i.metadata()), nil
}

func (i *issuer) Keys(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	set, err := i.s.tokens.PublicKeys()
	if err != nil {
		return nil, err
	}
	return op.NewResponse(json.RawMessage(set)), nil
}

func (i *issuer) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	if r.Data.ClientAssertion != "" || r.Data.ClientSecret == "" {
		return nil, op.NewStatusError(oidc.ErrInvalidClient().WithDescription("send the client's id and secret"), http.StatusUnauthorized)
	}
	c, err := i.s.access.Client(ctx, r.Data.ClientID, gateway.Secret(r.Data.ClientSecret))
	switch gateway.CodeOf(err) {
	case "":
		return oauthClient{c, r.Data.ClientID}, nil
	case gateway.Unauthenticated, gateway.NotFound:
		return nil, op.NewStatusError(oidc.ErrInvalidClient().WithDescription("the client's id or secret is wrong"), http.StatusUnauthorized)
	}
	i.s.log.ErrorContext(ctx, "client not checked", "error", err)
	return nil, op.NewStatusError(oidc.ErrServerError().WithDescription("try again in a moment"), http.StatusServiceUnavailable)
}

func (i *issuer) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	c := r.Client.(oauthClient)
	scopes := c.Scopes
	if asked := strings.Fields(r.PostForm.Get("scope")); len(asked) > 0 {
		for _, sc := range asked {
			if !slices.Contains(c.Scopes, sc) {
				return nil, oidc.ErrInvalidScope().WithDescription("this client may not have the scope %q", sc)
			}
		}
		slices.Sort(asked)
		scopes = slices.Compact(asked)
	}
	for _, res := range r.PostForm["resource"] { // RFC 8707
		if strings.TrimSuffix(res, "/") != i.s.base.String() {
			e := oidc.ErrInvalidRequest().WithDescription("tokens are good for %s only", i.s.base)
			e.ErrorType = "invalid_target"
			return nil, e
		}
	}
	t := secrets.Access{
		ID: gateway.NewID("tok"), ClientID: c.ID, HubID: c.HubID, Scopes: scopes, ExpiresAt: i.s.tokens.clock().Add(tokenLife),
	}
	signed, err := i.s.tokens.Sign(t)
	if err != nil {
		i.s.log.ErrorContext(ctx, "token not signed", "error", err)
		return nil, op.NewStatusError(oidc.ErrServerError().WithDescription("try again in a moment"), http.StatusInternalServerError)
	}
	return op.NewResponse(&oidc.AccessTokenResponse{
		AccessToken: signed, TokenType: oidc.BearerToken, ExpiresIn: uint64(tokenLife.Seconds()), Scope: scopes,
	}), nil
}

// oauthClient is a client of ours as the library wants to see it.
type oauthClient struct {
	gateway.Client
	id string
}

func (c oauthClient) GetID() string                       { return c.id }
func (c oauthClient) RedirectURIs() []string              { return nil }
func (c oauthClient) PostLogoutRedirectURIs() []string    { return nil }
func (c oauthClient) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c oauthClient) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (c oauthClient) ResponseTypes() []oidc.ResponseType  { return nil }
func (c oauthClient) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeClientCredentials}
}
func (c oauthClient) LoginURL(string) string              { return "" }
func (c oauthClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
func (c oauthClient) IDTokenLifetime() time.Duration      { return 0 }
func (c oauthClient) DevMode() bool                       { return false }
func (c oauthClient) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(s []string) []string { return s }
}

func (c oauthClient) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(s []string) []string { return s }
}

func (c oauthClient) IsScopeAllowed(scope string) bool     { return slices.Contains(c.Scopes, scope) }
func (c oauthClient) IDTokenUserinfoClaimsAssertion() bool { return false }
func (c oauthClient) ClockSkew() time.Duration             { return 0 }
