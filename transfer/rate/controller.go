package rate

import (
	"time"
)

type phase uint8

const (
	starting phase = iota // looking for the path's rate
	steady
	draining // rate cut for a moment so that the base round trip shows
	silent   // nothing heard for long
)

var phaseNames = [...]string{starting: "start", steady: "steady", draining: "drain", silent: "silent"}

// Controller steers one transfer on one path. It is not safe for concurrent use. Times are the
// sender's monotonic clock (Sample.Now); they may have any origin but must not go back.
type Controller struct {
	cfg    Config
	phase  phase
	paused bool
	now    time.Duration

	meter     meter
	base      baseline
	floor     lossFloor
	train     train
	rate      float64 // pace, byte/s
	anchor    float64 // what the path carries of ours, counted at the sender: delivered and, by the floor, lost
	queue     time.Duration
	rtt       time.Duration // latest interval's smallest
	loss      float64       // smoothed
	delivered float64       // smoothed
	best      best
	peak      peak // of seconds
	full      peak // of minutes

	heard       time.Duration // last sample
	outstanding int
	starved     Limiter
	starvedAt   time.Duration
	emptySince  time.Duration // the queue; 0: it is not
	calm        calm
	shallow     shallow
	way         way
	recent      [3]time.Duration // queue of the last intervals
	drain       drain
	contest     contest
	pausedAt    time.Duration

	free   float64 // rate before it was capped; 0: it was not
	freeAt time.Duration
}

// New begins a transfer: the first Decision asks for a short train of packets back to back, whose
// spread at the receiver tells the path's rate, then a careful pace until the first feedback.
func New(cfg Config, now time.Duration) *Controller {
	c := &Controller{cfg: cfg.withDefaults(), now: now, heard: now}
	c.meter.packet = c.cfg.Packet
	c.peak.period, c.full.period = 5*time.Second, time.Minute
	c.begin(now)
	return c
}

func (cfg Config) withDefaults() Config {
	if cfg.Target <= 0 {
		cfg.Target = DefaultTarget
	}
	if cfg.Minimum <= 0 {
		cfg.Minimum = DefaultMinimum
	}
	if cfg.Packet <= 0 {
		cfg.Packet = 1500
	}
	if cfg.RTT <= 0 {
		cfg.RTT = cfg.History.RTT
	}
	if cfg.RTT <= 0 {
		cfg.RTT = 100 * time.Millisecond
	}
	return cfg
}

const (
	firstRate = 10e6 / 8
	// trainGap follows the first train, so that the last arrival in its reports is its own; twice the
	// time between two reports.
	trainGap = 12 * time.Millisecond
	nearGap  = 3 * time.Millisecond

	nearWindow = 5 << 20 // bytes; receivers have buffers of 8 MiB

	// NearRTT is the round trip below which the search goes faster, and asks for Feedback every millisecond.
	NearRTT = 5 * time.Millisecond
)

// begin (re)starts the search for the rate.
func (c *Controller) begin(now time.Duration) {
	c.phase = starting
	c.rtt = c.cfg.RTT
	c.rate = c.first()
	if h := c.cfg.History; h.Rate > 0 {
		c.rate = 0.9 * float64(h.Rate) / 8
	} else if c.cfg.Guess > 0 {
		c.rate = 0.8 * float64(c.cfg.Guess) / 8
	}
	limit, _ := c.ceiling()
	size := min(64*min(c.cfg.Packet, 1500), max(4*c.cfg.Packet, int(limit/100)))
	gap := max(trainGap, c.cfg.RTT/8)
	if c.cfg.RTT < NearRTT {
		gap = nearGap
	}
	c.train = train{size: size, begin: now, gap: now + gap}
	c.drain.last, c.drain.look = now, drainEvery/2
}

// first is the pace before anything is known.
func (c *Controller) first() float64 {
	limit, _ := c.ceiling()
	return min(limit/8, firstRate)
}

