package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type dropFiles struct{ rows[gateway.DropFile] }

// DropFiles gives the files of drop folders.
func (t tables) DropFiles() gateway.DropFileTable {
	return dropFiles{newRows(t, func(x *gateway.DropFile) *gateway.Row { return &x.Row })}
}

// insertAll inserts rows that have ids, some hundred with one statement, and gives those that were not there.
func insertAll[T any](ctx context.Context, r rows[T], all []T, size func(*T) int) ([]T, error) {
	if r.tx == nil && len(all) > 0 {
		var done []T
		err := r.db.Tx(ctx, func(tx gateway.Tx) error {
			inner := r
			inner.handles = tx.(*Tx).handles
			var err error
			done, err = insertAll(ctx, inner, all, size)
			return err
		})
		return done, err
	}
	now := r.db.clock()
	out := make([]T, 0, len(all))
	for len(all) > 0 {
		n, bytes := 0, 0
		for n < len(all) && n < 500 && bytes < insertAtOnce {
			b := r.base(&all[n])
			b.Version, b.CreatedAt, b.UpdatedAt = 1, now, now
			r.cutTimes(&all[n])
			bytes += 1000 + size(&all[n])
			n++
		}
		part := all[:n]
		all = all[n:]
		var ids []string
		_, err := r.change(ctx, func(ctx context.Context) (sql.Result, error) {
			err := r.w.NewInsert().Model(&part).On("CONFLICT DO NOTHING").Returning("id").Scan(ctx, &ids)
			return driver.RowsAffected(len(ids)), err
		})
		if err != nil {
			return nil, err
		}
		if len(ids) == n {
			out = append(out, part...)
			continue
		}
		in := make(map[string]bool, len(ids))
		for _, id := range ids {
			in[id] = true
		}
		for i := range part {
			if in[r.base(&part[i]).ID] {
				out = append(out, part[i])
			}
		}
	}
	return out, nil
}

func (f dropFiles) InsertAll(ctx context.Context, all []gateway.DropFile) ([]gateway.DropFile, error) {
	return insertAll(ctx, f.rows, all, func(x *gateway.DropFile) int { return 2*len(x.Name) + len(x.Text) + 100*len(x.WaitingFor) })
}

func (f dropFiles) Known(ctx context.Context, folderID string) ([]gateway.DropKnown, error) {
	out := []gateway.DropKnown{}
	err := f.r.NewSelect().Model((*gateway.DropFile)(nil)).
		Column("id", "version", "reason", "name", "name_key", "size", "modified_at", "identity", "state", "size_set_at", "whole_at", "upload_id", "named_size").
		Where("folder_id = ?", folderID).Where("NOT superseded").Where("state NOT IN (?)", bun.List([]gateway.DropState{gateway.DropDeleted, gateway.DropGone})).
		Scan(ctx, &out)
	return out, translate(err)
}

func (f dropFiles) Former(ctx context.Context, folderID, nameKey, sha256 string) (gateway.DropFile, error) {
	return f.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("folder_id = ?", folderID).Where("name_key = ?", nameKey).Where("superseded").Where("sha256 = ?", sha256).Where("sha256 <> ''").OrderExpr("id DESC")
	})
}

func (f dropFiles) ByKey(ctx context.Context, folderID, nameKey string) (gateway.DropFile, error) {
	return f.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("folder_id = ?", folderID).Where("name_key = ?", nameKey).Where("NOT superseded")
	})
}

func (f dropFiles) ByUpload(ctx context.Context, uploadID string) (gateway.DropFile, error) {
	if uploadID == "" {
		return gateway.DropFile{}, notFound()
	}
	return f.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("upload_id = ?", uploadID).Where("upload_id <> ''").OrderExpr("id DESC")
	})
}

