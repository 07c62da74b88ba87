package sim_test

import (
	"testing"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/sim"
)

// jain is Jain's index of fairness: 1 when all are equal.
func jain(x ...float64) float64 {
	var s, q float64
	for _, v := range x {
		s += v
		q += v * v
	}
	return s * s / float64(len(x)) / q
}

func flow(l sim.Link, p rate.Policy, start time.Duration) sim.Flow {
	return sim.Flow{Start: start, Config: rate.Config{Target: 2 * l.Rate, Policy: p}}
}

// Two equal flows, the second at any moment of the first one's cycle: Jain ≥ 0.95 from the fifth second
// on in nine of ten starts (of forty: 40 39 39 39 40 37 on A to F), and on A at most 12 ms of queue.
func TestTwoEqualFlows(t *testing.T) {
	for _, name := range []string{"A", "B", "C", "D", "E", "F"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := links[name]
			good := 0
			for seed := range uint64(10) {
				second := 3*time.Second + time.Duration(seed)*377*ms
				from, to := second+5*time.Second, second+13*time.Second
				res, rep := sim.Run(l, seed, to, flow(l, rate.Fair, 0), flow(l, rate.Fair, second))
				j := jain(res[0].Rate(from, to), res[1].Rate(from, to))
				if j >= 0.95 {
					good++
				}
				if q := rep.MeanQueue(from, to); name == "A" && q > 12*ms {
					t.Errorf("start %d: queue %v", seed, q)
				}
				t.Logf("start %d: Jain %.3f, queue %v", seed, j, rep.MeanQueue(from, to))
			}
			if good < 9 {
				t.Errorf("%d of 10 starts are fair", good)
			}
		})
	}
}

func TestOneFlowQueue(t *testing.T) {
	l := links["A"]
	_, rep := sim.Run(l, 1, 20*time.Second, flow(l, rate.Fair, 0))
	if q := rep.MeanQueue(2*time.Second, 20*time.Second); q > 8*ms {
		t.Errorf("a fair flow adds a queue of %v on A", q)
	}
}

// Ten flows that start 1.7 s after each other. On E their targets together are more than the buffer (10 ms): loss shares
// the link there.
func TestTenFlows(t *testing.T) {
	for _, name := range []string{"A", "B", "E"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := links[name]
			var flows []sim.Flow
			for i := range 10 {
				flows = append(flows, flow(l, rate.Fair, time.Duration(i)*1700*ms))
			}
			res, rep := sim.Run(l, 0, 40*time.Second, flows...)
			var x []float64
			var sum float64
			for i := range res {
				x = append(x, res[i].Rate(28*time.Second, 40*time.Second)/1e6)
				sum += x[i]
			}
			t.Logf("%.1f Jain %.3f dropped %d", x, jain(x...), rep.Drops)
			if jain(x...) < 0.9 || sum*1e6 < 0.93*float64(l.Rate) {
				t.Errorf("Jain %.3f, sum %.1f Mbit/s", jain(x...), sum)
			}
		})
	}
}

// high takes two shares where fair takes one, within 25 %; low less than fair. On longer paths it takes
// longer to get there: half a minute on C and D, forty seconds on F.
func TestShares(t *testing.T) {
	for _, name := range []string{"A", "B", "E"} {
		for seed := range uint64(2) {
			l := links[name]
			second := 5*time.Second + time.Duration(seed)*377*ms
			from, to := second+10*time.Second, second+25*time.Second
			for _, order := range [][2]rate.Policy{{rate.High, rate.Fair}, {rate.Fair, rate.High}} {
				res, _ := sim.Run(l, seed, to, flow(l, order[0], 0), flow(l, order[1], second))
				ratio := res[0].Rate(from, to) / res[1].Rate(from, to)
				if order[0] == rate.Fair {
					ratio = 1 / ratio
				}
				t.Logf("%s %d: %v then %v: %.2f", name, seed, order[0], order[1], ratio)
				if ratio < 1.5 || ratio > 2.5 {
					t.Errorf("%s: %v then %v: high has %.2f × fair", name, order[0], order[1], ratio)
				}
			}
			res, _ := sim.Run(l, seed, to, flow(l, rate.Low, 0), flow(l, rate.Fair, second))
			if ratio := res[0].Rate(from, to) / res[1].Rate(from, to); ratio > 0.5 {
				t.Errorf("%s: low has %.2f × fair", name, ratio)
			}
		}
	}
}

func TestSharesOfLongPaths(t *testing.T) {
	l := links["C"]
	res, _ := sim.Run(l, 1, 75*time.Second, flow(l, rate.Fair, 0), flow(l, rate.High, 5*time.Second))
	from, to := 55*time.Second, 75*time.Second
	if ratio := res[1].Rate(from, to) / res[0].Rate(from, to); ratio < 1.5 || ratio > 2.5 {
		t.Errorf("after 50 s high has %.2f × fair", ratio)
	}
}

// Beside TCP that fills the buffer, high keeps a quarter of the link at least, mostly more, fair and low yield and live.
func TestBesideCubic(t *testing.T) {
	for _, name := range []string{"A", "E"} {
		l := links[name]
		shares := map[rate.Policy]float64{}
		for _, p := range []rate.Policy{rate.High, rate.Fair, rate.Low} {
			res, _ := sim.Run(l, 1, 50*time.Second, flow(l, p, 0), sim.Flow{Start: 5 * time.Second, Cubic: true})
			shares[p] = res[0].Rate(20*time.Second, 50*time.Second) / float64(l.Rate)
		}
		t.Logf("%s: %v", name, shares)
		if h := shares[rate.High]; h < 0.25 || h > 0.7 {
			t.Errorf("%s: high has %.2f of the link", name, h)
		}
		if f := shares[rate.Fair]; f > 0.4 || f < shares[rate.Low] || shares[rate.Low] < 0.005 {
			t.Errorf("%s: fair has %.2f of the link, low %.3f", name, f, shares[rate.Low])
		}
	}
}

// The model of TCP itself: alone it fills the link, and the buffer.
func TestCubicAlone(t *testing.T) {
	l := links["A"]
	res, rep := sim.Run(l, 1, 30*time.Second, sim.Flow{Cubic: true})
	if r := res[0].Rate(5*time.Second, 30*time.Second); r < 0.95*float64(l.Rate) || rep.MeanQueue(5*time.Second, 30*time.Second) < 5*ms {
		t.Errorf("%.1f Mbit/s, queue %v", r/1e6, rep.MeanQueue(5*time.Second, 30*time.Second))
	}
	lossy := links["C"]
	res, _ = sim.Run(lossy, 1, 30*time.Second, sim.Flow{Cubic: true})
	if r := res[0].Rate(5*time.Second, 30*time.Second); r > 0.05*float64(lossy.Rate) {
		t.Errorf("with 2 %% loss at 200 ms: %.1f Mbit/s; the bench measured less than one", r/1e6)
	}
}
