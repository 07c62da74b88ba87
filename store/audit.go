package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type audits struct{ handles }

// Audit gives the audit log.
func (t tables) Audit() gateway.AuditTable { return audits(t) }

// Insert keeps a record back until the end of its transaction.
func (a audits) Insert(ctx context.Context, r *gateway.AuditRecord) error {
	if r.ID == "" {
		return gateway.E(gateway.Internal, "", "A row without an id was inserted.")
	}
	if a.tx == nil {
		return a.db.Tx(ctx, func(tx gateway.Tx) error { return tx.Audit().Insert(ctx, r) })
	}
	a.tx.audits = append(a.tx.audits, r)
	return nil
}

// writeAudits adds what Insert kept back to the chains. The head of each chain is locked, so that
// two transactions never follow the same record; and it is locked as late as possible, hubs in the order of their ids and
// before the event log, so that no two transactions wait for each other.
func (tx *Tx) writeAudits(ctx context.Context) error {
	if len(tx.audits) == 0 {
		return nil
	}
	byHub := map[string][]*gateway.AuditRecord{}
	for _, r := range tx.audits {
		byHub[r.HubID] = append(byHub[r.HubID], r)
	}
	for _, hub := range slices.Sorted(maps.Keys(byHub)) {
		head, err := tx.lockHead(ctx, hub)
		if err != nil {
			return err
		}
		good := head.Sealing
		for _, r := range byHub[hub] {
			now := tx.db.clock()
			r.Version, r.CreatedAt, r.UpdatedAt = 1, now, now
			tx.cutTimes(r)
			r.Seq, r.Prev = head.Seq+1, head.Hash
			err := tx.append(ctx, r)
			if gateway.IsReason(err, "already_exists") {
				// Somebody put a record there past us. The chain is broken for good and says so, but what is
				// done must be noted all the same.
				if err = tx.bun.NewSelect().Model((*gateway.AuditRecord)(nil)).ColumnExpr("max(seq) + 1").Where("hub_id = ?", hub).Scan(ctx, &r.Seq); err != nil {
					return translate(err)
				}
				err = tx.append(ctx, r)
			}
			if err != nil {
				return err
			}
			head.Seq, head.Hash = r.Seq, r.Hash
		}
		if err := tx.putHead(ctx, head, good); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) append(ctx context.Context, r *gateway.AuditRecord) error {
	r.Hash = r.Digest()
	n, err := tx.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return tx.bun.NewInsert().Model(r).On("CONFLICT DO NOTHING").Returning("NULL").Exec(ctx)
	})
	if err == nil && n == 0 {
		err = alreadyExists()
	}
	return err
}

// lockHead gives the head of a hub's chain and keeps others from it until the transaction ends. A
// chain that has none gets one without a seal: every hub is made with a head, so somebody deleted it.
func (tx *Tx) lockHead(ctx context.Context, hub string) (gateway.AuditHead, error) {
	a := audits{tx.handles}
	read := func() (h gateway.AuditHead, err error) {
		q := tx.bun.NewSelect().Model(&h).Where("hub_id = ?", hub)
		return h, tx.db.dialect.forUpdate(q).Scan(ctx)
	}
	h, err := read()
	if errors.Is(err, sql.ErrNoRows) {
		var last gateway.AuditRecord
		err = tx.bun.NewSelect().Model(&last).Where("hub_id = ?", hub).OrderExpr("seq DESC").Limit(1).Scan(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return h, translate(err)
		}
		lost := gateway.AuditHead{HubID: hub, Seq: last.Seq, Hash: last.Hash}
		if _, err = tx.bun.NewInsert().Model(&lost).On("CONFLICT DO NOTHING").Returning("NULL").Exec(ctx); err != nil {
			return h, translate(err)
		}
		h, err = read()
	}
	if err != nil {
		return h, translate(err)
	}
	return a.sealing(h)
}

// putHead writes a head. One whose seal was not right before gets none that is: writing on must not
// make good what somebody did to the chain.
func (tx *Tx) putHead(ctx context.Context, h gateway.AuditHead, before gateway.AuditSealing) error {
	if before == gateway.SealGood {
		if err := tx.db.seal(&h); err != nil {
			return err
		}
	}
	_, err := tx.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return tx.bun.NewUpdate().Model(&h).Where("hub_id = ?", h.HubID).Returning("NULL").Exec(ctx)
	})
	return err
}

