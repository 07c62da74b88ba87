package gateway

import (
	"context"
	"io"
	"path"
	"time"
)

// restartTime is how long a replica may give no sign of life before what lies with it is fetched anew: a restart takes less.
const restartTime = 2 * time.Minute

// gone tells whether a replica does not live, and was not seen here for longer than a restart takes.
func (s *DropFolders) gone(ctx context.Context, replica string) (bool, error) {
	alive, err := s.Store.Replicas().Alive(ctx, replica)
	if err != nil {
		return false, err
	}
	s.silent.Lock()
	defer s.silent.Unlock()
	since, known := s.silent.since[replica]
	switch {
	case alive:
		delete(s.silent.since, replica)
	case !known:
		if s.silent.since == nil {
			s.silent.since = map[string]time.Time{}
		}
		s.silent.since[replica] = s.Clock()
	}
	return !alive && known && s.Clock().Sub(since) >= restartTime, nil
}

// staged gives the upload that carries a file's bytes, after fetching them if need be.
func (s *DropFolders) staged(ctx context.Context, folder DropFolder, f DropFile) (string, error) {
	u, err := s.stage(ctx, folder, f)
	return u.ID, err
}

// errChanged says that a file was not the same before and after it was read. The scan decides anew when it is whole.
func errChanged() *Error {
	return E(Conflict, "changed_while_read", "The file was changed while it was read.").Next("Nothing to do: it is taken when it is whole.")
}

// stage brings the bytes of a file from where it lies into an upload, and checks that it was the same before and after.
// It goes on after the durable bytes of an earlier run. Conflict with reason "changed_while_read" or "file_gone": the
// row has been put back then.
func (s *DropFolders) stage(ctx context.Context, folder DropFolder, f DropFile) (Upload, error) {
	if !s.bytes.enter(f.ID) {
		return Upload{}, &Snooze{time.Second}
	}
	defer s.bytes.leave(f.ID)
	u, err := s.carrier(ctx, folder, &f)
	if err != nil || u.State != UploadReceiving {
		return u, err
	}
	if uploaded(f.Identity) { // its sender has not finished
		return u, &Snooze{time.Second}
	}
	err = s.fetchInto(ctx, folder, f, u)
	if e := AsError(err); err != nil && ctx.Err() == nil && e.Code == Internal && e.Reason == "" {
		err = E(Internal, reasonStaging, "The file could not be stored here.").Next("Ask the operator to look at this server's disk; then try it again.").Because(err)
	}
	if IsReason(err, "changed_while_read") || IsReason(err, "file_gone") {
		return u, s.putBack(context.WithoutCancel(ctx), f, u, AsError(err))
	}
	if err != nil {
		return u, err
	}
	sum, err := s.Uploads.Staging.Sum(ctx, u.ID, u.Size)
	if err != nil {
		return u, err
	}
	err = retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			row, err := tx.DropFiles().Get(ctx, AnyHub, f.ID)
			if err != nil {
				return err
			}
			now, err := tx.Uploads().Get(ctx, AnyHub, u.ID)
			if err != nil {
				return err
			}
			if row.UploadID != u.ID || now.State != UploadReceiving {
				return &Snooze{time.Second}
			}
			at := s.Clock()
			now.State, now.SHA256, now.FinishedAt, now.ExpiresAt = UploadHeld, sum, &at, at.Add(s.Uploads.Life)
			row.SHA256 = sum
			if err := tx.Uploads().Update(ctx, &now); err != nil {
				return err
			}
			u = now
			return tx.DropFiles().Update(ctx, &row)
		})
	})
	return u, err
}

