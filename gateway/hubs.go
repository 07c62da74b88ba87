package gateway

import (
	"context"
	"time"
)

// Hubs signs people in and tells who is in which hub.
type Hubs struct {
	Store  Store
	Clock  Clock
	Events *Events // nil: nobody hears of who comes and goes

	Providers *IdentityProviders // nil: none is asked whether it is switched on
}

// Belonging is one hub a person is in.
type Belonging struct {
	Hub         Hub
	Participant Participant
}

// SignIn brings hubs and participants up to date with a verified identity: roles and plans that
// changed at the provider change here, hubs the identity no longer names suspend the person there
// (unless it is partial). A token that is older than what the provider said last changes nothing. An
// unverified e-mail is kept but marked. It gives the hubs the person is in now.
func (h *Hubs) SignIn(ctx context.Context, id Identity) ([]Belonging, error) {
	var out []Belonging
	err := h.signingIn(ctx, func(tx Tx) (err error) {
		out, err = h.signIn(ctx, tx, id)
		return err
	})
	return out, err
}

// signingIn runs a transaction in which somebody signs in. Two first sign-ins at once may both try to
// insert the same hub or person: the loser looks again. A person with many tabs may lose several times.
func (h *Hubs) signingIn(ctx context.Context, f func(Tx) error) error {
	var err error
	for range 4 {
		if err = retryConflict(func() error { return h.Store.Tx(ctx, f) }); CodeOf(err) != Conflict {
			break
		}
	}
	return err
}

