package gateway

import (
	"context"
	"slices"
	"time"
)

// People suspends and reinstates the participants of a hub, gives out what is kept about them and
// erases it. Safe for concurrent use.
type People struct {
	Store   Store
	Clock   Clock
	Events  *Events
	Uploads *Uploads
	Library *Library
}

// hears tells whether a word of the identity provider is new: at least as new as the one known.
func (p Participant) hears(told time.Time) bool { return p.ToldAt == nil || !told.Before(*p.ToldAt) }

// joined takes over that the provider names the person as a member.
func (p *Participant) joined(id Identity, role Role, told time.Time) {
	p.Role, p.ToldAt = knownRole(role), &told
	if !id.NoEmail {
		p.Email, p.EmailVerified = id.Email, id.EmailVerified
	}
	if !id.NoName || p.Name == "" {
		p.Name = id.Name
	}
	if !p.Held {
		p.SuspendedAt = nil
	}
}

// same tells whether nothing changed that has to be written down: not even the time of the word, unless
// by more than tokens, whose times are in whole seconds, can tell.
func (p Participant) same(before Participant) bool {
	return before.ToldAt != nil && p.ToldAt.Sub(*before.ToldAt) < time.Second && (p.SuspendedAt == nil) == (before.SuspendedAt == nil) &&
		p.Email == before.Email && p.EmailVerified == before.EmailVerified && p.Name == before.Name && p.Role == before.Role
}

// left takes over that the person is no member any more, as the provider said at a time.
func (p *Participant) left(now, told time.Time) {
	if p.SuspendedAt == nil {
		p.SuspendedAt = &now
	}
	p.ToldAt = &told
}

// membersAdmin lets in who may administer the people of a hub.
func membersAdmin(a Actor) error { return adminOnly(a, ScopeMembersAdmin) }

// tellMember writes down that somebody's membership changed and tells the person and the hub's admins.
func tellMember(ctx context.Context, tx Tx, events *Events, by Actor, p Participant, typ string) error {
	data := map[string]any{"participant_id": p.ID, "suspended": p.SuspendedAt != nil, "held": p.Held}
	if err := audit(ctx, tx, by, typ, p.ID, data); err != nil {
		return err
	}
	if events == nil {
		return nil
	}
	return events.Append(ctx, tx, p.HubID, p.ID, typ, p.ID, data)
}

// Member gives a participant of the actor's hub to its admins. NotFound with reason "member_not_found".
func (s *People) Member(ctx context.Context, a Actor, id string) (Participant, error) {
	if err := adminOnly(a, ScopeMembersAdmin); err != nil {
		return Participant{}, err
	}
	return member(s.Store.Participants().Get(ctx, Scope(a.HubID), id))
}

// member hides who was erased.
func member(p Participant, err error) (Participant, error) {
	if CodeOf(err) == NotFound || err == nil && p.ErasedAt != nil {
		return Participant{}, memberNotFound()
	}
	return p, err
}

func memberNotFound() *Error {
	return E(NotFound, "member_not_found", "There is no such member in this hub.").Next("Look at the list of members.")
}

// BySubject gives the id of a member as the identity provider knows them. NotFound when they are none.
// An empty issuer is that of the hub.
func (s *People) BySubject(ctx context.Context, a Actor, issuer, subject string) (string, error) {
	if err := adminOnly(a, ScopeMembersAdmin); err != nil {
		return "", err
	}
	if issuer == "" {
		hub, err := s.Store.Hubs().Get(ctx, Scope(a.HubID), a.HubID)
		if err != nil {
			return "", err
		}
		issuer = hub.Issuer
	}
	people, err := s.Store.Participants().BySubject(ctx, Scope(a.HubID), issuer, subject)
	if err != nil || len(people) == 0 {
		p, err := member(Participant{}, orNotFound(err))
		return p.ID, err
	}
	return people[0].ID, nil
}

