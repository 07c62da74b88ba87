package gateway

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Finish says "this is the whole file": checks size and SHA-256 (lower-case hex; empty = the client
// could not), then queues the ingest. Repeating it with the same values is harmless; other values: Conflict.
func (s *Uploads) Finish(ctx context.Context, a Actor, id string, size int64, sha256 string) (Upload, error) {
	u, err := s.owned(ctx, a, id)
	if err != nil {
		return Upload{}, err
	}
	have, said, err := s.examine(ctx, u, size, sha256)
	if err != nil {
		return Upload{}, err
	}
	if u.FinishedAt != nil {
		return u, nil
	}
	u, err = s.change(ctx, id, func(tx Tx, u *Upload) error {
		if err := s.acceptable(*u, said); err != nil {
			return err
		}
		typ, err := s.accept(ctx, tx, a, u, have)
		if err != nil {
			return err
		}
		return s.tell(ctx, tx, *u, typ)
	})
	if err != nil {
		return Upload{}, err
	}
	s.accepted(u)
	return u, nil
}

// examine checks what a client says of a file and that all of it is here. It gives the SHA-256 of the bytes here, and the
// one that was said as it is compared; of an upload that was finished before, what was said agrees with that.
func (s *Uploads) examine(ctx context.Context, u Upload, size int64, sha256 string) (have, said string, err error) {
	if said = strings.ToLower(sha256); said != "" {
		if b, err := hex.DecodeString(said); err != nil || len(b) != 32 {
			return "", "", E(Invalid, "digest_invalid", "The SHA-256 is not 64 hexadecimal digits.").Next("Send it as 64 digits 0-9a-f, or leave it out.").At("/sha256")
		}
	}
	if size != u.Size {
		return "", "", E(Conflict, "size_mismatch", fmt.Sprintf("The upload was announced with %d bytes, not %d.", u.Size, size)).
			Next("Cancel it and upload the file again; it seems to have changed.").At("/size")
	}
	if u.FinishedAt != nil {
		return u.SHA256, said, s.finished(u, said)
	}
	if err := s.writable(u); err != nil {
		return "", "", err
	}
	d, err := s.durable(ctx, u)
	if err != nil {
		return "", "", err
	}
	if missing := d.Missing(size); len(missing) > 0 {
		return "", "", E(Conflict, "incomplete", fmt.Sprintf("%d of %d bytes are missing, the first at %d.", missing.Total(), size, missing[0].Start)).
			Next("Send the missing bytes, then finish again.")
	}
	if have, err = s.Staging.Sum(ctx, u.ID, size); err != nil {
		return "", "", err
	}
	if said != "" && said != have {
		return "", "", E(Invalid, "digest_mismatch", "The file that arrived is not the file that was sent: its SHA-256 differs.").
			Next("Check that the file did not change while it was sent; then finish with the right digest, or cancel and upload it again.").At("/sha256")
	}
	return have, said, nil
}

// finished answers a repeated finish.
func (s *Uploads) finished(u Upload, said string) error {
	if said != "" && said != u.SHA256 {
		return E(Conflict, "already_finished", "The upload was finished with another SHA-256.").
			Next("Upload the changed file as a new one.")
	}
	if end := u.Ended(); end != nil {
		return end
	}
	return nil
}

// acceptable refuses an upload that cannot be finished; errUnchanged when somebody else did that just now.
func (s *Uploads) acceptable(u Upload, said string) error {
	if u.FinishedAt == nil {
		return s.writable(u)
	}
	if err := s.finished(u, said); err != nil {
		return err
	}
	return errUnchanged
}

// accept makes an upload finished, with all that follows but what is told of it; the caller writes the row.
func (s *Uploads) accept(ctx context.Context, tx Tx, a Actor, u *Upload, have string) (event string, err error) {
	now := s.Clock()
	u.SHA256, u.FinishedAt = have, &now
	if u.Target == TargetLibrary { // that is all: it waits to be registered
		u.State, u.Progress, u.ExpiresAt = UploadReady, 1, now.Add(s.Life)
		return "upload.ready", nil
	}
	if u.DropFileID != "" { // its folder decides what becomes of it
		u.State, u.Progress, u.ExpiresAt = UploadHeld, 0, now.Add(s.Life)
		if err := s.Folders.sent(ctx, tx, a, *u); err != nil {
			return "", err
		}
		return "upload.finished", audit(ctx, tx, a, "upload.finish", u.ID, map[string]any{"size": u.Size, "sha256": have})
	}
	u.State, u.Progress = UploadIngesting, 0
	if err := tx.Enqueue(ctx, IngestUpload{UploadID: u.ID}); err != nil {
		return "", err
	}
	return "upload.finished", audit(ctx, tx, a, "upload.finish", u.ID, map[string]any{"size": u.Size, "sha256": have})
}

// accepted ends what this process does for an upload that takes no more bytes.
func (s *Uploads) accepted(u Upload) {
	s.forget(u.ID).shut(AsError(s.writable(u))) // a session of the fast path may still ask for its receipt
	s.Relay.Poke(u.ID)
}

// finishing is an upload whose bytes were examined and that waits to be accepted with others.
type finishing struct {
	upload     Upload // as it was; as it is when done
	have, said string
	err        error
	done       chan struct{}
}

// mostTogether is how many uploads one transaction finishes: a commit costs as much as dozens of them, and others
// wait for the one writer meanwhile.
const mostTogether = 128

// finishTogether accepts an upload in one transaction with all others that wait for that.
func (s *Uploads) finishTogether(ctx context.Context, f *finishing) (Upload, error) {
	f.done = make(chan struct{})
	s.mu.Lock()
	s.ending = append(s.ending, f)
	first := !s.finishes
	s.finishes = true
	s.mu.Unlock()
	if first {
		go s.finishAll(context.WithoutCancel(ctx))
	}
	<-f.done
	return f.upload, f.err
}

// finishAll goes on until nobody waits.
func (s *Uploads) finishAll(ctx context.Context) {
	for {
		s.mu.Lock()
		n := min(len(s.ending), mostTogether)
		group := s.ending[:n:n]
		if s.ending = s.ending[n:]; n == 0 {
			s.ending, s.finishes = nil, false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		err := s.finishGroup(ctx, group)
		if code := CodeOf(err); err != nil && code != Internal && code != Unavailable && n > 1 { // one of them: each by itself
			for i := range group {
				s.settleGroup(group[i:i+1], s.finishGroup(ctx, group[i:i+1]))
			}
			continue
		}
		s.settleGroup(group, err)
	}
}

// settleGroup answers those who wait.
func (s *Uploads) settleGroup(group []*finishing, err error) {
	for _, f := range group {
		if err != nil {
			f.err = err
		}
		if f.err == nil {
			s.accepted(f.upload)
		}
		close(f.done)
	}
}

// finishGroup is one transaction. What concerns one upload alone is its own error.
func (s *Uploads) finishGroup(ctx context.Context, group []*finishing) error {
	ids := make([]string, len(group))
	for i, f := range group {
		ids[i] = f.upload.ID
	}
	return s.Store.Tx(ctx, func(tx Tx) error {
		rows, err := tx.Uploads().Named(ctx, AnyHub, ids)
		if err != nil {
			return err
		}
		byID, transfers := map[string]Upload{}, map[string]bool{}
		for _, u := range rows {
			byID[u.ID] = u
			if u.TransferID != "" {
				transfers[u.TransferID] = true
			}
		}
		for _, id := range slices.Sorted(maps.Keys(transfers)) { // before the uploads, as everybody does
			if _, err := tx.Transfers().Lock(ctx, id); err != nil && CodeOf(err) != NotFound {
				return err
			}
		}
		senders := map[string]Actor{}
		for _, f := range group {
			u, there := byID[f.upload.ID]
			if f.err = nil; !there {
				f.err = noSuchUpload()
				continue
			}
			a, err := s.sender(ctx, tx, u, senders)
			if err == nil {
				err = s.acceptable(u, f.said)
			}
			if err == errUnchanged {
				f.upload = u
				continue
			}
			if CodeOf(err) == Internal || CodeOf(err) == Unavailable {
				return err
			}
			if f.err = err; err != nil {
				continue
			}
			typ, err := s.accept(ctx, tx, a, &u, f.have)
			if err != nil {
				return err
			}
			if err := tx.Uploads().Update(ctx, &u); err != nil {
				return err
			}
			if err := s.say(ctx, tx, u, typ); err != nil {
				return err
			}
			f.upload = u
		}
		for _, id := range slices.Sorted(maps.Keys(transfers)) {
			if err := s.endTransfer(ctx, tx, id, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// sender gives who sends an upload, if they still may; known holds those who were asked about.
func (s *Uploads) sender(ctx context.Context, tx Tx, u Upload, known map[string]Actor) (Actor, error) {
	key := u.HubID + "/" + audienceOf(u.ParticipantID, u.ClientID)
	if a, ok := known[key]; ok {
		return a, nil
	}
	if u.ParticipantID != "" {
		p, err := tx.Participants().Get(ctx, Scope(u.HubID), u.ParticipantID)
		if CodeOf(err) == NotFound || err == nil && p.SuspendedAt != nil {
			err = hubNotFound()
		}
		if err != nil {
			return Actor{}, err
		}
	} else if active, err := activeClient(ctx, tx, u.ClientID); err != nil {
		return Actor{}, err
	} else if !active {
		return Actor{}, hubNotFound()
	}
	a, err := actorOf(ctx, tx, u.HubID, u.ParticipantID, u.ClientID)
	if err == nil {
		known[key] = a
	}
	return a, err
}

func noSuchUpload() *Error {
	return E(NotFound, "", "There is no such upload.").Next("Check the id, or start the upload again.")
}
