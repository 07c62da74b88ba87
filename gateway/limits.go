package gateway

import (
	"context"
	"sync"
	"time"
)

// Limit is how many requests of one kind of caller are taken: Quota within Window, refilled evenly, all
// of it at once if need be. Quota 0 = no limit.
type Limit struct {
	Name   string // of the policy, as clients see it
	Quota  int
	Window time.Duration
	Local  bool // counted in this process only and never stored: for callers whom nobody knows
}

// pause is the time that one request uses up.
func (l Limit) pause() time.Duration { return l.Window / time.Duration(l.Quota) }

// trust is how many requests a process takes before it tells the database: the error bound.
func (l Limit) trust() int { return max(1, l.Quota/20) }

// LimitOf is a limit for one caller.
type LimitOf struct {
	Limit
	Key string
}

// LimitState is how much is left of a limit.
type LimitState struct {
	Limit
	Left  int
	Reset time.Duration // until all of it is there again
	Wait  time.Duration // until one more request is taken; 0 = now
}

// LimitCharge adds to what a key has used. Cost 0 only looks.
type LimitCharge struct {
	Key  string
	Cost time.Duration
}

// LimitTable keeps, for each key, the time at which all of its quota is there again (the theoretical
// arrival time of the generic cell rate algorithm).
type LimitTable interface {
	// Charge moves the times on, each from now or from where it stands, whichever is later, and gives
	// them in the order of the charges; the zero time for a key that is not known. Without costs it only reads.
	Charge(ctx context.Context, now time.Time, charges []LimitCharge) ([]time.Time, error)
	// Trim deletes keys whose time is over and tells how many.
	Trim(ctx context.Context, before time.Time) (int64, error)
}

// Limits counts requests against limits that all replicas share. Use by pointer; safe for concurrent use.
//
// A request costs no write: a process counts by itself and tells the database every second, and at
// once when it has taken 1/20 of a quota since. So R replicas together take at most (R-1)/20 of a quota
// more than it says (nothing more with one), and a replica that is killed forgets at most 1/20 of it.
// When the database does not answer, each process counts for itself.
type Limits struct {
	Store Store
	Clock Clock

	mu      sync.Mutex
	buckets map[string]*limitBucket
	timer   *time.Timer
	closed  bool
}

type limitBucket struct {
	limit   Limit
	known   bool      // the database was asked
	due     time.Time // when all is there again, with what this process took
	unsaid  int       // taken and not told to the database
	telling chan struct{}
	blind   time.Time // until then the database is not asked: it did not answer
}

const (
	tellEvery = time.Second
	tellBlind = 5 * time.Second
	tellTime  = 2 * time.Second // that a request waits for the database at most
)

// Take takes one request from all of the limits, or from none when one of them is used up. The states
// are in the order of the limits. An error is RateLimited with the time to wait.
func (l *Limits) Take(ctx context.Context, of ...LimitOf) ([]LimitState, error) {
	for {
		l.mu.Lock()
		now := l.Clock()
		var wait *LimitOf
		for i := range of {
			if b := l.bucket(of[i], now); !of[i].Local && now.After(b.blind) && (!b.known || b.unsaid >= b.limit.trust()) {
				wait = &of[i]
			}
		}
		if wait != nil {
			l.mu.Unlock()
			if err := l.tell(ctx, wait.Key); err != nil {
				return nil, err
			}
			continue
		}
		states := make([]LimitState, len(of))
		longest := -1
		for i, q := range of {
			states[i] = l.buckets[q.Key].state(now)
			if states[i].Wait > 0 && (longest < 0 || states[i].Wait > states[longest].Wait) {
				longest = i
			}
		}
		if longest < 0 {
			for i, q := range of {
				b := l.buckets[q.Key]
				b.take(now)
				if !q.Local {
					b.unsaid++
					l.later()
				}
				states[i] = b.state(now)
			}
		}
		l.mu.Unlock()
		if longest >= 0 {
			return states, E(RateLimited, "rate_limited", "There were too many requests ("+of[longest].Name+").").
				Next("Wait as long as Retry-After says; the fields RateLimit and RateLimit-Policy tell how many are taken.").After(states[longest].Wait)
		}
		return states, nil
	}
}

