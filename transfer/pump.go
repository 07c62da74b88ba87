package transfer

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/udp"
	"isthmus/transfer/wire"
)

const (
	helloFirst    = 50 * time.Millisecond
	helloLongest  = time.Second
	lateMost      = 10 * time.Millisecond  // of a step, until the machine counts as busy
	silenceFirst  = 100 * time.Millisecond // without feedback: Hello again
	silenceStop   = time.Second            // and nothing but Hello
	silenceEnd    = 10 * time.Second       // and another connection
	leastInterval = 5 * time.Millisecond
	nearInterval  = time.Millisecond
	reorderFirst  = 16   // packets
	reorderMost   = 1024 // packets
	patienceFirst = 16   // sixteenths of the controller's LossDelay
	patienceMost  = 10 * patienceFirst
	aheadChunks   = 8
)

// pump is the data path of a link: it reads blocks, seals and sends them at the controller's pace, and
// sends again what was lost. run's goroutine owns everything not said otherwise.
type pump struct {
	l      *link
	start  time.Time
	ctl    *rate.Controller
	sealer *wire.Sealer
	opener *wire.Opener // of the feedback's reader
	in     chan *report

	payload  int // bytes of the tape in a full packet
	datagram int
	headers  int // IP and UDP
	out      []byte
	tokens   float64 // bytes of IP packets that may leave
	filled   time.Duration
	flight   flight
	repairs  []repair
	tail     *tail // nil: new blocks are left
	gauge    gauge
	reorder  uint64
	patience time.Duration
	calm     time.Duration // when reorder and patience may shrink
	held     time.Duration // by the server before it reported the newest packet
	late     uint32
	unlost   int // packets of the present report that were declared lost before
	starved  rate.Limiter
	decision rate.Decision

	answered  bool // a Feedback came since the latest doubt
	helloAt   time.Duration
	helloWait time.Duration
	probes    int // rounds of path MTU probing left
	probeAt   time.Duration
	heard     time.Duration // last feedback
	awake     time.Duration // since when not paused
	due       time.Duration // the next step was to be then
	paced     bool          // the last step ended because of the pace, not of data or window
	debt      float64       // bytes that the pace allowed while we were not running
	away      time.Duration // packets are not given up before: we were not running, and what came meanwhile is not read yet
	sentAt    time.Duration // last packet
	quiet     time.Duration // first data packet since heard; 0: none
	interval  time.Duration
	asked     uint64 // number of the Hello that asked for it
	unheard   bool   // that was lost
	rtt       time.Duration
	clock     time.Duration // server's, at the newest packet reported
	limit     uint64        // the server's rate
	welcomed  atomic.Int64  // when Welcome came: only then Hellos are answered
	nudging   atomic.Bool
	hollow    int // doubts that were answered without any full packet arriving in between
	largest   int // datagrams above this vanish
	paused    bool
	ordered   orders
	cancelled int

	ahead   chan *chunk // read, to be sent
	current *chunk
	at      int    // in current
	spent   *chunk // its last block is being sealed
	begun   bool   // the first was there
	rested  bool   // the server was told that nothing follows
	dry     bool   // nothing new will come
	scratch []byte

	carried                int // largest datagram that the server reported
	sentBytes, repeated    int64
	toldSent, toldRepeated int64
	toldAt                 time.Duration
	received               uint64
	acked                  ranges  // positions that arrived
	fresh                  []Range // of the present report

	mu      sync.Mutex // guards what follows
	wanted  []Range
	noMore  bool
	more    chan struct{}
	readLen int // bytes of a chunk: whole packets
}

// report is a Feedback and when it came.
type report struct {
	wire.Feedback
	at time.Duration
}

var reports = sync.Pool{New: func() any { return new(report) }}

func newPump(l *link) (*pump, error) {
	p := &pump{
		l: l, start: time.Now(), in: make(chan *report, 64), ahead: make(chan *chunk, aheadChunks),
		more: make(chan struct{}, 1), reorder: reorderFirst, patience: patienceFirst, limit: wire.NoLimit, helloWait: helloFirst,
		headers: 28, out: make([]byte, 0, udp.MaxWrite), ordered: l.s.orders(),
		scratch: make([]byte, wire.MaxDatagram), largest: wire.MaxDatagram,
	}
	if l.to.Addr().Is6() {
		p.headers = 48
	}
	p.setDatagram(wire.BaseSize)
	p.rtt = l.conn.ConnectionStats().MinRTT
	p.interval = p.firstInterval()
	p.begin(0)
	var err error
	if p.sealer, err = wire.NewSealer(l.keys.Client); err != nil {
		return nil, err
	}
	p.opener, err = wire.NewOpener(l.keys.Server)
	return p, err
}

