package gateway

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
)

// IdentityProviders keeps the identity providers. Safe for concurrent use.
type IdentityProviders struct {
	Store  Store
	Clock  Clock
	Sealer Sealer
	Events *Events          // nil: open streams end a minute later when a provider is switched off
	Fixed  []OpenedProvider // see Fix; they win over a saved one of the same issuer
}

// ProviderChange is what an operator says of a provider. A nil field stays as it is.
type ProviderChange struct {
	Issuer, Name, ClientID *string
	Secret                 *Secret // empty: none
	Scopes, Audiences      *[]string
	EmailDomains           *[]string
	Claims                 *ClaimMapping
	MaxTokenAge            *int64 // seconds
	Enabled                *bool
}

// All gives every provider to an operator, the fixed ones first, then the newest.
func (s *IdentityProviders) All(ctx context.Context, by Operator) ([]IdentityProvider, error) {
	if by.ID == "" {
		return nil, notOperator()
	}
	return s.all(ctx)
}

func (s *IdentityProviders) all(ctx context.Context) ([]IdentityProvider, error) {
	out := []IdentityProvider{}
	for _, f := range s.Fixed {
		out = append(out, f.IdentityProvider)
	}
	saved, err := s.Store.IdentityProviders().All(ctx)
	for _, p := range saved {
		if !slices.ContainsFunc(out, func(f IdentityProvider) bool { return f.Issuer == p.Issuer }) {
			p.Source = ProviderSaved
			out = append(out, p)
		}
	}
	return out, err
}

