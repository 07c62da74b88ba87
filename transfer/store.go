package transfer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"isthmus/transfer/wire"
)

const (
	chunkSize = 256 << 10
	syncBytes = 8 << 20     // of an upload between two syncs
	syncEvery = time.Second // and on a slow line at least this often
	atOnce    = 64          // uploads being finished, or synced, at a time: many small ones wait for the disk together
	chunkRuns = 1024        // of a chunk: bytes that come one by one shall not take more memory than others
	paceEvery = 20 * time.Millisecond
	stuckFor  = 250 * time.Millisecond // without a byte taken
	leastPace = 1_000_000              // bit/s, so that packets go on asking whether the files are free again
)

// chunk is a buffer of bytes on their way: at the receiver what came, in the order in which it came; at the sender
// one run of the tape, from pos on.
type chunk struct {
	pos  int64
	buf  []byte
	runs []run
}

// run is n bytes of a chunk, from at on, that belong to a position of the tape.
type run struct {
	pos   int64
	at, n int
}

var chunks = sync.Pool{New: func() any { return &chunk{buf: make([]byte, 0, chunkSize)} }}

func newChunk() *chunk {
	c := chunks.Get().(*chunk)
	c.buf, c.runs = c.buf[:0], c.runs[:0]
	return c
}

func (c *chunk) free() { chunks.Put(c) }

func (c *chunk) room() int {
	if len(c.runs) >= chunkRuns {
		return 0
	}
	return cap(c.buf) - len(c.buf)
}

// add notes what bytes of buf are.
func (c *chunk) add(pos int64, at, n int) {
	if i := len(c.runs) - 1; i >= 0 {
		if r := &c.runs[i]; r.pos+int64(r.n) == pos && r.at+r.n == at {
			r.n += n
			return
		}
	}
	c.runs = append(c.runs, run{pos, at, n})
}

// store writes a session's bytes beside its data path, syncs them and finishes uploads.
type store struct {
	files   Files
	uploads []Upload
	tape    *tape
	ctx     context.Context // outlives the connection: what was taken is written
	steal   func() *chunk   // what the receiver has collected so far
	fail    func(error)
	receipt func(upload int, sha256 []byte, err error)
	refused func(upload int, why error) // gives up one upload

	limit   int // chunks that may wait
	qmu     sync.Mutex
	queue   []*chunk // oldest first
	ended   bool     // nothing more will come
	kick    chan struct{}
	ready   chan int     // uploads to finish
	written atomic.Int64 // bytes
	idle    atomic.Int64 // ns in which nothing was to be written

	// Of the feedback: how fast the files take bytes.
	paceAt    time.Time
	paceBytes int64
	paceIdle  time.Duration
	paceRate  float64 // bit/s; negative: not known

	mu    sync.Mutex
	state []uploadState
	calls *sync.Cond    // an upload's users fell to 0
	ends  int           // uploads that wait to be finished, or are being
	dirty map[int]int64 // bytes written since the last sync began
	quit  bool          // no upload is finished any more
}

type uploadState struct {
	left   int64 // bytes to be written
	finish *wire.Finish
	over   bool // receipt or refusal is on its way, or it was cancelled: no further write or sync begins
	users  int  // writes and syncs under way
}

func newStore(ctx context.Context, files Files, uploads []Upload, t *tape, buffer int) *store {
	s := &store{
		files: files, uploads: uploads, tape: t, ctx: ctx,
		limit: max(2, buffer/chunkSize), kick: make(chan struct{}, 1),
		ready: make(chan int, len(uploads)), state: make([]uploadState, len(uploads)), dirty: map[int]int64{},
		paceAt: time.Now(), paceRate: -1,
	}
	s.calls = sync.NewCond(&s.mu)
	for i, u := range uploads {
		s.state[i].left = u.Size
	}
	return s
}

// enter begins a write or sync of an upload; leave must follow. false: it is over.
func (s *store) enter(upload int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.state[upload]
	if !st.over {
		st.users++
	}
	return !st.over
}

