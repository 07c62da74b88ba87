package api

import (
	"context"
	"net/url"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"isthmus/gateway"
)

// target refuses a token for another API than ours (RFC 8707, RFC 8693).
func (s *Server) target(form url.Values) error {
	for _, name := range []string{"resource", "audience"} {
		for _, res := range form[name] {
			if strings.TrimSuffix(res, "/") != s.base.String() {
				return oidc.ErrInvalidTarget().WithDescription("tokens are good for %s only", s.base)
			}
		}
	}
	return nil
}

// answer renders tokens.
func (i *issuer) answer(ctx context.Context, t gateway.Issued, err error) (*op.Response, error) {
	if err != nil {
		return nil, i.fail(ctx, err)
	}
	signed, _, err := i.sign(ctx, t)
	if err != nil {
		return nil, i.fail(ctx, err)
	}
	return op.NewResponse(&oidc.AccessTokenResponse{
		AccessToken: signed, TokenType: oidc.BearerToken, ExpiresIn: uint64(tokenLife.Seconds()), Scope: t.Scopes, RefreshToken: t.Refresh.Reveal(),
	}), nil
}

func (i *issuer) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	if err := i.s.target(r.PostForm); err != nil {
		return nil, err
	}
	c := r.Client.(oauthClient)
	if c.HubID == "" {
		return nil, oidc.ErrUnauthorizedClient().WithDescription("this client is of no hub")
	}
	t, err := i.s.oauth.ClientToken(ctx, c.Client, strings.Fields(r.PostForm.Get("scope")))
	return i.answer(ctx, t, err)
}

func (i *issuer) CodeExchange(ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	if err := i.s.target(r.PostForm); err != nil {
		return nil, err
	}
	t, err := i.s.oauth.Redeem(ctx, r.Client.(oauthClient).Client, r.Data.Code, r.Data.RedirectURI, r.Data.CodeVerifier)
	return i.answer(ctx, t, err)
}

func (i *issuer) RefreshToken(ctx context.Context, r *op.ClientRequest[oidc.RefreshTokenRequest]) (*op.Response, error) {
	if err := i.s.target(r.PostForm); err != nil {
		return nil, err
	}
	t, err := i.s.oauth.Refresh(ctx, r.Client.(oauthClient).Client, r.Data.RefreshToken, strings.Fields(r.PostForm.Get("scope")))
	return i.answer(ctx, t, err)
}

// TokenExchange gives our token for one of the person's identity provider (RFC 8693).
func (i *issuer) TokenExchange(ctx context.Context, r *op.ClientRequest[oidc.TokenExchangeRequest]) (*op.Response, error) {
	if err := i.s.target(r.PostForm); err != nil {
		return nil, err
	}
	c := r.Client.(oauthClient)
	kind := gateway.TokenAccess
	switch r.Data.SubjectTokenType {
	case oidc.IDTokenType:
		kind = gateway.TokenID
	case oidc.AccessTokenType, oidc.JWTTokenType:
	default:
		return nil, oidc.ErrInvalidRequest().WithDescription("the subject_token must be an ID token or a JWT access token")
	}
	switch {
	case c.Public() || c.HubID == "" || i.s.identities == nil:
		return nil, oidc.ErrUnauthorizedClient().WithDescription("this client may not exchange tokens")
	case r.Data.ActorToken != "" || r.Data.ActorTokenType != "":
		return nil, oidc.ErrInvalidRequest().WithDescription("actor tokens are not taken")
	case r.Data.RequestedTokenType != "" && r.Data.RequestedTokenType != oidc.AccessTokenType && r.Data.RequestedTokenType != oidc.JWTTokenType:
		return nil, oidc.ErrInvalidRequest().WithDescription("only access tokens are given")
	}
	id, err := i.s.identities.Verify(ctx, r.Data.SubjectToken, kind)
	var t gateway.Issued
	if err == nil {
		t, err = i.s.oauth.Exchange(ctx, c.Client, id, strings.Fields(r.PostForm.Get("scope")))
	}
	switch gateway.CodeOf(err) {
	case gateway.Unauthenticated, gateway.Forbidden, gateway.Conflict: // whatever is wrong with the person's token
		e := gateway.AsError(err)
		return nil, oidc.ErrInvalidRequest().WithDescription("%s %s", e.Message, e.NextStep)
	case "":
	default:
		return nil, i.fail(ctx, err)
	}
	signed, _, err := i.sign(ctx, t)
	if err != nil {
		return nil, i.fail(ctx, err)
	}
	return op.NewResponse(&oidc.TokenExchangeResponse{
		AccessToken: signed, IssuedTokenType: oidc.AccessTokenType, TokenType: oidc.BearerToken, ExpiresIn: uint64(tokenLife.Seconds()), Scopes: t.Scopes,
	}), nil
}

