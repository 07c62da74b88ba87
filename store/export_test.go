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

// Translate is the translation of driver errors.
var Translate = translate
