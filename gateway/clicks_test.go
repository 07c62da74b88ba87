package gateway_test

import (
	"testing"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

// Clicks while Kaltura does not answer: one comparison and one search wait, and are tried again with each.
func TestClicksBringTasksForward(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		l := newLive(t, storetest.Open(t, o))
		ctx := t.Context()
		l.linked("x", gateway.ItemLink)
		sp := &gateway.Spherical{Catalog: l.library.Catalog}
		l.meet(badGateway)
		if _, err := sp.Allow(ctx, l.house.Admin, true); err != nil {
			t.Fatal(err)
		}
		l.work()
		for range 6 {
			if _, err := l.library.Reconcile(ctx, l.house.Admin); err != nil {
				t.Fatal(err)
			}
			if _, err := sp.Scan(ctx, l.house.Admin); err != nil {
				t.Fatal(err)
			}
			eventually(t, "both wait for Kaltura", func() bool {
				return l.tasks(o, "kind IN ('reconcile_library', 'scan_spherical') AND (state IN ('available', 'running') OR attempted_at IS NULL)") == 0
			})
		}
		for _, kind := range []string{"reconcile_library", "scan_spherical"} {
			if n := l.tasks(o, "kind = '"+kind+"'"); n != 1 {
				t.Errorf("%d tasks %s", n, kind)
			}
		}
	})
}
