package sim_test

import (
	"testing"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/sim"
)

func TestGrid(t *testing.T) {
	rates := []rate.BitRate{rate.Mbit, 10 * rate.Mbit, 100 * rate.Mbit, rate.Gbit, 10 * rate.Gbit}
	for _, n := range []int{1, 2, 10} {
		for _, r := range rates {
			for _, rtt := range []time.Duration{ms, 20 * ms, 200 * ms, time.Second} {
				for _, loss := range []float64{0, 0.01, 0.1, 0.3} {
					for _, buffer := range []float64{0.1, 1, 4} {
						if n > 1 && (loss == 0.1 || loss == 0.3 || r == 10*rate.Mbit) {
							continue
						}
						l := sim.Link{Rate: r, RTT: rtt, Loss: loss, Buffer: buffer}
						limit := min(max(10*time.Second, 60*rtt), 60*time.Second)
						var flows []sim.FluidFlow
						for i := range n {
							flows = append(flows, sim.FluidFlow{Start: time.Duration(i) * limit / 50, Config: rate.Config{Target: 2 * r}})
						}
						res, queue := sim.Fluid(l, 1, limit, flows...)
						var x []float64
						sum := 0.0
						slowest, stall := res[0].Slowest, res[0].Stalled
						for _, f := range res {
							x = append(x, f.Rate(limit/2, limit))
							sum += f.Rate(limit/2, limit)
							slowest = min(slowest, f.Slowest)
							stall = max(stall, f.Stalled)
						}
						full := 100 * sum / float64(r) / (1 - loss)
						mark := ""
						if full < 90 || jain(x...) < 0.9 {
							mark = "***"
						}
						t.Logf("%s n=%d rate %v rtt %v loss %.2f buffer %.1f: %.1f %% jain %.3f queue %v slowest %v stall %v %s", mark, n, r, rtt, loss, buffer, full, jain(x...), queue, slowest, stall, res[0].State.Phase)
					}
				}
			}
		}
	}
}
