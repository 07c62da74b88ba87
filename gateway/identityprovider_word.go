package gateway

import (
	"context"
	"time"
)

// WordLife is how long the word of an identity provider counts that does not tell us by webhook who
// leaves: apps can refresh their tokens for that long after its last token that names the person as a
// member, then the person signs in again. Of one with webhooks no news is good news, and FamilyLife is
// the limit.
const WordLife = 24 * time.Hour

// standing tells whether an issuer is that of a provider that is switched on, which it then stays until
// the transaction ends: who signs in at the moment in which it is switched off comes either before, and is
// shut out with the others, or not in at all. tells: it has a secret for webhooks.
func (s *IdentityProviders) standing(ctx context.Context, t Tables, issuer string) (on, tells bool, _ error) {
	for _, f := range s.Fixed {
		if f.Issuer == issuer {
			return f.DisabledAt == nil, f.Webhook != "", nil
		}
	}
	p, err := t.IdentityProviders().Hold(ctx, issuer)
	return err == nil && p.DisabledAt == nil, len(p.WebhookSecret) > 0, ignoreNotFound(err)
}

// admits refuses whose provider is none of ours or switched off. A nil receiver admits everybody.
func (s *IdentityProviders) admits(ctx context.Context, t Tables, issuer string) error {
	if s == nil {
		return nil
	}
	on, _, err := s.standing(ctx, t, issuer)
	if err == nil && !on {
		err = E(Unauthenticated, "identity_provider_off", "This identity provider is switched off.").
			Next("Ask the operator of this installation how to sign in.")
	}
	return err
}

// vouches tells whether a person's provider still stands for them, so that their apps may go on without
// them. A nil receiver knows of no providers and says yes.
func (s *IdentityProviders) vouches(ctx context.Context, t Tables, p Participant) (bool, error) {
	if s == nil {
		return true, nil
	}
	on, tells, err := s.standing(ctx, t, p.Issuer)
	return on && (tells || p.ToldAt != nil && s.Clock().Before(p.ToldAt.Add(WordLife))), err
}

// ShutOut is whom a provider leaves outside that was switched off or deleted.
type ShutOut struct {
	Hubs                       []string
	People, Sessions, Families int64
}

// shutOut ends at once all that a provider's people have here: their sessions, the tokens of their apps and
// their memberships. The next token of the provider, should it be switched on again, brings each back.
func (s *IdentityProviders) shutOut(ctx context.Context, tx Tx, issuer string, facts map[string]any) error {
	out, err := tx.IdentityProviders().ShutOut(ctx, issuer, s.Clock())
	if err != nil {
		return err
	}
	facts["members"], facts["sessions"], facts["refresh_families"] = out.People, out.Sessions, out.Families
	tx.AfterCommit(func() {
		for _, hub := range out.Hubs { // streams that are open look whether they may go on
			if s.Events != nil {
				s.Events.Progress(hub, "", WordSignedOut, hub, map[string]any{"suspended": true, "held": false})
			}
		}
	})
	return nil
}

// notOwn keeps an operator from locking themself out, and with them perhaps everybody.
func notOwn(by Operator, p IdentityProvider) error {
	if by.Issuer != p.Issuer {
		return nil
	}
	return E(Conflict, "own_provider", "You sign in through this identity provider yourself.").
		Next("Have an operator who signs in through another one do it.")
}