func (f dropFiles) Named(ctx context.Context, s gateway.Scope, ids []string) ([]gateway.DropFile, error) {
	out := []gateway.DropFile{}
	if len(ids) == 0 {
		return out, nil
	}
	return out, translate(scoped(f.r.NewSelect().Model(&out), s).Where("id IN (?)", bun.List(ids)).OrderExpr("id").Scan(ctx))
}

func (f dropFiles) OfNames(ctx context.Context, folderID string, keys []string) ([]gateway.DropFile, error) {
	out := []gateway.DropFile{}
	if len(keys) == 0 {
		return out, nil
	}
	// In no order: asked for one, SQLite goes through all rows of the folder.
	err := f.r.NewSelect().Model(&out).Where("folder_id = ?", folderID).Where("name_key IN (?)", bun.List(keys)).Where("NOT superseded").Scan(ctx)
	return out, translate(err)
}

// filter is what a listing and its counts have in common.
func (f dropFiles) filter(q *bun.SelectQuery, s gateway.Scope, x gateway.DropFileFilter) *bun.SelectQuery {
	q = scoped(q, s)
	if x.FolderID != "" {
		q = q.Where("folder_id = ?", x.FolderID)
	}
	if !x.Superseded {
		q = q.Where("NOT superseded")
	}
	if x.Text != "" {
		q = f.db.dialect.containsAny(q, x.Text, "name", "name_key", "reference_id", "entry_id", "reason")
	}
	if len(x.States) > 0 {
		q = q.Where("state IN (?)", bun.List(x.States))
	}
	if x.Reason != "" {
		q = q.Where("reason = ?", x.Reason)
	}
	if x.Ending != "" {
		q = f.db.dialect.endsWith(q, "name", "."+x.Ending)
	}
	if x.Manifests != nil {
		q = q.Where("manifest = ?", *x.Manifests)
	}
	if !x.From.IsZero() {
		q = q.Where("created_at >= ?", x.From.UTC())
	}
	if !x.To.IsZero() {
		q = q.Where("created_at < ?", x.To.UTC())
	}
	if x.LeadID != "" {
		q = q.Where("lead_id = ?", x.LeadID)
	}
	if x.EntryID != "" {
		q = q.Where("entry_id = ?", x.EntryID)
	}
	if len(x.IDs) > 0 {
		q = q.Where("id IN (?)", bun.List(x.IDs))
	}
	return q
}

// ordered orders a listing and goes on after a cursor: the id, and what comes before it in the order.
func ordered(q *bun.SelectQuery, o gateway.DropOrder, after string) (*bun.SelectQuery, error) {
	id, value, _ := strings.Cut(after, "~")
	column, down := "", true
	var last any = value
	var err error
	switch o {
	case gateway.DropNewest:
	case gateway.DropOldest:
		down = false
	case gateway.DropByName:
		column, down = "name", false
	case gateway.DropLargest, gateway.DropSmallest:
		column, down = "size", o == gateway.DropLargest
		if after != "" {
			last, err = strconv.ParseInt(value, 10, 64)
		}
	case gateway.DropLatest:
		column = "updated_at"
		if after != "" {
			last, err = time.Parse(time.RFC3339Nano, value)
		}
	default:
		err = strconv.ErrSyntax
	}
	if err != nil {
		return nil, gateway.E(gateway.Invalid, "cursor_invalid", "The cursor is not one of this listing.").Next("Begin without a cursor.").Because(err)
	}
	dir, than := "ASC", ">"
	if down {
		dir, than = "DESC", "<"
	}
	if column == "" {
		if after != "" {
			q = q.Where("id ? ?", bun.Safe(than), id)
		}
		return q.OrderExpr("id ?", bun.Safe(dir)), nil
	}
	if after != "" {
		q = q.Where("(?, id) ? (?, ?)", bun.Ident(column), bun.Safe(than), last, id)
	}
	return q.OrderExpr("? ?, id ?", bun.Ident(column), bun.Safe(dir), bun.Safe(dir)), nil
}

