package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// linked makes an entry with a ready item of Ada's that hangs on it.
func (l *live) linked(name string, kind gateway.ItemKind) (entry, item string) {
	l.t.Helper()
	entry = l.world.entry("ada@example.org", name, "")
	it := gateway.LibraryItem{
		Row: gateway.Row{ID: gateway.NewID("lib"), HubID: l.house.Hub.ID}, ParticipantID: l.house.Ada.ParticipantID,
		IntegrationID: l.in.ID, EntryID: entry, Kind: kind, Name: name, Type: gateway.Video, State: gateway.ItemReady,
	}
	if err := l.db.Library().Insert(l.t.Context(), &it); err != nil {
		l.t.Fatal(err)
	}
	return entry, it.ID
}

// uploaded makes a ready upload of an entry.
func (l *live) uploaded(entry string) string {
	l.t.Helper()
	u := gateway.Upload{
		Row: gateway.Row{ID: gateway.NewID("upl"), HubID: l.house.Hub.ID}, ParticipantID: l.house.Ada.ParticipantID,
		IntegrationID: l.in.ID, EntryID: entry, Name: "clip.mp4", State: gateway.UploadReady, ExpiresAt: gateway.SystemClock(),
	}
	if err := l.db.Uploads().Insert(l.t.Context(), &u); err != nil {
		l.t.Fatal(err)
	}
	return u.ID
}

// deleteEntry deletes an entry and gives what Kaltura's recycle bin does to bring it back.
func (l *live) deleteEntry(id string) (restore func()) {
	l.t.Helper()
	e, err := l.db.Kaltura().Entries().Get(l.t.Context(), partner, id)
	if err != nil {
		l.t.Fatal(err)
	}
	var out any
	l.world.ask("media", "delete", map[string]any{"entryId": id}, &out)
	return func() {
		l.t.Helper()
		if err := l.db.Kaltura().Entries().Insert(l.t.Context(), &e); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *live) reconcile() gateway.ReconcileReport {
	l.t.Helper()
	if err := l.library.RunReconcile(l.t.Context(), l.in.ID); err != nil {
		l.t.Fatal(err)
	}
	r, err := l.library.ReconcileReport(l.t.Context(), l.house.Admin)
	if err != nil || r.EndedAt.IsZero() {
		l.t.Fatal(r, err)
	}
	return r
}

func TestReconciliation(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		l := newLive(t, db)
		const n = 230 // more than two batches
		entries, items := make([]string, n), make([]string, n)
		for i := range n {
			entries[i], items[i] = l.linked(fmt.Sprintf("clip %d", i), gateway.ItemLink)
		}
		copied, theCopy := l.linked("kept", gateway.ItemCopy)
		upload := l.uploaded(entries[0])
		if r := l.reconcile(); r.Entries != n+2 || r.Items != n+2 || r.Uploads != 2 || r.Lost+r.Found+r.Changed+r.Unknown != 0 {
			t.Fatalf("%+v", r) // the entry of the upload is asked for twice, and its item counted twice
		}

		restore := map[string]func(){}
		for _, id := range []string{entries[0], entries[57], entries[n-1], copied} {
			restore[id] = l.deleteEntry(id)
		}
		var out any
		l.world.ask("media", "update", map[string]any{"entryId": entries[3], "mediaEntry": map[string]any{
			"objectType": "KalturaMediaEntry", "name": "a new name", "tags": "360, beach",
		}}, &out)
		var lists, gets atomic.Int64 // they come in parallel
		l.meet(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/media/action/list"):
				lists.Add(1)
			case strings.HasSuffix(r.URL.Path, "/media/action/get"):
				gets.Add(1)
			}
			l.platform.ServeHTTP(w, r)
		})
		r := l.reconcile()
		if r.Lost != 5 || r.Changed != 1 || r.Found != 0 || r.Unknown != 0 { // 3 links, 1 copy, 1 upload
			t.Errorf("%+v", r)
		}
		// 3 pages of items and one of uploads; each missing one is asked for by itself, but who asks for the same entry at once shares the answer
		if lists.Load() != 4 || gets.Load() < 4 || gets.Load() > 5 {
			t.Errorf("%d lists, %d gets", lists.Load(), gets.Load())
		}
		it := l.item(items[57])
		if it.SourceLostAt == nil || it.State != gateway.ItemReady || it.Lost() == nil || it.Lost().NextStep == "" {
			t.Errorf("%+v", it)
		}
		if kept := l.item(theCopy); kept.SourceLostAt == nil || kept.Lost().Message == it.Lost().Message {
			t.Errorf("%+v", kept)
		}
		if u := l.state(upload); u.EntryLostAt == nil || u.State != gateway.UploadReady {
			t.Errorf("%+v", u)
		}
		if it := l.item(items[3]); it.Name != "a new name" || !it.Is360 || it.SourceLostAt != nil {
			t.Errorf("%+v", it)
		}
		if it := l.item(items[4]); it.Name != "clip 4" || it.SourceLostAt != nil {
			t.Errorf("%+v", it)
		}
		// All stay listed, with the reason.
		list, err := l.library.List(t.Context(), l.house.Ada, "", nil, gateway.Slice{Limit: 500})
		if err != nil || len(list) != n+1 {
			t.Error(len(list), err)
		}
		_, _, err = l.library.Playback(t.Context(), l.house.Ada, items[57])
		gatewaytest.Want(t, err, gateway.NotFound, "source_lost")
		gatewaytest.Explained(t, err)
		if r := l.reconcile(); r.Lost+r.Found+r.Changed != 0 {
			t.Errorf("told again: %+v", r)
		}

		restore[entries[57]]()
		restore[entries[0]]()
		if r := l.reconcile(); r.Found != 3 || r.Lost != 0 || l.item(items[57]).SourceLostAt != nil || l.state(upload).EntryLostAt != nil {
			t.Errorf("%+v", r)
		}
		for typ, want := range map[string]int{
			"library.source_lost": 4, "library.source_found": 2, "library.changed": 1, "upload.entry_lost": 1, "upload.entry_found": 1,
		} {
			if got := len(told(t, db, l.house.Ada, typ)); got != want {
				t.Errorf("%d × %s, want %d", got, typ, want)
			}
			if got := len(told(t, db, l.house.Bob, typ)); got != 0 {
				t.Errorf("%s is told to somebody who may not see the item", typ)
			}
		}
	})
}

