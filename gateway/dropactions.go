package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// DropUndoTime is how long a deletion by hand can be taken back.
const DropUndoTime = 10 * time.Minute

// Actions are what can be done with a file now, as far as its state tells.
func (f DropFile) Actions() []DropAction {
	var out []DropAction
	for _, act := range []DropAction{ActRetry, ActReprocess, ActMatch, ActTake, ActKeep, ActIgnore, ActDelete, ActUndo} {
		if f.may(act) == nil {
			out = append(out, act)
		}
	}
	return out
}

// may says why an action makes no sense for a file as it is.
func (f DropFile) may(act DropAction) error {
	refuse := func(message, next string) error { return E(Conflict, "not_now", message).Next("%s", next) }
	state := strings.ReplaceAll(string(f.State), "_", " ")
	byHand := f.State == DropDue && f.FormerState != ""
	if f.Superseded && act != ActDelete && act != ActUndo {
		return E(Conflict, "superseded", "A newer file has this name.").Next("Look at the newer one.")
	}
	if f.State == DropDue && f.Deleting {
		return E(Conflict, "being_deleted", "The file is being deleted at this moment.").Next("Look again in a moment.")
	}
	if act != ActUndo && byHand {
		return E(Conflict, "being_deleted", "The file is about to be deleted.").Next("Take the deletion back first.")
	}
	switch act {
	case ActRetry:
		switch f.State {
		case DropQuarantined, DropWaiting, DropNoMatch, DropIgnored:
			return nil
		}
		return refuse("Only a file that waits, is in quarantine or is left alone can be tried again; this one is "+state+".", "Look at its state.")
	case ActReprocess:
		if f.Manifest {
			return refuse("A manifest is not imported itself.", "Retry it, or put it into the folder again.")
		}
		if f.LeadID != "" {
			return refuse("What becomes of this file is for its manifest to say.", "Send a manifest that updates the entry and names the file.")
		}
		switch f.State {
		case DropReady, DropDue, DropQuarantined:
			return nil
		}
		return refuse("Only a file that is done or in quarantine can be imported again; this one is "+state+".", "Wait until it is done.")
	case ActMatch:
		if f.Manifest {
			return refuse("A manifest becomes no entry.", "Choose a media file.")
		}
		switch f.State {
		case DropPending, DropWaiting, DropNoMatch, DropQuarantined, DropIgnored:
			return nil
		}
		return refuse("Only a file that is whole and not imported yet can be given to an entry; this one is "+state+".", "Look at its state.")
	case ActTake:
		switch {
		case f.State == DropUploading && uploaded(f.Identity):
			return refuse("The upload is not finished.", "Have its sender finish it: only then it is whole.")
		case f.State == DropDetected || f.State == DropUploading || f.State == DropWaiting || f.State == DropNoMatch:
			return nil
		case f.State == DropQuarantined && !f.Manifest && (f.Reason == reasonNoMatch || f.Reason == reasonNoManifest || f.Reason == reasonOrphan):
			return nil
		}
		return refuse("Only a file that is not known to be whole, or waits for others, can be taken; this one is "+state+".", "Look at its state.")
	case ActKeep:
		if f.State == DropDeleted || f.State == DropGone {
			return refuse("The file is gone.", "Nothing to do.")
		}
		return nil
	case ActIgnore:
		if f.State.mayBecome(DropIgnored) && f.State != DropDue && (f.State != DropUploading || !uploaded(f.Identity)) {
			return nil
		}
		return refuse("A file that is "+state+" cannot be left alone.", "Delete it if it is not wanted.")
	case ActDelete:
		switch {
		case f.State.Busy():
			return E(Conflict, "file_busy", "The file is being imported or converted.").Next("Wait until that is done.")
		case f.State == DropDeleted || f.State == DropGone || f.State == DropParsed:
			return refuse("There is no file.", "Nothing to do.")
		case f.State == DropUploading && uploaded(f.Identity):
			return refuse("The upload is not finished.", "Cancel the upload instead.")
		}
		return nil
	case ActUndo:
		if byHand {
			return nil
		}
		return refuse("Nobody is deleting this file by hand.", "Nothing to do.")
	}
	return E(Invalid, "action_unknown", "There is no such action.").Next("Choose retry, reprocess, match, take, keep, ignore, delete or undo.").At("/action")
}

