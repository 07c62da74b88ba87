package gateway

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ClaimMapping says where in a provider's claims the hubs, roles and plans are and what they mean
// here. A path is the plain name of a claim ("https://example.org/hubs" is one name) or, when it
// begins with a slash, a JSON Pointer ("/realm_access/groups"). Paths of hub_id, hub_name, role and
// plan are looked up in each hub's own object; a hub that is a plain text is its own id.
type ClaimMapping struct {
	Hubs    string `json:"hubs"`     // a list of objects or texts, or a single one
	HubID   string `json:"hub_id"`   // in a hub's object
	HubName string `json:"hub_name"` // likewise
	Role    string `json:"role"`     // likewise; one role or a list, of which the highest counts
	Plan    string `json:"plan"`     // likewise

	RoleClaim string `json:"role_claim,omitempty"` // a claim of the person, for hubs that have no role of their own
	PlanClaim string `json:"plan_claim,omitempty"` // likewise

	Roles       map[string]Role `json:"roles,omitempty"` // their role → ours; empty: our own names. A name that is not there is the least role
	Plans       map[string]Plan `json:"plans,omitempty"`
	DefaultRole Role            `json:"default_role,omitempty"` // of who has no role at all; empty: participant
	DefaultPlan Plan            `json:"default_plan,omitempty"` // of a hub without a plan; empty: the plan stays what it is, a new hub is free

	// Partial says that the list does not name all hubs of a person, say only the one in use, so that
	// a hub that is missing tells nothing.
	Partial bool `json:"partial,omitempty"`
}

// DefaultClaims is the mapping of a provider that speaks our own language:
//
//	"isthmus_hubs": [{"id": "h1", "name": "Biology", "plan": "university", "role": "admin"}]
func DefaultClaims() ClaimMapping {
	return ClaimMapping{Hubs: "isthmus_hubs", HubID: "id", HubName: "name", Role: "role", Plan: "plan"}
}

const maxClaimedHubs = 500

func (m *ClaimMapping) checked() error {
	d := DefaultClaims()
	for _, f := range []struct {
		path *string
		or   string
		name string
	}{
		{&m.Hubs, d.Hubs, "hubs"},
		{&m.HubID, d.HubID, "hub_id"},
		{&m.HubName, d.HubName, "hub_name"},
		{&m.Role, d.Role, "role"},
		{&m.Plan, d.Plan, "plan"},
		{&m.RoleClaim, "", "role_claim"},
		{&m.PlanClaim, "", "plan_claim"},
	} {
		if *f.path == "" {
			*f.path = f.or
		}
		if len(*f.path) > maxExternal {
			return E(Invalid, "claim_path", "The path of a claim is too long.").At("/claims/"+f.name).Next("Use at most %d characters.", maxExternal)
		}
	}
	for theirs, ours := range m.Roles {
		if ours != RoleAdmin && ours != RoleContentAdmin && ours != RoleParticipant {
			return E(Invalid, "role_unknown", fmt.Sprintf("The role %q maps to %q, which is none of ours.", theirs, ours)).At("/claims/roles").
				Next("Use admin, content_admin or participant.")
		}
	}
	for theirs, ours := range m.Plans {
		if ours != PlanFree && !ours.AllowsIntegrations() {
			return E(Invalid, "plan_unknown", fmt.Sprintf("The plan %q maps to %q, which is none of ours.", theirs, ours)).At("/claims/plans").
				Next("Use free, enterprise or university.")
		}
	}
	if m.DefaultRole != "" && knownRole(m.DefaultRole) != m.DefaultRole {
		return E(Invalid, "role_unknown", "The default role is none of ours.").At("/claims/default_role").Next("Use admin, content_admin or participant.")
	}
	if m.DefaultPlan != "" && knownPlan(m.DefaultPlan) != m.DefaultPlan {
		return E(Invalid, "plan_unknown", "The default plan is none of ours.").At("/claims/default_plan").Next("Use free, enterprise or university.")
	}
	if len(m.Roles) > maxProviderSet || len(m.Plans) > maxProviderSet {
		return E(Invalid, "list_too_long", "There are too many roles or plans.").At("/claims").Next("Name at most %d.", maxProviderSet)
	}
	return nil
}

