package store

import (
	"context"
	"database/sql"
	"reflect"
	"strings"

	"github.com/uptrace/bun"

	"isthmus/gateway"
	"isthmus/integrations/kaltura/platform"
)

var _ platform.Records = (*DB)(nil)

// Kaltura gives the tables of the embedded platform outside of a transaction.
func (db *DB) Kaltura() platform.Tables { return kalturaTables{db.tables} }

// KalturaTx runs f in one transaction over the platform's tables and the gateway's.
func (db *DB) KalturaTx(ctx context.Context, f func(platform.Tx) error) error {
	return db.Tx(ctx, func(t gateway.Tx) error { return f(kalturaTx{t.(*Tx)}) })
}

// kalturaTx is a transaction that the platform runs in. It is a gateway.Tx as well.
type kalturaTx struct{ *Tx }

func (tx kalturaTx) Kaltura() platform.Tables { return kalturaTables{tx.tables} }

type kalturaTables struct{ tables }

func (t kalturaTables) Accounts() platform.Table[platform.AccountRow] {
	return kalturaRows(t.tables, "kaltura_accounts", func(x *platform.AccountRow) *platform.Row { return &x.Row })
}

func (t kalturaTables) Users() platform.Table[platform.User] {
	return kalturaRows(t.tables, "kaltura_users", func(x *platform.User) *platform.Row { return &x.Row })
}

func (t kalturaTables) Sessions() platform.Table[platform.Session] {
	return kalturaRows(t.tables, "kaltura_sessions", func(x *platform.Session) *platform.Row { return &x.Row })
}

func (t kalturaTables) AppTokens() platform.Table[platform.AppToken] {
	return kalturaRows(t.tables, "kaltura_app_tokens", func(x *platform.AppToken) *platform.Row { return &x.Row })
}

func (t kalturaTables) UploadTokens() platform.Table[platform.UploadToken] {
	return kalturaRows(t.tables, "kaltura_upload_tokens", func(x *platform.UploadToken) *platform.Row { return &x.Row })
}

func (t kalturaTables) Entries() platform.Table[platform.Entry] {
	return kalturaRows(t.tables, "kaltura_entries", func(x *platform.Entry) *platform.Row { return &x.Row })
}

func (t kalturaTables) Flavors() platform.Table[platform.Flavor] {
	return kalturaRows(t.tables, "kaltura_flavors", func(x *platform.Flavor) *platform.Row { return &x.Row })
}

func (t kalturaTables) AccessControls() platform.Table[platform.AccessControl] {
	return kalturaRows(t.tables, "kaltura_access_controls", func(x *platform.AccessControl) *platform.Row { return &x.Row })
}

func (t kalturaTables) DropFolders() platform.Table[platform.DropFolder] {
	return kalturaRows(t.tables, "kaltura_drop_folders", func(x *platform.DropFolder) *platform.Row { return &x.Row })
}

func (t kalturaTables) DropFolderFiles() platform.Table[platform.DropFolderFile] {
	return kalturaRows(t.tables, "kaltura_drop_folder_files", func(x *platform.DropFolderFile) *platform.Row { return &x.Row })
}

func (t kalturaTables) Jobs() platform.Table[platform.Job] {
	return kalturaRows(t.tables, "kaltura_batch_jobs", func(x *platform.Job) *platform.Row { return &x.Row })
}

func (t kalturaTables) Categories() platform.Table[platform.Category] {
	return kalturaRows(t.tables, "kaltura_categories", func(x *platform.Category) *platform.Row { return &x.Row })
}

func (t kalturaTables) CategoryEntries() platform.Table[platform.CategoryEntry] {
	return kalturaRows(t.tables, "kaltura_category_entries", func(x *platform.CategoryEntry) *platform.Row { return &x.Row })
}

func (t kalturaTables) CategoryUsers() platform.Table[platform.CategoryUser] {
	return kalturaRows(t.tables, "kaltura_category_users", func(x *platform.CategoryUser) *platform.Row { return &x.Row })
}

func (t kalturaTables) Captions() platform.Table[platform.Caption] {
	return kalturaRows(t.tables, "kaltura_captions", func(x *platform.Caption) *platform.Row { return &x.Row })
}

func (t kalturaTables) Thumbs() platform.Table[platform.Thumb] {
	return kalturaRows(t.tables, "kaltura_thumbs", func(x *platform.Thumb) *platform.Row { return &x.Row })
}

func (t kalturaTables) MetadataProfiles() platform.Table[platform.MetadataProfile] {
	return kalturaRows(t.tables, "kaltura_metadata_profiles", func(x *platform.MetadataProfile) *platform.Row { return &x.Row })
}

func (t kalturaTables) Metadata() platform.Table[platform.Metadata] {
	return kalturaRows(t.tables, "kaltura_metadata", func(x *platform.Metadata) *platform.Row { return &x.Row })
}

// kalturaTable implements platform.Table for every noun.
type kalturaTable[T any] struct {
	handles
	name string
	base func(*T) *platform.Row
}

func kalturaRows[T any](t tables, name string, base func(*T) *platform.Row) kalturaTable[T] {
	return kalturaTable[T]{handles: t.handles, name: name, base: base}
}

// ofPartner limits a query to an account; 0 means any.
func ofPartner[Q interface{ Where(string, ...any) Q }](q Q, partner int64) Q {
	if partner == 0 {
		return q
	}
	return q.Where("partner_id = ?", partner)
}

func (k kalturaTable[T]) Get(ctx context.Context, partner int64, id string) (T, error) {
	var row, zero T
	q := k.r.NewSelect().Model(&row).ModelTableExpr("? AS ?TableAlias", bun.Ident(k.name)).Where("id = ?", id)
	if err := ofPartner(q, partner).Limit(1).Scan(ctx); err != nil {
		return zero, translate(err)
	}
	return row, nil
}

