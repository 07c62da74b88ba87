package transfer

import (
	"errors"
	"net"
	"syscall"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/udp"
	"isthmus/transfer/wire"
)

const (
	longestNap  = 10 * time.Millisecond
	shortestNap = time.Millisecond // a timer does not do better
	windowSlack = 100 * time.Millisecond
	debtMost    = 5 * time.Millisecond
	hollowMost  = 3
	calmAfter   = 5 * time.Second // patience that was not needed is lost again
)

// sendDue sends as much as pace and window allow, one batch at most; then it tells how long to wait.
func (p *pump) sendDue(now time.Duration) (time.Duration, error) {
	p.decision = p.ctl.At(now)
	d := p.decision
	p.refill(d, now)
	p.out = p.out[:0]
	full := p.datagram + p.headers
	// Also with a fixed rate no more may be lost by a cut than what is under way.
	window := min(d.Window, d.Rate.Bytes(2*p.rtt+p.held+windowSlack)+64*full)
	for len(p.out)+p.datagram <= min(udp.MaxWrite, 64*p.datagram) && p.tokens >= float64(full) && p.flight.outstanding+full <= window {
		b, text, ok := p.nextBlock(now)
		if !ok {
			if !p.dry {
				p.starve()
			}
			p.paced, p.debt = false, 0
			break
		}
		if err := p.seal(b, text, now); err != nil {
			return 0, err
		}
		if b.n < p.payload { // a shorter datagram ends a batch
			break
		}
	}
	if p.flight.outstanding+full > window {
		p.paced = false
	}
	if len(p.out) > 0 {
		return 0, p.write()
	}
	if p.tokens < float64(full) && d.Rate > 0 {
		return max(shortestNap, min(longestNap, d.Rate.Duration(full-int(p.tokens)))), nil
	}
	return p.idle(now)
}

// refill gives what the pace allowed since the last time. A nap ends late as often as not, and a busy machine lets us
// wait: some of that leaves at once, more of it a quarter faster than usual, and what is still left was not the path's fault.
func (p *pump) refill(d rate.Decision, now time.Duration) {
	fresh := float64(d.Rate) / 8 * (now - p.filled).Seconds()
	p.filled = now
	late := min(p.debt, fresh/4)
	p.debt -= late
	p.tokens += fresh + late
	if most := float64(max(d.Burst, d.Rate.Bytes(4*time.Millisecond), 2*(p.datagram+p.headers))); p.tokens > most {
		if p.paced {
			p.debt += p.tokens - most
		}
		p.tokens = most
	}
	// A queue's worth: what the path did not carry meanwhile it will not carry later.
	if most := float64(d.Rate.Bytes(max(debtMost, p.rtt/32))); p.debt > most {
		p.debt, p.starved = most, rate.Sender
	}
	p.paced = true
}

func (p *pump) write() error {
	err := p.l.socket.Write(p.out, p.datagram, p.l.to)
	if err == nil || !fatal(err) {
		return nil // what did not leave is as good as lost on the way
	}
	return closed(err)
}

// fatal errors are those of the socket; others are of the way, and that may change.
func fatal(err error) bool {
	return errors.Is(err, syscall.EBADF) || errors.Is(err, net.ErrClosed)
}

// idle is asked when pace and window would allow more than there is, or the window is full.
func (p *pump) idle(now time.Duration) (time.Duration, error) {
	nap := longestNap
	if !p.begun && p.gauge.sent {
		nap = min(nap, max(shortestNap, p.gauge.until-now))
	}
	if p.finishing() && p.flight.outstanding > 0 {
		// Nothing follows that would show a gap: packets without payload do.
		every := max(p.interval, p.rtt/8)
		if now-p.sentAt >= every {
			p.out = p.out[:0]
			if err := p.seal(block{}, nil, now); err != nil {
				return 0, err
			}
			return min(every, nap), p.write()
		}
		return min(nap, max(shortestNap, every-(now-p.sentAt))), nil
	}
	if p.finishing() && !p.rested && len(p.repairs) == 0 && p.tail != nil && len(p.tail.at) == 0 {
		// All that can be sent is there. The server shall not wait for what cannot.
		p.rested = true
		if err := p.l.pause(true); err != nil {
			return 0, closed(err)
		}
	}
	return nap, nil
}

