package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

var resultColumns = []string{"state", "reason", "failing_since", "last_at", "last_status", "last_text"}

type webhooks struct {
	rows[gateway.WebhookEndpoint]
}

// Webhooks gives the endpoints of webhooks.
func (t tables) Webhooks() gateway.WebhookTable {
	return webhooks{newRows(t, func(x *gateway.WebhookEndpoint) *gateway.Row { return &x.Row }, resultColumns...)}
}

func (w webhooks) List(ctx context.Context, s gateway.Scope, win gateway.Slice) ([]gateway.WebhookEndpoint, error) {
	return w.page(ctx, win, func(q *bun.SelectQuery) *bun.SelectQuery { return scoped(q, s) })
}

func (w webhooks) Enabled(ctx context.Context, hubID string) ([]gateway.WebhookEndpoint, error) {
	return w.page(ctx, gateway.Slice{}, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("hub_id = ?", hubID).Where("state = ?", gateway.WebhookEnabled)
	})
}

func (w webhooks) Lock(ctx context.Context, id string) (gateway.WebhookEndpoint, error) {
	return w.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery { return w.db.dialect.forUpdate(q.Where("id = ?", id)) })
}

func (w webhooks) SetResult(ctx context.Context, e *gateway.WebhookEndpoint) error {
	w.cutTimes(e)
	_, err := w.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return w.w.NewUpdate().Model(e).Column(resultColumns...).Where("id = ?", e.ID).Returning("NULL").Exec(ctx)
	})
	return err
}

type deliveries struct {
	rows[gateway.WebhookDelivery]
}

// Deliveries gives the log of webhooks.
func (t tables) Deliveries() gateway.DeliveryTable {
	return deliveries{newRows(t, func(x *gateway.WebhookDelivery) *gateway.Row { return &x.Row })}
}

func (d deliveries) List(ctx context.Context, endpointID string, w gateway.Slice) ([]gateway.WebhookDelivery, error) {
	return d.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("endpoint_id = ?", endpointID) })
}

func (d deliveries) OfEvents(ctx context.Context, endpointID string, eventIDs []string) ([]gateway.WebhookDelivery, error) {
	return d.page(ctx, gateway.Slice{}, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("endpoint_id = ?", endpointID).Where("event_id IN (?)", bun.List(eventIDs))
	})
}

func (d deliveries) Waiting(ctx context.Context, endpointID string) ([]gateway.WebhookDelivery, error) {
	return d.page(ctx, gateway.Slice{}, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("endpoint_id = ?", endpointID).Where("state = ?", gateway.DeliveryPending)
	})
}

func (d deliveries) Unfinished(ctx context.Context, w gateway.Slice) ([]gateway.WebhookDelivery, error) {
	return d.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("state = ?", gateway.DeliveryPending) })
}

func (d deliveries) Trim(ctx context.Context, before time.Time) (int64, error) {
	return d.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return d.w.NewDelete().Model((*gateway.WebhookDelivery)(nil)).Where("created_at < ?", before).Exec(ctx)
	})
}
