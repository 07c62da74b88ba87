package store_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/migrations"
	"isthmus/secrets"
	"isthmus/store"
	"isthmus/store/storetest"
)

// auditing is a hub with a sealed audit log.
type auditing struct {
	t     *testing.T
	o     store.Options
	db    *store.DB
	keys  *secrets.Keyring
	clock *gatewaytest.Clock
	s     *gateway.Audits
	hub   string
}

func newAuditing(t *testing.T, o store.Options) *auditing {
	t.Helper()
	a := &auditing{t: t, o: o, clock: gatewaytest.NewClock()}
	o.Clock = a.clock.Now
	a.db = storetest.Open(t, o)
	var err error
	a.keys, err = secrets.OpenKeyring(t.TempDir(), true)
	must(t, err)
	must(t, a.db.SealAudits(t.Context(), a.keys))
	a.s = &gateway.Audits{Store: a.db, Clock: a.clock.Now}
	a.hub = hub(t, a.db).ID
	return a
}

func record(hub, action string) *gateway.AuditRecord {
	return &gateway.AuditRecord{Row: row("aud", hub), Actor: "participant:par_1", Action: action, Subject: "x", Data: json.RawMessage(`{"n": 1.0, "a": "é"}`)}
}

func (a *auditing) write(n int) {
	a.t.Helper()
	for i := range n {
		must(a.t, a.db.Audit().Insert(a.t.Context(), record(a.hub, fmt.Sprint("act.", i))))
	}
}

func (a *auditing) verify() gateway.AuditCheck {
	a.t.Helper()
	c, err := a.s.VerifyHub(a.t.Context(), a.hub, nil)
	must(a.t, err)
	return c
}

func (a *auditing) exec(statement string, args ...any) {
	a.t.Helper()
	db := raw(a.t, a.o)
	if a.o.DSN == "" {
		statement = strings.NewReplacer("$1", "?1", "$2", "?2", "$3", "?3").Replace(statement)
	}
	_, err := db.ExecContext(a.t.Context(), statement, args...)
	must(a.t, err)
}

