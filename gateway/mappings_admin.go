package gateway

import (
	"context"
	"strings"
)

// MappingFilter says which mappings are meant. Zero fields do not limit.
type MappingFilter struct {
	Text   string // in the person's name or e-mail, or in the platform user's id
	States []MappingState
	Hows   []MappingHow
	Person string // participant
}

// MappedPerson is a mapping with whose it is.
type MappedPerson struct {
	Mapping
	Person Participant
}

// Cursor names the place of a mapping in lists. It holds the rank, which may change before the next page is asked for.
func (m MappedPerson) Cursor() string {
	if m.State == MappingConflict {
		return "1" + m.ID
	}
	return "0" + m.ID
}

// List shows an admin the hub's mappings: conflicts first, then newest first. Slice.After is a Cursor().
func (s *Mappings) List(ctx context.Context, a Actor, f MappingFilter, w Slice) ([]MappedPerson, error) {
	if err := adminOnly(a, ScopeMappingsAdmin); err != nil {
		return nil, err
	}
	f.Text = strings.TrimSpace(f.Text)
	return s.Store.Mappings().List(ctx, Scope(a.HubID), f, w)
}

// Get shows an admin one mapping and, when it is in conflict, what the platform says about the
// candidates; those that it cannot be asked about have an id only.
func (s *Mappings) Get(ctx context.Context, a Actor, id string) (MappedPerson, []PlatformUser, error) {
	if err := adminOnly(a, ScopeMappingsAdmin); err != nil {
		return MappedPerson{}, nil, err
	}
	m, err := s.Store.Mappings().Get(ctx, Scope(a.HubID), id)
	if CodeOf(err) == NotFound {
		return MappedPerson{}, nil, mappingNotFound()
	}
	if err != nil {
		return MappedPerson{}, nil, err
	}
	people, err := s.Store.Mappings().People(ctx, Scope(a.HubID), []string{m.ParticipantID})
	if err != nil {
		return MappedPerson{}, nil, err
	}
	out := MappedPerson{m, people[m.ParticipantID]}
	users := []PlatformUser{}
	if m.State != MappingConflict {
		return out, users, nil
	}
	o, err := s.Integrations.OpenFor(ctx, a.HubID, false)
	prov, _ := o.Platform.(Provisioner)
	for _, c := range m.Candidates {
		u := PlatformUser{ID: c}
		if err == nil && prov != nil {
			if known, err := prov.User(ctx, c); err == nil {
				u = known
			}
		}
		users = append(users, u)
	}
	return out, users, nil
}

// Export notes that an admin takes the list away, and gives all of it bit by bit.
func (s *Mappings) Export(ctx context.Context, a Actor, f MappingFilter) (each func(context.Context, func(MappedPerson) error) error, _ error) {
	if err := adminOnly(a, ScopeMappingsAdmin); err != nil {
		return nil, err
	}
	if err := s.Store.Tx(ctx, func(tx Tx) error {
		return audit(ctx, tx, a, "mapping.export", a.HubID, map[string]any{"format": "csv"})
	}); err != nil {
		return nil, err
	}
	return func(ctx context.Context, give func(MappedPerson) error) error {
		for w := (Slice{Limit: 500}); ; {
			page, err := s.Store.Mappings().List(ctx, Scope(a.HubID), f, w)
			if err != nil {
				return err
			}
			for _, m := range page {
				if err := give(m); err != nil {
					return err
				}
				w.After = m.Cursor()
			}
			if len(page) < w.Limit {
				return nil
			}
		}
	}, nil
}

// Link sets a mapping by hand, which also resolves a conflict. On a pending mapping the proposed
// user id (or an empty one) approves it: the user is then found or made as on first use. Version as
// in Integrations.Save.
func (s *Mappings) Link(ctx context.Context, a Actor, id string, version int64, platformUserID string) (Mapping, error) {
	m, err := s.forAdmin(ctx, a, id, version)
	if err != nil {
		return Mapping{}, err
	}
	platformUserID = strings.TrimSpace(platformUserID)
	if m.State == MappingPending && (platformUserID == "" || platformUserID == m.PlatformUserID) {
		return s.approve(ctx, a, m)
	}
	if !validUserID(platformUserID) {
		return Mapping{}, E(Invalid, "platform_user_id", "This cannot be a Kaltura user id.").At("/platform_user_id").
			Next("Copy the user id from the KMC under Administration → Users, at most %d characters.", maxUserID)
	}
	if platformUserID, err = s.existing(ctx, a, platformUserID); err != nil {
		return Mapping{}, err
	}
	from := m.PlatformUserID
	m.PlatformUserID, m.How, m.State, m.Candidates, m.LinkedAt = platformUserID, MappedManual, MappingActive, nil, s.Clock()
	return s.change(ctx, a, m, "mapping.linked", map[string]any{"from": from, "to": platformUserID})
}

