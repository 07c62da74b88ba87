package rate

import (
	"math"
	"time"
)

// target is the queue that a flow of this rate (byte/s) aims at. It falls with the rate: flows that
// see one queue meet where their rates, divided by their weights, are equal.
func (c *Controller) target(rate float64) time.Duration {
	const unit = 100e6 / 8
	x := max(rate, 1000) / c.weight() / unit
	var ms float64
	if x <= 10 {
		ms = 6 / math.Sqrt(x)
	} else {
		// Fewer milliseconds than hosts can time are no target: fall slower from here.
		ms = 6 / math.Sqrt(10) / math.Pow(x/10, 0.25)
	}
	return time.Duration(min(ms, 60) * float64(time.Millisecond))
}

func (c *Controller) weight() float64 {
	switch c.cfg.Policy {
	case High:
		return 2
	case Low:
		return 0.25
	}
	return 1
}

// growth is how fast an empty queue is filled: slowly at first, since the answer takes a round trip.
type growth struct {
	since time.Duration // the queue has been empty since; 0: it is not
	cap   float64       // step that did not overflow a shallow buffer
}

// best remembers the largest anchors of the last round trips.
type best struct {
	at   [16]time.Duration
	rate [16]float64
	next int
}

func (b *best) add(now time.Duration, rate float64) {
	b.at[b.next], b.rate[b.next] = now, rate
	b.next = (b.next + 1) % len(b.at)
}

func (b *best) since(t time.Duration) (m float64) {
	for i, at := range b.at {
		if at >= t {
			m = max(m, b.rate[i])
		}
	}
	return m
}

// peak is the largest anchor of the last five to ten seconds.
type peak struct {
	old, young float64
	since      time.Duration
}

func (p *peak) add(now time.Duration, rate float64) {
	p.young = max(p.young, rate)
	if now-p.since > 5*time.Second {
		p.old, p.young, p.since = p.young, rate, now
	}
}

func (p *peak) get() float64 { return max(p.old, p.young) }

// steer reconsiders the rate at the end of an interval.
func (c *Controller) steer(r reading) {
	if r.rtt > 0 {
		c.rtt = r.rtt
		c.queue = r.rtt - c.base.get()
	}
	c.loss += (r.loss - c.loss) / 4
	if r.rate == 0 {
		return
	}
	// Without overload what arrived and what was lost are what was sent: less noise than the mean loss.
	sent := r.rate / (1 - min(r.loss, 0.9))
	if c.phase == starting {
		c.start(r, sent)
		return
	}
	if c.phase == draining || c.now < c.drain.quietUntil {
		if c.drain.open && c.drain.doubt == 0 && r.now-r.rtt < c.drain.begin {
			// Still of the time before: what the path gave us while we asked for more than that.
			c.anchor = max(c.anchor, r.rate/(1-c.floor.floor))
			c.rate = c.anchor
		}
		return
	}
	excess := c.floor.excess(r.loss, r.packets)
	if excess == 0 {
		c.floor.add(r.loss, r.packets)
	} else {
		sent = r.rate / (1 - c.floor.floor)
	}
	if r.starved != Path {
		// Less was sent than allowed: the delivery says nothing about the path, a queue still does.
		if sent < c.anchor {
			sent = c.anchor
		}
	}
	c.anchor = sent
	c.best.add(c.now, sent)
	c.peak.add(c.now, sent)
	c.steady(r, sent, excess)
}

// calm notices a queue that stands still off its target. Alone, the law would have moved it: so
// others hold it there, and rates are uneven. The queue's height tells the even rate (the one whose
// target it is); part of the way there is taken at once, where the law alone would take minutes on a
// long path.
type calm struct {
	since    time.Duration
	low      time.Duration
	high     time.Duration
	mean     time.Duration
	quietFor time.Duration
}

func (m *calm) add(now, queue time.Duration) {
	m.mean += (queue - m.mean) / 4
	m.low, m.high = min(m.low, queue), max(m.high, queue)
	if m.high-m.low > m.high/4+200*time.Microsecond {
		m.since, m.low, m.high = now, queue, queue
	}
}

func (m *calm) step(c *Controller, want time.Duration) (float64, bool) {
	loop := c.base.get() + c.interval()*3/2
	if c.now-m.since < 2*loop {
		return 1, false
	}
	off := math.Log(float64(want) / float64(c.queue))
	if math.Abs(off) < 0.05 {
		return 1, false
	}
	m.since, m.low, m.high = c.now, c.queue, c.queue
	c.drain.quietUntil = max(c.drain.quietUntil, c.now+loop)
	// The rate goes with the square of the queue's target.
	return math.Exp(min(max(2*off*0.3, -0.25), 0.25)), true
}

// steady is the law: the anchor, corrected by the queue's distance from its target over the time
// until the correction shows.
func (c *Controller) steady(r reading, sent, excess float64) {
	want := c.target(sent)
	defer c.calm.add(c.now, c.queue)
	delay := c.base.get() + c.interval()*3/2
	off := float64(want-c.queue) / float64(delay)
	switch {
	case excess > 0 && c.queue < want:
		// Loss that the own rate makes, without a queue to see: the buffer is shallow.
		c.rate = 0.97 * sent
		c.best = best{}
		c.grow.since = 0
		return
	case c.queue > want/4:
		c.grow.since = 0
		if step, ok := c.calm.step(c, want); ok {
			c.rate = sent * step
			break
		}
		c.rate = sent * (1 + max(-0.5, 0.6*off))
	default:
		if c.grow.since == 0 {
			c.grow.since = c.now
		}
		step := float64(want) / float64(delay) * math.Exp2(float64((c.now-c.grow.since)/delay))
		c.rate = max(sent*(1+min(0.25, 0.6*step)), 0.97*c.best.since(c.now-8*c.base.get()))
	}
	if c.queue < max(500*time.Microsecond, want/6) {
		c.drain.last = c.now
	}
	c.maybeDrain(want)
}

// tick does what time alone brings.
func (c *Controller) tick() {
	if c.phase == draining && c.drain.over(c) {
		c.endDrain()
	}
	if c.paused || c.phase == silent || c.outstanding == 0 {
		return
	}
	if c.now-c.heard > max(500*time.Millisecond, 3*max(c.rtt, c.base.get())) {
		c.phase, c.rate = silent, float64(c.cfg.Minimum)/8
	}
}

// wake goes on after silence with half of what was carried before.
func (c *Controller) wake() {
	c.phase = starting
	c.rate = c.anchor / 2
	c.meter = meter{packet: c.cfg.Packet}
}
