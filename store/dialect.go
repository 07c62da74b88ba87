package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"
	sqlitedriver "modernc.org/sqlite"

	"isthmus/gateway"
)

// dialect is which database it is. This file is the only one that asks.
type dialect int

const (
	sqlite dialect = iota
	postgres
)

// oldestSQLite is the first engine without the WAL-reset defect, which could lose commits.
const oldestSQLite = 3_051_003

func init() {
	// SQLite's own lower() knows only ASCII, Postgres's knows Unicode; searches must agree.
	sqlitedriver.MustRegisterDeterministicScalarFunction("fold", 1, func(_ *sqlitedriver.FunctionContext, args []driver.Value) (driver.Value, error) {
		s, _ := args[0].(string)
		return strings.ToLower(s), nil
	})
}

func (d dialect) name() string {
	if d == postgres {
		return "postgres"
	}
	return "sqlite"
}

// bunDialects hold what bun has read of the models, which takes longer than most statements: one for all pools.
var bunDialects = map[dialect]schema.Dialect{postgres: pgdialect.New(), sqlite: sqlitedialect.New()}

func (db *DB) openSQLite(ctx context.Context) error {
	path, err := filepath.Abs(db.dsn)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	open := func(max int, params string) (*bun.DB, error) {
		p, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path}).String()+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_timezone=UTC"+params)
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		p.SetMaxOpenConns(max)
		p.SetMaxIdleConns(max)
		return db.dialect.pool(p), nil
	}
	// One writer: SQLite allows no second one anyhow, and waiting in Go is fair where its own is not.
	if db.write, err = open(1, "&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate"); err != nil {
		return err
	}
	var version string
	if err := db.write.NewSelect().ColumnExpr("sqlite_version()").Scan(ctx, &version); err != nil {
		return translate(err)
	}
	if err := checkSQLite(version); err != nil {
		return err
	}
	db.read, err = open(max(4, runtime.NumCPU()), "&mode=ro&_pragma=query_only(1)")
	return err
}

func checkSQLite(version string) error {
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil || major*1_000_000+minor*1_000+patch < oldestSQLite {
		return gateway.E(gateway.Precondition, "engine_too_old", "The SQLite engine "+version+" is older than 3.51.3 and may lose data.").
			Next("Build Isthmus with a newer modernc.org/sqlite.")
	}
	return nil
}

func (db *DB) openPostgres(ctx context.Context) error {
	cfg, err := pgx.ParseConfig(db.dsn)
	if err != nil {
		return badDSN()
	}
	// bun writes the arguments into the statement, so each text is new and a cache would only fill up.
	cfg.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	cfg.StatementCacheCapacity, cfg.DescriptionCacheCapacity = 0, 0
	// A statement or transaction that hangs must not hold its locks for ever.
	for name, ms := range map[string]string{"statement_timeout": "30000", "idle_in_transaction_session_timeout": "60000"} {
		if cfg.RuntimeParams[name] == "" {
			cfg.RuntimeParams[name] = ms
		}
	}
	p := stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(func(_ context.Context, c *pgx.Conn) error {
		c.TypeMap().RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}})
		return nil
	}))
	p.SetMaxOpenConns(max(10, 4*runtime.NumCPU()))
	p.SetMaxIdleConns(10)
	p.SetConnMaxIdleTime(5 * time.Minute)
	db.write = db.dialect.pool(p)
	db.read = db.write
	return translate(p.PingContext(ctx))
}

// badDSN drops pgx's own error, which repeats the DSN.
func badDSN() error {
	return gateway.E(gateway.Invalid, "bad_dsn", "The database address is not a valid Postgres DSN.").
		Next("Use the form postgres://user:password@host/database.")
}

// lockMigrations lets one process at a time migrate, River's tables included, for which River makes
// transactions of its own: hence a lock of the session. On SQLite there is only this process.
func (db *DB) lockMigrations(ctx context.Context) (unlock func(), err error) {
	if db.dialect == sqlite {
		return func() {}, nil
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return nil, translate(err)
	}
	const key = "hashtext(current_schema() || '.isthmus.migrations')"
	if _, err := conn.ExecContext(ctx, "SET statement_timeout = 0"); err != nil { // waiting may take its time
		return nil, errors.Join(translate(err), conn.Close())
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock("+key+")"); err != nil {
		return nil, errors.Join(translate(err), conn.Close())
	}
	return func() {
		// Not back into the pool: the end of the session frees the lock and forgets the setting.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		_ = conn.Close()
	}, nil
}

// patient lifts the limit on a statement's time for the rest of a transaction.
func (d dialect) patient() string {
	if d == sqlite {
		return "SELECT 1" // there is no limit
	}
	return "SET LOCAL statement_timeout = 0"
}

// lockEvents makes writers of the event log commit one after the other; on SQLite they do anyhow.
func (d dialect) lockEvents(ctx context.Context, tx bun.IDB) error {
	if d == sqlite {
		return nil
	}
	_, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.isthmus.events'))")
	return err
}

