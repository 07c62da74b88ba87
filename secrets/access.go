package secrets

import (
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"isthmus/gateway"
)

// Access is what an OAuth access token says (RFC 9068): a client in a hub, acting for a participant
// or for nobody.
type Access struct {
	ID            string
	ClientID      string
	HubID         string
	ParticipantID string // empty: the client acts for nobody
	GrantID       string // what the participant allowed; with a ParticipantID only
	FamilyID      string // of the refresh tokens beside it, if any
	Scopes        []string
	IssuedAt      time.Time
	ExpiresAt     time.Time
}

// Bearer is the token as what it rests on is looked up by.
func (a Access) Bearer() gateway.Bearer {
	return gateway.Bearer{
		TokenID: a.ID, ClientID: a.ClientID, HubID: a.HubID, ParticipantID: a.ParticipantID, GrantID: a.GrantID, FamilyID: a.FamilyID,
	}
}

// subject is the participant, else the client.
func (a Access) subject() string {
	if a.ParticipantID != "" {
		return a.ParticipantID
	}
	return a.ClientID
}

type accessClaims struct {
	jwt.RegisteredClaims
	ClientID string `json:"client_id"`
	HubID    string `json:"hub"`
	Scope    string `json:"scope"`
	GrantID  string `json:"gid,omitempty"`
	FamilyID string `json:"fam,omitempty"`
}

// SignAccess makes an access token for an audience.
func (t *Tokens) SignAccess(audience string, a Access) (string, error) {
	return t.Sign(&accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: t.issuer, Subject: a.subject(), Audience: jwt.ClaimStrings{audience}, ID: a.ID,
			IssuedAt: jwt.NewNumericDate(a.IssuedAt), ExpiresAt: jwt.NewNumericDate(a.ExpiresAt),
		},
		ClientID: a.ClientID, HubID: a.HubID, Scope: strings.Join(a.Scopes, " "), GrantID: a.GrantID, FamilyID: a.FamilyID,
	})
}

// VerifyAccess checks an access token for an audience. Unauthenticated as Verify says. Scopes is never nil.
func (t *Tokens) VerifyAccess(token, audience string) (Access, error) {
	var c accessClaims
	if err := t.Verify(token, audience, &c); err != nil {
		return Access{}, err
	}
	a := Access{
		ID: c.ID, ClientID: c.ClientID, HubID: c.HubID, GrantID: c.GrantID, FamilyID: c.FamilyID, Scopes: append([]string{}, strings.Fields(c.Scope)...),
	}
	if c.Subject != c.ClientID {
		a.ParticipantID = c.Subject
	}
	// A person's token rests on a grant, a client's on none.
	if c.ID == "" || c.ClientID == "" || c.Subject == "" || c.HubID == "" || c.IssuedAt == nil || (a.ParticipantID == "") != (c.GrantID == "") {
		return Access{}, gateway.E(gateway.Unauthenticated, "token_invalid", "The token is not valid here.").Next("Get a new one.")
	}
	a.IssuedAt, a.ExpiresAt = c.IssuedAt.Time, c.ExpiresAt.Time
	return a, nil
}
