package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

// Options say where the database is.
type Options struct {
	// DSN is "" for DataDir/isthmus.db, a path for another SQLite file, or postgres://… .
	DSN string
	// DataDir is the folder of this process: lock file, replica id and, by default, the database.
	// It is made when missing (mode 0700). One process at a time.
	DataDir string
	// Replica names this process among those that share a Postgres database. Empty takes the id
	// that the data folder was given on first use.
	Replica string
	// Beside has a command work on the database of a server that runs on the same data folder: it takes
	// no lock, changes no schema and queues no tasks anew. Without such a server it changes nothing.
	Beside bool
	Clock  gateway.Clock // default gateway.SystemClock
	Log    *slog.Logger  // default: nothing is logged
}

// DB is an open database. It implements gateway.Store and is safe for concurrent use.
type DB struct {
	tables
	dialect dialect
	clock   gateway.Clock
	log     *slog.Logger
	replica string
	beside  bool    // another process has the data folder
	write   *bun.DB // on SQLite exactly one connection
	read    *bun.DB // on Postgres the same as write
	queue   inserter
	queued  atomic.Uint64                  // counts the tasks that this process queued
	sealer  atomic.Pointer[gateway.Sealer] // of the heads of the audit log; nil = they are not sealed
	chained bool                           // the audit log was chained by this very process
	locks   []io.Closer
	dsn     string
	close   sync.Once
}

var _ gateway.Store = (*DB)(nil)

// Open opens the database, brings its schema up to date and takes the data folder for this process.
// Errors are *gateway.Error: Conflict with reason "data_folder_in_use", Precondition with reasons
// "schema_newer", "engine_too_old", Unavailable when Postgres does not answer.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Clock == nil {
		o.Clock = gateway.SystemClock
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.DataDir == "" {
		return nil, gateway.E(gateway.Invalid, "no_data_folder", "No data folder was given.").Next("Name one with --data.")
	}
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return nil, gateway.E(gateway.Precondition, "data_folder", "The data folder cannot be made.").
			Next("Choose a folder that this user may write to.").Because(err)
	}
	db := &DB{clock: o.Clock, log: o.Log, replica: o.Replica}
	lock, err := lockFile(filepath.Join(o.DataDir, "lock"), "the data folder "+o.DataDir)
	switch {
	case err == nil:
		db.locks = []io.Closer{lock}
	case o.Beside && gateway.IsReason(err, "data_folder_in_use"):
		db.beside = true
	default:
		return nil, err
	}
	if err := db.open(ctx, o); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (db *DB) open(ctx context.Context, o Options) (err error) {
	if db.replica == "" {
		if db.replica, err = replicaID(o.DataDir); err != nil {
			return err
		}
	}
	if strings.HasPrefix(o.DSN, "postgres://") || strings.HasPrefix(o.DSN, "postgresql://") {
		db.dialect, db.dsn = postgres, o.DSN
		err = db.openPostgres(ctx)
	} else {
		db.dialect, db.dsn = sqlite, o.DSN
		if db.dsn == "" {
			db.dsn = filepath.Join(o.DataDir, "isthmus.db")
		} else if !db.beside {
			// Somewhere else: another data folder could name the same file.
			lock, err := lockFile(db.dsn+".lock", "the database "+db.dsn)
			if err != nil {
				return err
			}
			db.locks = append(db.locks, lock)
		}
		err = db.openSQLite(ctx)
	}
	if err != nil {
		return err
	}
	db.handles = handles{db: db, r: db.read, w: db.write}
	if db.beside {
		err = db.sameSchema(ctx)
	} else if err = db.migrate(ctx); err == nil {
		err = db.forgetSelf(ctx)
	}
	if err != nil {
		return err
	}
	db.queue, err = db.newInserter()
	return err
}

// Close lets go of the database and the data folder. Stop the JobRunner first. Harmless when repeated.
func (db *DB) Close() error {
	var errs []error
	db.close.Do(func() {
		if db.read != nil && db.read != db.write {
			errs = append(errs, db.read.Close())
		}
		if db.write != nil {
			errs = append(errs, db.write.Close())
		}
		for _, l := range db.locks {
			errs = append(errs, l.Close())
		}
	})
	return errors.Join(errs...)
}

// Replica is the name of this process among those that share the database; it stays the same
// when the process starts again on the same data folder.
func (db *DB) Replica() string { return db.replica }

// Shared tells whether other processes may use the same database.
func (db *DB) Shared() bool { return db.dialect.shared() }

// Ping tells whether the database answers, for readiness.
func (db *DB) Ping(ctx context.Context) error {
	_, err := db.read.ExecContext(ctx, "SELECT 1")
	return translate(err)
}

// sealedColumns are all columns that hold a gateway.Sealed. Whoever adds one adds it here.
var sealedColumns = []struct{ table, column string }{
	{"drop_folders", "secret"},
	{"drop_items", "data"},
	{"integrations", "app_token"},
	{"library_items", "source_url"},
	{"signing_keys", "private"},
	{"upkeeps", "hook_secret"},
	{"webhook_endpoints", "secret"},
	{"identity_providers", "client_secret"},
	{"identity_providers", "webhook_secret"},
	{"webhook_endpoints", "old_secret"},
	{"idempotency_keys", "answer"},
	{"audit_heads", "seal"},
	{"kaltura_accounts", "admin_secret"},
	{"kaltura_accounts", "user_secret"},
	{"kaltura_app_tokens", "token"},
}

// HasSealed tells whether any row holds a sealed value, so that a lost key file is noticed at start
// and not when the first secret does not open.
func (db *DB) HasSealed(ctx context.Context) (bool, error) {
	for _, c := range sealedColumns {
		has, err := db.read.NewSelect().Table(c.table).Where("length(?) > 0", bun.Ident(c.column)).Exists(ctx)
		if has || err != nil {
			return has, translate(err)
		}
	}
	return false, nil
}

func replicaID(dir string) (string, error) {
	path := filepath.Join(dir, "replica")
	if b, err := os.ReadFile(path); err == nil {
		if id := strings.TrimSpace(string(b)); id != "" {
			return id, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("store: replica id: %w", err)
	}
	id := "r" + strings.ToLower(rand.Text()[:12])
	if err := os.WriteFile(path, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("store: replica id: %w", err)
	}
	return id, nil
}

// pool wraps a database/sql pool for bun without its query hooks: bun puts the arguments into the
// text of a statement, so a log of statements would be a log of values.
func (d dialect) pool(p *sql.DB) *bun.DB { return bun.NewDB(p, bunDialects[d]) }
