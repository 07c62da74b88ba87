package gateway

import (
	"context"
	"slices"
	"time"
)

// Issued is what a client gets at the token endpoint, before it is signed.
type Issued struct {
	Bearer
	Scopes  []string
	Refresh Secret // the refresh token, if there is one
}

// ClientToken gives a client a token in which it acts for nobody.
func (s *OAuth) ClientToken(ctx context.Context, c Client, asked []string) (Issued, error) {
	scopes, err := c.MayHave(asked)
	if err != nil {
		return Issued{}, err
	}
	out := Issued{Bearer: Bearer{TokenID: NewID("tok"), ClientID: c.ID, HubID: c.HubID}, Scopes: scopes}
	return out, s.Store.Tx(ctx, func(tx Tx) error {
		return s.issued(ctx, tx, Actor{HubID: c.HubID, ClientID: c.ID}, out, "client_credentials")
	})
}

// issued notes that a token was given.
func (s *OAuth) issued(ctx context.Context, tx Tx, a Actor, t Issued, how string) error {
	now := s.Clock()
	if err := tx.Clients().SetLastUsed(ctx, t.ClientID, now); err != nil {
		return err
	}
	if t.GrantID != "" {
		if err := tx.Grants().SetLastUsed(ctx, t.GrantID, now); err != nil {
			return err
		}
	}
	return audit(ctx, tx, a, "token.issue", t.TokenID, map[string]any{"client": t.ClientID, "grant_type": how, "scopes": t.Scopes})
}

// Redeem exchanges an authorization code for tokens. A code that comes a second time was seen by
// somebody else: whatever it gave ends then. Errors have a reason of RFC 6749.
func (s *OAuth) Redeem(ctx context.Context, c Client, code, redirectURI, verifier string) (Issued, error) {
	refused := oauthError(OAuthInvalidGrant, "The code is wrong, was used already or has expired.").Next("Begin again at the authorization endpoint.")
	return s.once(ctx, func(tx Tx) (Issued, *Error, error) {
		got, err := tx.AuthorizationCodes().Get(ctx, AnyHub, hashToken(code))
		switch {
		case CodeOf(err) == NotFound || (err == nil && got.ClientID != c.ID):
			return Issued{}, refused, nil
		case err != nil:
			return Issued{}, nil, err
		case got.UsedAt != nil:
			return Issued{}, refused, s.endFamily(ctx, tx, got.FamilyID, "code used twice")
		case !s.Clock().Before(got.ExpiresAt) || got.RedirectURI != redirectURI || !proves(verifier, got.Challenge):
			return Issued{}, refused, nil
		}
		g, p, stands, err := s.stands(ctx, tx, got.GrantID)
		if err != nil || !stands {
			return Issued{}, refused, err
		}
		out, err := s.newFamily(ctx, tx, c, g, p, got.Scopes, "authorization_code")
		if err != nil {
			return Issued{}, nil, err
		}
		now := s.Clock()
		got.UsedAt, got.FamilyID = &now, out.FamilyID
		return out, nil, tx.AuthorizationCodes().Update(ctx, &got)
	})
}

// once runs a transaction in which something is used up. Of two at once the second finds it used,
// because the row it read has changed. A refusal is an answer and commits what was written.
func (s *OAuth) once(ctx context.Context, f func(Tx) (Issued, *Error, error)) (Issued, error) {
	var out Issued
	var refused *Error
	err := retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			var err error
			out, refused, err = f(tx)
			return err
		})
	})
	switch {
	case err != nil:
		return Issued{}, err
	case refused != nil:
		return Issued{}, refused
	}
	return out, nil
}

// stands tells whether a grant is not revoked, its person not suspended and still vouched for by their
// identity provider.
func (s *OAuth) stands(ctx context.Context, t Tables, grantID string) (Grant, Participant, bool, error) {
	g, err := t.Grants().Get(ctx, AnyHub, grantID)
	if err != nil {
		return Grant{}, Participant{}, false, ignoreNotFound(err)
	}
	p, err := t.Participants().Get(ctx, Scope(g.HubID), g.ParticipantID)
	if err != nil {
		return Grant{}, Participant{}, false, ignoreNotFound(err)
	}
	if g.RevokedAt != nil || p.SuspendedAt != nil {
		return g, p, false, nil
	}
	ok, err := s.Hubs.Providers.vouches(ctx, t, p)
	return g, p, ok, err
}

func ignoreNotFound(err error) error {
	if CodeOf(err) == NotFound {
		return nil
	}
	return err
}

// newFamily gives the first tokens of a sign-in at an app.
func (s *OAuth) newFamily(ctx context.Context, tx Tx, c Client, g Grant, p Participant, scopes []string, how string) (Issued, error) {
	f := TokenFamily{
		Row: Row{ID: NewID("fam"), HubID: g.HubID}, GrantID: g.ID, ClientID: c.ID, ParticipantID: p.ID,
		Scopes: both(scopes, g.Scopes, c.Scopes), ExpiresAt: s.Clock().Add(FamilyLife),
	}
	if err := tx.TokenFamilies().Insert(ctx, &f); err != nil {
		return Issued{}, err
	}
	return s.next(ctx, tx, f, p, f.Scopes, how)
}

