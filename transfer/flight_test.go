package transfer

import (
	"testing"
	"time"

	"isthmus/transfer/rate"
	"isthmus/transfer/wire"
)

// TestFlightGrows: what the ring left behind when it grew is not taken for packets that arrived.
func TestFlightGrows(t *testing.T) {
	f := flight{}
	p := pump{reorder: reorderFirst}
	for n := range uint64(10_000) {
		if n == 3000 {
			for lost := range n - 1 { // all but the last
				f.settle(lost)
				f.at(lost).lost = true
			}
			f.advance()
			p.repairs = []repair{{block{0, 1400}, 7}, {block{1400, 1400}, n - 10}}
		}
		f.add(n, sent{pos: int64(n) * 1400, n: 1400, size: 1500})
	}
	p.flight, p.payload = f, 1400
	for i, want := range []int64{0, 1400} {
		if b, _, ok := p.nextBlock(0); !ok || b.pos != want || b.n != 1400 {
			t.Errorf("repair %d: %+v, %v", i, b, ok)
		}
	}
}

// TestPartsOfReports: runs that do not fit into one report are told in several, each of which may get lost. Only what
// a report says is missing is; and a packet does not hide behind those that are known already.
func TestPartsOfReports(t *testing.T) {
	p := pump{reorder: reorderFirst, rtt: 80 * time.Millisecond}
	for n := range uint64(1000) {
		p.flight.add(n, sent{size: 1500, at: time.Duration(n) * time.Millisecond})
	}
	var s rate.Sample
	told := func(start uint64, runs ...uint64) {
		t.Helper()
		s = rate.Sample{}
		r := report{Feedback: wire.Feedback{Start: start, Runs: runs}}
		top, any := p.confirm(&r, &s)
		if !any {
			t.Fatal("nothing arrived")
		}
		p.missing(start, top, &s)
		p.flight.advance()
	}
	told(500, 200, 10, 290) // the first half is in another one
	if s.Lost != 10*1500 || s.Delivered != 490*1500 || p.flight.base != 0 {
		t.Errorf("the second half: %d lost, %d delivered, base %d", s.Lost/1500, s.Delivered/1500, p.flight.base)
	}
	told(0, 100, 5, 395)
	if s.Lost != 5*1500 || s.Delivered != 495*1500 || p.flight.base != 1000 {
		t.Errorf("the first half: %d lost, %d delivered, base %d", s.Lost/1500, s.Delivered/1500, p.flight.base)
	}

	for n := range uint64(100) {
		p.flight.add(1000+n, sent{size: 1500, at: time.Second + time.Duration(n)*time.Millisecond})
	}
	told(1001, 99) // as if another report had said it already
	told(1000, 0, 1, 99)
	if s.Lost != 1500 || s.Delivered != 0 || p.flight.base != 1100 {
		t.Errorf("one among known ones: %d lost, %d delivered, base %d", s.Lost/1500, s.Delivered/1500, p.flight.base)
	}
}

// TestReportsAreWhole: what does not fit into one report follows in others at once.
func TestReportsAreWhole(t *testing.T) {
	sec := wire.Secrets{Client: make([]byte, 32), Server: make([]byte, 32)}
	r, err := newReceiver(sec, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	way := &collected{}
	r.path, r.credit = way, 1<<20
	r.store = newStore(t.Context(), OpenDir(t.TempDir(), true), nil, &tape{}, 8<<20)
	for n := uint64(0); n < 4500; n += 2 {
		r.opener.Seen.Add(n)
	}
	r.report(time.Now())
	opener, err := wire.NewOpener(sec.Server)
	if err != nil {
		t.Fatal(err)
	}
	next := uint64(0)
	for _, b := range way.sent {
		h, err := wire.ParseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		body, err := opener.Open(nil, h.Number, b[:wire.HeaderSize], b[wire.HeaderSize:])
		if err != nil {
			t.Fatal(err)
		}
		var f wire.Feedback
		if err := f.Parse(body); err != nil {
			t.Fatal(err)
		}
		if len(b) > wire.MaxFeedback || f.Start != next {
			t.Errorf("%d bytes from packet %d on, want it from %d on", len(b), f.Start, next)
		}
		for _, n := range f.Runs {
			next += n
		}
	}
	if next != 4499 || len(way.sent) < 2 {
		t.Errorf("%d reports tell of the first %d of 4499 packets", len(way.sent), next)
	}
}

// collected is a way back that keeps what went.
type collected struct{ sent [][]byte }

func (c *collected) send(b []byte) { c.sent = append(c.sent, append([]byte(nil), b...)) }
func (c *collected) close()        {}
