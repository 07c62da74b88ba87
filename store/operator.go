package store

import (
	"context"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type operators struct{ rows[gateway.Operator] }

// Operators gives the people who run this installation.
func (t tables) Operators() gateway.OperatorTable {
	return operators{newRows(t, func(x *gateway.Operator) *gateway.Row { return &x.Row })}
}

func (o operators) ByPerson(ctx context.Context, issuer, subject string) (gateway.Operator, error) {
	return o.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("issuer = ?", issuer).Where("subject = ?", subject)
	})
}

func (o operators) All(ctx context.Context) ([]gateway.Operator, error) {
	return o.page(ctx, gateway.Slice{}, func(q *bun.SelectQuery) *bun.SelectQuery { return q })
}

// Setups gives the one row of the first start.
func (t tables) Setups() gateway.Rows[gateway.Setup] {
	return newRows(t, func(x *gateway.Setup) *gateway.Row { return &x.Row })
}

// List searches the name and the external id; both databases fold the case alike.
func (h hubs) List(ctx context.Context, text string, w gateway.Slice) ([]gateway.Hub, error) {
	return h.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery {
		if text == "" {
			return q
		}
		return q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
			d := h.db.dialect
			return d.contains(q, "name", text).WhereGroup(" OR ", func(q *bun.SelectQuery) *bun.SelectQuery {
				return d.contains(q, "external_id", text)
			})
		})
	})
}
