package store

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type sessions struct{ expiring[gateway.Session] }

// Sessions gives the signed-in browsers.
func (t tables) Sessions() gateway.SessionTable {
	return sessions{expiring[gateway.Session]{newRows(t, func(x *gateway.Session) *gateway.Row { return &x.Row })}}
}

func (s sessions) OfPerson(ctx context.Context, issuer, subject string) ([]gateway.Session, error) {
	return s.page(ctx, gateway.Slice{}, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("issuer = ?", issuer).Where("subject = ?", subject)
	})
}

func (s sessions) Subjects(ctx context.Context, issuer, sid string) ([]string, error) {
	out := []string{}
	err := s.r.NewSelect().Model((*gateway.Session)(nil)).Distinct().Column("subject").
		Where("issuer = ?", issuer).Where("sid = ?", sid).Where("sid <> ''").OrderExpr("subject").Scan(ctx, &out)
	return out, translate(err)
}

func (s sessions) End(ctx context.Context, issuer, subject, sid string) error {
	_, err := s.change(ctx, func(ctx context.Context) (sql.Result, error) {
		q := s.w.NewDelete().Model((*gateway.Session)(nil)).Where("issuer = ?", issuer).Where("subject = ?", subject)
		if sid != "" {
			q = q.Where("sid = ?", sid)
		}
		return q.Exec(ctx)
	})
	return err
}