// next gives tokens of a family.
func (s *OAuth) next(ctx context.Context, tx Tx, f TokenFamily, p Participant, scopes []string, how string) (Issued, error) {
	refresh := NewToken()
	until := s.Clock().Add(RefreshIdle)
	if until.After(f.ExpiresAt) {
		until = f.ExpiresAt
	}
	if err := tx.RefreshTokens().Insert(ctx, &RefreshToken{Row: Row{ID: hashToken(refresh), HubID: f.HubID}, FamilyID: f.ID, ExpiresAt: until}); err != nil {
		return Issued{}, err
	}
	out := Issued{
		Bearer: Bearer{TokenID: NewID("tok"), ClientID: f.ClientID, HubID: f.HubID, ParticipantID: f.ParticipantID, GrantID: f.GrantID, FamilyID: f.ID},
		Scopes: scopes, Refresh: Secret(refresh),
	}
	return out, s.issued(ctx, tx, p.actor(), out, how)
}

// Refresh exchanges a refresh token for the next one and an access token. A token that comes a second
// time is in two hands, and nobody knows which is the right one: its whole family ends. There is no
// time in which a second use is forgiven: an answer that was lost means signing in again.
func (s *OAuth) Refresh(ctx context.Context, c Client, token string, asked []string) (Issued, error) {
	refused := oauthError(OAuthInvalidGrant, "The refresh token is wrong, was used already, was revoked or has expired.").
		Next("Begin again at the authorization endpoint.")
	return s.once(ctx, func(tx Tx) (Issued, *Error, error) {
		t, f, err := s.refreshToken(ctx, tx, token)
		if err != nil || f.ID == "" || f.ClientID != c.ID {
			return Issued{}, refused, err
		}
		if t.UsedAt != nil {
			return Issued{}, refused, s.endFamily(ctx, tx, f.ID, "refresh token used twice")
		}
		now := s.Clock()
		if f.RevokedAt != nil || !now.Before(f.ExpiresAt) || !now.Before(t.ExpiresAt) {
			return Issued{}, refused, nil
		}
		g, p, stands, err := s.stands(ctx, tx, f.GrantID)
		if err != nil || !stands {
			return Issued{}, refused, err
		}
		if !covers(f.Scopes, asked) {
			return Issued{}, oauthError(OAuthInvalidScope, "The person did not allow one of these scopes.").Next("Ask for fewer."), nil
		}
		if len(asked) == 0 {
			asked = f.Scopes
		}
		t.UsedAt = &now
		if err := tx.RefreshTokens().Update(ctx, &t); err != nil {
			return Issued{}, nil, err
		}
		out, err := s.next(ctx, tx, f, p, both(asked, g.Scopes, c.Scopes), "refresh_token")
		return out, nil, err
	})
}

// refreshToken finds a refresh token and its family. The family is empty when there is none.
func (s *OAuth) refreshToken(ctx context.Context, t Tables, token string) (RefreshToken, TokenFamily, error) {
	r, err := t.RefreshTokens().Get(ctx, AnyHub, hashToken(token))
	if err != nil {
		return RefreshToken{}, TokenFamily{}, ignoreNotFound(err)
	}
	f, err := t.TokenFamilies().Get(ctx, AnyHub, r.FamilyID)
	return r, f, ignoreNotFound(err)
}

// endFamily revokes all that follows from one sign-in at an app, access tokens included.
func (s *OAuth) endFamily(ctx context.Context, tx Tx, id, why string) error {
	f, err := tx.TokenFamilies().Get(ctx, AnyHub, id)
	if err != nil || f.RevokedAt != nil {
		return ignoreNotFound(err)
	}
	now := s.Clock()
	f.RevokedAt = &now
	if err := tx.TokenFamilies().Update(ctx, &f); err != nil {
		return err
	}
	return audit(ctx, tx, Actor{HubID: f.HubID, ClientID: f.ClientID}, "token.revoke", f.GrantID, map[string]any{"family": f.ID, "why": why})
}

// Exchange gives a client a token for the person of a verified identity, in the client's hub
// (RFC 8693). The person becomes a member just in time, as when they sign in. A refusal leaves nothing
// behind but where the person is no member any more. RFC 8693 wants "invalid_request" for whatever is
// wrong with the person's token.
func (s *OAuth) Exchange(ctx context.Context, c Client, id Identity, asked []string) (Issued, error) {
	var out Issued
	scopes, err := c.MayHave(asked)
	if err == nil {
		err = s.Hubs.signingIn(ctx, func(tx Tx) error {
			in, err := s.Hubs.signIn(ctx, tx, id)
			if err == nil {
				out, err = s.exchange(ctx, tx, c, in, scopes)
			}
			return err
		})
	}
	switch CodeOf(err) {
	case "":
		return out, nil
	case Invalid:
		if lerr := s.Hubs.Leave(ctx, id); lerr != nil {
			return Issued{}, lerr
		}
	}
	return Issued{}, err
}

