package store

import (
	"context"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type assets struct{ rows[gateway.Asset] }

// Assets gives the assets.
func (t tables) Assets() gateway.AssetTable {
	return assets{newRows(t, func(x *gateway.Asset) *gateway.Row { return &x.Row })}
}

func (a assets) SetProgress(ctx context.Context, id string, attempt int64, p float64) error {
	return a.progress(ctx, id, attempt, p)
}

func (a assets) All(ctx context.Context, w gateway.Slice) ([]gateway.Asset, error) {
	return a.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery { return q })
}

func (a assets) InStates(ctx context.Context, states []gateway.AssetState, w gateway.Slice) ([]gateway.Asset, error) {
	return a.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("state IN (?)", bun.List(states)) })
}

// progress notes how far an attempt is; an attempt that was superseded is told so.
func (r rows[T]) progress(ctx context.Context, id string, attempt int64, p float64) error {
	err := r.set(ctx, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("progress = ?", p).Where("id = ?", id).Where("attempt = ?", attempt)
	})
	if gateway.CodeOf(err) == gateway.NotFound {
		return changedMeanwhile()
	}
	return err
}
