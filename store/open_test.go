package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

// raw opens the database past the store, as another program would.
func raw(t *testing.T, o store.Options) *sql.DB { return storetest.SQL(t, o) }

// schemaOf names all columns and indexes, as "table.column" and "table index".
func schemaOf(t *testing.T, o store.Options) []string {
	t.Helper()
	query := `SELECT m.name || '.' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'
		UNION ALL
		SELECT tbl_name || ' ' || name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`
	if o.DSN != "" { // indexes of constraints have no name of ours
		query = `SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = current_schema()
			UNION ALL
			SELECT i.tablename || ' ' || i.indexname FROM pg_indexes i WHERE i.schemaname = current_schema()
				AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conname = i.indexname AND c.connamespace = current_schema()::regnamespace)`
	}
	rows, err := raw(t, o).QueryContext(t.Context(), query)
	must(t, err)
	var out []string
	for rows.Next() {
		var c string
		must(t, rows.Scan(&c))
		if !strings.HasPrefix(c, "river_") { // River's own business
			out = append(out, c)
		}
	}
	must(t, rows.Err())
	slices.Sort(out)
	return out
}

func TestSameTablesColumnsAndIndexes(t *testing.T) {
	lite := store.Options{DataDir: t.TempDir()}
	pg := store.Options{DataDir: t.TempDir(), DSN: storetest.Postgres(t)}
	storetest.Open(t, lite)
	storetest.Open(t, pg)
	a, b := schemaOf(t, lite), schemaOf(t, pg)
	without := func(all, others []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(others, s) })
	}
	if only, others := without(a, b), without(b, a); len(a) < 100 || len(only)+len(others) > 0 {
		t.Fatalf("SQLite alone has\n%q\nPostgres alone has\n%q", only, others)
	}
}

const (
	childFolder = "ISTHMUS_TEST_CHILD_FOLDER"
	childDSN    = "ISTHMUS_TEST_CHILD_DSN"
	childWork   = "ISTHMUS_TEST_CHILD_WORK"
)

// TestMain lets the test binary be a second process, which only opens the database or also works
// its tasks, never to finish one.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		os.Exit(child(context.Background(), store.Options{DataDir: dir, DSN: os.Getenv(childDSN)}))
	}
	os.Exit(m.Run())
}

func child(ctx context.Context, o store.Options) int {
	db, err := store.Open(ctx, o)
	if gateway.IsReason(err, "data_folder_in_use") {
		fmt.Println(gateway.AsError(err).Message)
		return 7
	}
	if err != nil || os.Getenv(childWork) == "" {
		return 0
	}
	ws := river.NewWorkers()
	river.AddWorker(ws, &settle{work: func(_ context.Context, id string) error {
		fmt.Println("working", id)
		select {}
	}})
	r, err := db.Runner(ws, store.JobsOptions{})
	if err == nil {
		err = r.Start(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	select {}
}

func childCommand(t *testing.T, o store.Options, work string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childFolder+"="+o.DataDir, childDSN+"="+o.DSN, childWork+"="+work)
	return cmd
}

func TestSecondProcessRefused(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db, err := store.Open(t.Context(), o)
		must(t, err)
		second := func() (int, string) {
			cmd := childCommand(t, o, "")
			out, _ := cmd.CombinedOutput()
			return cmd.ProcessState.ExitCode(), string(out)
		}
		code, out := second()
		if code != 7 || !strings.Contains(out, o.DataDir) {
			t.Fatalf("exit %d: %s", code, out)
		}
		if _, err := store.Open(t.Context(), o); !gateway.IsReason(err, "data_folder_in_use") {
			t.Fatal("opened twice in one process:", err)
		}
		must(t, db.Close())
		must(t, db.Close()) // harmless
		if code, out := second(); code != 0 {
			t.Fatalf("after the first ended: exit %d: %s", code, out)
		}
	})
}

func TestNewerSchemaRefused(t *testing.T) {
	for name, statement := range map[string]string{
		"ours":    `INSERT INTO schema_versions (version, name) VALUES (9000, 'future')`,
		"river's": `INSERT INTO river_migration (line, version) VALUES ('main', 9000)`,
	} {
		t.Run(name, func(t *testing.T) {
			storetest.EachOptions(t, func(t *testing.T, o store.Options) {
				for range 2 { // the second time nothing is to do
					db, err := store.Open(t.Context(), o)
					must(t, err)
					must(t, db.Close())
				}
				_, err := raw(t, o).ExecContext(t.Context(), statement)
				must(t, err)
				_, err = store.Open(t.Context(), o)
				if !gateway.IsReason(err, "schema_newer") {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestReplicaIDStays(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	db, err := store.Open(t.Context(), o)
	must(t, err)
	id := db.Replica()
	must(t, db.Close())
	if again := storetest.Open(t, o).Replica(); again != id || id == "" {
		t.Fatal(id, again)
	}
	o = store.Options{DataDir: t.TempDir(), Replica: "a"}
	if storetest.Open(t, o).Replica() != "a" {
		t.Fatal("own name ignored")
	}
}

func TestDurabilityPragmas(t *testing.T) {
	o := store.Options{DataDir: t.TempDir(), DSN: filepath.Join(t.TempDir(), "other name ü?.db")}
	db := storetest.Open(t, o)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "query_only": "0"} {
		if got := store.Pragma(t, db, true, pragma); got != want {
			t.Errorf("writer: %s is %s, want %s", pragma, got, want)
		}
	}
	if got := store.Pragma(t, db, false, "query_only"); got != "1" {
		t.Error("readers can write")
	}
	if _, err := os.Stat(o.DSN); err != nil {
		t.Error("not at the path given:", err)
	}
	if _, err := store.Open(t.Context(), store.Options{DataDir: t.TempDir(), DSN: o.DSN}); !gateway.IsReason(err, "data_folder_in_use") {
		t.Error("opened by two data folders:", err)
	}
}

func TestBadAddress(t *testing.T) {
	_, err := store.Open(t.Context(), store.Options{DataDir: t.TempDir(), DSN: "postgres://user:canary@127.0.0.1:x/db"})
	if !gateway.IsReason(err, "bad_dsn") || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	_, err = store.Open(t.Context(), store.Options{DataDir: t.TempDir(), DSN: "postgres://user:canary@127.0.0.1:1/db?connect_timeout=2"})
	wantCode(t, err, gateway.Unavailable)
	if strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	if _, err := store.Open(t.Context(), store.Options{}); !gateway.IsReason(err, "no_data_folder") {
		t.Error(err)
	}
}

func TestHasSealed(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		if has, err := db.HasSealed(t.Context()); has || err != nil {
			t.Fatal(has, err)
		}
		must(t, db.Keys().Insert(t.Context(), &gateway.SigningKey{Row: row("key", ""), Private: gateway.Sealed("x")}))
		if has, err := db.HasSealed(t.Context()); !has || err != nil {
			t.Fatal(has, err)
		}
	})
}

// Replicas that start together migrate once.
func TestTogether(t *testing.T) {
	dsn := storetest.Postgres(t)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		dir := t.TempDir()
		wg.Go(func() {
			db, err := store.Open(t.Context(), store.Options{DataDir: dir, DSN: dsn})
			if err == nil {
				err = db.Close()
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for _, err := range errs {
		must(t, err)
	}
}
