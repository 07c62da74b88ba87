package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"time"
)

const (
	dueMost   = 2000            // files that are due, of one look at all hubs
	lookAfter = 5 * time.Minute // a file at work is looked after so often
)

// Tend queues what is due of drop folders (task TendDropFolders): looks, waits that are over, deletions, and what a crash
// kept from being queued.
func (s *DropFolders) Tend(ctx context.Context) error {
	return errors.Join(s.tendScans(ctx), s.tendFiles(ctx), s.tendTurns(ctx), s.tendDeleted(ctx))
}

// keepTimeline is how long what happened to a file is kept after the file is gone, deleted or replaced.
const keepTimeline = 400 * 24 * time.Hour

// Sweep forgets what is kept no longer: what manifests say of items that failed, and timelines of files that are over.
func (s *DropFolders) Sweep(ctx context.Context) error {
	now := s.Clock()
	_, err := s.Store.DropChanges().Trim(ctx, now.Add(-keepTimeline), 500)
	return errors.Join(err, s.Store.DropItems().ForgetFailed(ctx, now.Add(-keepFailed), 1000))
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
	type share struct {
		hub string
		due bool // deletions do not keep others from their turn
	}
	given := map[share]int{}
	var tasks []Task
	var busy []string
	for _, f := range due {
		of := share{f.HubID, f.State == DropDue}
		if given[of]++; given[of] > atWorkHub {
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
					switch f.FormerState {
					case "":
						to = DropReady
					case DropReady, DropIgnored, DropQuarantined: // somebody deleted it by hand, and could have taken that back
						to = f.FormerState
						f.FormerState, f.DeleteEntry = "", false
					}
				}
				if f.State.Over() || f.Deleting || !f.State.mayBecome(to) { // a deletion that has begun is finished
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

// deletionLease is how long a deletion may take; another one begins after it.
const deletionLease = 2 * time.Minute

// runDeletion deletes a file that is due: one whose time came only when its entry plays and holds all its bytes, which is
// asked now; one that somebody had deleted by hand when the time to undo that is over. It is written down before
// anything goes: nobody keeps the file, or takes the deletion back, when it is half done.
func (s *DropFolders) runDeletion(ctx context.Context, folder DropFolder, f DropFile) error {
	f, mine, err := s.claimDeletion(ctx, f.ID)
	if err != nil || !mine {
		return err
	}
	inTime, cancel := context.WithTimeout(ctx, deletionLease*3/4)
	err = s.erase(inTime, folder, f, f.FormerState != "")
	cancel()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	attempt := f.Attempt
	_, werr := s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
		if f.State != DropDue || f.Attempt != attempt {
			return errUnchanged
		}
		f.Deleting = false
		return s.erased(ctx, tx, f, err)
	})
	return werr
}

// claimDeletion makes a deletion this run's, if the file is still to be deleted.
func (s *DropFolders) claimDeletion(ctx context.Context, id string) (_ DropFile, mine bool, _ error) {
	f, err := s.changeFile(ctx, id, func(tx Tx, f *DropFile) error {
		mine = false
		now := s.Clock()
		if f.State != DropDue || f.DeleteAt == nil || now.Before(*f.DeleteAt) {
			return errUnchanged
		}
		folder, err := tx.DropFolders().Get(ctx, AnyHub, f.FolderID)
		if err != nil {
			return err
		}
		if f.FormerState == "" && !f.Deleting {
			if f.Kept || folder.Delete == DeleteManually || folder.DeletedAt != nil { // somebody thought better of it
				return s.move(ctx, tx, f, DropReady, "policy", system(f.HubID), "It is kept.")
			}
			if folder.PausedAt != nil {
				return s.notYet(ctx, tx, f, lookAfter, stillPaused())
			}
			if folder.Delete == DeleteAfterDays && f.ReadyAt != nil { // the days may be more by now
				if at := f.ReadyAt.Add(time.Duration(folder.DeleteDays) * 24 * time.Hour); now.Before(at) {
					return s.notYet(ctx, tx, f, at.Sub(now), E(Conflict, "days_changed", "The folder keeps its files longer now.").Next("Nothing to do."))
				}
			}
		}
		until := now.Add(deletionLease)
		f.Deleting, f.DeleteAt, f.Attempt, mine = true, &until, f.Attempt+1, true
		return tx.DropFiles().Update(ctx, f)
	})
	return f, mine && err == nil, err
}

// notYet puts a deletion off and says why.
func (s *DropFolders) notYet(ctx context.Context, tx Tx, f *DropFile, after time.Duration, e *Error) error {
	at := s.Clock().Add(after)
	first := f.Reason != reasonOf(e)
	f.DeleteAt, f.Reason, f.Text, f.NextStep = &at, reasonOf(e), e.Message, e.NextStep
	if err := tx.DropFiles().Update(ctx, f); err != nil || !first {
		return err
	}
	c := dropChange(*f, "delete", system(f.HubID).Subject(), "", s.Clock())
	return tx.DropChanges().Insert(ctx, &c)
}

// erased writes down how a deletion went.
func (s *DropFolders) erased(ctx context.Context, tx Tx, f *DropFile, err error) error {
	by := system(f.HubID)
	e := AsError(err)
	after := 10 * time.Minute
	switch {
	case err == nil:
		f.Reason, f.Text, f.NextStep = "", "", ""
		return s.move(ctx, tx, f, DropDeleted, "delete", by, "")
	case e.Reason == "file_changed" && unsettled(f.FormerState): // it goes on growing, and is to be deleted all the same
		after = time.Minute
	case e.Reason == "file_changed":
		to := DropReady
		if f.FormerState != "" && DropDue.mayBecome(f.FormerState) {
			to = f.FormerState
		}
		return s.move(ctx, tx, f, to, "delete.changed", by, "Another file lies under its name now, which is not deleted.")
	case e.Reason == reasonUnverifiable:
		return s.move(ctx, tx, f, DropReady, "delete.unverified", by, e.Message+" "+e.NextStep)
	case passes(err) || errors.Is(err, context.DeadlineExceeded):
		after = time.Minute
	case e.Reason == "not_verified" && f.ReadyAt != nil:
		after = grown(s.Clock().Sub(*f.ReadyAt), after, 24*time.Hour)
	case e.Reason != "not_verified" && e.Reason != "entry_busy":
		e = E(e.Code, reasonDelete, "The file could not be deleted: "+e.Message).Next("%s", e.NextStep)
	}
	return s.notYet(ctx, tx, f, after, e)
}

// erase removes the file from where it lies, and after it its entry when somebody said so: a file that turns out to be
// another one keeps both.
func (s *DropFolders) erase(ctx context.Context, folder DropFolder, f DropFile, byHand bool) error {
	var entry func() error
	if byHand && f.DeleteEntry && f.EntryID != "" {
		if f.Superseded { // by a file that may have become the same entry meanwhile
			n, err := s.Store.DropFiles().OthersWithEntry(ctx, Scope(f.HubID), f.EntryID, f.ID)
			if err != nil {
				return err
			}
			if n > 0 {
				return E(Conflict, "file_changed", "The file that took its place is the same entry now.").Next("Delete that file with its entry.")
			}
		}
		h, err := s.hand(ctx, folder)
		if err != nil {
			return err
		}
		m, err := h.entry(ctx, f.EntryID)
		r, ok := h.Platform.(Remover)
		switch {
		case CodeOf(err) == NotFound:
		case err != nil:
			return err
		case m.Status == MediaProcessing || m.Replacing == MediaProcessing:
			return E(Conflict, "entry_busy", "The entry is being converted.").Next("Nothing to do: both are deleted when that is done.")
		case !ok:
			return notOffered()
		default:
			entry = func() error { return ignoreNotFound(r.Remove(ctx, h.actor, m.ID)) }
		}
	}
	if !uploaded(f.Identity) && f.Identity != "" && !f.Superseded { // else nothing lies anywhere, or another file
		if !byHand {
			if err := s.verified(ctx, folder, f); err != nil {
				return err
			}
		}
		src, err := s.source(ctx, folder)
		if err != nil {
			return err
		}
		id, err := s.removable(ctx, src, f, byHand)
		if err == nil && id != f.Identity {
			err = s.removing(ctx, f, id)
		}
		if err == nil {
			err = src.Remove(ctx, f.Name, id)
		}
		_ = src.Close() // nothing is written
		if err != nil {
			return err
		}
	}
	if entry != nil {
		return entry()
	}
	return nil
}

// removable gives the identity under which a file may be removed. When its owner, rights or links changed since it was
// read, or its time was set back, its bytes are compared with those that were taken.
func (s *DropFolders) removable(ctx context.Context, src DropSource, f DropFile, byHand bool) (string, error) {
	now, err := src.Stat(ctx, f.Name)
	if CodeOf(err) == NotFound || err == nil && (now.Identity == f.Identity || !SameDropContent(now.Identity, f.Identity)) {
		return f.Identity, nil // Remove decides
	}
	switch {
	case err != nil:
		return "", err
	case f.SHA256 == "" && byHand: // nothing was made of it
		return now.Identity, nil
	case f.SHA256 == "":
		return f.Identity, nil
	}
	r, err := src.Open(ctx, f.Name)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, &stoppable{ctx, r})
	id := r.Entry().Identity
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "", E(Conflict, "not_verified", "The file's owner, rights or links changed after it was imported, and comparing its bytes took too long.").
			Next("It is compared again later; delete it by hand where it lies if you are certain.")
	case err != nil:
		return "", err
	case hex.EncodeToString(h.Sum(nil)) != f.SHA256:
		return f.Identity, nil
	}
	return id, nil
}

