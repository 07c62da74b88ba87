package gateway

import (
	"context"
	"errors"
	"path"
	"slices"
	"time"
	"unicode/utf8"
)

// decide finds out what a whole file becomes: the content of an entry that exists, a new entry, or it waits.
func (s *DropFolders) decide(ctx context.Context, folder DropFolder, f DropFile) error {
	rules, err := rulesOf(folder)
	if err != nil {
		return err
	}
	reading, err := rules.read(f.Name)
	if err != nil {
		return err
	}
	var h hand
	if f.EntryID != "" || folder.Match != MatchAdd || reading.Flavor != "" {
		if h, err = s.hand(ctx, folder); err != nil {
			return err
		}
	}
	entryID := f.EntryID // chosen by hand, or of an earlier try
	if entryID != "" {
		_, err := h.entry(ctx, entryID)
		if IsReason(err, "entry_not_found") && !f.ByHand { // deleted since
			entryID, err = "", nil
		}
		if err != nil {
			return err
		}
	}
	if entryID == "" && (folder.Match != MatchAdd || reading.Flavor != "") {
		found, err := h.referred(ctx, reading.ReferenceID, f.ID)
		if err != nil {
			return err
		}
		switch {
		case len(found) > 0:
			entryID = found[0].ID
		case f.Alone:
			reading.Flavor = ""
		case folder.Match == MatchOrWait || reading.Flavor != "":
			return s.noMatch(ctx, folder, f, reading)
		}
	}
	if entryID != "" {
		if err := h.mayTouch(ctx, Media{ID: entryID}, ManifestItem{}, ""); err != nil {
			return err
		}
	}
	if err := s.reachable(ctx, folder, f); err != nil {
		return err
	}
	started, err := s.changeFile(ctx, f.ID, func(tx Tx, row *DropFile) error {
		if row.Version != f.Version || row.LeadID != "" {
			return &Snooze{time.Second} // something happened: look again
		}
		if folder.Match != MatchAdd && reading.Flavor == "" { // those of one reference id go one after the other
			if err := s.makes(ctx, tx, h.Integration, reading.ReferenceID, f.ID); err != nil {
				return err
			}
		}
		if row.EntryID != "" && row.EntryID != entryID {
			if err := s.anew(ctx, tx, row); err != nil {
				return err
			}
		}
		row.Attempt++
		row.ReferenceID, row.Flavor, row.UserID, row.EntryID = reading.ReferenceID, reading.Flavor, reading.UserID, entryID
		text := ""
		if entryID != "" {
			text = "It becomes the content of the entry " + entryID + "."
		}
		return s.move(ctx, tx, row, DropImporting, "import", system(row.HubID), text)
	})
	if err != nil {
		return err
	}
	return s.importFile(ctx, folder, started)
}

// reachable asks for a file where it lies before it takes a place among those at work: a disk that is not mounted
// or a replica that is gone would have all places taken, and every file's timeline written, for nothing. What the fetch
// finds out is left to it.
func (s *DropFolders) reachable(ctx context.Context, folder DropFolder, f DropFile) error {
	if uploaded(f.Identity) {
		u, err := s.Store.Uploads().Get(ctx, AnyHub, f.UploadID)
		if err != nil {
			return ignoreNotFound(err)
		}
		return s.away(ctx, f, u)
	}
	src, err := s.source(ctx, folder)
	if err != nil {
		return err
	}
	_, err = src.Stat(ctx, f.Name)
	_ = src.Close() // only read
	return ignoreNotFound(err)
}

// noMatch lets a file wait for an entry with its reference id, seldom asking, and not for ever.
func (s *DropFolders) noMatch(ctx context.Context, folder DropFolder, f DropFile, reading DropReading) error {
	now := s.Clock()
	if f.State == DropNoMatch && !now.Before(s.waitUntil(folder, f)) {
		return E(NotFound, reasonNoMatch, "No entry with the reference id "+cutText(reading.ReferenceID, 200)+" came in time.").
			Next("Make the entry and try this file again; or match it to one by hand; or take it as an entry of its own.")
	}
	_, err := s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
		if f.State != DropPending && f.State != DropNoMatch && f.State != DropWaiting {
			return errUnchanged
		}
		age := time.Duration(0)
		if f.WholeAt != nil {
			age = now.Sub(*f.WholeAt)
		}
		again := now.Add(grown(age, 15*time.Second, 5*time.Minute))
		f.ReferenceID, f.Flavor, f.UserID = reading.ReferenceID, reading.Flavor, reading.UserID
		f.WaitingFor, f.TryAt = []string{"entry:" + reading.ReferenceID}, &again
		if f.State == DropNoMatch {
			return tx.DropFiles().Update(ctx, f)
		}
		return s.move(ctx, tx, f, DropNoMatch, "match", system(f.HubID), "No entry has the reference id "+cutText(reading.ReferenceID, 200)+" yet.")
	})
	return err
}

