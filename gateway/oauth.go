package gateway

import (
	"context"
	"time"
)

// ClientType says what kind of program a client is, and with that which grants it may use.
type ClientType string

// The types of clients.
const (
	ClientMachine ClientType = "machine" // a server that acts for nobody, or exchanges tokens of its people
	ClientWeb     ClientType = "web"     // a server with pages: keeps a secret, people sign in through it
	ClientBrowser ClientType = "browser" // a page without a server: keeps no secret
	ClientNative  ClientType = "native"  // a program on somebody's device: keeps no secret
)

// AuthMethod says how a client proves who it is.
type AuthMethod string

// The methods.
const (
	AuthSecret AuthMethod = "client_secret_basic" // in the header, or in the body
	AuthKey    AuthMethod = "private_key_jwt"
	AuthNone   AuthMethod = "none" // public clients: PKCE binds the code to whoever asked
)

// Client is an OAuth client. Only a hash of its secret is kept. HubID is empty for a client that the
// operator registered for all hubs; which one it acts in is then chosen by the person. Own setter:
// last_used_at.
type Client struct {
	Row
	Name         string     `bun:"name"`
	SecretHash   []byte     `bun:"secret_hash"` // SHA-256 of a 256-bit random secret
	Scopes       []string   `bun:"scopes"`      // what it may be given at most; stored as JSON
	Type         ClientType `bun:"type"`
	AuthMethod   AuthMethod `bun:"auth_method"`
	RedirectURIs []string   `bun:"redirect_uris"`
	Origins      []string   `bun:"origins"` // of pages that may call and embed us, e.g. "https://spaces.example"
	JWKS         string     `bun:"jwks"`    // public keys of private_key_jwt, a JSON Web Key Set
	CreatedBy    string     `bun:"created_by"`
	LastUsedAt   *time.Time `bun:"last_used_at"`
	DisabledAt   *time.Time `bun:"disabled_at"`

	OldSecretHash  []byte     `bun:"old_secret_hash"`  // of the secret before, which works …
	OldSecretUntil *time.Time `bun:"old_secret_until"` // … until then; nil = not any more
}

// Public tells whether the client cannot keep a secret.
func (c Client) Public() bool { return c.AuthMethod == AuthNone }

// GrantVia says how a person came to allow a client.
type GrantVia string

// The ways.
const (
	ViaConsent  GrantVia = "consent"  // on our page
	ViaDevice   GrantVia = "device"   // on our page, with a code shown by a device
	ViaExchange GrantVia = "exchange" // the hub's own platform exchanged the person's token
)

// Grant is what a client may do for a person in a hub. Only one of a person and a client is not revoked.
// Consented is the part of Scopes that the person allowed on a page of ours and is not asked for again;
// what the hub's platform brought along is not in it. Own setter: last_used_at.
type Grant struct {
	Row
	ClientID      string     `bun:"client_id"`
	ParticipantID string     `bun:"participant_id"`
	Scopes        []string   `bun:"scopes"`
	Consented     []string   `bun:"consented"`
	Via           GrantVia   `bun:"via"` // how it came first
	LastUsedAt    *time.Time `bun:"last_used_at"`
	RevokedAt     *time.Time `bun:"revoked_at"`
}

// AuthorizationRequest waits for a person's decision. HubID is empty.
type AuthorizationRequest struct {
	Row
	ClientID    string     `bun:"client_id"`
	RedirectURI string     `bun:"redirect_uri"` // verified
	State       string     `bun:"state"`
	Scopes      []string   `bun:"scopes"`
	Challenge   string     `bun:"challenge"` // PKCE, S256
	DecidedAt   *time.Time `bun:"decided_at"`
	ExpiresAt   time.Time  `bun:"expires_at"`
}

// TokenFamily is all refresh tokens that follow from one sign-in at an app, so that all end together.
type TokenFamily struct {
	Row
	GrantID       string     `bun:"grant_id"`
	ClientID      string     `bun:"client_id"`
	ParticipantID string     `bun:"participant_id"`
	Scopes        []string   `bun:"scopes"`
	RevokedAt     *time.Time `bun:"revoked_at"`
	ExpiresAt     time.Time  `bun:"expires_at"`
}