func (l *Limits) bucket(q LimitOf, now time.Time) *limitBucket {
	if l.buckets == nil {
		l.buckets = map[string]*limitBucket{}
	}
	b := l.buckets[q.Key]
	if b == nil {
		if len(l.buckets) >= maxBuckets {
			l.forget(now)
		}
		b = &limitBucket{limit: q.Limit}
		l.buckets[q.Key] = b
	}
	return b
}

const maxBuckets = 20_000

// forget makes room: what is full again goes; under a flood of callers everything that was told does.
func (l *Limits) forget(now time.Time) {
	for key, b := range l.buckets {
		if b.unsaid == 0 && b.telling == nil && !b.due.After(now) {
			delete(l.buckets, key)
		}
	}
	if len(l.buckets) < maxBuckets {
		return
	}
	for key, b := range l.buckets {
		if b.unsaid == 0 && b.telling == nil {
			delete(l.buckets, key)
		}
	}
}

func (b *limitBucket) take(now time.Time) {
	if b.due.Before(now) {
		b.due = now
	}
	b.due = b.due.Add(b.limit.pause())
}

func (b *limitBucket) state(now time.Time) LimitState {
	used := max(0, b.due.Sub(now))
	free := b.limit.Window - used
	s := LimitState{Limit: b.limit, Left: max(0, int(free/b.limit.pause())), Reset: used}
	if s.Left == 0 {
		s.Wait = b.limit.pause() - max(0, free)
		if free < 0 {
			s.Wait = b.limit.pause() - free
		}
	}
	return s
}

// later has what was taken told to the database soon. Holds l.mu.
func (l *Limits) later() {
	if l.timer == nil && !l.closed {
		l.timer = time.AfterFunc(tellEvery, func() {
			ctx, cancel := context.WithTimeout(context.Background(), tellBlind)
			defer cancel()
			l.mu.Lock()
			l.timer = nil
			l.mu.Unlock()
			_ = l.Flush(ctx) // what could not be told stays and is told next time
		})
	}
}

// tell asks the database about one key, together with whoever else waits for that.
func (l *Limits) tell(ctx context.Context, key string) error {
	l.mu.Lock()
	b := l.buckets[key]
	if b == nil {
		l.mu.Unlock()
		return nil
	}
	if done := b.telling; done != nil {
		l.mu.Unlock()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l.mu.Unlock()
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTime) // others wait for it, too
	defer cancel()
	_ = l.exchange(ask, []string{key}) // then this process counts alone for a while
	return nil
}

// Flush tells the database all that it was not told yet.
func (l *Limits) Flush(ctx context.Context) error {
	l.mu.Lock()
	var keys []string
	for key, b := range l.buckets {
		if b.unsaid > 0 && b.telling == nil {
			keys = append(keys, key)
		}
	}
	l.mu.Unlock()
	const many = 100 // in one transaction
	for len(keys) > 0 {
		n := min(many, len(keys))
		if err := l.exchange(ctx, keys[:n]); err != nil {
			l.mu.Lock()
			l.later()
			l.mu.Unlock()
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// Close tells the database what is left to tell; Take still works and counts in this process.
func (l *Limits) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	return l.Flush(ctx)
}

func (l *Limits) exchange(ctx context.Context, keys []string) error {
	l.mu.Lock()
	now := l.Clock()
	var charges []LimitCharge
	var told []int
	done := make(chan struct{})
	for _, key := range keys {
		b := l.buckets[key]
		if b == nil || b.telling != nil {
			continue
		}
		b.telling = done
		charges = append(charges, LimitCharge{key, time.Duration(b.unsaid) * b.limit.pause()})
		told = append(told, b.unsaid)
	}
	l.mu.Unlock()
	if len(charges) == 0 {
		return nil
	}
	due, err := l.Store.Limits().Charge(ctx, now, charges)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, c := range charges {
		b := l.buckets[c.Key]
		b.telling, b.known = nil, true
		if err != nil {
			b.blind = now.Add(tellBlind)
			continue
		}
		b.unsaid -= told[i]
		b.blind = time.Time{}
		// What was taken while the database was asked comes on top.
		at := due[i]
		if at.Before(now) {
			at = now
		}
		b.due = at.Add(time.Duration(b.unsaid) * b.limit.pause())
	}
	close(done)
	return err
}

// Sweep forgets callers whose quota is full again (task Sweep).
func (l *Limits) Sweep(ctx context.Context) error {
	_, err := l.Store.Limits().Trim(ctx, l.Clock().Add(-time.Minute))
	return err
}
