package sim

import (
	"math"
	"time"
)

// cubic is a bulk TCP connection after RFC 9438, without slow start's subtleties except the delay
// exit of HyStart, with selective acknowledgements and one reduction per round trip. Loss of its
// acknowledgements is not modelled: they are cumulative.
type cubic struct {
	flow *Flow
	link *bottleneck
	out  *Result

	cwnd     float64 // packets
	ssthresh float64
	wMax     float64
	epoch    time.Duration
	k        float64
	wEst     float64
	base     time.Duration
	srtt     time.Duration

	sent     int // next number
	flying   int
	recover  int // one reduction per window: numbers below belong to the last one
	acks     ring[ack]
	expected int
	wake     time.Duration
}

type ack struct {
	at, sent time.Duration
	number   int
}

func newCubic(f *Flow, b *bottleneck, out *Result) *cubic {
	return &cubic{flow: f, link: b, out: out, cwnd: 10, ssthresh: math.MaxFloat64, wake: f.Start}
}

func (c *cubic) next() time.Duration {
	if c.acks.len() > 0 {
		return min(c.wake, c.acks.peek().at)
	}
	return c.wake
}

func (c *cubic) act(now time.Duration) {
	for c.acks.len() > 0 && c.acks.peek().at <= now {
		c.ack(now, *c.acks.peek())
		c.acks.pop()
	}
	c.wake = never
	for c.flying < int(c.cwnd) {
		c.flying++
		at, ok := c.link.put(now, Packet)
		if ok {
			if i := int(at / slot); i >= len(c.out.Arrived) {
				c.out.Arrived = append(c.out.Arrived, make([]int, i+1-len(c.out.Arrived))...)
			}
			c.out.Arrived[at/slot] += Packet
			c.acks.push(ack{at: at + c.link.RTT/2, sent: now, number: c.sent})
		}
		c.sent++
	}
	if c.acks.len() == 0 {
		// Everything was lost: a timeout.
		c.wake = now + max(200*time.Millisecond, 2*c.link.RTT)
		c.flying, c.cwnd, c.expected, c.recover = 0, 2, c.sent, c.sent
	}
}

func (c *cubic) ack(now time.Duration, a ack) {
	rtt := now - a.sent
	if c.base == 0 || rtt < c.base {
		c.base = rtt
	}
	if c.srtt == 0 {
		c.srtt = rtt
	}
	c.srtt += (rtt - c.srtt) / 8
	c.flying--
	if a.number < c.expected {
		return
	}
	if lost := a.number - c.expected; lost > 0 {
		c.flying -= lost
		if a.number >= c.recover {
			c.reduce(now)
		}
	}
	c.expected = a.number + 1
	if c.cwnd < c.ssthresh {
		c.cwnd++
		if c.cwnd > 16 && rtt > c.base+min(max(c.base/8, 4*time.Millisecond), 16*time.Millisecond) {
			c.ssthresh = c.cwnd
		}
		return
	}
	if c.epoch == 0 {
		c.epoch, c.wEst = now, c.cwnd
		c.wMax = max(c.wMax, c.cwnd)
		c.k = math.Cbrt((c.wMax - c.cwnd) / 0.4)
	}
	t := (now - c.epoch + c.srtt).Seconds() - c.k
	target := min(max(0.4*t*t*t+c.wMax, c.cwnd), 1.5*c.cwnd)
	c.wEst += 3 * 0.3 / 1.7 / c.cwnd
	c.cwnd = max(c.cwnd+(target-c.cwnd)/c.cwnd, c.wEst)
}

func (c *cubic) reduce(time.Duration) {
	if c.cwnd < c.wMax {
		c.wMax = c.cwnd * 1.7 / 2
	} else {
		c.wMax = c.cwnd
	}
	c.cwnd = max(2, 0.7*c.cwnd)
	c.ssthresh = c.cwnd
	c.epoch, c.recover = 0, c.sent
}
