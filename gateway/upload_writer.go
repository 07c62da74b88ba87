package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// flow is what this process knows about an upload that it receives.
type flow struct {
	writer       *writer   // nil when nobody sends
	lastReceived time.Time // when the row last heard of received bytes
	lastProgress time.Time // when listeners last did
	known        int64     // prefix last seen
}

// writer is whoever sends an upload at the moment: a tus write or a session of the fast path.
type writer struct {
	end func(why *Error) // tells it; does not block

	fast   bool
	upload Upload      // of the fast path: as it was when it began
	placed bool        // of the fast path, whose writes of one upload come one after the other: see Uploads.place
	wrote  atomic.Bool // of the fast path: something since the last sync
	synced atomic.Bool // of the fast path: something became durable since the last look

	writing sync.RWMutex // shared while it hands bytes to Staging, so that nothing of it comes after stop
	over    *Error       // why it may write no more; guarded by writing
}

// hold lets the writer write until letGo, if it still may.
func (w *writer) hold() error {
	w.writing.RLock()
	if err := w.over; err != nil {
		w.writing.RUnlock()
		return err
	}
	return nil
}

func (w *writer) letGo() { w.writing.RUnlock() }

// stop tells a writer that it is over and waits for what it is writing just now; nil is fine.
func (w *writer) stop(why *Error) {
	if w != nil {
		w.end(why)
		w.shut(why)
	}
}

// shut is stop without a word.
func (w *writer) shut(why *Error) {
	if w == nil {
		return
	}
	w.writing.Lock()
	defer w.writing.Unlock()
	if w.over == nil {
		w.over = why
	}
}

// why tells why it may write no more; nil while it may.
func (w *writer) why() *Error {
	w.writing.RLock()
	defer w.writing.RUnlock()
	return w.over
}

// take makes w the writer of an upload. Whoever was it before is told and done: what it wrote is durable. Only
// of two tus writes the second one is refused: tus has a lock of its own, by which the newer one wins.
func (s *Uploads) take(ctx context.Context, id string, w *writer) error {
	s.mu.Lock()
	if s.flows == nil {
		s.flows = map[string]*flow{}
	}
	f := s.flows[id]
	if f == nil {
		f = &flow{}
		s.flows[id] = f
	}
	before := f.writer
	if before != nil && !before.fast && !w.fast {
		s.mu.Unlock()
		return E(Conflict, "upload_busy", "Another client is sending this file at the moment.").
			Next("Stop the other client, or wait until it is done.").After(time.Second)
	}
	f.writer = w
	s.mu.Unlock()
	if before == nil {
		return nil
	}
	if before.fast && w.fast { // its session has ended, or ends now by the fast path's own rule
		before.shut(takenOver())
	} else {
		before.stop(takenOver())
	}
	if err := s.Staging.Commit(ctx, id); err != nil && CodeOf(err) != NotFound { // nothing of it has come yet: see place
		s.resign(id, w)
		return err
	}
	return nil
}

func takenOver() *Error {
	return E(Conflict, "upload_taken_over", "Another client is sending this file now.").
		Next("Let one client at a time send it.")
}

// resign undoes take, unless somebody else is the writer by now.
func (s *Uploads) resign(id string, w *writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flows[id]; f != nil && f.writer == w {
		f.writer = nil
	}
}

// forget ends what this process knows about an upload and gives its writer, to be stopped.
func (s *Uploads) forget(id string) *writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flows[id]
	if f == nil {
		return nil
	}
	delete(s.flows, id)
	return f.writer
}

// heldReader ends a tus write when its writer is over. Bytes that it gave are being written until it is
// asked again; done says that they all were.
type heldReader struct {
	stoppable
	w    *writer
	held bool
}

func (h *heldReader) Read(p []byte) (int, error) {
	h.done()
	n, err := h.stoppable.Read(p)
	if n == 0 {
		return n, err
	}
	if err := h.w.hold(); err != nil {
		return 0, err
	}
	h.held = true
	return n, err
}

func (h *heldReader) done() {
	if h.held {
		h.held = false
		h.w.letGo()
	}
}
