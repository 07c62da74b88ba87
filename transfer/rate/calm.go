package rate

import (
	"math"
	"time"
)

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
	c.quiet(c.now)
	// The rate goes with the square of the queue's target.
	up := 0.25
	if c.shallow.room > 0 || c.now < c.shallow.careful {
		// A queue may also stand still because it overflows, or because steps are small.
		up = 0.03
	}
	return math.Exp(min(max(2*math.Log(float64(want)/float64(c.mean3()))*0.4, -0.25), up)), true
}

// mean3 is the queue over the last three intervals.
func (c *Controller) mean3() time.Duration {
	return (c.recent[0] + c.recent[1] + c.recent[2]) / 3
}
