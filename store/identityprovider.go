package store

import (
	"context"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type identityProviders struct {
	rows[gateway.IdentityProvider]
}

// IdentityProviders gives the identity providers that operators added.
func (t tables) IdentityProviders() gateway.IdentityProviderTable {
	return identityProviders{newRows(t, func(x *gateway.IdentityProvider) *gateway.Row { return &x.Row })}
}

func (p identityProviders) All(ctx context.Context) ([]gateway.IdentityProvider, error) {
	return p.page(ctx, gateway.Slice{}, func(q *bun.SelectQuery) *bun.SelectQuery { return q })
}

func (p identityProviders) ByIssuer(ctx context.Context, issuer string) (gateway.IdentityProvider, error) {
	return p.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("issuer = ?", issuer) })
}