// Identity translates verified claims. An e-mail counts as verified only when the provider says so,
// and is refused (Forbidden, "email_domain_refused") when the provider may only speak for other
// domains. Claims without the claim of the hubs make a partial identity. Unauthenticated with reason
// "bad_hub_claim" when the hubs are not understood.
func (p IdentityProvider) Identity(claims map[string]any) (Identity, error) {
	text := func(name string) string { s, _ := claims[name].(string); return strings.TrimSpace(s) }
	id := Identity{Issuer: p.Issuer, Email: text("email"), SessionID: text("sid"), IssuedAt: NumericDate(claims["iat"])}
	id.Subject, _ = claims["sub"].(string) // as it is: people are told apart by it
	if checkExternal(id.Subject, "", "") != nil {
		return id, E(Unauthenticated, "identity_incomplete", "The identity provider did not say who you are.").
			Next("Sign in again; if it happens again, tell your administrator.")
	}
	verified := claims["email_verified"]
	_, domain := splitAddress(id.Email)
	id.EmailVerified = domain != "" && (verified == true || verified == "true")
	if domain == "" { // nothing that can be written to; shown all the same, so that somebody sees why
		id.Email = shownText(id.Email)
	}
	if cleanText(id.SessionID) != id.SessionID {
		id.SessionID = ""
	}
	if len(p.EmailDomains) > 0 && (!id.EmailVerified || !slices.Contains(p.EmailDomains, domain)) {
		return id, E(Forbidden, "email_domain_refused", "Your e-mail address is not verified or not of a domain that may sign in here.").
			Next("Sign in with your address at %s, or ask the operator to allow your domain.", strings.Join(p.EmailDomains, ", "))
	}
	_, told := claims["email"]
	id.NoEmail = !told
	for _, name := range []string{text("name"), text("given_name") + " " + text("family_name"), text("preferred_username")} {
		if id.Name == "" {
			id.Name = shownText(name)
		}
	}
	if id.NoName = id.Name == ""; id.NoName {
		id.Name = shownText(cmp.Or(id.Email, id.Subject))
	}
	hubs, found := lookUp(claims, p.Claims.Hubs)
	id.Partial = p.Claims.Partial || !found
	if !found {
		return id, nil
	}
	var err error
	id.Memberships, err = p.Claims.memberships(claims, hubs)
	return id, err
}

// NamesHubs tells whether claims hold the claim of the hubs.
func (m ClaimMapping) NamesHubs(claims map[string]any) bool {
	_, found := lookUp(claims, m.Hubs)
	return found
}

// Complete tells whether claims hold all that an identity is made of, so that nothing more has to be asked.
func (m ClaimMapping) Complete(claims map[string]any) bool {
	email, _ := claims["email"].(string)
	return email != "" && m.NamesHubs(claims)
}

