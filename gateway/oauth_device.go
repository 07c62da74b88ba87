package gateway

import (
	"context"
	"time"
)

// BeginDevice makes the codes for a device without a browser (RFC 8628). The device code is the
// device's own; the user code is typed by a person elsewhere.
func (s *OAuth) BeginDevice(ctx context.Context, c Client, asked []string) (device Secret, user string, _ error) {
	scopes, err := c.MayHave(asked)
	if err != nil {
		return "", "", err
	}
	code := NewToken()
	err = retryConflict(func() error { // a user code that is in use is not given twice
		user = newUserCode()
		return s.Store.DeviceCodes().Insert(ctx, &DeviceCode{
			Row: Row{ID: hashToken(code)}, ClientID: c.ID, UserCodeHash: hashToken(user), Scopes: scopes, State: DevicePending,
			IntervalS: int64(DeviceWait.Seconds()), ExpiresAt: s.Clock().Add(DeviceLife),
		})
	})
	return Secret(code), user, err
}

// DeviceAsked gives the question behind a user code, as typed. NotFound when there is none; RateLimited
// when a person or address has tried too many.
func (s *OAuth) DeviceAsked(ctx context.Context, ses Session, typed, address string) (Ask, error) {
	d, err := s.device(ctx, s.Store, ses, typed, address)
	if err != nil {
		return Ask{}, err
	}
	return s.ask(ctx, ses, d.ClientID, d.Scopes)
}

// device finds a pending device by its user code.
func (s *OAuth) device(ctx context.Context, t Tables, ses Session, typed, address string) (DeviceCode, error) {
	done, err := s.Attempts.Begin("device "+ses.Issuer+" "+ses.Subject, address)
	if err != nil {
		return DeviceCode{}, err
	}
	code := tidyUserCode(typed)
	d, err := t.DeviceCodes().ByUserCode(ctx, hashToken(code))
	if CodeOf(err) == NotFound || (err == nil && (d.State != DevicePending || !s.Clock().Before(d.ExpiresAt))) {
		done(false)
		return DeviceCode{}, E(NotFound, "user_code_not_found", "No device waits with this code: it is wrong, was used already or has expired.").
			Next("Compare it with what your device shows, or start again there.")
	}
	done(true)
	return d, err
}

// DecideDevice answers a device in the name of a signed-in person.
func (s *OAuth) DecideDevice(ctx context.Context, ses Session, typed, address, hubID string, allow bool) error {
	decide := func(tx Tx) error {
		d, err := s.device(ctx, tx, ses, typed, address)
		if err != nil {
			return err
		}
		d.State = DeviceDenied
		if allow {
			g, err := s.allow(ctx, tx, ses, d.ClientID, hubID, d.Scopes, ViaDevice)
			if err != nil {
				return err
			}
			d.State, d.GrantID = DeviceApproved, g.ID
		}
		return tx.DeviceCodes().Update(ctx, &d)
	}
	// Another page may decide this or another question of the app at the same moment.
	return retryConflict(func() error { return s.Store.Tx(ctx, decide) })
}

// RedeemDevice gives a device its tokens when its person has allowed it. Errors have a reason of
// RFC 8628; a device that asks too soon has to wait longer from then on.
func (s *OAuth) RedeemDevice(ctx context.Context, c Client, code string) (Issued, error) {
	refused := oauthError(OAuthInvalidGrant, "The device code is wrong or was used already.").Next("Begin again at the device authorization endpoint.")
	return s.once(ctx, func(tx Tx) (Issued, *Error, error) {
		d, err := tx.DeviceCodes().Get(ctx, AnyHub, hashToken(code))
		if err != nil || d.ClientID != c.ID {
			return Issued{}, refused, ignoreNotFound(err)
		}
		if d.FamilyID != "" {
			return Issued{}, refused, s.endFamily(ctx, tx, d.FamilyID, "device code used twice")
		}
		now := s.Clock()
		if !now.Before(d.ExpiresAt) {
			return Issued{}, oauthError(OAuthExpired, "The device code has expired.").Next("Begin again at the device authorization endpoint."), nil
		}
		switch d.State {
		case DeviceDenied:
			return Issued{}, oauthError(OAuthDenied, "The person refused.").Next("Do not ask again."), nil
		case DevicePending:
			wait := oauthError(OAuthPending, "The person has not decided yet.").Next("Ask again after the interval.")
			if d.PolledAt != nil && now.Sub(*d.PolledAt) < time.Duration(d.IntervalS)*time.Second {
				wait = oauthError(OAuthSlowDown, "You ask too often.").Next("Add five seconds to the interval.")
				d.IntervalS += 5
			}
			d.PolledAt = &now
			return Issued{}, wait, tx.DeviceCodes().Update(ctx, &d)
		}
		g, p, stands, err := s.stands(ctx, tx, d.GrantID)
		if err != nil || !stands {
			return Issued{}, refused, err
		}
		out, err := s.newFamily(ctx, tx, c, g, p, d.Scopes, "device_code")
		if err != nil {
			return Issued{}, nil, err
		}
		d.FamilyID = out.FamilyID
		return out, nil, tx.DeviceCodes().Update(ctx, &d)
	})
}
