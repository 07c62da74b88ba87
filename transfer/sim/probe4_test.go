package sim_test

import (
	"os"
	"testing"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/sim"
)

func TestProbeFluid(t *testing.T) {
	if os.Getenv("FLUID") == "" {
		t.Skip()
	}
	l := sim.Link{Rate: rate.Gbit, RTT: time.Second, Loss: 0, Buffer: 1}
	for _, limit := range []time.Duration{1500 * ms, 2 * time.Second, 3 * time.Second, 4 * time.Second, 6 * time.Second, 8 * time.Second, 20 * time.Second} {
		res, _ := sim.Fluid(l, 1, limit, sim.FluidFlow{Config: rate.Config{Target: 2 * l.Rate}})
		t.Logf("%v %+v", limit, res[0].State)
	}
}
