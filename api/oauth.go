package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"isthmus/gateway"
	"isthmus/secrets"
)

// tokenLife is how long an access token works. It is short because others may check it without
// asking us; we ourselves look up what it rests on with every request.
const tokenLife = gateway.AccessLife

const (
	authorizePath  = "/oauth2/authorize"
	tokenPath      = "/oauth2/token"
	keysPath       = "/oauth2/keys"
	revokePath     = "/oauth2/revoke"
	introspectPath = "/oauth2/introspect"
	devicePath     = "/oauth2/device_authorization"

	serverPath   = "/.well-known/oauth-authorization-server"
	resourcePath = "/.well-known/oauth-protected-resource"

	consentPage = "/consent/" // of the front end; the request's id follows
	devicePage  = "/device"
)

// Identities verifies tokens of the configured identity providers.
type Identities interface {
	// Verify gives the person of an ID token or a JWT access token. Unauthenticated when it is not
	// valid or not meant for us, Unavailable when the provider's keys cannot be read.
	Verify(ctx context.Context, token string, kind gateway.TokenKind) (gateway.Identity, error)
}

// routeOAuth mounts the authorization server. The OpenID library parses the requests of programs and
// renders errors as RFC 6749 wants. Ours are the tokens (RFC 9068: the library cannot set their type to
// at+jwt), the authorization endpoint (the library knows neither mandatory PKCE nor `iss`, lets unknown
// scopes pass and answers people in JSON) and what is stored.
func (s *Server) routeOAuth() {
	issuer := &issuer{s: s}
	h := op.RegisterServer(issuer, op.Endpoints{
		Token: op.NewEndpoint(tokenPath), JwksURI: op.NewEndpoint(keysPath), Revocation: op.NewEndpoint(revokePath),
		Introspection: op.NewEndpoint(introspectPath), DeviceAuthorization: op.NewEndpoint(devicePath),
	}, op.WithServerCORSOptions(nil), op.WithFallbackLogger(s.log))
	for _, path := range []string{tokenPath, revokePath, devicePath} {
		s.echo.POST(path, s.guard(h), noStore, s.bodyLimit(maxFields), s.clientCORS)
		s.echo.OPTIONS(path, noContent, s.clientCORS)
	}
	s.echo.POST(introspectPath, s.guard(h), noStore, s.bodyLimit(maxFields))
	s.echo.GET(authorizePath, s.authorize, noStore)
	s.echo.POST(authorizePath, s.authorize, noStore, s.bodyLimit(maxFields))

	public := func(path string, f echo.HandlerFunc) {
		s.echo.GET(path, f, publicDocument, s.limitAddress)
		s.echo.OPTIONS(path, noContent, publicDocument)
	}
	public(keysPath, echo.WrapHandler(h))
	for _, path := range []string{oidc.DiscoveryEndpoint, serverPath} {
		public(path, func(c echo.Context) error { return c.JSON(http.StatusOK, issuer.metadata()) })
	}
	public(resourcePath, func(c echo.Context) error { return c.JSON(http.StatusOK, issuer.resource()) })
}

func noContent(c echo.Context) error { return c.NoContent(http.StatusNoContent) }

// publicDocument lets everybody read and keep what is no secret and needs no credentials.
func publicDocument(next echo.HandlerFunc) echo.HandlerFunc {
	age := fmt.Sprintf("public, max-age=%d", int(keysAge.Seconds()))
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", age)
		c.Response().Header().Set("Access-Control-Allow-Origin", "*")
		c.Response().Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		return next(c)
	}
}

// maxFields is the size of a form at the authorization server.
const maxFields = 64 << 10

// plain tells whether all fields are text that can be looked up and kept: no control characters.
func plain(fields url.Values) bool {
	for name, values := range fields {
		for _, v := range append(values, name) {
			if !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) {
				return false
			}
		}
	}
	return true
}