// Whoever changes the log by SQL is found out, and where.
func TestAuditTampering(t *testing.T) {
	const n = 9
	forged := func(a *auditing, r gateway.AuditRecord) {
		r.Hash = r.Digest()
		a.exec("UPDATE audit_records SET actor = $1, hash = $2 WHERE id = $3", r.Actor, r.Hash, r.ID)
	}
	at := func(a *auditing, seq int64) gateway.AuditRecord {
		rows, err := a.db.Audit().Walk(a.t.Context(), a.hub, seq-1, seq, 1)
		if err != nil || len(rows) != 1 {
			a.t.Fatal(rows, err)
		}
		return rows[0]
	}
	rechain := func(a *auditing, from int64, change func(*gateway.AuditRecord)) gateway.AuditRecord {
		prev := at(a, from).Prev
		var r gateway.AuditRecord
		for seq := from; seq <= n; seq++ {
			r = at(a, seq)
			change(&r)
			r.Prev = prev
			r.Hash = r.Digest()
			prev = r.Hash
			a.exec("UPDATE audit_records SET actor = $1, hash = $2 WHERE id = $3", r.Actor, r.Hash, r.ID)
			a.exec("UPDATE audit_records SET prev = $1 WHERE id = $2", r.Prev, r.ID)
		}
		return r
	}
	cases := map[string]struct {
		do   func(a *auditing)
		kind string
		seq  int64
	}{
		"untouched": {func(*auditing) {}, "", 0},
		"actor changed": {func(a *auditing) {
			a.exec("UPDATE audit_records SET actor = 'nobody' WHERE hub_id = $1 AND seq = 4", a.hub)
		}, "changed", 4},
		"time changed": {func(a *auditing) {
			a.exec("UPDATE audit_records SET created_at = '2020-01-01 00:00:00+00:00' WHERE hub_id = $1 AND seq = 4", a.hub)
		}, "changed", 4},
		"data changed": {func(a *auditing) { a.exec("UPDATE audit_records SET data = '{}' WHERE hub_id = $1 AND seq = 1", a.hub) }, "changed", 1},
		"request changed": {func(a *auditing) {
			a.exec("UPDATE audit_records SET request_id = 'r' WHERE hub_id = $1 AND seq = 9", a.hub)
		}, "changed", 9},
		"changed with its own hash": {func(a *auditing) {
			r := at(a, 4)
			r.Actor = "nobody"
			forged(a, r)
		}, "replaced", 5},
		"last changed with its own hash": {func(a *auditing) {
			r := at(a, n)
			r.Actor = "nobody"
			forged(a, r)
		}, "replaced", n},
		"deleted":       {func(a *auditing) { a.exec("DELETE FROM audit_records WHERE hub_id = $1 AND seq = 4", a.hub) }, "missing", 4},
		"first deleted": {func(a *auditing) { a.exec("DELETE FROM audit_records WHERE hub_id = $1 AND seq <= 3", a.hub) }, "missing", 1},
		"inserted before": {func(a *auditing) {
			a.exec("UPDATE audit_records SET seq = 0 WHERE hub_id = $1 AND seq = 4", a.hub)
		}, "inserted", 0},
		"last moved": {func(a *auditing) {
			a.exec("UPDATE audit_records SET seq = 10 WHERE hub_id = $1 AND seq = 9", a.hub)
		}, "cut", n},
		"beyond the end": {func(a *auditing) {
			a.exec(`INSERT INTO audit_records (id, hub_id, version, created_at, updated_at, actor, action, subject, seq)
				SELECT 'aud_x' || hub_id, hub_id, 1, created_at, created_at, actor, action, subject, 10 FROM audit_records WHERE hub_id = $1 AND seq = 9`, a.hub)
		}, "inserted", n + 1},
		"reordered": {func(a *auditing) {
			for _, move := range [][2]int{{4, 100}, {5, 4}, {100, 5}} {
				a.exec("UPDATE audit_records SET seq = $1 WHERE hub_id = $2 AND seq = $3", move[1], a.hub, move[0])
			}
		}, "changed", 4},
		"end cut off": {func(a *auditing) { a.exec("DELETE FROM audit_records WHERE hub_id = $1 AND seq > 6", a.hub) }, "cut", 7},
		"end cut off and head put back": {func(a *auditing) {
			a.exec("DELETE FROM audit_records WHERE hub_id = $1 AND seq > 6", a.hub)
			a.exec("UPDATE audit_heads SET seq = 6, hash = $1 WHERE hub_id = $2", at(a, 6).Hash, a.hub)
		}, "head_changed", 6},
		"all rewritten": {func(a *auditing) {
			last := rechain(a, 3, func(r *gateway.AuditRecord) { r.Actor = "nobody" })
			a.exec("UPDATE audit_heads SET hash = $1 WHERE hub_id = $2", last.Hash, a.hub)
		}, "head_changed", n},
		"all rewritten without a seal": {func(a *auditing) {
			last := rechain(a, 3, func(r *gateway.AuditRecord) { r.Actor = "nobody" })
			a.exec("UPDATE audit_heads SET hash = $1, seal = NULL WHERE hub_id = $2", last.Hash, a.hub)
		}, "head_unsealed", n},
		"another hub's seal": {func(a *auditing) {
			a.exec("UPDATE audit_heads SET seal = (SELECT seal FROM audit_heads WHERE hub_id = $1) WHERE hub_id = $2", hub(a.t, a.db).ID, a.hub)
		}, "head_changed", n},
		"beginning cut off as if by retention": {func(a *auditing) {
			a.exec("UPDATE audit_heads SET from_seq = 3, from_hash = $1 WHERE hub_id = $2", at(a, 3).Hash, a.hub)
			a.exec("DELETE FROM audit_records WHERE hub_id = $1 AND seq <= 3", a.hub)
		}, "head_changed", n},
		"head deleted": {func(a *auditing) { a.exec("DELETE FROM audit_heads WHERE hub_id = $1", a.hub) }, "head_missing", 0},
		"all deleted": {func(a *auditing) {
			a.exec("DELETE FROM audit_records WHERE hub_id = $1", a.hub)
			a.exec("DELETE FROM audit_heads WHERE hub_id = $1", a.hub)
		}, "head_missing", 0},
	}
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := newAuditing(t, o)
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				a := *db
				a.t, a.hub = t, hub(t, db.db).ID
				a.write(n)
				c.do(&a)
				got := a.verify()
				switch {
				case c.kind == "" && (got.Broken != nil || got.Records != n || !got.Complete || got.Sealing != gateway.SealGood):
					t.Fatalf("%+v, %+v", got, got.Broken)
				case c.kind == "":
				case got.Broken == nil || got.Broken.Kind != c.kind || got.Broken.Seq != c.seq || got.Broken.Text == "":
					t.Fatalf("%+v, %+v", got, got.Broken)
				}
				// Writing on goes on, and makes nothing good.
				a.write(1)
				if again := a.verify(); (again.Broken == nil) != (c.kind == "") {
					t.Errorf("after one more record: %+v, %+v", again, again.Broken)
				}
			})
		}
	})
}

