package transfer

import (
	"time"

	"isthmus/transfer/rate"
)

// tail is the end of a transfer, when every block was sent once: it knows each unconfirmed block and
// lets the end game choose what to repeat.
type tail struct {
	game   *rate.EndGame
	blocks []*tailBlock // unconfirmed and perhaps confirmed ones, in the order of their first sending
	at     map[int64]*tailBlock
	due    []*tailBlock // to send now, best first
	asked  time.Duration
	list   []rate.Block
}

type tailBlock struct {
	rate.Block
	block
	arrived bool
}

func newTail(f *flight, game *rate.EndGame, now time.Duration) *tail {
	t := &tail{game: game, at: map[int64]*tailBlock{}, asked: now}
	f.open(f.next, func(_ uint64, s *sent) bool {
		if s.n > 0 {
			b := &tailBlock{Block: rate.Block{Sent: s.at, Copies: 1, Flying: 1}, block: block{s.pos, s.n}}
			t.blocks = append(t.blocks, b)
			t.at[s.pos] = b
		}
		return true
	})
	return t
}

// lost notes that a copy did not arrive; false: the block is not one of the tail's.
func (t *tail) lost(s sent) bool {
	b := t.at[s.pos]
	if b != nil {
		b.Flying--
	}
	return b != nil
}

func (t *tail) arrived(s sent) {
	if b := t.at[s.pos]; b != nil && s.n > 0 {
		b.arrived = true
		delete(t.at, s.pos)
	}
}

// refresh asks the end game what to send; room is how many packets may leave until it is asked again.
func (t *tail) refresh(now time.Duration, room int, st rate.State) {
	t.asked = now
	left := t.blocks[:0]
	t.list, t.due = t.list[:0], t.due[:0]
	for _, b := range t.blocks {
		if !b.arrived {
			left = append(left, b)
			t.list = append(t.list, b.Block)
		}
	}
	t.blocks = left
	for _, i := range t.game.Next(now, room, st, t.list) {
		t.due = append(t.due, t.blocks[i])
	}
}

// take gives the next block that is due.
func (t *tail) take(now time.Duration) (block, bool) {
	for len(t.due) > 0 {
		b := t.due[0]
		t.due = t.due[1:]
		if !b.arrived {
			b.Sent, b.Copies, b.Flying = now, b.Copies+1, b.Flying+1
			return b.block, true
		}
	}
	return block{}, false
}

// rest is what no packet under way carries.
func (t *tail) rest() []block {
	var all []block
	for _, b := range t.blocks {
		if !b.arrived && b.Flying == 0 {
			all = append(all, b.block)
		}
	}
	return all
}
