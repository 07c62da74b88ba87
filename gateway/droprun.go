package gateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"path"
	"time"
)

// How many files may be at work at once, so that a folder's or a hub's hundred thousand leave room for others. The
// queue holds no more tasks of a hub than that; each hub's wait in its own rows.
const (
	atWorkFolder = 32
	atWorkHub    = 64
	atWorkLeast  = 4           // of each folder, however many others of its hub are at work
	laneDrop     = "drop_file" // a lane of its own: fetching takes long, and people's uploads do not wait behind it
)

// RunFeed gives the oldest whole files of a folder their turn (task FeedDropFolder).
func (s *DropFolders) RunFeed(ctx context.Context, folderID string) error {
	return s.Store.Tx(ctx, func(tx Tx) error {
		f, err := tx.DropFolders().Lock(ctx, folderID)
		if err != nil || f.PausedAt != nil || f.DeletedAt != nil {
			return ignoreNotFound(err)
		}
		hub, mine, err := tx.DropFiles().AtWork(ctx, f.HubID, f.ID)
		if err != nil {
			return err
		}
		n := min(atWorkFolder-mine, max(atWorkHub-hub, atWorkLeast-mine))
		if n <= 0 {
			return nil
		}
		rows, err := tx.DropFiles().Turn(ctx, f.ID, s.Clock(), int(n))
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := tx.Enqueue(ctx, HandleDropFile{FileID: r.ID}, IfIdle()); err != nil {
				return err
			}
		}
		return nil
	})
}

// RunFile takes a file as far as it gets (task HandleDropFile). It may be killed anywhere and run again: bytes that are
// here stay, and an entry that was made is found by the upload's id.
func (s *DropFolders) RunFile(ctx context.Context, id string) error {
	f, folder, err := s.both(ctx, id)
	if err != nil {
		return ignoreNotFound(err)
	}
	if f.Manifest && f.stopped() && f.State != DropDue {
		return s.release(ctx, f)
	}
	switch f.State {
	case DropPending, DropWaiting, DropNoMatch:
		if folder.PausedAt != nil || folder.DeletedAt != nil || f.Superseded {
			return nil
		}
	case DropImporting, DropProcessing:
	case DropDue:
		return s.runDeletion(ctx, folder, f)
	default:
		return nil
	}
	leave, err := s.Lanes.enter(laneDrop, f.HubID)
	if err != nil {
		return err
	}
	defer leave()
	if !s.files.enter(id) {
		return &Snooze{time.Second}
	}
	defer s.files.leave(id)
	if f, folder, err = s.both(ctx, id); err == nil {
		err = s.handle(ctx, folder, f)
	}
	return s.outcome(ctx, f, err)
}

func (s *DropFolders) both(ctx context.Context, id string) (DropFile, DropFolder, error) {
	f, err := s.Store.DropFiles().Get(ctx, AnyHub, id)
	if err != nil {
		return f, DropFolder{}, err
	}
	folder, err := s.Store.DropFolders().Get(ctx, AnyHub, f.FolderID)
	return f, folder, err
}

// outcome turns an error into what becomes of the file: final refusals quarantine it, everything else is tried again.
func (s *DropFolders) outcome(ctx context.Context, f DropFile, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil { // stopped from outside; says nothing about the file
		return ctx.Err()
	}
	var z *Snooze
	if errors.As(err, &z) {
		return err
	}
	e := AsError(err)
	switch {
	case e.Reason == "changed_while_read" || e.Reason == "file_gone": // put back already
		return nil
	case e.Code == Internal, e.Code == Conflict && (e.Reason == "changed_meanwhile" || e.Reason == ""):
		return err
	case e.Code == Unavailable, e.Code == RateLimited, e.Code == Precondition,
		e.Reason == "quota_exceeded", e.Reason == "maker_gone", e.Reason == "maker_demoted", e.Reason == "machine_own", e.Reason == "account_changed", e.Reason == "plan_too_low":
		slog.InfoContext(ctx, "drop file waits", "file", f.ID, "error", e)
		least := 2 * time.Second
		if e.Code != Unavailable {
			least = 30 * time.Second
		}
		since := f.UpdatedAt
		if f.WholeAt != nil {
			since = *f.WholeAt
		}
		after := max(e.Retry, jitter(grown(s.Clock().Sub(since), least, 5*time.Minute)))
		if off, err := s.putOff(ctx, f.ID, after, e); err != nil || off {
			return err
		}
		return &Snooze{after}
	}
	return errors.Join(err, s.quarantine(ctx, f.ID, -1, "handle", e))
}

