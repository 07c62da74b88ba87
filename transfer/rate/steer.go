package rate

import (
	"math"
	"time"
)

// target is the queue that a flow of this rate (byte/s) aims at. It falls with the rate: flows that
// see one queue meet where their rates, divided by their weights, are equal: 4 ms at 100 Mbit/s.
func (c *Controller) target(rate float64) time.Duration {
	const unit = 100e6 / 8
	x := max(rate, 1000) / c.weight() / unit
	times := 1 / math.Sqrt(x)
	if x > 10 {
		// Fewer milliseconds than hosts can time are no target: fall slower from here.
		times = 1 / math.Sqrt(10) / math.Pow(x/10, 0.25)
	}
	// 4 ms; on long paths more, since there the same queue steers more slowly.
	height := 4 * math.Pow(max(1, c.base.get().Seconds()/0.025), 0.25)
	if c.shallow.room > 0 {
		height = min(height, max(c.shallow.room.Seconds()*1000/4, 0.5))
	}
	return time.Duration(min(height*times, 200) * float64(time.Millisecond))
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

// steer reconsiders the rate at the end of an interval.
func (c *Controller) steer(r reading) {
	if r.rtt > 0 {
		c.rtt = r.rtt
		c.queue = r.rtt - c.base.get()
	}
	c.loss += (r.loss - c.loss) / 4
	c.delivered += (r.rate - c.delivered) / 4
	if r.rate == 0 {
		return
	}
	// Without overload what arrived and what was lost are what was sent: less noise than the mean loss.
	sent := r.rate / (1 - min(r.loss, 0.9))
	if c.phase == starting {
		c.start(r, sent)
		return
	}
	if r.rtt > 0 && (c.drain.lowest == 0 || r.rtt < c.drain.lowest) {
		c.drain.lowest = r.rtt
	}
	if c.phase == draining || c.now < c.drain.quietUntil {
		if c.drain.open && c.drain.doubt == 0 && r.now-r.rtt < c.drain.begin {
			// Still of the time before: what the path gave us while we asked for more than that.
			c.anchor = max(c.anchor, r.rate/(1-c.floor.floor))
			c.rate = c.anchor
		}
		if c.phase == steady && r.rtt > 0 && c.queue < c.target(c.anchor)/4 {
			c.contest.alone()
		}
		return
	}
	if !c.drain.answered(c) {
		return
	}
	excess := c.shallow.pool.excess(r, &c.floor, c.loop())
	c.shallow.add(c.now, r.longest-c.base.get(), c.loop(), excess > 0 && c.queue < c.target(sent))
	// Only a low queue tells loss of the path from loss of overload: with several flows on a full buffer
	// the loss goes on whatever one of them does.
	top := c.shallow.top.get()
	low := r.longest-c.base.get() < top/2
	if low || excess == 0 && top < 300*time.Microsecond {
		c.floor.add(r.loss, r.packets)
	} else if want := c.target(sent); c.queue < want*8/10 && r.longest-c.base.get() > top*9/10 {
		// The queue stands at the buffer's end, below the target: nobody here is slowed down by delay.
		c.floor.fade(min(0.5, float64(r.span)/float64(max(5*time.Second, 20*c.base.get()))))
	}
	if excess > 0 && !low {
		sent = r.rate / (1 - c.floor.floor)
	}
	if r.starved != Path {
		// Less was sent than allowed: the delivery says nothing about the path, a queue still does.
		sent = max(sent, c.anchor)
	}
	c.anchor = sent
	c.detour(r)
	c.best.add(c.now, sent)
	c.peak.add(c.now, sent)
	c.full.add(c.now, sent)
	c.steady(r, sent, excess)
}

// memory is how long a rate is held that was reached without a queue.
func (c *Controller) memory() time.Duration {
	if c.near() {
		return 100 * time.Millisecond // there a moment in which a host stands still is many round trips
	}
	return 8 * c.base.get()
}

// gain of the law: how much of the queue's distance from its target one loop takes away. More than
// 1 would swing.
const gain = 0.6

// loop is how long a change of the rate takes to show in a reading and be answered.
func (c *Controller) loop() time.Duration { return c.base.get() + c.interval()*3/2 }

// steady is the law: the anchor, corrected by the queue's distance from its target over the time
// until the correction shows.
func (c *Controller) steady(r reading, sent, excess float64) {
	want := c.target(sent)
	defer c.calm.add(c.now, c.queue)
	c.recent = [3]time.Duration{c.recent[1], c.recent[2], c.queue}
	loop := c.loop()
	switch {
	case excess > 0 && c.queue < want && c.contest.window == 0:
		// Loss that the own rate makes, without a queue to see: the buffer is shallow.
		half := c.rate / 2
		if c.rate = 0.97 * sent; c.near() {
			// One reading may be of a moment in which a host stood still: a second one shall say so, too.
			c.rate = max(c.rate, half)
		}
		c.shallow.careful = c.now + 10*loop
		c.quiet(c.now)
		c.best = best{}
		c.emptySince = 0
		c.calm.restart(c.now)
		return
	case c.queue > want/4:
		c.emptySince = 0
		if step, ok := c.calm.step(c, want, loop); ok {
			c.rate = sent * step
			break
		}
		if excess > 0 {
			c.shallow.careful = c.now + 10*loop
			c.rate = 0.97 * sent
			break
		}
		c.rate = sent * (1 + max(-0.5, c.careful(gain*float64(want-c.queue)/float64(loop))))
	default:
		c.calm.restart(c.now)
		if c.emptySince == 0 {
			c.emptySince = c.now
		}
		// One loop's growth brings at most the target; only when that goes on without an answer, more.
		loops := max(0, int((c.now-c.emptySince)/loop)-1)
		step := float64(want) / float64(loop) * math.Exp2(float64(loops))
		c.rate = max(sent*(1+c.careful(min(0.25, step))), 0.97*c.best.since(c.now-c.memory()))
	}
	if c.cfg.Policy == High {
		overflow := r.longest-c.base.get() > c.target(c.full.get()/2)*13/10 && (excess > 0 || r.loss > 0 && c.floor.floor < 0.0005)
		c.rate = max(c.rate, c.contest.add(c, r, want, overflow))
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
	if c.paused || c.phase == silent || c.outstanding == 0 && c.train.heard {
		return
	}
	if c.now-c.heard > max(500*time.Millisecond, 3*max(c.rtt, c.base.get())) {
		c.phase, c.rate = silent, float64(c.cfg.Minimum)/8
	}
}

// wake goes on after silence with half of what was carried before.
func (c *Controller) wake() {
	c.phase = starting
	if c.anchor == 0 {
		c.rate = c.first()
		return
	}
	c.rate = c.anchor / 2
	c.meter = meter{packet: c.cfg.Packet}
}
