package store_test

import (
	"context"
	"database/sql"
	"testing"

	"isthmus/store"
	"isthmus/store/storetest"
)

// Whoever adds a table that names participants has to say what becomes of it when one is erased.
func TestErasureKnowsAllTablesWithPeople(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	storetest.Open(t, o)
	rows, err := storetest.SQL(t, o).QueryContext(context.Background(), `SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c
		WHERE m.type = 'table' AND (c.name LIKE '%participant%' OR c.name IN ('subject', 'user_id', 'email', 'mapping_id', 'from_user'))`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	// What is known otherwise than by a participant's id, or goes with the row itself.
	other := map[string]string{
		"participants.subject": "the row itself", "participants.email": "the row itself",
		"sessions.subject": "ended", "sessions.email": "ended",
		"operators.subject":         "removed by operators, or when they erase their own data",
		"mapping_runs.from_user":    "of a row that goes by its mapping",
		"audit_records.subject":     "kept, by an id that leads to nobody",
		"mapping_run_items.user_id": "of a row that goes by its subject",
		"drop_files.user_id":        "a platform user, as the file's name or a manifest says it",
		"events.subject":            "what an event is about; those for the person go by participant_id",
		"jobs.subject":              "what a job works on",
	}
	known := store.PersonalColumns()
	n := 0
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		n++
		if name := table + "." + column; !known[name] && other[name] == "" && !isKaltura(table) {
			t.Errorf("nobody says what becomes of %s when a participant is erased: see personal in erasure.go", name)
		}
	}
	if err := rows.Err(); err != nil && err != sql.ErrNoRows {
		t.Fatal(err)
	}
	if n < 10 {
		t.Errorf("only %d columns found", n)
	}
}

// isKaltura tells the embedded platform's own tables, which stand for a Kaltura account.
func isKaltura(table string) bool { return len(table) > 8 && table[:8] == "kaltura_" }
