package gateway

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	lookEvery     = 250 * time.Millisecond
	progressEvery = 500 * time.Millisecond
	receivedEvery = time.Second
	outEvery      = time.Second // how long somebody who was suspended can go on sending
)

// writable tells why an upload takes no more bytes.
func (s *Uploads) writable(u Upload) error {
	switch {
	case u.State == UploadExpired, u.State == UploadReceiving && !s.Clock().Before(u.ExpiresAt):
		return E(Conflict, "upload_expired", "The upload has expired; its bytes are gone.").Next("Start the upload again.")
	case u.State == UploadCancelled:
		return E(Conflict, "upload_cancelled", "The upload was cancelled; its bytes are gone.").Next("Start the upload again.")
	case u.State != UploadReceiving:
		return E(Conflict, "upload_finished", "The upload is finished and takes no more bytes.").
			Next("Look at its state; send another file as a new upload.")
	case u.Replica != s.Replica:
		return E(Conflict, "other_replica", "The bytes of this upload lie on another server.").
			Next("Use the upload address that was given when the upload was created.")
	}
	return nil
}

// Write appends r at offset, which must be the durable prefix (Conflict with reason
// "offset_mismatch" otherwise); returns the bytes that are durable. Only in state receiving. It takes the
// upload over from the fast path, and the other way round.
func (s *Uploads) Write(ctx context.Context, a Actor, id string, offset int64, r io.Reader) (int64, error) {
	u, err := s.owned(ctx, a, id)
	if err != nil {
		return 0, err
	}
	if err = s.writable(u); err != nil {
		return 0, err
	}
	if err = s.place(ctx, u); err != nil {
		return 0, err
	}
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &writer{end: func(*Error) { cancel() }}
	if err = s.take(ctx, id, w); err != nil {
		return 0, err
	}
	defer s.resign(id, w)
	d, err := s.Staging.Durable(ctx, id)
	if err != nil { // cancelled since we looked: the bytes are gone
		s.forget(id)
		return 0, err
	}
	if d.Prefix() != offset {
		return 0, E(Conflict, "offset_mismatch", fmt.Sprintf("The next byte wanted is %d, not %d.", d.Prefix(), offset)).
			Next("Ask for the offset and go on from there.")
	}
	if s.Meter != nil && u.TransferID != "" {
		metered, end, err := s.Meter(wctx, u, r)
		if err != nil {
			return 0, err
		}
		defer end()
		r = metered
	}
	// A long body becomes durable step by step; the relay and the listeners hear of it on the way.
	looked := time.Now()
	stop := every(wctx, lookEvery, func(ctx context.Context) bool {
		s.arrived(ctx, u)
		if time.Since(looked) >= outEvery {
			looked = time.Now()
			if s.out(ctx, u) {
				w.stop(hubNotFound()) // what arrived is kept: reinstated, the person goes on from there
			}
		}
		return true
	})
	body := &heldReader{stoppable: stoppable{wctx, r}, w: w}
	n, err := s.Staging.WriteAt(wctx, id, offset, body)
	body.done()
	stop()
	s.arrived(context.WithoutCancel(ctx), u)
	if why := w.why(); err != nil && why != nil { // stopped by us, not by the client
		return n, why
	}
	return n, err
}

// out tells whether the upload's person may no longer send.
func (s *Uploads) out(ctx context.Context, u Upload) bool {
	if u.ParticipantID == "" {
		return false
	}
	p, err := s.Store.Participants().Get(ctx, Scope(u.HubID), u.ParticipantID)
	return CodeOf(err) == NotFound || err == nil && p.SuspendedAt != nil
}

// stoppable ends a reader when its context does.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	if cerr := s.ctx.Err(); cerr != nil { // what came after the end is not taken
		return 0, cerr
	}
	return n, err
}

// arrived passes on how far an upload is: to the relay always, to row and listeners seldom.
func (s *Uploads) arrived(ctx context.Context, u Upload) {
	d, err := s.Staging.Durable(ctx, u.ID)
	if err != nil {
		return
	}
	u.Received = d.Prefix()
	s.mu.Lock()
	f := s.flows[u.ID]
	if f == nil || f.known == u.Received {
		s.mu.Unlock()
		return
	}
	now := time.Now()
	tellRow := now.Sub(f.lastReceived) >= receivedEvery || u.Received == u.Size
	tellListeners := now.Sub(f.lastProgress) >= progressEvery || u.Received == u.Size
	if tellRow {
		f.lastReceived = now
	}
	if tellListeners {
		f.lastProgress = now
	}
	f.known = u.Received
	s.mu.Unlock()
	s.Relay.Poke(u.ID)
	if tellRow {
		_ = s.Store.Uploads().SetReceived(ctx, u.ID, u.Received) // a hint: the disk is the truth
	}
	if tellListeners {
		u.Progress = float64(u.Received) / float64(u.Size)
		s.Events.Progress(u.HubID, audienceOf(u.ParticipantID, u.ClientID), "upload.progress", u.ID, u.News())
	}
}

