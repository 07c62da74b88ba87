package transfer

import (
	"context"
	"errors"
	"math"
)

// want adds positions to send. Any goroutine.
func (p *pump) want(r Range) {
	if r.Start == r.End {
		return
	}
	p.mu.Lock()
	if n := len(p.wanted); n > 0 && p.wanted[n-1].End == r.Start {
		p.wanted[n-1].End = r.End // small files share packets
	} else {
		p.wanted = append(p.wanted, r)
	}
	p.mu.Unlock()
	p.poke()
}

// wantNoMore says that want will not be called again. Any goroutine.
func (p *pump) wantNoMore() {
	p.mu.Lock()
	p.noMore = true
	p.mu.Unlock()
	p.poke()
}

func (p *pump) poke() {
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// next takes the next run to read; n is 0 when there is none now, end when there will be none.
func (p *pump) next() (pos int64, n int, end bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.wanted) == 0 {
		return 0, 0, p.noMore
	}
	// A page of the manifest may end anywhere; what follows it shall share a packet with it.
	if r := p.wanted[0]; len(p.wanted) == 1 && !p.noMore && r.End-r.Start < int64(p.payload) {
		return 0, 0, false
	}
	r := &p.wanted[0]
	pos, n = r.Start, int(min(int64(p.readLen), r.End-r.Start))
	if r.Start += int64(n); r.Start == r.End {
		p.wanted = p.wanted[1:]
	}
	if next := pos + int64(n); len(p.wanted) == 0 {
		p.l.read.Store(next)
	} else {
		p.l.read.Store(p.wanted[0].Start) // what lies between is at the server
	}
	return pos, n, false
}

// skip drops what is wanted of a range.
func (p *pump) skip(gone Range) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var left []Range
	for _, r := range p.wanted {
		if gone.Start > r.Start {
			left = append(left, Range{Start: r.Start, End: min(r.End, gone.Start)})
		}
		if gone.End < r.End {
			left = append(left, Range{Start: max(r.Start, gone.End), End: r.End})
		}
	}
	p.wanted = left
}

// readAhead reads new blocks before they are due, so that a slow disk does not stop the pace at once.
func (p *pump) readAhead(ctx context.Context) error {
	for {
		pos, n, end := p.next()
		if end {
			p.l.read.Store(math.MaxInt64 / 2)
			select {
			case p.ahead <- nil:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if n == 0 {
			select {
			case <-p.more:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		c := newChunk()
		c.pos = pos
		m, err := p.l.src.read(c.buf[:n], pos)
		c.buf = c.buf[:m]
		if err != nil {
			if err := p.lostFile(err, Range{Start: pos + int64(m), End: pos + int64(n)}); err != nil {
				return err
			}
		}
		select {
		case p.ahead <- c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lostFile ends the upload whose file cannot be read; of the bytes in rest, others' are wanted again.
func (p *pump) lostFile(err error, rest Range) error {
	var f *sourceError
	if !errors.As(err, &f) {
		return err
	}
	b := p.l.src.bounds(f.upload)
	p.skip(b)
	if b.End < rest.End {
		p.mu.Lock()
		p.wanted = append([]Range{{Start: b.End, End: rest.End}}, p.wanted...)
		p.mu.Unlock()
	}
	return p.l.ended(f.upload, Result{Err: f.err})
}
