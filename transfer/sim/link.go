package sim

import (
	"math/rand/v2"
	"time"

	"isthmus/transfer/rate"
)

// Link is a bottleneck with a drop-tail queue, then a wire with loss; the way back has the delay and
// loss but no bottleneck.
type Link struct {
	Rate     rate.BitRate
	RTT      time.Duration
	Loss     float64 // share of packets lost on the wire, 0..1
	LossBack float64 // of feedback and acknowledgements
	Buffer   float64 // of the queue, in bandwidth-delay products; at least 4 packets

	// From DetourAt on packets take Detour longer, as if the route had changed.
	Detour, DetourAt time.Duration
}

// Packet is the size of every data packet, IP header included; Payload is what of it is file.
const (
	Packet  = 1500
	Payload = 1436
)

// BDP is the bandwidth-delay product in bytes.
func (l Link) BDP() int { return l.Rate.Bytes(l.RTT) }

// bottleneck serves packets in order of their arrival.
type bottleneck struct {
	Link
	rng    *rand.Rand
	perB   float64 // ns per byte
	free   time.Duration
	limit  time.Duration // queue bound as time
	queued stats
	Drops  int
}

type stats struct {
	sum float64
	n   int
}

func newBottleneck(l Link, rng *rand.Rand) *bottleneck {
	b := &bottleneck{Link: l, rng: rng, perB: 8e9 / float64(l.Rate)}
	b.limit = max(time.Duration(l.Buffer*float64(l.RTT)), l.Rate.Duration(4*Packet))
	return b
}

// put takes a packet at time t; it says when it reaches the other end, or that it is lost.
func (b *bottleneck) put(t time.Duration, size int) (time.Duration, bool) {
	wait := max(b.free-t, 0)
	b.queued.sum += float64(wait)
	b.queued.n++
	need := time.Duration(float64(size) * b.perB)
	if wait+need > b.limit {
		b.Drops++
		return 0, false
	}
	b.free = t + wait + need
	if b.Loss > 0 && b.rng.Float64() < b.Loss {
		return 0, false
	}
	at := b.free + b.RTT/2
	if b.Detour > 0 && t >= b.DetourAt {
		at += b.Detour
	}
	return at, true
}

func (b *bottleneck) putQueue(t time.Duration) time.Duration { return max(b.free-t, 0) }
