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

	estimate  float64       // byte/s; 0: none
	holdUntil time.Duration // reports until then are of a slower rate
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

// ready is true once, when most of the train has been reported. Packets may be missing: lost.
func (t *train) ready() bool {
	if t.settled || t.got < t.want*6/10 {
		return false
	}
	t.settled = true
	return true
}

// rate is the path's in byte/s, 0 when the spread was too short to measure.
func (t *train) rate() float64 {
	if spread := t.last - t.first; spread >= time.Millisecond {
		return float64(t.got) / spread.Seconds()
	}
	return 0
}

// trained sets the rate by the train. The spread tells the bottleneck's rate, not what others leave
// of it, and is coarse: most of it at first, the rest when the delivery follows.
func (c *Controller) trained() {
	c.meter.skip()
	r := c.train.rate()
	c.train.estimate = r
	if r == 0 {
		// Too fast to measure: at least the train within a millisecond.
		r = float64(c.train.want) * 1000 / 2
	}
	if c.cfg.History.Rate == 0 {
		c.rate = max(c.rate, 0.8*r)
	}
	c.train.holdUntil = c.now + c.rtt + c.interval()
}

// start speeds up until a queue, loss or a lag of the delivery shows the path's rate.
func (c *Controller) start(r reading, sent float64) {
	limit := max(2*time.Millisecond, c.target(sent)/4)
	lossy := r.loss > c.floor.floor+0.1+3*deviation(max(c.floor.floor, 0.05), r.packets)
	if !lossy {
		c.floor.add(r.loss, r.packets)
	}
	switch {
	case c.queue > limit || lossy:
		c.anchor = sent
		if lossy {
			c.anchor = r.rate / (1 - c.floor.floor)
		}
		c.drain.doubt = 0
		if lossy && c.queue <= limit {
			c.drain.doubt = r.loss
		}
		c.rate = c.anchor
		c.beginDrain(true)
		return
	case r.starved != Path:
		return
	}
	c.anchor = max(c.anchor, sent)
	if !c.train.settled || c.now < c.train.holdUntil {
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
	c.rate = max(c.rate, min(1.5*c.rate, 2.2*sent))
}
