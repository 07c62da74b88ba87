package sim_test

import (
	"fmt"
	"testing"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/sim"
)

// Hosts do not read packets when they come nor send them when they are due: the goals of the bench for
// long files hold all the same, less a point.
func TestNoise(t *testing.T) {
	for _, c := range []struct {
		link       string
		wake, late time.Duration
		floor      float64
	}{
		{"A", ms, ms, 93}, {"A", 2 * ms, 4 * ms, 92}, {"C", 2 * ms, 4 * ms, 89}, {"E", ms, ms, 93}, {"E", 2 * ms, 4 * ms, 90},
	} {
		t.Run(fmt.Sprintf("%s %v %v", c.link, c.wake, c.late), func(t *testing.T) {
			t.Parallel()
			l := links[c.link]
			res, rep := sim.Run(l, 1, 200*time.Second, sim.Flow{Size: 512 * mib, Setup: 2, Wake: c.wake, Late: c.late, Config: rate.Config{Target: 2 * l.Rate}})
			t.Logf("%.1f %%, queue %v", 100*res[0].Goodput, rep.MeanQueue(2*time.Second, res[0].Done))
			if 100*res[0].Goodput < c.floor {
				t.Errorf("goodput %.1f %%", 100*res[0].Goodput)
			}
		})
	}
}

// On one machine the round trip is shorter than the hosts' own delays, and the buffer is a socket's.
func TestLoopback(t *testing.T) {
	l := sim.Link{Rate: 5 * rate.Gbit, RTT: 300 * time.Microsecond, Buffer: 20}
	for _, noise := range []time.Duration{ms / 5, ms} {
		res, _ := sim.Run(l, 1, 20*time.Second, sim.Flow{Size: 1024 * mib, Setup: 2, Wake: noise, Late: noise, Config: rate.Config{Target: 20 * rate.Gbit}})
		t.Logf("%v: %.1f %%", noise, 100*res[0].Goodput)
		if 100*res[0].Goodput < 80 {
			t.Errorf("noise of %v: goodput %.1f %%", noise, 100*res[0].Goodput)
		}
	}
}
