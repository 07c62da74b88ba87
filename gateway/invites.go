package gateway

import (
	"context"
	"strings"
	"time"
)

// InviteLife is how long an invite's link works.
const InviteLife = 7 * 24 * time.Hour

// NewInvite is an invite with the secret of its link, for the one answer that shows it.
type NewInvite struct {
	Invite
	New Secret
}

// NewInvite makes a link secret with which somebody outside the hub can paste the App Token; valid for seven days, used once.
func (s *Integrations) NewInvite(ctx context.Context, a Actor, v Visibility) (secret string, _ Invite, _ error) {
	if _, err := s.adminGate(ctx, a); err != nil {
		return "", Invite{}, err
	}
	if v != VisibilityShared && v != VisibilityOwn {
		return "", Invite{}, E(Invalid, "visibility", "The visibility is \"shared\" or \"own\".").At("/visibility").
			Next("Choose what the people of the hub shall see.")
	}
	secret = NewToken()
	inv := Invite{Row: Row{ID: hashToken(secret), HubID: a.HubID}, Visibility: v, CreatedBy: a.Subject(), ExpiresAt: s.Clock().Add(InviteLife)}
	err := s.Store.Tx(ctx, func(tx Tx) error {
		if err := tx.Invites().Insert(ctx, &inv); err != nil {
			return err
		}
		if err := audit(ctx, tx, a, "integration.invite", a.HubID, map[string]any{"visibility": v, "expires_at": inv.ExpiresAt}); err != nil {
			return err
		}
		return answered(ctx, tx, NewInvite{inv, Secret(secret)})
	})
	return secret, inv, err
}

// InviteInfo shows an invite to its reader: the hub's name and the request to run. NotFound when unknown, used or expired.
func (s *Integrations) InviteInfo(ctx context.Context, secret string) (Invite, Hub, TokenRequest, error) {
	inv, err := s.invite(ctx, s.Store, secret)
	if err != nil {
		return Invite{}, Hub{}, TokenRequest{}, err
	}
	hub, err := s.gate(ctx, inv.HubID, true)
	if err != nil {
		return Invite{}, Hub{}, TokenRequest{}, err
	}
	serviceURL := ""
	if in, err := s.saved(ctx, inv.HubID); err == nil {
		serviceURL = in.ServiceURL
	}
	req, err := tokenRequest(hub.Name, serviceURL, TokenWish{Visibility: inv.Visibility})
	return inv, hub, req, err
}

// AcceptInvite saves the connection in the name of the inviting admin and uses the invite up. The
// visibility is the one the admin chose. All of the credential has to be pasted: who holds a link
// gets no use of a saved token.
func (s *Integrations) AcceptInvite(ctx context.Context, secret string, c Connection) (Integration, error) {
	inv, err := s.invite(ctx, s.Store, secret)
	if err != nil {
		return Integration{}, err
	}
	a, err := s.inviter(ctx, inv)
	if err != nil {
		return Integration{}, err
	}
	c.Visibility, c.MappingMode = inv.Visibility, ""
	if _, err := c.checked(); err != nil {
		return Integration{}, err
	}
	var version int64
	if in, err := s.saved(ctx, inv.HubID); err == nil {
		version = in.Version
	} else if CodeOf(err) != NotFound {
		return Integration{}, err
	}
	return s.save(ctx, a, version, c, func(tx Tx) error {
		// Looked at again here: of two who accept at once, one finds it used.
		inv, err := s.invite(ctx, tx, secret)
		if err != nil {
			return err
		}
		now := s.Clock()
		inv.UsedAt = &now
		if err := tx.Invites().Update(ctx, &inv); err != nil {
			if CodeOf(err) == Conflict {
				return inviteNotFound()
			}
			return err
		}
		return audit(ctx, tx, a, "integration.invite_accepted", inv.HubID, map[string]any{"app_token_id": c.AppTokenID})
	})
}

func (s *Integrations) invite(ctx context.Context, t Tables, secret string) (Invite, error) {
	inv, err := t.Invites().Get(ctx, AnyHub, hashToken(secret))
	if CodeOf(err) == NotFound || (err == nil && (inv.UsedAt != nil || !s.Clock().Before(inv.ExpiresAt))) {
		return Invite{}, inviteNotFound()
	}
	return inv, err
}

// inviter is the admin who made the invite, with the rights they have today.
func (s *Integrations) inviter(ctx context.Context, inv Invite) (Actor, error) {
	if id, ok := strings.CutPrefix(inv.CreatedBy, "client:"); ok {
		c, err := s.Store.Clients().Get(ctx, Scope(inv.HubID), id)
		if CodeOf(err) == NotFound {
			return Actor{}, inviteNotFound()
		}
		return Actor{HubID: inv.HubID, ClientID: c.ID, Name: c.Name, Scopes: c.Scopes}, err
	}
	p, err := s.Store.Participants().Get(ctx, Scope(inv.HubID), strings.TrimPrefix(inv.CreatedBy, "participant:"))
	if CodeOf(err) == NotFound || (err == nil && (p.SuspendedAt != nil || p.Role != RoleAdmin)) {
		return Actor{}, inviteNotFound()
	}
	return p.actor(), err
}

func inviteNotFound() *Error {
	return E(NotFound, "invite_not_found", "This link does not work: it is wrong, was used already or has expired.").
		Next("Ask the administrator who sent it for a new one.")
}