// carrier gives the upload of a file, after making it if need be, with its place on disk.
func (s *DropFolders) carrier(ctx context.Context, folder DropFolder, f *DropFile) (Upload, error) {
	old := ""
	if f.UploadID != "" {
		u, err := s.Store.Uploads().Get(ctx, AnyHub, f.UploadID)
		switch {
		case CodeOf(err) == NotFound:
		case err != nil:
			return u, err
		case (u.State == UploadReceiving || u.State == UploadHeld) && u.Replica != s.Uploads.Replica && !uploaded(f.Identity):
			switch gone, err := s.gone(ctx, u.Replica); {
			case err != nil:
				return u, err
			case !gone: // that process will draw this task too
				return u, &Snooze{time.Second}
			}
			old = u.ID
		case uploaded(f.Identity):
			return u, s.away(ctx, *f, u)
		case !s.lost(u) && SameDropContent(u.Fingerprint, f.Identity):
			return u, nil
		default:
			old = u.ID
		}
	}
	if uploaded(f.Identity) {
		return Upload{}, E(NotFound, reasonUnreadable, "The file's bytes are no longer here.").Next("Send the file again.")
	}
	now := s.Clock()
	n := Upload{
		Row: Row{ID: NewID("upl"), HubID: f.HubID}, IntegrationID: folder.IntegrationID, Name: path.Base(f.Name), Title: titleOf("", path.Base(f.Name)),
		Size: f.Size, FolderID: folder.ID, DropFileID: f.ID, Fingerprint: f.Identity, State: UploadReceiving, Replica: s.Uploads.Replica,
		ExpiresAt: now.Add(s.Uploads.Life),
	}
	if err := s.Uploads.Staging.Create(ctx, n.ID, n.Size); err != nil {
		return n, err
	}
	row, err := s.changeFile(ctx, f.ID, func(tx Tx, row *DropFile) error {
		if row.Version != f.Version {
			return &Snooze{time.Second}
		}
		if err := s.letGo(ctx, tx, old); err != nil {
			return err
		}
		if err := s.Uploads.quota(ctx, tx, n.HubID, n.Size, ""); err != nil {
			return err
		}
		fresh := n
		if err := tx.Uploads().Insert(ctx, &fresh); err != nil {
			return err
		}
		n.Row = fresh.Row
		row.UploadID, row.SHA256 = n.ID, ""
		return tx.DropFiles().Update(ctx, row)
	})
	if err != nil {
		_ = s.Uploads.Staging.Remove(context.WithoutCancel(ctx), n.ID) // else the sweep does it
		return n, err
	}
	*f = row
	return n, nil
}

// elsewhere tells whether the bytes of a file that was sent to us lie with another replica, and only there.
func (s *DropFolders) elsewhere(f DropFile, u Upload) bool {
	return uploaded(f.Identity) && u.State == UploadHeld && u.Replica != s.Uploads.Replica
}

// away says that they do, and that nobody takes them there; nil when they do not.
func (s *DropFolders) away(ctx context.Context, f DropFile, u Upload) error {
	if !s.elsewhere(f, u) {
		return nil
	}
	switch gone, err := s.gone(ctx, u.Replica); {
	case err != nil:
		return err
	case !gone: // that process will draw this task too
		return &Snooze{time.Second}
	}
	return E(Unavailable, reasonAway, "The file's bytes lie with another server of this installation, which is not running.").
		Next("It goes on by itself when that server is back; if that server is gone for good, send the file again.")
}

// lost tells whether the bytes of an upload are gone, or will be soon.
func (s *DropFolders) lost(u Upload) bool {
	return u.State == UploadCancelled || u.State == UploadExpired || u.State == UploadFailed && !s.Clock().Before(u.ExpiresAt)
}

