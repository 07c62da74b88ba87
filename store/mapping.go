package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type mappings struct{ rows[gateway.Mapping] }

// Mappings gives the mappings.
func (t tables) Mappings() gateway.MappingTable {
	return mappings{newRows(t, func(x *gateway.Mapping) *gateway.Row { return &x.Row }, "last_used_at")}
}

func (m mappings) ByParticipant(ctx context.Context, integrationID, participantID string) (gateway.Mapping, error) {
	return m.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("integration_id = ?", integrationID).Where("participant_id = ?", participantID)
	})
}

// conflictsFirst ranks the mappings in which an admin has to act before the others.
const conflictsFirst = "CASE WHEN mapping.state = 'conflict' THEN 1 ELSE 0 END"

// found is a mapping with the person's columns that lists show.
type found struct {
	bun.BaseModel `bun:"table:mappings,alias:mapping"`
	gateway.Mapping
	Name        string     `bun:"person_name,scanonly"`
	Email       string     `bun:"person_email,scanonly"`
	Verified    bool       `bun:"person_verified,scanonly"`
	SuspendedAt *time.Time `bun:"person_suspended,scanonly"`
}

func (m mappings) List(ctx context.Context, s gateway.Scope, f gateway.MappingFilter, w gateway.Slice) ([]gateway.MappedPerson, error) {
	var got []found
	q := m.r.NewSelect().Model(&got).ColumnExpr("mapping.*").
		ColumnExpr("p.name AS person_name, p.email AS person_email, p.email_verified AS person_verified, p.suspended_at AS person_suspended").
		Join("JOIN participants AS p ON p.id = mapping.participant_id").
		OrderExpr(conflictsFirst + " DESC, mapping.id DESC").Limit(limit(w.Limit))
	if s != gateway.AnyHub {
		q = q.Where("mapping.hub_id = ?", string(s))
	}
	if f.Text != "" {
		q = m.db.dialect.containsAny(q, f.Text, "p.name", "p.email", "mapping.platform_user_id")
	}
	if len(f.States) > 0 {
		q = q.Where("mapping.state IN (?)", bun.List(f.States))
	}
	if len(f.Hows) > 0 {
		q = q.Where("mapping.how IN (?)", bun.List(f.Hows))
	}
	if f.Person != "" {
		q = q.Where("mapping.participant_id = ?", f.Person)
	}
	if w.After != "" {
		rank, id := w.After[:1], w.After[1:]
		if strings.Trim(rank, "01") != "" {
			return nil, gateway.E(gateway.Invalid, "bad_cursor", "The cursor is not one of ours.").Next("Begin without a cursor.")
		}
		q = q.Where("("+conflictsFirst+" < ?0) OR ("+conflictsFirst+" = ?0 AND mapping.id < ?1)", int(rank[0]-'0'), id)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, translate(err)
	}
	out := make([]gateway.MappedPerson, len(got))
	for i, g := range got {
		out[i] = gateway.MappedPerson{Mapping: g.Mapping, Person: gateway.Participant{
			Row: gateway.Row{ID: g.ParticipantID, HubID: g.HubID}, Name: g.Name, Email: g.Email, EmailVerified: g.Verified, SuspendedAt: g.SuspendedAt,
		}}
	}
	return out, nil
}

func (m mappings) SetUsed(ctx context.Context, id string, at, unlessSince time.Time) error {
	_, err := m.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return m.w.NewUpdate().Model((*gateway.Mapping)(nil)).Set("last_used_at = ?", at).
			Where("id = ?", id).Where("last_used_at <= ?", unlessSince).Exec(ctx)
	})
	return err
}

func (m mappings) OfUser(ctx context.Context, in gateway.Integration, user string) ([]gateway.Mapping, error) {
	same := m.r.NewSelect().Model((*gateway.Integration)(nil)).Column("id").
		Where("service_url = ?", in.ServiceURL).Where("partner_id = ?", in.PartnerID)
	return m.page(ctx, gateway.Slice{}, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("platform_user_id = ?", user).Where("integration_id IN (?)", same)
	})
}

func (m mappings) People(ctx context.Context, s gateway.Scope, ids []string) (map[string]gateway.Participant, error) {
	out := map[string]gateway.Participant{}
	if len(ids) == 0 {
		return out, nil
	}
	var got []gateway.Participant
	if err := scoped(m.r.NewSelect().Model(&got), s).Where("id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
		return nil, translate(err)
	}
	for _, p := range got {
		out[p.ID] = p
	}
	return out, nil
}

type mappingRuns struct {
	rows[gateway.MappingRun]
}

// MappingRuns gives the dry runs and merges.
func (t tables) MappingRuns() gateway.MappingRunTable {
	return mappingRuns{newRows(t, func(x *gateway.MappingRun) *gateway.Row { return &x.Row })}
}

func (m mappingRuns) items() rows[gateway.MappingRunItem] {
	return newRows(tables{m.handles}, func(x *gateway.MappingRunItem) *gateway.Row { return &x.Row })
}

func (m mappingRuns) List(ctx context.Context, s gateway.Scope, kind gateway.MappingRunKind, mappingID string, w gateway.Slice) ([]gateway.MappingRun, error) {
	return m.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery {
		q = scoped(q, s)
		if kind != "" {
			q = q.Where("kind = ?", kind)
		}
		if mappingID != "" {
			q = q.Where("mapping_id = ?", mappingID)
		}
		return q
	})
}

func (m mappingRuns) Add(ctx context.Context, it *gateway.MappingRunItem) error {
	err := m.items().Insert(ctx, it)
	if gateway.CodeOf(err) == gateway.Conflict {
		return nil
	}
	return err
}

func (m mappingRuns) Items(ctx context.Context, runID string, outcomes []string, w gateway.Slice) ([]gateway.MappingRunItem, error) {
	out := []gateway.MappingRunItem{}
	q := m.r.NewSelect().Model(&out).Where("run_id = ?", runID).OrderExpr("id").Limit(limit(w.Limit))
	if len(outcomes) > 0 {
		q = q.Where("outcome IN (?)", bun.List(outcomes))
	}
	if w.After != "" {
		q = q.Where("id > ?", w.After)
	}
	return out, translate(q.Scan(ctx))
}

func (m mappingRuns) Settle(ctx context.Context, it *gateway.MappingRunItem) error {
	return m.items().set(ctx, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("outcome = ?", it.Outcome).Set("detail = ?", it.Detail).Where("id = ?", it.ID)
	})
}

func (m mappingRuns) Counts(ctx context.Context, runID string) (map[string]int, error) {
	var got []struct {
		Outcome string
		N       int
	}
	err := m.r.NewSelect().Model((*gateway.MappingRunItem)(nil)).Column("outcome").ColumnExpr("count(*) AS n").
		Where("run_id = ?", runID).GroupExpr("outcome").Scan(ctx, &got)
	out := map[string]int{}
	for _, g := range got {
		out[g.Outcome] = g.N
	}
	return out, translate(err)
}

func (m mappingRuns) Unfinished(ctx context.Context, w gateway.Slice) ([]gateway.MappingRun, error) {
	return m.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("state IN (?)", bun.List([]gateway.JobState{gateway.JobQueued, gateway.JobRunning, gateway.JobWaiting}))
	})
}

func (m mappingRuns) Trim(ctx context.Context, before time.Time) error {
	_, err := m.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return m.w.NewDelete().Model((*gateway.MappingRun)(nil)).Where("kind = ?", gateway.RunDryRun).Where("created_at < ?", before).Exec(ctx)
	})
	return err
}
