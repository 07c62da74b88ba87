package sim

import (
	"math"
	"math/rand/v2"
	"time"

	"isthmus/transfer/rate"
)

// Flow is one transfer, or one TCP connection.
type Flow struct {
	Start  time.Duration
	Size   int64         // bytes of file; 0: without end
	Setup  float64       // round trips before the first data packet
	Config rate.Config   // of the controller
	Cubic  bool          // TCP cubic instead of our controller
	Wake   time.Duration // the receiver reads, and looks at its clock, only at multiples of this
	Late   time.Duration // the sender's timer is late by up to this
	Script []Event       // changes in mid-transfer, in order of time
	Gaps   []Gap         // the application gives nothing then
}

// Gap is a stretch of time.
type Gap struct{ From, To time.Duration }

// Event is a change in mid-transfer.
type Event struct {
	At time.Duration
	Do func(*rate.Controller, time.Duration)
}

// Result is what became of a flow.
type Result struct {
	Done    time.Duration // from Flow.Start to the confirmation; 0: not finished
	Goodput float64       // file bits per second as a share of the link's rate: 0..1
	Sent    int           // packets
	Needed  int           // packets that the file needs without loss
	Twice   int           // packets that reached a receiver that had the block
	Arrived []int         // bytes of packets per 100 ms of virtual time from the start of the run
	Slowest rate.BitRate  // smallest rate decided after the first second
	Longest time.Duration // longest time without a packet arriving, between first and last
	Trace   []rate.State  // per 100 ms
	State   rate.State    // at the end
}

// Rate is the mean rate of arrival between two times, in bit/s.
func (r *Result) Rate(from, to time.Duration) float64 {
	sum := 0
	for i := int(from / slot); i < int(to/slot) && i < len(r.Arrived); i++ {
		sum += r.Arrived[i]
	}
	return float64(sum) * 8 / (to - from).Seconds()
}

const (
	slot     = 100 * time.Millisecond
	never    = time.Duration(math.MaxInt64)
	reorder  = 16
	tick     = time.Millisecond
	feedback = 5 * time.Millisecond
)

// Run simulates the flows on one link until all with a size are done, or until the time is up.
func Run(link Link, seed uint64, limit time.Duration, flows ...Flow) ([]Result, *Report) {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := newBottleneck(link, rng)
	rep := &Report{}
	actors := make([]actor, len(flows))
	results := make([]Result, len(flows))
	for i := range flows {
		if flows[i].Cubic {
			actors[i] = newCubic(&flows[i], b, &results[i])
		} else {
			actors[i] = newSender(&flows[i], b, &results[i])
		}
	}
	next := make([]time.Duration, len(actors))
	for i, a := range actors {
		next[i] = a.next()
	}
	for {
		at, who := never, -1
		for i, t := range next {
			if t < at {
				at, who = t, i
			}
		}
		if who < 0 || at >= limit {
			break
		}
		for rep.at <= at {
			rep.Queue = append(rep.Queue, b.putQueue(rep.at))
			rep.at += 10 * time.Millisecond
		}
		actors[who].act(at)
		next[who] = actors[who].next()
		rep.Events++
	}
	rep.Drops = b.Drops
	for i := range results {
		f := &flows[i]
		if d := results[i].Done; d > 0 {
			results[i].Goodput = float64(f.Size) * 8 / d.Seconds() / float64(link.Rate)
		}
		if s, ok := actors[i].(*sender); ok {
			results[i].State = s.ctl.State()
		}
	}
	return results, rep
}

// Report is about the link.
type Report struct {
	Queue  []time.Duration // every 10 ms
	Drops  int             // of the full queue
	Events int
	at     time.Duration
}

// MeanQueue is the mean waiting time between two times.
func (r *Report) MeanQueue(from, to time.Duration) time.Duration {
	lo, hi := int(from/(10*time.Millisecond)), min(int(to/(10*time.Millisecond)), len(r.Queue))
	if lo >= hi {
		return 0
	}
	var sum time.Duration
	for _, q := range r.Queue[lo:hi] {
		sum += q
	}
	return sum / time.Duration(hi-lo)
}

type actor interface {
	next() time.Duration
	act(time.Duration)
}

// ring is a queue of things that happen in order.
type ring[T any] struct {
	items []T
	head  int
}

func (r *ring[T]) push(v T) { r.items = append(r.items, v) }
func (r *ring[T]) len() int { return len(r.items) - r.head }
func (r *ring[T]) peek() *T { return &r.items[r.head] }
func (r *ring[T]) pop() {
	r.head++
	if r.head > 4096 && r.head*2 > len(r.items) {
		n := copy(r.items, r.items[r.head:])
		r.items, r.head = r.items[:n], 0
	}
}
