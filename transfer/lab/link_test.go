package lab

import (
	"encoding/binary"
	"math"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestParseLink(t *testing.T) {
	base := Link{Rate: 1000, Loss: 0.5}
	got, err := ParseLink("rate=1.5M,delay=50ms,loss=0.1,queue=9000,jitter=2ms", base)
	if want := (Link{Rate: 1_500_000, Delay: 50 * ms, Queue: 9000, Loss: 0.001, Jitter: 2 * ms}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if got, err := ParseLink("", base); err != nil || got != base {
		t.Errorf("nothing given: %+v, %v", got, err)
	}
	for _, bad := range []string{"rate", "rate=x", "speed=1", "loss=101", "delay=5", "queue=-1"} {
		if _, err := ParseLink(bad, base); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// offer puts n packets of size bytes in, one every gap, and hands them over when due; it returns the
// times and the numbers of those that came.
func offer(w *way, n, size int, gap time.Duration) (times []time.Duration, numbers []int) {
	now := time.Duration(0)
	out := func(until time.Duration) {
		for {
			due, ok := w.due()
			if !ok || due > until {
				return
			}
			p := w.take(due)
			times, numbers = append(times, due), append(numbers, int(binary.BigEndian.Uint32(p)))
		}
	}
	for i := range n {
		out(now)
		b := w.buffer(2048)
		binary.BigEndian.PutUint32(b, uint32(i))
		w.put(now, b, size)
		now += gap
	}
	out(math.MaxInt64)
	return times, numbers
}

// A packet leaves after those before it and takes its share of the rate and the delay.
func TestRateAndDelay(t *testing.T) {
	w := newWay(Link{Rate: 100e6, Delay: 50 * ms, Queue: 1 << 20}, 1)
	times, _ := offer(w, 100, 1250, 0)
	for i, at := range times {
		if want := 50*ms + time.Duration(i+1)*100*time.Microsecond; at != want {
			t.Fatalf("packet %d at %v, want %v", i, at, want)
		}
	}
	if w.Packets != 100 || w.Bytes != 125_000 || w.QueueMax != 125_000 {
		t.Errorf("%+v", w.Counters)
	}
}

// At 120 % of the rate the queue fills to its bound and a sixth is dropped.
func TestQueue(t *testing.T) {
	w := newWay(Link{Rate: 100e6, Delay: 10 * ms}, 1)
	if w.Queue != 250_000 {
		t.Fatalf("queue of %d bytes, one product is 250 000", w.Queue)
	}
	times, _ := offer(w, 60_000, 1500, 100*time.Microsecond)
	if r := float64(len(times)*1500*8) / (times[len(times)-1] - times[0]).Seconds(); math.Abs(r-100e6) > 0.5e6 {
		t.Errorf("%.2f Mbit/s came", r/1e6)
	}
	if share := float64(w.Dropped) / 60_000; math.Abs(share-1.0/6) > 0.01 {
		t.Errorf("%.3f dropped", share)
	}
	if w.QueueMax > 250_000 || w.QueueMax < 245_000 {
		t.Errorf("queue up to %d bytes", w.QueueMax)
	}
}

func TestLossAndOrder(t *testing.T) {
	w := newWay(Link{Rate: 1e9, Delay: 20 * ms, Loss: 0.05, Jitter: 5 * ms, Queue: 1 << 30}, 7)
	times, numbers := offer(w, 100_000, 1000, 10*time.Microsecond)
	if share := float64(w.Lost) / 100_000; math.Abs(share-0.05) > 0.003 {
		t.Errorf("%.4f lost", share)
	}
	var sum time.Duration
	for i, n := range numbers {
		if i > 0 && (n <= numbers[i-1] || times[i] < times[i-1]) {
			t.Fatalf("packet %d after %d", n, numbers[i-1])
		}
		d := times[i] - time.Duration(n)*10*time.Microsecond
		if sum += d; d < 20*ms || d > 26*ms {
			t.Fatalf("packet %d took %v", n, d)
		}
	}
	if again := newWay(w.Link, 7); true {
		if _, same := offer(again, 100_000, 1000, 10*time.Microsecond); len(same) != len(numbers) || again.Lost != w.Lost {
			t.Error("the same seed lost others")
		}
	}
}
