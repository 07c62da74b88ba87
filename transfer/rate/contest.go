package rate

import (
	"math"
	"time"
)

// contest is how the policy high holds its own beside TCP that fills the buffer until it overflows.
// Such a flow would push a delay-based one aside; so, while overflows with a long queue go on, the
// rate does not fall below that of a window that grows and shrinks as TCP's (CUBIC, RFC 9438, with a
// smaller reduction: the window of about two connections).
type contest struct {
	seen    int           // overflows with a long queue, a second apart
	latest  time.Duration // of them
	window  float64       // bytes; 0: not armed
	top     float64       // before the last reduction
	epoch   time.Duration
	pushed  time.Duration // not pushed aside at that time
	claimed time.Duration
}

const (
	contestCut  = 0.85
	contestGrow = 0.8 // packets per s³; CUBIC has 0.4
	contestOver = 30 * time.Second
)

// add takes a reading while the queue is off its target, and says the least rate, 0 if there is none.
func (t *contest) add(c *Controller, r reading, want time.Duration, overflow bool) float64 {
	rtt := r.rtt.Seconds()
	full := max(c.full.get(), 0.9*c.train.estimate)
	if c.anchor < 0.6*full && c.queue > c.target(full/2)*6/5 {
		t.pushed += r.span
	} else {
		t.pushed = max(0, t.pushed-r.span)
	}
	switch {
	case t.window == 0 && t.pushed > 3*time.Second+10*c.base.get():
		// Nobody overflows the buffer yet, but a queue that several of our kind would not make has taken
		// the better part of the rate.
		t.claim(c, full, rtt)
	case overflow && c.now-t.latest > c.loop():
		if c.now-t.latest > time.Second {
			t.seen++
		}
		t.latest = c.now
		switch t.top = t.window; {
		case t.window > 0:
			t.window *= contestCut
		case t.seen >= 2:
			// A single overflow may have been a newcomer's start.
			t.claim(c, full, rtt)
		}
		t.epoch = c.now
	case t.window > 0 && c.now-max(t.latest, t.claimed) > contestOver:
		*t = contest{}
	}
	if t.window == 0 {
		return 0
	}
	packet := float64(c.cfg.Packet)
	k := math.Cbrt((t.top - t.top*contestCut) / packet / contestGrow)
	if t.top == 0 {
		t.top, k = t.window, 0
	}
	s := (c.now - t.epoch).Seconds() - k
	w := max(t.window, contestGrow*s*s*s*packet+t.top)
	if s > 0 || w > t.window {
		t.window = min(w, 1.1*t.window)
	}
	return t.window / rtt
}

// claim takes half of what was carried before the others came.
func (t *contest) claim(c *Controller, full, rtt float64) {
	t.window = max(c.anchor, 0.5*full) * rtt
	t.top, t.epoch, t.claimed = 0, c.now, c.now
}

// alone ends it: a drain emptied the queue, so nobody else fills it.
func (t *contest) alone() { *t = contest{} }