func orNotFound(err error) error {
	if err == nil {
		err = memberNotFound()
	}
	return err
}

// Suspend shuts a member out until somebody reinstates them, whatever their tokens say. Repeating it
// is harmless. Nobody suspends themself.
func (s *People) Suspend(ctx context.Context, a Actor, id string) (Participant, error) {
	return s.change(ctx, a, id, "member.suspended", func(p *Participant, now time.Time) (write, tell bool) {
		if p.Held {
			return false, false
		}
		p.Held = true
		if p.SuspendedAt == nil {
			p.SuspendedAt = &now
		}
		return true, true
	})
}

// Remove takes over that a member has left: they are suspended until a token from now on names the hub
// again, and one who was suspended before stays so. Repeating it is harmless.
func (s *People) Remove(ctx context.Context, a Actor, id string) (Participant, error) {
	return s.change(ctx, a, id, "member.left", func(p *Participant, now time.Time) (write, tell bool) {
		tell = p.SuspendedAt == nil || p.Held
		p.left(now, now)
		return true, tell
	})
}

// Reinstate lets a suspended member in again. Repeating it is harmless.
func (s *People) Reinstate(ctx context.Context, a Actor, id string) (Participant, error) {
	return s.change(ctx, a, id, "member.reinstated", func(p *Participant, now time.Time) (write, tell bool) {
		if p.SuspendedAt == nil {
			return false, false
		}
		p.SuspendedAt, p.Held, p.ToldAt = nil, false, &now
		return true, true
	})
}

func (s *People) change(ctx context.Context, a Actor, id, typ string, f func(p *Participant, now time.Time) (write, tell bool)) (Participant, error) {
	if err := adminOnly(a, ScopeMembersAdmin); err != nil {
		return Participant{}, err
	}
	if id == a.ParticipantID {
		return Participant{}, E(Conflict, "not_yourself", "You cannot change your own membership.").Next("Ask another admin of the hub, or leave it where you sign in.")
	}
	p, err := changeRow(ctx, s.Store, func(t Tables) Rows[Participant] { return t.Participants() }, Scope(a.HubID), id, func(tx Tx, p *Participant) error {
		if p.ErasedAt != nil {
			return memberNotFound()
		}
		write, tell := f(p, s.Clock())
		if !write {
			return errUnchanged
		}
		if !tell {
			return nil
		}
		return s.settle(ctx, tx, a, *p, typ)
	})
	if CodeOf(err) == NotFound {
		return Participant{}, memberNotFound()
	}
	return p, err
}

// settle does what follows from a changed membership. Tokens need nothing: who acts with one is looked
// at anew each time. Streams end when the event reaches them, writes within a second (Uploads.Write).
func (s *People) settle(ctx context.Context, tx Tx, by Actor, p Participant, typ string) error {
	if p.SuspendedAt != nil {
		if err := endSessionsIfOut(ctx, tx, p); err != nil {
			return err
		}
	}
	return tellMember(ctx, tx, s.Events, by, p, typ)
}

// endSessionsIfOut signs somebody out everywhere when no other hub is left to them. With another one
// left they stay signed in, without this hub: one hub's admin decides nothing about another hub.
func endSessionsIfOut(ctx context.Context, tx Tx, out Participant) error {
	all, err := tx.Participants().BySubject(ctx, AnyHub, out.Issuer, out.Subject)
	if err != nil || slices.ContainsFunc(all, func(p Participant) bool { return p.ID != out.ID && p.SuspendedAt == nil }) {
		return err
	}
	return tx.Sessions().End(ctx, out.Issuer, out.Subject, "")
}

// The words of an identity provider about a person.
const (
	WordLeft       = "member.left"
	WordSuspended  = "member.suspended"
	WordReinstated = "member.reinstated"
	WordSignedOut  = "member.signed_out"
)

