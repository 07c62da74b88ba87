package gateway

import (
	"context"
	"time"
)

// Tickets are short-lived signed texts for addresses that are opened without a header: thumbnails,
// playback of our own assets, the fast path. A ticket of one purpose is never good for another.
type Tickets interface {
	Issue(purpose, subject string, life time.Duration) (string, error)
	// Check gives the subject. Unauthenticated when expired, forged or of another purpose.
	Check(purpose, ticket string) (subject string, err error)
}

// Purposes of tickets.
const (
	TicketThumbnail = "thumbnail" // subject "hub/participant-or-client/media:ID" or ".../item:ID"
	TicketPlay      = "play"      // subject = blob key prefix
)

// SigningKey is a key pair of the token issuer. Its row belongs to no hub; a retired key still
// verifies what it signed.
type SigningKey struct {
	Row
	Alg       string     `bun:"alg"`     // "EdDSA", "RS256", …
	Private   Sealed     `bun:"private"` // PKCS #8 DER in base64, sealed
	RetiredAt *time.Time `bun:"retired_at"`
}

// Place is where the private key is sealed.
func (k SigningKey) Place() string { return "signing_keys.private/" + k.ID }

// Access keeps browser sessions and OAuth clients.
type Access struct {
	Store Store
	Clock Clock
}

// StartSession signs a browser in and gives the cookie's value, which is not kept.
func (s *Access) StartSession(ctx context.Context, id Identity) (token string, _ Session, _ error) {
	panic("todo")
}

// Session gives the session of a cookie value. Unauthenticated when unknown or expired.
func (s *Access) Session(ctx context.Context, token string) (Session, error) { panic("todo") }

// EndSession signs out. Harmless when unknown.
func (s *Access) EndSession(ctx context.Context, token string) error { panic("todo") }

// NewClient registers an OAuth client of a hub and gives its secret, which is not kept.
func (s *Access) NewClient(ctx context.Context, hubID, name string, scopes []string) (Client, Secret, error) {
	panic("todo")
}

// Client checks a client's secret in constant time. Unauthenticated otherwise.
func (s *Access) Client(ctx context.Context, id string, secret Secret) (Client, error) { panic("todo") }
