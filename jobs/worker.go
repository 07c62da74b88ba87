package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/riverqueue/river"

	"isthmus/gateway"
)

// maxPause is the longest wait between two tries. With River's 25 tries a task is given up after
// about three hours; waiting for a platform is a snooze and has no such limit.
const maxPause = 10 * time.Minute

// worker works one kind of task.
type worker[T gateway.Task] struct {
	river.WorkerDefaults[T]
	run func(context.Context, T) error
	// giveUp marks the row failed when the task will not be tried again; nil when there is no row.
	// It does nothing when the service has done so already.
	giveUp func(context.Context, T, error) error
	// stubborn tasks have no row to mark and something waits for them: they are tried for ever.
	stubborn bool
	// timeout is an upper bound; the services set one by the size of the file.
	timeout time.Duration
}

// Timeout tells River.
func (w *worker[T]) Timeout(*river.Job[T]) time.Duration { return w.timeout }

// NextRetry doubles the pause from a second on, with jitter.
func (w *worker[T]) NextRetry(job *river.Job[T]) time.Time {
	d := min(time.Second<<min(job.Attempt, 10), maxPause)
	return time.Now().Add(d/2 + rand.N(d/2))
}

// Work runs the task and tells River what becomes of it.
func (w *worker[T]) Work(ctx context.Context, job *river.Job[T]) error {
	last := job.Attempt >= job.MaxAttempts
	defer func() {
		if p := recover(); p != nil {
			if last && w.giveUp != nil {
				_ = w.giveUp(context.WithoutCancel(ctx), job.Args, fmt.Errorf("panic: %v", p))
			}
			panic(p) // River writes it down and tries again
		}
	}()
	err := w.run(ctx, job.Args)
	var z *gateway.Snooze
	switch {
	case err == nil:
		return nil
	case errors.As(err, &z):
		return river.JobSnooze(z.After)
	case errors.Is(ctx.Err(), context.Canceled):
		return err // the process stops; the runner queues the task again
	case !last && !final(err):
		return err
	}
	var gerr error
	if w.giveUp != nil {
		gerr = w.giveUp(context.WithoutCancel(ctx), job.Args, err)
	}
	switch {
	case gerr == nil && !w.stubborn:
		return river.JobCancel(err)
	case !last:
		return errors.Join(err, gerr) // the row would look busy for ever: try again
	}
	slog.WarnContext(ctx, "task goes on although it failed too often", "kind", job.Kind, "error", errors.Join(err, gerr))
	return river.JobSnooze(maxPause)
}

// final tells whether trying again is of no use.
func final(err error) bool {
	switch gateway.CodeOf(err) {
	case gateway.Invalid, gateway.NotFound, gateway.Forbidden, gateway.TooLarge:
		return true
	}
	return false
}