// What a database cannot tell by itself, a mark kept elsewhere does: it was put back as a whole.
func TestAuditCheckpoint(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		a := newAuditing(t, o)
		a.write(5)
		var seal []byte
		var hash string
		query := "SELECT seal, hash FROM audit_heads WHERE hub_id = '" + a.hub + "'"
		must(t, raw(t, o).QueryRowContext(t.Context(), query).Scan(&seal, &hash))
		a.write(5)
		kept := a.verify().To
		text, err := gateway.ParseAuditMark(kept.String())
		if err != nil || text != kept {
			t.Fatal(text, err)
		}
		c, err := a.s.VerifyHub(t.Context(), a.hub, &kept)
		if err != nil || c.Broken != nil || c.Records != 0 || !c.Complete {
			t.Fatal(c, err)
		}
		a.exec("DELETE FROM audit_records WHERE hub_id = $1 AND seq > 5", a.hub)
		a.exec("UPDATE audit_heads SET seq = 5, hash = $1, seal = $2 WHERE hub_id = $3", hash, seal, a.hub)
		if c := a.verify(); c.Broken != nil {
			t.Error("the whole chain as it once was should look right by itself:", c.Broken)
		}
		c, err = a.s.VerifyHub(t.Context(), a.hub, &kept)
		if err != nil || c.Broken == nil || c.Broken.Kind != "checkpoint" {
			t.Error(c, err)
		}
		a.write(6)
		if c, err = a.s.VerifyHub(t.Context(), a.hub, &kept); err != nil || c.Broken == nil || c.Broken.Kind != "checkpoint" {
			t.Error(c, err)
		}
		for _, bad := range []string{"", "x", "5", "5:abc", "-1:" + hash, "x:" + hash} {
			if _, err := gateway.ParseAuditMark(bad); gateway.CodeOf(err) != gateway.Invalid {
				t.Error(bad, err)
			}
		}
	})
}

// A hundred writers on two replicas, some of which fail: one chain without a gap, in one hub and across hubs.
func TestAuditWriters(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		a := newAuditing(t, o)
		dbs := []*store.DB{a.db}
		if o.DSN != "" {
			other := storetest.Open(t, store.Options{DataDir: t.TempDir(), DSN: o.DSN, Clock: a.clock.Now})
			must(t, other.SealAudits(t.Context(), a.keys))
			dbs = append(dbs, other)
		}
		second := hub(t, a.db).ID
		errNot := errors.New("not")
		each := 3
		if s := os.Getenv("ISTHMUS_TEST_AUDIT_WRITES"); s != "" {
			each, _ = strconv.Atoi(s)
		}
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				for k := range each {
					err := dbs[i%len(dbs)].Tx(t.Context(), func(tx gateway.Tx) error {
						// Hubs in either order, an event too, and a row that others lock as well.
						first, then := a.hub, second
						if i%2 == 1 {
							first, then = then, first
						}
						for _, h := range []string{first, then} {
							if err := tx.Audit().Insert(t.Context(), record(h, fmt.Sprint("writer.", i, ".", k))); err != nil {
								return err
							}
						}
						if i%3 == 0 {
							if _, err := tx.Hubs().ReserveUpload(t.Context(), first); err != nil {
								return err
							}
						}
						if err := tx.Events().Append(t.Context(), &gateway.Event{HubID: a.hub, Type: "t", At: a.clock.Now(), Data: json.RawMessage(`{}`)}); err != nil {
							return err
						}
						if i%10 == 9 {
							return errNot
						}
						return nil
					})
					if i%10 == 9 && !errors.Is(err, errNot) && gateway.CodeOf(err) != gateway.Internal || i%10 != 9 && err != nil {
						t.Error(i, err)
					}
				}
			})
		}
		wg.Wait()
		for _, h := range []string{a.hub, second} {
			c, err := a.s.VerifyHub(t.Context(), h, nil)
			if err != nil || c.Broken != nil || c.Records != int64(90*each) || c.To.Seq != c.Records || c.Sealing != gateway.SealGood {
				t.Errorf("%+v %+v, %v", c, c.Broken, err)
			}
		}
	})
}

