package gateway

import (
	"context"
	"errors"
	"time"
)

const (
	dueMost   = 2000            // files that are due, of one look at all hubs
	lookAfter = 5 * time.Minute // a file at work is looked after so often
)

// Tend queues what is due of drop folders (task TendDropFolders): looks, waits that are over, deletions, and what a crash
// kept from being queued.
func (s *DropFolders) Tend(ctx context.Context) error {
	return errors.Join(s.tendScans(ctx), s.tendFiles(ctx), s.tendTurns(ctx), s.tendDeleted(ctx), s.tendItems(ctx))
}

func (s *DropFolders) queue(ctx context.Context, tasks ...Task) error {
	if len(tasks) == 0 {
		return nil
	}
	return s.Store.Tx(ctx, func(tx Tx) error {
		for _, t := range tasks {
			if err := tx.Enqueue(ctx, t, IfIdle()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *DropFolders) tendScans(ctx context.Context) error {
	due, err := s.Store.DropFolders().DueScans(ctx, s.Clock(), 500)
	if err != nil {
		return err
	}
	tasks := make([]Task, len(due))
	for i, f := range due {
		tasks[i] = ScanDropFolder{FolderID: f.ID}
	}
	return s.queue(ctx, tasks...)
}

// tendFiles queues the files whose time has come: a folder's part of a hub's share. One at work is looked after now and
// then, because what was queued for it may be lost.
func (s *DropFolders) tendFiles(ctx context.Context) error {
	due, err := s.Store.DropFiles().Due(ctx, s.Clock(), dueMost)
	if err != nil {
		return err
	}
	perHub := map[string]int{}
	var tasks []Task
	var busy []string
	for _, f := range due {
		if perHub[f.HubID]++; perHub[f.HubID] > atWorkHub {
			continue
		}
		tasks = append(tasks, HandleDropFile{FileID: f.ID})
		if f.State.Busy() {
			busy = append(busy, f.ID)
		}
	}
	if err := s.Store.DropFiles().Later(ctx, busy, s.Clock().Add(lookAfter)); err != nil {
		return err
	}
	return s.queue(ctx, tasks...)
}

// tendTurns feeds every folder that has files waiting for their turn.
func (s *DropFolders) tendTurns(ctx context.Context) error {
	folders, err := s.Store.DropFiles().Pending(ctx)
	if err != nil {
		return err
	}
	tasks := make([]Task, len(folders))
	for i, id := range folders {
		tasks[i] = FeedDropFolder{FolderID: id}
	}
	return s.queue(ctx, tasks...)
}

// tendDeleted settles the files of folders that were deleted: nothing begins there any more.
func (s *DropFolders) tendDeleted(ctx context.Context) error {
	folders, err := s.Store.DropFolders().Deleted(ctx, 20)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		rows, err := s.Store.DropFiles().OfFolder(ctx, folder.ID, []DropState{DropDetected, DropUploading, DropParsed, DropPending, DropWaiting, DropNoMatch, DropDue}, "", 500)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if _, err := s.changeFile(ctx, r.ID, func(tx Tx, f *DropFile) error {
				to := DropGone
				if f.State == DropDue {
					to = DropReady
				}
				if f.State.Over() || !f.State.mayBecome(to) {
					return errUnchanged
				}
				return s.move(ctx, tx, f, to, "folder.deleted", system(f.HubID), "Its folder was removed.")
			}); ignoreNotFound(err) != nil {
				return err
			}
		}
	}
	return nil
}

// notYet puts a deletion off and says why.
func (s *DropFolders) notYet(ctx context.Context, id string, after time.Duration, e *Error) error {
	_, err := s.changeFile(ctx, id, func(tx Tx, f *DropFile) error {
		if f.State != DropDue {
			return errUnchanged
		}
		at := s.Clock().Add(after)
		first := f.Reason != reasonOf(e)
		f.DeleteAt, f.Reason, f.Text, f.NextStep = &at, reasonOf(e), e.Message, e.NextStep
		if err := tx.DropFiles().Update(ctx, f); err != nil || !first {
			return err
		}
		c := dropChange(*f, "delete", system(f.HubID).Subject(), "", s.Clock())
		return tx.DropChanges().Insert(ctx, &c)
	})
	return err
}

// runDeletion deletes a file that is due: one whose time came only when its entry plays and holds all its bytes, which is
// asked now; one that somebody had deleted by hand when the time to undo that is over.
func (s *DropFolders) runDeletion(ctx context.Context, folder DropFolder, f DropFile) error {
	if f.DeleteAt == nil || s.Clock().Before(*f.DeleteAt) {
		return nil
	}
	if !s.files.enter(f.ID) {
		return &Snooze{time.Second}
	}
	defer s.files.leave(f.ID)
	byHand := f.FormerState != ""
	if !byHand && (f.Kept || folder.Delete == DeleteManually || folder.DeletedAt != nil) { // somebody thought better of it
		_, err := s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
			if f.State != DropDue {
				return errUnchanged
			}
			return s.move(ctx, tx, f, DropReady, "policy", system(f.HubID), "It is kept.")
		})
		return err
	}
	if !byHand && folder.Delete == DeleteAfterDays && f.ReadyAt != nil { // the days may be more by now
		if at := f.ReadyAt.Add(time.Duration(folder.DeleteDays) * 24 * time.Hour); s.Clock().Before(at) {
			return s.notYet(ctx, f.ID, at.Sub(s.Clock()), E(Conflict, "days_changed", "The folder keeps its files longer now.").Next("Nothing to do."))
		}
	}
	if err := s.erase(ctx, folder, f, byHand); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e := AsError(err)
		if e.Reason == "file_changed" {
			_, err := s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
				if f.State != DropDue {
					return errUnchanged
				}
				to := DropReady
				if f.FormerState != "" && DropDue.mayBecome(f.FormerState) {
					to = f.FormerState
				}
				return s.move(ctx, tx, f, to, "delete.changed", system(f.HubID), "Another file lies under its name now, which is not deleted.")
			})
			return err
		}
		after := 10 * time.Minute
		if passes(err) {
			after = time.Minute
		} else if e.Reason != "not_verified" {
			e = E(e.Code, reasonDelete, "The file could not be deleted: "+e.Message).Next("%s", e.NextStep)
		}
		return s.notYet(ctx, f.ID, after, e)
	}
	_, err := s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
		if f.State != DropDue {
			return errUnchanged
		}
		f.Reason, f.Text, f.NextStep = "", "", ""
		return s.move(ctx, tx, f, DropDeleted, "delete", system(f.HubID), "")
	})
	return err
}

