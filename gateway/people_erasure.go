package gateway

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Erasure is the forgetting of one participant. Nothing in it tells who they were: their row is
// emptied when it is asked for and goes when the work is done.
type Erasure struct {
	Row
	ParticipantID string           `bun:"participant_id"`
	RequestedBy   string           `bun:"requested_by"` // Actor.Subject()
	Done          map[string]int64 `bun:"done"`         // rows deleted, by kind; stored as JSON
	FinishedAt    *time.Time       `bun:"finished_at"`
}

// ErasureFate is what becomes of a kind of data.
type ErasureFate string

// The fates.
const (
	FateDeleted       ErasureFate = "deleted"
	FateKept          ErasureFate = "kept"          // not personal, or not ours
	FatePseudonymised ErasureFate = "pseudonymised" // kept under an id that leads to nobody
)

// ErasureLine tells, before it is done, what becomes of one kind of data.
type ErasureLine struct {
	Kind  string
	Fate  ErasureFate
	Count int64 // -1: not counted
	Text  string
}

// erasurePatience is how long an upload that Kaltura is still converting is waited for.
const erasurePatience = 24 * time.Hour

// ErasureOf shows an admin what erasing a member of the hub would do.
func (s *People) ErasureOf(ctx context.Context, a Actor, id string) (Participant, []ErasureLine, error) {
	p, err := s.Member(ctx, a, id)
	if err != nil {
		return p, nil, err
	}
	lines, err := s.lines(ctx, []Participant{p})
	return p, lines, err
}

// OwnErasure shows a person what erasing their data in all their hubs would do.
func (s *People) OwnErasure(ctx context.Context, ses Session) ([]ErasureLine, error) {
	all, err := s.Store.Participants().BySubject(ctx, AnyHub, ses.Issuer, ses.Subject)
	if err != nil {
		return nil, err
	}
	lines, err := s.lines(ctx, all)
	if err != nil {
		return nil, err
	}
	if _, err = s.Store.Operators().ByPerson(ctx, ses.Issuer, ses.Subject); err == nil {
		lines = append(lines, ErasureLine{"operator", FateDeleted, 1, "That you are an operator of this installation. Its own log still tells what you did as one, and who was named."})
	}
	return lines, ignoreNotFound(err)
}

func (s *People) lines(ctx context.Context, people []Participant) ([]ErasureLine, error) {
	n := map[string]int64{}
	for _, p := range people {
		one, err := s.Store.Erasures().Count(ctx, p.HubID, p.ID)
		if err != nil {
			return nil, err
		}
		for kind, count := range one {
			n[kind] += count
		}
	}
	return []ErasureLine{
		{"profile", FateDeleted, int64(len(people)), "Name, e-mail address, role, and the id at the identity provider."},
		{"mappings", FateDeleted, n["mappings"] + n["mapping_runs"], "The link to the Kaltura user, and the history of merging that user with another. That user itself belongs to the hub's Kaltura account and stays there."},
		{"grants", FateDeleted, n["grants"], "What apps were allowed; their tokens end at once."},
		{"uploads", FateDeleted, n["uploads"], "The history of uploads. One that is not complete is cancelled; one that is on its way into Kaltura gets there first."},
		{"transfers", FateDeleted, n["transfers"], "The history of batches that were sent together, with the names of the devices they came from."},
		{"library_private", FateDeleted, n["library_private"], "Items of the library that were not shared, with our copies of their files."},
		{"jobs", FateDeleted, n["jobs"], "The history of imports and other long work."},
		{"events", FateDeleted, n["events"], "Notices of what happened."},
		{"library_shared", FatePseudonymised, n["library_shared"], "Items shared with the hub stay for the others, without saying who imported them: the hub works with them."},
		{"drop_folders", FatePseudonymised, n["drop_folders"], "Drop folders that the person made stay for the hub, without saying who made them; they stop until a content admin takes them over."},
		{"audit", FatePseudonymised, n["audit"], "The audit log cannot be changed, which is its purpose: it proves who did what to the hub. It names people by an id that leads to nobody afterwards; lines about the link to Kaltura name the Kaltura user."},
		{"deliveries", FateKept, -1, "Webhooks that were sent already: our log of them is forgotten after 7 days, their receivers keep what they were sent."},
		{"entries", FateKept, -1, "Media in Kaltura, uploaded files included: they belong to the hub's Kaltura account. Delete them there, or ask the hub's admins."},
		{"identity_provider", FateKept, -1, "The account at the identity provider. Signing in again begins anew, with nothing of what was erased. For a day we keep a fingerprint of the id there, so that tokens from before do not bring you back."},
	}, nil
}