// OnSample takes what the receiver reported and answers what holds from now on.
func (c *Controller) OnSample(s Sample) Decision {
	c.now = max(c.now, s.Now)
	if c.phase == silent {
		c.wake()
	}
	c.heard, c.outstanding = c.now, s.Outstanding
	c.base.add(c.now, s.RTT)
	if s.Starved != Path {
		c.starved, c.starvedAt = s.Starved, c.now
	}
	c.train.add(s)
	c.drain.check(c, s)
	if !c.drain.clean && c.now >= c.drain.quietUntil {
		c.drain.clean = true
		c.meter.restart(c.now)
	}
	c.meter.add(s)
	if c.phase == starting && c.train.ready(c.now, max(c.rtt, c.base.get())) {
		c.trained()
	}
	if r, ok := c.meter.take(c.now, c.interval()); ok {
		c.steer(r)
	}
	return c.At(c.now)
}

// interval is how often the rate is reconsidered.
func (c *Controller) interval() time.Duration {
	if c.phase == starting && c.near() {
		return 5 * time.Millisecond
	}
	return max(c.base.get()/2, 15*time.Millisecond)
}

// near tells that the receiver is so close that a search as elsewhere would take longer than many transfers.
func (c *Controller) near() bool {
	base := c.base.get()
	return base > 0 && base < NearRTT
}

// At is the Decision at a time without feedback. Ask it before every batch (at least every 10 ms
// while sending): drains end and silence is noticed between samples.
func (c *Controller) At(now time.Duration) Decision {
	c.now = max(c.now, now)
	c.tick()
	limit, why := c.ceiling()
	low := min(float64(c.cfg.Minimum)/8, limit)
	if c.paused {
		return Decision{Limiter: Paused, Window: 0, Burst: c.cfg.Packet}
	}
	if c.cfg.Policy == Fixed {
		// The window only keeps the sender's books short when the path is dead.
		window := int(limit*(2*max(c.rtt, c.base.get())+2*time.Second).Seconds()) + c.train.size
		return Decision{Rate: BitRate(limit * 8), Window: window, Burst: c.burst(limit), Limiter: c.limiter(why, true)}
	}
	c.rate = min(max(c.rate, low), limit)
	r := c.rate
	window := c.window(r)
	if c.now < c.train.gap {
		// The train and nothing else.
		r, window = low, c.train.size
	}
	if c.phase == draining {
		r = max(low, r*c.drain.factor)
	}
	return Decision{
		Rate: BitRate(r * 8), Window: window, Burst: c.burst(r),
		Limiter: c.limiter(why, c.rate >= 0.98*limit),
	}
}

// ceiling is the fastest rate allowed (byte/s) and by whom.
func (c *Controller) ceiling() (float64, Limiter) {
	if c.cfg.Cap > 0 && c.cfg.Cap < c.cfg.Target {
		return float64(c.cfg.Cap) / 8, AccountCap
	}
	return float64(c.cfg.Target) / 8, TargetRate
}

func (c *Controller) limiter(ceiling Limiter, reached bool) Limiter {
	switch {
	case c.starved != Path && c.now-c.starvedAt < max(c.rtt, 100*time.Millisecond):
		return c.starved
	case reached:
		return ceiling
	}
	return Path
}

// burst is 1 ms at rate r, less for a shallow buffer, at least two packets; the first train is longer.
func (c *Controller) burst(r float64) int {
	if !c.train.heard {
		return c.train.size
	}
	t := time.Millisecond
	if c.shallow.room > 0 {
		t = min(t, c.shallow.room/8)
	}
	return max(2*c.cfg.Packet, int(r*t.Seconds()))
}

// window bounds what is outstanding: what rate r needs on this path, the queue's target, the time
// between two feedbacks, and slack for the end of the drop of feedback now and then.
func (c *Controller) window(r float64) int {
	rtt := c.base.get()
	if rtt == 0 {
		rtt = c.cfg.RTT
	}
	most := max(c.rate, c.anchor)
	t := rtt + rtt/4 + 2*c.target(most) + 12*time.Millisecond
	if c.phase == starting {
		t += rtt
	}
	if c.near() {
		// What comes while the receiver waits for a processor has to fit into its socket.
		return int(min(most*t.Seconds(), most*rtt.Seconds()+nearWindow)) + c.train.size
	}
	return int(most*t.Seconds()) + 64*c.cfg.Packet + c.train.size
}

// SetPolicy changes the policy in mid-transfer.
func (c *Controller) SetPolicy(p Policy) {
	c.cfg.Policy = p
	c.contest = contest{}
}

