package store

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

// patience is how long a write outside a transaction waits for the one writer of SQLite. It is
// reached only when somebody uses the DB inside a transaction instead of the Tx.
const patience = 30 * time.Second

// rows implements gateway.Rows for every noun.
type rows[T any] struct {
	handles
	base func(*T) *gateway.Row
	own  []string // columns with a setter of their own, which Update leaves alone
}

func newRows[T any](t tables, base func(*T) *gateway.Row, own ...string) rows[T] {
	return rows[T]{handles: t.handles, base: base, own: own}
}

// scoped limits a query to a hub.
func scoped[Q interface{ Where(string, ...any) Q }](q Q, s gateway.Scope) Q {
	if s == gateway.AnyHub {
		return q
	}
	return q.Where("hub_id = ?", string(s))
}

func (r rows[T]) Get(ctx context.Context, s gateway.Scope, id string) (T, error) {
	return r.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery { return scoped(q.Where("id = ?", id), s) })
}

func (r rows[T]) one(ctx context.Context, where func(*bun.SelectQuery) *bun.SelectQuery) (T, error) {
	var row, zero T
	if err := where(r.r.NewSelect().Model(&row)).Limit(1).Scan(ctx); err != nil {
		return zero, translate(err)
	}
	return row, nil
}

// page gives a window of a listing, newest first.
func (r rows[T]) page(ctx context.Context, w gateway.Slice, where func(*bun.SelectQuery) *bun.SelectQuery) ([]T, error) {
	out := []T{}
	q := where(r.r.NewSelect().Model(&out)).OrderExpr("id DESC").Limit(limit(w.Limit))
	if w.After != "" {
		q = q.Where("id < ?", w.After)
	}
	return out, translate(q.Scan(ctx))
}

func limit(n int) int64 {
	if n <= 0 || n > 500 {
		return 500
	}
	return int64(n)
}

func (r rows[T]) Insert(ctx context.Context, row *T) error {
	b := r.base(row)
	if b.ID == "" {
		return gateway.E(gateway.Internal, "", "A row without an id was inserted.")
	}
	before := *b
	now := r.db.clock()
	b.Version, b.CreatedAt, b.UpdatedAt = 1, now, now
	r.cutTimes(row)
	// DO NOTHING instead of an error: on Postgres an error would spoil the whole transaction.
	n, err := r.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return r.w.NewInsert().Model(row).On("CONFLICT DO NOTHING").Returning("NULL").Exec(ctx)
	})
	if err == nil && n == 0 {
		err = alreadyExists()
	}
	if err != nil {
		*b = before
	}
	return err
}

func (r rows[T]) Update(ctx context.Context, row *T) error {
	b := r.base(row)
	before := *b
	b.Version, b.UpdatedAt = b.Version+1, r.db.clock()
	r.cutTimes(row)
	n, err := r.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return r.w.NewUpdate().Model(row).
			ExcludeColumn(append(slices.Clone(r.own), "id", "hub_id", "created_at")...).
			Where("id = ?", b.ID).Where("hub_id = ?", b.HubID).Where("version = ?", before.Version).
			Returning("NULL").Exec(ctx)
	})
	if err == nil && n == 0 {
		err = changedMeanwhile()
	}
	if err != nil {
		*b = before
	}
	return err
}

func (r rows[T]) Delete(ctx context.Context, s gateway.Scope, id string) error {
	_, err := r.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return scoped(r.w.NewDelete().Model((*T)(nil)).Where("id = ?", id), s).Exec(ctx)
	})
	return err
}

// set changes some columns whatever the version; NotFound when no row matched.
func (r rows[T]) set(ctx context.Context, f func(*bun.UpdateQuery) *bun.UpdateQuery) error {
	n, err := r.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return f(r.w.NewUpdate().Model((*T)(nil)).Set("updated_at = ?", r.db.clock())).Exec(ctx)
	})
	if err == nil && n == 0 {
		err = notFound()
	}
	return err
}

// expiring adds DeleteExpired to rows that have an expires_at.
type expiring[T any] struct{ rows[T] }

func (r expiring[T]) DeleteExpired(ctx context.Context, now time.Time) (int64, error) {
	return r.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return r.w.NewDelete().Model((*T)(nil)).Where("expires_at < ?", now).Exec(ctx)
	})
}

// change runs one writing statement, translates its error and counts the rows.
func (t handles) change(ctx context.Context, f func(context.Context) (sql.Result, error)) (int64, error) {
	inner := ctx
	if t.tx == nil {
		var cancel context.CancelFunc
		inner, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	res, err := f(inner)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return 0, unavailable("database_busy", err)
		}
		return 0, translate(err)
	}
	n, err := res.RowsAffected()
	return n, translate(err)
}

var timeType = reflect.TypeFor[time.Time]()

// cutTimes makes all times of a row what the database will give back: UTC, whole microseconds.
func (t handles) cutTimes(row any) {
	v := reflect.ValueOf(row).Elem()
	for _, f := range t.db.write.Table(v.Type()).Fields {
		if f.IndirectType != timeType {
			continue
		}
		fv := f.Value(v)
		if fv.Kind() == reflect.Pointer {
			if fv.IsNil() {
				continue
			}
			cut := fv.Elem().Interface().(time.Time).UTC().Truncate(time.Microsecond)
			fv.Set(reflect.ValueOf(&cut)) // a new one: the caller's time may be used elsewhere
			continue
		}
		fv.Set(reflect.ValueOf(fv.Interface().(time.Time).UTC().Truncate(time.Microsecond)))
	}
}
