package transfer

import (
	"net/netip"
	"sync"
	"time"

	"isthmus/transfer/udp"
	"isthmus/transfer/wire"
)

const (
	firstInterval = 5 * time.Millisecond // between feedbacks until a Hello asked for another
	moveEvery     = 100 * time.Millisecond
	echoes        = 8       // of a feedback, at most
	mostFeedback  = 4       // at a time
	mostGaps      = 1 << 16 // in what a session brought: more than honest clients leave, and memory in the end
	answerShare   = 3       // bytes to an address for each that came from it: a client may have forged it
)

// receiver is the data path of a session on the server: packets in, runs of bytes to the store, feedback out.
type receiver struct {
	session uint32
	tape    *tape
	store   *store
	share   func() Share
	fail    func(error)
	connect func(peer netip.AddrPort) (path, error)
	started time.Time
	kick    chan struct{} // a feedback is due soon
	done    chan struct{} // closed by stop

	mu      sync.Mutex
	opener  *wire.Opener
	sealer  *wire.Sealer
	ready   bool  // the ticket was accepted, and the client does not pause
	begun   bool  // the first data was reported
	behind  bool  // the store, when last reported
	stopped bool  // no packet is looked at any more
	listed  int64 // positions below were in the manifest
	have    ranges
	known   int    // of them were there when all was listed
	gaps    int    // how many more there may be
	taken   int64  // bytes of payload, each position once
	missing int64  // bytes that neither came nor were there; known when all is listed
	carried int64  // bytes of authentic Data packets
	forged  int64  // packets dropped because of tag or number
	came    int64  // authentic packets
	fill    *chunk // nil: no path was ever open

	path     path // nil: no address yet
	peer     netip.AddrPort
	waiting  netip.AddrPort // where a Hello came from before the ticket was accepted
	moved    time.Time
	datagram int // largest Hello from peer
	credit   int // bytes that may go to peer: that they come from there is all that speaks for that address
	interval time.Duration

	granted allowance

	settled  uint64 // what the sender no longer asks about ends here
	cursor   uint64 // where the runs of the next feedback begin, unless settled passed it
	late     uint32
	newest   uint64
	clock    time.Time // arrival of newest
	echoes   []arrival // oldest first
	last     time.Time // of the last feedback
	feedback wire.Feedback
	packetB  []byte
	bodyB    []byte
}

// path is the way back to a peer.
type path interface {
	send(b []byte)
	close()
}

type arrival struct {
	number uint64
	at     time.Time
}

func newReceiver(sec wire.Secrets, now time.Time) (*receiver, error) {
	r := &receiver{
		session: sec.Session, started: now, kick: make(chan struct{}, 1), done: make(chan struct{}),
		interval: firstInterval, gaps: mostGaps,
	}
	var err error
	if r.opener, err = wire.NewOpener(sec.Client); err != nil {
		return nil, err
	}
	r.sealer, err = wire.NewSealer(sec.Server)
	return r, err
}

// authorise lets data in, at first and after rest. A Hello that came before is answered now.
func (r *receiver) authorise() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready || r.stopped {
		return
	}
	r.ready = true
	// Pausing by turns opens no sockets in a row: the next Hello comes soon.
	if now := time.Now(); r.waiting.IsValid() && now.Sub(r.moved) >= moveEvery {
		if r.move(r.waiting, now) {
			r.report(now)
		}
		r.waiting = netip.AddrPort{}
	}
}

// list says that positions below end were in the manifest, and what of them is there.
func (r *receiver) list(have []Range, start, end int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range have {
		r.have.add(start+h.Start, start+h.End)
	}
	r.missing += end - start - ranges(have).total()
	r.listed = end
	r.known = len(r.have)
}

// packet takes a packet from the listening socket.
func (r *receiver) packet(b []byte, from netip.AddrPort, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	switch b[0] {
	case wire.TypeHello:
		r.hello(b, from, now)
	case wire.TypeData:
		if from == r.peer { // only where sessions have no sockets of their own
			r.data(b, now)
			r.arrived(now)
		}
	}
}

// packets takes what came to the session's own socket.
func (r *receiver) packets(of path, all []udp.Datagrams) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.path != of {
		return
	}
	for _, d := range all {
		d.Split(func(b []byte) {
			if len(b) > wire.HeaderSize+wire.TagSize && b[0] == wire.TypeData {
				r.data(b, d.At)
			} else if len(b) > wire.HeaderSize+wire.TagSize && b[0] == wire.TypeHello {
				r.hello(b, r.peer, d.At)
			}
		})
	}
	r.arrived(time.Now())
}

