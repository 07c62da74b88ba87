package store

import (
	"context"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

// Sessions gives the signed-in browsers.
func (t tables) Sessions() gateway.ExpiringRows[gateway.Session] {
	return expiring[gateway.Session]{newRows(t, func(x *gateway.Session) *gateway.Row { return &x.Row })}
}

// Clients gives the OAuth clients.
func (t tables) Clients() gateway.Rows[gateway.Client] {
	return newRows(t, func(x *gateway.Client) *gateway.Row { return &x.Row })
}

type keys struct{ rows[gateway.SigningKey] }

// Keys gives the keys that sign tokens.
func (t tables) Keys() gateway.KeyTable {
	return keys{newRows(t, func(x *gateway.SigningKey) *gateway.Row { return &x.Row })}
}

func (k keys) List(ctx context.Context) ([]gateway.SigningKey, error) {
	return k.page(ctx, gateway.Slice{}, func(q *bun.SelectQuery) *bun.SelectQuery { return q })
}
