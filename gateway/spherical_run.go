package gateway

import (
	"context"
	"slices"
)

// CandidateFilter says which candidates are meant. Zero fields do not limit.
type CandidateFilter struct {
	OwnerID    string // platform user
	CategoryID int64
	JobID      string // the run that handled them last
	States     []CandidateState
}

// see passes the gates of admins and gives what the actor may see of the candidates: the search saw
// the whole account, an admin may not. nobody: there is nothing that they could see.
func (s *Spherical) see(ctx context.Context, a Actor) (v view, f CandidateFilter, nobody bool, _ error) {
	if _, err := s.admin(ctx, a); err != nil {
		return v, f, false, err
	}
	v, err := s.Catalog.enter(ctx, a, false)
	if err != nil {
		return v, f, false, err
	}
	f.CategoryID = v.Integration.CategoryID
	if v.Integration.Visibility != VisibilityShared {
		f.OwnerID = v.actor.PlatformUserID
		nobody = f.OwnerID == ""
	}
	return v, f, nobody, nil
}

func (v view) maySee(c SphericalCandidate) bool {
	return c.IntegrationID == v.Integration.ID && Decide(v.actor, v.Integration, Media{ID: c.EntryID, OwnerID: c.OwnerID, CategoryID: c.CategoryID}).Allowed
}

// Candidates lists what was found, newest first, of all runs or of one. Admins only, and of that
// what they may see.
func (s *Spherical) Candidates(ctx context.Context, a Actor, states []CandidateState, jobID string, w Slice) ([]SphericalCandidate, error) {
	v, f, nobody, err := s.see(ctx, a)
	if err != nil || nobody {
		return nil, err
	}
	f.States, f.JobID = states, jobID
	rows, err := s.ins().Store.Spherical().List(ctx, v.Integration.ID, f, w)
	if err != nil {
		return nil, err
	}
	for _, c := range rows {
		if !v.maySee(c) { // the query asked for no such row
			return nil, E(Internal, "", "An entry was found that you may not see.")
		}
	}
	return rows, nil
}

// Dismiss says that entries are flat, so that they are not offered again, or takes that back. It
// gives the ids of those that changed. Harmless when repeated.
func (s *Spherical) Dismiss(ctx context.Context, a Actor, ids []string, flat bool) (moved []string, err error) {
	v, _, _, err := s.see(ctx, a)
	if err != nil {
		return nil, err
	}
	from, to := CandidateOffered, CandidateDismissed
	if !flat {
		from, to = to, from
	}
	err = s.ins().Store.Tx(ctx, func(tx Tx) (err error) {
		if moved, err = s.move(ctx, tx, v, ids, "", from, to); err != nil || len(moved) == 0 {
			return err
		}
		return audit(ctx, tx, a, "spherical.dismiss", v.Integration.ID, map[string]any{"entries": len(moved), "flat": flat})
	})
	return moved, err
}

// Mark tags entries in Kaltura with the caller's own right, as one job that can be watched and
// cancelled; Undo takes back the tags that we set, of single entries or of a whole job. Both are
// admins' doings and give the ids of what the job will handle: those that do not wait for that, or
// are not the caller's to see, are left out. Conflict with reason "nothing_to_do" when none remains.
func (s *Spherical) Mark(ctx context.Context, a Actor, ids []string) (Job, []string, error) {
	return s.begin(ctx, a, ids, "", JobMark360, CandidateOffered, CandidateMarking)
}

// Undo is described at Mark.
func (s *Spherical) Undo(ctx context.Context, a Actor, ids []string, jobID string) (Job, []string, error) {
	return s.begin(ctx, a, ids, jobID, JobUnmark360, CandidateMarked, CandidateUndoing)
}

func (s *Spherical) begin(ctx context.Context, a Actor, ids []string, of, kind string, from, to CandidateState) (job Job, moved []string, err error) {
	v, f, nobody, err := s.see(ctx, a)
	if err != nil {
		return Job{}, nil, err
	}
	if a.Machine() {
		return Job{}, nil, E(Forbidden, "needs_person", "Tags are set with a person's own right in Kaltura, and this client acts for nobody.").
			Next("Act for a person: exchange that person's token for one of yours (token exchange).")
	}
	if of != "" && !nobody {
		f.JobID, f.States = of, []CandidateState{from}
		rows, err := s.ins().Store.Spherical().List(ctx, v.Integration.ID, f, Slice{Limit: 500})
		if err != nil {
			return Job{}, nil, err
		}
		for _, c := range rows {
			ids = append(ids, c.ID)
		}
	}
	err = s.ins().Store.Tx(ctx, func(tx Tx) error {
		job = Job{Row: Row{ID: NewID("job"), HubID: a.HubID}, ParticipantID: a.ParticipantID, Kind: kind, Subject: v.Integration.ID, State: JobQueued}
		var err error
		if moved, err = s.move(ctx, tx, v, ids, job.ID, from, to); err != nil {
			return err
		}
		if len(moved) == 0 {
			return E(Conflict, "nothing_to_do", "None of these entries waits for that.").Next("Load the list again.")
		}
		if err = tx.Jobs().Insert(ctx, &job); err != nil {
			return err
		}
		if err = audit(ctx, tx, a, "spherical."+kind, v.Integration.ID, map[string]any{"entries": len(moved), "job": job.ID}); err != nil {
			return err
		}
		return tx.Enqueue(ctx, MarkSpherical{job.ID})
	})
	return job, moved, err
}