// exchange gives a client a token for the person who is in some hubs.
func (s *OAuth) exchange(ctx context.Context, tx Tx, c Client, in []Belonging, scopes []string) (Issued, error) {
	i := slices.IndexFunc(in, func(b Belonging) bool { return b.Hub.ID == c.HubID })
	if i < 0 {
		return Issued{}, oauthError(OAuthBadRequest, "The person is not in the hub of this client.").
			Next("Check the hubs that the identity provider names for them.")
	}
	p := in[i].Participant
	g, err := tx.Grants().Latest(ctx, c.ID, p.ID)
	switch {
	case ignoreNotFound(err) != nil:
		return Issued{}, err
	case err == nil && g.RevokedAt != nil && g.asks(c):
		return Issued{}, oauthError(OAuthBadRequest, "The person took back the access of this app.").
			Next("Send them to the authorization endpoint: they can allow it again there.")
	case err == nil && g.RevokedAt != nil:
		return Issued{}, oauthError(OAuthBadRequest, "The person took back the access of this app.").
			Next("They can allow it again under Account, Apps with access.")
	}
	if g, err = s.grant(ctx, tx, c, p, scopes, ViaExchange); err != nil {
		return Issued{}, err
	}
	out := Issued{
		Bearer: Bearer{TokenID: NewID("tok"), ClientID: c.ID, HubID: g.HubID, ParticipantID: p.ID, GrantID: g.ID}, Scopes: scopes,
	}
	return out, s.issued(ctx, tx, p.actor(), out, "token-exchange")
}

// Revoke ends what a client's refresh token belongs to and tells whether it was one. Another client's
// is left alone.
func (s *OAuth) Revoke(ctx context.Context, c Client, token string) (found bool, _ error) {
	err := retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			_, f, err := s.refreshToken(ctx, tx, token)
			if err != nil || f.ID == "" {
				return err
			}
			found = true
			if f.ClientID != c.ID {
				return nil
			}
			return s.endFamily(ctx, tx, f.ID, "revoked by the client")
		})
	})
	return found, err
}

// RevokeAccess ends an access token of a client before its time.
func (s *OAuth) RevokeAccess(ctx context.Context, c Client, b Bearer, until time.Time) error {
	if b.ClientID != c.ID {
		return nil
	}
	return s.Store.Tx(ctx, func(tx Tx) error {
		first, err := tx.SpentTokens().Take(ctx, &SpentToken{Row: Row{ID: b.TokenID, HubID: b.HubID}, ExpiresAt: until})
		if err != nil || !first { // revoked already
			return err
		}
		return audit(ctx, tx, Actor{HubID: b.HubID, ClientID: c.ID}, "token.revoke", b.TokenID, map[string]any{"why": "revoked by the client"})
	})
}

// SpendAssertion uses up the id of a client assertion. Unauthenticated when it was used before.
func (s *OAuth) SpendAssertion(ctx context.Context, clientID, id string, until time.Time) error {
	first, err := s.Store.SpentTokens().Take(ctx, &SpentToken{Row: Row{ID: hashToken("assertion " + clientID + " " + id)}, ExpiresAt: until})
	if err == nil && !first {
		return E(Unauthenticated, "assertion_replayed", "The client assertion was used before.").Next("Make a new one for each request.")
	}
	return err
}

// RefreshFamily gives the family of a refresh token that still works; NotFound otherwise.
func (s *OAuth) RefreshFamily(ctx context.Context, token string) (TokenFamily, error) {
	t, f, err := s.refreshToken(ctx, s.Store, token)
	if err != nil {
		return TokenFamily{}, err
	}
	now := s.Clock()
	if f.ID != "" && t.UsedAt == nil && f.RevokedAt == nil && now.Before(t.ExpiresAt) && now.Before(f.ExpiresAt) {
		c, err := s.Client(ctx, f.ClientID)
		if err != nil {
			return TokenFamily{}, err
		}
		g, _, ok, err := s.stands(ctx, s.Store, f.GrantID)
		f.Scopes = both(f.Scopes, g.Scopes, c.Scopes)
		if ok || err != nil {
			return f, err
		}
	}
	return TokenFamily{}, E(NotFound, "token_not_found", "The token does not work.").Next("Get a new one.")
}

// Sweep deletes what has expired.
func (s *OAuth) Sweep(ctx context.Context) error {
	now := s.Clock()
	day := now.Add(-24 * time.Hour)    // a code is kept for a while, so that its second use is noticed
	spent := now.Add(-2 * TokenLeeway) // of the one that checks a token, and of this server's clock
	for _, del := range []func() (int64, error){
		func() (int64, error) { return s.Store.AuthorizationRequests().DeleteExpired(ctx, now) },
		func() (int64, error) { return s.Store.AuthorizationCodes().DeleteExpired(ctx, day) },
		func() (int64, error) { return s.Store.DeviceCodes().DeleteExpired(ctx, day) },
		func() (int64, error) { return s.Store.TokenFamilies().DeleteExpired(ctx, day) }, // and its refresh tokens
		func() (int64, error) { return s.Store.SpentTokens().DeleteExpired(ctx, spent) },
	} {
		if _, err := del(); err != nil {
			return err
		}
	}
	return nil
}