// newHead begins the chain of a hub that is made.
func (tx *Tx) newHead(ctx context.Context, hub string) error {
	h := gateway.AuditHead{HubID: hub}
	if err := tx.db.seal(&h); err != nil {
		return err
	}
	_, err := tx.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return tx.bun.NewInsert().Model(&h).On("CONFLICT DO NOTHING").Returning("NULL").Exec(ctx)
	})
	return err
}

// seal seals a head, when this process has a key.
func (db *DB) seal(h *gateway.AuditHead) (err error) {
	if s := db.sealer.Load(); s != nil {
		h.Seal, err = (*s).Seal(h.Sealable(), h.Place())
	}
	return err
}

// sealing finds out whether the seal of a head is right.
func (a audits) sealing(h gateway.AuditHead) (gateway.AuditHead, error) {
	s := a.db.sealer.Load()
	switch {
	case s == nil:
		h.Sealing = gateway.SealUnused
		return h, nil
	case len(h.Seal) == 0:
		h.Sealing = gateway.SealMissing
		return h, nil
	}
	said, err := (*s).Open(h.Seal, h.Place())
	if h.Sealing = gateway.SealGood; err != nil || said != h.Sealable() {
		h.Sealing = gateway.SealBroken
	}
	return h, nil
}

// SealAudits gives the key with which the heads of the audit log are sealed from now on. Those of a
// database that was chained just now are sealed at once; later a head without a seal is a sign of tampering.
func (db *DB) SealAudits(ctx context.Context, s gateway.Sealer) error {
	db.sealer.Store(&s)
	if !db.chained {
		return nil
	}
	db.chained = false
	return db.Tx(ctx, func(t gateway.Tx) error {
		tx := t.(*Tx)
		var bare []string
		if err := tx.bun.NewSelect().Model((*gateway.AuditHead)(nil)).Column("hub_id").Where("seal IS NULL").OrderExpr("hub_id").Scan(ctx, &bare); err != nil {
			return translate(err)
		}
		for _, hub := range bare {
			h, err := tx.lockHead(ctx, hub)
			if err != nil {
				return err
			}
			if err := tx.putHead(ctx, h, gateway.SealGood); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a audits) List(ctx context.Context, s gateway.Scope, f gateway.AuditFilter, w gateway.Slice) ([]gateway.AuditRecord, error) {
	out := []gateway.AuditRecord{}
	q := scoped(a.r.NewSelect().Model(&out), s).Limit(limit(w.Limit))
	if f.Actor != "" {
		people := scoped(a.r.NewSelect().Model((*gateway.Participant)(nil)), s).ColumnExpr("'participant:' || id")
		apps := a.r.NewSelect().Model((*gateway.Client)(nil)).Column("id")
		people, apps = a.db.dialect.containsAny(people, f.Actor, "name", "email"), a.db.dialect.contains(apps, "name", f.Actor)
		q = q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("actor IN (?)", bun.List([]string{f.Actor, "participant:" + f.Actor, "client:" + f.Actor})).
				WhereOr("client_id = ?", strings.TrimPrefix(f.Actor, "client:")).
				WhereOr("substr(actor, 1, ?) = ?", len(f.Actor)+1, f.Actor+":").
				WhereOr("actor IN (?)", people).WhereOr("client_id IN (?)", apps).WhereOr("substr(actor, 8) IN (?)", apps)
		})
	}
	switch area := strings.TrimSuffix(f.Action, "."); {
	case f.Action != "" && !strings.Contains(area, "."):
		q = q.Where("substr(action, 1, ?) = ?", len(area)+1, area+".")
	case f.Action != "":
		q = q.Where("action = ?", f.Action)
	}
	if f.Subject != "" {
		q = q.Where("subject = ?", f.Subject)
	}
	if !f.From.IsZero() {
		q = q.Where("created_at >= ?", f.From)
	}
	if !f.To.IsZero() {
		q = q.Where("created_at < ?", f.To)
	}
	order, beyond := "seq DESC, id DESC", "seq < ?"
	if f.Oldest {
		order, beyond = "seq, id", "seq > ?"
	}
	if w.After != "" {
		after, err := strconv.ParseInt(w.After, 10, 64)
		if err != nil {
			return nil, gateway.E(gateway.Invalid, "bad_cursor", "The cursor is not one of ours.").Next("Begin without a cursor.")
		}
		q = q.Where(beyond, after)
	}
	return out, translate(q.OrderExpr(order).Scan(ctx))
}

func (a audits) Walk(ctx context.Context, hubID string, after, until int64, n int) ([]gateway.AuditRecord, error) {
	out := []gateway.AuditRecord{}
	err := a.r.NewSelect().Model(&out).Where("hub_id = ?", hubID).Where("seq > ?", after).Where("seq <= ?", until).
		OrderExpr("seq, id").Limit(limit(n)).Scan(ctx)
	return out, translate(err)
}

// headRow is a head with the highest number among the records, both as of the same moment.
type headRow struct {
	bun.BaseModel `bun:"table:audit_heads,alias:h"`
	gateway.AuditHead
	Most int64 `bun:"most,scanonly"`
}

func (a audits) heads(q *bun.SelectQuery) *bun.SelectQuery {
	return q.ColumnExpr("h.*").ColumnExpr("coalesce((SELECT max(seq) FROM audit_records AS r WHERE r.hub_id = h.hub_id), 0) AS most")
}

func (a audits) Head(ctx context.Context, hubID string) (gateway.AuditHead, error) {
	var row headRow
	if err := a.heads(a.r.NewSelect().Model(&row)).Where("h.hub_id = ?", hubID).Scan(ctx); err != nil {
		return gateway.AuditHead{}, translate(err)
	}
	row.Last = row.Most
	return a.sealing(row.AuditHead)
}

func (a audits) Heads(ctx context.Context, after string, n int) ([]gateway.AuditHead, error) {
	var rows []headRow
	q := a.heads(a.r.NewSelect().Model(&rows)).OrderExpr("h.hub_id").Limit(limit(n))
	if after != "" {
		q = q.Where("h.hub_id > ?", after)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, translate(err)
	}
	out := make([]gateway.AuditHead, len(rows))
	for i, row := range rows {
		row.Last = row.Most
		out[i], _ = a.sealing(row.AuditHead)
	}
	return out, nil
}

func (a audits) Trim(ctx context.Context, hubID string, to gateway.AuditMark) error {
	if a.tx == nil {
		return gateway.E(gateway.Internal, "", "Trimming needs a transaction.")
	}
	h, err := a.tx.lockHead(ctx, hubID)
	if err != nil {
		return err
	}
	if to.Seq <= h.FromSeq || to.Seq > h.Seq {
		return changedMeanwhile()
	}
	if _, err := a.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return a.w.NewDelete().Model((*gateway.AuditRecord)(nil)).Where("hub_id = ?", hubID).
			Where("seq > ?", h.FromSeq).Where("seq <= ?", to.Seq).Exec(ctx)
	}); err != nil {
		return err
	}
	h.FromSeq, h.FromHash = to.Seq, to.Hash
	return a.tx.putHead(ctx, h, h.Sealing)
}

