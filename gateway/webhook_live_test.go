package gateway_test

import (
	"encoding/json"
	"maps"
	"net/netip"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"isthmus/gateway"
	"isthmus/jobs"
	"isthmus/outbound"
	"isthmus/store"
	"isthmus/store/storetest"
)

// The platform goes down and comes back, as the real client sees it; a receiver on a socket hears of
// both, signed.
func TestAnOutageReachesAReceiver(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		l := newLive(t, db)
		ctx := t.Context()
		h := &gateway.Webhooks{
			Store: db, Clock: gateway.SystemClock, Sealer: l.keys, Events: l.events,
			Poster: outbound.NewPoster(outbound.Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
		}
		r := newReceiver(t)
		_, secret := endpoint(t, h, l.house.Admin, r.URL+"/in/?token=abc", "integration.degraded", "integration.recovered")
		runner, err := db.Runner(jobs.New(jobs.Services{Webhooks: h, Integrations: l.ins}), store.JobsOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := runner.Start(ctx); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := runner.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		check, err := standardwebhooks.NewWebhook(secret.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		heard := func() map[string]int {
			types := map[string]int{}
			for _, m := range r.all() {
				if err := check.Verify(m.body, m.header); err != nil {
					t.Error(err)
				}
				var body struct {
					Type, Subject string
					HubID         string `json:"hub_id"`
				}
				if err := json.Unmarshal(m.body, &body); err != nil || body.Subject != l.in.ID || body.HubID != l.house.Hub.ID {
					t.Errorf("%v %s", err, m.body)
				}
				types[body.Type]++
			}
			return types
		}
		l.meet(badGateway)
		if _, err := l.library.Catalog.Browse(ctx, l.house.Ada, gateway.Query{}); err == nil {
			t.Fatal("the platform answers")
		}
		eventually(t, "degraded", func() bool { return maps.Equal(heard(), map[string]int{"integration.degraded": 1}) })
		l.meet(nil)
		eventually(t, "recovered", func() bool {
			return maps.Equal(heard(), map[string]int{"integration.degraded": 1, "integration.recovered": 1})
		})
	})
}