// leave is called with mu held.
func (s *store) leave(upload int) {
	if s.state[upload].users--; s.state[upload].users == 0 {
		s.calls.Broadcast()
	}
}

// alone waits until no write or sync of an upload that is over is under way: one that came after Finish or Cancel
// would bring the upload back, or fail. Called with mu held.
func (s *store) alone(upload int) {
	for s.state[upload].users > 0 {
		s.calls.Wait()
	}
}

// waiting is how many chunks wait.
func (s *store) waiting() int {
	s.qmu.Lock()
	defer s.qmu.Unlock()
	return len(s.queue)
}

// full tells that the files are too far behind to take more.
func (s *store) full() bool { return s.waiting() >= s.limit }

// filling tells that they will soon be.
func (s *store) filling() bool { return 4*s.waiting() >= 3*s.limit }

// put queues a chunk; full was asked before.
func (s *store) put(c *chunk) {
	s.qmu.Lock()
	defer s.qmu.Unlock()
	s.queue = append(s.queue, c)
}

func (s *store) pop() *chunk {
	s.qmu.Lock()
	defer s.qmu.Unlock()
	if len(s.queue) == 0 {
		return nil
	}
	c := s.queue[0]
	s.queue = s.queue[1:]
	return c
}

// end makes write return when all is written.
func (s *store) end() {
	s.qmu.Lock()
	s.ended = true
	s.qmu.Unlock()
	s.wake()
}

func (s *store) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// pace says how fast to go, in bit/s, when the files do not keep up. For the receiver only.
func (s *store) pace(now time.Time) (int64, bool) {
	waiting := s.waiting()
	if span := now.Sub(s.paceAt); span >= paceEvery {
		n, idle := s.written.Load(), time.Duration(s.idle.Load())
		// What they took while there was something to take is what they can: with the time between, a slow line would
		// look like a slow disk.
		busy := span - (idle - s.paceIdle)
		if n > s.paceBytes && busy > 0 || busy > stuckFor {
			s.paceRate = float64(n-s.paceBytes) / busy.Seconds() * 8
		}
		if n > s.paceBytes || busy <= 0 || busy > stuckFor {
			s.paceAt, s.paceBytes, s.paceIdle = now, n, idle
		}
	}
	switch {
	case 4*waiting < s.limit || waiting < 2 || s.paceRate < 0:
		return 0, false
	case 2*waiting < s.limit:
		return max(leastPace, int64(s.paceRate)), true
	}
	return max(leastPace, int64(s.paceRate*0.75)), true
}

// had subtracts what was there before the session.
func (s *store) had(upload int, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state[upload].left -= n
	s.check(upload)
}

// finish notes what the client says of an upload.
func (s *store) finish(m wire.Finish) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Upload >= len(s.state) || s.state[m.Upload].finish != nil {
		return fail(CodeProtocol, "Finish of an upload that is not there or was finished")
	}
	s.state[m.Upload].finish = &m
	s.check(m.Upload)
	return nil
}

// check queues the end of an upload when nothing is missing. Called with mu held.
func (s *store) check(upload int) {
	st := &s.state[upload]
	if st.finish == nil || st.left > 0 || st.over || s.quit {
		return
	}
	st.over = true
	s.ends++
	s.ready <- upload // holds all of them
}

// over notes that an upload ended before the session.
func (s *store) over(upload int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state[upload].over = true
}

// finishing tells that ends of uploads wait for the files.
func (s *store) finishing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ends > 0
}

// cancel throws an upload away. Bytes of it that are still coming are ignored.
func (s *store) cancel(upload int) error {
	s.mu.Lock()
	if upload >= len(s.state) {
		s.mu.Unlock()
		return fail(CodeProtocol, "Cancel of an upload that is not there")
	}
	was := s.state[upload].over
	s.state[upload].over = true
	if was {
		s.mu.Unlock()
		return nil // too late: it is being finished
	}
	s.alone(upload)
	delete(s.dirty, upload)
	s.mu.Unlock()
	err := s.files.Cancel(s.ctx, s.uploads[upload].ID)
	if err == nil {
		err = fail(CodeCancelled, "cancelled by the client")
	}
	s.receipt(upload, nil, err)
	return nil
}