// lockPlaces lets one transaction at a time decide whether a drop folder may look at a place.
func (d dialect) lockPlaces(ctx context.Context, tx bun.IDB) error {
	if d == sqlite {
		return nil
	}
	_, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.isthmus.places'))")
	return err
}

// forUpdate locks the selected rows until the transaction ends; on SQLite the whole database is.
// NO KEY UPDATE lets inserts that merely refer to the row pass.
func (d dialect) forUpdate(q *bun.SelectQuery) *bun.SelectQuery {
	if d == sqlite {
		return q
	}
	return q.For("NO KEY UPDATE")
}

// forShare keeps the selected rows from being changed until the transaction ends.
func (d dialect) forShare(q *bun.SelectQuery) *bun.SelectQuery {
	if d == sqlite {
		return q
	}
	return q.For("SHARE")
}

// contains adds "column contains text", whatever the case.
func (d dialect) contains(q *bun.SelectQuery, column, text string) *bun.SelectQuery {
	return d.containsAny(q, text, column)
}

// containsAny adds "one of the columns contains text", whatever the case.
func (d dialect) containsAny(q *bun.SelectQuery, text string, columns ...string) *bun.SelectQuery {
	fold := "fold"
	if d == postgres {
		fold = "lower"
	}
	pattern := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(text)) + "%"
	return q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
		for _, c := range columns {
			q = q.WhereOr("?(?) LIKE ? ESCAPE '\\'", bun.Safe(fold), bun.Ident(c), pattern)
		}
		return q
	})
}

// endsWith adds "column ends with ending", whatever the case.
func (d dialect) endsWith(q *bun.SelectQuery, column, ending string) *bun.SelectQuery {
	fold := "fold"
	if d == postgres {
		fold = "lower"
	}
	pattern := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(ending))
	return q.Where("?(?) LIKE ? ESCAPE '\\'", bun.Safe(fold), bun.Ident(column), pattern)
}

// greatest is the larger one of two numbers.
func (d dialect) greatest(a, b string) string {
	if d == sqlite {
		return "max(" + a + ", " + b + ")"
	}
	return "greatest(" + a + ", " + b + ")"
}

// now is the database's own clock, which all replicas share.
func (d dialect) now() bun.Safe {
	if d == sqlite {
		return "strftime('%Y-%m-%d %H:%M:%f+00:00', 'now')"
	}
	return "now()"
}

// secondsAgo is the database's clock some time ago.
func (d dialect) secondsAgo(s int) bun.Safe {
	if d == sqlite {
		return bun.Safe(fmt.Sprintf("strftime('%%Y-%%m-%%d %%H:%%M:%%f+00:00', 'now', '-%d seconds')", s))
	}
	return bun.Safe(fmt.Sprintf("now() - interval '%d seconds'", s))
}

// River. Its tables differ between the dialects in how they keep JSON and lists.

// waiting selects a task of the kind and arguments that is queued, not started and not later than
// at. On Postgres its row stays locked, so that no worker starts it before this transaction, whose
// change it is to see, has committed.
func (d dialect) waiting(ctx context.Context, tx bun.IDB, kind, queue string, args []byte, at time.Time) (bool, error) {
	// The plus signs keep SQLite from going through all that is available instead (see twins).
	q := "SELECT id FROM river_job WHERE +state = 'available' AND +queue = ? AND kind = ? AND CAST(args AS text) = ? AND scheduled_at <= ? LIMIT 1"
	at = at.Add(time.Second)                                // River has its own clock and rounding; a second sooner or later is the same
	when := any(at.UTC().Format("2006-01-02 15:04:05.999")) // as River writes times on SQLite
	if d == postgres {
		q = "SELECT id FROM river_job WHERE state = 'available' AND queue = ? AND kind = ? AND args = ?::jsonb AND scheduled_at <= ? LIMIT 1 FOR UPDATE SKIP LOCKED"
		when = at
	}
	var ids []int64
	err := tx.NewRaw(q, queue, kind, string(args), when).Scan(ctx, &ids)
	return len(ids) > 0, err
}

// twins makes the index by which tasks of the same arguments are found: ten thousand files that are finished are as many tasks
// that wait, and each looks for its twin among them.
func (d dialect) twins() string {
	if d == postgres {
		return "CREATE INDEX IF NOT EXISTS river_job_twins ON river_job USING hash (args)"
	}
	return "CREATE INDEX IF NOT EXISTS river_job_twins ON river_job (kind, CAST(args AS text))"
}

