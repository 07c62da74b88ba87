package store

import "testing"

// Pragma reads a setting of SQLite on the writer or on a reader.
func Pragma(t *testing.T, db *DB, writer bool, name string) string {
	t.Helper()
	p := db.read
	if writer {
		p = db.write
	}
	var out string
	if err := p.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// CheckSQLite is the check of the engine's age.
var CheckSQLite = checkSQLite

// LimitPages lets a SQLite database grow no further.
func LimitPages(t *testing.T, db *DB) {
	t.Helper()
	if _, err := db.write.ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil { // takes the present size
		t.Fatal(err)
	}
}

// PersonalColumns are the columns for which an erasure is settled, as "table.column".
func PersonalColumns() map[string]bool {
	out := map[string]bool{}
	for _, p := range personal {
		out[p.table+"."+p.column] = true
	}
	return out
}