// guard stands before the library's handlers: parameters come in the body, each once, credentials in
// the header or the body, by one way, never in the address, where they would be logged on the way.
// Who does not authenticate counts as an address: a client's id alone is no secret, and whoever used up
// the limit of a client by its id would lock it out.
func (s *Server) guard(h http.Handler) echo.HandlerFunc {
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
		name, _, basic := r.BasicAuth()
		client, err := url.QueryUnescape(name)
		if err != nil || !plain(r.PostForm) || !plain(url.Values{"client_id": {client}}) {
			return refuse(oidc.ErrInvalidRequest().WithDescription("a parameter is not plain text"))
		}
		ways := 0
		for _, used := range []bool{basic, r.PostForm.Has("client_secret"), r.PostForm.Has("client_assertion")} {
			if used {
				ways++
			}
		}
		if ways > 1 || (basic && r.PostForm.Has("client_id") && r.PostForm.Get("client_id") != client) {
			return refuse(oidc.ErrInvalidRequest().WithDescription("use one way to authenticate, not two"))
		}
		if !basic && r.Header.Get("Authorization") != "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="isthmus"`)
			return c.JSON(http.StatusUnauthorized, map[string]string{"error": string(oidc.InvalidClient), "error_description": "only Basic is understood here"})
		}
		if ways == 0 {
			if err := s.take(r.Context(), w.Header(), s.ofAddress(c.RealIP())); err != nil {
				w.Header().Set("Retry-After", gateway.AsError(err).RetryAfter())
				return c.JSON(http.StatusTooManyRequests, tooMany())
			}
		}
		h.ServeHTTP(&challengeWriter{ResponseWriter: w, basic: basic}, r.WithContext(context.WithValue(r.Context(), headerKey, w.Header())))
		return nil
	}
}

// tooMany is the answer to a client that asks too often; RFC 6749 has no error of its own for it.
func tooMany() *oidc.Error {
	return &oidc.Error{ErrorType: "temporarily_unavailable", Description: "there were too many requests; wait as long as Retry-After says"}
}

// challengeWriter adds the challenge that RFC 6749 §5.2 wants with a 401.
type challengeWriter struct {
	http.ResponseWriter
	basic bool
}

