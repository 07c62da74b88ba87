package wire

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// ErrReplay means that a packet's number was seen before, or is too old to tell.
var ErrReplay = errors.New("packet number seen before")

// WindowSize is how many numbers a Window remembers: 750 MB of full packets under way.
const WindowSize = 1 << 19

// Window remembers which of the latest WindowSize numbers were seen. The zero value has seen none.
type Window struct {
	words []uint64 // ring of bits; grows up to WindowSize
	next  uint64   // highest number seen + 1
}

// Highest is the highest number seen, 0 if none was.
func (w *Window) Highest() uint64 { return max(w.next, 1) - 1 }

// Next is one more than the highest number seen.
func (w *Window) Next() uint64 { return w.next }

func (w *Window) size() uint64 { return uint64(len(w.words)) * 64 }

// Floor is the lowest number that the window can tell about.
func (w *Window) Floor() uint64 {
	if w.next <= WindowSize {
		return 0
	}
	return w.next - WindowSize
}

// Old tells that a number was seen or is below the window.
func (w *Window) Old(n uint64) bool {
	if n >= w.next {
		return false
	}
	return n < w.Floor() || w.has(n)
}

func (w *Window) has(n uint64) bool {
	n %= w.size()
	return w.words[n/64]&(1<<(n%64)) != 0
}

// Add counts n as seen. Numbers below the window are ignored.
func (w *Window) Add(n uint64) {
	if n < w.Floor() {
		return
	}
	if n >= w.next {
		w.grow(n)
		if n-w.next >= w.size() {
			clear(w.words)
		} else {
			w.clear(w.next, n)
		}
		w.next = n + 1
	}
	i := n % w.size()
	w.words[i/64] |= 1 << (i % 64)
}

// clear forgets what the ring says about [from, to], numbers that it did not reach yet.
func (w *Window) clear(from, to uint64) {
	for from <= to {
		i := from % w.size()
		if i%64 == 0 && to-from >= 63 {
			w.words[i/64] = 0
			from += 64
			continue
		}
		w.words[i/64] &^= 1 << (i % 64)
		from++
	}
}

// grow makes the ring hold [0, n] or WindowSize numbers.
func (w *Window) grow(n uint64) {
	want := min(max(4096, uint64(1)<<bits.Len64(n)), WindowSize)
	if want <= w.size() {
		return
	}
	old := *w
	w.words = make([]uint64, want/64)
	// The old ring never wrapped: it held every number from 0 on.
	copy(w.words, old.words)
}

// AppendRuns appends the lengths of the runs of seen and unseen numbers from start to Next, seen first,
// as far as they take at most room bytes on the wire. next is where the runs end.
func (w *Window) AppendRuns(dst []uint64, start uint64, room int) (runs []uint64, next uint64) {
	at, seen := max(start, w.Floor()), true
	for at < w.next {
		end := w.runEnd(at, seen)
		if room -= uvarintLen(end - at); room < 0 {
			break
		}
		dst = append(dst, end-at)
		at, seen = end, !seen
	}
	return dst, at
}

// runEnd is the first number from at on that was not (seen) or was (not seen) seen, at most next.
func (w *Window) runEnd(at uint64, seen bool) uint64 {
	for at < w.next {
		i := at % w.size()
		word := w.words[i/64]
		if seen {
			word = ^word
		}
		if word >>= i % 64; word != 0 {
			return min(at+uint64(bits.TrailingZeros64(word)), w.next)
		}
		at += 64 - i%64
	}
	return w.next
}

func uvarintLen(v uint64) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutUvarint(b[:], v)
}
