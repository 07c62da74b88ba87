package gateway

import (
	"context"
	"sync"
	"time"
)

// Mappings ties participants to platform users.
type Mappings struct {
	Store        Store
	Clock        Clock
	Integrations *Integrations
	Events       *Events

	Lanes *Lanes // nil = no limit

	mu     sync.Mutex
	flying map[string]*flight
	uses   map[string]time.Time // when the use of a mapping was noted last, by its id
}

// flight is one first use under way; those who come meanwhile wait for it.
type flight struct {
	done    chan struct{}
	mapping Mapping
	err     error
}

// firstUseTime is the most that finding and making a user may take. It does not end with the
// request that began it: others wait for the same result.
const firstUseTime = time.Minute

// Resolve gives the actor with PlatformUserID set, mapping the person on first use: exactly one
// mapping and at most one new platform user even when many requests race. Forbidden with reason
// "mapping_pending", "mapping_conflict", "mapping_unlinked", "mapping_off" or "email_unverified".
// A machine client passes unmapped.
func (s *Mappings) Resolve(ctx context.Context, a Actor, o Opened) (Actor, error) {
	in := o.Integration
	if a.HubID != in.HubID {
		return a, hubNotFound()
	}
	a.PlatformUserID = ""
	if a.Machine() {
		return a, nil
	}
	m, err := s.Store.Mappings().ByParticipant(ctx, in.ID, a.ParticipantID)
	switch {
	case CodeOf(err) == NotFound:
		m, err = s.firstUse(ctx, a, o)
	case err == nil && m.State == MappingPending && in.MappingMode == MappingOnFirstUse:
		m, err = s.firstUse(ctx, a, o) // approval is no longer asked for
	}
	if err != nil {
		return a, err
	}
	if err := usable(m); err != nil {
		return a, err
	}
	s.used(ctx, m)
	a.PlatformUserID = m.PlatformUserID
	return a, nil
}

// Use is noted for admins, at most once in this time per person.
const useEvery = time.Hour

// used notes that a mapping is used: seldom, by one of the requests that come together, and never
// for long, because a request waits for it.
func (s *Mappings) used(ctx context.Context, m Mapping) {
	now := s.Clock()
	if now.Sub(m.LastUsedAt) < useEvery {
		return
	}
	s.mu.Lock()
	noted := now.Sub(s.uses[m.ID]) < useEvery
	if !noted {
		if s.uses == nil || len(s.uses) >= 10_000 {
			s.uses = map[string]time.Time{}
		}
		s.uses[m.ID] = now
	}
	s.mu.Unlock()
	if noted {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s.Store.Mappings().SetUsed(ctx, m.ID, now, now.Add(-useEvery)) != nil {
		s.mu.Lock()
		delete(s.uses, m.ID) // the next one tries again
		s.mu.Unlock()
	}
}

// usable says why a mapping may not be used.
func usable(m Mapping) error {
	switch m.State {
	case MappingActive:
		return nil
	case MappingPending:
		return E(Forbidden, "mapping_pending", "An administrator of your hub has yet to approve your Kaltura user.").
			Next("Ask an administrator to approve you under Hub settings → Integrations → Kaltura → People.")
	case MappingConflict:
		return E(Forbidden, "mapping_conflict", "It is not certain which Kaltura user you are, and we do not guess.").
			Next("Ask an administrator to choose your Kaltura user under Hub settings → Integrations → Kaltura → People.")
	default:
		return E(Forbidden, "mapping_unlinked", "An administrator of your hub has cut the link to your Kaltura user.").
			Next("Ask an administrator to link you again.")
	}
}

func (s *Mappings) firstUse(ctx context.Context, a Actor, o Opened) (Mapping, error) {
	if o.Integration.MappingMode == MappingOff {
		return Mapping{}, E(Forbidden, "mapping_off", "Your hub does not give people Kaltura users by itself.").
			Next("Ask an administrator of your hub.")
	}
	if !a.EmailVerified || a.Email == "" {
		return Mapping{}, E(Forbidden, "email_unverified", "Your e-mail address is not verified, so we cannot tell which Kaltura user you are.").
			Next("Verify your e-mail address where you sign in, then sign in again.")
	}
	if o.Integration.MappingMode == MappingApproval {
		m := s.blank(a, o.Integration)
		m.State, m.How, m.PlatformUserID = MappingPending, MappedProvisioned, userIDFor(a.Email)
		return s.write(ctx, nil, m, "mapping.pending")
	}
	return s.once(ctx, o.Integration.ID+"/"+a.ParticipantID, func(ctx context.Context) (Mapping, error) {
		// Looked at again here: somebody may have landed just before.
		have, err := s.Store.Mappings().ByParticipant(ctx, o.Integration.ID, a.ParticipantID)
		switch {
		case CodeOf(err) == NotFound:
			return s.establish(ctx, a, o, nil)
		case err == nil && have.State == MappingPending:
			return s.establish(ctx, a, o, &have)
		}
		return have, err
	})
}

// once runs f for a key one at a time and gives all who asked meanwhile the same result.
func (s *Mappings) once(ctx context.Context, key string, f func(context.Context) (Mapping, error)) (Mapping, error) {
	s.mu.Lock()
	fl, under := s.flying[key]
	if !under {
		fl = &flight{done: make(chan struct{})}
		if s.flying == nil {
			s.flying = map[string]*flight{}
		}
		s.flying[key] = fl
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), firstUseTime)
			defer cancel()
			fl.mapping, fl.err = f(ctx)
			s.mu.Lock()
			delete(s.flying, key)
			s.mu.Unlock()
			close(fl.done)
		}()
	}
	s.mu.Unlock()
	select {
	case <-fl.done:
		return fl.mapping, fl.err
	case <-ctx.Done():
		return Mapping{}, E(Unavailable, "mapping_slow", "Finding your Kaltura user took too long.").Next("Try again.").Because(ctx.Err())
	}
}

