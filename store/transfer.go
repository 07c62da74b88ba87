package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type transfers struct{ rows[gateway.Transfer] }

// Transfers gives the batches of uploads.
func (t tables) Transfers() gateway.TransferTable {
	return transfers{newRows(t, func(x *gateway.Transfer) *gateway.Row { return &x.Row }, "live_by", "live_at", "live")}
}

func (t transfers) List(ctx context.Context, s gateway.Scope, participantID, clientID string, state gateway.TransferState, w gateway.Slice) ([]gateway.Transfer, error) {
	return t.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery {
		q = scoped(q, s)
		if participantID != "" || clientID != "" {
			q = q.Where("participant_id = ?", participantID).Where("client_id = ?", clientID)
		}
		if state != "" {
			q = q.Where("state = ?", state)
		}
		return q
	})
}

func (t transfers) Named(ctx context.Context, ids []string) ([]gateway.Transfer, error) {
	out := []gateway.Transfer{}
	if len(ids) == 0 {
		return out, nil
	}
	return out, translate(t.r.NewSelect().Model(&out).Where("id IN (?)", bun.List(ids)).Scan(ctx))
}

func (t transfers) Lock(ctx context.Context, id string) (gateway.Transfer, error) {
	return t.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return t.db.dialect.forUpdate(q.Where("id = ?", id))
	})
}

func (t transfers) Totals(ctx context.Context, ids []string) (map[string]gateway.TransferTotals, error) {
	out := map[string]gateway.TransferTotals{}
	if len(ids) == 0 {
		return out, nil
	}
	var sums []struct {
		TransferID                   string
		Files, Ended, Size, Received int64
	}
	gone := bun.List([]gateway.UploadState{gateway.UploadCancelled, gateway.UploadExpired})
	err := t.r.NewSelect().Model((*gateway.Upload)(nil)).Column("transfer_id").
		ColumnExpr("count(*) AS files").
		ColumnExpr("CAST(sum(CASE WHEN state = ? THEN 0 ELSE 1 END) AS bigint) AS ended", gateway.UploadReceiving).
		ColumnExpr("CAST(sum(size) AS bigint) AS size").
		ColumnExpr("CAST(sum(CASE WHEN state = ? THEN received WHEN state IN (?) THEN 0 ELSE size END) AS bigint) AS received", gateway.UploadReceiving, gone).
		Where("transfer_id IN (?)", bun.List(ids)).Group("transfer_id").Scan(ctx, &sums)
	for _, s := range sums {
		out[s.TransferID] = gateway.TransferTotals{Files: s.Files, Ended: s.Ended, Size: s.Size, Received: s.Received}
	}
	return out, translate(err)
}

func (t transfers) Rest(ctx context.Context, id, butUpload string) (open, finished bool, err error) {
	others := func() *bun.SelectQuery {
		return t.r.NewSelect().Model((*gateway.Upload)(nil)).Where("transfer_id = ?", id).Where("id <> ?", butUpload)
	}
	if open, err = others().Where("state = ?", gateway.UploadReceiving).Exists(ctx); err == nil && !open {
		finished, err = others().Where("finished_at IS NOT NULL").Exists(ctx)
	}
	return open, finished, translate(err)
}

func (t transfers) Unfinished(ctx context.Context, s gateway.Scope, participantID, clientID string) (n gateway.Unfinished, err error) {
	whose := func(q *bun.SelectQuery) *bun.SelectQuery {
		return scoped(q, s).Where("participant_id = ?", participantID).Where("client_id = ?", clientID)
	}
	uploads := func() *bun.SelectQuery { return whose(t.r.NewSelect().Model((*gateway.Upload)(nil))) }
	n.Uploads, err = uploads().Where("transfer_id = ''").
		Where("state IN (?)", bun.List([]gateway.UploadState{gateway.UploadReceiving, gateway.UploadIngesting})).Count(ctx)
	if err == nil {
		n.Files, err = uploads().Where("transfer_id <> ''").Where("state = ?", gateway.UploadReceiving).Count(ctx)
	}
	if err == nil {
		n.Transfers, err = whose(t.r.NewSelect().Model((*gateway.Transfer)(nil))).Where("state = ?", gateway.TransferOpen).Count(ctx)
	}
	return n, translate(err)
}

func (t transfers) SetLive(ctx context.Context, replica string, at time.Time, live map[string]gateway.TransferLive) error {
	if t.tx == nil {
		return t.db.Tx(ctx, func(tx gateway.Tx) error { return tx.Transfers().SetLive(ctx, replica, at, live) })
	}
	for id, l := range live {
		if _, err := t.change(ctx, func(ctx context.Context) (sql.Result, error) {
			x := gateway.Transfer{LiveBy: replica, LiveAt: &at, Live: l}
			return t.w.NewUpdate().Model(&x).Column("live_by", "live_at", "live").Where("id = ?", id).Returning("NULL").Exec(ctx)
		}); err != nil {
			return err
		}
	}
	return nil
}

// TransferAccounts gives the hubs' bandwidth.
func (t tables) TransferAccounts() gateway.TransferAccountTable {
	return newRows(t, func(x *gateway.TransferAccount) *gateway.Row { return &x.Row })
}

type transferShare struct {
	bun.BaseModel `bun:"transfer_shares"`
	HubID         string                 `bun:"hub_id,pk"`
	Replica       string                 `bun:"replica,pk"`
	Wishes        []gateway.TransferWish `bun:"wishes"`
}

type transferShares struct{ handles }

// TransferShares gives what the sessions of all replicas want.
func (t tables) TransferShares() gateway.TransferShareTable { return transferShares(t) }

func (t transferShares) Swap(ctx context.Context, hubID, replica string, mine []gateway.TransferWish, lately time.Duration) ([]gateway.TransferWish, error) {
	row := transferShare{HubID: hubID, Replica: replica, Wishes: mine}
	if _, err := t.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return t.w.NewInsert().Model(&row).Value("at", "?", t.db.dialect.now()).
			On("CONFLICT (hub_id, replica) DO UPDATE").Set("wishes = EXCLUDED.wishes").Set("at = EXCLUDED.at").Returning("NULL").Exec(ctx)
	}); err != nil {
		return nil, err
	}
	var rows []transferShare
	err := t.r.NewSelect().Model(&rows).Where("hub_id = ?", hubID).Where("replica <> ?", replica).
		Where("at > ?", t.db.dialect.secondsAgo(int(lately/time.Second))).OrderExpr("replica").Scan(ctx)
	var all []gateway.TransferWish
	for _, r := range rows {
		all = append(all, r.Wishes...)
	}
	return all, translate(err)
}

func (t transferShares) Forget(ctx context.Context, hubID, replica string) error {
	_, err := t.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return t.w.NewDelete().Model((*transferShare)(nil)).Where("hub_id = ?", hubID).Where("replica = ?", replica).Exec(ctx)
	})
	return err
}