// act does something with a file of the actor's hub: it checks that it may be, runs do, which moves the file, and writes the
// audit log.
func (s *DropFolders) act(ctx context.Context, a Actor, id string, act DropAction, data map[string]any, do func(Tx, *DropFile) error) (DropFile, error) {
	if _, err := s.writable(ctx, a, id); err != nil {
		return DropFile{}, err
	}
	out, err := s.changeFile(ctx, id, func(tx Tx, f *DropFile) error {
		if f.HubID != a.HubID {
			return noSuchDropFile()
		}
		if err := f.may(act); err != nil {
			return err
		}
		if err := do(tx, f); err != nil {
			return err
		}
		more := map[string]any{"name": f.Name, "folder": f.FolderID}
		for k, v := range data {
			more[k] = v
		}
		if err := audit(ctx, tx, a, "drop_file."+string(act), f.ID, more); err != nil {
			return err
		}
		return answered(ctx, tx, *f)
	})
	return out, noFileFor(err)
}

func noFileFor(err error) error {
	if CodeOf(err) == NotFound && !IsReason(err, "entry_not_found") {
		return noSuchDropFile()
	}
	return err
}

// again gives a file its turn once more: from the beginning when it is not known to be whole.
func (s *DropFolders) again(ctx context.Context, tx Tx, f *DropFile, cause string, by Actor, text string) error {
	if f.State == DropIgnored || f.State == DropQuarantined {
		if err := s.unique(ctx, tx, f); err != nil {
			return err
		}
	}
	f.TryAt, f.Attempt = nil, f.Attempt+1
	to := DropPending
	if f.WholeAt == nil {
		to = DropDetected
	}
	if f.State == to { // its turn comes anyway
		if err := tx.DropFiles().Update(ctx, f); err != nil {
			return err
		}
		c := dropChange(*f, cause, by.Subject(), text, s.Clock())
		if err := tx.DropChanges().Insert(ctx, &c); err != nil {
			return err
		}
		return tx.Enqueue(ctx, FeedDropFolder{FolderID: f.FolderID})
	}
	if err := s.move(ctx, tx, f, to, cause, by, text); err != nil {
		return err
	}
	if to == DropDetected {
		return s.wake(ctx, tx, f.FolderID)
	}
	return nil
}

// unique refuses a twin as long as the other file is there: both have one name, and a name is taken once.
func (s *DropFolders) unique(ctx context.Context, tx Tx, f *DropFile) error {
	key := dropKey(f.Name)
	if f.NameKey == key {
		return nil
	}
	other, err := tx.DropFiles().ByKey(ctx, f.FolderID, key)
	switch {
	case CodeOf(err) == NotFound:
	case err != nil:
		return err
	case other.State.Live():
		return E(Conflict, reasonTwin, "The other file of the same name is still there.").Next("Rename or delete one of the two first.")
	default:
		if err := s.supersede(ctx, tx, &other); err != nil {
			return err
		}
	}
	f.NameKey = key
	return nil
}

// wake has a directory or bucket looked at.
func (s *DropFolders) wake(ctx context.Context, tx Tx, folderID string) error {
	if err := tx.DropFolders().SetWake(ctx, folderID, s.Clock()); err != nil {
		return err
	}
	return tx.Enqueue(ctx, ScanDropFolder{FolderID: folderID})
}

// Retry has a file that waits, is in quarantine or was left alone tried again. Of a manifest the items that failed are.
func (s *DropFolders) Retry(ctx context.Context, a Actor, id string) (DropFile, error) {
	return s.act(ctx, a, id, ActRetry, nil, func(tx Tx, f *DropFile) error {
		return s.again(ctx, tx, f, "retry", a, "")
	})
}