func (f dropFiles) List(ctx context.Context, s gateway.Scope, x gateway.DropFileFilter, w gateway.Slice) ([]gateway.DropFile, error) {
	out := []gateway.DropFile{}
	q, err := ordered(f.filter(f.r.NewSelect().Model(&out), s, x), x.Order, w.After)
	if err != nil {
		return nil, err
	}
	return out, translate(q.Limit(limit(w.Limit)).Scan(ctx))
}

func (f dropFiles) Counts(ctx context.Context, s gateway.Scope, x gateway.DropFileFilter) (map[gateway.DropState]gateway.DropCount, error) {
	var rows []struct {
		State        gateway.DropState
		Files, Bytes int64
	}
	err := f.filter(f.r.NewSelect().Model((*gateway.DropFile)(nil)), s, x).Column("state").
		ColumnExpr("count(*) AS files").ColumnExpr("CAST(coalesce(sum(size), 0) AS bigint) AS bytes").Group("state").Scan(ctx, &rows)
	out := map[gateway.DropState]gateway.DropCount{}
	for _, r := range rows {
		out[r.State] = gateway.DropCount{Files: r.Files, Bytes: r.Bytes}
	}
	return out, translate(err)
}

func (f dropFiles) FolderCounts(ctx context.Context, folderIDs []string) (map[string]map[gateway.DropState]gateway.DropCount, error) {
	out := map[string]map[gateway.DropState]gateway.DropCount{}
	if len(folderIDs) == 0 {
		return out, nil
	}
	var rows []struct {
		FolderID     string
		State        gateway.DropState
		Files, Bytes int64
		OldestID     string
	}
	err := f.r.NewSelect().Model((*gateway.DropFile)(nil)).Column("folder_id", "state").
		ColumnExpr("count(*) AS files").ColumnExpr("CAST(coalesce(sum(size), 0) AS bigint) AS bytes").ColumnExpr("min(id) AS oldest_id").
		Where("folder_id IN (?)", bun.List(folderIDs)).Where("NOT superseded").Group("folder_id", "state").Scan(ctx, &rows)
	for _, r := range rows {
		if out[r.FolderID] == nil {
			out[r.FolderID] = map[gateway.DropState]gateway.DropCount{}
		}
		out[r.FolderID][r.State] = gateway.DropCount{Files: r.Files, Bytes: r.Bytes, OldestID: r.OldestID}
	}
	return out, translate(err)
}

func (f dropFiles) OfFolder(ctx context.Context, folderID string, states []gateway.DropState, after string, n int) ([]gateway.DropFile, error) {
	out := []gateway.DropFile{}
	q := f.r.NewSelect().Model(&out).Where("folder_id = ?", folderID).Where("NOT superseded").Where("id > ?", after).OrderExpr("id").Limit(limit(n))
	if len(states) == 1 { // so that it fits an index over one state
		q = q.Where("state = ?", states[0])
	} else if len(states) > 0 {
		q = q.Where("state IN (?)", bun.List(states))
	}
	return out, translate(q.Scan(ctx))
}

func (f dropFiles) Due(ctx context.Context, now time.Time, n int) ([]gateway.DropFile, error) {
	out, given := []gateway.DropFile{}, map[string]bool{}
	open := f.r.NewSelect().Model((*gateway.DropFolder)(nil)).Column("id").Where("paused_at IS NULL").Where("deleted_at IS NULL")
	busy := []gateway.DropState{gateway.DropImporting, gateway.DropProcessing}
	for _, c := range []bun.Ident{"delete_at", "try_at"} {
		turns := f.r.NewSelect().Model((*gateway.DropFile)(nil)).Column("id", "hub_id", "folder_id", "state").ColumnExpr("? AS at", c).
			ColumnExpr("row_number() OVER (PARTITION BY folder_id ORDER BY ?, id) AS turn", c).Where("? IS NOT NULL", c).Where("? <= ?", c, now)
		if c == "try_at" {
			turns = turns.Where("(state IN (?) OR folder_id IN (?))", bun.List(busy), open)
		}
		var part []gateway.DropFile
		err := f.r.NewSelect().TableExpr("(?) AS due", turns).Column("id", "hub_id", "folder_id", "state").OrderExpr("turn, at, id").Limit(int64(n)).Scan(ctx, &part)
		if err != nil {
			return nil, translate(err)
		}
		for _, x := range part {
			if !given[x.ID] {
				given[x.ID] = true
				out = append(out, x)
			}
		}
	}
	return out, nil
}