// Enabled gives those at which people may sign in, in the order of their names.
func (s *IdentityProviders) Enabled(ctx context.Context) ([]IdentityProvider, error) {
	all, err := s.all(ctx)
	all = slices.DeleteFunc(all, func(p IdentityProvider) bool { return p.DisabledAt != nil })
	slices.SortStableFunc(all, func(a, b IdentityProvider) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return all, err
}

// Get gives one provider to an operator.
func (s *IdentityProviders) Get(ctx context.Context, by Operator, id string) (IdentityProvider, error) {
	if by.ID == "" {
		return IdentityProvider{}, notOperator()
	}
	return s.get(ctx, id)
}

func (s *IdentityProviders) get(ctx context.Context, id string) (IdentityProvider, error) {
	for _, f := range s.Fixed {
		if f.ID == id {
			return f.IdentityProvider, nil
		}
	}
	p, err := s.Store.IdentityProviders().Get(ctx, AnyHub, id)
	if CodeOf(err) == NotFound {
		return IdentityProvider{}, providerNotFound()
	}
	p.Source = ProviderSaved
	return p, err
}

// Draft gives a provider with its secrets to an operator, also one that is switched off.
func (s *IdentityProviders) Draft(ctx context.Context, by Operator, id string) (OpenedProvider, error) {
	p, err := s.Get(ctx, by, id)
	if err != nil {
		return OpenedProvider{}, err
	}
	p.DisabledAt = nil
	return s.open(p)
}

// Open gives an enabled provider by its id, with its secrets. NotFound otherwise.
func (s *IdentityProviders) Open(ctx context.Context, id string) (OpenedProvider, error) {
	p, err := s.get(ctx, id)
	if err != nil {
		return OpenedProvider{}, err
	}
	return s.open(p)
}

// ByIssuer gives the enabled provider of an issuer, with its secrets. NotFound otherwise.
func (s *IdentityProviders) ByIssuer(ctx context.Context, issuer string) (OpenedProvider, error) {
	for _, f := range s.Fixed {
		if f.Issuer == issuer {
			return s.open(f.IdentityProvider)
		}
	}
	p, err := s.Store.IdentityProviders().ByIssuer(ctx, issuer)
	if CodeOf(err) == NotFound {
		return OpenedProvider{}, providerNotFound()
	}
	if err != nil {
		return OpenedProvider{}, err
	}
	p.Source = ProviderSaved
	return s.open(p)
}

func (s *IdentityProviders) open(p IdentityProvider) (OpenedProvider, error) {
	if p.DisabledAt != nil {
		return OpenedProvider{}, providerNotFound()
	}
	for _, f := range s.Fixed {
		if f.ID == p.ID {
			return f, nil
		}
	}
	o := OpenedProvider{IdentityProvider: p}
	var err error
	if len(p.ClientSecret) > 0 {
		if o.Secret, err = s.Sealer.Open(p.ClientSecret, p.SecretPlace()); err != nil {
			return OpenedProvider{}, err
		}
	}
	if len(p.WebhookSecret) > 0 {
		o.Webhook, err = s.Sealer.Open(p.WebhookSecret, p.WebhookPlace())
	}
	return o, err
}

// Create adds a provider.
func (s *IdentityProviders) Create(ctx context.Context, by Operator, c ProviderChange) (IdentityProvider, error) {
	if by.ID == "" {
		return IdentityProvider{}, notOperator()
	}
	p := IdentityProvider{Row: Row{ID: NewID("idp")}, Claims: DefaultClaims(), Source: ProviderSaved}
	if err := s.apply(&p, c); err != nil {
		return IdentityProvider{}, err
	}
	if err := checkIssuer(p.Issuer); err != nil {
		return IdentityProvider{}, err
	}
	if s.fixed(p.Issuer) {
		return IdentityProvider{}, providerExists()
	}
	row := p
	err := s.Store.Tx(ctx, func(tx Tx) error {
		row = p
		have, err := tx.IdentityProviders().All(ctx)
		if err != nil {
			return err
		}
		if len(have) >= maxProviders {
			return E(Conflict, "too_many_providers", "There are "+strconv.Itoa(len(have))+" identity providers already.").Next("Delete one that is no longer needed.")
		}
		if err := tx.IdentityProviders().Insert(ctx, &row); CodeOf(err) == Conflict {
			return providerExists()
		} else if err != nil {
			return err
		}
		if err := audit(ctx, tx, Actor{OperatorID: by.ID}, "identity_provider.create", row.ID, providerFacts(row)); err != nil {
			return err
		}
		return answered(ctx, tx, row)
	})
	return row, err
}

// Update changes a saved provider; version as in Integrations.Save. The issuer stays: people and hubs
// are known by it. Conflict with reason "provider_fixed" for one that is not in the database.
func (s *IdentityProviders) Update(ctx context.Context, by Operator, id string, version int64, c ProviderChange) (IdentityProvider, error) {
	p, err := s.changeable(ctx, by, id)
	if err != nil {
		return IdentityProvider{}, err
	}
	if p.Version != version {
		return IdentityProvider{}, stale()
	}
	if c.Issuer != nil && *c.Issuer != p.Issuer {
		return IdentityProvider{}, E(Invalid, "issuer_fixed", "The issuer of a provider cannot be changed: people and hubs are known by it.").At("/issuer").
			Next("Add another provider with the new issuer.")
	}
	on := p.DisabledAt == nil
	if err := s.apply(&p, c); err != nil {
		return IdentityProvider{}, err
	}
	if on && p.DisabledAt != nil {
		if err := notOwn(by, p); err != nil {
			return IdentityProvider{}, err
		}
	}
	return s.write(ctx, by, p, "", "identity_provider.change", providerFacts(p))
}

// Delete removes a saved provider. Its people are out at once; what they made stays.
func (s *IdentityProviders) Delete(ctx context.Context, by Operator, id string) error {
	p, err := s.changeable(ctx, by, id)
	if err != nil {
		return err
	}
	if err := notOwn(by, p); err != nil {
		return err
	}
	return s.Store.Tx(ctx, func(tx Tx) error {
		if err := tx.IdentityProviders().Delete(ctx, AnyHub, id); err != nil {
			return err
		}
		facts := providerFacts(p)
		if err := s.shutOut(ctx, tx, p.Issuer, facts); err != nil {
			return err
		}
		return audit(ctx, tx, Actor{OperatorID: by.ID}, "identity_provider.delete", id, facts)
	})
}

// MakeWebhookSecret makes the secret with which the provider signs its webhooks, in place of the former
// one, and gives it this once.
func (s *IdentityProviders) MakeWebhookSecret(ctx context.Context, by Operator, id string) (IdentityProvider, Secret, error) {
	p, err := s.changeable(ctx, by, id)
	if err != nil {
		return IdentityProvider{}, "", err
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails since Go 1.24
	secret := Secret(whsec + base64.StdEncoding.EncodeToString(key[:]))
	if p.WebhookSecret, err = s.Sealer.Seal(secret, p.WebhookPlace()); err != nil {
		return IdentityProvider{}, "", err
	}
	p, err = s.write(ctx, by, p, secret, "identity_provider.webhook_secret", map[string]any{"issuer": p.Issuer})
	return p, secret, err
}

func (s *IdentityProviders) write(ctx context.Context, by Operator, p IdentityProvider, secret Secret, action string, facts map[string]any) (IdentityProvider, error) {
	row := p
	err := s.Store.Tx(ctx, func(tx Tx) error {
		row = p
		if err := tx.IdentityProviders().Update(ctx, &row); CodeOf(err) == Conflict {
			return stale()
		} else if err != nil {
			return err
		}
		if row.DisabledAt != nil {
			if err := s.shutOut(ctx, tx, row.Issuer, facts); err != nil {
				return err
			}
		}
		if err := audit(ctx, tx, Actor{OperatorID: by.ID}, action, row.ID, facts); err != nil {
			return err
		}
		return answered(ctx, tx, ProviderWithSecret{row, secret})
	})
	return row, err
}

// ProviderWithSecret is a provider together with a new secret, for the one answer that shows it.
type ProviderWithSecret struct {
	IdentityProvider
	New Secret
}

func (s *IdentityProviders) changeable(ctx context.Context, by Operator, id string) (IdentityProvider, error) {
	p, err := s.Get(ctx, by, id)
	if err == nil && p.Source != ProviderSaved {
		err = E(Conflict, "provider_fixed", "This identity provider was named when the server was started and cannot be changed here.").
			Next("Change the options --oidc-issuer and those beside it, or leave them out and add the provider here.")
	}
	return p, err
}

func (s *IdentityProviders) fixed(issuer string) bool {
	return slices.ContainsFunc(s.Fixed, func(f OpenedProvider) bool { return f.Issuer == issuer })
}

// apply puts what an operator says into the row and checks the whole of it.
func (s *IdentityProviders) apply(p *IdentityProvider, c ProviderChange) error {
	set(&p.Issuer, c.Issuer)
	set(&p.Name, c.Name)
	set(&p.ClientID, c.ClientID)
	set(&p.Scopes, c.Scopes)
	set(&p.Audiences, c.Audiences)
	set(&p.EmailDomains, c.EmailDomains)
	set(&p.Claims, c.Claims)
	set(&p.MaxTokenAge, c.MaxTokenAge)
	if c.Enabled != nil {
		switch now := s.Clock(); {
		case *c.Enabled:
			p.DisabledAt = nil
		case p.DisabledAt == nil:
			p.DisabledAt = &now
		}
	}
	if c.Secret != nil {
		p.ClientSecret = nil
		if *c.Secret != "" {
			var err error
			if p.ClientSecret, err = s.Sealer.Seal(*c.Secret, p.SecretPlace()); err != nil {
				return err
			}
		}
	}
	return p.checked()
}

// Fix adds a provider that is not in the database. Before the server serves.
func (s *IdentityProviders) Fix(p OpenedProvider) error {
	if p.Claims.Hubs == "" {
		p.Claims = DefaultClaims()
	}
	if err := p.checked(); err != nil {
		return err
	}
	s.Fixed = append(s.Fixed, p)
	return nil
}

// Try says what claims would give with a mapping, for an operator who sets one up; nothing is kept.
func (s *IdentityProviders) Try(ctx context.Context, by Operator, id string, m *ClaimMapping, claims map[string]any) (Identity, error) {
	p, err := s.Get(ctx, by, id)
	if err != nil {
		return Identity{}, err
	}
	if m != nil {
		p.Claims = *m
		if err := p.checked(); err != nil {
			return Identity{}, err
		}
	}
	got, err := p.Identity(claims)
	if c := CodeOf(err); c == Unauthenticated || c == Forbidden { // of the person in the claims, not of who asks
		e := AsError(err)
		err = E(Invalid, e.Reason, e.Message).Next("%s", e.NextStep).At("/claims")
	}
	return got, err
}

// providerFacts are what the audit log keeps: no secrets.
func providerFacts(p IdentityProvider) map[string]any {
	return map[string]any{
		"issuer": p.Issuer, "client_id": p.ClientID, "secret": len(p.ClientSecret) > 0, "scopes": p.Scopes, "audiences": p.Audiences,
		"email_domains": p.EmailDomains, "claims": p.Claims, "max_token_age": p.MaxTokenAge, "enabled": p.DisabledAt == nil,
	}
}

func providerNotFound() *Error {
	return E(NotFound, "identity_provider_not_found", "There is no such identity provider, or it is switched off.").
		Next("Ask the operator of this installation which identity providers there are.")
}

func providerExists() *Error {
	return E(Conflict, "identity_provider_exists", "There is an identity provider with this issuer already.").At("/issuer").
		Next("Change that one.")
}

// messageLife is longer than any message can be replayed: its own time is checked, too.
const messageLife = 24 * time.Hour

// take remembers a message of a provider in the transaction of its effect; false when it was taken before.
func take(ctx context.Context, tx Tx, providerID, messageID string, now time.Time) (bool, error) {
	row := SpentToken{Row: Row{ID: hashToken("identity provider\n" + providerID + "\n" + messageID)}, ExpiresAt: now.Add(messageLife)}
	return tx.SpentTokens().Take(ctx, &row)
}

// set puts a value in place when there is one.
func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}
