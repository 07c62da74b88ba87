package gateway

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Lanes keep one hub's work from taking all workers while its platform does not answer: of each
// queue a hub gets some places and the rest of its tasks come back later. Use by pointer; nil sets no
// limit; safe for concurrent use.
type Lanes struct {
	PerHub int // places of a hub in each queue; 0 = 4

	mu    sync.Mutex
	lanes map[[2]string]*lane
}

type lane struct{ busy, refused int }

// enter gives a place, or the *Snooze after which to ask again: the longer the more are waiting, so
// that a thousand tasks of one hub do not ask every second.
func (l *Lanes) enter(queue, hubID string) (leave func(), _ error) {
	if l == nil {
		return func() {}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lanes == nil {
		l.lanes = map[[2]string]*lane{}
	}
	key := [2]string{queue, hubID}
	at := l.lanes[key]
	if at == nil {
		at = &lane{}
		l.lanes[key] = at
	}
	if at.busy >= orDefault(l.PerHub, 4) {
		at.refused++
		d := min(time.Second+time.Duration(at.refused)*100*time.Millisecond, time.Minute)
		return nil, &Snooze{d/2 + rand.N(d/2)}
	}
	at.busy++
	at.refused = max(0, at.refused-1)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if at.busy--; at.busy == 0 {
			delete(l.lanes, key)
		}
	}, nil
}
