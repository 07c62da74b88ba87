package transfer

import (
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/wire"
)

const (
	gaugeSize   = 24                    // Hellos; the server's QUIC keeps 32 packets of ours for us
	gaugeRTT    = 20 * time.Millisecond // below it a round trip is not worth the packets
	gaugeWait   = 30 * time.Millisecond // for the rest of the reports when the first is there
	leastSpread = time.Millisecond / 2  // what hosts can time
)

// gauge measures the way by the spread of the first Hellos, which leave together while the server looks at the
// ticket. Without it the data of the first round trip would go out at a guess.
type gauge struct {
	sent  bool
	came  [gaugeSize]time.Duration // when each came, by the server's clock; 0: not known
	until time.Duration            // data waits for what is not known yet; 0: nothing was heard
}

// add takes a report; clock is the server's when the newest packet of it came.
func (g *gauge) add(r *report, clock time.Duration) {
	if !g.sent || len(r.Echoes) == 0 {
		return
	}
	if g.until == 0 {
		g.until = r.at + gaugeWait
	}
	for _, e := range r.Echoes {
		if e.Number < gaugeSize {
			g.came[e.Number] = clock + r.Echoes[0].Held - e.Held
		}
	}
}

// waits tells that more may become known soon.
func (g *gauge) waits(now time.Duration) bool {
	return g.sent && g.came[gaugeSize-1] == 0 && now < g.until
}

// rate is the way's, for packets of size bytes; 0: it could not be measured.
func (g *gauge) rate(size int) rate.BitRate {
	first, mid, last := -1, -1, -1
	for i, at := range g.came {
		if at == 0 {
			continue
		}
		if first < 0 {
			first = i
		}
		if mid < 0 && i >= gaugeSize/2 {
			mid = i
		}
		last = i
	}
	if first < 0 || last-first < gaugeSize/2 || last <= mid || mid < 0 {
		return 0
	}
	// What came while the server was busy is read close together: the slower part tells.
	all, half := g.came[last]-g.came[first], g.came[last]-g.came[mid]
	if all < leastSpread || half < leastSpread/4 {
		return 0
	}
	between := func(n int, d time.Duration) rate.BitRate {
		return rate.BitRate(float64(n*size*8) / d.Seconds())
	}
	return min(between(last-first, all), between(last-mid, half))
}

// sendGauge sends the Hellos.
func (p *pump) sendGauge(now time.Duration) error {
	p.gauge.sent = true
	p.out = p.out[:0]
	for range gaugeSize {
		var err error
		if p.out, err = p.sealHello(p.out, wire.BaseSize, now); err != nil {
			return err
		}
	}
	_ = p.l.socket.Write(p.out, wire.BaseSize, p.l.to)
	return nil
}
