package rate

import "time"

// shallow is about buffers that overflow before the delay slows the flow down.
type shallow struct {
	room    time.Duration // the queue at which the buffer overflows; 0: it does not, as far as known
	roomAt  time.Duration // when that was seen
	careful time.Duration // small steps until then

	before      time.Duration // last reading
	highest     time.Duration // longest queue of the last intervals
	top         tallest
	count       int // overflows since first
	first, last time.Duration
	pool        pool
}

// add takes a reading: its longest queue, and whether it shows an overflow though the queue was
// below the target.
func (s *shallow) add(now, queue, loop time.Duration, overflow bool) {
	s.highest = max(queue, s.highest-s.highest/8)
	s.top.add(now, queue)
	if overflow && now-s.last > loop {
		// One may be a newcomer's; the eighth in a short time is the rule.
		if s.last = now; now-s.first > 20*loop+10*time.Second {
			s.first, s.count = now, 0
		}
		if s.count++; s.count >= 8 || s.room > 0 {
			s.room, s.roomAt = max(s.highest, time.Millisecond), now
		}
	}
	if s.room > 0 && now-s.roomAt > 10*time.Second {
		// Forget it step by step: if flows that never saw an overflow profit from it, they see one soon.
		s.room += time.Duration(float64(s.room) * (now - s.before).Seconds() / 20)
	}
	s.before = now
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

// excess is the reading's loss beyond the floor, by itself or with those before it.
func (p *pool) excess(r reading, f *lossFloor, loop time.Duration) float64 {
	p.lost += r.loss * float64(r.packets)
	p.packets += float64(r.packets)
	excess := f.excess(r.loss, r.packets)
	switch {
	case excess == 0 && p.packets <= 400 && r.now-p.since <= 4*loop:
		return 0
	case excess == 0:
		excess = f.excess(p.lost/max(p.packets, 1), int(p.packets))
	}
	*p = pool{since: r.now}
	return excess
}

// careful makes steps up small after an overflow that no delay announced.
func (c *Controller) careful(step float64) float64 {
	if step > 0 && c.now < c.shallow.careful {
		return step / 4
	}
	return step
}