// removing writes down under which identity a file is removed: by it what a crash left half done is found again.
func (s *DropFolders) removing(ctx context.Context, f DropFile, id string) error {
	_, err := s.changeFile(ctx, f.ID, func(tx Tx, row *DropFile) error {
		if row.State != DropDue || row.Attempt != f.Attempt {
			return &Snooze{time.Second} // another run has it
		}
		row.Identity = id
		return tx.DropFiles().Update(ctx, row)
	})
	return err
}

// verified tells whether the entry of a file plays and the platform holds all its bytes.
func (s *DropFolders) verified(ctx context.Context, folder DropFolder, f DropFile) error {
	no := func(text string) error {
		return E(Conflict, "not_verified", text).Next("The file stays until that is certain; delete it by hand if you are.")
	}
	never := func(text string) error {
		return E(Conflict, reasonUnverifiable, text).Next("The file stays; delete it by hand if you are certain.")
	}
	if f.EntryID == "" {
		lead := f // of a picture: the manifest that names it
		if !f.Manifest && f.LeadID != "" {
			var err error
			if lead, err = s.Store.DropFiles().Get(ctx, AnyHub, f.LeadID); ignoreNotFound(err) != nil {
				return err
			}
		}
		switch {
		case !lead.Manifest || lead.Superseded && !f.Manifest:
			return never("It is not known what the file became.")
		case lead.ItemsFailed > 0:
			return never("Some items of the manifest failed.")
		case lead.ReadyAt == nil:
			return no("The manifest is not done.")
		}
		return nil // its items are done
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
	known := false
	for _, r := range m.Renditions {
		if r.Size == 0 || f.Flavor == "" && !r.Original { // a file that became a rendition is one of them
			continue
		}
		known = true
		r.Original = true
		if verify(Upload{Size: f.Size}, Media{Renditions: []Rendition{r}}) == nil {
			return nil
		}
	}
	if known {
		return never("The entry does not have the size of the file.")
	}
	return no("The platform does not tell how many bytes it holds.")
}
