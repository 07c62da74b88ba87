package store

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"isthmus/gateway"
	"isthmus/migrations"
)

// migrate applies what is missing of our schema, then of River's.
func (db *DB) migrate(ctx context.Context) error {
	all, err := migrations.List(db.dialect.name())
	if err != nil {
		return err
	}
	unlock, err := db.lockMigrations(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	err = db.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, db.dialect.patient()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS schema_versions (version integer PRIMARY KEY, name text NOT NULL)"); err != nil {
			return err
		}
		var have int
		if err := tx.NewSelect().Table("schema_versions").ColumnExpr("coalesce(max(version), 0)").Scan(ctx, &have); err != nil {
			return err
		}
		if have > len(all) {
			return schemaNewer(have, len(all))
		}
		for _, m := range all[have:] {
			if _, err := tx.Tx.ExecContext(ctx, m.SQL); err != nil {
				return fmt.Errorf("migration %04d_%s: %w", m.Version, m.Name, err)
			}
			if m.Name == auditStep {
				if err := db.chainOldAudits(ctx, tx); err != nil {
					return fmt.Errorf("migration %04d_%s: %w", m.Version, m.Name, err)
				}
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO schema_versions (version, name) VALUES (?, ?)", m.Version, m.Name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return translate(err)
	}
	if err := db.migrateRiver(ctx); err != nil {
		return err
	}
	_, err = db.write.ExecContext(ctx, db.dialect.twins())
	return translate(err)
}

// sameSchema refuses a database that is not at this program's schema, which a running server may still
// need as it is.
func (db *DB) sameSchema(ctx context.Context) error {
	all, err := migrations.List(db.dialect.name())
	if err != nil {
		return err
	}
	var have int
	if err := db.read.NewSelect().Table("schema_versions").ColumnExpr("coalesce(max(version), 0)").Scan(ctx, &have); err != nil {
		return translate(err)
	}
	if have != len(all) {
		return gateway.E(gateway.Precondition, "schema_other",
			fmt.Sprintf("The server that runs on this data folder is of another version (schema %d; this program has %d).", have, len(all))).
			Next("Use the program that the server was started with, or stop the server first.")
	}
	return nil
}

func schemaNewer(have, know int) error {
	return gateway.E(gateway.Precondition, "schema_newer",
		fmt.Sprintf("The database was used by a newer version of Isthmus (schema %d; this program knows %d).", have, know)).
		Next("Start the newer version, or restore a backup made before the upgrade.")
}
