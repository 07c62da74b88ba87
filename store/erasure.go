package store

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type erasures struct{ rows[gateway.Erasure] }

// Erasures gives what was asked to be erased.
func (t tables) Erasures() gateway.ErasureTable {
	return erasures{newRows(t, func(x *gateway.Erasure) *gateway.Row { return &x.Row })}
}

func (e erasures) Unfinished(ctx context.Context, w gateway.Slice) ([]gateway.Erasure, error) {
	return e.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("finished_at IS NULL") })
}

type personalColumn struct {
	kind, table, column string
	of                  string // the table whose rows of the person the column names; none: it names the person
	where               string // in addition
	forget              bool   // deleted by Forget; else it is kept, or goes with the participant's row
}

// personal says what becomes of every column that names a participant. A test compares it with the
// schema, so that a new table with people in it is not forgotten.
var personal = []personalColumn{
	{kind: "mappings", table: "mappings", column: "participant_id"},
	{kind: "grants", table: "grants", column: "participant_id", where: "revoked_at IS NULL"},
	{kind: "token_families", table: "token_families", column: "participant_id"},
	{kind: "authorization_codes", table: "authorization_codes", column: "participant_id"},
	{kind: "uploads", table: "uploads", column: "participant_id", forget: true},
	{kind: "transfers", table: "transfers", column: "participant_id", forget: true},
	{kind: "library_private", table: "library_items", column: "participant_id", where: "NOT shared", forget: true},
	{kind: "library_shared", table: "library_items", column: "participant_id", where: "shared"},
	{kind: "library_changes", table: "library_changes", column: "participant_id"}, // numbers and ids for the sync, trimmed
	{kind: "jobs", table: "jobs", column: "participant_id", forget: true},
	{kind: "events", table: "events", column: "participant_id", forget: true},
	{kind: "drop_folders", table: "drop_folders", column: "participant_id"}, // the hub's; they stop until somebody takes them over
	{kind: "erasures", table: "erasures", column: "participant_id"},
	{kind: "mapping_runs", table: "mapping_runs", column: "mapping_id", of: "mappings", forget: true}, // name the person's platform users; and their items
	{kind: "mapping_run_items", table: "mapping_run_items", column: "subject", forget: true},
}

// personalTo limits a query to the rows that a column says are a participant's.
func personalTo[Q interface{ Where(string, ...any) Q }](e erasures, q Q, p personalColumn, participantID string) Q {
	if p.of == "" {
		q = q.Where("? = ?", bun.Ident(p.column), participantID)
	} else {
		q = q.Where("? IN (?)", bun.Ident(p.column), e.r.NewSelect().Table(p.of).Column("id").Where("participant_id = ?", participantID))
	}
	if p.where != "" {
		q = q.Where(p.where)
	}
	return q
}

func (e erasures) Count(ctx context.Context, hubID, participantID string) (map[string]int64, error) {
	out := map[string]int64{}
	for _, p := range personal {
		q := e.r.NewSelect().Table(p.table).Where("hub_id = ?", hubID)
		n, err := personalTo(e, q, p, participantID).Count(ctx)
		if err != nil {
			return nil, translate(err)
		}
		out[p.kind] = int64(n)
	}
	n, err := e.r.NewSelect().Table("audit_records").Where("hub_id = ?", hubID).
		Where("actor = ? OR subject = ?", "participant:"+participantID, participantID).Count(ctx)
	out["audit"] = int64(n)
	return out, translate(err)
}

func (e erasures) Forget(ctx context.Context, hubID, participantID string) (map[string]int64, error) {
	// What manifests of theirs say of items that failed is no longer tried.
	if _, err := e.change(ctx, func(ctx context.Context) (sql.Result, error) {
		sent := e.r.NewSelect().Table("uploads").Column("id").Where("hub_id = ?", hubID).Where("participant_id = ?", participantID)
		manifests := e.r.NewSelect().Table("drop_files").Column("id").Where("manifest").Where("upload_id IN (?)", sent)
		return e.w.NewUpdate().Table("drop_items").Set("data = NULL").Where("state = 'failed'").Where("file_id IN (?)", manifests).Exec(ctx)
	}); err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, p := range personal {
		if !p.forget {
			continue
		}
		n, err := e.change(ctx, func(ctx context.Context) (sql.Result, error) {
			q := e.w.NewDelete().Table(p.table).Where("hub_id = ?", hubID)
			return personalTo(e, q, p, participantID).Exec(ctx)
		})
		if err != nil {
			return nil, err
		}
		out[p.kind] = n
	}
	return out, nil
}