// starve notes why there is nothing to send though there might.
func (p *pump) starve() {
	p.starved = rate.Disk
	if p.unlisted() {
		p.starved = rate.Application
	}
}

// finishing tells that every block was sent once.
func (p *pump) finishing() bool { return p.dry && p.current == nil }

// unlisted tells that the manifest is still coming.
func (p *pump) unlisted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.noMore && len(p.wanted) == 0
}

// nextBlock chooses what to send: what was lost, then what is new, then what the end game wants again.
// text is nil when it has to be read.
func (p *pump) nextBlock(now time.Duration) (b block, text []byte, ok bool) {
	for len(p.repairs) > 0 {
		r := &p.repairs[0]
		if r.number >= p.flight.oldest() && r.number < p.flight.next && !p.flight.at(r.number).lost { // it arrived after all
			p.repairs = p.repairs[1:]
			continue
		}
		b := block{r.pos, min(r.n, p.payload)} // packets may have become smaller
		if r.pos, r.n = r.pos+int64(b.n), r.n-b.n; r.n == 0 {
			p.repairs = p.repairs[1:]
		}
		p.repeated += int64(b.n)
		return b, nil, true
	}
	if p.current == nil && !p.dry && p.mayBegin(now) {
		select {
		case c := <-p.ahead:
			p.load(c)
		default:
		}
	}
	if c := p.current; c != nil {
		n := min(p.payload, len(c.buf)-p.at)
		b, text := block{c.pos + int64(p.at), n}, c.buf[p.at:p.at+n]
		if p.at += n; p.at == len(c.buf) {
			p.spent = c // text lies in it
			p.current = nil
		}
		return b, text, true
	}
	if p.dry {
		if p.tail == nil {
			p.tail = newTail(&p.flight, rate.NewEndGame(p.sentBytes, p.datagram+p.headers), now)
			p.askTail(now)
		}
		b, ok := p.tail.take(now)
		p.repeated += int64(b.n)
		return b, nil, ok
	}
	return block{}, nil, false
}

// seal adds a packet to the batch.
func (p *pump) seal(b block, text []byte, now time.Duration) error {
	if b.n > 0 && text == nil {
		text = p.scratch[:b.n]
		if _, err := p.l.src.read(text, b.pos); err != nil {
			var f *sourceError
			if !errors.As(err, &f) {
				return err
			}
			// What the packet has of other uploads goes by itself.
			gone := p.l.src.bounds(f.upload)
			if gone.Start > b.pos {
				p.repairs = append(p.repairs, repair{block{b.pos, int(gone.Start - b.pos)}, noNumber})
			}
			if end := b.pos + int64(b.n); end > gone.End {
				p.repairs = append(p.repairs, repair{block{gone.End, int(end - gone.End)}, noNumber})
			}
			return p.l.ended(f.upload, Result{Err: f.err})
		}
	}
	number, err := p.sealer.Next()
	if err != nil {
		return err
	}
	at := len(p.out)
	p.out = p.out[:at+wire.DataHeaderSize]
	head := p.out[at:]
	wire.DataHeader{Session: p.l.keys.Session, Number: number, Settled: p.flight.base, Position: uint64(b.pos)}.Put(head)
	p.out = p.sealer.Seal(p.out, number, text, head)
	size := len(p.out) - at + p.headers
	p.flight.add(number, sent{pos: b.pos, n: b.n, size: size, at: now})
	p.tokens -= float64(size)
	p.sentAt = now
	if p.quiet == 0 {
		p.quiet = now
	}
	p.sentBytes += int64(b.n)
	if p.spent != nil {
		p.spent.free()
		p.spent = nil
	}
	return nil
}

