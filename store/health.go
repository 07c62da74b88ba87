package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type health struct{ rows[gateway.HealthChange] }

// Health gives the history of the connections' health.
func (t tables) Health() gateway.HealthTable {
	return health{newRows(t, func(x *gateway.HealthChange) *gateway.Row { return &x.Row })}
}

func (h health) Close(ctx context.Context, integrationID string, until time.Time) error {
	_, err := h.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return h.w.NewUpdate().Model((*gateway.HealthChange)(nil)).Set("until = ?", until).
			Where("integration_id = ?", integrationID).Where("until IS NULL").Exec(ctx)
	})
	return err
}

func (h health) Open(ctx context.Context, integrationID string) (gateway.HealthChange, error) {
	return h.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("integration_id = ?", integrationID).Where("until IS NULL").OrderExpr("since DESC, id DESC")
	})
}

func (h health) List(ctx context.Context, integrationID string, w gateway.Slice) ([]gateway.HealthChange, error) {
	out := []gateway.HealthChange{}
	q := h.r.NewSelect().Model(&out).Where("integration_id = ?", integrationID).OrderExpr("since DESC, id DESC").Limit(limit(w.Limit))
	if w.After != "" {
		q = q.Where("(since, id) < (SELECT since, id FROM health_changes WHERE id = ? AND integration_id = ?)", w.After, integrationID)
	}
	return out, translate(q.Scan(ctx))
}

func (h health) Trim(ctx context.Context, before time.Time) (int64, error) {
	return h.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return h.w.NewDelete().Model((*gateway.HealthChange)(nil)).Where("until < ?", before).Exec(ctx)
	})
}