// Reprocess imports a file once more with a conversion profile (0 = the folder's). Its bytes replace the content of the entry that
// it has become; they have to be there still: in the directory or bucket, or staged here.
func (s *DropFolders) Reprocess(ctx context.Context, a Actor, id string, profileID int64) (DropFile, error) {
	if profileID < 0 {
		return DropFile{}, E(Invalid, "profile_invalid", "This is no conversion profile.").Next("Give its number, or 0 for the folder's.").At("/conversion_profile_id")
	}
	if err := s.profile(ctx, a, profileID); err != nil {
		return DropFile{}, err
	}
	f, err := s.writable(ctx, a, id)
	if err == nil {
		err = f.may(ActReprocess)
	}
	if err == nil {
		err = s.bytesThere(ctx, f)
	}
	if err != nil {
		return DropFile{}, err
	}
	return s.act(ctx, a, id, ActReprocess, map[string]any{"conversion_profile": profileID}, func(tx Tx, f *DropFile) error {
		if err := s.unique(ctx, tx, f); err != nil {
			return err
		}
		if err := s.anew(ctx, tx, f); err != nil {
			return err
		}
		f.ProfileID, f.FormerState, f.DeleteEntry = profileID, "", false
		f.ReadyAt, f.TryAt, f.Attempt = nil, nil, f.Attempt+1
		return s.move(ctx, tx, f, DropPending, "reprocess", a, "")
	})
}

// writable gives a file to whoever may change it.
func (s *DropFolders) writable(ctx context.Context, a Actor, id string) (DropFile, error) {
	if err := dropWriter(a); err != nil {
		return DropFile{}, err
	}
	f, err := s.Store.DropFiles().Get(ctx, Scope(a.HubID), id)
	if err != nil {
		return DropFile{}, noFileFor(err)
	}
	folder, err := s.Store.DropFolders().Get(ctx, Scope(a.HubID), f.FolderID)
	if err == nil {
		err = s.theirs(ctx, s.Store, a, folder)
	}
	return f, err
}

// profile refuses a conversion profile that the account does not have.
func (s *DropFolders) profile(ctx context.Context, a Actor, id int64) error {
	if id == 0 {
		return nil
	}
	if err := dropWriter(a); err != nil {
		return err
	}
	h, err := s.handOf(ctx, a)
	if err != nil {
		return err
	}
	if err = h.editor.Check(ctx, h.actor, EntryChange{ConversionProfile: ManifestRef{ID: id}}); CodeOf(err) == Invalid {
		e := *AsError(err)
		err = e.At("/conversion_profile_id")
	}
	return err
}

func bytesGone() *Error {
	return E(Conflict, "bytes_gone", "The bytes of this file are no longer here.").Next("Put the file into the folder again.")
}

// bytesThere tells whether a file can be read once more.
func (s *DropFolders) bytesThere(ctx context.Context, f DropFile) error {
	gone := bytesGone()
	folder, err := s.Store.DropFolders().Get(ctx, Scope(f.HubID), f.FolderID)
	if err != nil {
		return err
	}
	if !uploaded(f.Identity) && folder.Source != DropUploads {
		src, err := s.source(ctx, folder)
		if err != nil {
			return err
		}
		_, err = src.Stat(ctx, f.Name)
		_ = src.Close()
		if CodeOf(err) == NotFound {
			err = gone
		}
		return err
	}
	u, err := s.Store.Uploads().Get(ctx, Scope(f.HubID), f.UploadID)
	if CodeOf(err) == NotFound {
		return gone
	}
	if err != nil || u.Replica != s.Replica {
		return err // who has them finds out
	}
	d, err := s.Uploads.Staging.Durable(ctx, u.ID)
	if CodeOf(err) == NotFound || err == nil && !d.Covers(0, u.Size) {
		return gone
	}
	return err
}

