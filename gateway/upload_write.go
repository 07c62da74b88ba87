package gateway

import (
	"context"
	"fmt"
	"io"
	"time"
)

const (
	lookEvery     = 250 * time.Millisecond
	progressEvery = 500 * time.Millisecond
	receivedEvery = time.Second
	outEvery      = time.Second // how long somebody who was suspended can go on sending
)

// Ended tells why the upload will never be finished, nil when it was or may be.
func (u Upload) Ended() *Error {
	switch u.State {
	case UploadExpired:
		return E(Conflict, "upload_expired", "The upload has expired; its bytes are gone.").Next("Start the upload again.")
	case UploadCancelled:
		return E(Conflict, "upload_cancelled", "The upload was cancelled; its bytes are gone.").Next("Start the upload again.")
	}
	return nil
}

// writable tells why an upload takes no more bytes.
func (s *Uploads) writable(u Upload) error {
	if u.State == UploadReceiving && !s.Clock().Before(u.ExpiresAt) { // not swept yet
		u.State = UploadExpired
	}
	if end := u.Ended(); end != nil {
		return end
	}
	switch {
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
	if s.Meter != nil {
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
	if n, row := s.passOn(ctx, u); row {
		_ = s.Store.Uploads().SetReceived(ctx, u.ID, n) // a hint: the disk is the truth
	}
}

// passOn is arrived but for the row: it gives how many bytes there are, and whether the row is to be told.
func (s *Uploads) passOn(ctx context.Context, u Upload) (received int64, row bool) {
	d, err := s.Staging.Durable(ctx, u.ID)
	if err != nil {
		return 0, false
	}
	u.Received = d.Prefix()
	s.mu.Lock()
	f := s.flows[u.ID]
	if f == nil || f.known == u.Received {
		s.mu.Unlock()
		return 0, false
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
	if tellListeners {
		u.Progress = float64(u.Received) / float64(u.Size)
		s.Events.Progress(u.HubID, u.audience(), "upload.progress", u.ID, u.News())
	}
	return u.Received, tellRow
}