// A verification while others write, and while retention trims, finds no fault.
func TestAuditVerifiedWhileWritten(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		a := newAuditing(t, o)
		a.write(50)
		a.s.Keep = time.Hour
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := a.db.Audit().Insert(ctx, record(a.hub, "w")); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				a.clock.Add(10 * time.Second)
			}
		})
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := a.s.Sweep(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
		for range 30 {
			if c := a.verify(); c.Broken != nil {
				t.Errorf("%+v %+v", c, c.Broken)
			}
		}
		stop()
		wg.Wait()
	})
}

// Retention leaves a chain that begins where it was cut, and says so; what is broken is kept.
func TestAuditRetention(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		ctx := t.Context()
		a := newAuditing(t, o)
		a.write(7)
		must(t, a.s.Sweep(ctx))
		if c := a.verify(); c.Records != 7 || c.TrimmedTo != 0 {
			t.Fatal("without a limit everything is kept:", c)
		}
		a.clock.Add(48 * time.Hour)
		a.write(3)
		a.s.Keep = 24 * time.Hour
		for range 2 {
			must(t, a.s.Sweep(ctx))
		}
		c := a.verify()
		if c.Broken != nil || c.TrimmedTo != 7 || c.Records != 4 || c.From.Seq != 7 || c.Sealing != gateway.SealGood {
			t.Fatalf("%+v %+v", c, c.Broken)
		}
		last, err := a.db.Audit().List(ctx, gateway.Scope(a.hub), gateway.AuditFilter{Action: "audit."}, gateway.Slice{})
		if err != nil || len(last) != 1 || last[0].Action != "audit.trim" || last[0].Actor != "system" || !strings.Contains(string(last[0].Data), `"records":7`) {
			t.Fatal(last, err)
		}
		old := gateway.AuditMark{Seq: 3, Hash: strings.Repeat("0", 64)}
		if _, err := a.s.VerifyHub(ctx, a.hub, &old); !gateway.IsReason(err, "checkpoint_trimmed") {
			t.Error(err)
		}
		// Somebody deletes a record; retention would make that good by cutting it off.
		a.exec("DELETE FROM audit_records WHERE hub_id = $1 AND seq = 9", a.hub)
		a.clock.Add(48 * time.Hour)
		must(t, a.s.Sweep(ctx))
		if c := a.verify(); c.Broken == nil || c.Broken.Seq != 9 || c.TrimmedTo != 7 {
			t.Errorf("%+v %+v", c, c.Broken)
		}
	})
}

