package rate

import "time"

// train measures the path by the first packets, which leave back to back: the bottleneck spreads
// them, so their spread at the receiver tells its rate one round trip after the start.
type train struct {
	size    int           // bytes
	gap     time.Duration // nothing but the train leaves until then
	want    int           // bytes of it after the first report
	heard   bool          // a first report came
	first   time.Duration
	got     int
	last    time.Duration
	steps   int
	settled bool

	estimate float64 // byte/s; 0: none
	// Reports until quietUntil are of the train, until holdUntil of the slower rate after it.
	quietUntil, holdUntil time.Duration
}

func (t *train) add(s Sample) {
	if t.settled || s.Delivered == 0 {
		return
	}
	if !t.heard {
		t.heard, t.first, t.last = true, s.Arrived, s.Arrived
		t.want -= s.Delivered
		return
	}
	if s.Arrived <= t.last {
		t.want -= s.Delivered
		return
	}
	t.got += s.Delivered
	t.last = s.Arrived
	t.steps++
}

// ready is true once: when most of the train has been reported, or when the rest must be lost (a
// shallow buffer takes the beginning of a train only; its spread tells the rate all the same).
func (t *train) ready(now, rtt time.Duration) bool {
	if t.settled || !t.heard || t.got < t.want*6/10 && now < t.gap+rtt+rtt/8+10*time.Millisecond {
		return false
	}
	t.settled = true
	return true
}

// rate is the path's in byte/s. ok is false when too little came to tell; with a spread too short to
// measure the rate is what it is at least.
func (t *train) rate(packet int) (r float64, measured, ok bool) {
	if t.got < 8*packet {
		return 0, false, false
	}
	if spread := t.last - t.first; spread >= time.Millisecond/2 {
		return float64(t.got) / spread.Seconds(), true, true
	}
	return float64(t.got) * 2000, false, true
}

// trained sets the rate by the train. The spread tells the bottleneck's rate, not what others leave
// of it, and is coarse: most of it at first, the rest when the delivery follows.
func (c *Controller) trained() {
	c.meter.skip()
	r, measured, ok := c.train.rate(c.cfg.Packet)
	if measured {
		c.train.estimate = r
	}
	if ok && c.cfg.History.Rate == 0 {
		c.rate = 0.8 * r
	}
	c.train.holdUntil = c.now + c.rtt + c.interval()
	c.train.quietUntil = c.now + max(c.interval(), 40*time.Millisecond)
}

// start speeds up until a queue, loss or a lag of the delivery shows the path's rate.
func (c *Controller) start(r reading, sent float64) {
	if !c.train.settled || c.now < c.train.quietUntil {
		// These tell of the train, not of the path.
		return
	}
	limit := max(2*time.Millisecond, c.target(sent)/4)
	hold := c.now < c.train.holdUntil
	// The floor is what the first, slow packets lost. More than that is taken for our own doing.
	excess := c.floor.excess(r.loss, r.packets)
	lossy := excess > 0.05
	if excess == 0 {
		c.floor.add(r.loss, r.packets)
	}
	top, _ := c.ceiling()
	switch {
	case c.queue > limit || lossy && !hold:
		c.anchor = sent
		if lossy {
			c.anchor = r.rate / (1 - c.floor.floor)
		}
		c.drain.doubt = 0
		if lossy && c.queue <= limit && c.drain.doubts < 3 {
			c.drain.doubt = r.loss
			c.drain.doubts++
		}
		c.rate = c.anchor
		c.beginDrain(true)
		return
	case r.starved != Path:
		return
	}
	c.anchor = max(c.anchor, sent)
	if hold {
		return
	}
	// What of the train was lost made it look slower.
	if e := c.train.estimate / (1 - c.floor.floor); e > 0 && c.rate >= 0.7*e {
		// The path carries most of what the train promised: take the rest.
		c.rate = max(c.rate, 0.98*e)
		c.anchor = c.rate
		c.phase = steady
		c.drain.quietUntil = c.now + c.rtt + c.interval()
		return
	}
	if c.rate >= 0.98*top {
		c.phase = steady
		return
	}
	c.rate = max(c.rate, min(1.5*c.rate, 2.2*sent))
}
