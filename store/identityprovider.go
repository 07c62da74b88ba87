package store

import (
	"context"
	"database/sql"
	"time"

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

func (p identityProviders) Hold(ctx context.Context, issuer string) (gateway.IdentityProvider, error) {
	return p.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery { return p.db.dialect.forShare(q.Where("issuer = ?", issuer)) })
}

func (p identityProviders) ShutOut(ctx context.Context, issuer string, now time.Time) (out gateway.ShutOut, err error) {
	of := func() *bun.SelectQuery {
		return p.r.NewSelect().Model((*gateway.Participant)(nil)).Where("issuer = ?", issuer)
	}
	if err := of().Distinct().Column("hub_id").Where("suspended_at IS NULL").Scan(ctx, &out.Hubs); err != nil {
		return out, translate(err)
	}
	end := func(n *int64, model any, column string, where func(*bun.UpdateQuery) *bun.UpdateQuery) {
		if err == nil {
			*n, err = p.change(ctx, func(ctx context.Context) (sql.Result, error) {
				return where(p.w.NewUpdate().Model(model).Set("version = version + 1").Set("updated_at = ?", now).
					Set("? = ?", bun.Ident(column), now).Where("? IS NULL", bun.Ident(column))).Exec(ctx)
			})
		}
	}
	end(&out.Families, (*gateway.TokenFamily)(nil), "revoked_at", func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Where("participant_id IN (?)", of().Column("id"))
	})
	end(&out.People, (*gateway.Participant)(nil), "suspended_at", func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Where("issuer = ?", issuer)
	})
	if err == nil {
		out.Sessions, err = p.change(ctx, func(ctx context.Context) (sql.Result, error) {
			return p.w.NewDelete().Model((*gateway.Session)(nil)).Where("issuer = ?", issuer).Exec(ctx)
		})
	}
	return out, err
}