func (f dropFiles) Later(ctx context.Context, ids []string, at time.Time) error {
	for part := range slices.Chunk(ids, 500) {
		if _, err := f.change(ctx, func(ctx context.Context) (sql.Result, error) {
			return f.w.NewUpdate().Model((*gateway.DropFile)(nil)).Set("try_at = ?", at).Where("id IN (?)", bun.List(part)).
				Where("state IN (?)", bun.List([]gateway.DropState{gateway.DropImporting, gateway.DropProcessing})).Where("try_at < ?", at).Exec(ctx)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (f dropFiles) Turn(ctx context.Context, folderID string, now time.Time, n int) ([]gateway.DropFile, error) {
	out := []gateway.DropFile{}
	err := f.r.NewSelect().Model(&out).Where("folder_id = ?", folderID).Where("state = ?", gateway.DropPending).Where("NOT superseded").
		Where("(try_at IS NULL OR try_at <= ?)", now).OrderExpr("id").Limit(limit(n)).Scan(ctx)
	return out, translate(err)
}

func (f dropFiles) AtWork(ctx context.Context, hubID, folderID string) (hub, folder int64, err error) {
	var n struct{ Hub, Folder int64 }
	err = f.r.NewSelect().Model((*gateway.DropFile)(nil)).ColumnExpr("count(*) AS hub").ColumnExpr("count(CASE WHEN folder_id = ? THEN 1 END) AS folder", folderID).
		Where("hub_id = ?", hubID).Where("state = ?", gateway.DropImporting).Where("lead_id = ''").Scan(ctx, &n)
	return n.Hub, n.Folder, translate(err)
}

func (f dropFiles) Pending(ctx context.Context) ([]string, error) {
	out := []string{}
	err := f.r.NewSelect().Model((*gateway.DropFile)(nil)).Distinct().Column("folder_id").Where("state = ?", gateway.DropPending).OrderExpr("folder_id").Scan(ctx, &out)
	return out, translate(err)
}

func (f dropFiles) Reasons(ctx context.Context, s gateway.Scope, x gateway.DropFileFilter) (map[string]int64, error) {
	var rows []struct {
		Reason string
		Files  int64
	}
	err := f.filter(f.r.NewSelect().Model((*gateway.DropFile)(nil)), s, x).Where("reason <> ''").Column("reason").
		ColumnExpr("count(*) AS files").Group("reason").Scan(ctx, &rows)
	out := map[string]int64{}
	for _, r := range rows {
		out[r.Reason] = r.Files
	}
	return out, translate(err)
}

func (f dropFiles) OthersWithEntry(ctx context.Context, s gateway.Scope, entryID, butID string) (int64, error) {
	n, err := scoped(f.r.NewSelect().Model((*gateway.DropFile)(nil)), s).Where("entry_id = ?", entryID).Where("entry_id <> ''").
		Where("id <> ?", butID).Where("NOT superseded").Count(ctx)
	return int64(n), translate(err)
}

type dropChanges struct{ rows[gateway.DropChange] }

// DropChanges gives the timelines of files.
func (t tables) DropChanges() gateway.DropChangeTable {
	return dropChanges{newRows(t, func(x *gateway.DropChange) *gateway.Row { return &x.Row })}
}

func (c dropChanges) InsertAll(ctx context.Context, all []gateway.DropChange) error {
	_, err := insertAll(ctx, c.rows, all, func(x *gateway.DropChange) int { return len(x.Text) })
	return err
}

func (c dropChanges) OfFile(ctx context.Context, fileID string, w gateway.Slice) ([]gateway.DropChange, error) {
	out := []gateway.DropChange{}
	err := c.r.NewSelect().Model(&out).Where("file_id = ?", fileID).Where("id > ?", w.After).OrderExpr("id").Limit(limit(w.Limit)).Scan(ctx)
	return out, translate(err)
}

func (c dropChanges) Trim(ctx context.Context, before time.Time, n int) (int64, error) {
	return c.change(ctx, func(ctx context.Context) (sql.Result, error) {
		over := c.w.NewSelect().Model((*gateway.DropFile)(nil)).Column("id").
			Where("(superseded OR state IN (?))", bun.List([]gateway.DropState{gateway.DropDeleted, gateway.DropGone}))
		old := c.w.NewSelect().Model((*gateway.DropChange)(nil)).Column("id").Where("at < ?", before).Where("file_id IN (?)", over).OrderExpr("id").Limit(limit(n))
		return c.w.NewDelete().Model((*gateway.DropChange)(nil)).Where("id IN (?)", old).Exec(ctx)
	})
}

func (f dropFiles) OfReference(ctx context.Context, hubID, referenceID string, since time.Time) ([]gateway.DropFile, error) {
	out := []gateway.DropFile{}
	err := f.r.NewSelect().Model(&out).Where("hub_id = ?", hubID).Where("reference_id = ?", referenceID).
		Where("reference_id <> ''").Where("(updated_at >= ? OR state IN (?))", since, bun.List([]gateway.DropState{gateway.DropImporting, gateway.DropProcessing})).OrderExpr("id").Limit(mostOfReference).Scan(ctx)
	return out, translate(err)
}

type dropItems struct{ rows[gateway.DropItem] }

// DropItems gives the items of manifests.
func (t tables) DropItems() gateway.DropItemTable {
	return dropItems{newRows(t, func(x *gateway.DropItem) *gateway.Row { return &x.Row })}
}

func (i dropItems) InsertAll(ctx context.Context, all []gateway.DropItem) error {
	_, err := insertAll(ctx, i.rows, all, func(x *gateway.DropItem) int { return 2*len(x.Data) + len(x.Title) + len(x.Text) })
	return err
}

func (i dropItems) OfFile(ctx context.Context, fileID string, states []gateway.DropItemState, after int64, n int) ([]gateway.DropItem, error) {
	out := []gateway.DropItem{}
	q := i.r.NewSelect().Model(&out).Where("file_id = ?", fileID).Where("number > ?", after).OrderExpr("number").Limit(limit(n))
	if len(states) > 0 {
		q = q.Where("state IN (?)", bun.List(states))
	}
	return out, translate(q.Scan(ctx))
}

func (i dropItems) Counts(ctx context.Context, fileID string) (map[gateway.DropItemState]int64, error) {
	var rows []struct {
		State gateway.DropItemState
		Items int64
	}
	err := i.r.NewSelect().Model((*gateway.DropItem)(nil)).Column("state").ColumnExpr("count(*) AS items").Where("file_id = ?", fileID).Group("state").Scan(ctx, &rows)
	out := map[gateway.DropItemState]int64{}
	for _, r := range rows {
		out[r.State] = r.Items
	}
	return out, translate(err)
}

func (i dropItems) Due(ctx context.Context, now time.Time, n int) ([]gateway.DropItem, error) {
	out := []gateway.DropItem{}
	err := i.r.NewSelect().Model(&out).Where("try_at IS NOT NULL").Where("try_at <= ?", now).OrderExpr("try_at, id").Limit(limit(n)).Scan(ctx)
	return out, translate(err)
}

func (i dropItems) DeleteOf(ctx context.Context, fileID string) error {
	_, err := i.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return i.w.NewDelete().Model((*gateway.DropItem)(nil)).Where("file_id = ?", fileID).Exec(ctx)
	})
	return err
}
