package gateway

import (
	"context"
	"time"
)

// MappingRunKind says what a run does.
type MappingRunKind string

// The kinds of runs.
const (
	RunDryRun MappingRunKind = "dry_run" // what a change of the rules would do, person by person
	RunMerge  MappingRunKind = "merge"   // gives the entries of one platform user to another
)

// MappingRun is long work on mappings. It belongs to one job at a time: undoing a merge, or going on
// with one that was cancelled, is another job of the same run.
type MappingRun struct {
	Row
	IntegrationID string         `bun:"integration_id"`
	JobID         string         `bun:"job_id"`
	Kind          MappingRunKind `bun:"kind"`
	State         JobState       `bun:"state"` // of the job
	Rule          MappingRule    `bun:"rule"`  // of a dry run; stored as JSON
	MappingID     string         `bun:"mapping_id"`
	FromUser      string         `bun:"from_user"`
	ToUser        string         `bun:"to_user"`
	Undoing       bool           `bun:"undoing"`
	Listing       string         `bun:"listing"` // where listing goes on; listed = all were
	Total         int            `bun:"total"`
	Done          int            `bun:"done"`
	Counts        map[string]int `bun:"counts"` // of items by outcome, as of the end; stored as JSON
}

// MappingRunItem is a person of a dry run or an entry of a merge.
type MappingRunItem struct {
	Row
	RunID   string `bun:"run_id"`
	Subject string `bun:"subject"` // participant or entry
	Outcome string `bun:"outcome"`
	UserID  string `bun:"user_id"` // platform user that a dry run found
	Detail  string `bun:"detail"`  // one sentence, for people
}

// Outcomes of a dry run.
const (
	OutcomeUnchanged   = "unchanged"
	OutcomeMatched     = "matched"
	OutcomeProvisioned = "provisioned"
	OutcomeConflict    = "conflict"
	OutcomePending     = "pending"    // waits for an admin
	OutcomeUnverified  = "unverified" // the e-mail is not verified
	OutcomeNone        = "none"       // gets no user by itself
)

// Outcomes of a merge.
const (
	OutcomeTodo   = "todo"
	OutcomeMoved  = "moved"
	OutcomeKept   = "kept" // has another owner by now, or is gone
	OutcomeFailed = "failed"
	OutcomeUndone = "undone"
)

// listed is MappingRun.Listing once everything was.
const listed = "."

// The kinds of jobs that runs have.
const (
	JobMappingDryRun = "mapping_dry_run"
	JobMappingMerge  = "mapping_merge"
	JobMappingUndo   = "mapping_undo"
)

func runNotFound() *Error {
	return E(NotFound, "mapping_run_not_found", "There is no such run.").Next("Load the list again.")
}

// Runs lists the hub's runs, of one kind or of one mapping, newest first.
func (s *Mappings) Runs(ctx context.Context, a Actor, kind MappingRunKind, mappingID string, w Slice) ([]MappingRun, error) {
	if err := adminOnly(a, ScopeMappingsAdmin); err != nil {
		return nil, err
	}
	return s.Store.MappingRuns().List(ctx, Scope(a.HubID), kind, mappingID, w)
}

// Run gives one run with how many of its items came to what.
func (s *Mappings) Run(ctx context.Context, a Actor, id string) (MappingRun, error) {
	if err := adminOnly(a, ScopeMappingsAdmin); err != nil {
		return MappingRun{}, err
	}
	run, err := s.Store.MappingRuns().Get(ctx, Scope(a.HubID), id)
	if CodeOf(err) == NotFound {
		return MappingRun{}, runNotFound()
	}
	if err == nil {
		run.Counts, err = s.Store.MappingRuns().Counts(ctx, id)
	}
	return run, err
}

// RunItems gives a run's items by outcome, and the people they are about by id.
func (s *Mappings) RunItems(ctx context.Context, a Actor, id string, outcomes []string, w Slice) ([]MappingRunItem, map[string]Participant, error) {
	run, err := s.Run(ctx, a, id)
	if err != nil {
		return nil, nil, err
	}
	items, err := s.Store.MappingRuns().Items(ctx, id, outcomes, w)
	if err != nil || run.Kind != RunDryRun {
		return items, nil, err
	}
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = it.Subject
	}
	people, err := s.Store.Mappings().People(ctx, Scope(a.HubID), ids)
	return items, people, err
}

