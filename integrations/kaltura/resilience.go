package kaltura

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

const (
	attempts     = 3
	backoffBase  = 200 * time.Millisecond
	backoffCap   = 3 * time.Second
	breakerAfter = 5 // failures in a row
	callsAtOnce  = 32
	sendsAtOnce  = 16
	quietMax     = 10 * time.Minute // a server may not silence us for longer
)

// timing is how long things may take. All follows from one number, the patience of a whole call, so
// that an operator has one thing to set.
type timing struct{ patience time.Duration }

// DefaultPatience is how long a call may take with all its repeats.
const DefaultPatience = 30 * time.Second

func (t timing) silence() time.Duration   { return t.patience / 2 } // without a byte of an answer
func (t timing) pause() time.Duration     { return t.patience / 2 } // of an open breaker
func (t timing) linger() time.Duration    { return t.patience / 6 } // what a caller waits for a place, or as asked to; longer is passed on
func (t timing) chunkIdle() time.Duration { return 2 * t.patience } // without a byte going out
func (t timing) finalWait() time.Duration { return 3 * t.patience } // Kaltura may think for 45 s about the last chunk
func (t timing) mint() time.Duration      { return t.patience * 4 / 3 }

// resilience keeps one sick account from hurting itself, us or other accounts. Short calls and
// chunks have their own places, so that uploads do not hold up browsing.
type resilience struct {
	timing
	breaker      circuitbreaker.CircuitBreaker[answer]
	calls, sends bulkhead.Bulkhead[answer]
	repeat       failsafe.Executor[answer]
	quiet        atomic.Pointer[quiet]
	last         atomic.Pointer[error] // what the breaker saw last
}

// quiet is what the server asked for with Retry-After.
type quiet struct {
	until time.Time
	cause *fault
}

func newResilience(t timing) *resilience {
	retry := retrypolicy.NewBuilder[answer]().
		HandleIf(func(_ answer, err error) bool {
			var f *fault
			return sick(err) && (!errors.As(err, &f) || f.Retry <= t.linger())
		}).
		WithMaxAttempts(attempts).
		WithDelayFunc(func(e failsafe.ExecutionAttempt[answer]) time.Duration { return delay(e.Attempts(), e.LastError()) }).
		ReturnLastFailure().
		Build()
	return &resilience{
		timing: t,
		breaker: circuitbreaker.NewBuilder[answer]().
			WithFailureThreshold(breakerAfter).
			WithDelay(t.pause()).WithJitterFactor(0.3).
			WithSuccessThreshold(1).
			Build(),
		calls:  bulkhead.NewBuilder[answer](callsAtOnce).Build(),
		sends:  bulkhead.NewBuilder[answer](sendsAtOnce).Build(),
		repeat: failsafe.With[answer](retry),
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

type attempt func(context.Context) (answer, error)

// again makes an idempotent call: repeated with jitter while the server is in trouble, all within
// the patience of one call.
func (r *resilience) again(ctx context.Context, op string, fn attempt) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	var got answer
	var err error
	a, rerr := r.repeat.WithContext(ctx).Get(func() (answer, error) {
		got, err = r.run(ctx, r.calls, r.linger(), op, fn)
		return got, err
	})
	if rerr != nil && err != nil && errors.Is(rerr, ctx.Err()) {
		return got, err // the time ended between two attempts: the last one says more
	}
	return a, rerr
}

// once makes a call whose outcome must be looked up before a repeat.
func (r *resilience) once(ctx context.Context, op string, fn attempt) (answer, error) {
	return r.run(ctx, r.calls, r.linger(), op, fn)
}

// send makes a call that carries a chunk.
func (r *resilience) send(ctx context.Context, op string, fn attempt) (answer, error) {
	return r.run(ctx, r.sends, r.patience, op, fn)
}

// run makes one attempt. Only what the server itself did counts for the breaker: neither a place
// that was not to be had nor a caller who went away says that it is well, or that it is not.
func (r *resilience) run(ctx context.Context, places bulkhead.Bulkhead[answer], wait time.Duration, op string, fn attempt) (answer, error) {
	if err := r.heed(ctx, op); err != nil {
		return answer{}, err
	}
	if left := r.breaker.RemainingDelay(); r.breaker.IsOpen() && left > 0 {
		return answer{}, r.open(op)
	}
	if err := places.AcquirePermitWithMaxWait(ctx, wait); err != nil {
		if errors.Is(err, bulkhead.ErrFull) {
			return answer{}, &fault{Op: op, Kind: faultCrowded, Retry: time.Second}
		}
		return answer{}, err
	}
	defer places.ReleasePermit()
	if !r.breaker.TryAcquirePermit() {
		return answer{}, r.open(op)
	}
	a, err := fn(ctx)
	switch {
	case sick(err) || wrong(err):
		r.note(err)
		r.breaker.RecordFailure()
	case err == nil || code(err) != "":
		r.breaker.RecordSuccess()
	case r.breaker.IsHalfOpen():
		r.breaker.RecordFailure() // a trial that nobody waited for gives its place back and proves nothing
	}
	return a, err
}

// open is the error of a call that was not made; it repeats what the server did last, so that the
// reason told to people does not change with the state of the breaker.
func (r *resilience) open(op string) error {
	f := &fault{Op: op, Kind: faultOpen, Retry: max(time.Second, r.breaker.RemainingDelay())}
	if last := r.last.Load(); last != nil {
		f.Err = *last
	}
	return f
}

// note remembers what went wrong and how long the server wants to be left alone.
func (r *resilience) note(err error) {
	r.last.Store(&err)
	var f *fault
	if errors.As(err, &f) && f.Retry > 0 && (f.Kind == faultBusy || f.Kind == faultStatus) {
		r.quiet.Store(&quiet{until: time.Now().Add(min(f.Retry, quietMax)), cause: f})
	}
}

// heed waits as long as the server asked to be left alone, or says that it takes longer.
func (r *resilience) heed(ctx context.Context, op string) error {
	q := r.quiet.Load()
	if q == nil {
		return nil
	}
	left := time.Until(q.until)
	switch {
	case left <= 0:
		return nil
	case left > r.linger():
		return &fault{Op: op, Kind: q.cause.Kind, Status: q.cause.Status, Retry: left}
	}
	return sleep(ctx, left+rand.N(backoffBase))
}

// back says that the server answers again: no need to wait out a pause.
func (r *resilience) back() {
	r.quiet.Store(nil)
	r.breaker.Close()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