// begin starts the controller's clock: it measures the way by what leaves first.
func (p *pump) begin(now time.Duration) {
	cfg := p.ordered.rate
	cfg.RTT, cfg.Packet, cfg.Guess = p.rtt, p.datagram+p.headers, p.gauge.rate(wire.BaseSize+p.headers)
	if p.limit > 0 && p.limit < 1<<50 {
		cfg.Cap = rate.BitRate(p.limit)
	}
	p.ctl = rate.New(cfg, now)
	p.tokens, p.filled = float64(p.ctl.At(now).Burst), now
}

func (p *pump) now() time.Duration { return time.Since(p.start) }

func (p *pump) setDatagram(n int) {
	p.mu.Lock() // readAhead looks at payload too
	defer p.mu.Unlock()
	p.datagram, p.payload = n, n-wire.DataOverhead
	p.readLen = chunkSize / p.payload * p.payload
	if p.ctl != nil {
		p.ctl.SetPacket(n + p.headers)
	}
}

// readFeedback opens what the server sends.
func (p *pump) readFeedback(ctx context.Context) error {
	var body []byte
	for {
		all, err := p.l.socket.Read()
		if errors.Is(err, net.ErrClosed) {
			return ctx.Err()
		}
		if err != nil {
			time.Sleep(time.Millisecond) // some way is closed for now
			continue
		}
		for _, d := range all {
			d.Split(func(b []byte) {
				h, err := wire.ParseHeader(b)
				if err != nil || h.Type != wire.TypeFeedback || h.Session != p.l.keys.Session {
					return
				}
				body, err = p.opener.Open(body[:0], h.Number, b[:wire.HeaderSize], b[wire.HeaderSize:])
				if err != nil || h.Number != p.opener.Seen.Highest() {
					return // an overtaken one says nothing new
				}
				r := reports.Get().(*report)
				if r.Parse(body) != nil {
					return
				}
				r.at = d.At.Sub(p.start)
				select {
				case p.in <- r:
				default: // the next one says it again
				}
			})
		}
	}
}

// run sends until ctx ends.
func (p *pump) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	if err := p.pause(p.ordered.paused); err != nil {
		return err
	}
	for {
		if err := p.obey(); err != nil {
			return err
		}
		for more := true; more; {
			select {
			case r := <-p.in:
				p.feedback(r)
				reports.Put(r)
			default:
				more = false
			}
		}
		now := p.now()
		if late := now - p.due; late > lateMost {
			p.away = now + late
		}
		wait, err := p.step(now)
		if err != nil {
			return err
		}
		p.due = p.now() + max(0, wait)
		if wait <= 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		ahead := p.ahead
		if p.current != nil || p.dry || !p.answered || p.paused || !p.mayBegin(p.now()) {
			ahead = nil
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-p.ordered.changed:
		case r := <-p.in:
			p.feedback(r)
			reports.Put(r)
		case c := <-ahead:
			p.load(c)
		}
	}
}

// mayBegin tells that the way was measured as far as it will be.
func (p *pump) mayBegin(now time.Duration) bool { return p.begun || !p.gauge.waits(now) }

func (p *pump) load(c *chunk) {
	switch {
	case c == nil:
		p.dry = true
	case len(c.buf) == 0:
		c.free()
	default:
		if !p.begun {
			p.begun, p.starved = true, rate.Path
			p.begin(p.now())
		}
		p.current, p.at = c, 0
	}
}

// obey does what people asked for.
func (p *pump) obey() error {
	select {
	case <-p.ordered.changed:
	default:
		return nil
	}
	o := p.l.s.orders()
	p.ordered = o
	p.ctl.SetPolicy(o.rate.Policy)
	p.ctl.SetTarget(o.rate.Target, o.rate.Minimum)
	for _, id := range o.cancels[p.cancelled:] {
		if err := p.l.cancel(id); err != nil {
			return closed(err)
		}
	}
	p.cancelled = len(o.cancels)
	return p.pause(o.paused)
}

func (p *pump) pause(paused bool) error {
	if paused == p.paused {
		return nil
	}
	p.paused = paused
	if paused {
		p.ctl.Pause(p.now())
	} else {
		p.awake = p.now()
		p.ctl.Resume(p.awake)
		p.doubt(p.awake) // the server has forgotten our address
	}
	p.l.s.note(func(g *Progress) {
		if g.Path = "sending"; paused {
			g.Path = "paused"
		}
	})
	p.rested = false // it may have been told by pausing for good
	return p.l.pause(paused)
}

