package gateway

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Mappings ties participants to platform users.
type Mappings struct {
	Store        Store
	Clock        Clock
	Integrations *Integrations
	Events       *Events

	mu     sync.Mutex
	flying map[string]*flight
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
	if now := s.Clock(); now.Sub(m.LastUsedAt) >= time.Hour {
		m.LastUsedAt = now
		_ = s.Store.Mappings().Update(ctx, &m) // a hint for admins; whoever was first wrote the same
	}
	a.PlatformUserID = m.PlatformUserID
	return a, nil
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
	m.PlatformUserID, m.How, m.State, m.Candidates, m.LastUsedAt = f.userID, f.how, MappingActive, f.candidates, s.Clock()
	event := "mapping.created"
	if f.userID == "" {
		m.State, event = MappingConflict, "mapping.conflict"
	}
	return s.write(ctx, have, m, event)
}

func (s *Mappings) blank(a Actor, in Integration) Mapping {
	return Mapping{Row: Row{ID: NewID("map"), HubID: in.HubID}, IntegrationID: in.ID, ParticipantID: a.ParticipantID, LastUsedAt: s.Clock()}
}

// write inserts m, or updates have to m, with its event; when somebody else was first, theirs is given.
func (s *Mappings) write(ctx context.Context, have *Mapping, m Mapping, event string) (Mapping, error) {
	row := m
	err := s.Store.Tx(ctx, func(tx Tx) error {
		row = m
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

// List shows an admin the hub's mappings, newest first; when state is empty, conflicts before all others.
func (s *Mappings) List(ctx context.Context, a Actor, state MappingState, w Slice) ([]Mapping, error) {
	if err := adminOnly(a, ScopeMappingsAdmin); err != nil {
		return nil, err
	}
	scope, table := Scope(a.HubID), s.Store.Mappings()
	if state != "" {
		return table.List(ctx, scope, state, w)
	}
	if w.Limit <= 0 || w.Limit > 500 {
		w.Limit = 100
	}
	inConflicts := w.After == ""
	if !inConflicts {
		last, err := table.Get(ctx, scope, w.After)
		if err != nil && CodeOf(err) != NotFound {
			return nil, err
		}
		inConflicts = err == nil && last.State == MappingConflict
	}
	out := []Mapping{}
	if inConflicts {
		page, err := table.List(ctx, scope, MappingConflict, w)
		if err != nil || len(page) == w.Limit {
			return page, err
		}
		out, w.After = append(out, page...), ""
	}
	for {
		page, err := table.List(ctx, scope, "", w)
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			if m.State != MappingConflict {
				if out = append(out, m); len(out) == w.Limit {
					return out, nil
				}
			}
		}
		if len(page) < w.Limit {
			return out, nil
		}
		w.After = page[len(page)-1].ID
	}
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
	m.PlatformUserID, m.How, m.State, m.Candidates = platformUserID, MappedManual, MappingActive, nil
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

// found is who somebody is on a platform; an empty userID means that it is not certain.
type found struct {
	userID     string
	how        MappingHow
	candidates []string
}

// findUser finds or makes the platform user of a person with a verified e-mail.
func findUser(ctx context.Context, o Opened, a Actor) (found, error) {
	email := strings.TrimSpace(a.Email)
	prov, can := o.Platform.(Provisioner)
	if o.Integration.MatchBy == MatchUserID {
		return findByID(ctx, prov, email)
	}
	if !can {
		return found{}, E(Internal, "no_provisioner", "This platform cannot look up users.").Next("Ask an administrator to match people by user id.")
	}
	users, err := prov.FindUsers(ctx, email)
	if err != nil {
		return found{}, err
	}
	switch len(users) {
	case 0:
		return makeUser(ctx, prov, email, a.Name)
	case 1:
		return found{userID: users[0].ID, how: MappedMatched}, nil
	}
	f := found{how: MappedMatched}
	for _, u := range users {
		f.candidates = append(f.candidates, u.ID)
	}
	slices.Sort(f.candidates)
	return f, nil
}

// findByID takes the e-mail as the user id. Whether it exists can only be asked with a token that
// may look up users; else the platform makes the user with their first upload.
func findByID(ctx context.Context, prov Provisioner, email string) (found, error) {
	if prov != nil {
		users, err := prov.FindUsers(ctx, email)
		if c := CodeOf(err); c == Unavailable || c == RateLimited {
			return found{}, err
		}
		for _, u := range users {
			if strings.EqualFold(u.ID, email) {
				return found{userID: u.ID, how: MappedMatched}, nil
			}
		}
	}
	if !validUserID(email) {
		return found{how: MappedMatched}, nil // an administrator links them
	}
	return found{userID: strings.ToLower(email), how: MappedProvisioned}, nil
}

// makeUser makes a user. One with the same id may exist although the search by e-mail did not give
// it: without an e-mail, not indexed yet, blocked, or somebody else's.
func makeUser(ctx context.Context, prov Provisioner, email, name string) (found, error) {
	first, last := splitName(name, email)
	u, created, err := prov.CreateUser(ctx, PlatformUser{ID: userIDFor(email), Email: email, FirstName: first, LastName: last, Active: true})
	switch {
	case err != nil:
		return found{}, err
	case created:
		return found{userID: u.ID, how: MappedProvisioned}, nil
	case !u.Active, u.Email != "" && !strings.EqualFold(u.Email, email):
		return found{how: MappedMatched, candidates: []string{u.ID}}, nil
	default:
		return found{userID: u.ID, how: MappedMatched}, nil
	}
}