// SetTarget changes target and minimum rate in mid-transfer; 0 means the defaults.
func (c *Controller) SetTarget(target, minimum BitRate) {
	c.reconfigure(func() {
		c.cfg.Target, c.cfg.Minimum = target, minimum
		c.cfg = c.cfg.withDefaults()
	})
}

// SetPacket says how large a full IP packet is from now on, in bytes.
func (c *Controller) SetPacket(n int) { c.cfg.Packet, c.meter.packet = n, n }

// SetCap sets this transfer's part of its account's cap; 0 takes the cap away. It goes before the
// minimum rate.
func (c *Controller) SetCap(limit BitRate) { c.reconfigure(func() { c.cfg.Cap = limit }) }

func (c *Controller) reconfigure(set func()) {
	before, _ := c.ceiling()
	limited := c.rate >= 0.98*before
	set()
	after, _ := c.ceiling()
	if after < c.rate && (c.rate > c.free || c.now-c.freeAt > freeFor) {
		c.free, c.freeAt = c.rate, c.now
	}
	if !limited || after <= before {
		return
	}
	if c.now-c.freeAt < freeFor {
		// A slow disk's caps come and go: what the path carried a moment ago needs no search.
		c.rate = max(c.rate, min(after, 0.9*c.free))
	}
	if c.phase == steady {
		// The path has not been asked for more so far: look again.
		c.phase = starting
	}
}

const freeFor = 10 * time.Second

// Pause stops the sending (Rate 0) until Resume; outstanding packets may still be reported.
func (c *Controller) Pause(now time.Duration) {
	c.now = max(c.now, now)
	if !c.paused {
		c.paused, c.pausedAt = true, c.now
	}
}

// Resume goes on after Pause with half the rate that was, or the pace of a beginning if the pause was
// longer than ten seconds, and a quick search from there.
func (c *Controller) Resume(now time.Duration) {
	c.now = max(c.now, now)
	if !c.paused {
		return
	}
	c.paused, c.heard = false, c.now
	if c.anchor == 0 {
		return
	}
	c.meter = meter{packet: c.cfg.Packet}
	c.phase, c.drain.last = starting, c.now
	c.rate = c.anchor / 2
	if c.now-c.pausedAt > 10*time.Second {
		c.rate = min(c.rate, c.first())
	}
	c.train.quietUntil, c.train.holdUntil = 0, c.now+c.rtt
}

// PathChanged forgets what was measured, because the peer's address or the own one changed. rtt is
// the new path's, 0 if unknown.
func (c *Controller) PathChanged(now, rtt time.Duration) {
	cfg := c.cfg
	cfg.RTT, cfg.History, cfg.Guess = rtt, History{}, 0
	fresh := New(cfg, max(c.now, now))
	fresh.paused, fresh.pausedAt = c.paused, c.pausedAt
	*c = *fresh
}

// State is a snapshot for people, logs and metrics.
func (c *Controller) State() State {
	s := State{
		Decision: c.At(c.now), Delivered: BitRate(c.delivered * 8), BaseRTT: c.base.get(),
		Queue: c.queue, Loss: c.loss, Phase: phaseNames[c.phase],
	}
	switch {
	case c.paused:
		s.Phase = "paused"
	case c.cfg.Policy == Fixed:
		s.Phase = "fixed"
	case c.contest.window > 0:
		s.Phase = "compete"
	}
	return s
}

// History is what to remember for the next transfer on this path; ok is false when too little was seen.
func (c *Controller) History() (h History, ok bool) {
	if c.anchor == 0 || c.phase == starting {
		return History{}, false
	}
	return History{Rate: BitRate(c.anchor * 8), RTT: c.base.get()}, true
}

// LossDelay is how long to wait for the report of a sent packet before it counts as lost though no
// packet sent later was reported (when a later one was, 16 packets of reordering are enough). The
// wait counts from the packet's departure or from the latest report of any packet plus a quarter of
// the delay, whichever is later: while reports come in, the packet only stands in a queue.
func (c *Controller) LossDelay() time.Duration {
	rtt := max(c.rtt, c.base.get())
	return rtt + rtt/8 + 2*c.target(c.rate) + 40*time.Millisecond
}
