package gateway

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// IdentityProvider is an OpenID Connect provider whose people may sign in and whose tokens are
// exchanged for ours: a spaces platform, or the one that a spaces platform uses. Its row belongs to
// no hub; the hubs that it names are its own (Hub.Issuer).
type IdentityProvider struct {
	Row
	Issuer        string       `bun:"issuer"` // exactly as its tokens say it; unique
	Name          string       `bun:"name"`   // what people choose by
	ClientID      string       `bun:"client_id"`
	ClientSecret  Sealed       `bun:"client_secret"`  // none for a public client: PKCE is used always
	Scopes        []string     `bun:"scopes"`         // asked for at sign-in; stored as JSON
	Audiences     []string     `bun:"audiences"`      // of tokens that may be exchanged, beside our client id
	EmailDomains  []string     `bun:"email_domains"`  // in lower case; who has no verified address there is refused. Empty: no limit
	Claims        ClaimMapping `bun:"claims"`         // stored as JSON
	MaxTokenAge   int64        `bun:"max_token_age"`  // seconds since a token was issued in which it can be exchanged
	WebhookSecret Sealed       `bun:"webhook_secret"` // "whsec_…"; none: its webhooks are not taken
	DisabledAt    *time.Time   `bun:"disabled_at"`    // nobody signs in and no token is taken

	Source ProviderSource `bun:"-"` // set by IdentityProviders
}

// ProviderSource says where a provider's settings come from.
type ProviderSource string

// The sources. What does not come from the database cannot be changed through it.
const (
	ProviderSaved ProviderSource = "database"
	ProviderFlags ProviderSource = "flags"
	ProviderDemo  ProviderSource = "demo"
)

// Ids of the providers that are not in the database.
const (
	ProviderIDFlags = "idp_flags"
	ProviderIDDemo  = "idp_demo"
)

// DefaultMaxTokenAge is how old a token to be exchanged may be, in seconds; maxTokenAge the most that a
// provider may be given.
const DefaultMaxTokenAge, maxTokenAge = 15 * 60, 24 * 3600

// SecretPlace is where the client secret is sealed.
func (p IdentityProvider) SecretPlace() string { return "identity_providers.client_secret/" + p.ID }

// WebhookPlace is where the secret of its webhooks is sealed.
func (p IdentityProvider) WebhookPlace() string { return "identity_providers.webhook_secret/" + p.ID }

// MaxAge is MaxTokenAge as a duration.
func (p IdentityProvider) MaxAge() time.Duration { return time.Duration(p.MaxTokenAge) * time.Second }

// Accepts tells whether a token with these audiences is meant for us.
func (p IdentityProvider) Accepts(audiences []string) bool {
	return slices.ContainsFunc(audiences, p.own)
}

// own tells whether an audience or authorized party is ours or one that the operator trusts.
func (p IdentityProvider) own(audience string) bool {
	return audience != "" && (audience == p.ClientID || slices.Contains(p.Audiences, audience))
}

// AcceptsParty tells whether a token that was issued to this client may be used here. The audience
// decides when the token does not say.
func (p IdentityProvider) AcceptsParty(party string) bool { return party == "" || p.own(party) }

// OpenedProvider is a provider with its secrets in clear, for the calls that need them.
type OpenedProvider struct {
	IdentityProvider
	Secret  Secret // empty for a public client
	Webhook Secret // empty when no webhooks are taken
}

// TokenKind is what a token of an identity provider is said to be.
type TokenKind string

// The kinds.
const (
	TokenID     TokenKind = "id_token"
	TokenAccess TokenKind = "access_token"
)

// Limits of a provider's settings.
const (
	maxProviders   = 50
	maxProviderSet = 50
)

// checked normalises a provider's settings or says what is wrong with them.
func (p *IdentityProvider) checked() error {
	p.Issuer, p.ClientID = strings.TrimSpace(p.Issuer), strings.TrimSpace(p.ClientID)
	if p.ClientID == "" || len(p.ClientID) > maxExternal {
		return E(Invalid, "client_id_missing", "The client id is missing or too long.").At("/client_id").
			Next("Register Isthmus as a client at the provider and enter the id that it gave.")
	}
	if p.Name = cleanText(p.Name); p.Name == "" {
		p.Name = strings.TrimPrefix(strings.TrimPrefix(p.Issuer, "https://"), "http://")
	}
	if utf8.RuneCountInString(p.Name) > maxLabel {
		return labelTooLong("/name")
	}
	if p.Scopes = tidy(p.Scopes, false); len(p.Scopes) == 0 {
		p.Scopes = []string{"openid", "profile", "email"}
	}
	if !slices.Contains(p.Scopes, "openid") {
		return E(Invalid, "scope_openid", "The scope openid is missing.").At("/scopes").Next("Add openid: without it there is no ID token.")
	}
	p.Audiences = tidy(p.Audiences, false)
	p.EmailDomains = tidy(p.EmailDomains, true)
	for _, d := range p.EmailDomains {
		if !strings.Contains(d, ".") || strings.ContainsAny(d, "@*/ ") {
			return E(Invalid, "email_domain", "The e-mail domain "+d+" is not one.").At("/email_domains").Next("Write domains like example.org, without @.")
		}
	}
	for field, list := range map[string][]string{"/scopes": p.Scopes, "/audiences": p.Audiences, "/email_domains": p.EmailDomains} {
		if len(list) > maxProviderSet || slices.ContainsFunc(list, func(t string) bool { return len(t) > maxExternal }) {
			return E(Invalid, "list_too_long", "There are too many values, or one is too long.").At(field).
				Next("Name at most %d of at most %d characters.", maxProviderSet, maxExternal)
		}
	}
	switch {
	case p.MaxTokenAge == 0:
		p.MaxTokenAge = DefaultMaxTokenAge
	case p.MaxTokenAge < 60 || p.MaxTokenAge > maxTokenAge:
		return E(Invalid, "max_token_age", "The age of tokens is out of range.").At("/max_token_age_seconds").Next("Choose 60 to 86400 seconds.")
	}
	return p.Claims.checked()
}

// tidy trims, sorts and drops what is empty or there twice.
func tidy(list []string, lower bool) []string {
	out := []string{}
	for _, t := range list {
		if t = strings.TrimSpace(t); lower {
			t = strings.ToLower(t)
		}
		if t != "" {
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// CheckState is how one step of a provider's diagnosis ended.
type CheckState string

// The states.
const (
	CheckPassed CheckState = "passed"
	CheckWarned CheckState = "warned"
	CheckFailed CheckState = "failed"
	CheckInfo   CheckState = "info"
)

// ProviderCheck is one step of a provider's diagnosis.
type ProviderCheck struct {
	Step  string
	State CheckState
	Text  string // what was found
	Fix   string // what to do about it; empty when nothing
}