// pull has a queued task run no later than at, and tells whether there is one. One that runs now does
// not count: it may not see what this transaction changes.
func (d dialect) pull(ctx context.Context, tx bun.IDB, kind string, args []byte, at, now time.Time) (bool, error) {
	same, when := "CAST(args AS text) = ?", any(at.UTC().Format("2006-01-02 15:04:05.999")) // as River writes times on SQLite
	if d == postgres {
		same, when = "args = ?::jsonb", at
	}
	state := "scheduled"
	if !at.After(now) {
		state = "available"
	}
	_, err := tx.NewRaw("UPDATE river_job SET state = ?, scheduled_at = ? WHERE kind = ? AND "+same+
		" AND state IN ('available', 'scheduled', 'retryable') AND scheduled_at > ?", state, when, kind, string(args), when).Exec(ctx)
	if err != nil {
		return false, err
	}
	return tx.NewSelect().Table("river_job").Where("kind = ?", kind).Where(same, string(args)).
		Where("state IN ('available', 'scheduled', 'retryable')").Exists(ctx)
}

// unfinished tells whether there is a task of the kind and arguments that waits, runs or will be tried again.
func (d dialect) unfinished(ctx context.Context, tx bun.IDB, kind string, args []byte) (bool, error) {
	same := "CAST(args AS text) = ?"
	if d == postgres {
		same = "args = ?::jsonb"
	}
	return tx.NewSelect().Table("river_job").Where("kind = ?", kind).Where(same, string(args)).
		Where("state IN ('available', 'pending', 'running', 'retryable', 'scheduled')").Exists(ctx)
}

// requeue makes the tasks that dead processes were running available again. A crash is not the
// task's fault, so it gets one more attempt.
func (d dialect) requeue(ctx context.Context, tx bun.IDB) (sql.Result, error) {
	if d == sqlite {
		return tx.ExecContext(ctx, `UPDATE river_job SET state = 'available', scheduled_at = datetime('now', 'subsec'), max_attempts = min(max_attempts + 1, 1000)
			WHERE state = 'running' AND NOT EXISTS (SELECT 1 FROM replicas WHERE id = json_extract(CAST(river_job.attempted_by AS text), '$[#-1]'))`)
	}
	return tx.ExecContext(ctx, `UPDATE river_job SET state = 'available', scheduled_at = now(), max_attempts = least(max_attempts + 1, 1000)
		WHERE state = 'running' AND NOT EXISTS (SELECT 1 FROM replicas WHERE id = river_job.attempted_by[array_upper(river_job.attempted_by, 1)])`)
}

// shared tells whether other processes may use the same database.
func (d dialect) shared() bool { return d == postgres }

func (db *DB) migrateRiver(ctx context.Context) error {
	if db.dialect == postgres {
		return migrateRiver(ctx, riverdatabasesql.New(db.write.DB), db)
	}
	return migrateRiver(ctx, riversqlite.New(db.write.DB), db)
}

func migrateRiver[T any](ctx context.Context, d riverdriver.Driver[T], db *DB) error {
	m, err := rivermigrate.New(d, &rivermigrate.Config{Logger: db.log})
	if err != nil {
		return fmt.Errorf("store: river: %w", err)
	}
	known := m.AllVersions()
	have, err := m.ExistingVersions(ctx)
	if err != nil { // also when it finds a version it does not know
		var newest int
		if db.write.NewSelect().Table("river_migration").ColumnExpr("max(version)").Scan(ctx, &newest) == nil && newest > known[len(known)-1].Version {
			return schemaNewer(newest, known[len(known)-1].Version)
		}
		return translate(err)
	}
	if len(have) == len(known) {
		return nil
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return translate(err)
}

// inserter queues tasks in a transaction.
type inserter interface {
	InsertTx(ctx context.Context, tx *sql.Tx, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error)
}

func (db *DB) newInserter() (inserter, error) {
	var c *river.Client[*sql.Tx]
	var err error
	if db.dialect == postgres {
		c, err = river.NewClient(riverdatabasesql.New(db.write.DB), &river.Config{Logger: db.log})
	} else {
		c, err = river.NewClient(riversqlite.New(db.write.DB), &river.Config{Logger: db.log})
	}
	if err != nil {
		return nil, fmt.Errorf("store: river: %w", err)
	}
	return c, nil
}

// client makes the River client that works tasks; done lets go of what it needs. On Postgres it has
// a pool of its own, because listening for new tasks takes pgx itself; on SQLite it polls.
func (db *DB) client(ctx context.Context, cfg *river.Config) (worker, func(), error) {
	if db.dialect == sqlite {
		cfg.FetchPollInterval, cfg.FetchCooldown = pollSQLite, 50*time.Millisecond
		c, err := river.NewClient(newPollDriver(db.write.DB, &db.queued), cfg)
		return c, func() {}, err
	}
	pc, err := pgxpool.ParseConfig(db.dsn)
	if err != nil {
		return nil, nil, badDSN()
	}
	pc.MaxConns = 10
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, nil, translate(err)
	}
	cfg.FetchPollInterval, cfg.FetchCooldown = time.Second, 10*time.Millisecond
	c, err := river.NewClient(riverpgxv5.New(pool), cfg)
	if err != nil {
		pool.Close()
	}
	return c, pool.Close, err
}
