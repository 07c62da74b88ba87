package transfer

import (
	"math"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/transfer/wire"
)

// TestGauge: the spread of Hellos tells the rate; what was read late or got lost does not make it higher.
func TestGauge(t *testing.T) {
	const size, each = 1250, 200 * time.Microsecond // 50 Mbit/s
	even := func(i int) time.Duration { return time.Second + time.Duration(i)*each }
	for name, c := range map[string]struct {
		came func(i int) time.Duration
		want float64 // Mbit/s, within a tenth; 0: none
	}{
		"even": {even, 50},
		"a third lost": {func(i int) time.Duration {
			if i%3 == 0 {
				return 0
			}
			return even(i)
		}, 50},
		"the first ones read late": {func(i int) time.Duration { return max(even(i), even(9)) }, 50},
		"all read at once":         {func(int) time.Duration { return time.Second }, 0},
		"only the first ones": {func(i int) time.Duration {
			if i > 9 {
				return 0
			}
			return even(i)
		}, 0},
		"nothing":      {func(int) time.Duration { return 0 }, 0},
		"out of order": {func(i int) time.Duration { return even(gaugeSize - i) }, 0},
		"two and no more": {func(i int) time.Duration {
			if i > 0 && i < gaugeSize-1 {
				return 0
			}
			return even(i)
		}, 0},
	} {
		g := gauge{sent: true}
		for i := range g.came {
			g.came[i] = c.came(i)
		}
		if got := float64(g.rate(size)) / 1e6; math.Abs(got-c.want) > c.want/10 {
			t.Errorf("%s: %.1f Mbit/s, want %.1f", name, got, c.want)
		}
	}
	// Reports in pieces, later ones first in each.
	g := gauge{sent: true}
	for i := 0; i < gaugeSize; i += 4 {
		r := &report{Feedback: wire.Feedback{Echoes: []wire.Echo{{Number: uint64(i + 3), Held: time.Millisecond}, {Number: uint64(i), Held: time.Millisecond + 3*each}}}}
		g.add(r, even(i+3))
	}
	if got := float64(g.rate(size)) / 1e6; math.Abs(got-50) > 1 || g.waits(0) {
		t.Errorf("in pieces: %.1f Mbit/s", got)
	}
}

// TestFarServerIsGauged: over a long way many Hellos leave at once, and the transfer is the same.
func TestFarServerIsGauged(t *testing.T) {
	t.Parallel()
	for _, one := range []bool{false, true} {
		w := newWorld(t, 300_000)
		w.cfg.OneSocket = one
		w.start()
		p := newProxy(t, w.server.Addr(), faults{delay: 15 * time.Millisecond})
		var hellos atomic.Int64
		tap := func(b []byte, up bool) {
			if up && len(b) > 0 && b[0] == wire.TypeHello {
				hellos.Add(1)
			}
		}
		p.tap.Store(&tap)
		w.send(NewSender(w.through(p)))
		if n := hellos.Load(); n < gaugeSize {
			t.Errorf("one_socket=%v: %d Hellos", one, n)
		}
	}
}