// existing gives a platform user's id as the platform writes it, or refuses one that does not exist or
// is blocked: a typing error would otherwise give somebody an empty account or, later, another person's.
func (s *Mappings) existing(ctx context.Context, a Actor, id string) (string, error) {
	o, err := s.Integrations.OpenFor(ctx, a.HubID, true)
	if err != nil {
		return "", err
	}
	prov, can := o.Platform.(Provisioner)
	if !can {
		return id, nil
	}
	u, err := prov.User(ctx, id)
	switch {
	case CodeOf(err) == NotFound:
		return "", E(Invalid, "platform_user_unknown", "The Kaltura account has no user with this id.").At("/platform_user_id").
			Next("Copy the user id from the KMC under Administration → Users, or create the user there first.")
	case CodeOf(err) == Forbidden:
		return id, nil // a USER-type App Token cannot ask; the admin knows
	case err == nil && !u.Active:
		return "", E(Invalid, "platform_user_blocked", "This Kaltura user is blocked or deleted.").At("/platform_user_id").
			Next("Activate the user in the KMC, or choose another one.")
	case err != nil:
		return "", err
	}
	return u.ID, nil
}

func (s *Mappings) approve(ctx context.Context, a Actor, m Mapping) (Mapping, error) {
	p, err := s.Store.Participants().Get(ctx, Scope(a.HubID), m.ParticipantID)
	if err != nil {
		return Mapping{}, err
	}
	o, err := s.Integrations.OpenFor(ctx, a.HubID, true)
	if err != nil {
		return Mapping{}, err
	}
	if o.Integration.ID != m.IntegrationID {
		return Mapping{}, mappingNotFound()
	}
	m, err = s.establish(ctx, p.actor(), o, &m)
	if err != nil {
		return Mapping{}, err
	}
	return m, s.Store.Tx(ctx, func(tx Tx) error { return audit(ctx, tx, a, "mapping.approved", m.ID, mappingData(m)) })
}

// Unlink cuts a mapping; it is not made anew by itself.
func (s *Mappings) Unlink(ctx context.Context, a Actor, id string, version int64) (Mapping, error) {
	m, err := s.forAdmin(ctx, a, id, version)
	if err != nil {
		return Mapping{}, err
	}
	m.State = MappingUnlinked
	return s.change(ctx, a, m, "mapping.unlinked", map[string]any{"from": m.PlatformUserID})
}

func (s *Mappings) forAdmin(ctx context.Context, a Actor, id string, version int64) (Mapping, error) {
	if err := adminOnly(a, ScopeMappingsAdmin); err != nil {
		return Mapping{}, err
	}
	m, err := s.Store.Mappings().Get(ctx, Scope(a.HubID), id)
	if CodeOf(err) == NotFound {
		return Mapping{}, mappingNotFound()
	}
	if err == nil && m.Version != version {
		return Mapping{}, stale()
	}
	return m, err
}

func (s *Mappings) change(ctx context.Context, a Actor, m Mapping, event string, data map[string]any) (Mapping, error) {
	row := m
	err := s.Store.Tx(ctx, func(tx Tx) error {
		row = m
		if err := tx.Mappings().Update(ctx, &row); err != nil {
			if CodeOf(err) == Conflict {
				return stale()
			}
			return err
		}
		if err := audit(ctx, tx, a, event, row.ID, data); err != nil {
			return err
		}
		return s.Events.Append(ctx, tx, row.HubID, row.ParticipantID, event, row.ID, mappingData(row))
	})
	return row, err
}

func mappingNotFound() *Error {
	return E(NotFound, "mapping_not_found", "There is no such mapping.").Next("Load the list again.")
}
