package gateway

import (
	"cmp"
	"context"
	"errors"
	"time"
)

func (s *Library) linked(ctx context.Context, it LibraryItem, m Media) error {
	_, _, err := s.move(ctx, it, "import.ready", func(it *LibraryItem, j *Job) error {
		if j.over() {
			return errUnchanged
		}
		it.State, it.Name, it.Type, it.Is360, it.DurationMS = ItemReady, m.Name, m.Type, m.Is360(), m.DurationMS
		it.ThumbVersion = m.ThumbVersion
		it.ErrorCode, it.ErrorText, it.NextStep = "", "", ""
		j.State, j.Progress, j.ErrorCode, j.ErrorText = JobDone, 1, "", ""
		return nil
	})
	return err
}

// stopped ends a cancelled import and frees its bytes.
func (s *Library) stopped(ctx context.Context, it LibraryItem) error {
	_, job, err := s.move(ctx, it, "import.cancelled", func(it *LibraryItem, j *Job) error {
		if j.over() {
			return errUnchanged
		}
		it.State, j.State = ItemCancelled, JobCancelled
		return nil
	})
	if err != nil && CodeOf(err) != NotFound {
		return err
	}
	if err = s.Assets.Staging.Remove(ctx, cmp.Or(job.ID, it.JobID)); err != nil {
		return err
	}
	return s.Assets.Blobs.Remove(ctx, assetDir(assetIDOf(it.JobID)))
}

func (s *Library) wait(ctx context.Context, it LibraryItem, d time.Duration, e *Error) error {
	typ := ""
	if e != nil && it.ErrorCode != reasonOf(e) { // said once
		typ = "import.waiting"
	}
	_, _, err := s.move(ctx, it, typ, func(it *LibraryItem, j *Job) error {
		if j.over() {
			return errUnchanged
		}
		at := s.Clock().Add(d)
		j.State, j.NextTryAt = JobWaiting, &at
		if e != nil {
			it.ErrorCode, it.ErrorText, it.NextStep = reasonOf(e), e.Message, e.NextStep
			j.ErrorCode, j.ErrorText = it.ErrorCode, it.ErrorText
		}
		return nil
	})
	if err != nil {
		return err
	}
	return &Snooze{d}
}

func (s *Library) fail(ctx context.Context, it LibraryItem, e *Error) error {
	_, _, err := s.move(ctx, it, "import.failed", func(it *LibraryItem, j *Job) error {
		if j.over() {
			return errUnchanged
		}
		it.State, j.State = ItemFailed, JobFailed
		it.ErrorCode, it.ErrorText, it.NextStep = reasonOf(e), e.Message, e.NextStep
		j.ErrorCode, j.ErrorText = it.ErrorCode, it.ErrorText
		return nil
	})
	if CodeOf(err) == NotFound { // removed meanwhile
		err = nil
	}
	return errors.Join(err, s.Assets.Staging.Remove(ctx, it.JobID))
}

// GiveUp marks an import failed after its task was tried too often.
func (s *Library) GiveUp(ctx context.Context, itemID string, cause error) error {
	it, err := s.Store.Library().Get(ctx, AnyHub, itemID)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil || (it.State != ItemPending && it.State != ItemImporting) {
		return err
	}
	e := AsError(cause)
	return s.fail(ctx, it, E(e.Code, reasonOf(e), e.Message).Next("Import it again; if it fails again, report the item's id."))
}

// AssetChanged follows the state of a copy's asset.
func (s *Library) AssetChanged(ctx context.Context, as Asset) error {
	if !as.State.Plays() && as.State != AssetFailed {
		return nil
	}
	typ := "import.ready"
	if as.State == AssetFailed {
		typ = "import.failed"
	}
	_, _, err := s.move(ctx, LibraryItem{Row: Row{ID: as.OwnerID}}, typ, func(it *LibraryItem, j *Job) error {
		if it.AssetID != as.ID || it.State != ItemProcessing {
			return errUnchanged
		}
		if as.State == AssetFailed {
			it.State, it.ErrorCode, it.ErrorText = ItemFailed, as.ErrorCode, as.ErrorText
			it.NextStep = "Import another rendition, or import it as a link."
			if it.Source == SourceSpaces {
				it.NextStep = "Register it again with a file that plays."
			}
			j.State, j.ErrorCode, j.ErrorText = JobFailed, as.ErrorCode, as.ErrorText
			return nil
		}
		it.State = ItemReady
		it.Type, it.DurationMS = as.Inspection.Type, as.Inspection.DurationMS
		it.Detected360 = as.Inspection.Is360()
		it.Is360 = it.Is360 || it.Detected360
		j.State, j.Progress = JobDone, 1
		return nil
	})
	if CodeOf(err) == NotFound { // the item was removed: so is what was made for it
		return s.Assets.Remove(ctx, as.ID)
	}
	return err
}

// move changes an item and the job that carries it together, with one event unless typ is empty.
func (s *Library) move(ctx context.Context, it LibraryItem, typ string, f func(*LibraryItem, *Job) error) (LibraryItem, Job, error) {
	var job Job
	row, err := s.change(ctx, it.ID, func(tx Tx, it *LibraryItem) error {
		var err error
		if job, err = tx.Jobs().Get(ctx, AnyHub, it.JobID); err != nil {
			return err
		}
		if err = f(it, &job); err != nil {
			return err
		}
		if err = tx.Jobs().Update(ctx, &job); err != nil {
			return err
		}
		if typ == "" {
			return nil
		}
		return s.tell(ctx, tx, *it, job, typ)
	})
	return row, job, err
}
