package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

// tasks counts rows of the queue.
func (l *live) tasks(o store.Options, where string) (n int) {
	l.t.Helper()
	raw := storetest.SQL(l.t, o)
	if err := raw.QueryRowContext(l.t.Context(), "SELECT count(*) FROM river_job WHERE "+where).Scan(&n); err != nil {
		l.t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		l.t.Fatal(err)
	}
	return n
}

// notify sends notifications about an entry, as Kaltura would; each is another.
func (l *live) notify() func(entry string) {
	l.t.Helper()
	h, secret, err := l.ins.MakeHook(l.t.Context(), l.house.Admin)
	if err != nil {
		l.t.Fatal(err)
	}
	n := 0
	return func(entry string) {
		l.t.Helper()
		n++
		body := fmt.Sprintf(`{"object":{"id":"%s"},"n":%d}`, entry, n)
		sum := sha256.Sum256([]byte(secret.Reveal() + body))
		if err := l.ins.Notified(l.t.Context(), h.ID, gateway.Notification{Signature: hex.EncodeToString(sum[:]), Body: []byte(body)}); err != nil {
			l.t.Fatal(err)
		}
	}
}

// However many notifications come while an entry is converted, the upload has one watch, and each of
// them has it look at once.
func TestNotificationsBringTheWatchForward(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		l := newLive(t, db)
		ctx := t.Context()
		up := gateway.Upload{
			Row: gateway.Row{ID: gateway.NewID("upl"), HubID: l.house.Hub.ID}, ParticipantID: l.house.Ada.ParticipantID, IntegrationID: l.in.ID,
			EntryID: l.world.entry("ada@example.org", "busy", ""), State: gateway.UploadProcessing, Name: "x.mp4", ExpiresAt: gateway.SystemClock(),
		}
		if err := db.Uploads().Insert(ctx, &up); err != nil {
			t.Fatal(err)
		}
		// It has been processed for long, so that the watch sleeps for half a minute each time.
		if _, err := storetest.SQL(t, o).ExecContext(ctx, "UPDATE uploads SET updated_at = '2020-01-01 00:00:00+00:00'"); err != nil {
			t.Fatal(err)
		}
		if err := db.Tx(ctx, func(tx gateway.Tx) error { return tx.Enqueue(ctx, gateway.WatchUpload{UploadID: up.ID}) }); err != nil {
			t.Fatal(err)
		}
		var asked atomic.Int64
		l.meet(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			l.platform.ServeHTTP(w, r)
		})
		send := l.notify()
		l.work()
		for range 8 {
			eventually(t, "the watch sleeps", func() bool { return l.tasks(o, "kind = 'watch_upload' AND state = 'scheduled'") > 0 })
			had := asked.Load()
			send(up.EntryID)
			eventually(t, "Kaltura is asked", func() bool { return asked.Load() > had })
		}
		if n := l.tasks(o, "kind = 'watch_upload'"); n != 1 {
			t.Errorf("%d watches of one upload", n)
		}
	})
}

// A look that failed and waits for its next try is not joined by another with each notification.
func TestNotificationsBringTheLookForward(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		l := newLive(t, storetest.Open(t, o))
		entry, _ := l.linked("x", gateway.ItemLink)
		send := l.notify()
		l.meet(badGateway)
		l.work()
		for range 6 {
			send(entry)
			eventually(t, "the look has failed", func() bool {
				return l.tasks(o, "kind = 'look_at_entry' AND (state IN ('available', 'running') OR attempted_at IS NULL)") == 0
			})
		}
		if n := l.tasks(o, "kind = 'look_at_entry'"); n != 1 {
			t.Errorf("%d looks at one entry", n)
		}
	})
}