// putOff lets a file wait that cannot be fetched now, and says why; false when its bytes are on their way to the platform,
// or it waits anyway. Meanwhile it has no place among those at work and keeps no other one from its turn.
func (s *DropFolders) putOff(ctx context.Context, id string, after time.Duration, why *Error) (off bool, _ error) {
	_, err := s.changeFile(ctx, id, func(tx Tx, f *DropFile) error {
		off = false
		if f.State != DropPending && (f.State != DropImporting || f.LeadID != "") {
			return errUnchanged
		}
		told := f.Reason == reasonOf(why)
		if f.State == DropImporting {
			u, err := tx.Uploads().Get(ctx, AnyHub, f.UploadID)
			if ignoreNotFound(err) != nil {
				return err
			}
			if err == nil && u.State != UploadReceiving && u.State != UploadCancelled && u.State != UploadExpired && !s.elsewhere(*f, u) {
				return errUnchanged
			}
			if err := s.move(ctx, tx, f, DropPending, "import.later", system(f.HubID), why.Message); err != nil {
				return err
			}
			told = true
		}
		at := s.Clock().Add(after)
		f.TryAt, off = &at, true
		f.Reason, f.Text, f.NextStep = reasonOf(why), why.Message, why.NextStep
		if err := tx.DropFiles().Update(ctx, f); err != nil || told {
			return err
		}
		c := dropChange(*f, "import.later", system(f.HubID).Subject(), "", s.Clock())
		if err := tx.DropChanges().Insert(ctx, &c); err != nil {
			return err
		}
		return s.Events.Append(ctx, tx, f.HubID, AudienceContent, "drop_file.changed", f.ID, f.News())
	})
	return off, err
}

// GiveUpFile quarantines a file whose task was tried too often.
func (s *DropFolders) GiveUpFile(ctx context.Context, id string, err error) error {
	e, reason := AsError(err), reasonQueue
	if f, err := s.Store.DropFiles().Get(ctx, AnyHub, id); err == nil && f.Manifest {
		reason = reasonItemsStart
	}
	return ignoreNotFound(s.quarantine(ctx, id, -1, "handle", E(e.Code, cmp.Or(e.Reason, reason), e.Message).
		Next("Try it again; if it fails again, report the file's id.")))
}

func (s *DropFolders) handle(ctx context.Context, folder DropFolder, f DropFile) error {
	switch f.State {
	case DropImporting:
		if f.LeadID != "" { // its manifest's item has it
			return nil
		}
		return s.importFile(ctx, folder, f)
	case DropProcessing:
		if f.Manifest {
			return s.runManifest(ctx, f)
		}
		return s.settleFile(ctx, folder, f)
	}
	if f.Manifest {
		return s.handleManifest(ctx, folder, f)
	}
	if f.LeadID != "" {
		return s.handleNamed(ctx, folder, f)
	}
	if err := s.takeable(f); err != nil {
		return err
	}
	switch {
	case f.ByHand: // somebody said that it is to be imported by itself
	case folder.Handler == HandleXML:
		return s.awaitManifest(ctx, folder, f)
	case folder.Handler == HandleBoth:
		if waits, err := s.manifestsFirst(ctx, folder, f); err != nil || waits {
			return err
		}
	}
	return s.decide(ctx, folder, f)
}

// takeable refuses what cannot become an entry, before anything is read of it.
func (s *DropFolders) takeable(f DropFile) error {
	switch {
	case f.Size == 0:
		return E(Invalid, reasonEmpty, "The file is empty.").Next("Put a file there that has content.")
	case s.Uploads.MaxSize > 0 && f.Size > s.Uploads.MaxSize:
		return E(TooLarge, "file_too_large", "The file is larger than this server takes.").Next("Put a smaller file there.")
	}
	_, err := s.accepts(f.HubID).check(path.Base(f.Name), "")
	return err
}

// accepts is what a hub takes.
func (s *DropFolders) accepts(hubID string) Acceptance {
	if s.Uploads.Accept == nil {
		return Acceptance{}
	}
	return s.Uploads.Accept(hubID)
}

func errManifestNotTaken() *Error {
	return E(Invalid, "manifest_not_taken", "The folder takes media only, no manifests.").
		Next("Change what the folder's files are in its settings, then try this one again.")
}

