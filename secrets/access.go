package secrets

import (
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"isthmus/gateway"
)

// Access is what an OAuth access token says (RFC 9068): a client of a hub, acting for nobody.
type Access struct {
	ID        string
	ClientID  string
	HubID     string
	Scopes    []string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

type accessClaims struct {
	jwt.RegisteredClaims
	ClientID string `json:"client_id"`
	HubID    string `json:"hub"`
	Scope    string `json:"scope"`
}

// SignAccess makes an access token for an audience.
func (t *Tokens) SignAccess(audience string, a Access) (string, error) {
	return t.Sign(&accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: t.issuer, Subject: a.ClientID, Audience: jwt.ClaimStrings{audience}, ID: a.ID,
			IssuedAt: jwt.NewNumericDate(a.IssuedAt), ExpiresAt: jwt.NewNumericDate(a.ExpiresAt),
		},
		ClientID: a.ClientID, HubID: a.HubID, Scope: strings.Join(a.Scopes, " "),
	})
}

// VerifyAccess checks an access token for an audience. Unauthenticated as Verify says. Scopes is never nil.
func (t *Tokens) VerifyAccess(token, audience string) (Access, error) {
	var c accessClaims
	if err := t.Verify(token, audience, &c); err != nil {
		return Access{}, err
	}
	if c.ClientID == "" || c.Subject != c.ClientID || c.HubID == "" || c.IssuedAt == nil {
		return Access{}, gateway.E(gateway.Unauthenticated, "token_invalid", "The token is not valid here.").Next("Get a new one.")
	}
	return Access{
		ID: c.ID, ClientID: c.ClientID, HubID: c.HubID, Scopes: append([]string{}, strings.Fields(c.Scope)...),
		IssuedAt: c.IssuedAt.Time, ExpiresAt: c.ExpiresAt.Time,
	}, nil
}
