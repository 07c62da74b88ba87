package gateway

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Snooze is returned by a task that must wait; it does not count as an attempt.
type Snooze struct{ After time.Duration }

// Error says so.
func (s *Snooze) Error() string { return fmt.Sprintf("wait %s", s.After) }

// Jobs shows and cancels long work.
type Jobs struct {
	Store  Store
	Clock  Clock
	Events *Events
	Assets *Assets
}

// over tells whether nothing more will happen.
func (j Job) over() bool {
	return j.State == JobDone || j.State == JobFailed || j.State == JobCancelled
}

// JobNews is what events say about a job.
type JobNews struct {
	ID       string   `json:"id"`
	Kind     string   `json:"kind"`
	Subject  string   `json:"subject"`
	State    JobState `json:"state"`
	Progress float64  `json:"progress"`
}

// Get gives a job of the actor's (an admin sees all of the hub), NotFound otherwise.
func (s *Jobs) Get(ctx context.Context, a Actor, id string) (Job, error) {
	j, err := s.Store.Jobs().Get(ctx, Scope(a.HubID), id)
	if CodeOf(err) == NotFound || err == nil && !owns(a, j.ParticipantID, j.ClientID) { // one answer for both
		return Job{}, E(NotFound, "", "There is no such job.").Next("Check the id.")
	}
	return j, err
}

// List gives the actor's jobs, newest first.
func (s *Jobs) List(ctx context.Context, a Actor, w Slice) ([]Job, error) {
	return s.Store.Jobs().List(ctx, a, w)
}

// Cancel asks a job to stop; a running one stops within a second. Conflict when it is done.
// Repeating it is harmless.
func (s *Jobs) Cancel(ctx context.Context, a Actor, id string) (Job, error) {
	if _, err := s.Get(ctx, a, id); err != nil {
		return Job{}, err
	}
	var asset string // of an import that has come to the pipeline
	j, err := changeRow(ctx, s.Store, func(t Tables) Rows[Job] { return t.Jobs() }, AnyHub, id, func(tx Tx, j *Job) error {
		asset = ""
		if j.State == JobCancelled {
			return errUnchanged
		}
		if j.over() {
			return E(Conflict, "job_over", "The job has ended already.").Next("Look at the item; remove it if you do not want it.")
		}
		if err := audit(ctx, tx, a, "job.cancel", j.ID, map[string]any{"kind": j.Kind, "subject": j.Subject}); err != nil {
			return err
		}
		it, err := tx.Library().Get(ctx, AnyHub, j.Subject)
		found := err == nil && it.JobID == id
		if err != nil && CodeOf(err) != NotFound {
			return err
		}
		if j.State == JobRunning && found && it.State == ItemImporting {
			// Bytes are flowing: whoever moves them looks at the flag several times a second.
			if err = tx.Jobs().RequestCancel(ctx, AnyHub, id); err != nil {
				return err
			}
			j.CancelRequested = true
			return s.tell(ctx, tx, *j, "job.cancelling")
		}
		j.State = JobCancelled
		if found {
			asset, it.AssetID, it.State = it.AssetID, "", ItemCancelled
			if err = tx.Library().Update(ctx, &it); err != nil {
				return err
			}
		}
		return s.tell(ctx, tx, *j, "job.cancelled")
	})
	if err != nil || j.State != JobCancelled || s.Assets == nil {
		return j, err
	}
	ctx = context.WithoutCancel(ctx)
	if err = s.Assets.Staging.Remove(ctx, id); err != nil {
		return j, err
	}
	return j, s.Assets.Remove(ctx, asset)
}

func (s *Jobs) tell(ctx context.Context, tx Tx, j Job, typ string) error {
	return s.Events.Append(ctx, tx, j.HubID, audienceOf(j.ParticipantID, j.ClientID), typ, j.ID, JobNews{j.ID, j.Kind, j.Subject, j.State, j.Progress})
}

// sizeBox is a size that one goroutine learns and another reads.
type sizeBox struct{ n atomic.Int64 }

func (b *sizeBox) set(n int64) { b.n.Store(n) }
func (b *sizeBox) get() int64  { return b.n.Load() }