// What was written before there was a chain is chained by the migration, once; nothing that comes
// later without a link is.
func TestAuditOfBeforeIsChained(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		ctx := t.Context()
		dialect := "sqlite"
		if o.DSN != "" {
			dialect = "postgres"
		}
		steps, err := migrations.List(dialect)
		must(t, err)
		db := raw(t, o)
		run := func(statement string) {
			t.Helper()
			_, err := db.ExecContext(ctx, statement)
			must(t, err)
		}
		run("CREATE TABLE schema_versions (version integer PRIMARY KEY, name text NOT NULL)")
		for _, m := range steps[:7] {
			run(m.SQL)
			run(fmt.Sprintf("INSERT INTO schema_versions (version, name) VALUES (%d, '%s')", m.Version, m.Name))
		}
		const at = "'2026-01-02 03:04:05.678901+00:00'"
		run("INSERT INTO hubs (id, hub_id, version, created_at, updated_at, issuer, external_id, name, plan, quota_bytes) VALUES ('hub_a', 'hub_a', 1, " + at + ", " + at + ", 'i', 'x', 'North', 'university', 0)")
		for i := range 1203 {
			where := "hub_a"
			if i%100 == 99 {
				where = "hub_gone"
			}
			run(fmt.Sprintf(`INSERT INTO audit_records (id, hub_id, version, created_at, updated_at, actor, action, subject, data)
				VALUES ('aud_%05d', '%s', 1, %s, %s, 'participant:p', 'a.b', 'x', '{"b": 2, "a": [1.50, "é"]}')`, i, where, at, at))
		}
		keys, err := secrets.OpenKeyring(t.TempDir(), true)
		must(t, err)
		for turn := range 2 {
			a := &auditing{t: t, o: o, hub: "hub_a", clock: gatewaytest.NewClock()}
			a.db, err = store.Open(ctx, o)
			must(t, err)
			must(t, a.db.SealAudits(ctx, keys))
			a.s = &gateway.Audits{Store: a.db, Clock: a.clock.Now}
			c := a.verify()
			if turn == 0 && (c.Broken != nil || c.Records != 1191 || c.Sealing != gateway.SealGood) {
				t.Fatalf("%+v %+v", c, c.Broken)
			}
			if turn == 1 && (c.Broken == nil || c.Broken.Kind != "inserted" || c.Broken.ID != "aud_late") {
				t.Fatalf("%+v %+v", c, c.Broken)
			}
			gone, err := a.s.VerifyHub(ctx, "hub_gone", nil)
			if err != nil || gone.Broken != nil || gone.Records != 12 {
				t.Errorf("%+v, %v", gone, err)
			}
			must(t, a.db.Close())
			run(fmt.Sprintf("INSERT INTO audit_records (id, hub_id, version, created_at, updated_at, actor, action, subject) VALUES ('aud_late%s', 'hub_a', 1, %s, %s, 'x', 'y', 'z')", strings.Repeat("r", turn), at, at))
		}
	})
}

