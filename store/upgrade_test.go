package store_test

import (
	"fmt"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/migrations"
	"isthmus/store"
	"isthmus/store/storetest"
)

// A data folder of the schema before the history of health: the history begins with how things were,
// and what happens afterwards comes after that, whatever the ids.
func TestHealthHistoryAfterAnUpgrade(t *testing.T) {
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
		for _, m := range steps[:2] {
			run(m.SQL)
			run(fmt.Sprintf("INSERT INTO schema_versions (version, name) VALUES (%d, '%s')", m.Version, m.Name))
		}
		const at = "'2026-01-02 03:04:05+00:00'"
		run("INSERT INTO hubs (id, hub_id, version, created_at, updated_at, issuer, external_id, name, plan, quota_bytes) VALUES ('hub_a', 'hub_a', 1, " + at + ", " + at + ", 'i', 'x', 'North', 'university', 0)")
		// An id that was made by hand, as the connections of configuration files have, sorts anywhere.
		for i, id := range []string{"int_zzzzzzzzzzzzzzzz", gateway.NewID("int")} {
			run(fmt.Sprintf(`INSERT INTO integrations (id, hub_id, version, created_at, updated_at, platform, service_url, partner_id, app_token_id, token_last4, hash_type,
				visibility, mapping_mode, match_by, health, health_text, health_at)
				VALUES ('%s', 'hub_a', 1, %s, %s, 'p%d', 'https://k.example', 1, '', '', '', 'shared', '', '', 'degraded', 'down', %s)`, id, at, at, i, at))
		}

		db := storetest.Open(t, o)
		all, err := db.Integrations().All(ctx, gateway.Slice{})
		must(t, err)
		if len(all) != 2 {
			t.Fatal(all)
		}
		for _, in := range all {
			first, err := db.Health().Open(ctx, in.ID)
			must(t, err)
			if first.State != gateway.HealthDegraded || first.Text != "down" || !first.Since.Equal(in.HealthAt) {
				t.Errorf("%+v", first)
			}
			var want []string
			for i, h := range []gateway.Health{gateway.HealthOK, gateway.HealthDegraded, gateway.HealthOK, gateway.HealthDegraded} {
				now := in.HealthAt.Add(time.Duration(i+1) * time.Hour)
				must(t, db.Health().Close(ctx, in.ID, now))
				c := gateway.HealthChange{Row: gateway.Row{ID: gateway.NewID("hch"), HubID: "hub_a"}, IntegrationID: in.ID, State: h, Since: now}
				must(t, db.Health().Insert(ctx, &c))
				want = append([]string{c.ID}, want...)
			}
			want = append(want, first.ID)
			if first.ID >= want[3] {
				t.Errorf("the first id %s sorts after %s", first.ID, want[3])
			}
			open, err := db.Health().Open(ctx, in.ID)
			if err != nil || open.ID != want[0] {
				t.Error(open, err)
			}
			// One page, and the same in small ones.
			for _, n := range []int{0, 2, 1} {
				var got []string
				for w := (gateway.Slice{Limit: n}); ; {
					page, err := db.Health().List(ctx, in.ID, w)
					must(t, err)
					for _, c := range page {
						got = append(got, c.ID)
						w.After = c.ID
					}
					if n == 0 || len(page) < n {
						break
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%d at a time: %v, want %v", n, got, want)
				}
			}
		}
	})
}
