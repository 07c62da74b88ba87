package sim_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/sim"
)

func TestProbeCubic(t *testing.T) {
	name := os.Getenv("CUBIC")
	if name == "" {
		t.Skip()
	}
	l := links[name]
	if v, err := strconv.ParseFloat(os.Getenv("BUFFER"), 64); err == nil {
		l.Buffer = v
	}
	second := 5 * time.Second
	res, rep := sim.Run(l, 1, second+30*time.Second, sim.Flow{Config: rate.Config{Target: 2 * l.Rate, Policy: rate.High}}, sim.Flow{Start: second, Cubic: true})
	for i, s := range res[0].Trace {
		if i%10 == 0 && i > 230 {
			from := time.Duration(i) * 20 * ms
			t.Logf("%5.1f %-7s rate %5.1f del %5.1f queue %5.1f loss %.4f real queue %v cubic %.1f", float64(i)/50, s.Phase, float64(s.Rate)/1e6, float64(s.Delivered)/1e6, s.Queue.Seconds()*1000, s.Loss, rep.MeanQueue(from, from+100*ms), res[1].Rate(from, from+200*ms)/1e6)
		}
	}
}
