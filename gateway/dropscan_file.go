package gateway

import (
	"context"
	"strings"
	"time"
)

// What a look makes of one file: whether it is known, whole, changed, back.

// unseen tells whether a file got its name by a rename that nobody saw: in a folder whose files are renamed when they are
// whole, its inode changed after its last write, and nothing since.
func (l *dropLook) unseen(e DropEntry, since time.Time) bool {
	return l.f.Complete.Rename != "" && e.Moved && !l.rules.isWriting(e.Name) && l.s.Clock().Sub(since) >= unseenTime
}

// doubtful tells whether people are to be told that a file lies there and nothing says that it is whole.
func (l *dropLook) doubtful(state DropState, reason, name string, since time.Time) bool {
	return (state == DropDetected || state == DropUploading) && reason == "" && !l.rules.isWriting(name) && l.s.Clock().Sub(since) >= doubtTime
}

// unsettled are the states in which an unchanged file may have become whole.
func unsettled(s DropState) bool { return s == DropDetected || s == DropUploading || s == DropParsed }

// undecided tells, without a look at its row, that an unchanged file cannot have become whole.
func (l *dropLook) undecided(k DropKnown, e DropEntry) bool {
	c := l.f.Complete
	_, marked := l.markers[e.Name]
	if k.State == DropParsed || marked || e.Whole || k.NamedSize > 0 && k.NamedSize == e.Size || c == (DropComplete{}) || k.SizeSetAt == nil ||
		l.unseen(e, *k.SizeSetAt) || l.doubtful(k.State, k.Reason, k.Name, *k.SizeSetAt) ||
		c.StableS > 0 && l.s.Clock().Sub(*k.SizeSetAt) >= time.Duration(c.StableS)*time.Second {
		return false
	}
	l.unsure++
	return true
}

// uploaded tells whether an identity is of a file that was sent to us.
func uploaded(identity string) bool { return strings.HasPrefix(identity, uploadIdentity) }

const uploadIdentity = "upload:"

// note writes down how a file is seen.
func (l *dropLook) note(f *DropFile, e DropEntry) {
	if !SameDropContent(f.Identity, e.Identity) || f.SizeSetAt == nil {
		now := l.s.Clock()
		f.SizeSetAt = &now
		if f.Reason == reasonUnfinished {
			f.Reason, f.Text, f.NextStep = "", "", ""
		}
	}
	at := e.ModifiedAt
	f.Size, f.ModifiedAt, f.Identity = e.Size, &at, e.Identity
}

// known compares a file with its row; again tells that it is to be taken as a new file.
func (l *dropLook) known(ctx context.Context, tx Tx, f *DropFile, e DropEntry) (again bool, _ error) {
	same := SameDropContent(f.Identity, e.Identity)
	by := system(l.f.HubID)
	switch {
	case f.State.Busy():
		return false, nil // its end decides
	case uploaded(f.Identity) && !f.State.Over():
		return false, nil
	case unsettled(f.State):
		was := f.State
		l.note(f, e)
		switch whole, cause := l.whole(e, f); {
		case whole:
			return false, l.s.move(ctx, tx, f, DropPending, cause, by, "")
		case was == DropParsed:
			return false, l.s.move(ctx, tx, f, DropDetected, "scan", by, "")
		case !same && was == DropDetected:
			return false, l.s.move(ctx, tx, f, DropUploading, "scan.changed", by, "It is still being written.")
		case !same:
			return false, tx.DropFiles().Update(ctx, f)
		case f.SizeSetAt != nil && l.doubtful(f.State, f.Reason, f.Name, *f.SizeSetAt):
			return false, l.doubt(ctx, tx, f)
		}
		return false, nil
	case same && f.State == DropGone:
		l.note(f, e)
		return false, l.back(ctx, tx, f)
	case same && f.State == DropDeleted && f.ModifiedAt != nil && e.ModifiedAt.After(*f.ModifiedAt): // an object that was put there anew
		return true, l.s.supersede(ctx, tx, f)
	case same:
		return false, nil
	case isOdd(f.NameKey) && (f.State == DropQuarantined || f.State == DropIgnored): // whatever is in it, it is not taken
		l.note(f, e)
		return false, tx.DropFiles().Update(ctx, f)
	case f.State == DropDue && unsettled(f.FormerState) && SameDropFile(f.Identity, e.Identity):
		l.note(f, e) // somebody deletes it, and it goes on growing
		return false, tx.DropFiles().Update(ctx, f)
	case f.State.Over() || f.State == DropDue:
		return true, l.s.supersede(ctx, tx, f)
	}
	if f.Manifest { // its items are of what it was: what it is now is another manifest
		if err := l.s.move(ctx, tx, f, DropGone, "scan.changed", by, "It was replaced before it was run."); err != nil {
			return false, err
		}
		return true, l.s.supersede(ctx, tx, f)
	}
	// Changed before its turn came.
	l.note(f, e)
	if err := l.s.letGo(ctx, tx, f.UploadID); err != nil { // what was read of it is of another content
		return false, err
	}
	f.UploadID, f.SHA256 = "", ""
	return false, l.s.move(ctx, tx, f, DropDetected, "scan.changed", by, "It changed after it was taken for whole.")
}

// doubt says of a file that stays as it is what is missing.
func (l *dropLook) doubt(ctx context.Context, tx Tx, f *DropFile) error {
	f.Reason, f.Text = reasonUnfinished, "Nothing says that the file is whole."
	f.NextStep = "Have its sender say so as the folder has it, by a marker or a rename; or take it by hand if you know that it is whole."
	if err := tx.DropFiles().Update(ctx, f); err != nil {
		return err
	}
	c := dropChange(*f, "scan", system(f.HubID).Subject(), "", l.s.Clock())
	return tx.DropChanges().Insert(ctx, &c)
}