// AuthorizationCode is a code by its hash. FamilyID is set when it was used.
type AuthorizationCode struct {
	Row
	GrantID       string     `bun:"grant_id"`
	ClientID      string     `bun:"client_id"`
	ParticipantID string     `bun:"participant_id"`
	Scopes        []string   `bun:"scopes"`
	RedirectURI   string     `bun:"redirect_uri"`
	Challenge     string     `bun:"challenge"`
	FamilyID      string     `bun:"family_id"`
	UsedAt        *time.Time `bun:"used_at"`
	ExpiresAt     time.Time  `bun:"expires_at"`
}

// RefreshToken is a refresh token by its hash. A used one is kept, so that its reuse is noticed.
type RefreshToken struct {
	Row
	FamilyID  string     `bun:"family_id"`
	UsedAt    *time.Time `bun:"used_at"`
	ExpiresAt time.Time  `bun:"expires_at"`
}

// DeviceState is how far a device's request is.
type DeviceState string

// The states.
const (
	DevicePending  DeviceState = "pending"
	DeviceApproved DeviceState = "approved"
	DeviceDenied   DeviceState = "denied"
)

// DeviceCode is a device that waits for a person's decision, by the hash of its code. HubID is empty;
// GrantID is set by the decision, FamilyID when the device got its tokens.
type DeviceCode struct {
	Row
	ClientID     string      `bun:"client_id"`
	UserCodeHash string      `bun:"user_code_hash"`
	Scopes       []string    `bun:"scopes"`
	State        DeviceState `bun:"state"`
	GrantID      string      `bun:"grant_id"`
	FamilyID     string      `bun:"family_id"`
	IntervalS    int64       `bun:"interval_s"` // seconds that the device has to wait between two questions
	PolledAt     *time.Time  `bun:"polled_at"`
	ExpiresAt    time.Time   `bun:"expires_at"`
}

// SpentToken is what must not be taken again: the id of a used client assertion or of a revoked
// access token, until it would have expired.
type SpentToken struct {
	Row
	ExpiresAt time.Time `bun:"expires_at"`
}

// Bearer is what an access token says of itself; the rest is looked up.
type Bearer struct {
	TokenID       string
	ClientID      string
	HubID         string
	ParticipantID string // empty: the client acts for nobody
	GrantID       string // of a person's token
	FamilyID      string // of a person's token that can be refreshed
}

// ClientTable holds OAuth clients.
type ClientTable interface {
	Rows[Client]
	List(ctx context.Context, s Scope, w Slice) ([]Client, error)
	// HasOrigin tells whether pages of an origin belong to a client that is not disabled.
	HasOrigin(ctx context.Context, origin string) (bool, error)
	SetLastUsed(ctx context.Context, id string, at time.Time) error
}

// GrantTable holds what people allow clients.
type GrantTable interface {
	Rows[Grant]
	// Latest gives the newest grant of a person to a client, revoked or not; NotFound when there is none.
	Latest(ctx context.Context, clientID, participantID string) (Grant, error)
	// OfParticipant gives a person's grants, newest first.
	OfParticipant(ctx context.Context, participantID string, w Slice) ([]Grant, error)
	SetLastUsed(ctx context.Context, id string, at time.Time) error
	// Stands gives the scopes that a token's client may have. NotFound when something that the token rests
	// on was taken back: its client, its grant, its family or itself.
	Stands(ctx context.Context, b Bearer) (scopes []string, _ error)
}

// DeviceTable holds devices that wait for a decision.
type DeviceTable interface {
	ExpiringRows[DeviceCode]
	ByUserCode(ctx context.Context, hash string) (DeviceCode, error)
}

// SpentTable holds what must not be taken again.
type SpentTable interface {
	ExpiringRows[SpentToken]
	// Take writes a row and tells whether it is the first with its id.
	Take(ctx context.Context, row *SpentToken) (first bool, err error)
}