// ProviderWord is a signed message of an identity provider.
type ProviderWord struct {
	ID        string // the same in each attempt to deliver it
	Type      string // WordLeft and so on
	At        time.Time
	Subject   string
	HubID     string // as the provider names the hub; empty: all of them
	SessionID string // of a log-out: the provider's session; empty: all of the person
}

// Told does what a verified message of an identity provider says, once. Older than what is known, or
// about somebody unknown, it changes nothing. Invalid for a type that is none of ours.
func (s *People) Told(ctx context.Context, p IdentityProvider, w ProviderWord) error {
	if w.ID == "" || w.Subject == "" && (w.Type != WordSignedOut || w.SessionID == "") {
		return E(Invalid, "word_incomplete", "The message does not say whom it is about.").Next("Send data.subject, and the header webhook-id.")
	}
	if !slices.Contains([]string{WordLeft, WordSuspended, WordReinstated, WordSignedOut}, w.Type) {
		return E(Invalid, "word_unknown", "There is no such type of message.").
			Next("Send %s, %s, %s or %s.", WordLeft, WordSuspended, WordReinstated, WordSignedOut)
	}
	return retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			if fresh, err := take(ctx, tx, p.ID, w.ID, s.Clock()); err != nil || !fresh {
				return err
			}
			if w.Type == WordSignedOut {
				return s.signedOut(ctx, tx, p, w)
			}
			people, err := s.meant(ctx, tx, p, w)
			for _, one := range people {
				if err != nil {
					break
				}
				err = s.toldOf(ctx, tx, p, w, one)
			}
			return err
		})
	})
}

func (s *People) meant(ctx context.Context, tx Tx, p IdentityProvider, w ProviderWord) ([]Participant, error) {
	scope := AnyHub
	if w.HubID != "" {
		hub, err := tx.Hubs().ByExternal(ctx, p.Issuer, w.HubID)
		if CodeOf(err) == NotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		scope = Scope(hub.ID)
	}
	return tx.Participants().BySubject(ctx, scope, p.Issuer, w.Subject)
}

func (s *People) toldOf(ctx context.Context, tx Tx, p IdentityProvider, w ProviderWord, one Participant) error {
	now := s.Clock()
	told := now
	if !w.At.IsZero() && w.At.Before(now) {
		told = w.At
	}
	before := one
	if !one.hears(told) {
		return nil
	}
	typ := WordLeft
	switch w.Type {
	case WordLeft:
		one.left(now, told)
	case WordSuspended:
		one.left(now, told)
		one.Held, typ = true, WordSuspended
	case WordReinstated:
		one.SuspendedAt, one.Held, one.ToldAt = nil, false, &told
		typ = WordReinstated
	}
	if err := tx.Participants().Update(ctx, &one); err != nil {
		return err
	}
	heldLeft := before.Held && w.Type == WordLeft
	if before.Held == one.Held && (before.SuspendedAt == nil) == (one.SuspendedAt == nil) && !heldLeft {
		return nil
	}
	return s.settle(ctx, tx, Actor{HubID: one.HubID, ClientID: p.ID}, one, typ)
}

// signedOut ends browser sessions that the provider ended.
func (s *People) signedOut(ctx context.Context, tx Tx, p IdentityProvider, w ProviderWord) error {
	subjects := []string{w.Subject}
	if w.Subject == "" {
		var err error
		if subjects, err = tx.Sessions().Subjects(ctx, p.Issuer, w.SessionID); err != nil {
			return err
		}
	}
	for _, subject := range subjects {
		if err := tx.Sessions().End(ctx, p.Issuer, subject, w.SessionID); err != nil {
			return err
		}
		people, err := tx.Participants().BySubject(ctx, AnyHub, p.Issuer, subject)
		if err != nil {
			return err
		}
		for _, one := range people { // open streams hear it and look whether they may go on
			if err := tellMember(ctx, tx, s.Events, Actor{HubID: one.HubID, ClientID: p.ID}, one, WordSignedOut); err != nil {
				return err
			}
		}
	}
	return nil
}
