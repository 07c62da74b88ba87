package gateway_test

import (
	"testing"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

// Clicks while Kaltura does not answer: one comparison and one search wait, and are tried again with each.
func TestClicksBringTasksForward(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		l := newLive(t, storetest.Open(t, o))
		ctx := t.Context()
		l.linked("x", gateway.ItemLink)
		sp := &gateway.Spherical{Catalog: l.library.Catalog}
		l.meet(badGateway)
		if _, err := sp.Allow(ctx, l.house.Admin, 1, true); err != nil {
			t.Fatal(err)
		}
		l.work()
		wait := func() {
			t.Helper()
			eventually(t, "all wait for Kaltura", func() bool {
				return l.tasks(o, "kind IN ('reconcile_library', 'scan_spherical') AND (state IN ('available', 'running') OR attempted_at IS NULL)") == 0
			})
		}
		wait() // for the search that begins with the permission: a click while it runs would be for another
		for range 6 {
			if _, err := l.library.Reconcile(ctx, l.house.Admin); err != nil {
				t.Fatal(err)
			}
			if _, err := sp.Scan(ctx, l.house.Admin); err != nil {
				t.Fatal(err)
			}
			wait()
		}
		for _, kind := range []string{"reconcile_library", "scan_spherical"} {
			if n := l.tasks(o, "kind = '"+kind+"'"); n != 1 {
				t.Errorf("%d tasks %s", n, kind)
			}
		}
	})
}
