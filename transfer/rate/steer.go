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

// growth is how fast an empty queue is filled: slowly at first, since the answer takes a round trip.
type growth struct {
	since time.Duration // the queue has been empty since; 0: it is not
	cap   float64       // step that did not overflow a shallow buffer
}

// shallow is about buffers that overflow before the delay slows the flow down.
type shallow struct {
	before  time.Duration
	top     tallest
	careful time.Duration // small steps until then
	room    time.Duration // the queue at which the buffer overflows; 0: not known to
	roomAt  time.Duration
	highest time.Duration // longest queue of the last intervals
	count   int           // overflows since first
	first   time.Duration
	latest  time.Duration
}

func (s *shallow) add(now, queue, loop time.Duration, overflow bool) {
	defer func() { s.before = now }()
	s.highest = max(queue, s.highest-s.highest/8)
	s.top.add(now, queue)
	if overflow && now-s.latest > loop {
		// One may be a newcomer's; the fourth in a short time is the rule.
		if s.latest = now; now-s.first > 20*loop+20*time.Second {
			s.first, s.count = now, 0
		}
		if s.count++; s.count >= 4 || s.room > 0 {
			s.room, s.roomAt = max(s.highest, time.Millisecond), now
		}
	}
	switch {
	case s.room > 0 && now-s.roomAt > 10*time.Second:
		// Forget it step by step: if flows that never saw an overflow profit from it, they see one soon.
		s.room += time.Duration(float64(s.room) * (now - s.before).Seconds() / 20)
	}
}

// tallest is the longest queue of the last one to two minutes.
type tallest struct{ old, young, since time.Duration }

func (t *tallest) add(now, queue time.Duration) {
	t.young = max(t.young, queue)
	if now-t.since > time.Minute {
		t.old, t.young, t.since = t.young, queue, now
	}
}

func (t *tallest) get() time.Duration { return max(t.old, t.young) }

// pool gathers the loss of several intervals: little overload shows only in many packets.
type pool struct {
	lost, packets float64
	since         time.Duration
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

// peak is the largest anchor of the last one to two periods.
type peak struct {
	period     time.Duration
	old, young float64
	since      time.Duration
}

func (p *peak) add(now time.Duration, rate float64) {
	p.young = max(p.young, rate)
	if now-p.since > p.period {
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
		if c.phase == steady && r.rtt > 0 && c.queue < c.target(c.anchor)/4 {
			c.contest.alone()
		}
		return
	}
	excess := c.floor.excess(r.loss, r.packets)
	if c.pool.lost, c.pool.packets = c.pool.lost+r.loss*float64(r.packets), c.pool.packets+float64(r.packets); excess > 0 {
		c.pool = pool{since: c.now}
	} else if c.pool.packets > 400 || c.now-c.pool.since > 4*c.loop() {
		excess = c.floor.excess(c.pool.lost/c.pool.packets, int(c.pool.packets))
		c.pool = pool{since: c.now}
	}
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
		if sent < c.anchor {
			sent = c.anchor
		}
	}
	c.anchor = sent
	c.best.add(c.now, sent)
	c.peak.add(c.now, sent)
	c.full.add(c.now, sent)
	c.steady(r, sent, excess)
}

// calm notices a queue that stands still off its target. Alone, the law would have moved it: so
// others hold it there, and rates are uneven. The queue's height tells the even rate (the one whose
// target it is); part of the way there is taken at once, where the law alone would take minutes on a
// long path.
type calm struct {
	mean  time.Duration // of the queue, over some intervals
	begin time.Duration
	off   time.Duration // sum of the distances from the target
	n     int
	mid   time.Duration // queue after one loop
}

func (m *calm) add(now, queue time.Duration) { m.mean += (queue - m.mean) / 4 }

func (m *calm) restart(now time.Duration) { m.begin, m.off, m.n, m.mid = now, 0, 0, 0 }

// step is the factor to take now; ok is false while there is none. Over one loop it gathers how far
// the queue is off, over the next it watches whether the queue follows.
func (m *calm) step(c *Controller, want, loop time.Duration) (factor float64, ok bool) {
	age := c.now - m.begin
	if age < loop {
		m.off += want - c.queue
		m.n++
		return 1, false
	}
	if m.n == 0 {
		m.restart(c.now)
		return 1, false
	}
	if m.mid == 0 {
		m.mid = c.mean3()
	}
	if age < 2*loop {
		return 1, false
	}
	off := float64(m.off) / float64(m.n)
	moved := float64(c.mean3() - m.mid)
	m.restart(c.now)
	if math.Abs(off) < 0.15*float64(want) || moved/off > gain/2 {
		return 1, false
	}
	c.drain.quietUntil = max(c.drain.quietUntil, c.now+loop)
	// The rate goes with the square of the queue's target.
	up := 0.25
	if c.shallow.room > 0 || c.now < c.shallow.careful {
		// A queue may also stand still because it overflows, or because steps are small.
		up = 0.03
	}
	return math.Exp(min(max(2*math.Log(float64(want)/float64(c.mean3()))*0.3, -0.25), up)), true
}

// mean3 is the queue over the last three intervals.
func (c *Controller) mean3() time.Duration {
	return (c.recent[0] + c.recent[1] + c.recent[2]) / 3
}

// gain of the law: how much of the queue's distance from its target one loop takes away. More than
// 1 would swing.
const gain = 0.6

// careful makes steps up small after an overflow that no delay announced.
func (c *Controller) careful(step float64) float64 {
	if step > 0 && c.now < c.shallow.careful {
		return step / 4
	}
	return step
}

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
		c.rate = 0.97 * sent
		c.shallow.careful = c.now + 10*loop
		c.drain.quietUntil = c.now + loop
		c.best = best{}
		c.grow.since = 0
		c.calm.restart(c.now)
		return
	case c.queue > want/4:
		c.grow.since = 0
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
		if c.grow.since == 0 {
			c.grow.since = c.now
		}
		// One loop's growth brings at most the target; only when that goes on without an answer, more.
		loops := max(0, int((c.now-c.grow.since)/loop)-1)
		step := float64(want) / float64(loop) * math.Exp2(float64(loops))
		c.rate = max(sent*(1+c.careful(min(0.25, step))), 0.97*c.best.since(c.now-8*c.base.get()))
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