// DeviceAuthorization begins the flow of a device without a browser (RFC 8628).
func (i *issuer) DeviceAuthorization(ctx context.Context, r *op.ClientRequest[oidc.DeviceAuthorizationRequest]) (*op.Response, error) {
	c := r.Client.(oauthClient)
	if !c.may(oidc.GrantTypeDeviceCode) {
		return nil, oidc.ErrUnauthorizedClient().WithDescription("this client is of no device")
	}
	device, user, err := i.s.oauth.BeginDevice(ctx, c.Client, plainScopes(r.PostForm.Get("scope")))
	if err != nil {
		return nil, i.fail(ctx, err)
	}
	page := i.s.base.String() + devicePage
	return op.NewResponse(&oidc.DeviceAuthorizationResponse{
		DeviceCode: device.Reveal(), UserCode: user, VerificationURI: page, VerificationURIComplete: page + "?user_code=" + url.QueryEscape(user),
		ExpiresIn: int(gateway.DeviceLife.Seconds()), Interval: int(gateway.DeviceWait.Seconds()),
	}), nil
}

func (i *issuer) DeviceToken(ctx context.Context, r *op.ClientRequest[oidc.DeviceAccessTokenRequest]) (*op.Response, error) {
	t, err := i.s.oauth.RedeemDevice(ctx, r.Client.(oauthClient).Client, r.Data.DeviceCode)
	return i.answer(ctx, t, err)
}

// plainScopes gives the scopes that are asked for, without the one that asks for a refresh token:
// whoever acts for a person gets one.
func plainScopes(scope string) []string {
	out := []string{}
	for _, sc := range strings.Fields(scope) {
		if sc != oidc.ScopeOfflineAccess {
			out = append(out, sc)
		}
	}
	return out
}

// Revocation ends a token of the client (RFC 7009). What is no token of the client's is left alone, and
// the answer does not tell.
func (i *issuer) Revocation(ctx context.Context, r *op.ClientRequest[oidc.RevocationRequest]) (*op.Response, error) {
	c := r.Client.(oauthClient)
	found, err := i.s.oauth.Revoke(ctx, c.Client, r.Data.Token)
	if err == nil && !found {
		t, verr := i.s.tokens.Verify(ctx, r.Data.Token)
		switch gateway.CodeOf(verr) {
		case "":
			err = i.s.oauth.RevokeAccess(ctx, c.Client, t.Bearer(), t.ExpiresAt)
		case gateway.Unauthenticated:
		default:
			err = verr
		}
	}
	if err != nil {
		return nil, i.fail(ctx, err)
	}
	return op.NewResponse(struct{}{}), nil
}

// introspection is RFC 7662.
type introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	Subject   string `json:"sub,omitempty"`
	HubID     string `json:"hub,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	Audience  string `json:"aud,omitempty"`
	ID        string `json:"jti,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	ExpiresAt int64  `json:"exp,omitempty"`
}

// Introspect tells a client about its own tokens; about all others that they do not work.
func (i *issuer) Introspect(ctx context.Context, r *op.Request[op.IntrospectionRequest]) (*op.Response, error) {
	verified, err := i.VerifyClient(ctx, &op.Request[op.ClientCredentials]{
		Method: r.Method, URL: r.URL, Header: r.Header, Form: r.Form, Data: r.Data.ClientCredentials,
	})
	if err != nil {
		return nil, err
	}
	c := verified.(oauthClient)
	out, err := i.introspect(ctx, c.Client, r.Data.Token)
	switch gateway.CodeOf(err) {
	case "":
		return op.NewResponse(out), nil
	case gateway.Unauthenticated, gateway.NotFound:
		return op.NewResponse(introspection{}), nil
	}
	return nil, i.fail(ctx, err)
}

func (i *issuer) introspect(ctx context.Context, c gateway.Client, token string) (introspection, error) {
	base := i.s.base.String()
	t, err := i.s.tokens.Verify(ctx, token)
	if err == nil {
		if t.ClientID != c.ID {
			return introspection{}, nil
		}
		a, err := i.s.actorIn(ctx, caller{token: &t}, t.HubID, policy{})
		if err != nil {
			return introspection{}, err
		}
		sub := t.ParticipantID
		if sub == "" {
			sub = t.ClientID
		}
		return introspection{
			Active: true, Scope: strings.Join(a.Scopes, " "), ClientID: t.ClientID, TokenType: oidc.BearerToken, Subject: sub, HubID: t.HubID,
			Issuer: base, Audience: base, ID: t.ID, IssuedAt: t.IssuedAt.Unix(), ExpiresAt: t.ExpiresAt.Unix(),
		}, nil
	}
	if gateway.CodeOf(err) != gateway.Unauthenticated {
		return introspection{}, err
	}
	f, err := i.s.oauth.RefreshFamily(ctx, token)
	if err != nil || f.ClientID != c.ID {
		return introspection{}, err
	}
	return introspection{
		Active: true, Scope: strings.Join(f.Scopes, " "), ClientID: f.ClientID, TokenType: "refresh_token", Subject: f.ParticipantID, HubID: f.HubID,
		Issuer: base, ExpiresAt: f.ExpiresAt.Unix(),
	}, nil
}
