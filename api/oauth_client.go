package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"isthmus/gateway"
	"isthmus/secrets"
)

// grantsOf are the grants that a client may use, by its type. Who keeps no secret acts for a person
// who is there; a client that acts for nobody has no pages.
var grantsOf = map[gateway.ClientType][]oidc.GrantType{
	gateway.ClientMachine: {oidc.GrantTypeClientCredentials, oidc.GrantTypeTokenExchange},
	gateway.ClientWeb:     {oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeTokenExchange},
	gateway.ClientBrowser: {oidc.GrantTypeCode, oidc.GrantTypeRefreshToken},
	gateway.ClientNative:  {oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeDeviceCode},
}

var allGrants = []oidc.GrantType{
	oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeClientCredentials, oidc.GrantTypeTokenExchange, oidc.GrantTypeDeviceCode,
}

func errClient(text string) error {
	return op.NewStatusError(oidc.ErrInvalidClient().WithDescription("%s", text), http.StatusUnauthorized)
}

// VerifyClient finds out which client calls: by its secret, by a signed assertion, or, when it keeps
// no secret, by its name alone. It must use the way that it was registered with.
func (i *issuer) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	var c gateway.Client
	var err error
	if r.Data.ClientAssertion != "" || r.Data.ClientSecret != "" {
		c, err = i.authenticate(ctx, r.Data)
	} else {
		c, err = i.s.oauth.Client(ctx, r.Data.ClientID)
		if err == nil && !c.Public() {
			return nil, errClient("this client has to authenticate")
		}
	}
	switch gateway.CodeOf(err) {
	case "":
	case gateway.Unauthenticated, gateway.NotFound:
		return nil, errClient("the client's id, secret or assertion is wrong")
	default:
		return nil, i.fail(ctx, err)
	}
	// A browser says truly which page calls; another page than the client's own is not the client.
	if origin := r.Header.Get("Origin"); c.Type == gateway.ClientBrowser && origin != "" && !slices.Contains(c.Origins, origin) {
		return nil, errClient("this client may not be used from this origin")
	}
	return oauthClient{c}, nil
}

// authenticate checks a client's secret or assertion. Wrong ones are counted; right ones count only
// against the client's limit, however many come at once.
func (i *issuer) authenticate(ctx context.Context, cc *op.ClientCredentials) (c gateway.Client, err error) {
	id, address := cc.ClientID, traceOf(ctx).address
	check := func() (gateway.Client, error) { return i.s.access.Client(ctx, id, gateway.Secret(cc.ClientSecret)) }
	if cc.ClientAssertion != "" {
		id = secrets.AssertionIssuer(cc.ClientAssertion)
		check = func() (gateway.Client, error) { return i.byAssertion(ctx, id, cc) }
	}
	if err := i.s.attempts.Check(id, address); err != nil {
		return gateway.Client{}, err
	}
	c, err = check()
	wrong := gateway.CodeOf(err) == gateway.Unauthenticated || gateway.CodeOf(err) == gateway.NotFound
	if err != nil && !wrong {
		return gateway.Client{}, err
	}
	if err := i.s.attempts.Judge(id, address, !wrong); err != nil {
		return gateway.Client{}, err
	}
	if wrong {
		return gateway.Client{}, err
	}
	h, _ := ctx.Value(headerKey).(http.Header)
	return c, i.s.take(ctx, h, i.s.ofClient(c.ID))
}

func (i *issuer) byAssertion(ctx context.Context, id string, cc *op.ClientCredentials) (gateway.Client, error) {
	wrong := gateway.E(gateway.Unauthenticated, "assertion_invalid", "The client assertion is not valid here.")
	if id == "" || !plain(url.Values{"iss": {id}}) || (cc.ClientID != "" && cc.ClientID != id) {
		return gateway.Client{}, wrong
	}
	c, err := i.s.oauth.Client(ctx, id)
	if err != nil {
		return gateway.Client{}, err
	}
	if c.AuthMethod != gateway.AuthKey {
		return gateway.Client{}, wrong
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(c.JWKS), &set); err != nil {
		return gateway.Client{}, wrong.Because(err)
	}
	var keys []secrets.PublicKey
	for _, k := range set.Keys {
		if k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			keys = append(keys, secrets.PublicKey{ID: k.KeyID, Alg: k.Algorithm, Key: k.Key})
		}
	}
	base := i.s.base.String()
	a, err := secrets.VerifyAssertion(cc.ClientAssertion, c.ID, []string{base, base + tokenPath}, i.s.tokens.clock, keys)
	if err == nil {
		err = i.s.oauth.SpendAssertion(ctx, c.ID, a.ID, a.ExpiresAt)
	}
	return c, err
}

// oauthClient is a client of ours as the library wants to see it.
type oauthClient struct {
	gateway.Client
}

func (c oauthClient) GetID() string                       { return c.ID }
func (c oauthClient) RedirectURIs() []string              { return c.Client.RedirectURIs }
func (c oauthClient) PostLogoutRedirectURIs() []string    { return nil }
func (c oauthClient) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c oauthClient) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethod(c.Client.AuthMethod) }

func (c oauthClient) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c oauthClient) GrantTypes() []oidc.GrantType        { return grantsOf[c.Type] }
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

// may tells whether a client may use a grant.
func (c oauthClient) may(g oidc.GrantType) bool { return slices.Contains(c.GrantTypes(), g) }
