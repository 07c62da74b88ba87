package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"isthmus/store"
)

// Env names the variable with the DSN of a Postgres server on which schemas may be made;
// scripts/with-postgres sets it.
const Env = "ISTHMUS_TEST_POSTGRES"

// EachDB runs body on a fresh SQLite and on a fresh Postgres schema. Without a server the Postgres
// half is skipped, or fails when ISTHMUS_REQUIRE_POSTGRES=1. Both run at the same time, and end after
// what stands behind the call, so let it be the last one.
func EachDB(t *testing.T, body func(t *testing.T, db *store.DB)) {
	t.Helper()
	EachOptions(t, func(t *testing.T, o store.Options) { body(t, Open(t, o)) })
}

// EachOptions is EachDB for tests that open the database themselves, perhaps more than once.
func EachOptions(t *testing.T, body func(t *testing.T, o store.Options)) {
	t.Helper()
	each(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		body(t, o)
	})
}

// EachInTurn is EachOptions with one database after the other, for tests that count goroutines.
func EachInTurn(t *testing.T, body func(t *testing.T, o store.Options)) {
	t.Helper()
	each(t, body)
}

func each(t *testing.T, body func(t *testing.T, o store.Options)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { body(t, store.Options{DataDir: t.TempDir()}) })
	t.Run("postgres", func(t *testing.T) { body(t, store.Options{DataDir: t.TempDir(), DSN: Postgres(t)}) })
}

// migrated is an empty SQLite file with the whole schema. Running every migration for every test
// takes seconds under the race detector; store's own tests do run them.
var migrated = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "storetest-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := store.Open(context.Background(), store.Options{DataDir: dir})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, sqliteFile))
})

const sqliteFile = "isthmus.db"

// Open opens a database and closes it at the end of the test. A new SQLite begins as a copy of a
// migrated one.
func Open(t testing.TB, o store.Options) *store.DB {
	t.Helper()
	if path := filepath.Join(o.DataDir, sqliteFile); o.DSN == "" {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			schema, err := migrated()
			if err == nil {
				err = os.WriteFile(path, schema, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	db, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// SQLite opens a fresh SQLite, for tests in which the database is not the point.
func SQLite(t testing.TB) *store.DB {
	t.Helper()
	return Open(t, store.Options{DataDir: t.TempDir()})
}

// Postgres makes an empty schema, dropped at the end of the test, and gives a DSN that works in it.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv(Env)
	if server == "" {
		const how = "needs Postgres: run under scripts/with-postgres, or set " + Env
		if os.Getenv("ISTHMUS_REQUIRE_POSTGRES") == "1" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	schema := "test_" + strings.ToLower(rand.Text())
	run(t, server, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { run(t, server, "DROP SCHEMA "+schema+" CASCADE") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("the DSN in " + Env + " is not a URL")
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

func run(t testing.TB, dsn, sql string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // clean-ups run when the test's context is over
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

// SQL opens the same database past package store, to look at it or to damage it.
func SQL(t testing.TB, o store.Options) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", o.DSN
	if dsn == "" {
		driver, dsn = "sqlite", filepath.Join(o.DataDir, "isthmus.db")
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
