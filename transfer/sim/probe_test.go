package sim_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/sim"
)

func TestProbe(t *testing.T) {
	name := os.Getenv("LINK")
	if name == "" {
		t.Skip()
	}
	l := links[name]
	seed, _ := strconv.Atoi(os.Getenv("SEED"))
	if v, err := strconv.ParseFloat(os.Getenv("LOSS"), 64); err == nil {
		l.Loss, l.LossBack = v, v
	}
	if v, err := strconv.ParseFloat(os.Getenv("BUFFER"), 64); err == nil {
		l.Buffer = v
	}
	if v, err := strconv.ParseFloat(os.Getenv("RATE"), 64); err == nil {
		l.Rate = rate.BitRate(v * 1e6)
	}
	if v, err := strconv.ParseFloat(os.Getenv("RTT"), 64); err == nil {
		l.RTT = time.Duration(v * 1e6)
	}
	size := int64(128 * mib)
	if name == "F" {
		size = 64 * mib
	}
	if v, err := strconv.Atoi(os.Getenv("SIZE")); err == nil {
		size = int64(v) * mib
	}
	res, rep := sim.Run(l, uint64(seed), 400*time.Second, sim.Flow{Size: size, Setup: 2, Config: rate.Config{Target: 2 * l.Rate}})
	r := res[0]
	t.Logf("%s %4d MiB: %.1f %% in %v, sent %.4f of needed/(1-loss), twice %d, drops %d, queue %v, slowest %v longest %v",
		name, size/mib, 100*r.Goodput, r.Done, float64(r.Sent)/float64(r.Needed)*(1-l.Loss), r.Twice, rep.Drops,
		rep.MeanQueue(2*time.Second, r.Done-time.Second), r.Slowest, r.Longest)
	for i, s := range r.Trace {
		a := 0
		if k := i + int(2*l.RTT/(100*ms)); k < len(r.Arrived) {
			a = r.Arrived[k]
		}
		t.Logf("%5.1f %-7s rate %v del %v base %v queue %v loss %.3f win %d arrived %.1f", float64(i)/10, s.Phase, s.Rate, s.Delivered, s.BaseRTT, s.Queue, s.Loss, s.Window, float64(a)*8/1e5)
	}
}
