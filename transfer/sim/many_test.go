package sim_test

import (
	"testing"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/sim"
)

func TestTenFlows(t *testing.T) {
	for _, name := range []string{"A", "E", "D"} {
		l := links[name]
		for seed := range uint64(1) {
			var flows []sim.Flow
			for i := range 10 {
				flows = append(flows, sim.Flow{Start: time.Duration(i) * 1700 * ms, Config: rate.Config{Target: 2 * l.Rate}})
			}
			res, rep := sim.Run(l, seed, 60*time.Second, flows...)
			var x []float64
			sum := 0.0
			for i := range res {
				r := res[i].Rate(30*time.Second, 60*time.Second)
				x = append(x, r/1e6)
				sum += r
			}
			t.Logf("%s seed %d: %.1f Jain %.3f sum %.3f queue %v drops %d", name, seed, x, jain(x...), sum/float64(l.Rate), rep.MeanQueue(30*time.Second, 60*time.Second), rep.Drops)
		}
	}
}

func TestShares(t *testing.T) {
	for _, name := range []string{"A", "B", "C", "D", "E", "F"} {
		l := links[name]
		for seed := range uint64(1) {
			for _, p := range [][2]rate.Policy{{rate.High, rate.Fair}, {rate.Fair, rate.High}, {rate.Fair, rate.Low}} {
				second := 5*time.Second + time.Duration(seed)*377*ms
				res, rep := sim.Run(l, seed, second+20*time.Second, sim.Flow{Config: rate.Config{Target: 2 * l.Rate, Policy: p[0]}},
					sim.Flow{Start: second, Config: rate.Config{Target: 2 * l.Rate, Policy: p[1]}})
				a, b := res[0].Rate(second+5*time.Second, second+20*time.Second), res[1].Rate(second+5*time.Second, second+20*time.Second)
				t.Logf("%s seed %d: %s %.1f %s %.1f ratio %.2f queue %v base %v %v", name, seed, p[0], a/1e6, p[1], b/1e6, a/b, rep.MeanQueue(second+5*time.Second, second+20*time.Second), res[0].State.BaseRTT, res[1].State.BaseRTT)
				if name == "A" && p[1] == rate.High {
					for i := int(second / (20 * ms)); i < int(second/(20*ms))+700; i += 12 {
						x, y := res[0].Trace[i], res[1].Trace[i-int(second/(20*ms))]
						t.Logf("%6.2f %-7s %5.1f base %.1f queue %.1f | %-7s %5.1f base %.1f queue %.1f", float64(i)/50, x.Phase, float64(x.Rate)/1e6, x.BaseRTT.Seconds()*1000, x.Queue.Seconds()*1000, y.Phase, float64(y.Rate)/1e6, y.BaseRTT.Seconds()*1000, y.Queue.Seconds()*1000)
					}
				}
			}
		}
	}
}

func TestCubic(t *testing.T) {
	for _, name := range []string{"A", "E"} {
		l := links[name]
		for _, buffer := range []float64{0.5, 1, 2} {
			l.Buffer = buffer
			for _, p := range []rate.Policy{rate.High, rate.Fair, rate.Low} {
				second := 5 * time.Second
				res, rep := sim.Run(l, 1, second+30*time.Second, sim.Flow{Config: rate.Config{Target: 2 * l.Rate, Policy: p}}, sim.Flow{Start: second, Cubic: true})
				from, to := second+5*time.Second, second+30*time.Second
				rev, _ := sim.Run(l, 1, second+30*time.Second, sim.Flow{Start: second, Config: rate.Config{Target: 2 * l.Rate, Policy: p}}, sim.Flow{Cubic: true})
				t.Logf("%s buffer %.1f: %s %.1f cubic %.1f queue %v; second: %s %.1f cubic %.1f", name, buffer, p, res[0].Rate(from, to)/1e6, res[1].Rate(from, to)/1e6, rep.MeanQueue(from, to),
					p, rev[0].Rate(from, to)/1e6, rev[1].Rate(from, to)/1e6)
			}
		}
		res, rep := sim.Run(l, 1, 30*time.Second, sim.Flow{Cubic: true})
		t.Logf("%s cubic alone %.1f queue %v", name, res[0].Rate(5*time.Second, 30*time.Second)/1e6, rep.MeanQueue(5*time.Second, 30*time.Second))
	}
}