// arrived ends a batch of packets.
func (r *receiver) arrived(now time.Time) {
	if len(r.echoes) == 0 || r.path == nil {
		return
	}
	if r.taken > 0 && (!r.begun || r.listed == r.tape.end && r.missing == 0) {
		r.begun = true
		r.report(now) // at once: the spread of the first packets tells the path's rate; and nobody shall wait for the end
		return
	}
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

func (r *receiver) hello(b []byte, from netip.AddrPort, now time.Time) {
	h, err := wire.ParseHeader(b)
	if err != nil || h.Session != r.session || len(b) > wire.MaxDatagram {
		return
	}
	r.bodyB, err = r.opener.Open(r.bodyB[:0], h.Number, b[:wire.HeaderSize], b[wire.HeaderSize:])
	if err != nil {
		r.forged++
		return
	}
	if from == r.peer {
		r.credit += answerShare * len(b)
	}
	m, err := wire.ParseHello(r.bodyB, len(b))
	if err != nil {
		r.fail(fail(CodeProtocol, "a Hello that is none"))
		return
	}
	r.interval = m.Interval
	newest := h.Number == r.opener.Seen.Highest()
	if !r.ready {
		if newest || !r.waiting.IsValid() {
			r.waiting = from
		}
		r.saw(h.Number, now)
		return
	}
	if from != r.peer {
		// An old Hello may have been held back by somebody on the path to send us elsewhere.
		if !newest || now.Sub(r.moved) < moveEvery || !r.move(from, now) {
			return
		}
	}
	larger := len(b) > r.datagram
	r.datagram = max(r.datagram, len(b))
	r.saw(h.Number, now)
	if now := time.Now(); larger || now.Sub(r.last) >= r.interval {
		r.report(now)
		return
	}
	r.arrived(now) // several at a time are answered together
}

// move makes from, where a Hello came from, the peer's address. false: that is not possible now; the next Hello tries again.
func (r *receiver) move(from netip.AddrPort, now time.Time) bool {
	r.moved = now
	p, err := r.connect(from)
	if err != nil {
		return false
	}
	if r.path != nil {
		r.path.close()
	}
	r.path, r.peer, r.datagram, r.last = p, from, wire.MinHello, time.Time{}
	r.credit = answerShare * wire.MinHello
	if r.fill == nil { // not before: a connection without a ticket costs little
		r.fill = newChunk()
	}
	return true
}

// rest frees what a paused session does not need, until authorise.
func (r *receiver) rest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ready, r.waiting = false, netip.AddrPort{}
	if r.path != nil {
		r.path.close()
	}
	r.path, r.peer = nil, netip.AddrPort{}
	if r.fill != nil {
		r.flush()
		r.fill.free()
		r.fill = nil
	}
}

// stop ends the data path; what was taken is left to the store.
func (r *receiver) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	r.stopped = true
	close(r.done)
	if r.path != nil {
		r.path.close()
		r.path = nil
	}
}

func (r *receiver) saw(number uint64, now time.Time) {
	r.came++
	if number < r.settled {
		r.late++
	}
	if number >= r.newest {
		r.newest, r.clock = number, now
		if n := len(r.echoes); n > 0 && r.echoes[n-1].at == now {
			r.echoes[n-1].number = number // one of each batch tells when it came
			return
		}
		if len(r.echoes) == echoes {
			copy(r.echoes[1:], r.echoes[2:]) // the first stays: it shows how far they were spread
			r.echoes = r.echoes[:echoes-1]
		}
		r.echoes = append(r.echoes, arrival{number, now})
	}
}

func (r *receiver) data(b []byte, now time.Time) {
	h, err := wire.ParseDataHeader(b)
	if err != nil || h.Session != r.session || !r.ready || r.fill == nil {
		return
	}
	// Checked before the packet counts as received: what cannot be taken now is to come again.
	n := len(b) - wire.DataOverhead
	start, end := int64(h.Position), int64(h.Position)+int64(n)
	early := end > r.listed && end <= r.tape.end // what is there of it is not known yet
	if n > 0 && (early || r.store.full() || len(r.have) > r.known+r.gaps && r.have.grows(start, end)) {
		return
	}
	if r.fill.room() < n {
		r.flush()
	}
	at := len(r.fill.buf)
	body, err := r.opener.Open(r.fill.buf, h.Number, b[:wire.DataHeaderSize], b[wire.DataHeaderSize:])
	if err != nil {
		r.forged++
		return
	}
	r.carried += int64(len(b))
	r.credit += answerShare * len(b)
	r.saw(h.Number, now)
	r.settled = max(r.settled, h.Settled)
	if end > r.tape.end {
		r.fail(fail(CodeTooLarge, "bytes beyond the announced size"))
		return
	}
	if n == 0 {
		return
	}
	r.have.missing(start, end, func(m Range) {
		r.fill.buf = body
		r.fill.add(m.Start, at+int(m.Start-start), int(m.End-m.Start))
		r.count(int(m.End - m.Start))
	})
	r.have.add(start, end)
}

