package sim_test

import (
	"testing"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/sim"
)

const (
	ms  = time.Millisecond
	mib = 1 << 20
)

var links = map[string]sim.Link{
	"A": {Rate: 100 * rate.Mbit, RTT: 20 * ms, Buffer: 1},
	"B": {Rate: 100 * rate.Mbit, RTT: 100 * ms, Loss: 0.001, LossBack: 0.001, Buffer: 1},
	"C": {Rate: 100 * rate.Mbit, RTT: 200 * ms, Loss: 0.02, LossBack: 0.02, Buffer: 1},
	"D": {Rate: 200 * rate.Mbit, RTT: 150 * ms, Loss: 0.01, LossBack: 0.01, Buffer: 1},
	"E": {Rate: 300 * rate.Mbit, RTT: 10 * ms, Buffer: 1},
	"F": {Rate: 50 * rate.Mbit, RTT: 300 * ms, Loss: 0.05, LossBack: 0.05, Buffer: 1},
}

func TestLab(t *testing.T) {
	for _, name := range []string{"A", "B", "C", "D", "E", "F"} {
		l := links[name]
		size := int64(128 * mib)
		if name == "F" {
			size = 64 * mib
		}
		for _, size := range []int64{size, 1024 * mib} {
			began := time.Now()
			res, rep := sim.Run(l, 1, 400*time.Second, sim.Flow{Size: size, Setup: 2, Config: rate.Config{Target: 2 * l.Rate}})
			r := res[0]
			t.Logf("%s %4d MiB: %.1f %% in %v, sent %.4f of needed/(1-loss), twice %d, drops %d, queue %v, slowest %v longest %v; cpu %v events %d",
				name, size/mib, 100*r.Goodput, r.Done, float64(r.Sent)/float64(r.Needed)*(1-l.Loss), r.Twice, rep.Drops,
				rep.MeanQueue(2*time.Second, r.Done-time.Second), r.Slowest, r.Longest, time.Since(began), rep.Events)
		}
	}
}