// erase removes the file from where it lies, and its entry when somebody said so.
func (s *DropFolders) erase(ctx context.Context, folder DropFolder, f DropFile, byHand bool) error {
	if byHand && f.DeleteEntry && f.EntryID != "" {
		h, err := s.hand(ctx, folder)
		if err != nil {
			return err
		}
		m, err := h.entry(ctx, f.EntryID)
		if err == nil {
			r, ok := h.Platform.(Remover)
			if !ok {
				return notOffered()
			}
			err = r.Remove(ctx, h.actor, m.ID)
		}
		if ignoreNotFound(err) != nil {
			return err
		}
	}
	if uploaded(f.Identity) || f.Identity == "" {
		return nil
	}
	if !byHand {
		if err := s.verified(ctx, folder, f); err != nil {
			return err
		}
	}
	secret, err := s.secret(folder)
	if err != nil {
		return err
	}
	if s.Sources == nil {
		return E(Unavailable, "sources_off", "This server looks at no directories and buckets.").Next("Ask the operator.")
	}
	src, err := s.Sources.Open(ctx, folder, secret)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // nothing is written
	return src.Remove(ctx, f.Name, f.Identity)
}

// verified tells whether the entry of a file plays and the platform holds all its bytes.
func (s *DropFolders) verified(ctx context.Context, folder DropFolder, f DropFile) error {
	no := func(text string) error {
		return E(Conflict, "not_verified", text).Next("The file stays until that is certain; delete it by hand if you are.")
	}
	if f.EntryID == "" {
		if f.Manifest && f.ItemsFailed == 0 {
			return nil // its items are done
		}
		return no("It is not known what the file became.")
	}
	h, err := s.hand(ctx, folder)
	if err != nil {
		return err
	}
	m, err := h.entry(ctx, f.EntryID)
	switch {
	case IsReason(err, "entry_not_found"):
		return no("The entry is not there any more.")
	case err != nil:
		return err
	case m.Status != MediaReady:
		return no("The entry cannot be played.")
	}
	for _, r := range m.Renditions {
		if r.Original && r.Size > 0 {
			if verify(Upload{Size: f.Size}, m) != nil {
				return no("The entry does not have the size of the file.")
			}
			return nil
		}
	}
	return no("The platform does not tell how many bytes it holds.")
}
