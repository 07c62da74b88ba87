package sim_test

import (
	"fmt"
	"os"

	"testing"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/sim"
)

func jain(x ...float64) float64 {
	var s, q float64
	for _, v := range x {
		s += v
		q += v * v
	}
	return s * s / float64(len(x)) / q
}

func TestTwoEqualFlows(t *testing.T) {
	for _, name := range []string{"A", "B", "C", "D", "E", "F"} {
		l := links[name]
		for seed := range uint64(10) {
			second := 3*time.Second + time.Duration(seed)*377*ms
			res, rep := sim.Run(l, seed, second+20*time.Second, sim.Flow{Config: rate.Config{Target: 2 * l.Rate}},
				sim.Flow{Start: second, Config: rate.Config{Target: 2 * l.Rate}})
			var line [8]float64
			for i := range line {
				from := second + time.Duration(i)*time.Second
				line[i] = res[0].Rate(from, from+time.Second) / float64(l.Rate) * 100
			}
			if os.Getenv("SHOW") == fmt.Sprint(name, seed) {
				for i := int(second / (20 * ms)); i < int(second/(20*ms))+200; i++ {
					x, y := res[0].Trace[i], res[1].Trace[i-int(second/(20*ms))]
					t.Logf("%6.2f %-7s %5.1f base %.1f queue %.1f | %-7s %5.1f base %.1f queue %.1f", float64(i)/50, x.Phase, float64(x.Rate)/1e6, x.BaseRTT.Seconds()*1000, x.Queue.Seconds()*1000,
						y.Phase, float64(y.Rate)/1e6, y.BaseRTT.Seconds()*1000, y.Queue.Seconds()*1000)
				}
			}
			from, to := second+5*time.Second, second+20*time.Second
			a, b := res[0].Rate(from, to), res[1].Rate(from, to)
			t.Logf("%s seed %d: old flow per s %.0f; 5-20 s: %.1f %.1f Jain %.3f queue %v base %v %v", name, seed, line, a/1e6, b/1e6, jain(a, b), rep.MeanQueue(from, to), res[0].State.BaseRTT, res[1].State.BaseRTT)
		}
	}
}
