package rate

import "time"

// train measures the path by the first packets, which leave back to back: the bottleneck spreads
// them, so their spread at the receiver tells its rate one round trip after the start.
type train struct {
	size    int           // bytes
	begin   time.Duration // when it left
	gap     time.Duration // nothing but the train leaves until then
	settled bool

	heard       bool          // a first report came
	first, last time.Duration // arrivals that the first and the latest report were about
	got         int           // bytes that came after first
	all         int           // and before
	reported    time.Duration // latest report
	rtt         time.Duration // smallest of them

	estimate float64 // byte/s; 0: none
	step     float64 // latest step beyond it
	// Reports until quietUntil are of the train, until holdUntil of the slower rate after it.
	quietUntil, holdUntil time.Duration
}

func (t *train) add(s Sample) {
	if t.settled || s.Delivered == 0 {
		return
	}
	if !t.heard {
		t.heard, t.first, t.last = true, s.Arrived, s.Arrived
	}
	t.all += s.Delivered
	t.reported = s.Now
	if s.RTT > 0 && (t.rtt == 0 || s.RTT < t.rtt) {
		t.rtt = s.RTT
	}
	if s.Arrived > t.last {
		t.got += s.Delivered
		t.last = s.Arrived
	}
}

// ready is true once: when most of the train has been reported, or when the rest must be lost (a
// shallow buffer takes the beginning of a train only; its spread tells the rate all the same).
func (t *train) ready(now, rtt time.Duration) bool {
	late := now >= t.gap+rtt+rtt/8+10*time.Millisecond
	if t.settled || !t.heard || !late && t.got < t.size*6/10 && t.all < t.size*9/10 {
		return false
	}
	t.settled = true
	return true
}

// rate is the path's in byte/s. ok is false when too little came to tell. Without a measured spread,
// the rate is what it is at least: the train came in between its departure and its report.
func (t *train) rate(packet int) (r float64, measured, ok bool) {
	spread := t.last - t.first
	switch {
	case t.all < 8*packet || t.rtt == 0:
		return 0, false, false
	case t.got >= t.all/2 && spread >= time.Millisecond/2:
		return float64(t.got) / spread.Seconds(), true, true
	}
	spread = max(t.reported-t.begin-t.rtt, time.Millisecond/2)
	return float64(t.all) / spread.Seconds(), false, true
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
		if g := float64(c.cfg.Guess) / 8; measured && min(r, g) > 0.8*max(r, g) {
			c.rate = 0.9 * max(r, g) // two measurements agree
		}
	}
	c.train.holdUntil = c.now + c.rtt + c.interval()
	c.train.quietUntil = c.now + max(c.interval(), 40*time.Millisecond)
	if c.near() {
		c.train.quietUntil = c.now + 2*c.interval()
	}
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
		if c.near() {
			// Readings are short here: one may be of a moment in which a host stood still.
			c.anchor = max(c.anchor, min(c.delivered, c.rate))
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
	if e := 0.98 * c.train.estimate / (1 - c.floor.floor); e > 0 && c.rate >= 0.7*e {
		// The path carries most of what the train promised: take the rest. A host that stalls makes a train
		// look slow, so go on from there, in steps that grow while no queue answers.
		if c.rate < e {
			c.rate = e
		} else {
			c.train.step = min(max(2*c.train.step, 0.06), 0.5)
			c.rate = min(c.rate*(1+c.train.step), 2.2*sent)
		}
		c.train.holdUntil = c.now + c.rtt + c.rtt/8 + c.interval()
		return
	}
	if c.rate >= 0.98*top {
		c.phase = steady
		return
	}
	step := 1.5
	if c.near() {
		step = 2
	}
	c.rate = max(c.rate, min(step*c.rate, 2.2*sent))
}