// establish finds or makes the person's user on the platform and keeps the mapping. Another
// process may do the same at the same time: making a user is idempotent by its id, and the
// mapping's row is unique, so both end with the same.
func (s *Mappings) establish(ctx context.Context, a Actor, o Opened, have *Mapping) (Mapping, error) {
	f, err := findUser(ctx, o, a)
	if err != nil {
		return Mapping{}, err
	}
	m := s.blank(a, o.Integration)
	if have != nil {
		m = *have
	}
	m.PlatformUserID, m.How, m.State, m.Candidates, m.LinkedAt = f.userID, f.how, MappingActive, f.candidates, s.Clock()
	event := "mapping.created"
	if f.userID == "" {
		m.State, event = MappingConflict, "mapping.conflict"
	}
	return s.write(ctx, have, m, event)
}

func (s *Mappings) blank(a Actor, in Integration) Mapping {
	return Mapping{Row: Row{ID: NewID("map"), HubID: in.HubID}, IntegrationID: in.ID, ParticipantID: a.ParticipantID, LinkedAt: s.Clock(), LastUsedAt: s.Clock()}
}

// write inserts m, or updates have to m, with its event; when somebody else was first, theirs is given.
func (s *Mappings) write(ctx context.Context, have *Mapping, m Mapping, event string) (Mapping, error) {
	row := m
	err := s.Store.Tx(ctx, func(tx Tx) error {
		row = m
		event := event
		if row.State == MappingActive {
			taken, err := claimed(ctx, tx, row)
			if err != nil {
				return err
			}
			if taken {
				row.Candidates, row.PlatformUserID, row.State = []string{row.PlatformUserID}, "", MappingConflict
				event = "mapping.conflict"
			}
		}
		put := tx.Mappings().Insert
		if have != nil {
			put = tx.Mappings().Update
		}
		if err := put(ctx, &row); err != nil {
			return err
		}
		if err := audit(ctx, tx, Actor{HubID: m.HubID, ParticipantID: m.ParticipantID}, event, row.ID, mappingData(row)); err != nil {
			return err
		}
		return s.Events.Append(ctx, tx, row.HubID, row.ParticipantID, event, row.ID, mappingData(row))
	})
	if CodeOf(err) == Conflict {
		return s.Store.Mappings().ByParticipant(ctx, m.IntegrationID, m.ParticipantID)
	}
	return row, err
}

// claimed tells whether somebody else of the hub is the platform user already: two people with one
// e-mail address, of whom an administrator has to say who is who. The lock lets one of two at once see the other.
func claimed(ctx context.Context, tx Tx, m Mapping) (bool, error) {
	in, err := tx.Integrations().Lock(ctx, m.IntegrationID)
	if err != nil {
		return false, err
	}
	all, err := tx.Mappings().OfUser(ctx, in, m.PlatformUserID)
	if err != nil {
		return false, err
	}
	for _, x := range all {
		if x.HubID != m.HubID || x.ParticipantID == m.ParticipantID || x.State != MappingActive {
			continue
		}
		p, err := tx.Participants().Get(ctx, Scope(x.HubID), x.ParticipantID)
		if err == nil && p.ErasedAt == nil {
			return true, nil
		}
		if err != nil && CodeOf(err) != NotFound {
			return false, err
		}
	}
	return false, nil
}

func mappingData(m Mapping) map[string]any {
	return map[string]any{"state": m.State, "how": m.How, "platform_user_id": m.PlatformUserID, "participant_id": m.ParticipantID}
}

// Mine gives the actor's mapping without making one; NotFound when there is none yet.
func (s *Mappings) Mine(ctx context.Context, a Actor, integrationID string) (Mapping, error) {
	if a.Machine() {
		return Mapping{}, mappingNotFound()
	}
	m, err := s.Store.Mappings().ByParticipant(ctx, integrationID, a.ParticipantID)
	if CodeOf(err) == NotFound || (err == nil && m.HubID != a.HubID) {
		return Mapping{}, mappingNotFound()
	}
	return m, err
}