// doubt asks the server for a sign of life from now on.
func (p *pump) doubt(now time.Duration) {
	p.answered, p.helloAt, p.helloWait = false, now, helloFirst
}

// step sends what is due and tells how long to wait at most.
func (p *pump) step(now time.Duration) (time.Duration, error) {
	if p.paused {
		return time.Hour, nil
	}
	silent := now - max(p.heard, p.awake, time.Duration(p.welcomed.Load()))
	if !p.answered && silent > p.l.s.silence && p.welcomed.Load() > 0 {
		if p.heard == 0 {
			return 0, fail(CodeBlocked, "QUIC passes here, but the data packets get no answer")
		}
		return 0, fail(CodeRetry, "nothing was heard of the server for long")
	}
	if p.answered && p.quiet > 0 && now-p.quiet > max(silenceFirst, 2*p.rtt) {
		p.doubt(now)
	}
	if !p.answered && now >= p.helloAt {
		p.helloAt = now + p.helloWait
		p.helloWait = min(2*p.helloWait, helloLongest)
		var err error
		if p.heard == 0 && !p.gauge.sent && p.rtt >= gaugeRTT && p.ordered.rate.History.Rate == 0 {
			err = p.sendGauge(now)
		} else {
			err = p.hello(wire.BaseSize, now)
		}
		if err != nil {
			return 0, err
		}
		p.nudge()
	}
	if err := errors.Join(p.probe(now), p.adjust(now)); err != nil {
		return 0, err
	}
	if !p.answered && (p.heard == 0 || silent > max(silenceStop, 4*p.rtt)) || p.limit == 0 {
		if p.answered { // the server stopped us: ask now and then
			if now >= p.helloAt {
				p.helloAt = now + helloLongest/4
				return helloLongest / 4, p.hello(wire.BaseSize, now)
			}
		}
		return max(p.helloAt-now, time.Millisecond), nil
	}
	p.timeouts(now)
	return p.sendDue(now)
}

// nudge says something on the control connection. If our address has changed, the server's QUIC shall notice before it
// has to say something; and a server that has restarted answers a packet of some length with a Stateless Reset.
func (p *pump) nudge() {
	if !p.nudging.CompareAndSwap(false, true) {
		return
	}
	go func() { // when that connection is stuck, it must not hold up the data
		defer p.nudging.Store(false)
		_ = p.l.repeat() // its reader tells of its end
	}()
}

// hello sends one of size bytes. A size that the way does not take is no failure.
func (p *pump) hello(size int, now time.Duration) error {
	b, err := p.sealHello(make([]byte, 0, size), size, now)
	if err == nil {
		_ = p.l.socket.Write(b, len(b), p.l.to)
	}
	return err
}

// sealHello appends a Hello of size bytes to dst.
func (p *pump) sealHello(dst []byte, size int, now time.Duration) ([]byte, error) {
	number, err := p.sealer.Next()
	if err != nil {
		return dst, err
	}
	var head [wire.HeaderSize]byte
	wire.Header{Type: wire.TypeHello, Session: p.l.keys.Session, Number: number}.Put(head[:])
	body := wire.Hello{Size: uint16(size), Interval: p.interval.Truncate(time.Millisecond)}.Append(nil)
	p.flight.add(number, sent{at: now})
	return p.sealer.Seal(append(dst, head[:]...), number, body, head[:]), nil
}

// adjust asks for as many reports as are of use: many at first, to see how fast the way is, and at the end, where
// each one may save a round trip.
func (p *pump) adjust(now time.Duration) error {
	want := leastInterval
	if st := p.ctl.State(); !p.begun || st.Phase == "start" {
		want = p.firstInterval()
	} else if !p.finishing() {
		want = min(max(leastInterval, st.BaseRTT/8), time.Second)
	}
	if !p.answered || !p.unheard && want <= 2*p.interval && 2*want >= p.interval {
		return nil
	}
	p.interval, p.asked, p.unheard = want, p.flight.next, false
	return p.hello(wire.BaseSize, now)
}

func (p *pump) firstInterval() time.Duration {
	if p.rtt < rate.NearRTT {
		return nearInterval
	}
	return leastInterval
}

// sizes are tried in turn: common limits of tunnels, then Ethernet, then jumbo frames, as IP packets.
var sizes = [...]int{1420, 1480, 1500, 9000}

func (p *pump) probe(now time.Duration) error {
	if !p.answered || p.probes == 0 || now < p.probeAt {
		return nil
	}
	p.probes--
	p.probeAt = now + max(2*p.rtt, 20*time.Millisecond)
	for _, n := range sizes {
		if n -= p.headers; n > p.datagram {
			if err := p.hello(n, now); err != nil {
				return err
			}
		}
	}
	return nil
}
