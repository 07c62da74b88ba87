package rate

import "time"

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

// way notices that the path has become longer: the round trip stands far above its base without
// moving, though the rate was given up. A queue of others would move.
type way struct {
	since    time.Duration
	low, top time.Duration
}

func (c *Controller) detour(r reading) {
	w := &c.way
	if r.rtt == 0 {
		return
	}
	w.low, w.top = min(w.low, r.rtt), max(w.top, r.rtt)
	far := c.queue > 2*c.target(c.full.get()/2) && c.anchor < 0.5*c.full.get()
	if !far || w.top-w.low > c.queue/20+500*time.Microsecond {
		*w = way{since: c.now, low: r.rtt, top: r.rtt}
	}
	if c.now-w.since > 3*time.Second+10*c.base.get() {
		c.base.reset(c.now, w.low)
		c.queue = 0
		c.phase = starting
	}
}
