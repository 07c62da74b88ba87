package sim_test

import (
	"testing"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/sim"
)

func at(t time.Duration, do func(*rate.Controller)) sim.Event {
	return sim.Event{At: t, Do: func(c *rate.Controller, _ time.Duration) { do(c) }}
}

// most and least are the extreme rates over any five seconds between two times, in bit/s.
func extremes(r sim.Result, from, to time.Duration) (least, most float64) {
	least = 1e18
	for t := from; t+5*time.Second <= to; t += 100 * ms {
		x := r.Rate(t, t+5*time.Second)
		least, most = min(least, x), max(most, x)
	}
	return least, most
}

// A cap is never exceeded by 2 % over any five seconds, used to 95 %, and what lies above it is found
// again within two seconds when it goes.
func TestCap(t *testing.T) {
	for _, name := range []string{"A", "C"} {
		l := links[name]
		limit := 20 * rate.Mbit
		f := flow(l, rate.Fair, 0)
		f.Config.Cap = limit
		f.Script = []sim.Event{
			at(10*time.Second, func(c *rate.Controller) { c.SetCap(40 * rate.Mbit) }),
			at(20*time.Second, func(c *rate.Controller) { c.SetCap(0) }),
			at(30*time.Second, func(c *rate.Controller) { c.SetCap(limit) }),
		}
		res, _ := sim.Run(l, 1, 40*time.Second, f)
		r := res[0]
		for _, c := range []struct {
			from, to time.Duration
			cap      float64
		}{{0, 10 * time.Second, 20e6}, {12 * time.Second, 20 * time.Second, 40e6}, {31 * time.Second, 40 * time.Second, 20e6}} {
			least, most := extremes(r, c.from+2*l.RTT, c.to)
			// What arrives is less by the loss.
			if most > 1.02*c.cap || least < 0.95*c.cap*(1-l.Loss) && c.from > 0 {
				t.Errorf("%s: %.2f to %.2f Mbit/s under a cap of %.0f", name, least/1e6, most/1e6, c.cap/1e6)
			}
		}
		if x := r.Rate(23*time.Second, 30*time.Second); x < 0.93*float64(l.Rate) {
			t.Errorf("%s: %.1f Mbit/s after the cap went", name, x/1e6)
		}
		if got := r.Trace[80].Limiter; got != rate.AccountCap {
			t.Errorf("%s: limited by %v, want the account cap", name, got)
		}
		if got := r.Trace[280].Limiter; got != rate.Path {
			t.Errorf("%s: limited by %v, want the path", name, got)
		}
	}
}

func TestPause(t *testing.T) {
	l := links["B"]
	f := flow(l, rate.Fair, 0)
	f.Script = []sim.Event{
		{At: 5 * time.Second, Do: func(c *rate.Controller, now time.Duration) { c.Pause(now) }},
		{At: 8 * time.Second, Do: func(c *rate.Controller, now time.Duration) { c.Resume(now) }},
		{At: 12 * time.Second, Do: func(c *rate.Controller, now time.Duration) { c.Pause(now) }},
		{At: 32 * time.Second, Do: func(c *rate.Controller, now time.Duration) { c.Resume(now) }},
	}
	res, _ := sim.Run(l, 1, 36*time.Second, f)
	r := res[0]
	if x := r.Rate(5300*ms, 8*time.Second) + r.Rate(12300*ms, 32*time.Second); x != 0 {
		t.Errorf("%.0f bit/s came in pauses", x)
	}
	if x := r.Rate(8500*ms, 10*time.Second); x < 0.85*float64(l.Rate) {
		t.Errorf("%.1f Mbit/s half a second after a short pause", x/1e6)
	}
	if x := r.Rate(33*time.Second, 36*time.Second); x < 0.93*float64(l.Rate) {
		t.Errorf("%.1f Mbit/s a second after a long pause", x/1e6)
	}
}

