// Package migrations holds the database schema as embedded SQL, once per dialect.
//
// Both folders hold the same files: NNNN_name.sql, numbered without gaps, applied in order, each
// in one transaction, never changed after a release. A test compares the two trees, the file names
// as well as the tables and columns that come out. River's own tables are migrated by River, right
// after ours.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed sqlite/*.sql postgres/*.sql
var files embed.FS

// Migration is one step of the schema.
type Migration struct {
	Version int    // 1, 2, …
	Name    string // "gateway" of 0001_gateway.sql
	SQL     string // several statements
}

// List gives the steps of a dialect ("sqlite" or "postgres") in order.
func List(dialect string) ([]Migration, error) {
	entries, err := fs.ReadDir(files, dialect) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	out := make([]Migration, 0, len(entries))
	for i, e := range entries {
		number, name, ok := strings.Cut(strings.TrimSuffix(e.Name(), ".sql"), "_")
		version, err := strconv.Atoi(number)
		if !ok || err != nil || version != i+1 {
			return nil, fmt.Errorf("migrations: %s/%s: want number %04d", dialect, e.Name(), i+1)
		}
		sql, err := fs.ReadFile(files, dialect+"/"+e.Name())
		if err != nil {
			return nil, fmt.Errorf("migrations: %w", err)
		}
		out = append(out, Migration{Version: version, Name: name, SQL: string(sql)})
	}
	return out, nil
}