func (s *DropFolders) handleManifest(ctx context.Context, folder DropFolder, f DropFile) error {
	if folder.Handler == HandleContent {
		return errManifestNotTaken()
	}
	if f.Size == 0 {
		return E(Invalid, reasonEmpty, "The manifest is empty.").Next("Write its items into it.")
	}
	if f.Size > maxManifest {
		return E(TooLarge, reasonTooLarge, "The manifest is too large.").Next("Split it into several.")
	}
	u, err := s.stage(ctx, folder, f)
	if err != nil {
		return err
	}
	if f, err = s.Store.DropFiles().Get(ctx, AnyHub, f.ID); err != nil || f.UploadID != u.ID {
		return err
	}
	return s.runManifest(ctx, f)
}

// handleNamed fetches a file that a manifest names, so that it is here when the item comes to it.
func (s *DropFolders) handleNamed(ctx context.Context, folder DropFolder, f DropFile) error {
	lead, err := s.Store.DropFiles().Get(ctx, AnyHub, f.LeadID)
	switch {
	case ignoreNotFound(err) != nil:
		return err
	case err != nil, !lead.leads(): // it is over: nobody else decides
		f, err = s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
			f.LeadID, f.ItemID = "", ""
			return tx.DropFiles().Update(ctx, f)
		})
		if err != nil {
			return err
		}
		return s.handle(ctx, folder, f)
	}
	if f.Size == 0 {
		return E(Invalid, reasonEmpty, "The file is empty.").Next("Put a file there that has content.")
	}
	// Files that have no room beside each other are fetched one by one, when their items come to them.
	text := "It is here; its manifest decides."
	switch _, err := s.stage(ctx, folder, f); {
	case IsReason(err, "quota_exceeded"):
		text = "There is no room for it yet: it is fetched when its item comes to it."
	case err != nil:
		return err
	}
	_, err = s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
		if f.State != DropPending {
			return errUnchanged
		}
		f.WaitingFor, f.TryAt = []string{lead.Name}, nil
		if err := s.move(ctx, tx, f, DropWaiting, "manifest", system(f.HubID), text); err != nil {
			return err
		}
		return s.arrived(ctx, tx, *f)
	})
	return err
}

// awaitManifest lets a file wait until a manifest names it.
func (s *DropFolders) awaitManifest(ctx context.Context, folder DropFolder, f DropFile) error {
	if f.State == DropWaiting {
		return s.unnamed(ctx, f.ID)
	}
	_, err := s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
		if f.State != DropPending || f.LeadID != "" {
			return errUnchanged
		}
		until := s.waitUntil(folder, *f)
		f.WaitingFor, f.TryAt = []string{"manifest"}, &until
		return s.move(ctx, tx, f, DropWaiting, "manifest", system(f.HubID), "It waits for a manifest that names it.")
	})
	return err
}

// waitUntil is how long a file waits for others.
func (s *DropFolders) waitUntil(folder DropFolder, f DropFile) time.Time {
	from := s.Clock()
	if f.WholeAt != nil {
		from = *f.WholeAt
	}
	return from.Add(time.Duration(max(1, folder.WaitHours)) * time.Hour)
}

// manifestsFirst lets a file wait while a manifest is in the folder that may name it and was not read yet.
func (s *DropFolders) manifestsFirst(ctx context.Context, folder DropFolder, f DropFile) (waits bool, _ error) {
	if !s.Clock().Before(s.waitUntil(folder, f)) {
		return false, nil
	}
	yes := true
	open, err := s.Store.DropFiles().List(ctx, Scope(f.HubID), DropFileFilter{
		FolderID: folder.ID, Manifests: &yes, States: []DropState{DropDetected, DropUploading, DropPending},
	}, Slice{Limit: 5})
	if err != nil || len(open) == 0 {
		return false, err
	}
	_, err = s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
		if f.State != DropPending && f.State != DropWaiting || f.LeadID != "" {
			return errUnchanged
		}
		names := make([]string, len(open))
		for i, m := range open {
			names[i] = m.Name
		}
		again := s.Clock().Add(5 * time.Second)
		f.WaitingFor, f.TryAt = names, &again
		if f.State == DropWaiting {
			return tx.DropFiles().Update(ctx, f)
		}
		return s.move(ctx, tx, f, DropWaiting, "manifest", system(f.HubID), "A manifest that may name it is not read yet.")
	})
	return true, err
}