// begin stores a run with its job and queues it.
func (s *Mappings) begin(ctx context.Context, tx Tx, a Actor, kind string, run *MappingRun, put func(context.Context, *MappingRun) error) (Job, error) {
	job := Job{Row: Row{ID: NewID("job"), HubID: a.HubID}, ParticipantID: a.ParticipantID, Kind: kind, Subject: run.ID, State: JobQueued}
	if a.Machine() {
		job.ClientID = a.ClientID
	}
	run.JobID, run.State = job.ID, JobQueued
	if err := tx.Jobs().Insert(ctx, &job); err != nil {
		return job, err
	}
	if err := put(ctx, run); err != nil {
		return job, err
	}
	return job, tx.Enqueue(ctx, RunMapping{JobID: job.ID})
}

// RunJob does what a job was begun for (task RunMapping). All it does may be done twice. While Kaltura
// does not answer, or refuses the App Token, the job waits.
func (s *Mappings) RunJob(ctx context.Context, jobID string) error {
	job, err := s.Store.Jobs().Get(ctx, AnyHub, jobID)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	run, err := s.Store.MappingRuns().Get(ctx, AnyHub, job.Subject)
	if CodeOf(err) == NotFound { // disconnected meanwhile
		return s.GiveUp(ctx, jobID, E(Conflict, "integration_changed", "The connection was removed.").Next("Connect Kaltura and begin again."))
	}
	if err != nil || run.JobID != jobID || job.over() && run.State == job.State {
		return err
	}
	if !job.over() {
		leave, err := s.Lanes.enter(QueuePlatform, job.HubID)
		if err != nil {
			return err
		}
		defer leave()
		if err = s.work(ctx, run); err != nil {
			return s.outcome(ctx, jobID, err)
		}
	}
	return s.end(ctx, jobID)
}

// errStopped ends the work of a job that was cancelled.
var errStopped = E(Conflict, "job_over", "The job was cancelled.")

func (s *Mappings) work(ctx context.Context, run MappingRun) error {
	if err := s.step(ctx, run, func(j *Job) { j.State, j.NextTryAt = JobRunning, nil }); err != nil {
		return err
	}
	in, err := s.Integrations.saved(ctx, run.HubID)
	if err != nil {
		return err
	}
	if err = in.paused(); err != nil {
		return err
	}
	if in.ID != run.IntegrationID {
		return E(Conflict, "integration_changed", "The hub is connected to another account now.").Next("Begin again.")
	}
	o, err := s.Integrations.OpenFor(ctx, run.HubID, true)
	if err != nil {
		return err
	}
	if run.Kind == RunDryRun {
		return s.foreseeAll(ctx, o, run)
	}
	return s.moveAll(ctx, o, run)
}

// outcome decides whether work that ended early goes on later.
func (s *Mappings) outcome(ctx context.Context, jobID string, err error) error {
	switch {
	case IsReason(err, errStopped.Reason):
		return s.end(ctx, jobID)
	case ctx.Err() != nil:
		return ctx.Err()
	case passes(err):
		e := AsError(err)
		pause := max(e.Retry, markRetry)
		if e.Reason == "credentials_invalid" {
			pause = outageRetry // only an admin helps
		}
		at := s.Clock().Add(pause)
		_, err := changeRow(ctx, s.Store, func(t Tables) Rows[Job] { return t.Jobs() }, AnyHub, jobID, func(_ Tx, j *Job) error {
			if j.over() {
				return errUnchanged
			}
			j.State, j.NextTryAt = JobWaiting, &at
			return nil
		})
		if err != nil {
			return err
		}
		return &Snooze{pause}
	case CodeOf(err) == Internal:
		return err // tried again
	}
	return s.GiveUp(ctx, jobID, err)
}

// step notes how far a run is, with f for its job, and ends it when the job was cancelled.
func (s *Mappings) step(ctx context.Context, run MappingRun, f func(*Job)) error {
	j, err := changeRow(ctx, s.Store, func(t Tables) Rows[Job] { return t.Jobs() }, AnyHub, run.JobID, func(_ Tx, j *Job) error {
		if j.over() {
			return errUnchanged
		}
		if run.Total > 0 {
			j.Progress = min(1, float64(run.Done)/float64(run.Total))
		}
		f(j)
		return nil
	})
	if err != nil {
		return err
	}
	if j.over() {
		return errStopped
	}
	s.Events.Progress(j.HubID, audienceOf(j.ParticipantID, j.ClientID), "job.progress", j.ID, JobNews{j.ID, j.Kind, j.Subject, j.State, j.Progress})
	return nil
}