func (r *receiver) count(n int) {
	r.taken += int64(n)
	r.missing -= int64(n)
}

// flush hands what was collected to the store; fill is empty and may be used again.
func (r *receiver) flush() {
	if len(r.fill.buf) > 0 {
		r.store.put(r.fill)
		r.store.wake()
		r.fill = newChunk()
	}
}

// take is for the store when it has nothing to do: it gets what was collected so far, or nil.
func (r *receiver) take() *chunk {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fill == nil || len(r.fill.buf) == 0 {
		return nil
	}
	c := r.fill
	r.fill = newChunk()
	return c
}

// reports sends feedback while packets come, until stop.
func (r *receiver) reports() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.kick:
		case <-r.done:
			return
		}
		r.mu.Lock()
		wait := r.interval - time.Since(r.last)
		r.mu.Unlock()
		if wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-r.done:
				return
			}
		}
		r.mu.Lock()
		if len(r.echoes) > 0 && !r.stopped {
			r.report(time.Now())
		}
		r.mu.Unlock()
	}
}

// report sends a feedback. What was collected is written meanwhile.
func (r *receiver) report(now time.Time) {
	r.store.wake()
	if r.path == nil || r.credit < wire.MaxFeedback {
		return
	}
	f := &r.feedback
	f.Flags, f.Rate, f.Priority = 0, wire.NoLimit, 0
	if r.share != nil {
		s := r.share()
		f.Priority = s.Priority
		if s.Rate >= 0 {
			f.Rate = uint64(s.Rate)
		}
	}
	limit, behind := r.store.pace(now)
	if r.behind = behind; behind {
		f.Rate = min(f.Rate, uint64(limit))
		f.Flags |= wire.FlagStorage
	}
	r.granted.grant(f.Rate, now)
	f.Datagram = uint16(r.datagram)
	f.Received = uint64(r.taken)
	f.Late = r.late
	f.Clock = uint32(r.clock.Sub(r.started) / time.Microsecond)
	f.Echoes = f.Echoes[:0]
	for i := len(r.echoes) - 1; i >= 0; i-- {
		f.Echoes = append(f.Echoes, wire.Echo{Number: r.echoes[i].number, Held: now.Sub(r.echoes[i].at)})
	}
	r.echoes, r.last = r.echoes[:0], now
	// Where much is lost on a long way the runs are many: told in small parts, of which some are lost too, the sender
	// would learn of each packet much too late.
	for n := 0; n < mostFeedback && r.path != nil && r.credit >= wire.MaxFeedback; n++ {
		r.say(f)
		if r.cursor == 0 {
			return
		}
		f.Echoes = f.Echoes[:0]
	}
}

// say sends a feedback with the next runs; cursor is 0 afterwards when those were the last.
func (r *receiver) say(f *wire.Feedback) {
	f.Start = max(r.cursor, r.settled, r.opener.Seen.Floor())
	f.Runs, r.cursor = r.opener.Seen.AppendRuns(f.Runs[:0], f.Start, wire.FeedbackRoom(len(f.Echoes)))
	if r.cursor == r.opener.Seen.Next() {
		r.cursor = 0
	}
	number, err := r.sealer.Next()
	if err != nil {
		r.fail(err)
		return
	}
	if cap(r.packetB) < wire.HeaderSize {
		r.packetB = make([]byte, wire.HeaderSize, wire.MaxFeedback)
	}
	p := r.packetB[:wire.HeaderSize]
	wire.Header{Type: wire.TypeFeedback, Session: r.session, Number: number}.Put(p)
	r.bodyB = f.Append(r.bodyB[:0])
	r.packetB = r.sealer.Seal(p, number, r.bodyB, p)
	r.path.send(r.packetB)
	r.credit -= len(r.packetB)
}

// progress tells what came so far; carried counts authentic datagrams whole, repeated ones too.
func (r *receiver) progress() (taken int64, complete bool, carried int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken, r.listed == r.tape.end && r.missing == 0, r.carried
}

// spend gives what was allowed since the last time; free: anything.
func (r *receiver) spend(now time.Time) (bytes, most float64, free bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.granted.spend(now)
}