// Leave takes over from an identity only where the person is no member any more: of a sign-in that was
// refused nothing else counts.
func (h *Hubs) Leave(ctx context.Context, id Identity) error {
	return h.signingIn(ctx, func(tx Tx) error {
		known, told, err := h.known(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, m := range id.Memberships {
			hub, err := tx.Hubs().ByExternal(ctx, id.Issuer, m.HubExternalID)
			if ignoreNotFound(err) != nil {
				return err
			}
			delete(known, hub.ID)
		}
		_, err = h.leave(ctx, tx, id, known, told)
		return err
	})
}

// known gives where a person is or was a member, by hub, and when the provider said what the identity says.
func (h *Hubs) known(ctx context.Context, tx Tx, id Identity) (map[string]Participant, time.Time, error) {
	people, err := tx.Participants().BySubject(ctx, AnyHub, id.Issuer, id.Subject)
	if err != nil {
		return nil, time.Time{}, err
	}
	known := make(map[string]Participant, len(people))
	for _, p := range people {
		known[p.HubID] = p
	}
	told := h.Clock()
	if !id.IssuedAt.IsZero() && id.IssuedAt.Before(told) {
		told = id.IssuedAt
	}
	return known, told, nil
}

func (h *Hubs) signIn(ctx context.Context, tx Tx, id Identity) ([]Belonging, error) {
	if id.Issuer == "" || id.Subject == "" {
		return nil, E(Unauthenticated, "identity_incomplete", "The identity provider did not say who you are.").
			Next("Sign in again; if it happens again, tell your administrator.")
	}
	if err := h.Providers.admits(ctx, tx, id.Issuer); err != nil {
		return nil, err
	}
	known, told, err := h.known(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	out := []Belonging{}
	seen := map[string]bool{}
	for _, m := range id.Memberships {
		if m.HubExternalID == "" || seen[m.HubExternalID] { // the same hub named twice: the first word counts
			continue
		}
		seen[m.HubExternalID] = true
		hub, err := h.upsertHub(ctx, tx, id.Issuer, m, told)
		if err != nil {
			return nil, err
		}
		p, exists := known[hub.ID]
		delete(known, hub.ID)
		switch {
		case !exists:
			p = Participant{Row: Row{ID: NewID("par"), HubID: hub.ID}, Issuer: id.Issuer, Subject: id.Subject}
			if old, err := buried(ctx, tx, p, told); err != nil {
				return nil, err
			} else if old {
				continue
			}
			p.joined(id, m.Role, told)
			if err = tx.Participants().Insert(ctx, &p); err == nil {
				err = audit(ctx, tx, p.actor(), "member.joined", p.ID, map[string]any{"role": p.Role})
			}
		case p.hears(told):
			before, back := p, p.SuspendedAt != nil && !p.Held
			p.joined(id, m.Role, told)
			if p.same(before) { // many tabs at once: one of them writes it down
				p = before
			} else if err = tx.Participants().Update(ctx, &p); err == nil && back {
				err = tellMember(ctx, tx, h.Events, p.actor(), p, "member.reinstated")
			}
			if err == nil && p.Role != before.Role {
				err = audit(ctx, tx, p.actor(), "member.role", p.ID, map[string]any{"from": before.Role, "to": p.Role})
			}
		}
		if err != nil {
			return nil, err
		}
		if p.SuspendedAt == nil {
			out = append(out, Belonging{hub, p})
		}
	}
	stay, err := h.leave(ctx, tx, id, known, told)
	return append(out, stay...), err
}

// leave suspends a person in the hubs that the identity does not name, and gives those of them in which
// they are a member still, as far as we know.
func (h *Hubs) leave(ctx context.Context, tx Tx, id Identity, unnamed map[string]Participant, told time.Time) ([]Belonging, error) {
	var stay []Belonging
	for _, p := range unnamed {
		switch {
		case p.SuspendedAt != nil:
			continue
		case id.Partial || !p.hears(told):
			hub, err := tx.Hubs().Get(ctx, Scope(p.HubID), p.HubID)
			if err != nil {
				return nil, err
			}
			stay = append(stay, Belonging{hub, p})
			continue
		}
		p.left(h.Clock(), told)
		if err := tx.Participants().Update(ctx, &p); err != nil {
			return nil, err
		}
		if err := tellMember(ctx, tx, h.Events, p.actor(), p, "member.left"); err != nil {
			return nil, err
		}
	}
	return stay, nil
}

func (h *Hubs) upsertHub(ctx context.Context, tx Tx, issuer string, m Membership, told time.Time) (Hub, error) {
	hub, err := tx.Hubs().ByExternal(ctx, issuer, m.HubExternalID)
	if CodeOf(err) == NotFound {
		id := NewID("hub")
		name := m.HubName
		if name == "" {
			name = m.HubExternalID
		}
		hub = Hub{Row: Row{ID: id, HubID: id}, Issuer: issuer, ExternalID: m.HubExternalID, Name: name, Plan: PlanFree, ToldAt: &told}
		if m.Plan != "" {
			hub.ProviderPlan = knownPlan(m.Plan)
		}
		hub.settle(h.Clock())
		if err := tx.Hubs().Insert(ctx, &hub); err != nil {
			return hub, err
		}
		return hub, audit(ctx, tx, SystemActor(hub.ID), "hub.create", hub.ID, map[string]any{
			"issuer": hub.Issuer, "external_id": hub.ExternalID, "name": hub.Name, "plan": hub.Plan,
		})
	}
	if err != nil || hub.ToldAt != nil && told.Before(*hub.ToldAt) { // an old token brings no old plan back
		return hub, err
	}
	before, changed := hub, false
	if m.HubName != "" && m.HubName != hub.Name {
		hub.Name, changed = m.HubName, true
	}
	if plan := knownPlan(m.Plan); m.Plan != "" && plan != hub.ProviderPlan {
		hub.ProviderPlan, changed = plan, true
		hub.settle(h.Clock())
	}
	if !changed {
		return hub, nil
	}
	hub.ToldAt = &told
	if err := tx.Hubs().Update(ctx, &hub); err != nil || hub.ProviderPlan == before.ProviderPlan {
		return hub, err
	}
	return hub, audit(ctx, tx, SystemActor(hub.ID), "hub.provider_plan", hub.ID, map[string]any{
		"from": before.ProviderPlan, "to": hub.ProviderPlan, "plan": hub.Plan, "plan_before": before.Plan,
	})
}

// Belongings lists the hubs of a person, not those they are suspended in.
func (h *Hubs) Belongings(ctx context.Context, issuer, subject string) ([]Belonging, error) {
	people, err := h.Store.Participants().BySubject(ctx, AnyHub, issuer, subject)
	if err != nil {
		return nil, err
	}
	out := []Belonging{}
	for _, p := range people {
		if p.SuspendedAt != nil {
			continue
		}
		hub, err := h.Store.Hubs().Get(ctx, Scope(p.HubID), p.HubID)
		if err != nil {
			return nil, err
		}
		out = append(out, Belonging{hub, p})
	}
	return out, nil
}

// ActorIn makes the actor of a signed-in person in a hub. NotFound when they are not in it or
// suspended, with the very answer an unknown hub gets.
func (h *Hubs) ActorIn(ctx context.Context, s Session, hubID string) (Actor, error) {
	if hubID == "" || hubID == string(AnyHub) {
		return Actor{}, hubNotFound()
	}
	people, err := h.Store.Participants().BySubject(ctx, Scope(hubID), s.Issuer, s.Subject)
	if err != nil {
		return Actor{}, err
	}
	for _, p := range people {
		if p.HubID == hubID && p.SuspendedAt == nil {
			return p.actor(), nil
		}
	}
	return Actor{}, hubNotFound()
}

// Get gives the actor's hub.
func (h *Hubs) Get(ctx context.Context, a Actor) (Hub, error) {
	hub, err := h.Store.Hubs().Get(ctx, Scope(a.HubID), a.HubID)
	if CodeOf(err) == NotFound {
		return Hub{}, hubNotFound()
	}
	return hub, err
}

// Members lists the participants of the actor's hub, for admins.
func (h *Hubs) Members(ctx context.Context, a Actor, w Slice) ([]Participant, error) {
	if err := membersAdmin(a); err != nil {
		return nil, err
	}
	return h.Store.Participants().List(ctx, Scope(a.HubID), w)
}

func hubNotFound() *Error {
	return E(NotFound, "hub_not_found", "There is no such hub, or you are not in it.").
		Next("Check the address, or ask an administrator of the hub to add you.")
}

// ActorFor makes the actor of a participant known by id, as they are now: for tickets, which name
// the person they were given to. NotFound when they are not in the hub or suspended.
func (h *Hubs) ActorFor(ctx context.Context, hubID, participantID string) (Actor, error) {
	p, err := h.Store.Participants().Get(ctx, Scope(hubID), participantID)
	if err != nil && CodeOf(err) != NotFound {
		return Actor{}, err
	}
	if err != nil || hubID == string(AnyHub) || p.SuspendedAt != nil {
		return Actor{}, hubNotFound()
	}
	return p.actor(), nil
}
