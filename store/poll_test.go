package store

import (
	"context"
	"errors"
	"testing"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"

	"isthmus/gateway"
)

// asked counts what reaches River's own executor.
type asked struct {
	riverdriver.Executor
	times int
	fails error
}

func (a *asked) JobGetAvailable(ctx context.Context, p *riverdriver.JobGetAvailableParams) ([]*rivertype.JobRow, error) {
	a.times++
	if a.fails != nil {
		return nil, a.fails
	}
	return a.Executor.JobGetAvailable(ctx, p)
}

// An empty queue is asked again once a task was queued and committed, and not before, unless the question failed.
func TestEmptyQueuesAreNotAskedInVain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := Open(ctx, Options{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	e := newPollDriver(db.write.DB, &db.queued).GetExecutor().(*pollExecutor)
	real := &asked{Executor: e.Executor}
	e.Executor = real
	want := func(what string, queue string, times, jobs int) {
		t.Helper()
		found, _ := e.JobGetAvailable(ctx, &riverdriver.JobGetAvailableParams{ClientID: "test", MaxToLock: 10, MaxAttemptedBy: 10, Queue: queue})
		if real.times != times || len(found) != jobs {
			t.Errorf("%s: asked %d times, want %d; %d jobs, want %d", what, real.times, times, len(found), jobs)
		}
	}
	stale := func() { // as if a minute had passed
		for q, l := range e.empty {
			l.at = l.at.Add(-unasked)
			e.empty[q] = l
		}
	}
	task := gateway.Sweep{}
	queue := gateway.QueueOf(task.Kind())
	want("the first question", queue, 1, 0)
	want("an empty queue", queue, 1, 0)
	want("another queue", gateway.QueueMedia, 2, 0)
	undone := errors.New("undone")
	if err := db.Tx(ctx, func(tx gateway.Tx) error { return errors.Join(tx.Enqueue(ctx, task), undone) }); !errors.Is(err, undone) {
		t.Fatal(err)
	}
	want("after a rollback", queue, 2, 0)
	if err := db.Tx(ctx, func(tx gateway.Tx) error { return tx.Enqueue(ctx, task) }); err != nil {
		t.Fatal(err)
	}
	want("after a commit", queue, 3, 1)
	want("after a find", queue, 4, 0)
	stale()
	want("after a while", queue, 5, 0)
	stale()
	real.fails = undone
	want("a question that fails", queue, 6, 0)
	real.fails = nil
	want("after a failure", queue, 7, 0)
}
