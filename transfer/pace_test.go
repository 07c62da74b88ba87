package transfer

import (
	"context"
	"testing"
	"time"

	"isthmus/transfer/rate"
)

// TestPace: the storage's pace is what it took while it had something to do; a line is not slowed down before that is known.
func TestPace(t *testing.T) {
	var tp tape
	tp.add(1 << 30)
	st := newStore(context.Background(), OpenDir(t.TempDir(), true), []Upload{{ID: "u", Size: 1 << 30}}, &tp, 8<<20)
	now := st.paceAt
	after := func(d time.Duration) time.Time { now = now.Add(d); return now }
	for range st.limit / 2 {
		st.put(newChunk())
	}
	if limit, behind := st.pace(after(time.Millisecond)); behind {
		t.Errorf("%d bit/s before anything is known", limit)
	}
	// 1 MB in 10 ms, and nothing to do for 30 ms.
	st.written.Add(1_000_000)
	st.idle.Add(int64(30 * time.Millisecond))
	if limit, behind := st.pace(after(39 * time.Millisecond)); !behind || limit != 600e6 {
		t.Errorf("%d bit/s, behind %v; three quarters of 800 Mbit/s are wanted", limit, behind)
	}
	// It takes nothing: for a moment that means nothing.
	if limit, _ := st.pace(after(100 * time.Millisecond)); limit != 600e6 {
		t.Errorf("%d bit/s after a tenth of a second", limit)
	}
	if limit, behind := st.pace(after(200 * time.Millisecond)); !behind || limit != leastPace {
		t.Errorf("%d bit/s, behind %v, though it is stuck", limit, behind)
	}
	for st.pop() != nil {
		st.written.Add(1)
	}
	if _, behind := st.pace(after(time.Millisecond)); behind {
		t.Error("behind with an empty queue")
	}
}

// TestRefill: what a late wake-up took from the pace comes back, never much at once; what is more than that is
// not blamed on the path.
func TestRefill(t *testing.T) {
	p := &pump{datagram: 1472, headers: 28, rtt: 80 * time.Millisecond}
	d := rate.Decision{Rate: 80 * rate.Mbit, Burst: 10_000}
	const perMS = 10_000.0
	now, gone := time.Duration(0), 0.0
	most := 0.0
	step := func(wait time.Duration) {
		now += wait
		p.refill(d, now)
		most = max(most, p.tokens)
		gone += p.tokens
		p.tokens = 0
	}
	p.refill(d, now)
	for range 10 {
		step(time.Millisecond)
	}
	step(8 * time.Millisecond)
	for range 60 {
		step(time.Millisecond)
	}
	if gone < 0.99*78*perMS || gone > 1.01*78*perMS {
		t.Errorf("%.0f bytes in 78 ms, %.0f are the pace", gone, 78*perMS)
	}
	if most > 4*perMS || p.starved != rate.Path {
		t.Errorf("%.0f bytes at once, limited by %v", most, p.starved)
	}
	step(time.Second)
	if p.starved != rate.Sender || p.debt > 5*perMS {
		t.Errorf("after a second: limited by %v, %.0f bytes to catch up", p.starved, p.debt)
	}
	// What was not there to be sent is not caught up.
	p.debt, p.paced = 0, false
	step(time.Second)
	if p.debt != 0 {
		t.Errorf("%.0f bytes to catch up after an idle second", p.debt)
	}
}
