package sim_test

import (
	"fmt"
	"testing"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/sim"
)

const (
	ms  = time.Millisecond
	mib = 1 << 20
)

// links are the bench's: rate, round trip, loss both ways, a queue of one bandwidth-delay product.
var links = map[string]sim.Link{
	"A": {Rate: 100 * rate.Mbit, RTT: 20 * ms, Buffer: 1},
	"B": {Rate: 100 * rate.Mbit, RTT: 100 * ms, Loss: 0.001, LossBack: 0.001, Buffer: 1},
	"C": {Rate: 100 * rate.Mbit, RTT: 200 * ms, Loss: 0.02, LossBack: 0.02, Buffer: 1},
	"D": {Rate: 200 * rate.Mbit, RTT: 150 * ms, Loss: 0.01, LossBack: 0.01, Buffer: 1},
	"E": {Rate: 300 * rate.Mbit, RTT: 10 * ms, Buffer: 1},
	"F": {Rate: 50 * rate.Mbit, RTT: 300 * ms, Loss: 0.05, LossBack: 0.05, Buffer: 1},
	// Those of the claims of other products.
	"200 ms 10 %": {Rate: 100 * rate.Mbit, RTT: 200 * ms, Loss: 0.1, LossBack: 0.1, Buffer: 1},
	"1 s 5 %":     {Rate: 100 * rate.Mbit, RTT: time.Second, Loss: 0.05, LossBack: 0.05, Buffer: 1},
	"1 s 30 %":    {Rate: 100 * rate.Mbit, RTT: time.Second, Loss: 0.3, LossBack: 0.3, Buffer: 1},
}

// TestGoodput: file bits per second, two round trips of setup (in which the data plane guesses the rate) and the
// confirmation included, in percent of the link's rate. goal is the goal, floor what is held; they differ where the goal is missed.
func TestGoodput(t *testing.T) {
	for _, c := range []struct {
		link        string
		size        int64
		goal, floor float64
	}{
		{"A", 128 * mib, 92, 92},
		{"B", 128 * mib, 87, 87},
		{"C", 128 * mib, 84, 84},
		{"D", 128 * mib, 82, 82},
		{"E", 128 * mib, 91, 91},
		{"F", 64 * mib, 80, 80},
		{"A", 1024 * mib, 94, 94},
		{"B", 1024 * mib, 93, 93},
		{"C", 1024 * mib, 90, 90},
		{"D", 1024 * mib, 90, 90},
		{"E", 1024 * mib, 94, 94},
		{"F", 1024 * mib, 86, 86},
		{"200 ms 10 %", 1024 * mib, 81.8, 81.8}, // 95 % of what headers and loss leave
		{"1 s 5 %", 1024 * mib, 75, 75},
		{"1 s 30 %", 1024 * mib, 40, 40},
	} {
		t.Run(fmt.Sprintf("%s/%d MiB", c.link, c.size/mib), func(t *testing.T) {
			t.Parallel()
			l := links[c.link]
			res, rep := sim.Run(l, 1, 300*time.Second, sim.Flow{Size: c.size, Setup: 2, Config: rate.Config{Target: 2 * l.Rate, Guess: l.Rate}})
			r := res[0]
			least := float64(r.Needed) / (1 - l.Loss)
			t.Logf("%.1f %% in %v, %.4f × the packets needed, %d arrived twice, %d dropped, queue %v", 100*r.Goodput, r.Done.Round(ms),
				float64(r.Sent)/least, r.Twice, rep.Drops, rep.MeanQueue(2*time.Second, r.Done).Round(ms/10))
			if 100*r.Goodput < c.floor {
				t.Errorf("goodput %.1f %%, want %.1f", 100*r.Goodput, c.floor)
			}
			if float64(r.Sent) > 1.01*least {
				t.Errorf("sent %d packets, %.0f are needed: more than 1 %% redundant", r.Sent, least)
			}
			if r.Longest > 2*l.RTT+500*ms {
				t.Errorf("nothing came for %v", r.Longest)
			}
			if r.Slowest < rate.DefaultMinimum {
				t.Errorf("slowed down to %v", r.Slowest)
			}
		})
	}
}

// A shallow buffer shows no delay of the usual target before it overflows: then loss limits the rate,
// with little waste.
func TestShallowBuffer(t *testing.T) {
	for _, c := range []struct {
		link   string
		buffer float64
		floor  float64
		waste  float64
	}{
		{"A", 0.05, 89, 0.025},
		{"A", 0.1, 90, 0.01},
		{"A", 0.25, 92, 0.01},
		{"B", 0.05, 86, 0.02},
		{"B", 0.1, 87, 0.01},
		{"C", 0.05, 84, 0.01},
		// 0.1 BDP are 25 packets here, a millisecond of the pacer.
		{"E", 0.1, 84, 0.01},
		{"E", 0.25, 91, 0.03},
	} {
		t.Run(fmt.Sprintf("%s %.2f", c.link, c.buffer), func(t *testing.T) {
			t.Parallel()
			l := links[c.link]
			l.Buffer = c.buffer
			res, rep := sim.Run(l, 1, 60*time.Second, sim.Flow{Size: 128 * mib, Setup: 2, Config: rate.Config{Target: 2 * l.Rate}})
			waste := float64(rep.Drops) / float64(res[0].Sent)
			t.Logf("%.1f %%, dropped %.2f %%", 100*res[0].Goodput, 100*waste)
			if 100*res[0].Goodput < c.floor || waste > c.waste {
				t.Errorf("goodput %.1f %%, dropped %.2f %%: want %.0f and %.2f", 100*res[0].Goodput, 100*waste, c.floor, 100*c.waste)
			}
		})
	}
}