// strand gives up what another replica was to hand to the platform when that is gone, and has it fetched again. What was sent
// to us lies nowhere else, and waits for that replica.
func (s *DropFolders) strand(ctx context.Context, u Upload) error {
	if s == nil || u.DropFileID == "" {
		return nil
	}
	if gone, err := s.gone(ctx, u.Replica); err != nil || !gone {
		return err
	}
	_, err := s.changeFile(ctx, u.DropFileID, func(tx Tx, f *DropFile) error {
		now, err := tx.Uploads().Get(ctx, AnyHub, u.ID)
		if err != nil {
			return err
		}
		if f.UploadID != u.ID || now.State != UploadIngesting || now.Version != u.Version {
			return errUnchanged
		}
		if uploaded(f.Identity) { // an entry that was made of it is found when that replica is back
			now.State, now.Progress = UploadHeld, 0
			now.clear()
			err = tx.Uploads().Update(ctx, &now)
		} else if err = s.cancel(ctx, tx, now); err == nil {
			f.UploadID, f.SHA256 = "", ""
			err = tx.DropFiles().Update(ctx, f)
		}
		if err != nil {
			return err
		}
		return tx.Enqueue(ctx, HandleDropFile{FileID: f.ID})
	})
	return ignoreNotFound(err)
}

// fetchInto copies what is missing.
func (s *DropFolders) fetchInto(ctx context.Context, folder DropFolder, f DropFile, u Upload) error {
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
	defer func() { _ = src.Close() }() // only read
	same := func(e DropEntry, err error) error {
		switch {
		case CodeOf(err) == NotFound:
			return E(Conflict, "file_gone", "The file was removed before it was read.").Next("Put it there again if it is still wanted.")
		case err != nil:
			return err
		case e.Size != f.Size || !SameDropContent(e.Identity, f.Identity):
			return errChanged()
		}
		return nil
	}
	r, err := src.Open(ctx, f.Name)
	if err != nil {
		return same(DropEntry{}, err)
	}
	defer func() { _ = r.Close() }() // only read
	if err := same(r.Entry(), nil); err != nil {
		return err
	}
	if err := s.Uploads.Staging.Create(ctx, u.ID, u.Size); err != nil { // harmless when it is there
		return err
	}
	d, err := s.Uploads.Staging.Durable(ctx, u.ID)
	if err != nil {
		return err
	}
	if start := d.Prefix(); start < u.Size {
		body := &stoppable{ctx, io.NewSectionReader(r, start, u.Size-start)}
		stop := func() {}
		if f.LeadID == "" && !u.described() {
			stop = every(ctx, lookEvery, func(context.Context) bool { s.Uploads.Relay.Poke(u.ID); return true })
		}
		n, err := s.Uploads.Staging.WriteAt(ctx, u.ID, start, body)
		stop()
		if err != nil {
			return err
		}
		if start+n < u.Size && n < u.Size { // cut off while it was read
			if d, err = s.Uploads.Staging.Durable(ctx, u.ID); err != nil || !d.Covers(0, u.Size) {
				return errChanged()
			}
		}
	}
	return same(src.Stat(ctx, f.Name))
}

// putBack makes a file detected again whose bytes cannot be trusted, and forgets what was read.
func (s *DropFolders) putBack(ctx context.Context, f DropFile, u Upload, why *Error) error {
	_, err := s.changeFile(ctx, f.ID, func(tx Tx, row *DropFile) error {
		to := DropDetected
		if why.Reason == "file_gone" {
			to = DropGone
		}
		if row.UploadID != u.ID || row.Superseded || !row.State.mayBecome(to) { // a look was first
			return errUnchanged
		}
		if err := s.letGo(ctx, tx, u.ID); err != nil {
			return err
		}
		now := s.Clock()
		row.UploadID, row.SHA256, row.SizeSetAt = "", "", &now
		row.Identity = "" // whatever is there now is another content
		if err := tx.DropFolders().SetWake(ctx, row.FolderID, now); err != nil {
			return err
		}
		if err := tx.Enqueue(ctx, ScanDropFolder{FolderID: row.FolderID}); err != nil {
			return err
		}
		if row.Manifest && to == DropDetected { // its items may be of what it was: what it is now is another manifest
			row.Superseded, to = true, DropGone
		}
		return s.move(ctx, tx, row, to, "fetch."+why.Reason, system(row.HubID), why.Message)
	})
	if err != nil {
		return err
	}
	return why
}
