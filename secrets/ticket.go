package secrets

import (
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"isthmus/gateway"
)

// typeTicket is the header "typ" of a ticket, so that no other token passes for one.
const typeTicket = "isthmus-ticket+jwt"

// Tickets implements gateway.Tickets: the purpose is the one audience. Safe for concurrent use.
type Tickets struct {
	tokens *Tokens
	issuer string
	clock  gateway.Clock
}

var _ gateway.Tickets = (*Tickets)(nil)

// NewTickets signs with the keyring's keys. Issuer tells installations apart, say by their base URL.
func NewTickets(k *Keyring, issuer string, clock gateway.Clock) (*Tickets, error) {
	tokens, err := NewTokens(typeTicket, issuer, clock, k.signing...)
	if err != nil {
		return nil, err
	}
	return &Tickets{tokens: tokens, issuer: issuer, clock: clock}, nil
}

// Issue makes a ticket for a subject, good for one purpose and some time.
func (t *Tickets) Issue(purpose, subject string, life time.Duration) (string, error) {
	if purpose == "" || subject == "" || life <= 0 {
		return "", errors.New("secrets: a ticket needs a purpose, a subject and a life")
	}
	now := t.clock()
	return t.tokens.Sign(jwt.RegisteredClaims{
		Issuer: t.issuer, Audience: jwt.ClaimStrings{purpose}, Subject: subject,
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(life)),
	})
}

// Check gives the subject of a ticket of this purpose.
func (t *Tickets) Check(purpose, ticket string) (string, error) {
	var c jwt.RegisteredClaims
	if err := t.tokens.Verify(ticket, purpose, &c); err != nil {
		return "", err
	}
	if !t.clock().Before(c.ExpiresAt.Time) { // it is our own: what is told of its end holds, to the second
		return "", gateway.E(gateway.Unauthenticated, "token_expired", "The ticket has expired.").Next("Load the page again.")
	}
	if len(c.Audience) != 1 || c.Subject == "" {
		return "", gateway.E(gateway.Unauthenticated, "token_invalid", "The ticket is not valid here.").Next("Load the page again.")
	}
	return c.Subject, nil
}