func (m ClaimMapping) memberships(claims map[string]any, hubs any) ([]Membership, error) {
	list, isList := hubs.([]any)
	switch {
	case hubs == nil:
		return nil, nil
	case !isList:
		list = []any{hubs}
	}
	bad := func() error {
		return E(Unauthenticated, "bad_hub_claim", "The identity provider's list of your hubs is not understood.").
			Next("Ask the operator to check the claim %s.", m.Hubs)
	}
	if len(list) > maxClaimedHubs {
		return nil, bad()
	}
	allRoles, _ := lookUp(claims, m.RoleClaim)
	onePlan, _ := lookUp(claims, m.PlanClaim)
	out := []Membership{}
	for _, one := range list {
		var h Membership
		role, plan := allRoles, onePlan
		switch hub := one.(type) {
		case string:
			h.HubExternalID = hub
		case map[string]any:
			id, _ := lookUp(hub, m.HubID)
			name, _ := lookUp(hub, m.HubName)
			h.HubExternalID, h.HubName = plainText(id), shownText(plainText(name))
			if own, ok := lookUp(hub, m.Role); ok && own != nil {
				role = own
			}
			if own, ok := lookUp(hub, m.Plan); ok && own != nil {
				plan = own
			}
		default:
			return nil, bad()
		}
		h.HubExternalID = strings.TrimSpace(h.HubExternalID)
		if h.HubExternalID == "" {
			continue
		}
		if checkExternal(h.HubExternalID, "", "") != nil {
			return nil, bad()
		}
		h.Role, h.Plan = m.role(role), m.plan(plan)
		out = append(out, h)
	}
	return out, nil
}

// role gives ours: the highest of those named, the default when none is, the least for an unknown one.
func (m ClaimMapping) role(claimed any) Role {
	names := texts(claimed)
	if len(names) == 0 {
		return knownRole(m.DefaultRole)
	}
	best := RoleParticipant
	for _, name := range names {
		r := knownRole(Role(name))
		if len(m.Roles) > 0 {
			r = knownRole(m.Roles[name])
		}
		if r == RoleAdmin || r == RoleContentAdmin && best == RoleParticipant {
			best = r
		}
	}
	return best
}

// plan gives ours; empty when the provider says nothing.
func (m ClaimMapping) plan(claimed any) Plan {
	names := texts(claimed)
	if len(names) == 0 {
		return m.DefaultPlan
	}
	if len(m.Plans) > 0 {
		return knownPlan(m.Plans[names[0]])
	}
	return knownPlan(Plan(names[0]))
}

// lookUp finds a value by the name of a member or, with a slash in front, by a JSON Pointer (RFC 6901).
func lookUp(in any, path string) (any, bool) {
	if path == "" {
		return nil, false
	}
	steps := []string{path}
	if strings.HasPrefix(path, "/") {
		steps = strings.Split(path[1:], "/")
		for i, s := range steps {
			steps[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
		}
	}
	for _, step := range steps {
		switch v := in.(type) {
		case map[string]any:
			next, ok := v[step]
			if !ok {
				return nil, false
			}
			in = next
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n < 0 || n >= len(v) {
				return nil, false
			}
			in = v[n]
		default:
			return nil, false
		}
	}
	return in, true
}

// texts gives one text or a list of them.
func texts(v any) (out []string) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, one := range list {
		if s := strings.TrimSpace(plainText(one)); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// plainText gives a text or number as text; anything else is none.
func plainText(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case json.Number:
		return x.String()
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return strconv.FormatInt(int64(x), 10)
		}
	}
	return ""
}

// shownText is a text to be shown: one tidy line, not too long.
func shownText(s string) string {
	r := []rune(cleanText(s))
	return string(r[:min(len(r), maxLabel)])
}

// splitAddress gives the parts of an e-mail address, the domain in lower case; none of something else.
func splitAddress(email string) (local, domain string) {
	local, domain, ok := strings.Cut(email, "@")
	if !ok || local == "" || domain == "" || len(email) > 254 || strings.Contains(domain, "@") ||
		strings.ContainsFunc(email, func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsControl(r) || r == 'ſ' || r == '\u212a' // a long s and a Kelvin sign: s and k to who compares whatever the case
		}) {
		return "", ""
	}
	return local, strings.ToLower(domain)
}

// NumericDate reads a NumericDate of RFC 7519; zero when it is none.
func NumericDate(v any) time.Time {
	var f float64
	switch x := v.(type) {
	case float64:
		f = x
	case json.Number:
		f, _ = x.Float64()
	}
	if f <= 0 || f > 1<<40 {
		return time.Time{}
	}
	return time.UnixMicro(int64(f * 1e6)).UTC()
}
