package kaltura

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

const (
	attempts       = 3
	backoffBase    = 200 * time.Millisecond
	backoffCap     = 3 * time.Second
	patience       = 5 * time.Second // a longer Retry-After is passed on instead of waited for
	breakerAfter   = 5               // failures in a row
	breakerPause   = 15 * time.Second
	callsAtOnce    = 32
	sendsAtOnce    = 16
	waitForAPermit = 5 * time.Second
)

// resilience keeps one sick account from hurting itself, us or other accounts. Short calls and
// chunks have their own places, so that uploads do not hold up browsing.
type resilience struct {
	breaker circuitbreaker.CircuitBreaker[answer]
	again   failsafe.Executor[answer] // idempotent calls
	once    failsafe.Executor[answer] // calls whose outcome must be looked up before a repeat
	send    failsafe.Executor[answer] // chunks
}

func newResilience() *resilience {
	failed := func(_ answer, err error) bool { return sick(err) }
	retry := retrypolicy.NewBuilder[answer]().
		HandleIf(func(a answer, err error) bool {
			var f *fault
			return sick(err) && (!errors.As(err, &f) || f.Retry <= patience)
		}).
		WithMaxAttempts(attempts).
		WithDelayFunc(func(e failsafe.ExecutionAttempt[answer]) time.Duration { return delay(e.Attempts(), e.LastError()) }).
		ReturnLastFailure().
		Build()
	breaker := circuitbreaker.NewBuilder[answer]().
		HandleIf(failed).
		WithFailureThreshold(breakerAfter).
		WithDelay(breakerPause).WithJitterFactor(0.3).
		WithSuccessThreshold(1).
		Build()
	calls := bulkhead.NewBuilder[answer](callsAtOnce).WithMaxWaitTime(waitForAPermit).Build()
	sends := bulkhead.NewBuilder[answer](sendsAtOnce).WithMaxWaitTime(callTimeout).Build()
	return &resilience{
		breaker: breaker,
		again:   failsafe.With[answer](retry, breaker, calls),
		once:    failsafe.With[answer](breaker, calls),
		send:    failsafe.With[answer](breaker, sends),
	}
}

// delay is full jitter: anything between nothing and the doubling cap, or what the server asked for.
func delay(attempt int, err error) time.Duration {
	var f *fault
	if errors.As(err, &f) && f.Retry > 0 {
		return f.Retry + rand.N(backoffBase)
	}
	return rand.N(min(backoffBase<<max(0, attempt-1), backoffCap)) + time.Millisecond
}

func (r *resilience) run(ctx context.Context, ex failsafe.Executor[answer], op string, fn func() (answer, error)) (answer, error) {
	a, err := ex.WithContext(ctx).Get(fn)
	switch {
	case errors.Is(err, circuitbreaker.ErrOpen):
		return a, &fault{Op: op, Kind: faultOpen, Retry: max(time.Second, r.breaker.RemainingDelay())}
	case errors.Is(err, bulkhead.ErrFull):
		return a, &fault{Op: op, Kind: faultCrowded, Retry: time.Second}
	}
	return a, err
}
