package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
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
		x.UpdatedAt = u.db.clock() // other replicas see that it goes on
		return u.w.NewUpdate().Model(&x).Column("relay_handle", "relay_sent", "updated_at").Where("id = ?", id).Returning("NULL").Exec(ctx)
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
	err := u.r.NewSelect().Model(&out).Where("state IN (?)", bun.List([]gateway.UploadState{gateway.UploadReceiving, gateway.UploadHeld})).Where("expires_at < ?", now).
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

func (u uploads) InsertAll(ctx context.Context, all []gateway.Upload) error {
	if u.tx == nil && len(all) > 0 {
		return u.db.Tx(ctx, func(tx gateway.Tx) error { return tx.Uploads().InsertAll(ctx, all) })
	}
	now := u.db.clock()
	for len(all) > 0 {
		n, size := 0, 0
		for n < len(all) && size < insertAtOnce {
			x := &all[n]
			x.Version, x.CreatedAt, x.UpdatedAt = 1, now, now
			u.cutTimes(x)
			size += 1000 + len(x.Name) + len(x.Title) + len(x.Description) + 100*len(x.Tags)
			n++
		}
		part := all[:n]
		all = all[n:]
		done, err := u.change(ctx, func(ctx context.Context) (sql.Result, error) {
			return u.w.NewInsert().Model(&part).On("CONFLICT DO NOTHING").Returning("NULL").Exec(ctx)
		})
		if err == nil && done != int64(n) {
			err = alreadyExists()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// insertAtOnce is about how long one statement may get; SQLite takes a million bytes.
const insertAtOnce = 256 << 10

func (u uploads) Named(ctx context.Context, s gateway.Scope, ids []string) ([]gateway.Upload, error) {
	out := []gateway.Upload{}
	if len(ids) == 0 {
		return out, nil
	}
	return out, translate(scoped(u.r.NewSelect().Model(&out), s).Where("id IN (?)", bun.List(ids)).Scan(ctx))
}

func (u uploads) OfTransfer(ctx context.Context, transferID string, states []gateway.UploadState, after string, n int) ([]gateway.Upload, error) {
	out := []gateway.Upload{}
	q := u.r.NewSelect().Model(&out).Where("transfer_id = ?", transferID).Where("id > ?", after).OrderExpr("id")
	if len(states) > 0 {
		q = q.Where("state IN (?)", bun.List(states))
	}
	if n > 0 {
		q = q.Limit(limit(n))
	}
	return out, translate(q.Scan(ctx))
}

func (u uploads) SetTransfer(ctx context.Context, ids []string, transferID string) (int64, error) {
	return u.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return u.w.NewUpdate().Model((*gateway.Upload)(nil)).Set("transfer_id = ?", transferID).
			Set("version = version + 1").Set("updated_at = ?", u.db.clock()).
			Where("id IN (?)", bun.List(ids)).Where("state = ?", gateway.UploadReceiving).Exec(ctx)
	})
}

func (u uploads) CancelUnbegun(ctx context.Context, transferID string) ([]string, error) {
	var ids []string
	_, err := u.change(ctx, func(ctx context.Context) (sql.Result, error) {
		err := u.w.NewUpdate().Model((*gateway.Upload)(nil)).Set("state = ?", gateway.UploadCancelled).
			Set("version = version + 1").Set("updated_at = ?", u.db.clock()).
			Where("transfer_id = ?", transferID).Where("state = ?", gateway.UploadReceiving).
			Where("received = 0").Where("relay_handle = ''").Where("drop_file_id = ''").Returning("id").Scan(ctx, &ids)
		return driver.RowsAffected(len(ids)), err
	})
	return ids, err
}
