package gateway

import (
	"net/netip"
	"sync"
	"time"
)

// Attempts slows down the guessing of secrets: wrong attempts are counted per name and address and
// per address, right ones cost nothing. It is kept in this process only; a replica more is a few
// guesses more. Use by pointer; safe for concurrent use.
type Attempts struct {
	Clock Clock

	mu    sync.Mutex
	taken map[string]tries
}

// tries are the wrong attempts of a key, which time wears away.
type tries struct {
	n  float64
	at time.Time
}

const (
	wrongPerName    = 20              // of one name from one address …
	forgetName      = 3 * time.Second // … and how long one is remembered
	wrongPerAddress = 100             // of all names together: a school may share one address
	forgetAddress   = time.Second
	maxAttemptKeys  = 20_000
)

// Begin says whether name may try a secret from an address now: RateLimited with the time to wait
// otherwise. Whoever may must call done with the outcome.
func (t *Attempts) Begin(name, address string) (done func(right bool), _ error) {
	named, from := attemptKeys(name, address)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.refuse(named, from); err != nil {
		return nil, err
	}
	// Counted before the outcome is known, so that many attempts at once are no way around.
	t.note(named, from, 1)
	return func(right bool) {
		if !right {
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.note(named, from, -1)
	}, nil
}

// Check says whether name may try a secret from an address now, RateLimited otherwise. Who may must not
// use the outcome before Judge has let it pass. Other than with Begin, any number may try at once: for
// programs, which are right many times at once.
func (t *Attempts) Check(name, address string) error {
	named, from := attemptKeys(name, address)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refuse(named, from)
}

// Judge counts the outcome of an attempt. RateLimited when there were too many wrong ones meanwhile: the
// outcome, right or wrong, must not be told then.
func (t *Attempts) Judge(name, address string, right bool) error {
	named, from := attemptKeys(name, address)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.refuse(named, from); err != nil {
		return err
	}
	if !right {
		t.note(named, from, 1)
	}
	return nil
}

func attemptKeys(name, address string) (named, from string) {
	if a, err := netip.ParseAddr(address); err == nil && a.Is6() && !a.Is4In6() {
		if p, err := a.Prefix(64); err == nil { // one customer has that many addresses
			address = p.String()
		}
	}
	return "name " + name[:min(len(name), 200)] + " " + address, "from " + address
}

func (t *Attempts) refuse(named, from string) error {
	now := t.Clock()
	if wait := max(t.wait(named, wrongPerName, forgetName, now), t.wait(from, wrongPerAddress, forgetAddress, now)); wait > 0 {
		return E(RateLimited, "too_many_attempts", "There were too many wrong attempts.").
			Next("Check what you enter and try again in a moment.").After(wait)
	}
	return nil
}

func (t *Attempts) note(named, from string, n float64) {
	now := t.Clock()
	t.add(named, n, forgetName, now)
	t.add(from, n, forgetAddress, now)
}

func (t *Attempts) count(key string, forget time.Duration, now time.Time) float64 {
	had, ok := t.taken[key]
	if !ok {
		return 0
	}
	return max(0, had.n-float64(now.Sub(had.at))/float64(forget))
}

// wait is how long until one more is allowed.
func (t *Attempts) wait(key string, most float64, forget time.Duration, now time.Time) time.Duration {
	over := t.count(key, forget, now) + 1 - most
	return max(0, time.Duration(over*float64(forget)))
}

func (t *Attempts) add(key string, n float64, forget time.Duration, now time.Time) {
	left := t.count(key, forget, now) + n
	if left <= 0 {
		delete(t.taken, key)
		return
	}
	if t.taken == nil || len(t.taken) >= maxAttemptKeys {
		t.forget(now)
	}
	t.taken[key] = tries{left, now}
}

// forget makes room: what has worn away goes; under a flood of names everything does.
func (t *Attempts) forget(now time.Time) {
	kept := map[string]tries{}
	for key, had := range t.taken {
		if now.Sub(had.at) < time.Duration(had.n*float64(forgetName)) {
			kept[key] = had
		}
	}
	if len(kept) >= maxAttemptKeys {
		clear(kept)
	}
	t.taken = kept
}