// source opens the place of a folder.
func (s *DropFolders) source(ctx context.Context, f DropFolder) (DropSource, error) {
	if s.Sources == nil {
		return nil, E(Precondition, "sources_off", "This server looks at no directories and buckets.").Next("Ask the operator.")
	}
	secret, err := s.secret(f)
	if err != nil {
		return nil, err
	}
	return s.Sources.Open(ctx, f, secret)
}

// MatchTo gives a file to an entry that both the actor and the folder may handle: its bytes become the entry's content.
func (s *DropFolders) MatchTo(ctx context.Context, a Actor, id, entryID string) (DropFile, error) {
	f, err := s.writable(ctx, a, id)
	if err == nil {
		err = f.may(ActMatch)
	}
	if err != nil {
		return DropFile{}, err
	}
	h, err := s.handOf(ctx, a)
	if err != nil {
		return DropFile{}, err
	}
	_, err = h.entry(ctx, entryID)
	if err == nil {
		err = s.mayGive(ctx, f, entryID)
	}
	if err != nil {
		e := *AsError(err)
		return DropFile{}, e.At("/entry_id")
	}
	return s.act(ctx, a, id, ActMatch, map[string]any{"entry_id": entryID}, func(tx Tx, f *DropFile) error {
		if err := s.anew(ctx, tx, f); err != nil {
			return err
		}
		f.EntryID, f.LeadID, f.ByHand, f.Alone = entryID, "", true, false
		return s.again(ctx, tx, f, "match", a, "It was given to the entry "+entryID+" by hand.")
	})
}

// mayGive refuses an entry that the file's folder may not handle, which it does when the file's turn comes.
func (s *DropFolders) mayGive(ctx context.Context, f DropFile, entryID string) error {
	folder, err := s.Store.DropFolders().Get(ctx, Scope(f.HubID), f.FolderID)
	if err != nil {
		return err
	}
	h, err := s.hand(ctx, folder)
	if err != nil {
		return err
	}
	_, err = h.entry(ctx, entryID)
	return err
}

// Take says of a file of a directory that it is whole, and of one that waits for others, or has waited in vain, that it is to be
// imported by itself: as an entry of its own when it was an entry that it waited for. One that goes on growing is not imported all the same.
func (s *DropFolders) Take(ctx context.Context, a Actor, id string) (DropFile, error) {
	return s.act(ctx, a, id, ActTake, nil, func(tx Tx, f *DropFile) error {
		f.Alone = f.Alone || f.State == DropNoMatch || f.Reason == reasonNoMatch
		f.ByHand, f.LeadID, f.ItemID, f.TryAt, f.Attempt = true, "", "", nil, f.Attempt+1
		return s.move(ctx, tx, f, DropPending, "take", a, "")
	})
}

// Keep says that a file is never deleted by itself, or leaves that to the folder again.
func (s *DropFolders) Keep(ctx context.Context, a Actor, id string, keep bool) (DropFile, error) {
	return s.act(ctx, a, id, ActKeep, map[string]any{"keep": keep}, func(tx Tx, f *DropFile) error {
		if f.Kept == keep {
			return errUnchanged
		}
		f.Kept = keep
		if keep && f.State == DropDue {
			return s.move(ctx, tx, f, DropReady, "keep", a, "It is kept.")
		}
		if err := tx.DropFiles().Update(ctx, f); err != nil || keep || f.State != DropReady {
			return err
		}
		folder, err := tx.DropFolders().Get(ctx, AnyHub, f.FolderID)
		if err != nil {
			return err
		}
		return s.plan(ctx, tx, folder, f)
	})
}

// Ignore leaves a file alone until somebody has it tried again or another one has its name.
func (s *DropFolders) Ignore(ctx context.Context, a Actor, id string) (DropFile, error) {
	return s.act(ctx, a, id, ActIgnore, nil, func(tx Tx, f *DropFile) error {
		return s.move(ctx, tx, f, DropIgnored, "ignore", a, "")
	})
}