// Finish says "this is the whole file": checks size and SHA-256 (lower-case hex; empty = the client
// could not), then queues the ingest. Repeating it with the same values is harmless; other values: Conflict.
func (s *Uploads) Finish(ctx context.Context, a Actor, id string, size int64, sha256 string) (Upload, error) {
	u, err := s.owned(ctx, a, id)
	if err != nil {
		return Upload{}, err
	}
	return s.finish(ctx, a, u, size, sha256)
}

func (s *Uploads) finish(ctx context.Context, a Actor, u Upload, size int64, sha256 string) (Upload, error) {
	id := u.ID
	if sha256 = strings.ToLower(sha256); sha256 != "" {
		if b, err := hex.DecodeString(sha256); err != nil || len(b) != 32 {
			return Upload{}, E(Invalid, "digest_invalid", "The SHA-256 is not 64 hexadecimal digits.").Next("Send it as 64 digits 0-9a-f, or leave it out.").At("/sha256")
		}
	}
	if size != u.Size {
		return Upload{}, E(Conflict, "size_mismatch", fmt.Sprintf("The upload was announced with %d bytes, not %d.", u.Size, size)).
			Next("Cancel it and upload the file again; it seems to have changed.").At("/size")
	}
	if u.FinishedAt != nil {
		return s.finished(u, sha256)
	}
	if err := s.writable(u); err != nil {
		return Upload{}, err
	}
	d, err := s.durable(ctx, u)
	if err != nil {
		return Upload{}, err
	}
	if missing := d.Missing(size); len(missing) > 0 {
		return Upload{}, E(Conflict, "incomplete", fmt.Sprintf("%d of %d bytes are missing, the first at %d.", missing.Total(), size, missing[0].Start)).
			Next("Send the missing bytes, then finish again.")
	}
	have, err := s.Staging.Sum(ctx, id, size)
	if err != nil {
		return Upload{}, err
	}
	if sha256 != "" && sha256 != have {
		return Upload{}, E(Invalid, "digest_mismatch", "The file that arrived is not the file that was sent: its SHA-256 differs.").
			Next("Check that the file did not change while it was sent; then finish with the right digest, or cancel and upload it again.").At("/sha256")
	}
	u, err = s.change(ctx, id, func(tx Tx, u *Upload) error {
		if u.FinishedAt != nil { // somebody else finished it just now
			_, err := s.finished(*u, sha256)
			if err == nil {
				err = errUnchanged
			}
			return err
		}
		if err := s.writable(*u); err != nil {
			return err
		}
		now := s.Clock()
		if u.Target == TargetLibrary { // that is all: it waits to be registered
			u.State, u.SHA256, u.FinishedAt, u.Progress, u.ExpiresAt = UploadReady, have, &now, 1, now.Add(s.Life)
			return s.tell(ctx, tx, *u, "upload.ready")
		}
		u.State, u.SHA256, u.FinishedAt, u.Progress = UploadIngesting, have, &now, 0
		if err := tx.Enqueue(ctx, IngestUpload{UploadID: id}); err != nil {
			return err
		}
		if err := audit(ctx, tx, a, "upload.finish", id, map[string]any{"size": u.Size, "sha256": have}); err != nil {
			return err
		}
		return s.tell(ctx, tx, *u, "upload.finished")
	})
	if err != nil {
		return Upload{}, err
	}
	s.forget(id).shut(AsError(s.writable(u))) // a session of the fast path may still ask for its receipt
	s.Relay.Poke(id)
	return u, nil
}

// finished answers a repeated finish.
func (s *Uploads) finished(u Upload, sha256 string) (Upload, error) {
	if sha256 != "" && sha256 != u.SHA256 {
		return Upload{}, E(Conflict, "already_finished", "The upload was finished with another SHA-256.").
			Next("Upload the changed file as a new one.")
	}
	if u.State == UploadCancelled || u.State == UploadExpired {
		return Upload{}, s.writable(u)
	}
	return u, nil
}