func (k kalturaTable[T]) Insert(ctx context.Context, row *T) error {
	b := k.base(row)
	before := *b
	now := k.db.clock()
	b.Version, b.CreatedAt, b.UpdatedAt = 1, now, now
	k.cutTimes(row)
	n, err := k.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return k.w.NewInsert().Model(row).ModelTableExpr("?", bun.Ident(k.name)).On("CONFLICT DO NOTHING").Returning("NULL").Exec(ctx)
	})
	if err == nil && n == 0 {
		err = alreadyExists()
	}
	if err != nil {
		*b = before
	}
	return err
}

func (k kalturaTable[T]) Update(ctx context.Context, row *T) error {
	b := k.base(row)
	before := *b
	b.Version, b.UpdatedAt = b.Version+1, k.db.clock()
	k.cutTimes(row)
	n, err := k.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return k.w.NewUpdate().Model(row).ModelTableExpr("? AS ?TableAlias", bun.Ident(k.name)).
			ExcludeColumn("partner_id", "id", "created_at").
			Where("partner_id = ?", b.Partner).Where("id = ?", b.ID).Where("version = ?", before.Version).
			Returning("NULL").Exec(ctx)
	})
	if err == nil && n == 0 {
		err = changedMeanwhile()
	}
	if err != nil {
		*b = before
	}
	return err
}

func (k kalturaTable[T]) Delete(ctx context.Context, partner int64, id string) error {
	_, err := k.change(ctx, func(ctx context.Context) (sql.Result, error) {
		q := k.w.NewDelete().Model((*T)(nil)).ModelTableExpr("? AS ?TableAlias", bun.Ident(k.name)).Where("id = ?", id)
		return ofPartner(q, partner).Exec(ctx)
	})
	return err
}

func (k kalturaTable[T]) Find(ctx context.Context, f platform.Find) ([]T, error) {
	out := []T{}
	q, err := k.where(k.r.NewSelect().Model(&out), f)
	if err != nil {
		return nil, err
	}
	for _, o := range append(f.Order, platform.Order{Column: "id"}) {
		if err := k.column(o.Column); err != nil {
			return nil, err
		}
		q = q.OrderExpr(map[bool]string{false: "? ASC", true: "? DESC"}[o.Desc], bun.Ident(o.Column))
	}
	if f.Limit > 0 {
		q = q.Limit(int64(f.Limit)).Offset(int64(f.Offset))
	}
	return out, translate(q.Scan(ctx))
}

func (k kalturaTable[T]) Count(ctx context.Context, f platform.Find) (int, error) {
	q, err := k.where(k.r.NewSelect().Model((*T)(nil)), f)
	if err != nil {
		return 0, err
	}
	n, err := q.Count(ctx)
	return int(n), translate(err)
}

func (k kalturaTable[T]) where(q *bun.SelectQuery, f platform.Find) (*bun.SelectQuery, error) {
	text, values, err := k.condition(f.Where)
	if err != nil {
		return nil, err
	}
	q = ofPartner(q.ModelTableExpr("? AS ?TableAlias", bun.Ident(k.name)), f.Partner)
	if text != "" {
		q = q.Where(text, values...)
	}
	return q, nil
}

// column refuses names that are no columns of the noun.
func (k kalturaTable[T]) column(name string) error {
	if _, ok := k.db.write.Table(reflect.TypeFor[T]()).FieldMap[name]; !ok {
		return gateway.E(gateway.Internal, "", "A listing asked for an unknown column.")
	}
	return nil
}

// condition writes a condition as SQL with its values. Empty text means no restriction.
func (k kalturaTable[T]) condition(c platform.Cond) (string, []any, error) {
	switch c.Op {
	case platform.OpAll, "":
		return k.join(c.Of, " AND ", "")
	case platform.OpAny:
		return k.join(c.Of, " OR ", "1 = 0")
	case platform.OpNot:
		text, values, err := k.condition(c.Of[0])
		if text == "" {
			text = "1 = 1"
		}
		return "NOT (" + text + ")", values, err
	}
	if err := k.column(c.Column); err != nil {
		return "", nil, err
	}
	col := bun.Ident(c.Column)
	literal := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace
	switch c.Op {
	case platform.OpIn:
		if len(c.Values) == 0 {
			return "1 = 0", nil, nil
		}
		return "? IN (?)", []any{col, bun.List(c.Values)}, nil
	case platform.OpAtLeast:
		return "? >= ?", []any{col, c.Values[0]}, nil
	case platform.OpAtMost:
		return "? <= ?", []any{col, c.Values[0]}, nil
	case platform.OpContains:
		return `? LIKE ? ESCAPE '\'`, []any{col, "%" + literal(c.Text) + "%"}, nil
	case platform.OpPrefix:
		return `lower(?) LIKE ? ESCAPE '\'`, []any{col, literal(strings.ToLower(c.Text)) + "%"}, nil
	}
	return "", nil, gateway.E(gateway.Internal, "", "A listing asked for an unknown comparison.")
}

func (k kalturaTable[T]) join(of []platform.Cond, with, none string) (string, []any, error) {
	var parts []string
	var values []any
	for _, c := range of {
		text, v, err := k.condition(c)
		if err != nil {
			return "", nil, err
		}
		if text == "" { // no restriction: alone it makes an alternative true
			if with == " OR " {
				return "", nil, nil
			}
			continue
		}
		parts = append(parts, text)
		values = append(values, v...)
	}
	if len(parts) == 0 {
		if len(of) > 0 {
			none = ""
		}
		return none, nil, nil
	}
	return "(" + strings.Join(parts, with) + ")", values, nil
}
