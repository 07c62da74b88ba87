package store

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"
)

// On SQLite nothing tells River of new tasks that were queued within a transaction of ours, so that it asks each
// queue again and again. Asking takes a write lock and most of what an idle server does; so a queue that was empty is
// asked only when a task was queued since then, or after unasked, for what was put off and became due.
const (
	pollSQLite = 100 * time.Millisecond // how often River wants to ask
	unasked    = 500 * time.Millisecond
)

// pollDriver is River's driver with fewer questions.
type pollDriver struct {
	*riversqlite.Driver
	queued *atomic.Uint64 // counts what this process queued
}

func newPollDriver(pool *sql.DB, queued *atomic.Uint64) *pollDriver {
	return &pollDriver{riversqlite.New(pool), queued}
}

func (d *pollDriver) GetExecutor() riverdriver.Executor {
	return &pollExecutor{Executor: d.Driver.GetExecutor(), queued: d.queued, empty: map[string]look{}}
}

type pollExecutor struct {
	riverdriver.Executor
	queued *atomic.Uint64
	mu     sync.Mutex
	empty  map[string]look // the last look at a queue, when it found nothing
}

type look struct {
	at     time.Time
	queued uint64
}

func (e *pollExecutor) JobGetAvailable(ctx context.Context, p *riverdriver.JobGetAvailableParams) ([]*rivertype.JobRow, error) {
	now := look{time.Now(), e.queued.Load()} // read before the question: what is queued meanwhile is asked for again
	e.mu.Lock()
	last, empty := e.empty[p.Queue]
	e.mu.Unlock()
	if empty && last.queued == now.queued && now.at.Sub(last.at) < unasked {
		return nil, nil
	}
	found, err := e.Executor.JobGetAvailable(ctx, p)
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.empty, p.Queue)
	if err == nil && len(found) == 0 {
		e.empty[p.Queue] = now
	}
	return found, err
}
