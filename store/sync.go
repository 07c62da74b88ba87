package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type changes struct{ handles }

// Sync gives the order of all changes to library items.
func (t tables) Sync() gateway.SyncTable { return changes(t) }

// note remembers that an item changed or went, until the end of the transaction.
func (tx *Tx) note(it gateway.LibraryItem, removed bool) {
	if tx.changed == nil {
		tx.changed = map[string]gateway.LibraryChange{}
	}
	tx.changed[it.ID] = gateway.LibraryChange{
		ItemID: it.ID, HubID: it.HubID, Removed: removed, WasShared: it.Shared || tx.changed[it.ID].WasShared,
		ParticipantID: it.ParticipantID, ClientID: it.ClientID, ExternalID: it.ExternalID,
	}
}

// writeChanges gives the noted changes their numbers. The hub's clock stays locked until the commit:
// whoever comes next gets higher numbers and commits later, so that a reader who saw a number never
// has to look below it again. Done near the end of a transaction, to hold the lock shortly.
func (tx *Tx) writeChanges(ctx context.Context) error {
	hubs := map[string][]string{}
	for id, c := range tx.changed {
		hubs[c.HubID] = append(hubs[c.HubID], id)
	}
	for _, hub := range slices.Sorted(maps.Keys(hubs)) { // always in this order: no deadlock
		ids := hubs[hub]
		slices.Sort(ids)
		var last int64
		if err := tx.bun.NewRaw("INSERT INTO library_clocks (hub_id, seq, horizon) VALUES (?, ?, 0) "+
			"ON CONFLICT (hub_id) DO UPDATE SET seq = library_clocks.seq + excluded.seq RETURNING seq", hub, len(ids)).Scan(ctx, &last); err != nil {
			return err
		}
		for i, id := range ids {
			if err := tx.writeChange(ctx, tx.changed[id], last-int64(len(ids)-1-i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (tx *Tx) writeChange(ctx context.Context, c gateway.LibraryChange, seq int64) error {
	var before []gateway.LibraryChange
	if err := tx.bun.NewSelect().Model(&before).Where("item_id = ?", c.ItemID).Scan(ctx); err != nil {
		return err
	}
	c.Seq, c.At = seq, tx.db.clock()
	if len(before) > 0 {
		b := before[0]
		c.WasShared, c.Former = c.WasShared || b.WasShared, b.Former
		if owner := "|" + b.ParticipantID + "|"; b.ParticipantID != "" && b.ParticipantID != c.ParticipantID && !strings.Contains(c.Former, owner) {
			c.Former += owner
		}
	}
	tx.cutTimes(&c)
	_, err := tx.change(ctx, func(ctx context.Context) (sql.Result, error) {
		if len(before) == 0 {
			return tx.bun.NewInsert().Model(&c).Returning("NULL").Exec(ctx)
		}
		return tx.bun.NewUpdate().Model(&c).WherePK().Returning("NULL").Exec(ctx)
	})
	return err
}

// Since asks in SQL for what gateway.DecideItem allows or once allowed.
func (c changes) Since(ctx context.Context, a gateway.Actor, seq int64, n int) ([]gateway.LibraryChange, error) {
	out := []gateway.LibraryChange{}
	q := c.r.NewSelect().Model(&out).Where("hub_id = ?", a.HubID).Where("seq > ?", seq).OrderExpr("seq").Limit(limit(n))
	if a.Machine() {
		q = q.Where("(was_shared OR (client_id = ? AND client_id <> ''))", a.ClientID)
	} else {
		q = q.Where("(was_shared OR participant_id = ? OR former LIKE ?)", a.ParticipantID, "%|"+a.ParticipantID+"|%")
	}
	return out, translate(q.Scan(ctx))
}

func (c changes) Clock(ctx context.Context, hubID string) (seq, horizon int64, err error) {
	err = c.r.NewSelect().Table("library_clocks").ColumnExpr("coalesce(max(seq), 0), coalesce(max(horizon), 0)").Where("hub_id = ?", hubID).Scan(ctx, &seq, &horizon)
	return seq, horizon, translate(err)
}

func (c changes) Items(ctx context.Context, hubID string, ids []string) ([]gateway.LibraryItem, error) {
	out := []gateway.LibraryItem{}
	if len(ids) == 0 {
		return out, nil
	}
	err := c.r.NewSelect().Model(&out).Where("hub_id = ?", hubID).Where("id IN (?)", bun.List(ids)).Scan(ctx)
	return out, translate(err)
}

// Trim moves the horizon in the transaction that forgets: whoever asks with an older cursor is told.
func (c changes) Trim(ctx context.Context, before time.Time) error {
	var old []struct {
		HubID string `bun:"hub_id"`
		Seq   int64  `bun:"seq"`
	}
	if err := c.r.NewSelect().Table("library_changes").ColumnExpr("hub_id, max(seq) AS seq").Where("removed").Where("at < ?", before).
		GroupExpr("hub_id").Scan(ctx, &old); err != nil {
		return translate(err)
	}
	for _, o := range old {
		err := c.db.Tx(ctx, func(t gateway.Tx) error {
			tx := t.(*Tx)
			if _, err := tx.bun.NewUpdate().Table("library_clocks").Set("horizon = ?", o.Seq).Where("hub_id = ?", o.HubID).Where("horizon < ?", o.Seq).Exec(ctx); err != nil {
				return err
			}
			_, err := tx.bun.NewDelete().Table("library_changes").Where("hub_id = ?", o.HubID).Where("removed").Where("at < ?", before).Where("seq <= ?", o.Seq).Exec(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
