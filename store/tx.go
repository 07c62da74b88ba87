package store

// How to add a file with tables of your own (say, kaltura.go):
//
//   - A type that embeds `handles` (by value) has bun handles t.r (reads) and t.w
//     (writes): inside a transaction both are the bun.Tx, outside t.r is the reader pool and t.w the
//     writer. Always write through t.change(ctx, func…), so that errors are translated and counted.
//   - newRows(t, func(x *X) *gateway.Row { return &x.Row }) gives Get, Insert, Update, Delete for a
//     struct that embeds gateway.Row; page, one and set build listings and setters on it.
//   - In a method of DB use db.tables, in a method of Tx use tx.tables. To run a port's own Tx:
//     db.Tx(ctx, func(t gateway.Tx) error { return f(yourTx{t.(*Tx)}) }) – a struct that embeds *Tx is a
//     gateway.Tx as well and commits with it.
//   - Columns with a gateway.Sealed go into sealedColumns (store.go); what differs between the
//     databases becomes a method of dialect (dialect.go).

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

// handles are what statements run on.
type handles struct {
	db   *DB
	r, w bun.IDB
	tx   *Tx // nil outside a transaction
}

// tables gives the table groups over one pair of handles. The groups embed the handles alone: with all the methods of
// tables in each of them, the compiler takes ten times as long.
type tables struct{ handles }

// Tx is a running transaction. Not safe for concurrent use.
type Tx struct {
	tables
	bun     bun.Tx
	audits  []*gateway.AuditRecord
	events  []*gateway.Event
	changed map[string]gateway.LibraryChange // by item
	after   []func()
}

var _ gateway.Tx = (*Tx)(nil)

// Tx runs f in one transaction, again up to four times when the database chose it as the victim of
// a deadlock or serialization failure. On SQLite transactions run one at a time.
func (db *DB) Tx(ctx context.Context, f func(gateway.Tx) error) error {
	const tries = 5
	for try := 1; ; try++ {
		tx, err := db.run(ctx, f)
		if err == nil {
			for _, f := range tx.after {
				f()
			}
			return nil
		}
		if try == tries || !transient(err) {
			return translate(err)
		}
		wait := time.Duration(try) * 20 * time.Millisecond
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (db *DB) run(ctx context.Context, f func(gateway.Tx) error) (*Tx, error) {
	conn, err := db.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // back into the pool
	b, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Rollback() }() // says so when it was committed, which is the usual case
	tx := &Tx{bun: b}
	tx.handles = handles{db: db, r: b, w: b, tx: tx}
	if err := f(tx); err != nil {
		return nil, err
	}
	if err := tx.writeAudits(ctx); err != nil {
		return nil, err
	}
	if err := gateway.MarkEffect(ctx, tx); err != nil {
		return nil, err
	}
	if err := tx.writeChanges(ctx); err != nil {
		return nil, err
	}
	if err := tx.writeEvents(ctx); err != nil {
		return nil, err
	}
	return tx, b.Commit()
}

// acquire takes a connection, but does not wait for ever: on SQLite there is one, and code that
// opens a transaction inside another would otherwise hang without a word.
func (db *DB) acquire(ctx context.Context) (bun.Conn, error) {
	inner, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := db.write.Conn(inner)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = unavailable("database_busy", err)
	}
	return conn, err
}

// AfterCommit runs f once the transaction has committed.
func (tx *Tx) AfterCommit(f func()) { tx.after = append(tx.after, f) }
