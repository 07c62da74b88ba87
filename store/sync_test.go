package store_test

import (
	"fmt"
	"testing"

	"isthmus/gateway"
	"isthmus/migrations"
	"isthmus/store"
	"isthmus/store/storetest"
)

// A library from before changes were numbered: its items are the first changes, and keep what they were.
func TestChangesAfterAnUpgrade(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		ctx := t.Context()
		sql, dialect := raw(t, o), "sqlite"
		if o.DSN != "" {
			dialect = "postgres"
		}
		steps, err := migrations.List(dialect)
		must(t, err)
		run := func(statement string) {
			t.Helper()
			_, err := sql.ExecContext(ctx, statement)
			must(t, err)
		}
		run("CREATE TABLE schema_versions (version integer PRIMARY KEY, name text NOT NULL)")
		for _, m := range steps[:7] {
			run(m.SQL)
			run(fmt.Sprintf("INSERT INTO schema_versions (version, name) VALUES (%d, '%s')", m.Version, m.Name))
		}
		const at = "'2026-01-02 03:04:05+00:00'"
		for _, hub := range []string{"hub_a", "hub_b"} {
			run(fmt.Sprintf("INSERT INTO hubs (id, hub_id, version, created_at, updated_at, issuer, external_id, name, plan, quota_bytes) VALUES ('%s', '%[1]s', 1, %s, %[2]s, 'i', '%[1]s', 'North', 'university', 0)", hub, at))
			for i := range 3 {
				run(fmt.Sprintf(`INSERT INTO library_items (id, hub_id, version, created_at, updated_at, participant_id, client_id, integration_id, entry_id, kind,
					rendition_id, name, type, is_360, duration_ms, state, shared, asset_id, job_id, error_code, error_text, next_step, source_lost_at)
					VALUES ('lib_%s_%d', '%[1]s', 4, %[3]s, %[3]s, 'par_ada', '', 'int_1', '0_%[2]d', 'link', '', 'Item', 'video', true, 5, 'ready', %[4]t, '', 'job', '', '', '', %[3]s)`,
					hub, i, at, i == 0))
			}
		}
		run("INSERT INTO webhook_endpoints (id, hub_id, version, created_at, updated_at, url, description, events, state, reason, last_status, last_text) VALUES ('whe_1', 'hub_a', 1, " + at + ", " + at +
			`, 'https://h.example', '', '["library.share","upload.*"]', 'on', '', 0, '')`)
		db := storetest.Open(t, o)
		hook, err := db.Webhooks().Get(ctx, "hub_a", "whe_1")
		must(t, err)
		if fmt.Sprint(hook.Events) != "[library.item_shared upload.*]" {
			t.Error(hook.Events)
		}
		seq, horizon, err := db.Sync().Clock(ctx, "hub_a")
		must(t, err)
		if seq != 3 || horizon != 0 {
			t.Error(seq, horizon)
		}
		for name, c := range map[string]struct {
			a    gateway.Actor
			want int
		}{
			"importer": {gateway.Actor{HubID: "hub_a", ParticipantID: "par_ada"}, 3},
			"another":  {gateway.Actor{HubID: "hub_a", ParticipantID: "par_bob"}, 1},
			"machine":  {gateway.Actor{HubID: "hub_a", ClientID: "cli_1"}, 1},
		} {
			list, err := db.Sync().Since(ctx, c.a, 0, 10)
			must(t, err)
			if len(list) != c.want {
				t.Errorf("%s: %+v", name, list)
			}
		}
		it, err := db.Library().Get(ctx, "hub_a", "lib_hub_a_1")
		must(t, err)
		if it.Source != gateway.SourceKaltura || !it.Is360 || it.DurationMS != 5 || it.SourceLostAt == nil || it.Version != 4 {
			t.Errorf("%+v", it)
		}
		it.Name = "Other"
		must(t, db.Library().Update(ctx, &it))
		again := it
		again.ID = "lib_new"
		if err := db.Library().Insert(ctx, &again); gateway.CodeOf(err) != gateway.Conflict {
			t.Error("an entry was imported twice:", err)
		}
		list, err := db.Sync().Since(ctx, gateway.Actor{HubID: "hub_a", ParticipantID: "par_ada"}, 3, 10)
		must(t, err)
		if len(list) != 1 || list[0].Seq != 4 || list[0].ItemID != it.ID {
			t.Errorf("%+v", list)
		}
	})
}
