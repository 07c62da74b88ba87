package store

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type integrations struct{ rows[gateway.Integration] }

// Integrations gives the integrations.
func (t tables) Integrations() gateway.IntegrationTable {
	return integrations{newRows(t, func(x *gateway.Integration) *gateway.Row { return &x.Row }, healthColumns...)}
}

func (i integrations) ByHub(ctx context.Context, hubID, platform string) (gateway.Integration, error) {
	return i.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("hub_id = ?", hubID).Where("platform = ?", platform)
	})
}

func (i integrations) All(ctx context.Context, w gateway.Slice) ([]gateway.Integration, error) {
	return i.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery { return q })
}

var healthColumns = []string{"health", "health_text", "health_at", "health_since", "last_ok_at", "next_try_at"}

func (i integrations) SetHealth(ctx context.Context, in *gateway.Integration) error {
	i.cutTimes(in)
	n, err := i.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return i.w.NewUpdate().Model(in).Column(healthColumns...).Where("id = ?", in.ID).Returning("NULL").Exec(ctx)
	})
	if err == nil && n == 0 {
		err = notFound()
	}
	return err
}

func (i integrations) Lock(ctx context.Context, id string) (gateway.Integration, error) {
	return i.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery { return i.db.dialect.forUpdate(q.Where("id = ?", id)) })
}

func (i integrations) Waiting(ctx context.Context, id string) (gateway.Waiting, error) {
	count := func(model any, states any) (int, error) {
		n, err := i.r.NewSelect().Model(model).Where("integration_id = ?", id).Where("error_code <> ''").Where("state IN (?)", states).Count(ctx)
		return int(n), translate(err)
	}
	var w gateway.Waiting
	var err error
	if w.Uploads, err = count((*gateway.Upload)(nil), bun.List([]gateway.UploadState{gateway.UploadIngesting, gateway.UploadProcessing})); err != nil {
		return w, err
	}
	w.Imports, err = count((*gateway.LibraryItem)(nil), bun.List([]gateway.ItemState{gateway.ItemPending, gateway.ItemImporting}))
	return w, err
}

func (i integrations) SetDiagnosis(ctx context.Context, id string, d gateway.Diagnosis) error {
	n, err := i.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return i.w.NewUpdate().Model(&gateway.Integration{Diagnosis: d}).Column("diagnosis").Where("id = ?", id).Returning("NULL").Exec(ctx)
	})
	if err == nil && n == 0 {
		err = notFound()
	}
	return err
}

func (i integrations) Uses(ctx context.Context, id string) (gateway.Impact, error) {
	var n gateway.Impact
	for _, c := range []struct {
		model any
		into  *int
		where func(*bun.SelectQuery) *bun.SelectQuery
	}{
		{(*gateway.LibraryItem)(nil), &n.Links, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("kind = ?", gateway.ItemLink) }},
		{(*gateway.Upload)(nil), &n.Uploads, func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("state IN (?)", bun.List([]gateway.UploadState{gateway.UploadReceiving, gateway.UploadIngesting, gateway.UploadProcessing}))
		}},
		{(*gateway.Mapping)(nil), &n.Mappings, func(q *bun.SelectQuery) *bun.SelectQuery { return q }},
	} {
		count, err := c.where(i.r.NewSelect().Model(c.model).Where("integration_id = ?", id)).Count(ctx)
		if err != nil {
			return gateway.Impact{}, translate(err)
		}
		*c.into = int(count)
	}
	return n, nil
}

// Invites gives the invites.
func (t tables) Invites() gateway.ExpiringRows[gateway.Invite] {
	return expiring[gateway.Invite]{newRows(t, func(x *gateway.Invite) *gateway.Row { return &x.Row })}
}
