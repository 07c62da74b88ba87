package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type upkeeps struct{ rows[gateway.Upkeep] }

// Upkeeps gives what keeping connections alive has to remember.
func (t tables) Upkeeps() gateway.UpkeepTable {
	return upkeeps{newRows(t, func(x *gateway.Upkeep) *gateway.Row { return &x.Row }, "hook_at")}
}

func (u upkeeps) SetHookAt(ctx context.Context, id string, at time.Time) error {
	return u.set(ctx, func(q *bun.UpdateQuery) *bun.UpdateQuery { return q.Set("hook_at = ?", at).Where("id = ?", id) })
}

type spherical struct {
	rows[gateway.SphericalCandidate]
}

// Spherical gives the entries that look spherical.
func (t tables) Spherical() gateway.SphericalTable {
	return spherical{newRows(t, func(x *gateway.SphericalCandidate) *gateway.Row { return &x.Row })}
}

func (s spherical) ByEntry(ctx context.Context, integrationID, entryID string) (gateway.SphericalCandidate, error) {
	return s.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("integration_id = ?", integrationID).Where("entry_id = ?", entryID)
	})
}

func (s spherical) List(ctx context.Context, integrationID string, f gateway.CandidateFilter, w gateway.Slice) ([]gateway.SphericalCandidate, error) {
	return s.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery {
		q = q.Where("integration_id = ?", integrationID)
		if f.OwnerID != "" {
			q = q.Where("owner_id = ?", f.OwnerID)
		}
		if f.CategoryID != 0 {
			q = q.Where("category_id = ?", f.CategoryID)
		}
		if f.JobID != "" {
			q = q.Where("job_id = ?", f.JobID)
		}
		if len(f.States) > 0 {
			q = q.Where("state IN (?)", bun.List(f.States))
		}
		return q
	})
}

// sources gives the distinct entries of a table's ready rows, by id.
func (r rows[T]) sources(ctx context.Context, integrationID, after, ready string, n int) ([]string, error) {
	out := []string{}
	err := r.r.NewSelect().Model((*T)(nil)).Distinct().Column("entry_id").
		Where("integration_id = ?", integrationID).Where("state = ?", ready).Where("entry_id > ?", after).Where("entry_id <> ''").
		OrderExpr("entry_id").Limit(limit(n)).Scan(ctx, &out)
	return out, translate(err)
}
