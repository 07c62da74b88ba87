package gateway

import (
	"context"
	"maps"
	"slices"
	"time"
)

// The fast path's side of Uploads: one session sends many uploads at once, the bytes of each in any order. It
// writes through the same Staging as tus and ends by the same finish, so either may go on where the other was.

// Receive makes the caller the writer of these uploads until release: a tus write under way ends with
// "upload_taken_over". A later tus write or another Receive takes an upload over in turn, and this session is told
// of the former, as of all else that ends one of its uploads; told must not block.
// Uploads that take no bytes any more are left out: FastFinish says what became of them. It is an error only when
// that goes for all of them.
func (s *Uploads) Receive(ctx context.Context, ids []string, told func(uploadID string, why *Error)) (release func(), err error) {
	rows, err := s.Store.Uploads().Named(ctx, AnyHub, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]Upload, len(rows))
	for _, u := range rows {
		byID[u.ID] = u
	}
	var writers []*writer
	resign := func() {
		for _, w := range writers {
			s.resign(w.upload.ID, w)
		}
	}
	var refused error
	finished := 0
	for _, id := range ids {
		u, there := byID[id]
		if !there {
			refused = noSuchUpload()
			continue
		}
		if err := s.writable(u); err != nil {
			refused = err
			if u.FinishedAt != nil {
				finished++
			}
			continue
		}
		w := &writer{fast: true, upload: u, end: func(why *Error) { told(id, why) }}
		if err := s.take(ctx, id, w); err != nil {
			resign()
			return nil, err
		}
		writers = append(writers, w)
	}
	if len(writers) == 0 && finished == 0 && refused != nil {
		return nil, refused
	}
	ctx = context.WithoutCancel(ctx) // it lasts longer than the asking
	looked := time.Now()
	stop := every(ctx, lookEvery, func(ctx context.Context) bool {
		s.look(ctx, writers)
		if time.Since(looked) >= outEvery {
			looked = time.Now()
			s.shutOut(ctx, writers)
		}
		return true
	})
	return func() {
		stop()
		for _, w := range writers {
			if w.wrote.Load() { // and was stopped: what came before is kept
				_ = s.sync(ctx, w) // else it was not acknowledged
			}
		}
		s.look(ctx, writers)
		resign()
	}, nil
}

// look passes on how far uploads are that got something. The rows of many small ones are written together.
func (s *Uploads) look(ctx context.Context, writers []*writer) {
	received := map[string]int64{}
	for _, w := range writers {
		if !w.synced.Swap(false) {
			continue
		}
		if n, row := s.passOn(ctx, w.upload); row {
			received[w.upload.ID] = n
		}
	}
	if len(received) == 0 {
		return
	}
	_ = s.Store.Tx(ctx, func(tx Tx) error { // a hint: the disk is the truth
		for _, id := range slices.Sorted(maps.Keys(received)) {
			if err := tx.Uploads().SetReceived(ctx, id, received[id]); err != nil && CodeOf(err) != NotFound {
				return err
			}
		}
		return nil
	})
}

// shutOut stops the uploads of people who were suspended meanwhile. What arrived is kept.
func (s *Uploads) shutOut(ctx context.Context, writers []*writer) {
	out := map[string]bool{}
	for _, w := range writers {
		p := w.upload.ParticipantID
		if _, asked := out[p]; !asked {
			out[p] = s.out(ctx, w.upload)
		}
		if out[p] && w.why() == nil {
			w.stop(hubNotFound())
		}
	}
}

// fastWriter gives the session's right to write, held until letGo. When it has none any more, the error says
// what became of the upload: "upload_taken_over" when it still is receiving.
func (s *Uploads) fastWriter(ctx context.Context, id string) (*writer, error) {
	if w := s.receiving(id); w != nil {
		return w, w.hold()
	}
	u, err := s.Store.Uploads().Get(ctx, AnyHub, id)
	if err == nil {
		err = s.writable(u)
	}
	if err == nil {
		err = takenOver()
	}
	return nil, err
}

// receiving gives the session's writer of an upload, nil when it has none.
func (s *Uploads) receiving(id string) *writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flows[id]; f != nil && f.writer != nil && f.writer.fast {
		return f.writer
	}
	return nil
}

// current gives an upload's row, as it was when the session began while the session may write it.
func (s *Uploads) current(ctx context.Context, id string) (Upload, error) {
	if w := s.receiving(id); w != nil && w.why() == nil {
		return w.upload, nil
	}
	return s.Store.Uploads().Get(ctx, AnyHub, id)
}

// FastDurable gives what of an upload need not be sent: what is durable, wherever it lies, and all of it when it
// takes no more bytes.
func (s *Uploads) FastDurable(ctx context.Context, id string) (Ranges, error) {
	u, err := s.current(ctx, id)
	if err != nil {
		return nil, err
	}
	if s.writable(u) != nil {
		return Ranges{{0, u.Size}}, nil
	}
	return s.durable(ctx, u)
}

// FastWrite takes bytes of an upload that was received; they are durable after FastSync.
func (s *Uploads) FastWrite(ctx context.Context, id string, p []byte, offset int64) error {
	w, err := s.fastWriter(ctx, id)
	if err != nil {
		return err
	}
	defer w.letGo()
	if !w.placed {
		if err := s.place(ctx, w.upload); err != nil {
			return err
		}
		w.placed = true
	}
	w.wrote.Store(true)
	return s.Staging.Put(ctx, id, p, offset)
}

// FastSync makes durable what FastWrite took before the call.
func (s *Uploads) FastSync(ctx context.Context, id string) error {
	w, err := s.fastWriter(ctx, id)
	if err != nil {
		return err
	}
	defer w.letGo()
	return s.sync(ctx, w)
}

func (s *Uploads) sync(ctx context.Context, w *writer) error {
	w.wrote.Store(false)
	if err := s.Staging.Commit(ctx, w.upload.ID); err != nil {
		return err
	}
	w.synced.Store(true)
	return nil
}

// FastFinish is Finish for the session that receives the upload. Not all that FastWrite took need be durable. Those that
// are called at the same time share a transaction.
func (s *Uploads) FastFinish(ctx context.Context, id string, size int64, sha256 string) (Upload, error) {
	u, err := s.current(ctx, id)
	if err != nil {
		return Upload{}, err
	}
	if s.writable(u) == nil {
		if err := s.commit(ctx, id); err != nil {
			return Upload{}, err
		}
	}
	have, said, err := s.examine(ctx, u, size, sha256)
	if err != nil {
		return Upload{}, err
	}
	return s.finishTogether(ctx, &finishing{upload: u, have: have, said: said})
}

// commit is FastSync before a finish: how far the upload is need not be told.
func (s *Uploads) commit(ctx context.Context, id string) error {
	w, err := s.fastWriter(ctx, id)
	if err != nil {
		return err
	}
	defer w.letGo()
	w.wrote.Store(false)
	return s.Staging.Commit(ctx, id)
}

// FastCancel is Cancel for the session that receives the upload.
func (s *Uploads) FastCancel(ctx context.Context, id string) error {
	w, err := s.fastWriter(ctx, id)
	if err != nil {
		return err
	}
	u := w.upload
	w.letGo()
	a, err := actorOf(ctx, s.Store, u.HubID, u.ParticipantID, u.ClientID)
	if err != nil {
		return err
	}
	_, err = s.Cancel(ctx, a, id)
	return err
}
