package gateway

import (
	"strings"
	"time"
)

// Visibility is what participants of a hub see of the connected account.
type Visibility string

// The two visibilities.
const (
	VisibilityShared Visibility = "shared" // everyone sees the whole account
	VisibilityOwn    Visibility = "own"    // each sees only their own entries
)

// MappingMode says when a participant gets a user on the platform.
type MappingMode string

// The mapping modes.
const (
	MappingOnFirstUse MappingMode = "on_first_use"
	MappingApproval   MappingMode = "needs_approval"
	MappingOff        MappingMode = "off"
)

// MatchBy says how a participant's platform user is found.
type MatchBy string

// With MatchEmail users are searched and created; MatchUserID takes the e-mail as the user id,
// all that a USER-type App Token can do.
const (
	MatchEmail  MatchBy = "email"
	MatchUserID MatchBy = "user_id"
)

// Health is the state of a connection as users see it.
type Health string

// The health states.
const (
	HealthOK                 Health = "ok"
	HealthDegraded           Health = "degraded"            // answers slowly or with errors, we keep trying
	HealthCredentialsInvalid Health = "credentials_invalid" // only a new App Token helps; jobs wait
)

// Integration connects a hub to one account on a media platform.
type Integration struct {
	Row
	Platform    string      `bun:"platform"`    // "kaltura"
	ServiceURL  string      `bun:"service_url"` // normalised, without trailing slash
	PartnerID   int64       `bun:"partner_id"`
	AppTokenID  string      `bun:"app_token_id"`
	AppToken    Sealed      `bun:"app_token"`
	TokenLast4  string      `bun:"token_last4"`
	HashType    string      `bun:"hash_type"` // SHA1, SHA256, SHA512, MD5
	Visibility  Visibility  `bun:"visibility"`
	MappingMode MappingMode `bun:"mapping_mode"`
	MatchBy     MatchBy     `bun:"match_by"`

	CategoryID          int64       `bun:"category_id"` // only entries in this category or below; 0 = the whole account
	Entitlement         Entitlement `bun:"entitlement"`
	PrivacyContext      string      `bun:"privacy_context"`       // with EntitlementEnforce
	ConversionProfileID int64       `bun:"conversion_profile_id"` // of uploads; 0 = the account's default
	PlayerTokenID       string      `bun:"player_token_id"`       // a second App Token, for playback only; "" = the first does that too
	PlayerToken         Sealed      `bun:"player_token"`
	PlayerLast4         string      `bun:"player_last4"`
	PlayerHashType      string      `bun:"player_hash_type"`

	Health      Health     `bun:"health"`
	HealthText  string     `bun:"health_text"` // one sentence, no secrets
	HealthAt    time.Time  `bun:"health_at"`   // last time the platform was asked
	HealthSince time.Time  `bun:"health_since"`
	LastOKAt    *time.Time `bun:"last_ok_at"`
	NextTryAt   *time.Time `bun:"next_try_at"` // of the next probe, while the health is not ok
	Diagnosis   Diagnosis  `bun:"diagnosis"`   // stored as JSON
}

// Place is where the integration's App Token is sealed.
func (i Integration) Place() string { return "integrations.app_token/" + i.ID }

// PlayerPlace is where its player App Token is sealed.
func (i Integration) PlayerPlace() string { return "integrations.player_token/" + i.ID }

// Diagnosis is what a credential can do, privilege by privilege.
type Diagnosis struct {
	At          time.Time `json:"at"`
	SessionType string    `json:"session_type"` // "user", "admin" or "" when no session could be started
	FixedUser   string    `json:"fixed_user"`   // user the token is bound to, if any
	Privileges  string    `json:"privileges"`   // as granted
	TokenExpiry time.Time `json:"token_expiry"` // zero = never or unknown
	Checks      []Check   `json:"checks"`       // in the order shown
	Warnings    []string  `json:"warnings"`     // weak hash and the like
	SessionLife int64     `json:"session_life"` // longest session it grants, in seconds; 0 = not measured
	EntryCount  int       `json:"entry_count"`  // entries that become visible in shared mode; -1 = unknown
}

// CheckID names one thing a credential may be able to do.
type CheckID string

