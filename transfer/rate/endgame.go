package rate

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Block is a block that was sent and that the receiver has not confirmed.
type Block struct {
	Sent   time.Duration // when its newest copy left
	Copies int           // how many copies were sent in all
	Flying int           // how many of them are neither reported nor declared lost
}

// EndGame decides what to send when no new block is left. A lost repair costs a whole round trip
// then, while the line is idle: so repairs go out in several copies, as many as make a further
// round unlikely, within a budget of 1 % of the transfer.
type EndGame struct {
	left    int // packets of the budget
	spent   int
	guarded bool
}

// NewEndGame is for a transfer of size bytes in packets of at most packet bytes.
func NewEndGame(size int64, packet int) *EndGame {
	// A fifth of the 1 % stays for packets that were late, not lost.
	return &EndGame{left: max(16, int(size/int64(packet)/125))}
}

// Next returns the indexes of the blocks to send now, best first, at most room of them: what rate and
// window let go until the next call. blocks are all unconfirmed ones, s is the controller's State.
// Call it with every feedback message while no new block is left, and for every idle LossDelay;
// it takes time in proportion to len(blocks).
func (e *EndGame) Next(now time.Duration, room int, s State, blocks []Block) []int {
	p := min(max(s.Loss, 0.001), 0.9)
	var next []int
	open, fresh := 0.0, 0 // blocks that will turn out to be missing; blocks with one copy, the first
	for i, b := range blocks {
		open += math.Pow(p, float64(b.Flying))
		if b.Flying == 0 && len(next) < room {
			next = append(next, i)
		}
		if b.Copies == 1 && b.Flying == 1 {
			fresh++
		}
	}
	if len(next) == room {
		return next
	}
	if !e.guarded && fresh > 0 {
		e.guarded = true
		if p > 0.002 {
			next = e.guard(next, room, blocks)
		}
	}
	repairs := e.copies(open, p)
	firsts := 1
	if float64(fresh)*p > 0.1 {
		firsts = e.copies(float64(fresh), p)
	}
	for i, b := range blocks {
		want := repairs
		if b.Copies == 1 {
			want = firsts
		}
		// Long after the first copy another is no better than waiting for its report.
		if b.Flying == 0 || b.Flying >= want || now-b.Sent > s.BaseRTT/2 {
			continue
		}
		for range want - b.Flying {
			if len(next) == room || e.left == 0 {
				return next
			}
			next = append(next, i)
			e.left--
			e.spent++
		}
	}
	return next
}

// guard repeats the newest blocks once: no packet behind them would show their loss.
func (e *EndGame) guard(next []int, room int, blocks []Block) []int {
	var fresh []int
	for i, b := range blocks {
		if b.Copies == 1 && b.Flying == 1 {
			fresh = append(fresh, i)
		}
	}
	slices.SortStableFunc(fresh, func(a, b int) int { return cmp.Compare(blocks[b].Sent, blocks[a].Sent) })
	for _, i := range fresh[:min(len(fresh), 16, room-len(next), e.left)] {
		next = append(next, i)
		e.left--
		e.spent++
	}
	return next
}

// copies is how many copies of each of n blocks make it unlikely that one gets lost in all, if half
// of the budget pays for them.
func (e *EndGame) copies(n, p float64) int {
	k := 1
	// The last few of a round matter as much as its many at the beginning did.
	for max(n, 20)*math.Pow(p, float64(k)) > 0.02 && n*float64(k) <= float64(e.left)/2 {
		k++
	}
	return k
}

// Spent is the number of copies sent beyond the first of a round: at most 1 % of the transfer.
func (e *EndGame) Spent() int { return e.spent }