// A search finds by who, what, to what and when, page by page in either order.
func TestAuditSearch(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		a := newAuditing(t, o)
		begin := a.clock.Now()
		north := hub(t, a.db)
		for i, p := range []gateway.Participant{
			{Row: gateway.Row{ID: "par_0", HubID: a.hub}, Name: "Zoë Ämter", Email: "zoe@example.org"},
			{Row: gateway.Row{ID: "par_1", HubID: a.hub}, Name: "Ada Admin", Email: "ada@example.org"},
			{Row: gateway.Row{ID: "par_9", HubID: north.ID}, Name: "Elsewhere", Email: "ada@elsewhere.example"},
		} {
			p.Issuer, p.Subject = "https://idp.example", fmt.Sprint(i)
			must(t, a.db.Participants().Insert(t.Context(), &p))
		}
		must(t, a.db.Clients().Insert(t.Context(), &gateway.Client{Row: gateway.Row{ID: "cli_1", HubID: a.hub}, Name: "Night sync"}))
		for i := range 10 {
			r := record(a.hub, []string{"library.share", "library.remove", "mapping.linked"}[i%3])
			r.Actor, r.Subject = fmt.Sprintf("participant:par_%d", i%2), fmt.Sprint("item_", i)
			if i == 7 {
				r.ClientID = "cli_1"
			}
			if i == 8 {
				r.Actor = "client:cli_1"
			}
			must(t, a.db.Audit().Insert(t.Context(), r))
			a.clock.Add(time.Minute)
		}
		for name, c := range map[string]struct {
			f    gateway.AuditFilter
			want string
		}{
			"all":          {gateway.AuditFilter{}, "10 9 8 7 6 5 4 3 2 1"},
			"oldest first": {gateway.AuditFilter{Oldest: true}, "1 2 3 4 5 6 7 8 9 10"},
			"person":       {gateway.AuditFilter{Actor: "par_1"}, "10 8 6 4 2"},
			"app":          {gateway.AuditFilter{Actor: "client:cli_1"}, "9 8"},
			"bare app":     {gateway.AuditFilter{Actor: "cli_1"}, "9 8"},
			"name":         {gateway.AuditFilter{Actor: "ada ad"}, "10 8 6 4 2"},
			"umlauts":      {gateway.AuditFilter{Actor: "ZOË ä"}, "7 5 3 1"},
			"e-mail":       {gateway.AuditFilter{Actor: "Ada@example.org"}, "10 8 6 4 2"},
			"both":         {gateway.AuditFilter{Actor: "@example"}, "10 8 7 6 5 4 3 2 1"},
			"no pattern":   {gateway.AuditFilter{Actor: "a%m"}, ""},
			"app's name":   {gateway.AuditFilter{Actor: "night"}, "9 8"},
			"kind":         {gateway.AuditFilter{Actor: "client"}, "9"},
			"action":       {gateway.AuditFilter{Action: "library.share"}, "10 7 4 1"},
			"bare area":    {gateway.AuditFilter{Action: "library"}, "10 8 7 5 4 2 1"},
			"area":         {gateway.AuditFilter{Action: "library."}, "10 8 7 5 4 2 1"},
			"like nothing": {gateway.AuditFilter{Action: "librar%."}, ""},
			"subject":      {gateway.AuditFilter{Subject: "item_4"}, "5"},
			"time":         {gateway.AuditFilter{From: begin.Add(3 * time.Minute), To: begin.Add(5 * time.Minute)}, "5 4"},
			"another hub":  {gateway.AuditFilter{Subject: "nothing"}, ""},
		} {
			for _, limit := range []int{500, 2, 1} {
				var got []string
				for w := (gateway.Slice{Limit: limit}); ; {
					page, err := a.db.Audit().List(t.Context(), gateway.Scope(a.hub), c.f, w)
					must(t, err)
					for _, r := range page {
						w.After = strconv.FormatInt(r.Seq, 10)
						got = append(got, w.After)
					}
					if len(page) < limit {
						break
					}
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("%s, %d at a time: %v, want %s", name, limit, got, c.want)
				}
			}
		}
	})
}

// A transaction that dies before its commit, on the server's side or ours, leaves no gap.
func TestAuditAfterADeadWriter(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		a := newAuditing(t, o)
		a.write(2)
		ctx, kill := context.WithCancel(t.Context())
		err := a.db.Tx(ctx, func(tx gateway.Tx) error {
			if err := tx.Audit().Insert(ctx, record(a.hub, "dies")); err != nil {
				return err
			}
			kill()
			return nil
		})
		if err == nil {
			t.Fatal("it committed")
		}
		if o.DSN != "" { // one that holds the head and is cut off
			conn, err := raw(t, o).Conn(t.Context())
			must(t, err)
			_, err = conn.ExecContext(t.Context(), "BEGIN")
			must(t, err)
			var seq int64
			must(t, conn.QueryRowContext(t.Context(), "SELECT seq FROM audit_heads WHERE hub_id = $1 FOR UPDATE", a.hub).Scan(&seq))
			var pid int
			must(t, conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid))
			done := make(chan error, 1)
			go func() { done <- a.db.Audit().Insert(t.Context(), record(a.hub, "waits")) }()
			var killed bool
			must(t, raw(t, o).QueryRowContext(t.Context(), "SELECT pg_terminate_backend($1)", pid).Scan(&killed))
			must(t, <-done)
			_ = conn.Raw(func(any) error { return sql.ErrConnDone })
			_ = conn.Close()
		}
		a.write(1)
		if c := a.verify(); c.Broken != nil || c.Records < 3 {
			t.Errorf("%+v %+v", c, c.Broken)
		}
	})
}