// The checks, in the order they are shown.
const (
	CheckReach      CheckID = "reach"
	CheckSession    CheckID = "session"
	CheckListOwn    CheckID = "list_own"
	CheckListAll    CheckID = "list_all"
	CheckCreateUser CheckID = "create_user"
	CheckUpload     CheckID = "upload"
	CheckSetTags    CheckID = "set_tags"

	// These are there when the hub asks for what they check.
	CheckCategory    CheckID = "category"
	CheckEntitlement CheckID = "entitlement"
	CheckProfile     CheckID = "conversion_profile"
	CheckPlayer      CheckID = "player"
)

// Check is the outcome of one probe. Needed tells whether the chosen visibility cannot work without it.
type Check struct {
	ID     CheckID `json:"id"`
	State  string  `json:"state"` // "ok", "failed" or "skipped"
	Needed bool    `json:"needed"`
	Reason string  `json:"reason,omitempty"` // stable slug of the failure
	Text   string  `json:"text"`             // what was found
	Fix    string  `json:"fix,omitempty"`    // what to change in Kaltura
}

// ReasonUserToken is the reason of a failed CheckCreateUser when the credential gives user sessions only.
const ReasonUserToken = "token_is_user_type"

// refusesCredential tells whether a failed check says that only another credential helps, and not
// that the platform is in trouble.
func (c Check) refusesCredential() bool {
	return strings.HasPrefix(c.Reason, "app_token_") || strings.HasPrefix(c.Reason, "partner_") ||
		c.Reason == "session_refused" || c.Reason == "credentials_invalid"
}

// Failed lists the needed checks that failed.
func (d Diagnosis) Failed() []Check {
	var out []Check
	for _, c := range d.Checks {
		if c.Needed && c.State == "failed" {
			out = append(out, c)
		}
	}
	return out
}

// Invite lets somebody outside the hub paste the App Token. ID is the SHA-256 (hex) of the link's secret.
type Invite struct {
	Row
	Visibility Visibility `bun:"visibility"`
	CreatedBy  string     `bun:"created_by"`
	ExpiresAt  time.Time  `bun:"expires_at"`
	UsedAt     *time.Time `bun:"used_at"`
}

// Mapping ties a participant to a user on the platform.
type Mapping struct {
	Row
	IntegrationID  string       `bun:"integration_id"`
	ParticipantID  string       `bun:"participant_id"`
	PlatformUserID string       `bun:"platform_user_id"`
	How            MappingHow   `bun:"how"`
	State          MappingState `bun:"state"`
	Candidates     []string     `bun:"candidates"` // user ids in conflict; stored as JSON
	LinkedAt       time.Time    `bun:"linked_at"`  // since when it names this user
	LastUsedAt     time.Time    `bun:"last_used_at"`
}

// MappingHow says where a mapping came from.
type MappingHow string

// Origins of a mapping.
const (
	MappedMatched     MappingHow = "matched"
	MappedProvisioned MappingHow = "provisioned"
	MappedManual      MappingHow = "manual"
)

// MappingState says whether a mapping may be used.
type MappingState string

// States of a mapping.
const (
	MappingActive   MappingState = "active"
	MappingPending  MappingState = "pending"  // waits for an admin's approval
	MappingConflict MappingState = "conflict" // several platform users share the e-mail
	MappingUnlinked MappingState = "unlinked" // an admin cut it; not made anew by itself
)

// maxUserID is how many bytes of an owner's id Kaltura keeps on an entry; a longer one would not be
// recognised again as the owner.
const maxUserID = 64

// validUserID tells whether a text may be a user id on the platform.
func validUserID(id string) bool {
	return id != "" && len(id) <= maxUserID && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune(",!#$%&'*+?^_`{|}~.@-", r)
	})
}

// userIDFor gives the user id for a new user: the e-mail in lower case, which admins recognise, or,
// when it is too long or holds letters that are not allowed, an id derived from it.
func userIDFor(email string) string {
	email = strings.ToLower(strings.TrimSpace(email))
	if validUserID(email) {
		return email
	}
	return "isthmus-" + hashToken(email)[:40]
}

// splitName cuts a display name into first and last name; without one the e-mail's local part serves.
func splitName(name, email string) (first, last string) {
	// Names with "://" in them are refused as advertisement.
	name = strings.Join(strings.Fields(strings.ReplaceAll(name, "://", " ")), " ")
	if name == "" {
		local, _, _ := strings.Cut(email, "@")
		return local, ""
	}
	if l, f, ok := strings.Cut(name, ", "); ok {
		return f, l
	}
	if i := strings.LastIndexByte(name, ' '); i > 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}