// Erase begins to forget a member, for an admin of the hub. typed is the member's e-mail address (or
// name, when there is none) as the admin typed it. Asking again for the same gives the same.
func (s *People) Erase(ctx context.Context, a Actor, id, typed string) (Erasure, error) {
	p, err := s.Member(ctx, a, id)
	if err != nil {
		return Erasure{}, err
	}
	if p.ID == a.ParticipantID {
		return Erasure{}, E(Conflict, "not_yourself", "Your own data are erased under Account.").Next("Open Account → Your data.")
	}
	if err := confirmed(typed, p.Email, p.Name); err != nil {
		return Erasure{}, err
	}
	var e Erasure
	err = retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			var err error
			e, err = s.begin(ctx, tx, a, p.ID)
			return err
		})
	})
	return e, err
}

// EraseOwn begins to forget a person in all their hubs, and as an operator, and signs them out. Conflict
// with reason "member_held" while a hub has suspended them: erasing would lift that; with reason
// "last_operator" for the only operator.
func (s *People) EraseOwn(ctx context.Context, ses Session, typed string) ([]Erasure, error) {
	if err := confirmed(typed, ses.Email, ses.Name); err != nil {
		return nil, err
	}
	var out []Erasure
	err := retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			out = nil
			all, err := tx.Participants().BySubject(ctx, AnyHub, ses.Issuer, ses.Subject)
			if err != nil {
				return err
			}
			for _, p := range all {
				if p.Held {
					return E(Conflict, "member_held", "A hub has suspended you; erasing your data would lift that.").
						Next("Ask an admin of that hub to erase your data there.")
				}
			}
			for _, p := range all {
				e, err := s.begin(ctx, tx, p.actor(), p.ID)
				if err != nil {
					return err
				}
				out = append(out, e)
			}
			op, err := tx.Operators().ByPerson(ctx, ses.Issuer, ses.Subject)
			if err == nil {
				err = removeOperator(ctx, tx, op.Actor(), op, map[string]any{"why": "erased their own data"})
			}
			if ignoreNotFound(err) != nil {
				return err
			}
			return tx.Sessions().End(ctx, ses.Issuer, ses.Subject, "")
		})
	})
	return out, err
}

func confirmed(typed, email, name string) error {
	want := email
	if want == "" {
		want = name
	}
	if want == "" || !strings.EqualFold(strings.TrimSpace(typed), want) {
		return E(Invalid, "not_confirmed", "What was typed is not "+want+".").At("/confirm").
			Next("Type it exactly: this cannot be taken back.")
	}
	return nil
}

// begin empties the participant's row, so that nobody is known by it from now on, and queues the rest.
func (s *People) begin(ctx context.Context, tx Tx, by Actor, id string) (Erasure, error) {
	p, err := member(tx.Participants().Get(ctx, Scope(by.HubID), id))
	if err != nil {
		return Erasure{}, err
	}
	now := s.Clock()
	out := p
	out.SuspendedAt = &now
	if err := endSessionsIfOut(ctx, tx, out); err != nil {
		return Erasure{}, err
	}
	if err := bury(ctx, tx, p, now); err != nil {
		return Erasure{}, err
	}
	p.Issuer, p.Subject, p.Email, p.EmailVerified, p.Name, p.Role = "", "erased "+p.ID, "", false, "", RoleParticipant
	p.SuspendedAt, p.Held, p.ErasedAt = &now, true, &now
	if err := tx.Participants().Update(ctx, &p); err != nil {
		return Erasure{}, err
	}
	e := Erasure{Row: Row{ID: NewID("era"), HubID: p.HubID}, ParticipantID: p.ID, RequestedBy: by.Subject()}
	if err := tx.Erasures().Insert(ctx, &e); err != nil {
		return Erasure{}, err
	}
	if err := tellMember(ctx, tx, s.Events, by, p, "member.erasing"); err != nil {
		return Erasure{}, err
	}
	return e, tx.Enqueue(ctx, ErasePerson{ErasureID: e.ID})
}

// graveLife is longer than a token from before an erasure can be exchanged.
const graveLife = maxTokenAge*time.Second + time.Minute

// grave is the id of the row that remembers an erasure, which tells nobody who it was.
func grave(p Participant) string {
	return hashToken("erased\n" + p.HubID + "\n" + p.Issuer + "\n" + p.Subject)
}

// bury remembers that somebody was erased, for as long as there are tokens from before.
func bury(ctx context.Context, tx Tx, p Participant, now time.Time) error {
	row := SpentToken{Row: Row{ID: grave(p), HubID: p.HubID}, ExpiresAt: now.Add(graveLife)}
	first, err := tx.SpentTokens().Take(ctx, &row)
	if err != nil || first {
		return err
	}
	if row, err = tx.SpentTokens().Get(ctx, AnyHub, row.ID); err != nil {
		return err
	}
	row.ExpiresAt = now.Add(graveLife) // erased once more
	return tx.SpentTokens().Update(ctx, &row)
}