// timeouts declares lost what nothing was heard of for long.
func (p *pump) timeouts(now time.Duration) {
	delay := p.ctl.LossDelay()*p.patience/patienceFirst + p.held
	if now < p.heard+delay/2 || now < p.away {
		return // while reports come in, a packet without one stands in a queue
	}
	p.flight.open(p.flight.next, func(n uint64, s *sent) bool {
		if now-s.at < delay {
			return false
		}
		p.lose(n)
		return true
	})
	p.flight.advance()
	if p.tail != nil && now-p.tail.asked >= delay {
		p.askTail(now)
	}
}

// lose declares a packet lost; its bytes are to be sent again.
func (p *pump) lose(number uint64) (size int) {
	s, ok := p.flight.settle(number)
	if !ok {
		return 0
	}
	p.flight.at(number).lost = true
	p.unheard = p.unheard || number == p.asked
	if s.n > 0 && (p.tail == nil || !p.tail.lost(s)) {
		p.repairs = append(p.repairs, repair{block{s.pos, s.n}, number})
	}
	return s.size
}

// feedback takes what the server reported.
func (p *pump) feedback(r *report) {
	now := r.at
	p.heard, p.quiet = now, 0
	if !p.answered {
		p.answered, p.probes, p.probeAt = true, 3, now
		if p.hollow++; p.hollow > hollowMost && p.datagram > wire.BaseSize {
			// Hellos pass and larger packets do not: somewhere the way became narrower.
			p.largest = wire.BaseSize
			p.restart()
		}
	}
	if r.Flags&wire.FlagStorage != 0 {
		p.starved = rate.Disk
	}
	if r.Rate != p.limit {
		p.limit = r.Rate
		c := rate.BitRate(0) // none
		if r.Rate < 1<<50 {
			c = rate.BitRate(r.Rate)
		}
		p.ctl.SetCap(c)
	}
	p.measured(int(r.Datagram), now)
	s := rate.Sample{Now: now, Starved: p.starved}
	p.starved = rate.Path
	for _, e := range r.Echoes {
		if left, ok := p.flight.left(e.Number); ok {
			if d := now - left - e.Held; d > 0 && (s.RTT == 0 || d < s.RTT) {
				s.RTT = d
			}
		}
	}
	top, any := p.confirm(r, &s)
	if any {
		p.missing(r.Start, top, &s)
	}
	p.flight.advance()
	if len(r.Echoes) > 0 {
		p.held = r.Echoes[0].Held
	}
	if r.Late != p.late || p.unlost > 0 {
		// Taken for lost, though they only were overtaken or their report was late: wait longer in future.
		s.Delivered += int(r.Late-p.late) * (p.datagram + p.headers)
		p.late, p.unlost = r.Late, 0
		p.reorder = min(2*p.reorder, reorderMost)
		p.patience = min(p.patience+p.patience/2, patienceMost)
		p.calm = now + calmAfter
	} else if now > p.calm {
		p.reorder = max(p.reorder/2, reorderFirst)
		p.patience = max(p.patience*2/3, patienceFirst)
		p.calm = now + calmAfter
	}
	p.clock += time.Duration(int32(r.Clock-uint32(p.clock/time.Microsecond))) * time.Microsecond
	if s.RTT > 0 {
		p.rtt = s.RTT
	}
	p.gauge.add(r, p.clock)
	s.Arrived = p.clock
	s.Outstanding = p.flight.outstanding
	p.decision = p.ctl.OnSample(s)
	if p.tail != nil {
		p.askTail(now)
	}
	p.tell(r)
}

// askTail lets the end game choose anew.
func (p *pump) askTail(now time.Duration) {
	full := p.datagram + p.headers
	room := min(int(p.tokens)+p.decision.Rate.Bytes(p.interval), p.decision.Window-p.flight.outstanding) / full
	p.tail.refresh(now, max(1, room), p.ctl.State())
}

