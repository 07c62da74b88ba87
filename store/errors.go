package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	sqlitedriver "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"isthmus/gateway"
)

// translate makes a *gateway.Error of what a driver says. nil, *gateway.Error and context errors
// pass unchanged, anything unknown becomes Internal.
func translate(err error) error {
	var known *gateway.Error
	var pg *pgconn.PgError
	var lite *sqlitedriver.Error
	var network net.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, sql.ErrNoRows):
		return notFound()
	case errors.As(err, &pg):
		return translatePostgres(pg, err)
	case errors.As(err, &lite):
		return translateSQLite(lite, err)
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.As(err, &network), pgconn.SafeToRetry(err):
		return unavailable("database_unreachable", err)
	}
	return gateway.AsError(err)
}

func notFound() error {
	return gateway.E(gateway.NotFound, "", "There is no such thing here.").Next("Check the id.")
}

func changedMeanwhile() error {
	return gateway.E(gateway.Conflict, "changed_meanwhile", "Somebody else changed this in the meantime.").
		Next("Load it again and repeat your change.")
}

func alreadyExists() error {
	return gateway.E(gateway.Conflict, "already_exists", "This exists already.").Next("Load the list again.")
}

func unavailable(reason string, err error) error {
	return gateway.E(gateway.Unavailable, reason, "The database does not answer at the moment.").
		Next("Try again in a moment.").Because(err)
}

func diskFull(err error) error {
	return gateway.E(gateway.Unavailable, "disk_full", "The server's disk is full.").
		Next("Ask the operator to free some space, then try again.").Because(err)
}

func badText(err error) error {
	return gateway.E(gateway.Invalid, "bad_text", "The text holds characters that cannot be stored.").
		Next("Remove control characters and try again.").Because(err)
}

func missingParent(err error) error {
	return gateway.E(gateway.Conflict, "reference_gone", "Something this belongs to does not exist any more.").
		Next("Load the page again.").Because(err)
}

func translatePostgres(pg *pgconn.PgError, err error) error {
	switch class := pg.Code[:min(2, len(pg.Code))]; {
	case pg.Code == "23505":
		return alreadyExists().(*gateway.Error).Because(err)
	case pg.Code == "23503":
		return missingParent(err)
	case pg.Code == "22021", pg.Code == "22P05", pg.Code == "42601":
		// The last is a syntax error. Our statements have none, but bun puts one in the place of a
		// string with a NUL, which Postgres cannot keep.
		return badText(err)
	case pg.Code == "53100":
		return diskFull(err)
	case pg.Code == "40001", pg.Code == "40P01", pg.Code == "55P03", pg.Code == "57014":
		return unavailable("database_busy", err)
	case class == "08", class == "53", class == "57":
		return unavailable("database_unreachable", err)
	}
	return gateway.AsError(err)
}

func translateSQLite(lite *sqlitedriver.Error, err error) error {
	switch lite.Code() {
	case sqlitelib.SQLITE_CONSTRAINT_UNIQUE, sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY, sqlitelib.SQLITE_CONSTRAINT_ROWID:
		return alreadyExists().(*gateway.Error).Because(err)
	case sqlitelib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return missingParent(err)
	}
	if strings.Contains(lite.Error(), `unrecognized token: "!"`) { // bun's mark for a string with a NUL
		return badText(err)
	}
	switch lite.Code() & 0xff { // the primary code; what is above it only refines
	case sqlitelib.SQLITE_FULL:
		return diskFull(err)
	case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED:
		return unavailable("database_busy", err)
	case sqlitelib.SQLITE_IOERR, sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_READONLY:
		return unavailable("database_unreachable", err)
	case sqlitelib.SQLITE_CORRUPT, sqlitelib.SQLITE_NOTADB:
		return gateway.E(gateway.Internal, "database_corrupt", "The database file is damaged.").
			Next("Stop the server and restore the last backup.").Because(err)
	}
	return gateway.AsError(err)
}

// transient tells whether the transaction lost against another one and is worth running again.
func transient(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01"
	}
	var lite *sqlitedriver.Error
	return errors.As(err, &lite) && lite.Code()&0xff == sqlitelib.SQLITE_BUSY
}
