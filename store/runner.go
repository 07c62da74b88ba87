package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"isthmus/gateway"
)

const (
	heartbeat    = 5 * time.Second
	silence      = 20 // seconds without a heartbeat after which a process is dead
	jobTimeout   = 6 * time.Hour
	stopPatience = 3 * time.Second
)

// JobsOptions say how tasks are worked.
type JobsOptions struct {
	Queues   map[string]int         // workers per queue; missing ones get 8 (default), 1 (media), 1 (ladder), 32 (watch), 64 (platform)
	Timeout  time.Duration          // of tasks whose worker names none; default 6 h
	Patience time.Duration          // how long Stop lets running tasks end before it cancels them; default 3 s
	Periodic []*river.PeriodicJob   // schedule; one process at a time follows it
	OnError  river.ErrorHandler     // hears of errors and panics; may be nil
	Hooks    []rivertype.Hook       // for metrics; may be nil
	Wrap     []rivertype.Middleware // around every task; may be nil
}

// worker is what both kinds of River client can do.
type worker interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
}

// JobRunner works queued tasks in this process.
type JobRunner struct {
	db       *DB
	id       string
	client   worker
	release  func()
	patience time.Duration
	stopping atomic.Bool
	cancel   context.CancelFunc
	beats    sync.WaitGroup
}

// Runner makes the runner for the given workers. Nothing runs before Start.
func (db *DB) Runner(workers *river.Workers, o JobsOptions) (*JobRunner, error) {
	r := &JobRunner{db: db, id: db.replica + "/" + strconv.FormatUint(rand.Uint64(), 36), patience: o.Patience}
	if r.patience == 0 {
		r.patience = stopPatience
	}
	if o.Timeout == 0 {
		o.Timeout = jobTimeout
	}
	queues := map[string]river.QueueConfig{}
	for name, n := range map[string]int{gateway.QueueDefault: 8, gateway.QueueMedia: 1, gateway.QueueLadder: 1, gateway.QueueWatch: 32, gateway.QueuePlatform: 64, gateway.QueueWebhook: 16, gateway.QueueDrop: 8} {
		queues[name] = river.QueueConfig{MaxWorkers: n}
	}
	for name, n := range o.Queues {
		queues[name] = river.QueueConfig{MaxWorkers: n}
	}
	cfg := &river.Config{
		ID: r.id, Logger: slog.New(warnings{db.log.Handler()}), Workers: workers, Queues: queues, PeriodicJobs: o.Periodic,
		ErrorHandler: o.OnError, Hooks: o.Hooks,
		Middleware: append([]rivertype.Middleware{river.WorkerMiddlewareFunc(r.untilStopped)}, o.Wrap...),
		JobTimeout: o.Timeout,
		// For a process that died see rescue; this is for a task that hangs past its timeout.
		RescueStuckJobsAfter: o.Timeout + time.Hour,
	}
	var err error
	if r.client, r.release, err = db.client(context.Background(), cfg); err != nil {
		var known *gateway.Error
		if errors.As(err, &known) {
			return nil, err
		}
		return nil, fmt.Errorf("store: river: %w", err)
	}
	return r, nil
}

// Start takes up what dead processes left behind and begins to work. It returns at once; tasks run
// until Stop, whatever becomes of ctx.
func (r *JobRunner) Start(ctx context.Context) error {
	if err := r.rescue(ctx); err != nil {
		return err
	}
	ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if r.db.dialect.shared() {
		r.beats.Go(func() { r.beat(ctx) })
	}
	if err := r.client.Start(ctx); err != nil {
		return fmt.Errorf("store: river: %w", err)
	}
	return nil
}

// Stop takes no more tasks, waits a little for the running ones, then cancels them: they are queued
// again without having used an attempt. ctx limits the whole.
func (r *JobRunner) Stop(ctx context.Context) error {
	r.stopping.Store(true)
	soft, cancel := context.WithTimeout(ctx, r.patience)
	err := r.client.Stop(soft)
	cancel()
	if err != nil {
		err = r.client.StopAndCancel(ctx)
	}
	if r.cancel != nil {
		r.cancel()
	}
	r.beats.Wait()
	if err == nil { // else others must wait until this process is silent: something still runs
		_, err = r.db.change(ctx, func(ctx context.Context) (sql.Result, error) {
			return r.db.write.NewDelete().Table("replicas").Where("id = ?", r.id).Exec(ctx)
		})
	}
	r.release()
	return err
}

// untilStopped turns the error of a task that was cancelled by Stop into a snooze.
func (r *JobRunner) untilStopped(ctx context.Context, _ *rivertype.JobRow, work func(context.Context) error) error {
	err := work(ctx)
	if err != nil && ctx.Err() != nil && r.stopping.Load() {
		return river.JobSnooze(0)
	}
	return err
}

func (r *JobRunner) beat(ctx context.Context) {
	for {
		select {
		case <-time.After(heartbeat):
		case <-ctx.Done():
			return
		}
		if err := r.rescue(ctx); err != nil && ctx.Err() == nil {
			r.db.log.WarnContext(ctx, "heartbeat failed", slog.Any("error", err))
		}
	}
}

// rescue says that this process lives and queues again what silent processes were working on, so
// that a kill costs seconds; River alone would wait for the longest timeout of all.
func (r *JobRunner) rescue(ctx context.Context) error {
	return r.db.Tx(ctx, func(t gateway.Tx) error {
		tx, d := t.(*Tx).bun, r.db.dialect
		if _, err := tx.NewRaw("INSERT INTO replicas (id, seen_at) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at", r.id, d.now()).Exec(ctx); err != nil {
			return err
		}
		if d.shared() {
			if _, err := tx.NewDelete().Table("replicas").Where("seen_at < ?", d.secondsAgo(silence)).Exec(ctx); err != nil {
				return err
			}
		}
		if _, err := tx.NewDelete().Table("river_leader").Where("leader_id NOT IN (SELECT id FROM replicas)").Exec(ctx); err != nil {
			return err
		}
		res, err := d.requeue(ctx, tx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err == nil && n > 0 {
			r.db.log.InfoContext(ctx, "queued again what a dead process was working on", slog.Int64("tasks", n))
		}
		return nil
	})
}

// forgetSelf forgets earlier runs of this process. It holds the data folder's lock, so they are
// dead; on SQLite every other is, too.
func (db *DB) forgetSelf(ctx context.Context) error {
	_, err := db.change(ctx, func(ctx context.Context) (sql.Result, error) {
		q := db.write.NewDelete().Table("replicas").Where("substr(id, 1, ?) = ?", len(db.replica)+1, db.replica+"/")
		if !db.dialect.shared() {
			q = q.WhereOr("TRUE")
		}
		return q.Exec(ctx)
	})
	return err
}

type replicas struct{ handles }

// Replicas tells which processes share the database.
func (t tables) Replicas() gateway.ReplicaTable { return replicas(t) }

func (r replicas) Alive(ctx context.Context, replica string) (bool, error) {
	d := r.db.dialect
	q := r.r.NewSelect().Table("replicas").Where("substr(id, 1, ?) = ?", utf8.RuneCountInString(replica)+1, replica+"/")
	if d.shared() { // else no heart beats: what was not cleared at the start lives
		q = q.Where("seen_at >= ?", d.secondsAgo(silence))
	}
	yes, err := q.Exists(ctx)
	return yes, translate(err)
}

// warnings keeps River's routine remarks out of the log.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

func (w warnings) WithAttrs(a []slog.Attr) slog.Handler { return warnings{w.Handler.WithAttrs(a)} }

func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
