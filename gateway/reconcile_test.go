package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

// dieAfter runs the ingest of a finished upload until the platform has made the entry, and kills it
// before the answer of the given action is heard.
func (l *live) dieAfter(action, uploadID string) {
	l.t.Helper()
	ctx, die := context.WithCancel(l.t.Context())
	defer die()
	l.meet(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(strings.ToLower(r.URL.Path), strings.ToLower(action)) {
			l.platform.ServeHTTP(w, r)
			return
		}
		l.platform.ServeHTTP(nobody{http.Header{}}, r.WithContext(l.t.Context()))
		die()
		panic(http.ErrAbortHandler)
	})
	if err := l.uploads.RunIngest(ctx, uploadID); err == nil {
		l.t.Fatal("it lived")
	}
	l.meet(nil)
	l.forgetMemory()
}

// Killed between making the entry and writing it down, then cancelled: the entry that nobody knows of goes.
func TestCancelAfterDeathLeavesNoEntry(t *testing.T) {
	for _, action := range []string{"service/multirequest"} {
		t.Run(action, func(t *testing.T) {
			l := newLive(t, storetest.SQLite(t))
			ctx := t.Context()
			u := l.upload(l.house.Ada, "a.mp4", flatClip(t))
			l.dieAfter(action, u.ID)
			if n := len(l.entries(u.ID)); n != 1 {
				t.Fatalf("%d entries before the cancel", n)
			}
			if _, err := l.uploads.Cancel(ctx, l.house.Ada, u.ID); err != nil {
				t.Fatal(err)
			}
			// The queue hands both tasks out, in any order and again.
			for _, run := range []func(context.Context, string) error{l.uploads.RunIngest, l.uploads.RunAbandon, l.uploads.RunAbandon} {
				var z *gateway.Snooze
				if err := run(ctx, u.ID); err != nil && !asSnooze(err, &z) {
					t.Fatal(err)
				}
			}
			if list := l.entries(u.ID); len(list) != 0 {
				t.Errorf("left behind: %+v", list)
			}
		})
	}
}

// Rows whose task was lost are taken up again; those that are at work are left alone.
func TestReconcileFindsRowsWithoutATask(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		l := newLive(t, db)
		ctx := t.Context()
		tasks := func() (n int) {
			t.Helper()
			if err := storetest.SQL(t, o).QueryRowContext(ctx, "SELECT count(*) FROM river_job WHERE state <> 'completed'").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		ready := l.upload(l.house.Ada, "old.mp4", flatClip(t))
		stop := l.work()
		eventually(t, "ready", func() bool { return l.state(ready.ID).State == gateway.UploadReady })
		stop()

		u := l.upload(l.house.Ada, "a.mp4", flatClip(t))
		it, _, _, err := l.library.Import(ctx, l.house.Bob, l.state(ready.ID).EntryID, gateway.ItemCopy, gateway.RenditionOriginal)
		if err != nil {
			t.Fatal(err)
		}
		had := tasks()
		if err := l.jobs.Reconcile(ctx); err != nil {
			t.Fatal(err)
		}
		if n := tasks(); n != had {
			t.Errorf("%d tasks became %d although none was missing", had, n)
		}
		if _, err := storetest.SQL(t, o).ExecContext(ctx, "DELETE FROM river_job"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := l.jobs.Reconcile(ctx); err != nil {
				t.Fatal(err)
			}
		}
		l.work()
		eventually(t, "the upload is ready", func() bool { return l.state(u.ID).State == gateway.UploadReady })
		eventually(t, "the copy is ready", func() bool {
			row, err := db.Library().Get(ctx, gateway.AnyHub, it.ID)
			return err == nil && row.State == gateway.ItemReady
		})
		if n := len(l.entries(u.ID)); n != 1 {
			t.Errorf("%d entries", n)
		}
	})
}

// Runs and deliveries whose task was lost are taken up again; a cancelled run gives back its entries.
func TestReconcileFindsRunsAndDeliveriesWithoutATask(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		l := newLive(t, db)
		ctx := t.Context()
		sp := &gateway.Spherical{Catalog: l.library.Catalog}
		_, first := l.offered("Tour 360 beach")
		_, second := l.offered("Tour 360 city")
		job, _, err := sp.Mark(ctx, l.house.Admin, []string{first})
		if err != nil {
			t.Fatal(err)
		}
		cancelled, _, err := sp.Mark(ctx, l.house.Admin, []string{second})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.jobs.Cancel(ctx, l.house.Admin, cancelled.ID); err != nil {
			t.Fatal(err)
		}
		w := gateway.WebhookEndpoint{Row: gateway.Row{ID: gateway.NewID("whe"), HubID: l.house.Hub.ID}, URL: "https://hooks.example.org", Events: []string{"*"}, State: gateway.WebhookEnabled}
		if err := db.Webhooks().Insert(ctx, &w); err != nil {
			t.Fatal(err)
		}
		deliveries := map[string]string{}
		for _, state := range []gateway.DeliveryState{gateway.DeliveryPending, gateway.DeliveryDelivered, gateway.DeliveryFailed} {
			d := gateway.WebhookDelivery{Row: gateway.Row{ID: gateway.NewID("whd"), HubID: l.house.Hub.ID}, EndpointID: w.ID, EventType: "upload.ready", Body: "{}", State: state}
			if err := db.Deliveries().Insert(ctx, &d); err != nil {
				t.Fatal(err)
			}
			deliveries[string(state)] = d.ID
		}
		raw := storetest.SQL(t, o)
		if _, err := raw.ExecContext(ctx, "DELETE FROM river_job"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := l.jobs.Reconcile(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for id, want := range map[string]int{deliveries["pending"]: 1, deliveries["delivered"]: 0, deliveries["failed"]: 0, job.ID: 1, cancelled.ID: 1} {
			if n := l.tasks(o, "CAST(args AS text) LIKE '%"+id+"%'"); n != want {
				t.Errorf("%d tasks of %s, want %d", n, id, want)
			}
		}
		if _, err := raw.ExecContext(ctx, "DELETE FROM river_job WHERE kind = 'deliver_webhook'"); err != nil { // this site has no webhooks
			t.Fatal(err)
		}
		stop := l.work()
		eventually(t, "the run is done", func() bool { return l.job(job.ID).State == gateway.JobDone })
		eventually(t, "the cancelled run holds nothing", func() bool {
			c, err := db.Spherical().Get(ctx, gateway.AnyHub, second)
			return err == nil && c.State == gateway.CandidateOffered
		})
		stop()
		if _, err := raw.ExecContext(ctx, "DELETE FROM river_job"); err != nil {
			t.Fatal(err)
		}
		if err := l.jobs.Reconcile(ctx); err != nil {
			t.Fatal(err)
		}
		if n := l.tasks(o, "kind = 'mark_spherical'"); n != 0 {
			t.Errorf("%d runs that are over are queued again", n)
		}
	})
}