// DeletePlan says what deleting a file would do; it changes nothing.
func (s *DropFolders) DeletePlan(ctx context.Context, a Actor, id string) (DropDeletePlan, error) {
	f, err := s.File(ctx, a, id)
	if err != nil {
		return DropDeletePlan{}, err
	}
	folder, err := s.Store.DropFolders().Get(ctx, Scope(a.HubID), f.FolderID)
	if err != nil {
		return DropDeletePlan{}, err
	}
	p := DropDeletePlan{
		File: f, Source: folder.Source != DropUploads && !uploaded(f.Identity), Entry: f.EntryID, Until: s.Clock().Add(DropUndoTime),
	}
	if err := f.may(ActDelete); err != nil {
		e := AsError(err)
		p.Blocked = &Problem{e.Reason, e.Message, e.NextStep}
	}
	if f.EntryID == "" {
		return p, nil
	}
	if p.Others, err = s.Store.DropFiles().OthersWithEntry(ctx, Scope(a.HubID), f.EntryID, f.ID); err != nil {
		return p, err
	}
	items, err := s.Store.Library().OfEntries(ctx, folder.IntegrationID, []string{f.EntryID}, Slice{Limit: 500})
	if err != nil {
		return p, err
	}
	for _, it := range items {
		if it.Kind == ItemCopy {
			p.Copies++
		} else {
			p.Items++
		}
	}
	ask, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	h, err := s.handOf(ask, a)
	if err != nil {
		return p, nil // the title is a courtesy
	}
	m, err := h.entry(ask, f.EntryID)
	if IsReason(err, "entry_not_found") {
		p.Entry = "" // gone, or not this person's to delete
	}
	p.EntryTitle = m.Name
	return p, nil
}

// DeleteFile has a file deleted when DropUndoTime is over, and with entry set its entry, too. Conflict while it is being imported or
// processed.
func (s *DropFolders) DeleteFile(ctx context.Context, a Actor, id string, entry bool) (DropFile, error) {
	if entry {
		f, err := s.writable(ctx, a, id)
		if err != nil {
			return DropFile{}, err
		}
		if f.EntryID == "" {
			return DropFile{}, E(Conflict, "no_entry", "The file has become no entry.").Next("Delete the file alone.").At("/entry")
		}
		h, err := s.handOf(ctx, a)
		if err == nil {
			_, err = h.entry(ctx, f.EntryID)
		}
		if err != nil {
			return DropFile{}, err
		}
	}
	return s.act(ctx, a, id, ActDelete, map[string]any{"entry": entry}, func(tx Tx, f *DropFile) error {
		at := s.Clock().Add(DropUndoTime)
		f.FormerState = f.State
		if f.State == DropDue { // by the folder's policy
			f.FormerState = DropReady
			if err := s.move(ctx, tx, f, DropReady, "delete", a, "Somebody deletes it before its time."); err != nil {
				return err
			}
		}
		f.DeleteAt, f.DeleteEntry = &at, entry
		text := "It will be deleted; until then that can be taken back."
		if entry {
			text = fmt.Sprintf("It will be deleted, and the entry %s, too; until then that can be taken back.", f.EntryID)
		}
		return s.move(ctx, tx, f, DropDue, "delete", a, text)
	})
}

// Undo takes back that a file is deleted by hand.
func (s *DropFolders) Undo(ctx context.Context, a Actor, id string) (DropFile, error) {
	return s.act(ctx, a, id, ActUndo, nil, func(tx Tx, f *DropFile) error {
		to := f.FormerState
		f.FormerState, f.DeleteEntry = "", false
		if to == DropWaiting || to == DropNoMatch {
			to = DropPending // finds out anew what it waits for
		}
		return s.move(ctx, tx, f, to, "undo", a, "It is not deleted.")
	})
}