// Only a certain answer counts: whatever nonsense a sick platform tells, nothing is called lost.
const (
	noEntries = `{"totalCount":0,"objects":[],"objectType":"KalturaMediaListResponse"}`
	anError   = `{"code":"INTERNAL_SERVERL_ERROR","message":"","objectType":"KalturaAPIException","args":[]}`
	noRight   = `{"code":"SERVICE_FORBIDDEN","message":"","objectType":"KalturaAPIException","args":{}}`
)

// answer puts other answers in place of media.list's and media.get's; "" is the true one.
func (l *live) answer(list, get string) {
	l.meet(func(w http.ResponseWriter, r *http.Request) {
		text := ""
		switch {
		case strings.HasSuffix(r.URL.Path, "/media/action/list"):
			text = list
		case strings.HasSuffix(r.URL.Path, "/media/action/get"):
			text = get
		}
		switch text {
		case "":
			l.platform.ServeHTTP(w, r)
		case "down":
			http.Error(w, "", http.StatusBadGateway)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(text))
		}
	})
}

// Only a certain answer counts: whatever nonsense a sick platform tells, nothing is called lost.
func TestNothingIsLostOnHearsay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		list, get string
		uncertain int
	}{
		"down":                           {"down", "down", 3},
		"a page":                         {"<html>Sorry</html>", "<html>Sorry</html>", 3},
		"half an answer":                 {noEntries[:20], "", 3},
		"an empty list":                  {noEntries, "", 0},
		"an empty list, then down":       {noEntries, "down", 3},
		"an empty list, then half":       {noEntries, `{"id":`, 3},
		"an error":                       {anError, anError, 3},
		"an empty list, then an error":   {noEntries, anError, 3},
		"an empty list, then no right":   {noEntries, noRight, 3},
		"no right":                       {noRight, noRight, 3},
		"somebody else's entries listed": {`{"totalCount":1,"objects":[{"id":"0_somethin","name":"x"}]}`, anError, 3},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLive(t, storetest.SQLite(t))
			var items []string
			for i := range 3 {
				_, id := l.linked(fmt.Sprintf("clip %d", i), gateway.ItemLink)
				items = append(items, id)
			}
			l.answer(c.list, c.get)
			_ = l.library.RunReconcile(t.Context(), l.in.ID) // says when it has to be tried again
			for _, id := range items {
				if it := l.item(id); it.SourceLostAt != nil {
					t.Errorf("lost: %+v", it)
				}
			}
			r, err := l.library.ReconcileReport(t.Context(), l.house.Admin)
			if err != nil || r.Unknown != c.uncertain || r.EndedAt.IsZero() {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// Not listed and not to be asked for, twice and hours apart: then it is believed.
func TestMissingTwiceIsLost(t *testing.T) {
	l := newLive(t, storetest.SQLite(t))
	_, item := l.linked("clip", gateway.ItemLink)
	l.reconcile()
	now := gateway.SystemClock()
	l.library.Clock = func() time.Time { return now }
	l.answer(noEntries, noRight)
	for hours, lost := range []bool{false, false, true} {
		now = now.Add(time.Duration(hours) * 4 * time.Hour)
		if r := l.reconcile(); (r.Lost == 1) != lost || r.Unknown != 1 || (l.item(item).SourceLostAt != nil) != lost {
			t.Errorf("%+v", r)
		}
	}
	l.meet(nil)
	if r := l.reconcile(); r.Found != 1 || l.item(item).SourceLostAt != nil {
		t.Errorf("%+v", r)
	}
}

// A link that does not play any more is looked at, at once, and so is one that plays again. The
// daily look, an admin's wish and a notification come to the same, through the queue.
func TestALinkThatDoesNotPlayIsLookedAt(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		l := newLive(t, db)
		entry, item := l.linked("clip", gateway.ItemLink)
		restore := l.deleteEntry(entry)
		l.work()
		_, _, err := l.library.Playback(t.Context(), l.house.Ada, item)
		gatewaytest.Want(t, err, gateway.NotFound, "media_not_found")
		eventually(t, "known to be gone", func() bool { return l.item(item).SourceLostAt != nil })
		restore()
		_, err = l.library.Reconcile(t.Context(), l.house.Bob)
		gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
		if _, err = l.library.Reconcile(t.Context(), l.house.Admin); err != nil {
			t.Fatal(err)
		}
		eventually(t, "back", func() bool { return l.item(item).SourceLostAt == nil })
		l.deleteEntry(entry)
		eventually(t, "the daily look", func() bool {
			u, err := db.Upkeeps().Get(t.Context(), gateway.AnyHub, l.in.ID)
			if err != nil {
				t.Fatal(err)
			}
			u.ReconcileAt = gateway.SystemClock().Add(-time.Hour)
			if err = db.Upkeeps().Update(t.Context(), &u); err != nil && !gateway.IsReason(err, "changed_meanwhile") {
				t.Fatal(err)
			}
			if err := l.ins.KeepAlive(t.Context()); err != nil {
				t.Fatal(err)
			}
			return l.item(item).SourceLostAt != nil
		})
	})
}