// confirm settles what arrived; top is the highest of it, new or not.
func (p *pump) confirm(r *report, s *rate.Sample) (top uint64, any bool) {
	at, seen := r.Start, true
	for _, n := range r.Runs {
		if seen {
			for i := max(at, p.flight.oldest()); i < min(at+n, p.flight.next); i++ {
				f := p.flight.at(i)
				top, any = i, true
				if f.over && !f.lost {
					continue
				}
				if f.lost {
					f.lost = false
					p.unlost++
				} else {
					p.flight.settle(i)
				}
				if f.n > 0 {
					p.hollow = 0
					p.acked.missing(f.pos, f.pos+int64(f.n), p.note)
					p.acked.add(f.pos, f.pos+int64(f.n))
				}
				s.Delivered += f.size
				if p.tail != nil {
					p.tail.arrived(*f)
				}
			}
		}
		at += n
		seen = !seen
	}
	if len(p.fresh) > 0 {
		p.l.arrived(p.fresh)
		p.fresh = p.fresh[:0]
	}
	return top, any
}

// note collects what arrived for the first time.
func (p *pump) note(r Range) {
	if i := len(p.fresh) - 1; i >= 0 && p.fresh[i].End == r.Start {
		p.fresh[i].End = r.End
		return
	}
	p.fresh = append(p.fresh, r)
}

// missing declares lost what was overtaken by far. Of what lies before the report's start nothing is said: where
// much is lost not all fits into one, and the one before may itself be lost.
func (p *pump) missing(start, top uint64, s *rate.Sample) {
	newest := p.flight.at(top).at
	patience := min(max(p.rtt/8, time.Millisecond)*time.Duration(p.reorder/reorderFirst), p.rtt+20*time.Millisecond)
	p.flight.open(top, func(n uint64, f *sent) bool {
		if n < start && top-n < wire.WindowSize {
			return true
		}
		if top-n < p.reorder && newest-f.at < patience {
			return false
		}
		s.Lost += p.lose(n)
		return true
	})
}

// measured takes the largest datagram that the way carries.
func (p *pump) measured(n int, now time.Duration) {
	n = min(n, p.l.datagramLimit(), p.largest)
	switch {
	case n > p.datagram:
		p.setDatagram(n)
	case n < p.datagram && n < p.carried:
		// The server counts anew: our address has changed, and the way with it.
		p.restart()
		p.ctl.PathChanged(now, 0)
		p.probes, p.probeAt, p.largest = 3, now, wire.MaxDatagram
	}
	p.carried = n
}

// restart takes everything under way for lost, and packets smaller.
func (p *pump) restart() {
	if t := p.tail; t != nil {
		p.tail = nil
		for _, b := range t.rest() {
			p.repairs = append(p.repairs, repair{b, noNumber})
		}
	}
	p.flight.open(p.flight.next, func(n uint64, _ *sent) bool {
		p.lose(n)
		return true
	})
	p.flight.advance()
	p.setDatagram(wire.BaseSize)
}

// tell publishes how far it is.
func (p *pump) tell(r *report) {
	if r.at-p.toldAt < 20*time.Millisecond && r.Received == p.received {
		return
	}
	more := int64(r.Received) - int64(p.received)
	p.received, p.toldAt = r.Received, r.at
	sentMore, repeatedMore := p.sentBytes-p.toldSent, p.repeated-p.toldRepeated
	p.toldSent, p.toldRepeated = p.sentBytes, p.repeated
	state := p.ctl.State()
	history, _ := p.ctl.History()
	p.l.s.note(func(g *Progress) {
		g.Done += more
		g.Sent += sentMore
		g.Repeated += repeatedMore
		g.State, g.History, g.Priority = state, history, r.Priority
	})
}