// importFile brings a file's bytes here, hands them to the platform, and describes the entry once it exists.
func (s *DropFolders) importFile(ctx context.Context, folder DropFolder, f DropFile) error {
	u, err := s.stage(ctx, folder, f)
	if err != nil {
		return err
	}
	switch u.State {
	case UploadReceiving:
		return &Snooze{time.Second}
	case UploadHeld, UploadFailed:
		return s.handOver(ctx, folder, f, u)
	case UploadIngesting:
		return nil // the upload tells when the entry exists
	case UploadProcessing, UploadReady:
		return s.describe(ctx, folder, f, u)
	}
	return errors.Join(u.Ended()) // cancelled or expired
}

// handOver lets the upload go to the platform, unless the same bytes were taken under this name before.
func (s *DropFolders) handOver(ctx context.Context, folder DropFolder, f DropFile, u Upload) error {
	rules, err := rulesOf(folder)
	if err != nil {
		return err
	}
	reading, err := rules.read(f.Name)
	if err != nil {
		return err
	}
	same, err := s.sameBefore(ctx, folder, f, u)
	if err != nil {
		return err
	}
	return retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			row, err := tx.DropFiles().Get(ctx, AnyHub, f.ID)
			if err != nil {
				return err
			}
			now, err := tx.Uploads().Get(ctx, AnyHub, u.ID)
			if err != nil {
				return err
			}
			if row.State != DropImporting || row.Attempt != f.Attempt || row.UploadID != u.ID || now.State != UploadHeld && now.State != UploadFailed {
				return nil // somebody else was first
			}
			if same != "" {
				row.EntryID, row.SHA256 = same, now.SHA256
				if err := s.letGo(ctx, tx, now.ID); err != nil {
					return err
				}
				return s.ready(ctx, tx, &row, "import.same", "The same bytes were imported before under this name.")
			}
			// The platform takes what it was sent once, and another account has never seen it.
			if now.EntryID != "" || now.IntegrationID != folder.IntegrationID {
				if err := tx.Uploads().SetRelay(ctx, now.ID, "", nil); err != nil {
					return err
				}
			}
			now.IntegrationID = folder.IntegrationID
			now.Replaces, now.Flavor, now.ProfileID = row.EntryID, row.Flavor, folder.Origin.ConversionProfileID
			if row.ProfileID != 0 {
				now.ProfileID = row.ProfileID
			}
			now.Name, now.Tags = path.Base(row.Name), merged(now.Tags, reading.Tags)
			if !uploaded(row.Identity) { // else its sender may have said one
				now.Title = titleOf("", now.Name)
			}
			typ := "upload.finished"
			if now.State == UploadFailed {
				typ = "upload.retried"
			}
			now.State, now.EntryID, now.Progress = UploadIngesting, "", 0
			now.clear()
			if err := tx.Uploads().Update(ctx, &now); err != nil {
				return err
			}
			if err := tx.Enqueue(ctx, IngestUpload{UploadID: now.ID}); err != nil {
				return err
			}
			return s.Uploads.tell(ctx, tx, now, typ)
		})
	})
}