// keep notes in the run itself where it goes on.
func (s *Mappings) keep(ctx context.Context, run *MappingRun) error {
	want := *run
	got, err := changeRow(ctx, s.Store, func(t Tables) Rows[MappingRun] { return t.MappingRuns() }, AnyHub, run.ID, func(_ Tx, r *MappingRun) error {
		if r.JobID != want.JobID {
			return errStopped
		}
		r.Listing, r.Total, r.Done = want.Listing, want.Total, want.Done
		return nil
	})
	if err == nil {
		*run = got
	}
	return err
}

// end writes the last word about a job and its run: done, unless it is over already.
func (s *Mappings) end(ctx context.Context, jobID string) error {
	_, err := changeRow(ctx, s.Store, func(t Tables) Rows[Job] { return t.Jobs() }, AnyHub, jobID, func(tx Tx, j *Job) error {
		run, err := tx.MappingRuns().Get(ctx, AnyHub, j.Subject)
		if err != nil {
			return err
		}
		if run.Counts, err = tx.MappingRuns().Counts(ctx, run.ID); err != nil {
			return err
		}
		over := j.over()
		if !over {
			j.State, j.Progress, j.NextTryAt = JobDone, 1, nil
			if run.Counts[OutcomeFailed] > 0 {
				j.ErrorCode, j.ErrorText = "refused", "Some of the entries were refused; each says why."
			}
		}
		if run.State == j.State {
			return errUnchanged
		}
		run.State = j.State
		if err = tx.MappingRuns().Update(ctx, &run); err != nil {
			return err
		}
		data := map[string]any{"job": j.ID, "state": j.State, "from": run.FromUser, "to": run.ToUser, "undo": run.Undoing, "counts": run.Counts}
		if run.Kind == RunMerge { // who began it is in the record of the beginning
			a, err := actorOf(ctx, tx, j.HubID, j.ParticipantID, j.ClientID)
			if CodeOf(err) == NotFound {
				a, err = SystemActor(j.HubID), nil
			}
			if err != nil {
				return err
			}
			if err = audit(ctx, tx, a, "mapping.merge_ended", run.MappingID, data); err != nil {
				return err
			}
		}
		if over {
			return nil // whoever ended it told so
		}
		return s.Events.Append(ctx, tx, j.HubID, audienceOf(j.ParticipantID, j.ClientID), "job.done", j.ID, JobNews{j.ID, j.Kind, j.Subject, j.State, 1})
	})
	if CodeOf(err) == NotFound {
		return nil
	}
	return err
}

// GiveUp ends a job that cannot succeed, or failed too often. What was moved stays moved; the run can
// be taken up again.
func (s *Mappings) GiveUp(ctx context.Context, jobID string, cause error) error {
	e := AsError(cause)
	_, err := changeRow(ctx, s.Store, func(t Tables) Rows[Job] { return t.Jobs() }, AnyHub, jobID, func(tx Tx, j *Job) error {
		if j.over() {
			return errUnchanged
		}
		j.State, j.ErrorCode, j.ErrorText, j.NextTryAt = JobFailed, reasonOf(e), e.Message, nil
		return s.Events.Append(ctx, tx, j.HubID, audienceOf(j.ParticipantID, j.ClientID), "job.failed", j.ID, JobNews{j.ID, j.Kind, j.Subject, j.State, j.Progress})
	})
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return s.end(ctx, jobID)
}

// Reconcile queues the jobs of runs that are not over and have no task (task Sweep), and ends those whose job is.
func (s *Mappings) Reconcile(ctx context.Context) error {
	return reconcile(ctx, s.Store, func(w Slice) ([]MappingRun, error) { return s.Store.MappingRuns().Unfinished(ctx, w) },
		func(r MappingRun) (string, Task) { return r.ID, RunMapping{JobID: r.JobID} })
}

// dryRunLife is how long the outcome of a dry run is kept.
const dryRunLife = 7 * 24 * time.Hour

// Sweep does so and forgets old dry runs.
func (s *Mappings) Sweep(ctx context.Context) error {
	if err := s.Store.MappingRuns().Trim(ctx, s.Clock().Add(-dryRunLife)); err != nil {
		return err
	}
	return s.Reconcile(ctx)
}
