package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

// unfinished are the states of items that have something to do.
var unfinished = bun.List([]gateway.DropItemState{gateway.ItemQueued, gateway.ItemRunning})

// inOrder leaves out items whose reference id or entry an earlier one has that is not done with it.
func (i dropItems) inOrder(q *bun.SelectQuery) *bun.SelectQuery {
	return q.Where(`NOT EXISTS (SELECT 1 FROM drop_items AS e WHERE e.hub_id = drop_item.hub_id AND e.reference_id = drop_item.reference_id AND
		e.reference_id <> '' AND e.file_id = drop_item.file_id AND e.number < drop_item.number AND e.state IN (?))`, unfinished).
		Where(`NOT EXISTS (SELECT 1 FROM drop_items AS e WHERE e.hub_id = drop_item.hub_id AND e.entry_id = drop_item.entry_id AND
		e.entry_id <> '' AND e.file_id = drop_item.file_id AND e.number < drop_item.number AND e.state IN (?))`, unfinished)
}

func (i dropItems) Ready(ctx context.Context, fileID string, now time.Time, n int) ([]gateway.DropItem, error) {
	out := []gateway.DropItem{}
	err := i.inOrder(i.r.NewSelect().Model(&out).Where("file_id = ?", fileID).Where("state IN (?)", unfinished).
		Where("try_at IS NULL OR try_at <= ?", now)).OrderExpr("number").Limit(limit(n)).Scan(ctx)
	return out, translate(err)
}

func (i dropItems) Converting(ctx context.Context, fileID string, now time.Time, n int) ([]gateway.DropItem, error) {
	out := []gateway.DropItem{}
	err := i.r.NewSelect().Model(&out).Where("file_id = ?", fileID).Where("state = ?", gateway.ItemConverting).
		Where("try_at IS NULL OR try_at <= ?", now).OrderExpr("number").Limit(limit(n)).Scan(ctx)
	return out, translate(err)
}

func (i dropItems) OfReference(ctx context.Context, hubID, referenceID string, since time.Time) ([]gateway.DropItem, error) {
	out := []gateway.DropItem{}
	err := i.r.NewSelect().Model(&out).ExcludeColumn("data").Where("hub_id = ?", hubID).Where("reference_id = ?", referenceID).
		Where("reference_id <> ''").Where("updated_at >= ?", since).OrderExpr("id").Limit(mostOfReference).Scan(ctx)
	return out, translate(err)
}

func (i dropItems) OfEntry(ctx context.Context, hubID, entryID string) ([]gateway.DropItem, error) {
	out := []gateway.DropItem{}
	err := i.r.NewSelect().Model(&out).ExcludeColumn("data").Where("hub_id = ?", hubID).Where("entry_id = ?", entryID).
		Where("entry_id <> ''").Where("state IN (?)", unfinished).OrderExpr("file_id, number").Limit(mostOfReference).Scan(ctx)
	return out, translate(err)
}

// mostOfReference is how many rows of one reference id are looked at.
const mostOfReference = 200

func (i dropItems) Next(ctx context.Context, fileID string) (*time.Time, error) {
	var first gateway.DropItem
	err := i.inOrder(i.r.NewSelect().Model(&first).Column("id", "try_at").Where("file_id = ?", fileID).
		Where("state IN (?)", bun.List([]gateway.DropItemState{gateway.ItemQueued, gateway.ItemRunning, gateway.ItemConverting}))).
		OrderExpr("CASE WHEN try_at IS NULL THEN 0 ELSE 1 END, try_at").Limit(1).Scan(ctx)
	if err = translate(err); gateway.CodeOf(err) == gateway.NotFound {
		return nil, nil
	}
	return first.TryAt, err
}

func (i dropItems) Hold(ctx context.Context, id string, attempt int64, until time.Time) error {
	return i.set(ctx, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("try_at = ?", until).Where("id = ?", id).Where("attempt = ?", attempt).Where("state = ?", gateway.ItemRunning)
	})
}

func (i dropItems) Later(ctx context.Context, ids []string, at time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	// Not by set: how long an entry has been converted is told by updated_at.
	_, err := i.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return i.w.NewUpdate().Model((*gateway.DropItem)(nil)).Set("try_at = ?", at).Where("id IN (?)", bun.List(ids)).
			Where("state = ?", gateway.ItemConverting).Exec(ctx)
	})
	return err
}

// noData is true of an item whose data are gone, or could not be read.
const noData = "(data IS NULL OR length(data) = 0)"

func (i dropItems) Again(ctx context.Context, fileID string) error {
	_, err := i.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return i.w.NewDelete().Model((*gateway.DropItem)(nil)).Where("file_id = ?", fileID).
			Where("state = ?", gateway.ItemRefused).Where(noData).Where("step IN ('', 'checked')").Exec(ctx)
	})
	if err != nil {
		return err
	}
	_, err = i.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return i.w.NewUpdate().Model((*gateway.DropItem)(nil)).Set("state = ?", gateway.ItemQueued).Set("version = version + 1").
			Set("updated_at = ?", i.db.clock()).Set("reason = ''").Set("text = ''").Set("next_step = ''").Set("attempt = 0").Set("try_at = NULL").
			Where("file_id = ?", fileID).Where("state = ?", gateway.ItemRefused).Where("NOT " + noData).Exec(ctx)
	})
	return err
}

func (i dropItems) Forget(ctx context.Context, fileID string) error {
	_, err := i.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return i.w.NewDelete().Model((*gateway.DropItem)(nil)).Where("file_id = ?", fileID).
			Where("state = ?", gateway.ItemQueued).Where("step = ''").Exec(ctx)
	})
	if err != nil {
		return err
	}
	_, err = i.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return i.w.NewUpdate().Model((*gateway.DropItem)(nil)).Set("state = ?", gateway.ItemRefused).Set("data = NULL").Set("try_at = NULL").
			Set("version = version + 1").Set("updated_at = ?", i.db.clock()).
			Where("file_id = ?", fileID).Where("state <> ?", gateway.ItemFinished).Exec(ctx)
	})
	return err
}

func (i dropItems) ForgetFailed(ctx context.Context, before time.Time, n int) error {
	_, err := i.change(ctx, func(ctx context.Context) (sql.Result, error) {
		old := i.w.NewSelect().Model((*gateway.DropItem)(nil)).Column("id").Where("state = 'failed'").Where("data IS NOT NULL").
			Where("updated_at < ?", before).OrderExpr("updated_at").Limit(limit(n))
		return i.w.NewUpdate().Model((*gateway.DropItem)(nil)).Set("data = NULL").Set("version = version + 1").Where("id IN (?)", old).Exec(ctx)
	})
	return err
}