// With a target below the path's rate there is no queue and the target limits; fixed keeps it beside TCP.
func TestTarget(t *testing.T) {
	l := links["A"]
	f := sim.Flow{Config: rate.Config{Target: 60 * rate.Mbit}}
	res, rep := sim.Run(l, 1, 10*time.Second, f)
	if x := res[0].Rate(2*time.Second, 10*time.Second); x < 59e6 || x > 61e6 || res[0].State.Limiter != rate.TargetRate {
		t.Errorf("%.1f Mbit/s, limited by %v", x/1e6, res[0].State.Limiter)
	}
	if q := rep.MeanQueue(2*time.Second, 10*time.Second); q > 2*ms {
		t.Errorf("queue %v", q)
	}
	f.Config.Policy = rate.Fixed
	res, _ = sim.Run(l, 1, 20*time.Second, f, sim.Flow{Cubic: true})
	if x := res[0].Rate(5*time.Second, 20*time.Second); x < 57e6 {
		t.Errorf("fixed has %.1f of 60 Mbit/s beside TCP", x/1e6)
	}
}

// A minimum rate holds beside TCP that leaves a fair flow less.
func TestMinimum(t *testing.T) {
	l := links["A"]
	f := flow(l, rate.Low, 0)
	f.Config.Minimum = 25 * rate.Mbit
	res, _ := sim.Run(l, 1, 30*time.Second, f, sim.Flow{Cubic: true})
	if x := res[0].Rate(5*time.Second, 30*time.Second); x < 0.93*25e6 || res[0].Slowest < 25*rate.Mbit {
		t.Errorf("%.1f Mbit/s, slowest decision %v, minimum 25", x/1e6, res[0].Slowest)
	}
}

// An application that gives little does not make the path look slow.
func TestStarved(t *testing.T) {
	l := links["C"]
	f := flow(l, rate.Fair, 0)
	f.Gaps = []sim.Gap{{From: 5 * time.Second, To: 9 * time.Second}}
	res, _ := sim.Run(l, 1, 14*time.Second, f)
	if got := res[0].Trace[70].Limiter; got != rate.Application {
		t.Errorf("limited by %v, want application", got)
	}
	if x := res[0].Rate(9500*ms, 12*time.Second); x < 0.85*float64(l.Rate) {
		t.Errorf("%.1f Mbit/s right after the gap", x/1e6)
	}
}

// A longer route is not a queue.
func TestDetour(t *testing.T) {
	for _, detour := range []time.Duration{3 * ms, 8 * ms, 20 * ms, 60 * ms} {
		for _, name := range []string{"A", "C"} {
			l := links[name]
			l.Detour, l.DetourAt = detour, 10*time.Second
			res, _ := sim.Run(l, 1, 45*time.Second, flow(l, rate.Fair, 0))
			x := res[0].Rate(30*time.Second, 45*time.Second) / float64(l.Rate) / (1 - l.Loss)
			if x < 0.9 {
				t.Errorf("%s: %.0f %% of the link after the route became longer by %v", name, 100*x, detour)
			}
		}
	}
}

// What an earlier transfer learned saves the search: half a megabyte more in the first second.
func TestHistory(t *testing.T) {
	l := links["C"]
	first := flow(l, rate.Fair, 0)
	second := first
	second.Config.History = rate.History{Rate: l.Rate, RTT: l.RTT}
	a, _ := sim.Run(l, 1, 2*time.Second, first)
	b, _ := sim.Run(l, 1, 2*time.Second, second)
	if x, y := a[0].Rate(0, time.Second), b[0].Rate(0, time.Second); y < x+4e6 {
		t.Errorf("first second: %.1f Mbit/s without, %.1f with history", x/1e6, y/1e6)
	}
}

// A near receiver is found quickly: transfers there last no longer than a search elsewhere.
func TestNearStart(t *testing.T) {
	for _, rtt := range []time.Duration{200 * time.Microsecond, 2 * ms} {
		l := sim.Link{Rate: 10 * rate.Gbit, RTT: rtt, Buffer: 8}
		res, _ := sim.Run(l, 1, 200*ms, sim.Flow{})
		if x := res[0].Rate(0, 200*ms); x < 0.5*float64(l.Rate) {
			t.Errorf("%v: %.0f Mbit/s in the first 200 ms of ten gigabits", rtt, x/1e6)
		}
	}
}
