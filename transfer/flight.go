package transfer

import "time"

// sent is a packet that left: what it carried and what became of it.
type sent struct {
	pos  int64
	n    int           // bytes of payload; 0: none
	size int           // of the whole IP packet
	at   time.Duration // sender's clock
	over bool          // reported or declared lost
	lost bool          // declared lost, and not reported since
}

// flight is all packets from the lowest number that is not over, and the latest of those that are. A ring
// indexed by number.
type flight struct {
	ring        []sent
	base, next  uint64
	known       uint64 // what is below was left behind when the ring grew
	outstanding int    // bytes of IP packets that are not over
}

func (f *flight) at(number uint64) *sent { return &f.ring[number&uint64(len(f.ring)-1)] }

// add notes packet number, which is next.
func (f *flight) add(number uint64, p sent) {
	if f.next-f.base == uint64(len(f.ring)) {
		old := *f
		f.ring = make([]sent, max(4096, 2*len(old.ring)))
		for n := f.base; n < f.next; n++ {
			*f.at(n) = *old.at(n)
		}
		f.known = f.base
	}
	*f.at(number) = p
	f.next = number + 1
	f.outstanding += p.size
}

// left is when a packet left, if that is still known. What was taken for lost and then arrived tells the
// round trip too; without it a sender that waits too little would never learn.
func (f *flight) left(number uint64) (time.Duration, bool) {
	if number >= f.next || number < f.oldest() {
		return 0, false
	}
	return f.at(number).at, true
}

// settle ends a packet; false: it was over, or is none of ours.
func (f *flight) settle(number uint64) (sent, bool) {
	if number < f.base || number >= f.next {
		return sent{}, false
	}
	p := f.at(number)
	if p.over {
		return sent{}, false
	}
	p.over = true
	f.outstanding -= p.size
	return *p, true
}

// advance drops what is over from the front.
func (f *flight) advance() {
	for f.base < f.next && f.at(f.base).over {
		f.base++
	}
}

// open calls g with each packet below end that is not over, until it says false.
func (f *flight) open(end uint64, g func(number uint64, p *sent) bool) {
	for n := f.base; n < min(end, f.next); n++ {
		if p := f.at(n); !p.over && !g(n, p) {
			return
		}
	}
}

// oldest is the lowest number that is still known.
func (f *flight) oldest() uint64 { return max(f.known, f.next-min(f.next, uint64(len(f.ring)))) }

// block is a run of the tape that fits into one packet.
type block struct {
	pos int64
	n   int
}

// repair is a block whose packet was declared lost.
type repair struct {
	block
	number uint64
}

const noNumber = 1<<64 - 1
