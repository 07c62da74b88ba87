package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type clients struct{ rows[gateway.Client] }

// Clients gives the OAuth clients.
func (t tables) Clients() gateway.ClientTable {
	return clients{newRows(t, func(x *gateway.Client) *gateway.Row { return &x.Row }, "last_used_at")}
}

func (c clients) List(ctx context.Context, s gateway.Scope, w gateway.Slice) ([]gateway.Client, error) {
	return c.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery { return scoped(q, s) })
}

// HasOrigin looks for the origin as it stands in the JSON, in quotes.
func (c clients) HasOrigin(ctx context.Context, origin string) (bool, error) {
	quoted, err := json.Marshal(origin)
	if err != nil {
		return false, err
	}
	pattern := "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(string(quoted)) + "%"
	ok, err := c.r.NewSelect().Model((*gateway.Client)(nil)).
		Where("CAST(origins AS text) LIKE ? ESCAPE '!'", pattern).Where("disabled_at IS NULL").Exists(ctx)
	return ok, translate(err)
}

func (c clients) SetLastUsed(ctx context.Context, id string, at time.Time) error {
	return c.set(ctx, func(q *bun.UpdateQuery) *bun.UpdateQuery { return q.Set("last_used_at = ?", at).Where("id = ?", id) })
}

type grants struct{ rows[gateway.Grant] }

// Grants gives what people allow clients.
func (t tables) Grants() gateway.GrantTable {
	return grants{newRows(t, func(x *gateway.Grant) *gateway.Row { return &x.Row }, "last_used_at")}
}

func (g grants) Latest(ctx context.Context, clientID, participantID string) (gateway.Grant, error) {
	return g.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("client_id = ?", clientID).Where("participant_id = ?", participantID).
			OrderExpr("CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END").OrderExpr("id DESC")
	})
}

func (g grants) OfParticipant(ctx context.Context, participantID string, w gateway.Slice) ([]gateway.Grant, error) {
	return g.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("participant_id = ?", participantID) })
}

func (g grants) SetLastUsed(ctx context.Context, id string, at time.Time) error {
	return g.set(ctx, func(q *bun.UpdateQuery) *bun.UpdateQuery { return q.Set("last_used_at = ?", at).Where("id = ?", id) })
}

// Stands is asked with every request that carries a token, hence one query.
func (g grants) Stands(ctx context.Context, b gateway.Bearer) ([]string, error) {
	var c gateway.Client
	q := g.r.NewSelect().Model(&c).Column("scopes").
		Where("client.id = ?", b.ClientID).Where("client.hub_id IN ('', ?)", b.HubID).Where("client.disabled_at IS NULL").
		Where("NOT EXISTS (?)", g.r.NewSelect().Model((*gateway.SpentToken)(nil)).ColumnExpr("1").Where("spent_token.id = ?", b.TokenID))
	if b.ParticipantID != "" {
		q = q.Where("EXISTS (?)", g.r.NewSelect().Model((*gateway.Grant)(nil)).ColumnExpr("1").
			Where(`"grant".id = ?`, b.GrantID).Where(`"grant".hub_id = ?`, b.HubID).Where(`"grant".client_id = ?`, b.ClientID).
			Where(`"grant".participant_id = ?`, b.ParticipantID).Where(`"grant".revoked_at IS NULL`))
	}
	if b.FamilyID != "" {
		q = q.Where("EXISTS (?)", g.r.NewSelect().Model((*gateway.TokenFamily)(nil)).ColumnExpr("1").
			Where("token_family.id = ?", b.FamilyID).Where("token_family.grant_id = ?", b.GrantID).Where("token_family.revoked_at IS NULL"))
	}
	err := q.Scan(ctx)
	return c.Scopes, translate(err)
}

// AuthorizationRequests gives the requests that wait for a person.
func (t tables) AuthorizationRequests() gateway.ExpiringRows[gateway.AuthorizationRequest] {
	return expiring[gateway.AuthorizationRequest]{newRows(t, func(x *gateway.AuthorizationRequest) *gateway.Row { return &x.Row })}
}

// AuthorizationCodes gives the codes.
func (t tables) AuthorizationCodes() gateway.ExpiringRows[gateway.AuthorizationCode] {
	return expiring[gateway.AuthorizationCode]{newRows(t, func(x *gateway.AuthorizationCode) *gateway.Row { return &x.Row })}
}

// TokenFamilies gives the families of refresh tokens.
func (t tables) TokenFamilies() gateway.ExpiringRows[gateway.TokenFamily] {
	return expiring[gateway.TokenFamily]{newRows(t, func(x *gateway.TokenFamily) *gateway.Row { return &x.Row })}
}

// RefreshTokens gives the refresh tokens.
func (t tables) RefreshTokens() gateway.ExpiringRows[gateway.RefreshToken] {
	return expiring[gateway.RefreshToken]{newRows(t, func(x *gateway.RefreshToken) *gateway.Row { return &x.Row })}
}

type spentTokens struct{ expiring[gateway.SpentToken] }

// SpentTokens gives what must not be taken again.
func (t tables) SpentTokens() gateway.SpentTable {
	return spentTokens{expiring[gateway.SpentToken]{newRows(t, func(x *gateway.SpentToken) *gateway.Row { return &x.Row })}}
}

func (s spentTokens) Take(ctx context.Context, row *gateway.SpentToken) (bool, error) {
	err := s.Insert(ctx, row)
	if gateway.CodeOf(err) == gateway.Conflict {
		return false, nil
	}
	return err == nil, err
}

type devices struct{ expiring[gateway.DeviceCode] }

// DeviceCodes gives the devices that wait for a decision.
func (t tables) DeviceCodes() gateway.DeviceTable {
	return devices{expiring[gateway.DeviceCode]{newRows(t, func(x *gateway.DeviceCode) *gateway.Row { return &x.Row })}}
}

func (d devices) ByUserCode(ctx context.Context, hash string) (gateway.DeviceCode, error) {
	return d.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("user_code_hash = ?", hash) })
}
