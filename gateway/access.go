package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	TicketCaption   = "caption"   // subject as of a thumbnail, and ":CAPTION"
	TicketDownload  = "download"  // subject "hub/viewer/ITEM"; the viewer "hub:" is everybody in the hub
	TicketPlay      = "play"      // subject "hub/participant-or-client/ITEM/" and the blob key prefix
)

// SigningKey is a key pair of the token issuer. Its row belongs to no hub; a retired key still
// verifies what it signed.
type SigningKey struct {
	Row
	Alg       string     `bun:"alg"`        // "EdDSA", "RS256", …
	Private   Sealed     `bun:"private"`    // PKCS #8 DER in base64, sealed
	SignsFrom *time.Time `bun:"signs_from"` // not before: it is published first. Nil = at once
	RetiredAt *time.Time `bun:"retired_at"` // when the next one signs
}

// Place is where the private key is sealed.
func (k SigningKey) Place() string { return "signing_keys.private/" + k.ID }

// SessionLife is how long a browser stays signed in. It is fixed, not sliding: roles and plans come
// from the identity provider, so a person has to pass by there at least that often.
const SessionLife = 12 * time.Hour

// Access keeps browser sessions and OAuth clients.
type Access struct {
	Store     Store
	Clock     Clock
	Providers *IdentityProviders // nil: none is asked whether it is switched on
}

// StartSession signs a browser in and gives the cookie's value, which is not kept.
func (s *Access) StartSession(ctx context.Context, id Identity) (token string, _ Session, _ error) {
	token = NewToken()
	ses := Session{
		Row: Row{ID: hashToken(token)}, Issuer: id.Issuer, Subject: id.Subject,
		Email: id.Email, Name: id.Name, SID: id.SessionID, ExpiresAt: s.Clock().Add(SessionLife),
	}
	err := s.Store.Tx(ctx, func(tx Tx) error {
		if err := s.Providers.admits(ctx, tx, id.Issuer); err != nil {
			return err
		}
		return tx.Sessions().Insert(ctx, &ses)
	})
	if err != nil {
		return "", Session{}, err
	}
	return token, ses, nil
}

// Session gives the session of a cookie value. Unauthenticated when unknown or expired.
func (s *Access) Session(ctx context.Context, token string) (Session, error) {
	return s.session(ctx, hashToken(token))
}

func (s *Access) session(ctx context.Context, id string) (Session, error) {
	ses, err := s.Store.Sessions().Get(ctx, AnyHub, id)
	if CodeOf(err) == NotFound || (err == nil && !s.Clock().Before(ses.ExpiresAt)) {
		return Session{}, E(Unauthenticated, "session_expired", "You are not signed in, or your session has ended.").
			Next("Sign in again.")
	}
	return ses, err
}

// Still tells whether a session that was given a while ago goes on. Unauthenticated otherwise.
func (s *Access) Still(ctx context.Context, ses Session) error {
	_, err := s.session(ctx, ses.ID)
	return err
}

// EndSession signs out. Harmless when unknown.
func (s *Access) EndSession(ctx context.Context, token string) error {
	return s.Store.Sessions().Delete(ctx, AnyHub, hashToken(token))
}

// NewClient registers an OAuth client of a hub and gives its secret, which is not kept.
func (s *Access) NewClient(ctx context.Context, hubID, name string, scopes []string) (Client, Secret, error) {
	secret := NewToken()
	c := Client{
		Row: Row{ID: NewID("cli"), HubID: hubID}, Name: name, SecretHash: sum(secret), Scopes: scopes,
		Type: ClientMachine, AuthMethod: AuthSecret,
	}
	if err := s.Store.Clients().Insert(ctx, &c); err != nil {
		return Client{}, "", err
	}
	return c, Secret(secret), nil
}

// Client checks a client's secret in constant time. Unauthenticated otherwise, with one answer for
// an unknown client and a wrong secret.
func (s *Access) Client(ctx context.Context, id string, secret Secret) (Client, error) {
	c, err := s.Store.Clients().Get(ctx, AnyHub, id)
	if err != nil && CodeOf(err) != NotFound {
		return Client{}, err
	}
	if !c.accepts(secret, s.Clock()) || err != nil || c.DisabledAt != nil || c.AuthMethod != AuthSecret {
		return Client{}, E(Unauthenticated, "invalid_client", "The client id or secret is wrong.").
			Next("Check both; a lost secret cannot be shown again, make a new client instead.")
	}
	return c, nil
}

// Stands gives those of a token's scopes that its client may still have. It refuses the token when what
// it rests on was taken back: its client disabled, the person's grant or its family revoked, or itself.
// Unauthenticated then. The scopes are never nil.
func (s *Access) Stands(ctx context.Context, b Bearer, scopes []string) ([]string, error) {
	may, err := s.Store.Grants().Stands(ctx, b)
	if CodeOf(err) == NotFound {
		err = E(Unauthenticated, "invalid_token", "The access token was revoked.").Next("Ask the person for access again.")
	}
	return both(scopes, may), err
}

// AuditKeyRotation notes that another key signs tokens, and whether the ones before were thrown away. It
// concerns no hub.
func AuditKeyRotation(ctx context.Context, tx Tx, k SigningKey, replaced bool) error {
	action := "signing_key.rotate"
	if replaced {
		action = "signing_key.replace"
	}
	return audit(ctx, tx, SystemActor(""), action, k.ID, map[string]any{"signs_from": k.SignsFrom})
}

// hashToken is how unguessable texts (sessions, invites) are kept: with 256 random bits a plain hash is enough.
func hashToken(token string) string { return hex.EncodeToString(sum(token)) }

func sum(text string) []byte {
	h := sha256.Sum256([]byte(text))
	return h[:]
}