func (w *challengeWriter) WriteHeader(status int) {
	if status == http.StatusUnauthorized && w.basic {
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
	AuthorizationEndpoint  string   `json:"authorization_endpoint"`
	TokenEndpoint          string   `json:"token_endpoint"`
	DeviceEndpoint         string   `json:"device_authorization_endpoint"`
	RevocationEndpoint     string   `json:"revocation_endpoint"`
	IntrospectionEndpoint  string   `json:"introspection_endpoint"`
	JWKSURI                string   `json:"jwks_uri"`
	ScopesSupported        []string `json:"scopes_supported"`
	ResponseTypesSupported []string `json:"response_types_supported"`
	ResponseModesSupported []string `json:"response_modes_supported"`
	GrantTypesSupported    []string `json:"grant_types_supported"`
	ChallengeMethods       []string `json:"code_challenge_methods_supported"`
	IssInAnswer            bool     `json:"authorization_response_iss_parameter_supported"`
	AuthMethods            []string `json:"token_endpoint_auth_methods_supported"`
	AuthAlgs               []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationMethods      []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAlgs         []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionMethods   []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAlgs      []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	ServiceDocumentation   string   `json:"service_documentation"`
}

func (i *issuer) metadata() metadata {
	base := i.s.base.String()
	keeping := []string{string(oidc.AuthMethodBasic), string(oidc.AuthMethodPost), string(oidc.AuthMethodPrivateKeyJWT)}
	all := append([]string{string(oidc.AuthMethodNone)}, keeping...)
	grants := []string{}
	for _, g := range allGrants {
		grants = append(grants, string(g))
	}
	return metadata{
		Issuer: base, AuthorizationEndpoint: base + authorizePath, TokenEndpoint: base + tokenPath, DeviceEndpoint: base + devicePath,
		RevocationEndpoint: base + revokePath, IntrospectionEndpoint: base + introspectPath, JWKSURI: base + keysPath,
		ScopesSupported: gateway.AllScopes, ResponseTypesSupported: []string{"code"}, ResponseModesSupported: []string{"query"},
		GrantTypesSupported: grants, ChallengeMethods: []string{"S256"}, IssInAnswer: true,
		AuthMethods: all, AuthAlgs: secrets.AssertionAlgs, RevocationMethods: all, RevocationAlgs: secrets.AssertionAlgs,
		IntrospectionMethods: keeping, IntrospectionAlgs: secrets.AssertionAlgs, ServiceDocumentation: base + "/docs",
	}
}

// resourceMetadata is RFC 9728.
type resourceMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	JWKSURI              string   `json:"jwks_uri"`
	ScopesSupported      []string `json:"scopes_supported"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	Documentation        string   `json:"resource_documentation"`
	Name                 string   `json:"resource_name"`
}

func (i *issuer) resource() resourceMetadata {
	base := i.s.base.String()
	return resourceMetadata{
		Resource: base, AuthorizationServers: []string{base}, JWKSURI: base + keysPath, ScopesSupported: gateway.AllScopes,
		BearerMethods: []string{"header"}, Documentation: base + "/docs", Name: "Isthmus",
	}
}

func (i *issuer) Keys(ctx context.Context, _ *op.Request[struct{}]) (*op.Response, error) {
	set, err := i.s.tokens.PublicKeys(ctx)
	if err != nil {
		return nil, err
	}
	return op.NewResponse(json.RawMessage(set)), nil
}

// fail renders a domain error as RFC 6749 wants.
func (i *issuer) fail(ctx context.Context, err error) error {
	e := gateway.AsError(err)
	text := e.Message
	if e.NextStep != "" {
		text += " " + e.NextStep
	}
	switch e.Reason {
	case gateway.OAuthInvalidGrant:
		return oidc.ErrInvalidGrant().WithDescription("%s", text)
	case gateway.OAuthInvalidScope:
		return oidc.ErrInvalidScope().WithDescription("%s", text)
	case gateway.OAuthBadRequest:
		return oidc.ErrInvalidRequest().WithDescription("%s", text)
	case gateway.OAuthPending:
		return oidc.ErrAuthorizationPending().WithDescription("%s", text)
	case gateway.OAuthSlowDown:
		return oidc.ErrSlowDown().WithDescription("%s", text)
	case gateway.OAuthDenied:
		return oidc.ErrAccessDenied().WithDescription("%s", text)
	case gateway.OAuthExpired:
		return oidc.ErrExpiredDeviceCode().WithDescription("%s", text)
	}
	switch e.Code {
	case gateway.RateLimited:
		if h, ok := ctx.Value(headerKey).(http.Header); ok {
			h.Set("Retry-After", e.RetryAfter())
		}
		return op.NewStatusError(tooMany(), http.StatusTooManyRequests)
	case gateway.Unavailable:
		return op.NewStatusError(oidc.ErrServerError().WithDescription("try again in a moment"), http.StatusServiceUnavailable)
	}
	i.s.log.ErrorContext(ctx, "token request failed", "error", err)
	return op.NewStatusError(oidc.ErrServerError().WithDescription("try again in a moment"), http.StatusInternalServerError)
}

// sign makes the access token of what a client got.
func (i *issuer) sign(ctx context.Context, t gateway.Issued) (string, time.Time, error) {
	until := i.s.tokens.clock().Add(tokenLife)
	signed, err := i.s.tokens.Sign(ctx, secrets.Access{
		ID: t.TokenID, ClientID: t.ClientID, HubID: t.HubID, ParticipantID: t.ParticipantID, GrantID: t.GrantID, FamilyID: t.FamilyID,
		Scopes: t.Scopes, ExpiresAt: until,
	})
	return signed, until, err
}
