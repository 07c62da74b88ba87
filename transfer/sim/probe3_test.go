package sim_test

import (
	"os"
	"testing"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/sim"
)

func TestProbeTen(t *testing.T) {
	if os.Getenv("TEN") == "" {
		t.Skip()
	}
	l := sim.Link{Rate: 100 * rate.Mbit, RTT: 200 * ms, Buffer: 4}
	for _, gap := range []time.Duration{240 * ms, time.Second, 3 * time.Second} {
		var flows []sim.FluidFlow
		for i := range 10 {
			flows = append(flows, sim.FluidFlow{Start: time.Duration(i) * gap, Config: rate.Config{Target: 2 * l.Rate}})
		}
		for _, limit := range []time.Duration{30 * time.Second, 60 * time.Second, 120 * time.Second} {
			res, queue := sim.Fluid(l, 1, limit, flows...)
			var x []float64
			var b []time.Duration
			for _, f := range res {
				x = append(x, f.Rate(limit-10*time.Second, limit)/1e6)
				b = append(b, f.State.BaseRTT.Round(ms))
			}
			t.Logf("gap %v %v: %.1f jain %.3f queue %v %v base %v", gap, limit, x, jain(x...), queue, res[0].State.Queue, b)
		}
	}
}