// write is the writer's loop, until end.
func (s *store) write() {
	for {
		c := s.pop()
		if c == nil {
			c = s.steal() // nothing waits: better a small write now than a big one later
		}
		if c != nil {
			s.writeChunk(c)
			continue
		}
		s.qmu.Lock()
		ended := s.ended
		s.qmu.Unlock()
		if ended {
			return
		}
		since := time.Now()
		<-s.kick
		s.idle.Add(int64(time.Since(since)))
	}
}

func (s *store) writeChunk(c *chunk) {
	defer c.free()
	for _, r := range c.runs {
		p := c.buf[r.at : r.at+r.n]
		err := s.tape.split(r.pos, r.pos+int64(r.n), func(upload int, offset int64, n int) error {
			part := p[:n]
			p = p[n:]
			return s.writePart(upload, part, offset)
		})
		s.written.Add(int64(r.n))
		if err != nil {
			s.fail(asError(err, CodeStorage, "the server could not write"))
			return
		}
	}
}

func (s *store) writePart(upload int, p []byte, offset int64) error {
	if !s.enter(upload) {
		return nil
	}
	err := s.files.WriteAt(s.ctx, s.uploads[upload].ID, p, offset)
	s.mu.Lock()
	s.leave(upload)
	if err == nil && !s.state[upload].over {
		s.dirty[upload] += int64(len(p))
		s.state[upload].left -= int64(len(p))
		s.check(upload)
	}
	s.mu.Unlock()
	return s.lost(upload, err)
}

// syncs makes bytes durable now and then, until done.
func (s *store) syncs(done <-chan struct{}) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		all := time.Since(last) >= syncEvery
		if all {
			last = time.Now()
		}
		if err := s.syncAll(s.takeDirty(all)); err != nil {
			s.fail(asError(err, CodeStorage, "the server could not write to disk"))
			return
		}
	}
}

func (s *store) syncAll(uploads []int) error {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, u := range uploads {
		g.Go(func() error { return s.sync(u) })
	}
	return g.Wait()
}

func (s *store) sync(upload int) error {
	if !s.enter(upload) {
		return nil
	}
	err := s.files.Sync(s.ctx, s.uploads[upload].ID)
	s.mu.Lock()
	s.leave(upload)
	s.mu.Unlock()
	return s.lost(upload, err)
}

// takeDirty names the uploads to sync now; they count as clean.
func (s *store) takeDirty(all bool) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []int
	for u, n := range s.dirty {
		if !s.state[u].over && (all || n >= syncBytes) {
			due = append(due, u)
			delete(s.dirty, u)
		}
	}
	return due
}

// finishes ends uploads, several at a time, until ready is closed and all are ended.
func (s *store) finishes() {
	var g errgroup.Group // its goroutines last no longer than their uploads: thousands of sessions may wait
	g.SetLimit(atOnce)
	for upload := range s.ready {
		g.Go(func() error { s.finishOne(upload); return nil })
	}
	_ = g.Wait()
}

func (s *store) finishOne(upload int) {
	s.mu.Lock()
	s.alone(upload)
	m := s.state[upload].finish
	delete(s.dirty, upload)
	s.mu.Unlock()
	sum, err := s.files.Finish(s.ctx, s.uploads[upload].ID, s.uploads[upload].Size, m.SHA256)
	s.mu.Lock()
	s.ends--
	s.mu.Unlock()
	s.receipt(upload, sum, err)
}

// flush syncs what is left when a session has ended.
func (s *store) flush() error {
	s.mu.Lock()
	s.quit = true
	s.mu.Unlock()
	return s.syncAll(s.takeDirty(true))
}
