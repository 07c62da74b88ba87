package store

import (
	"context"
	"encoding/json"

	"github.com/riverqueue/river"

	"isthmus/gateway"
)

// priorities puts the tasks after which something plays before those that only make it better.
// Kinds not named have River's default, 1, the most urgent.
var priorities = map[string]int{
	gateway.LadderAsset{}.Kind():       3,
	gateway.TrimAsset{}.Kind():         4,
	gateway.Sweep{}.Kind():             4,
	gateway.ProbeIntegrations{}.Kind(): 4,
}

// Enqueue queues a task in this transaction. River's own unique jobs would also refuse a task while
// its twin is running, and then lose the wake-up that came in the middle; ours looks only for a twin
// that has not been started.
func (tx *Tx) Enqueue(ctx context.Context, t gateway.Task, opts ...gateway.EnqueueOption) error {
	var o gateway.EnqueueOptions
	for _, f := range opts {
		f(&o)
	}
	args, err := json.Marshal(t)
	if err != nil {
		return gateway.AsError(err)
	}
	now := tx.db.clock()
	if o.At.Before(now) {
		o.At = now
	}
	queue := gateway.QueueOf(t.Kind())
	var waits bool
	if o.Pull {
		waits, err = tx.db.dialect.pull(ctx, tx.bun, t.Kind(), args, o.At, now)
	}
	if o.Idle && !waits && err == nil {
		waits, err = tx.db.dialect.unfinished(ctx, tx.bun, t.Kind(), args)
	}
	if !o.Pull && !o.Idle {
		waits, err = tx.db.dialect.waiting(ctx, tx.bun, t.Kind(), queue, args, o.At)
	}
	tx.AfterCommit(func() { tx.db.queued.Add(1) })
	if waits || err != nil {
		return translate(err)
	}
	in := &river.InsertOpts{Queue: queue, Priority: priorities[t.Kind()]}
	if o.At.After(now) {
		in.ScheduledAt = o.At
	}
	_, err = tx.db.queue.InsertTx(ctx, tx.bun.Tx, t, in)
	return translate(err)
}
