package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type dropFolders struct{ rows[gateway.DropFolder] }

// DropFolders gives the drop folders.
func (t tables) DropFolders() gateway.DropFolderTable {
	return dropFolders{newRows(t, func(x *gateway.DropFolder) *gateway.Row { return &x.Row }, "health", "scan_at", "scan_by", "wake")}
}

func (d dropFolders) List(ctx context.Context, s gateway.Scope, text string, w gateway.Slice) ([]gateway.DropFolder, error) {
	return d.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery {
		q = scoped(q, s).Where("deleted_at IS NULL")
		if text != "" {
			q = d.db.dialect.containsAny(q, text, "name", "description", "path")
		}
		return q
	})
}

func (d dropFolders) Lock(ctx context.Context, id string) (gateway.DropFolder, error) {
	return d.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery { return d.db.dialect.forUpdate(q.Where("id = ?", id)) })
}

func (d dropFolders) Places(ctx context.Context, kind gateway.DropSourceKind) ([]gateway.DropFolder, error) {
	if d.tx != nil {
		if err := d.db.dialect.lockPlaces(ctx, d.w); err != nil {
			return nil, translate(err)
		}
	}
	out := []gateway.DropFolder{}
	err := d.r.NewSelect().Model(&out).Where("source = ?", kind).Where("deleted_at IS NULL").OrderExpr("id").Scan(ctx)
	return out, translate(err)
}

func (d dropFolders) ByName(ctx context.Context, hubID, nameKey string) (gateway.DropFolder, error) {
	return d.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("hub_id = ?", hubID).Where("name_key = ?", nameKey).Where("deleted_at IS NULL")
	})
}

func (d dropFolders) ByApp(ctx context.Context, clientID string) (gateway.DropFolder, error) {
	if clientID == "" {
		return gateway.DropFolder{}, notFound()
	}
	return d.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("app_id = ?", clientID).Where("app_id <> ''")
	})
}

func (d dropFolders) Claim(ctx context.Context, id, replica string, now, until time.Time) (bool, error) {
	n, err := d.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return d.w.NewUpdate().Model((*gateway.DropFolder)(nil)).Set("scan_by = ?", replica).Set("scan_at = ?", until).Set("wake = ?", false).
			Where("id = ?", id).Where("deleted_at IS NULL").Where("paused_at IS NULL").
			Where("(scan_at IS NULL OR scan_at <= ?)", now).Exec(ctx)
	})
	return n > 0, err
}

func (d dropFolders) Hold(ctx context.Context, id, replica string, until time.Time) error {
	n, err := d.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return d.w.NewUpdate().Model((*gateway.DropFolder)(nil)).Set("scan_at = ?", until).Where("id = ?", id).Where("scan_by = ?", replica).Exec(ctx)
	})
	if err == nil && n == 0 {
		err = gateway.E(gateway.Conflict, "look_overtaken", "Another look at the folder has begun.").Next("Nothing to do.")
	}
	return err
}

func (d dropFolders) Scanned(ctx context.Context, id, replica string, h gateway.DropHealth, next, now time.Time) (bool, error) {
	row := gateway.DropFolder{Health: h}
	// The branch that is never taken tells Postgres that the others are times and no texts.
	n, err := d.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return d.w.NewUpdate().Model(&row).Column("health").Set("scan_at = CASE WHEN id = '' THEN scan_at WHEN wake THEN ? ELSE ? END", now, next).
			Set("scan_by = ?", "").Set("wake = ?", false).
			Where("id = ?", id).Where("scan_by = ?", replica).Returning("NULL").Exec(ctx)
	})
	return n > 0, err
}

func (d dropFolders) SetWake(ctx context.Context, id string, at time.Time) error {
	_, err := d.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return d.w.NewUpdate().Model((*gateway.DropFolder)(nil)).
			Set("wake = CASE WHEN scan_by <> '' THEN ? ELSE wake END", true).
			Set("scan_at = CASE WHEN scan_by <> '' OR scan_at <= ? THEN scan_at ELSE ? END", at, at).
			Where("id = ?", id).Exec(ctx)
	})
	return err
}

func (d dropFolders) DueScans(ctx context.Context, now time.Time, n int) ([]gateway.DropFolder, error) {
	out := []gateway.DropFolder{}
	err := d.r.NewSelect().Model(&out).Where("source <> ?", gateway.DropUploads).Where("deleted_at IS NULL").Where("paused_at IS NULL").
		Where("(scan_at IS NULL OR scan_at <= ?)", now).OrderExpr("scan_at, id").Limit(limit(n)).Scan(ctx)
	return out, translate(err)
}

func (d dropFolders) Deleted(ctx context.Context, n int) ([]gateway.DropFolder, error) {
	out := []gateway.DropFolder{}
	open := d.r.NewSelect().Model((*gateway.DropFile)(nil)).ColumnExpr("1").Where("folder_id = drop_folder.id").Where("NOT superseded").
		Where("state NOT IN (?)", bun.List(dropOver))
	err := d.r.NewSelect().Model(&out).Where("deleted_at IS NOT NULL").Where("EXISTS (?)", open).OrderExpr("id").Limit(limit(n)).Scan(ctx)
	return out, translate(err)
}

// dropOver are the states of gateway.DropState.Over.
var dropOver = []gateway.DropState{gateway.DropReady, gateway.DropDeleted, gateway.DropGone, gateway.DropIgnored, gateway.DropQuarantined}
