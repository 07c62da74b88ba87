// Package store is the database: every SQL statement of Isthmus, on SQLite and on Postgres.
//
// One file per noun, named as in gateway. What all nouns share is in rows.go; what differs between
// the two databases is in dialect.go and nowhere else; driver errors become *gateway.Error in
// errors.go. Tasks are queued with River inside the same transaction as the rows they belong to
// (queue.go) and worked by a JobRunner (runner.go).
package store
