package gateway

import "time"

// Plan decides whether a hub may use Kaltura.
type Plan string

// The plans. Kaltura features need enterprise or university.
const (
	PlanFree       Plan = "free"
	PlanEnterprise Plan = "enterprise"
	PlanUniversity Plan = "university"
)

// AllowsIntegrations tells whether the plan includes media-platform integrations.
func (p Plan) AllowsIntegrations() bool { return p == PlanEnterprise || p == PlanUniversity }

// Hub is a tenant. ID and HubID are equal.
type Hub struct {
	Row
	Issuer       string     `bun:"issuer"`      // identity provider that named the hub
	ExternalID   string     `bun:"external_id"` // the provider's id of the hub
	Name         string     `bun:"name"`
	Plan         Plan       `bun:"plan"`          // what counts: see settle
	ProviderPlan Plan       `bun:"provider_plan"` // what the identity provider said last; empty = nothing yet
	OperatorPlan Plan       `bun:"operator_plan"` // what an operator decided; empty = as the provider says
	DowngradedAt *time.Time `bun:"downgraded_at"` // when the plan last stopped allowing integrations; starts the grace time
	ToldAt       *time.Time `bun:"told_at"`       // of the identity provider's word that its plan and name are from
	QuotaBytes   int64      `bun:"quota_bytes"`   // bytes that uploads of the hub may reserve together; 0 = no limit
}

// Participant is a person in a hub, known by issuer and subject.
type Participant struct {
	Row
	Issuer        string     `bun:"issuer"`
	Subject       string     `bun:"subject"`
	Email         string     `bun:"email"`
	EmailVerified bool       `bun:"email_verified"`
	Name          string     `bun:"name"`
	Role          Role       `bun:"role"`
	SuspendedAt   *time.Time `bun:"suspended_at"`
	Held          bool       `bun:"held"`      // suspended by an admin or the platform until somebody lifts it, whatever tokens say
	ToldAt        *time.Time `bun:"told_at"`   // of the newest word of the identity provider; older ones change nothing
	ErasedAt      *time.Time `bun:"erased_at"` // nobody any more: what is left goes with the erasure
}

// Identity is what a verified token says about a person: who they are and the hubs they are in.
type Identity struct {
	Issuer, Subject, Email, Name string
	EmailVerified                bool
	Memberships                  []Membership

	Partial   bool      // the memberships are not all: a hub that is missing tells nothing
	NoEmail   bool      // the e-mail was not told: what is known stays
	NoName    bool      // likewise the name
	IssuedAt  time.Time // of the token; zero: now
	SessionID string    // of the provider's own session, for its log-out
}

// Membership is one hub claim of an Identity.
type Membership struct {
	HubExternalID, HubName string
	Plan                   Plan // empty: not told, the hub keeps its plan
	Role                   Role
}

// Session is a signed-in browser. ID is the SHA-256 (hex) of the cookie's value, so that a stolen
// table opens nothing. HubID is empty: a person may be in several hubs.
type Session struct {
	Row
	Issuer    string    `bun:"issuer"`
	Subject   string    `bun:"subject"`
	Email     string    `bun:"email"`
	Name      string    `bun:"name"`
	SID       string    `bun:"sid"` // of the identity provider's session; empty when it has not told
	ExpiresAt time.Time `bun:"expires_at"`
}

// planGate says whether a hub may use integrations now. Reading stays possible for the grace time
// after a downgrade, so that links in use do not break overnight.
func planGate(h Hub, write bool, grace time.Duration, now time.Time) error {
	if h.Plan.AllowsIntegrations() {
		return nil
	}
	if h.DowngradedAt == nil {
		return E(Forbidden, "plan_too_low", "Kaltura needs the Enterprise or University plan; this hub is on the "+string(h.Plan)+" plan.").
			Next("Ask the owner of the hub to upgrade its plan.")
	}
	until := h.DowngradedAt.Add(grace)
	if now.Before(until) {
		if !write {
			return nil
		}
		return E(Forbidden, "plan_too_low", "The hub's plan no longer includes Kaltura; until "+until.Format("2 January 2006")+" it can be read but not changed.").
			Next("Ask the owner of the hub to upgrade its plan.")
	}
	return E(Forbidden, "plan_too_low", "The hub's plan no longer includes Kaltura, and the time in which its media stayed readable ended on "+until.Format("2 January 2006")+".").
		Next("Ask the owner of the hub to upgrade its plan; nothing was deleted in Kaltura.")
}

// downgraded gives Hub.DowngradedAt after a change to the plan next.
func downgraded(h Hub, next Plan, now time.Time) *time.Time {
	switch {
	case next.AllowsIntegrations():
		return nil
	case h.Plan.AllowsIntegrations():
		return &now
	default:
		return h.DowngradedAt // was too low already: the grace time does not begin anew
	}
}

// knownRole gives an unknown role the least rights.
func knownRole(r Role) Role {
	if r == RoleAdmin || r == RoleContentAdmin {
		return r
	}
	return RoleParticipant
}

// knownPlan gives an unknown plan the least.
func knownPlan(p Plan) Plan {
	if p.AllowsIntegrations() {
		return p
	}
	return PlanFree
}

// actor is a participant acting with all that their role allows.
func (p Participant) actor() Actor {
	return Actor{HubID: p.HubID, ParticipantID: p.ID, Role: p.Role, Email: p.Email, EmailVerified: p.EmailVerified, Name: p.Name}
}
