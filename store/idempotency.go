package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type idempotencyKeys struct {
	expiring[gateway.IdempotencyKey]
}

// IdempotencyKeys gives the requests with an Idempotency-Key.
func (t tables) IdempotencyKeys() gateway.IdempotencyTable {
	return idempotencyKeys{expiring[gateway.IdempotencyKey]{newRows(t, func(x *gateway.IdempotencyKey) *gateway.Row { return &x.Row }, "busy_until")}}
}

// Update writes busy_until as well: whoever takes a key over begins a new time. Only Prolong leaves
// the version alone, so that it does not get in the way of the request.
func (k idempotencyKeys) Update(ctx context.Context, row *gateway.IdempotencyKey) error {
	return newRows(tables{k.handles}, k.base).Update(ctx, row)
}

func (k idempotencyKeys) Prolong(ctx context.Context, id, owner string, until time.Time) error {
	return k.set(ctx, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("busy_until = ?", until).Where("id = ?", id).Where("owner = ?", owner)
	})
}

func (k idempotencyKeys) Release(ctx context.Context, id, owner string) error {
	_, err := k.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return k.w.NewDelete().Model((*gateway.IdempotencyKey)(nil)).Where("id = ?", id).Where("owner = ?", owner).Exec(ctx)
	})
	return err
}
