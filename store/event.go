package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type events struct{ handles }

// Events gives the event log.
func (t tables) Events() gateway.EventTable { return events(t) }

// Append keeps an event back until the end of its transaction.
func (e events) Append(ctx context.Context, ev *gateway.Event) error {
	if e.tx == nil {
		return e.db.Tx(ctx, func(tx gateway.Tx) error { return tx.Events().Append(ctx, ev) })
	}
	e.tx.events = append(e.tx.events, ev)
	return nil
}

// writeEvents writes what Append kept back. Numbers are handed out in the order of inserting, so
// two transactions that overlap could commit 7 before 6, and a listener that saw 7 would never ask
// for 6. Therefore one transaction at a time writes events, as the very last thing before its
// commit: it needs no other lock any more and so cannot take part in a deadlock.
func (tx *Tx) writeEvents(ctx context.Context) error {
	if len(tx.events) == 0 {
		return nil
	}
	if err := tx.db.dialect.lockEvents(ctx, tx.bun); err != nil {
		return err
	}
	for _, e := range tx.events {
		e.Seq = 0 // set by an earlier run of this transaction
		tx.cutTimes(e)
		if _, err := tx.change(ctx, func(ctx context.Context) (sql.Result, error) {
			return tx.bun.NewInsert().Model(e).Returning("seq").Exec(ctx)
		}); err != nil {
			return err
		}
	}
	return nil
}

// Since asks in SQL what gateway.MaySee decides.
func (e events) Since(ctx context.Context, a gateway.Actor, seq int64, n int) ([]gateway.Event, error) {
	out := []gateway.Event{}
	q := e.r.NewSelect().Model(&out).Where("hub_id = ?", a.HubID).Where("seq > ?", seq).OrderExpr("seq").Limit(limit(n))
	if a.Machine() || !a.Admin() {
		q = q.Where("participant_id IN (?)", bun.List(a.Audiences()))
	}
	return out, translate(q.Scan(ctx))
}

func (e events) Between(ctx context.Context, hubID string, from, to time.Time, seq int64, n int) ([]gateway.Event, error) {
	out := []gateway.Event{}
	err := e.r.NewSelect().Model(&out).Where("hub_id = ?", hubID).Where("seq > ?", seq).Where("at >= ?", from).Where("at < ?", to).
		OrderExpr("seq").Limit(limit(n)).Scan(ctx)
	return out, translate(err)
}

func (e events) First(ctx context.Context) (int64, error) {
	var seq int64
	err := e.r.NewSelect().Model((*gateway.Event)(nil)).ColumnExpr("coalesce(min(seq), 0)").Scan(ctx, &seq)
	return seq, translate(err)
}

// Trim looks at the oldest by their number, which is the order of their times as well, so that it
// needs no further index.
func (e events) Trim(ctx context.Context, before time.Time, n int) (int64, error) {
	return e.change(ctx, func(ctx context.Context) (sql.Result, error) {
		oldest := e.w.NewSelect().Model((*gateway.Event)(nil)).Column("seq").OrderExpr("seq").Limit(limit(n))
		newest := e.w.NewSelect().Model((*gateway.Event)(nil)).ColumnExpr("max(seq)")
		return e.w.NewDelete().Model((*gateway.Event)(nil)).Where("seq IN (?)", oldest).Where("at < ?", before).Where("seq < (?)", newest).Exec(ctx)
	})
}

func (e events) Last(ctx context.Context) (int64, error) {
	var seq int64
	err := e.r.NewSelect().Model((*gateway.Event)(nil)).ColumnExpr("coalesce(max(seq), 0)").Scan(ctx, &seq)
	return seq, translate(err)
}
