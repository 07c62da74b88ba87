package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type uploads struct{ rows[gateway.Upload] }

// Uploads gives the uploads.
func (t tables) Uploads() gateway.UploadTable {
	return uploads{newRows(t, func(x *gateway.Upload) *gateway.Row { return &x.Row }, "received", "relay_handle", "relay_sent", "last_try_at", "next_try_at")}
}

func (u uploads) List(ctx context.Context, s gateway.Scope, participantID, clientID string, states []gateway.UploadState, w gateway.Slice) ([]gateway.Upload, error) {
	return u.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery {
		q = scoped(q, s)
		if participantID != "" || clientID != "" {
			q = q.Where("participant_id = ?", participantID).Where("client_id = ?", clientID)
		}
		if len(states) > 0 {
			q = q.Where("state IN (?)", bun.List(states))
		}
		return q
	})
}

func (u uploads) SetReceived(ctx context.Context, id string, received int64) error {
	return u.set(ctx, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("received = ?", received).Where("id = ?", id)
	})
}

func (u uploads) SetRelay(ctx context.Context, id, handle string, sent gateway.Ranges) error {
	n, err := u.change(ctx, func(ctx context.Context) (sql.Result, error) {
		x := gateway.Upload{RelayHandle: handle, RelaySent: sent}
		return u.w.NewUpdate().Model(&x).Column("relay_handle", "relay_sent").Where("id = ?", id).Returning("NULL").Exec(ctx)
	})
	if err == nil && n == 0 {
		err = notFound()
	}
	return err
}

func (u uploads) SetTries(ctx context.Context, id string, last, next time.Time) error {
	return u.set(ctx, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("last_try_at = ?", last).Set("next_try_at = ?", next).Where("id = ?", id)
	})
}

func (u uploads) Expired(ctx context.Context, now time.Time, n int) ([]gateway.Upload, error) {
	out := []gateway.Upload{}
	err := u.r.NewSelect().Model(&out).Where("state = ?", gateway.UploadReceiving).Where("expires_at < ?", now).
		OrderExpr("expires_at, id").Limit(limit(n)).Scan(ctx)
	return out, translate(err)
}

func (u uploads) InReplica(ctx context.Context, replica string) ([]gateway.Upload, error) {
	out := []gateway.Upload{}
	err := u.r.NewSelect().Model(&out).Where("replica = ?", replica).
		Where("state IN (?)", bun.List([]gateway.UploadState{gateway.UploadReceiving, gateway.UploadIngesting})).
		OrderExpr("id").Scan(ctx)
	return out, translate(err)
}

func (u uploads) Sources(ctx context.Context, integrationID, after string, n int) ([]string, error) {
	return u.sources(ctx, integrationID, after, string(gateway.UploadReady), n)
}

func (u uploads) OfEntries(ctx context.Context, integrationID string, entryIDs []string, w gateway.Slice) ([]gateway.Upload, error) {
	if len(entryIDs) == 0 {
		return nil, nil
	}
	return u.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("integration_id = ?", integrationID).Where("entry_id IN (?)", bun.List(entryIDs))
	})
}
