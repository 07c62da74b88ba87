package gateway

import (
	"context"
	"time"
)

// PlatformKaltura is the one platform so far.
const PlatformKaltura = "kaltura"

// Integrations connects hubs to accounts.
type Integrations struct {
	Store     Store
	Clock     Clock
	Sealer    Sealer
	Platforms Platforms
	Events    *Events
	Grace     time.Duration // how long links stay readable after a downgrade
}

// Connection is what an admin pastes. On a change, an empty AppToken keeps the saved one.
type Connection struct {
	ServiceURL  string
	PartnerID   int64
	AppTokenID  string
	AppToken    Secret
	HashType    string
	Visibility  Visibility
	MappingMode MappingMode
	MatchBy     MatchBy
}

// Get gives the hub's integration. NotFound with reason "not_connected", Forbidden with reason "plan_too_low".
func (s *Integrations) Get(ctx context.Context, a Actor) (Integration, error) { panic("todo") }

// Verify diagnoses a connection without saving it (empty fields are taken from the saved one, if any).
func (s *Integrations) Verify(ctx context.Context, a Actor, c Connection) (Diagnosis, error) {
	panic("todo")
}

// Save connects, changes or rotates: validates, diagnoses, refuses what cannot work, seals and
// saves. version 0 means "there is none yet"; another one must be the saved version (Precondition
// with reason "stale" otherwise).
func (s *Integrations) Save(ctx context.Context, a Actor, version int64, c Connection) (Integration, error) {
	panic("todo")
}

// Impact is what a disconnect would break.
type Impact struct{ Links, Uploads, Mappings int }

// Impact counts it.
func (s *Integrations) Impact(ctx context.Context, a Actor) (Impact, error) { panic("todo") }

// Disconnect removes the integration and its secret. Links stay listed and say why they do not play.
func (s *Integrations) Disconnect(ctx context.Context, a Actor, version int64) error { panic("todo") }

// TokenRequest is the exact appToken.add request for a visibility, to be run by a Kaltura administrator.
type TokenRequest struct {
	URL     string // with the service URL given, or https://www.kaltura.com
	Body    string // JSON, with a placeholder for the administrator's KS
	Curl    string
	Explain []string // one line per field, in plain words
}

// TokenRequest writes it.
func (s *Integrations) TokenRequest(ctx context.Context, a Actor, serviceURL string, v Visibility) (TokenRequest, error) {
	panic("todo")
}

// NewInvite makes a link secret with which somebody outside the hub can paste the App Token; valid for seven days, used once.
func (s *Integrations) NewInvite(ctx context.Context, a Actor, v Visibility) (secret string, _ Invite, _ error) {
	panic("todo")
}

// InviteInfo shows an invite to its reader: the hub's name and the request to run. NotFound when unknown, used or expired.
func (s *Integrations) InviteInfo(ctx context.Context, secret string) (Invite, Hub, TokenRequest, error) {
	panic("todo")
}

// AcceptInvite saves the connection in the name of the inviting admin and uses the invite up.
func (s *Integrations) AcceptInvite(ctx context.Context, secret string, c Connection) (Integration, error) {
	panic("todo")
}

// Opened is an integration ready to be used.
type Opened struct {
	Integration Integration
	Platform    Platform
}

// OpenFor gives the actor's hub's platform after the plan gate; with write false a downgraded hub
// within its grace time passes. Used by Catalog, Library, Uploads and the workers.
func (s *Integrations) OpenFor(ctx context.Context, hubID string, write bool) (Opened, error) {
	panic("todo")
}

// Probe asks every integration for its health and records changes as events (task ProbeIntegrations).
func (s *Integrations) Probe(ctx context.Context) error { panic("todo") }