// back makes a file that was gone what it was before: what was left alone, or is a twin, is not taken now.
func (l *dropLook) back(ctx context.Context, tx Tx, f *DropFile) error {
	by, was := system(f.HubID), f.FormerState
	f.FormerState = ""
	switch {
	case isTwin(f.NameKey):
		return l.s.aside(ctx, tx, f, "scan.back", twinError())
	case was == DropIgnored:
		return l.s.move(ctx, tx, f, DropIgnored, "scan.back", by, "It is there again.")
	case f.ReadyAt == nil:
		return l.s.move(ctx, tx, f, DropDetected, "scan.back", by, "It is there again.")
	}
	if err := l.s.move(ctx, tx, f, DropReady, "scan.back", by, "It is there again."); err != nil {
		return err
	}
	return l.s.plan(ctx, tx, l.f, f)
}

func (l *dropLook) manifest(e DropEntry) bool {
	return l.s.Manifests != nil && e.Odd == "" && l.s.Manifests.Format(e.Name) != ""
}

// whole tells whether a file is known to be complete, and by what. row is nil of one that is seen for the first time.
func (l *dropLook) whole(e DropEntry, row *DropFile) (bool, string) {
	if l.rules.isWriting(e.Name) {
		return false, ""
	}
	c := l.f.Complete
	if marker, marked := l.markers[e.Name]; marked && !marker.Before(e.ModifiedAt) {
		return true, "scan.marker" // a marker that is older than the content was for another content
	}
	if e.Whole {
		return true, "scan.whole"
	}
	if l.finished[e.Name] {
		return true, "scan.renamed"
	}
	if row != nil && row.SizeSetAt != nil {
		still := l.s.Clock().Sub(*row.SizeSetAt)
		switch {
		case l.unseen(e, *row.SizeSetAt):
			return true, "scan.renamed"
		case c.StableS > 0 && still >= time.Duration(c.StableS)*time.Second:
			return true, "scan.stable"
		case c == DropComplete{} && row.Manifest && l.s.Manifests.Format(e.Name) != ManifestCSV && still >= settleTime:
			return true, "scan.manifest" // one that is cut off cannot be read, and is refused whole; of CSV it could
		case row.LeadID != "" && row.NamedSize > 0 && row.NamedSize == e.Size && still >= settleTime:
			return true, "scan.named" // it has what its manifest says
		}
	}
	l.unsure++
	return false, ""
}

// fresh makes the row of a file that is seen for the first time; take is false of one that is left alone.
func (l *dropLook) fresh(e DropEntry, key string) (_ DropFile, take bool) {
	manifest := l.manifest(e)
	f := DropFile{
		Row: Row{ID: NewID("dfi"), HubID: l.f.HubID}, FolderID: l.f.ID, Name: e.Name, NameKey: key, Manifest: manifest, State: DropDetected,
	}
	l.note(&f, e)
	if e.Odd != "" {
		f.State, f.Reason = DropQuarantined, e.Odd
		f.Text, f.NextStep = "The file's name cannot be taken.", "Rename it: valid text, and not too long or too deep."
		return f, true
	}
	switch l.rules.left(e.Name, manifest) {
	case "":
	case leftWriting:
		f.State = DropUploading
		return f, true
	default:
		return f, false
	}
	if isTwin(key) {
		e := twinError()
		f.State, f.Reason, f.Text, f.NextStep = DropQuarantined, e.Reason, e.Message, e.NextStep
	}
	return f, true
}

// insert writes new rows with their first lines, and tells once that there are some.
func (l *dropLook) insert(ctx context.Context, tx Tx, fresh []DropFile) error {
	if len(fresh) == 0 {
		return nil
	}
	if !l.counted { // once: counting takes long where there are many
		var err error
		if l.files, l.bytes, err = l.s.room(ctx, tx, l.f); err != nil {
			return err
		}
		l.counted = true
	}
	kept := fresh[:0:0]
	for _, f := range fresh {
		if f.State != DropQuarantined {
			if l.files <= 0 || f.Size > l.bytes {
				l.full = true
				continue
			}
			l.files, l.bytes = l.files-1, l.bytes-f.Size
		}
		kept = append(kept, f)
	}
	pending := false
	whole := map[string]string{}
	for i := range kept {
		if kept[i].State != DropDetected {
			continue
		}
		e := DropEntry{Name: kept[i].Name, Identity: kept[i].Identity, ModifiedAt: *kept[i].ModifiedAt, Size: kept[i].Size, Whole: l.f.Source == DropBucket}
		if ok, cause := l.whole(e, nil); ok {
			at := l.s.Clock()
			kept[i].State, kept[i].WholeAt, pending = DropPending, &at, true
			whole[kept[i].ID] = cause
		}
	}
	in, err := tx.DropFiles().InsertAll(ctx, kept)
	if err != nil || len(in) == 0 {
		return err
	}
	at := l.s.Clock()
	lines := make([]DropChange, 0, len(in))
	for _, f := range in {
		cause := "scan"
		if c := whole[f.ID]; c != "" {
			cause = c
		}
		lines = append(lines, dropChange(f, cause, system(f.HubID).Subject(), "", at))
	}
	if err := tx.DropChanges().InsertAll(ctx, lines); err != nil {
		return err
	}
	if pending {
		if err := tx.Enqueue(ctx, FeedDropFolder{FolderID: l.f.ID}); err != nil {
			return err
		}
	}
	return l.s.Events.Append(ctx, tx, l.f.HubID, AudienceContent, "drop_folder.scanned", l.f.ID, l.f.news())
}
