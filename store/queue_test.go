package store_test

import (
	"context"
	"testing"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

// A task that waits or runs is not queued by IfIdle; without the option one that runs is, because a
// wake-up must not be lost.
func TestIfIdleLeavesRunningTasksAlone(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		idle := func(id string) {
			t.Helper()
			must(t, db.Tx(t.Context(), func(tx gateway.Tx) error {
				return tx.Enqueue(t.Context(), gateway.SettleAsset{AssetID: id}, gateway.IfIdle())
			}))
		}
		want := func(n int) {
			t.Helper()
			if got := count(t, o, "kind = 'settle_asset'"); got != n {
				t.Errorf("%d tasks, want %d", got, n)
			}
		}
		for range 2 {
			idle("a")
		}
		want(1)
		started, release := make(chan string, 4), make(chan struct{})
		r := start(t, db, func(_ context.Context, id string) error {
			started <- id
			<-release
			return nil
		})
		wait(t, started)
		idle("a")
		want(1)
		idle("b")
		want(2)
		wait(t, started)
		enqueue(t, db, "a")
		want(3)
		close(release)
		stop(t, r)
	})
}
