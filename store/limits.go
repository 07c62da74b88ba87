package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

// rateLimit is the time, in microseconds since 1970, at which all of a caller's quota is there again.
type rateLimit struct {
	bun.BaseModel `bun:"rate_limits"`
	ID            string `bun:"id,pk"`
	DueUS         int64  `bun:"due_us"`
}

type limits struct{ handles }

// Limits gives the rate limits.
func (t tables) Limits() gateway.LimitTable { return limits(t) }

func (l limits) Charge(ctx context.Context, now time.Time, charges []gateway.LimitCharge) ([]time.Time, error) {
	out := make([]time.Time, len(charges))
	at := map[string]int{}
	keys := make([]string, 0, len(charges))
	costs := false
	for i, c := range charges {
		at[c.Key] = i
		keys = append(keys, c.Key)
		costs = costs || c.Cost > 0
	}
	put := func(rows []rateLimit) {
		for _, r := range rows {
			out[at[r.ID]] = time.UnixMicro(r.DueUS).UTC()
		}
	}
	if !costs {
		rows := []rateLimit{}
		err := l.r.NewSelect().Model(&rows).Where("id IN (?)", bun.List(keys)).Scan(ctx)
		put(rows)
		return out, translate(err)
	}
	// One statement, its rows in one order everywhere: two replicas never wait for each other in a circle.
	charges = slices.SortedFunc(slices.Values(charges), func(a, b gateway.LimitCharge) int { return strings.Compare(a.Key, b.Key) })
	values := make([]string, 0, len(charges))
	args := make([]any, 0, 2*len(charges)+2)
	for _, c := range charges {
		values = append(values, "(?, ?)")
		args = append(args, c.Key, now.Add(c.Cost).UnixMicro())
	}
	args = append(args, now.UnixMicro(), now.UnixMicro())
	query := "INSERT INTO rate_limits (id, due_us) VALUES " + strings.Join(values, ", ") +
		" ON CONFLICT (id) DO UPDATE SET due_us = EXCLUDED.due_us - ? + " + l.db.dialect.greatest("rate_limits.due_us", "?") + " RETURNING id, due_us"
	_, err := l.change(ctx, func(ctx context.Context) (sql.Result, error) {
		rows := []rateLimit{}
		err := l.w.NewRaw(query, args...).Scan(ctx, &rows)
		put(rows)
		return driver.RowsAffected(len(rows)), err
	})
	return out, err
}

func (l limits) Trim(ctx context.Context, before time.Time) (int64, error) {
	return l.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return l.w.NewDelete().Model((*rateLimit)(nil)).Where("due_us < ?", before.UnixMicro()).Exec(ctx)
	})
}