// merged gives tags, and those of more that are not among them.
func merged(tags, more []string) []string {
	out := slices.Clone(tags)
	for _, t := range more {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// sameBefore gives the entry that the same bytes became under this name before, if it is still there; "" = none.
func (s *DropFolders) sameBefore(ctx context.Context, folder DropFolder, f DropFile, u Upload) (entryID string, _ error) {
	if f.EntryID != "" || f.ProfileID != 0 || u.EntryID != "" {
		return "", nil
	}
	former, err := s.Store.DropFiles().Former(ctx, f.FolderID, f.NameKey, u.SHA256)
	if err != nil || former.EntryID == "" || former.ReadyAt == nil {
		return "", ignoreNotFound(err)
	}
	h, err := s.hand(ctx, folder)
	if err != nil {
		return "", err
	}
	m, err := h.entry(ctx, former.EntryID)
	if IsReason(err, "entry_not_found") {
		return "", nil
	}
	return m.ID, err
}

// anew has a file's bytes handed to the platform once more: those that were belong to an entry. What was sent to us is
// sent on from here; everything else is fetched again.
func (s *DropFolders) anew(ctx context.Context, tx Tx, f *DropFile) error {
	if f.UploadID == "" {
		return nil
	}
	u, err := tx.Uploads().Get(ctx, AnyHub, f.UploadID)
	if ignoreNotFound(err) != nil {
		return err
	}
	switch {
	case u.State == UploadReceiving, u.State == UploadHeld, u.State == UploadFailed && u.EntryID == "":
		return nil
	case u.State == UploadIngesting:
		return E(Conflict, "file_busy", "The file is being imported.").Next("Wait until that is done.")
	case !uploaded(f.Identity):
		f.UploadID, f.SHA256 = "", ""
		return nil
	case err != nil || u.State != UploadProcessing && u.State != UploadFailed:
		return bytesGone()
	}
	u.State, u.Progress = UploadHeld, 0
	u.clear()
	return tx.Uploads().Update(ctx, &u)
}

// describe gives a new entry its real reference id, owner and categories. Only now, when its id is written down: until
// then it is found by ours. All of it is idempotent.
func (s *DropFolders) describe(ctx context.Context, folder DropFolder, f DropFile, u Upload) error {
	h, err := s.hand(ctx, folder)
	if err != nil {
		return err
	}
	rules, err := rulesOf(folder)
	if err != nil {
		return err
	}
	reading, err := rules.read(f.Name)
	if err != nil {
		return err
	}
	var c EntryChange
	text := "The entry " + u.EntryID + " exists and is being converted."
	switch no := h.allowed(reading.UserID, "file"); {
	case reading.UserID == "", u.Replaces != "" && !reading.UserNamed: // an entry that was there stays its owner's
	case no == nil:
		c.UserID = &reading.UserID
	default:
		text += " It is not given to the user " + cutText(reading.UserID, 200) + ": " + no.Message
	}
	if u.Replaces == "" {
		if utf8.RuneCountInString(reading.ReferenceID) > 1 { // Kaltura takes no shorter one
			c.ReferenceID = &reading.ReferenceID
		}
		if reading.Category != "" {
			c.Categories = &[]string{reading.Category}
		}
	}
	if c.UserID != nil || c.ReferenceID != nil || c.Categories != nil {
		if _, err := h.editor.Edit(ctx, h.actor, u.EntryID, c); err != nil {
			return blamed(AsError(err), reasonUpdate)
		}
	}
	row, err := s.changeFile(ctx, f.ID, func(tx Tx, row *DropFile) error {
		if row.State != DropImporting || row.UploadID != u.ID {
			return errUnchanged
		}
		row.EntryID = u.EntryID
		return s.move(ctx, tx, row, DropProcessing, "entry.made", system(row.HubID), text)
	})
	if err != nil || row.State != DropProcessing {
		return err
	}
	return s.settleFile(ctx, folder, row)
}

// refusal is why an upload that failed made no entry, or gave one no content.
func (u Upload) refusal() *Error {
	reason := reasonAdd
	if u.Replaces != "" {
		reason = reasonContent
	}
	return blamed(E(Invalid, u.ErrorCode, u.ErrorText).Next("%s", u.NextStep), reason)
}

// settleFile ends a file whose entry is ready.
func (s *DropFolders) settleFile(ctx context.Context, _ DropFolder, f DropFile) error {
	if f.LeadID != "" {
		return nil
	}
	_, err := s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
		if f.State != DropProcessing {
			return errUnchanged
		}
		u, err := tx.Uploads().Get(ctx, AnyHub, f.UploadID)
		switch {
		case err != nil:
			return err
		case u.State == UploadReady:
			return s.ready(ctx, tx, f, "upload.ready", "")
		case u.State == UploadFailed:
			return s.aside(ctx, tx, f, "upload.failed", u.refusal())
		}
		return errUnchanged
	})
	return err
}

// ready ends a file well, and says when it will be deleted if its folder has it so.
func (s *DropFolders) ready(ctx context.Context, tx Tx, f *DropFile, cause, text string) error {
	f.ReadyAt = nil
	if err := s.move(ctx, tx, f, DropReady, cause, system(f.HubID), text); err != nil {
		return err
	}
	folder, err := tx.DropFolders().Get(ctx, AnyHub, f.FolderID)
	if err != nil {
		return err
	}
	return s.plan(ctx, tx, folder, f)
}

// plan makes a ready file due for deletion when its folder says so. Files that were sent to us lie nowhere else.
func (s *DropFolders) plan(ctx context.Context, tx Tx, folder DropFolder, f *DropFile) error {
	if f.Kept || folder.Delete == DeleteManually || folder.Delete == "" || uploaded(f.Identity) || folder.DeletedAt != nil || f.ReadyAt == nil {
		return nil
	}
	at := *f.ReadyAt
	if folder.Delete == DeleteAfterDays {
		at = at.Add(time.Duration(folder.DeleteDays) * 24 * time.Hour)
	}
	f.DeleteAt, f.FormerState = &at, ""
	if err := s.move(ctx, tx, f, DropDue, "policy", system(f.HubID), "The folder deletes its files when they are done."); err != nil {
		return err
	}
	if at.After(s.Clock()) {
		return nil
	}
	return tx.Enqueue(ctx, HandleDropFile{FileID: f.ID})
}
