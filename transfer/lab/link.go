package lab

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Link is one direction of an emulated link: a drop-tail queue before a transmitter, then a wire.
type Link struct {
	Rate   int64         // bit/s of IP packets; 0: no limit
	Delay  time.Duration // one way
	Queue  int           // bytes that may wait; 0: Rate × 2 Delay, at least 48 000
	Loss   float64       // share of the packets, 0..1, lost on the wire after they used their part of the rate
	Jitter time.Duration // up to this longer than Delay, evenly; packets keep their order
}

// ParseLink reads "rate=100M,delay=50ms,queue=250000,loss=0.1,jitter=1ms": comma separated, each at
// most once, all optional; loss is in percent, rate takes k, M and G. Values replace those of base.
func ParseLink(text string, base Link) (Link, error) {
	l := base
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		var err error
		switch key {
		case "rate":
			l.Rate, err = parseRate(value)
		case "delay":
			l.Delay, err = time.ParseDuration(value)
		case "jitter":
			l.Jitter, err = time.ParseDuration(value)
		case "queue":
			l.Queue, err = strconv.Atoi(value)
		case "loss":
			l.Loss, err = strconv.ParseFloat(value, 64)
			l.Loss /= 100
		default:
			err = fmt.Errorf("unknown; there are rate, delay, queue, loss, jitter")
		}
		if err != nil {
			return l, fmt.Errorf("link: %s: %w", part, err)
		}
	}
	if l.Rate < 0 || l.Delay < 0 || l.Jitter < 0 || l.Queue < 0 || l.Loss < 0 || l.Loss > 1 {
		return l, fmt.Errorf("link %q: out of range", text)
	}
	return l, nil
}

func parseRate(s string) (int64, error) {
	factor := int64(1)
	for suffix, f := range map[string]int64{"k": 1e3, "M": 1e6, "G": 1e9} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, factor = rest, f
		}
	}
	x, err := strconv.ParseFloat(s, 64)
	return int64(x * float64(factor)), err
}

// Counters of one direction since the start, or since Net.Lap.
type Counters struct {
	Sent           int64         // bytes that came from the sender, those of dropped and lost packets too
	Packets, Bytes int64         // handed over
	Dropped        int64         // the queue was full
	Lost           int64         // on the wire
	QueueMax       int           // bytes that waited at most
	Waited         time.Duration // in the queue, all packets together that it took
	Queued         int64         // those packets
	LateMax        time.Duration
	Late           int64 // packets handed over more than 1 ms late
}

// way carries packets in one direction. It has no clock and no device: times are nanoseconds since
// any origin, given by the caller, and never go back.
type way struct {
	Link
	Counters
	rng  *rand.Rand
	free time.Duration // the transmitter is free then
	last time.Duration // latest due time: order is kept
	held []packet
	head int
	pool [][]byte
}

type packet struct {
	due time.Duration
	buf []byte
	n   int
}

// withQueue gives the queue that Link promises where none is named.
func (l Link) withQueue() Link {
	if l.Queue == 0 {
		l.Queue = max(48_000, int(float64(l.Rate)/8*2*l.Delay.Seconds()))
	}
	return l
}

func newWay(l Link, seed uint64) *way {
	l = l.withQueue()
	return &way{Link: l, rng: rand.New(rand.NewPCG(seed, 0))}
}

// buffer is a place for the next packet; give it to put or to spare.
func (w *way) buffer(size int) []byte {
	if n := len(w.pool); n > 0 {
		b := w.pool[n-1]
		w.pool = w.pool[:n-1]
		return b
	}
	return make([]byte, size)
}

func (w *way) spare(b []byte) { w.pool = append(w.pool, b) }

// put takes the packet in buf[:n] that arrived at a time.
func (w *way) put(now time.Duration, buf []byte, n int) {
	leaves := now
	w.Sent += int64(n)
	if w.Rate > 0 {
		wait := max(0, w.free-now)
		waiting := int(float64(wait) * float64(w.Rate) / 8e9)
		if waiting+n > w.Queue {
			w.Dropped++
			w.spare(buf)
			return
		}
		w.QueueMax = max(w.QueueMax, waiting+n)
		w.Waited += wait
		w.Queued++
		w.free = now + wait + time.Duration(float64(n)*8e9/float64(w.Rate))
		leaves = w.free
	}
	if w.Loss > 0 && w.rng.Float64() < w.Loss {
		w.Lost++
		w.spare(buf)
		return
	}
	due := leaves + w.Delay
	if w.Jitter > 0 {
		due += time.Duration(w.rng.Int64N(int64(w.Jitter)))
	}
	w.last = max(w.last, due)
	w.held = append(w.held, packet{w.last, buf, n})
}

// due is when the next packet is to be handed over; ok is false when there is none.
func (w *way) due() (time.Duration, bool) {
	if w.head == len(w.held) {
		return 0, false
	}
	return w.held[w.head].due, true
}

// take gives the next packet that is due, nil when none is. The bytes are good until the next put.
func (w *way) take(now time.Duration) []byte {
	if w.head == len(w.held) || w.held[w.head].due > now {
		return nil
	}
	p := w.held[w.head]
	w.held[w.head] = packet{}
	if w.head++; w.head == len(w.held) || w.head > 4096 && 2*w.head > len(w.held) {
		w.held = w.held[:copy(w.held, w.held[w.head:])]
		w.head = 0
	}
	late := now - p.due
	w.LateMax = max(w.LateMax, late)
	if late > time.Millisecond {
		w.Late++
	}
	w.Packets++
	w.Bytes += int64(p.n)
	w.spare(p.buf)
	return p.buf[:p.n]
}
