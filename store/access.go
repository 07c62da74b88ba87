package store

import (
	"context"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type keys struct{ rows[gateway.SigningKey] }

// Keys gives the keys that sign tokens.
func (t tables) Keys() gateway.KeyTable {
	return keys{newRows(t, func(x *gateway.SigningKey) *gateway.Row { return &x.Row })}
}

func (k keys) List(ctx context.Context) ([]gateway.SigningKey, error) {
	return k.page(ctx, gateway.Slice{}, func(q *bun.SelectQuery) *bun.SelectQuery { return q })
}