// move changes the state of those of the candidates that are in a state, and tells which.
func (s *Spherical) move(ctx context.Context, tx Tx, v view, ids []string, jobID string, from, to CandidateState) (moved []string, _ error) {
	for _, id := range ids {
		c, err := tx.Spherical().Get(ctx, Scope(v.Integration.HubID), id)
		if CodeOf(err) == NotFound || err == nil && (c.State != from || !v.maySee(c)) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c.State, c.JobID, c.ErrorCode, c.ErrorText, c.NextStep = to, jobID, "", "", ""
		if err = tx.Spherical().Update(ctx, &c); err != nil {
			return nil, err
		}
		moved = append(moved, id)
	}
	return moved, nil
}

// RunMark does what a job was begun for (task MarkSpherical). A refusal by Kaltura is written to the
// entry it is about; the others go on. While Kaltura does not answer, or refuses the App Token, the job waits.
func (s *Spherical) RunMark(ctx context.Context, jobID string) error {
	store := s.ins().Store
	job, err := store.Jobs().Get(ctx, AnyHub, jobID)
	if CodeOf(err) == NotFound || err == nil && job.over() && job.State != JobCancelled {
		return nil
	}
	if err != nil {
		return err
	}
	leave, err := s.ins().Lanes.enter(QueuePlatform, job.HubID)
	if err != nil {
		return err
	}
	defer leave()
	a, err := actorOf(ctx, store, job.HubID, job.ParticipantID, "")
	if err != nil {
		return err
	}
	rows, err := store.Spherical().List(ctx, job.Subject, CandidateFilter{JobID: jobID}, Slice{Limit: 500})
	if err != nil {
		return err
	}
	if job, err = s.step(ctx, jobID, func(j *Job) { j.State, j.NextTryAt = JobRunning, nil }); err != nil {
		return err
	}
	done := 0
	for _, c := range rows {
		if job.State == JobCancelled {
			return s.release(ctx, jobID, nil)
		}
		if !c.State.busy() { // by an earlier try
			done++
			continue
		}
		ours, err := s.tag(ctx, a, c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if passes(err) {
			return s.wait(ctx, jobID, AsError(err))
		}
		if CodeOf(err) == Internal {
			return err
		}
		if err = s.settle(ctx, c, ours, err); err != nil {
			return err
		}
		done++
		if job, err = s.step(ctx, jobID, func(j *Job) { j.Progress = float64(done) / float64(len(rows)) }); err != nil {
			return err
		}
	}
	return s.finish(ctx, jobID)
}

// wait has a run go on later with all that is left; RunResume brings it forward.
func (s *Spherical) wait(ctx context.Context, jobID string, cause *Error) error {
	pause := max(cause.Retry, markRetry)
	if cause.Reason == "credentials_invalid" {
		pause = outageRetry // only an admin helps
	}
	at := s.ins().Clock().Add(pause)
	if _, err := s.step(ctx, jobID, func(j *Job) { j.State, j.NextTryAt = JobWaiting, &at }); err != nil {
		return err
	}
	return &Snooze{pause}
}

// step changes a job that is not over, tells its owner how far it is and gives it as it is now.
func (s *Spherical) step(ctx context.Context, jobID string, f func(*Job)) (Job, error) {
	j, err := changeRow(ctx, s.ins().Store, func(t Tables) Rows[Job] { return t.Jobs() }, AnyHub, jobID, func(_ Tx, j *Job) error {
		if j.over() {
			return errUnchanged
		}
		f(j)
		return nil
	})
	if err == nil && !j.over() {
		s.ins().Events.Progress(j.HubID, audienceOf(j.ParticipantID, ""), "job.progress", j.ID, JobNews{j.ID, j.Kind, j.Subject, j.State, j.Progress})
	}
	return j, err
}

func (s *Spherical) finish(ctx context.Context, jobID string) error {
	_, err := changeRow(ctx, s.ins().Store, func(t Tables) Rows[Job] { return t.Jobs() }, AnyHub, jobID, func(tx Tx, j *Job) error {
		if j.over() {
			return errUnchanged
		}
		rows, err := tx.Spherical().List(ctx, j.Subject, CandidateFilter{JobID: jobID}, Slice{Limit: 500})
		if err != nil {
			return err
		}
		j.State, j.Progress = JobDone, 1
		if slices.ContainsFunc(rows, func(c SphericalCandidate) bool { return c.ErrorCode != "" }) {
			j.ErrorCode, j.ErrorText = "refused", "Some of the entries were refused; each says why."
		}
		return s.ins().Events.Append(ctx, tx, j.HubID, audienceOf(j.ParticipantID, ""), "job.done", j.ID, JobNews{j.ID, j.Kind, j.Subject, j.State, 1})
	})
	return err
}

// GiveUp ends a run that failed too often: what it did not get to waits for a person again.
func (s *Spherical) GiveUp(ctx context.Context, jobID string, cause error) error {
	e := AsError(cause)
	_, err := changeRow(ctx, s.ins().Store, func(t Tables) Rows[Job] { return t.Jobs() }, AnyHub, jobID, func(tx Tx, j *Job) error {
		if j.over() {
			return errUnchanged
		}
		j.State, j.ErrorCode, j.ErrorText = JobFailed, reasonOf(e), e.Message
		return s.ins().Events.Append(ctx, tx, j.HubID, audienceOf(j.ParticipantID, ""), "job.failed", j.ID, JobNews{j.ID, j.Kind, j.Subject, j.State, j.Progress})
	})
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return s.release(ctx, jobID, e)
}

// release gives back the entries that a run did not get to.
func (s *Spherical) release(ctx context.Context, jobID string, cause *Error) error {
	return s.ins().Store.Tx(ctx, func(tx Tx) error {
		job, err := tx.Jobs().Get(ctx, AnyHub, jobID)
		if err != nil {
			return err
		}
		rows, err := tx.Spherical().List(ctx, job.Subject, CandidateFilter{JobID: jobID, States: []CandidateState{CandidateMarking, CandidateUndoing}}, Slice{Limit: 500})
		if err != nil {
			return err
		}
		for _, c := range rows {
			c.State = c.State.before()
			if cause != nil {
				c.ErrorCode, c.ErrorText, c.NextStep = reasonOf(cause), cause.Message, cause.NextStep
			}
			if err = tx.Spherical().Update(ctx, &c); err != nil {
				return err
			}
		}
		return nil
	})
}

// tag changes the tag of one entry with the person's own right and tells whether it is now there
// because of us.
func (s *Spherical) tag(ctx context.Context, a Actor, c SphericalCandidate) (ours bool, _ error) {
	in, err := s.ins().saved(ctx, a.HubID)
	if err == nil {
		err = in.paused()
	}
	if err != nil {
		return c.Tagged, err
	}
	v, err := s.Catalog.enter(ctx, a, true)
	if err != nil {
		return c.Tagged, err
	}
	tagger, ok := v.Platform.(Tagger)
	if !ok {
		return c.Tagged, notOffered()
	}
	if v.Integration.ID != c.IntegrationID {
		return c.Tagged, E(Conflict, "integration_changed", "The hub is connected to another account now.").Next("Let it be searched again.")
	}
	m, _, err := s.Catalog.get(ctx, v, c.EntryID)
	if err != nil {
		return c.Tagged, err
	}
	v.actor.OwnRight = true
	switch {
	case c.State == CandidateMarking && !m.Is360():
		// Noted before it is done: after a stop in between the tag would look like somebody else's.
		if err = s.note360(ctx, c.ID); err == nil {
			_, err = tagger.AddTag(ctx, v.actor, c.EntryID, Tag360)
			s.ins().Heard(ctx, v.Integration, err)
		}
		return err == nil, err
	case c.State == CandidateUndoing && c.Tagged:
		_, err = tagger.RemoveTag(ctx, v.actor, c.EntryID, Tag360)
		s.ins().Heard(ctx, v.Integration, err)
		return err != nil, err
	}
	return c.Tagged, nil
}

func (s *Spherical) note360(ctx context.Context, id string) error {
	_, err := changeRow(ctx, s.ins().Store, func(t Tables) Rows[SphericalCandidate] { return t.Spherical() }, AnyHub, id, func(_ Tx, c *SphericalCandidate) error {
		c.Tagged = true
		return nil
	})
	return err
}

func (s *Spherical) settle(ctx context.Context, c SphericalCandidate, ours bool, outcome error) error {
	_, err := changeRow(ctx, s.ins().Store, func(t Tables) Rows[SphericalCandidate] { return t.Spherical() }, AnyHub, c.ID, func(_ Tx, now *SphericalCandidate) error {
		if !now.State.busy() || now.JobID != c.JobID {
			return errUnchanged // the run was cancelled meanwhile
		}
		now.Tagged = ours
		if outcome == nil {
			now.State = now.State.after()
			return nil
		}
		e := AsError(outcome)
		now.State = now.State.before()
		now.ErrorCode, now.ErrorText, now.NextStep = reasonOf(e), e.Message, e.NextStep
		return nil
	})
	if CodeOf(err) == NotFound { // disconnected meanwhile
		return nil
	}
	return err
}
