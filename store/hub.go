package store

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type hubs struct{ rows[gateway.Hub] }

// Hubs gives the hubs.
func (t tables) Hubs() gateway.HubTable {
	return hubs{newRows(t, func(x *gateway.Hub) *gateway.Row { return &x.Row })}
}

func (h hubs) Insert(ctx context.Context, x *gateway.Hub) error {
	x.HubID = x.ID
	if h.tx == nil {
		return h.db.Tx(ctx, func(tx gateway.Tx) error { return tx.Hubs().Insert(ctx, x) })
	}
	if err := h.rows.Insert(ctx, x); err != nil {
		return err
	}
	return h.tx.newHead(ctx, x.ID) // of its audit log
}

// Delete deletes the hub's OAuth clients as well: there are such without a hub, so the database does not.
func (h hubs) Delete(ctx context.Context, s gateway.Scope, id string) error {
	if h.tx == nil {
		return h.db.Tx(ctx, func(tx gateway.Tx) error { return tx.Hubs().Delete(ctx, s, id) })
	}
	if _, err := h.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return scoped(h.w.NewDelete().Model((*gateway.Client)(nil)).Where("hub_id = ?", id), s).Exec(ctx)
	}); err != nil {
		return err
	}
	return h.rows.Delete(ctx, s, id)
}

func (h hubs) ByExternal(ctx context.Context, issuer, externalID string) (gateway.Hub, error) {
	return h.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("issuer = ?", issuer).Where("external_id = ?", externalID)
	})
}

func (h hubs) ReserveUpload(ctx context.Context, hubID string) (int64, error) {
	if h.tx == nil {
		return 0, gateway.E(gateway.Internal, "", "A reservation needs a transaction.")
	}
	if _, err := h.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return h.db.dialect.forUpdate(q.Where("id = ?", hubID))
	}); err != nil {
		return 0, err
	}
	return h.Reserved(ctx, hubID)
}

func (h hubs) Reserved(ctx context.Context, hubID string) (int64, error) {
	var sum int64
	err := h.r.NewSelect().Model((*gateway.Upload)(nil)).ColumnExpr("coalesce(sum(size), 0)").
		Where("hub_id = ?", hubID).
		Where("state IN (?)", bun.List([]gateway.UploadState{gateway.UploadReceiving, gateway.UploadHeld, gateway.UploadIngesting, gateway.UploadProcessing})).
		Scan(ctx, &sum)
	return sum, translate(err)
}

type participants struct{ rows[gateway.Participant] }

// Participants gives the participants.
func (t tables) Participants() gateway.ParticipantTable {
	return participants{newRows(t, func(x *gateway.Participant) *gateway.Row { return &x.Row })}
}

func (p participants) BySubject(ctx context.Context, s gateway.Scope, issuer, subject string) ([]gateway.Participant, error) {
	return p.page(ctx, gateway.Slice{}, func(q *bun.SelectQuery) *bun.SelectQuery {
		return scoped(q, s).Where("issuer = ?", issuer).Where("subject = ?", subject)
	})
}

func (p participants) List(ctx context.Context, s gateway.Scope, w gateway.Slice) ([]gateway.Participant, error) {
	return p.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery { return scoped(q, s) })
}
