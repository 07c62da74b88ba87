package rate

import "time"

// drain is the moment in which the flow takes its packets out of the queue, so that it and those it
// shares the path with see the base round trip, and the loss that remains without overload.
type drain struct {
	last       time.Duration // the queue was empty, or a drain ended
	begin, end time.Duration
	factor     float64
	quietUntil time.Duration // reports until then are of the time before
	clean      bool          // what was gathered until then is thrown away
	open       bool          // ends when outstanding has fallen, not by time
	lost, got  int           // bytes sent within it
	judged     bool
	look       time.Duration // how often the loss is looked at
	base       time.Duration // base round trip when it began
	deep       int
	count      int
	doubt      float64 // the loss that made it; 0: a queue did
	doubts     int

	watch  bool          // a drain whose effect on the queue is still to be seen
	queue  time.Duration // before it
	share  float64       // of the path's rate that the flow has
	lowest time.Duration // round trip seen since

	unanswered int // drains in succession
	lastQueue  time.Duration
}

const drainEvery = 5 * time.Second

// maybeDrain begins a drain when the queue has not been empty for long, when another flow has just
// drained its part, or when the base round trip turned out to be somebody's queue.
func (c *Controller) maybeDrain(want time.Duration) {
	d := &c.drain
	idle := c.now - d.last
	every := max(drainEvery, 10*c.base.get())
	switch {
	case d.count < 3:
		// What a young flow takes for the base may be the queue of others.
		every = min(every, (250*time.Millisecond)<<d.count+4*c.base.get())
	case c.anchor < 0.8*c.peak.get():
		// A newcomer took part of the rate: it needs to see the base.
		every = max(time.Second, 4*c.base.get())
	}
	if c.contest.window > 0 {
		every = min(every, 2*time.Second+4*c.base.get())
	}
	// Even with an empty queue a drain is needed now and then where there is loss: it shows how much of
	// it is our own doing.
	look := max(d.look, 8*c.base.get())
	if c.floor.floor < 0.1 {
		look = max(6*drainEvery, look)
	}
	lossy := c.floor.floor > 0.01 && c.now-d.end > look
	joins := c.queue < c.calm.mean*2/3 && c.calm.mean > want/2
	lower := d.base-c.base.get() > max(300*time.Microsecond, want/20)
	if idle > every || lossy || (joins || lower) && idle > 2*c.rtt+200*time.Millisecond {
		if lower {
			// The old base was somebody's queue: look for more of it, deeper each time.
			d.deep = min(2*d.deep+1, 63)
			// What was known of the buffer was measured from the wrong base.
			c.shallow = shallow{careful: c.shallow.careful}
		} else {
			d.deep = 1
		}
		c.beginDrain(false)
		if lossy {
			d.end = max(d.end, c.now+max(25*time.Millisecond, c.base.get()/4))
			c.quiet(d.end)
		}
	}
}

func (c *Controller) beginDrain(open bool) {
	d := &c.drain
	d.factor, d.begin, d.open = 0.5, c.now, open
	d.lost, d.got, d.judged = 0, 0, false
	// Who joins sees a queue that has just fallen, but its part of it is still there.
	depth := max(c.queue, c.calm.mean)
	if d.count++; d.count < 6 {
		depth = max(depth, c.target(c.anchor))
	}
	d.base = c.base.get()
	d.watch, d.queue, d.lowest = !open, c.mean3(), 0
	d.share = min(1, c.anchor/max(c.full.get(), 1))
	d.end = c.now + 2*time.Millisecond + min(time.Duration(max(1, d.deep))*(2*depth+depth/4), max(c.base.get(), 2*depth+depth/4))
	if open {
		d.end = c.now + 2*c.rtt
	}
	c.quiet(d.end)
	c.phase = draining
	c.calm.restart(d.quietUntil)
}

// quiet lets no reading steer that has packets sent before t.
func (c *Controller) quiet(t time.Duration) {
	// Reports come every eighth of a round trip.
	c.drain.quietUntil, c.drain.clean = t+c.rtt+c.rtt/8+5*time.Millisecond, false
}

func (d *drain) over(c *Controller) bool {
	if d.open && float64(c.outstanding) <= c.anchor*(c.base.get()+5*time.Millisecond).Seconds() && d.doubt == 0 {
		return true
	}
	return c.now >= d.end
}

func (c *Controller) endDrain() {
	d := &c.drain
	d.end, d.last = c.now, c.now
	c.quiet(c.now)
	c.calm.restart(d.quietUntil)
	c.phase = steady
}

// check counts the loss of what was sent within the drain, and judges by it.
func (d *drain) check(c *Controller, s Sample) {
	if d.judged || d.begin == 0 {
		return
	}
	left := s.Now - max(c.rtt, s.RTT)
	if left > d.begin && (c.phase == draining || left < d.end) {
		d.lost += s.Lost
		d.got += s.Delivered
		return
	}
	if c.phase == draining || left < d.end {
		return
	}
	d.judged = true
	packets := (d.lost + d.got) / c.cfg.Packet
	if packets == 0 {
		return
	}
	loss := float64(d.lost) / float64(d.lost+d.got)
	if d.doubt > 0 && loss > 0.6*d.doubt {
		// Half the rate, the same loss: it is the path's. Go on searching.
		c.floor.add(loss, packets)
		c.phase, c.rate = starting, c.anchor/(1-min(loss, 0.9))
		c.train.holdUntil = c.now + c.rtt
		d.doubt = 0
		return
	}
	d.doubt = 0
	if c.floor.checked(loss, packets) {
		d.look = drainEvery / 2
	} else {
		// Confirmed: look less often.
		d.look = min(2*d.look, 6*drainEvery)
	}
}

// answered looks, once readings are of the time after the drain, whether the queue became shorter by
// about the flow's part of it. If not at all, it is none: the path has become longer.
func (d *drain) answered(c *Controller) bool {
	if !d.watch || d.lowest == 0 {
		return true
	}
	d.watch = false
	part := time.Duration(d.share * float64(d.queue))
	still := d.queue > c.target(c.anchor)/3 && part > time.Millisecond && d.base+d.queue-d.lowest < part*3/10
	same := d.lastQueue-d.queue < d.queue/8 && d.queue-d.lastQueue < d.queue/8
	if !still {
		d.unanswered = 0
		return true
	}
	// Once may be a newcomer that fills the place at once. Twice the same is no coincidence.
	if d.unanswered++; d.unanswered < 2 || !same || c.anchor > 0.9*c.full.get() {
		d.lastQueue = d.queue
		return true
	}
	d.unanswered = 0
	c.base.reset(c.now, d.lowest)
	c.queue = 0
	c.phase = starting
	return false
}
