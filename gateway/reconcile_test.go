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
