package gateway_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

// One hub's Kaltura hangs while more of its tasks wait than there are workers: few of them run, and
// the others' work gets done. Nothing here ends by waiting, so getting done is the proof.
func TestAHangingPlatformLeavesWorkersToOthers(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		raw := storetest.SQL(t, o)
		l := newLive(t, db)
		ctx := t.Context()
		const places = 3
		l.library.Lanes = &gateway.Lanes{PerHub: places}
		l.ins.Lanes = l.library.Lanes
		sp := &gateway.Spherical{Catalog: l.library.Catalog}
		if _, err := sp.Allow(ctx, l.house.Admin, 1, true); err != nil {
			t.Fatal(err)
		}
		l.world.entry("admin@example.org", "Tour 360 beach", "")
		if err := sp.RunScan(ctx, l.in.ID); err != nil { // begins the session, too
			t.Fatal(err)
		}
		if _, err := raw.ExecContext(ctx, "DELETE FROM river_job"); err != nil {
			t.Fatal(err)
		}
		job := gateway.Job{Row: gateway.Row{ID: gateway.NewID("job"), HubID: l.house.Hub.ID}, ParticipantID: l.house.Admin.ParticipantID, Kind: "mark_360", Subject: l.in.ID, State: gateway.JobQueued}
		if err := db.Jobs().Insert(ctx, &job); err != nil {
			t.Fatal(err)
		}

		var asked, now atomic.Int64
		end := make(chan struct{})
		l.meet(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			now.Add(1)
			defer now.Add(-1)
			select {
			case <-end:
			case <-r.Context().Done():
			}
			badGateway(w, r)
		})
		const looks = 40
		if err := db.Tx(ctx, func(tx gateway.Tx) error {
			for i := range looks {
				if err := tx.Enqueue(ctx, gateway.LookAtEntry{IntegrationID: l.in.ID, EntryID: fmt.Sprintf("0_zz%06d", i)}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		stop := l.work()
		defer stop()
		defer close(end)
		tasks := func(where string) (n int) {
			t.Helper()
			if err := raw.QueryRowContext(ctx, "SELECT count(*) FROM river_job WHERE "+where).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		eventually(t, "the hub's places are taken", func() bool { return now.Load() >= places })
		eventually(t, "all have been taken up once", func() bool { return tasks("kind = 'look_at_entry' AND attempted_at IS NULL") == 0 })
		if n := asked.Load(); n != places {
			t.Errorf("%d requests although the hub has %d places", n, places)
		}
		// Whatever else asks the same platform waits for a place, and does not ask.
		for name, run := range map[string]func() error{
			"reconcile": func() error { return l.library.RunReconcile(ctx, l.in.ID) },
			"diagnose":  func() error { return l.ins.RunDiagnose(ctx, l.in.ID) },
			"scan":      func() error { return sp.RunScan(ctx, l.in.ID) },
			"mark":      func() error { return sp.RunMark(ctx, job.ID) },
			"look":      func() error { return l.library.RunLook(ctx, l.in.ID, "0_abcdefgh") },
		} {
			var z *gateway.Snooze
			if err := run(); !asSnooze(err, &z) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := db.Tx(ctx, func(tx gateway.Tx) error { return tx.Enqueue(ctx, gateway.SettleAsset{AssetID: "ast_of_another_hub"}) }); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another hub's task is done", func() bool { return tasks("kind = 'settle_asset' AND state = 'completed'") == 1 })
		if n := now.Load(); n != places || asked.Load() != places {
			t.Errorf("%d hang, %d asked: the test proves nothing", n, asked.Load())
		}
	})
}

// What asks a platform must not sit in the queue of short work.
func TestPlatformTasksHaveTheirOwnQueues(t *testing.T) {
	for _, task := range []gateway.Task{
		gateway.LookAtEntry{},
		gateway.ReconcileLibrary{},
		gateway.DiagnoseIntegration{},
		gateway.ScanSpherical{},
		gateway.MarkSpherical{},
		gateway.ImportItem{},
		gateway.IngestUpload{},
		gateway.AbandonIngest{},
	} {
		if q := gateway.QueueOf(task.Kind()); q != gateway.QueuePlatform {
			t.Errorf("%s waits in %q", task.Kind(), q)
		}
	}
}