// buried tells whether somebody who would join was erased since the provider's word. Times in tokens are
// in whole seconds.
func buried(ctx context.Context, tx Tx, p Participant, told time.Time) (bool, error) {
	row, err := tx.SpentTokens().Get(ctx, AnyHub, grave(p))
	if err != nil {
		return false, ignoreNotFound(err)
	}
	return told.Before(row.ExpiresAt.Add(-graveLife).Truncate(time.Second)), nil
}

// Erasing tells an admin how far an erasure is. NotFound with reason "erasure_not_found".
func (s *People) Erasing(ctx context.Context, a Actor, id string) (Erasure, error) {
	if err := adminOnly(a, ScopeMembersAdmin); err != nil {
		return Erasure{}, err
	}
	e, err := s.Store.Erasures().Get(ctx, Scope(a.HubID), id)
	if CodeOf(err) == NotFound {
		err = E(NotFound, "erasure_not_found", "There is no such erasure.").Next("Check the id.")
	}
	return e, err
}

// RunErasure does the work of an erasure (task ErasePerson). Each step may be repeated: a process that
// was killed midway leaves the rest to the next run.
func (s *People) RunErasure(ctx context.Context, id string) error {
	e, err := s.Store.Erasures().Get(ctx, AnyHub, id)
	if CodeOf(err) == NotFound || err == nil && e.FinishedAt != nil {
		return nil
	}
	if err != nil {
		return err
	}
	a := Actor{HubID: e.HubID, ParticipantID: e.ParticipantID, Role: RoleParticipant}
	if err := s.eraseUploads(ctx, a, e); err != nil {
		return err
	}
	if err := s.eraseItems(ctx, a); err != nil {
		return err
	}
	return s.Store.Tx(ctx, func(tx Tx) error {
		e, err := tx.Erasures().Get(ctx, AnyHub, id)
		if err != nil || e.FinishedAt != nil {
			return err
		}
		if e.Done, err = tx.Erasures().Forget(ctx, e.HubID, e.ParticipantID); err != nil {
			return err
		}
		now := s.Clock()
		e.FinishedAt = &now
		if err := tx.Erasures().Update(ctx, &e); err != nil {
			return err
		}
		// Last: what hangs on the row goes with it. Written down in nobody's name.
		if err := tx.Participants().Delete(ctx, Scope(e.HubID), e.ParticipantID); err != nil {
			return err
		}
		if err := audit(ctx, tx, SystemActor(e.HubID), "member.erased", e.ParticipantID, map[string]any{"erasure_id": e.ID, "done": e.Done}); err != nil {
			return err
		}
		return s.Events.Append(ctx, tx, e.HubID, AudienceAdmins, "member.erased", e.ParticipantID, map[string]any{"participant_id": e.ParticipantID})
	})
}

// eraseUploads cancels what is not in Kaltura yet and waits for what is just being converted there.
func (s *People) eraseUploads(ctx context.Context, a Actor, e Erasure) error {
	open := []UploadState{UploadReceiving, UploadHeld, UploadIngesting, UploadProcessing, UploadFailed}
	waiting := false
	for w := (Slice{Limit: 500}); ; {
		page, err := s.Store.Uploads().List(ctx, Scope(a.HubID), a.ParticipantID, "", open, w)
		if err != nil {
			return err
		}
		for _, u := range page {
			w.After = u.ID
			if _, err := s.Uploads.Cancel(ctx, a, u.ID); IsReason(err, "already_sent") {
				waiting = waiting || u.State != UploadFailed
			} else if err != nil && CodeOf(err) != NotFound && CodeOf(err) != Conflict {
				return err
			}
		}
		if len(page) < w.Limit {
			break
		}
	}
	if waiting && s.Clock().Sub(e.CreatedAt) < erasurePatience {
		return &Snooze{After: 15 * time.Second}
	}
	return nil
}

// eraseItems removes what was not shared, with our copies of the files.
func (s *People) eraseItems(ctx context.Context, a Actor) error {
	var errs []error
	for w := (Slice{Limit: 500}); ; {
		page, err := s.Store.Library().List(ctx, a, "", nil, w)
		if err != nil {
			return err
		}
		for _, it := range page {
			w.After = it.ID
			if it.ParticipantID == a.ParticipantID && !it.Shared {
				if err := s.Library.Remove(ctx, a, it.ID); err != nil && CodeOf(err) != NotFound {
					errs = append(errs, err)
				}
			}
		}
		if len(page) < w.Limit {
			return errors.Join(errs...)
		}
	}
}

// Sweep queues erasures whose task was lost (task Sweep).
func (s *People) Sweep(ctx context.Context) error {
	return reconcile(ctx, s.Store, func(w Slice) ([]Erasure, error) { return s.Store.Erasures().Unfinished(ctx, w) },
		func(e Erasure) (string, Task) { return e.ID, ErasePerson{ErasureID: e.ID} })
}