// auditStep is the migration that chains the audit log.
const auditStep = "mappings_audit"

// chainOldAudits chains what was written before there was a chain, in the order of its ids, and
// gives every hub a head. It is part of the migration: nothing that comes later without a link is
// taken into a chain any more.
func (db *DB) chainOldAudits(ctx context.Context, tx bun.Tx) error {
	db.chained = true
	var hubs []string
	if err := tx.NewRaw("SELECT '' AS id UNION SELECT id FROM hubs UNION SELECT hub_id FROM audit_records ORDER BY 1").Scan(ctx, &hubs); err != nil {
		return err
	}
	for _, hub := range hubs {
		head := gateway.AuditHead{HubID: hub}
		for last := ""; ; {
			var rows []gateway.AuditRecord
			if err := tx.NewSelect().Model(&rows).Where("hub_id = ?", hub).Where("id > ?", last).OrderExpr("id").Limit(500).Scan(ctx); err != nil {
				return err
			}
			for _, r := range rows {
				last = r.ID
				r.Seq, r.Prev = head.Seq+1, head.Hash
				r.Hash = r.Digest()
				if _, err := tx.NewUpdate().Model(&r).Column("seq", "prev", "hash").Where("id = ?", r.ID).Returning("NULL").Exec(ctx); err != nil {
					return err
				}
				head.Seq, head.Hash = r.Seq, r.Hash
			}
			if len(rows) < 500 {
				break
			}
		}
		if _, err := tx.NewInsert().Model(&head).Returning("NULL").Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}
