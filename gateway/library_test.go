package gateway_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// ready takes a file to a ready entry of Ada's and gives the entry's id.
func (l *live) ready(name string, body []byte) string {
	l.t.Helper()
	u := l.upload(l.house.Ada, name, body)
	eventually(l.t, "ready", func() bool { return l.state(u.ID).State == gateway.UploadReady })
	return l.state(u.ID).EntryID
}

func (l *live) item(id string) gateway.LibraryItem {
	l.t.Helper()
	it, err := l.db.Library().Get(l.t.Context(), gateway.AnyHub, id)
	if err != nil {
		l.t.Fatal(err)
	}
	return it
}

func (l *live) job(id string) gateway.Job {
	l.t.Helper()
	j, err := l.db.Jobs().Get(l.t.Context(), gateway.AnyHub, id)
	if err != nil {
		l.t.Fatal(err)
	}
	return j
}

func (l *live) original(as gateway.Asset) []byte {
	l.t.Helper()
	r, _, err := l.blobs.Open(l.t.Context(), as.Original, gateway.Range{Start: 0, End: -1})
	if err != nil {
		l.t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

func TestImportLinkAndCopy(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		l := newLive(t, db)
		l.work()
		ctx := t.Context()
		entry := l.ready("rundum.mp4", sphereClip(t))

		link, job, created, err := l.library.Import(ctx, l.house.Bob, entry, gateway.ItemLink, "")
		if err != nil || !created || link.State != gateway.ItemReady || job.State != gateway.JobDone || !link.Is360 || link.Type != gateway.Video {
			t.Fatalf("%+v %+v %v %v", link, job, created, err)
		}
		if _, p, err := l.library.Playback(ctx, l.house.Bob, link.ID); err != nil || p.DASH == "" {
			t.Error(p, err)
		}

		// The same entry twice is the same item, whoever asks at the same time.
		var news atomic.Int64
		itemIDs := make([]string, 8)
		together(8, func(i int) {
			it, _, created, err := l.library.Import(ctx, l.house.Bob, entry, gateway.ItemCopy, "")
			if err != nil {
				t.Error(err)
			}
			if created {
				news.Add(1)
			}
			itemIDs[i] = it.ID
		})
		if slices.Sort(itemIDs); news.Load() != 1 || itemIDs[0] != itemIDs[7] {
			t.Fatal(news.Load(), itemIDs)
		}
		id := itemIDs[0]
		eventually(t, "copied and playable", func() bool {
			it := l.item(id)
			if it.State == gateway.ItemFailed {
				t.Fatalf("%s %s", it.ErrorCode, it.ErrorText)
			}
			return it.State == gateway.ItemReady
		})
		it := l.item(id)
		as, err := l.assets.Get(ctx, it.AssetID)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(l.original(as), sphereClip(t)) || as.SHA256 != digest(sphereClip(t)) || !it.Is360 {
			t.Error("the copy differs")
		}
		if j := l.job(it.JobID); j.State != gateway.JobDone || j.Progress != 1 {
			t.Errorf("%+v", j)
		}
		if got := l.types(id); !slices.Equal(got, []string{"import.requested", "import.started", "import.copied", "import.ready", "library.item_imported"}) {
			t.Error(got)
		}
		_, p, err := l.library.Playback(ctx, l.house.Bob, id)
		if err != nil || !strings.HasPrefix(p.DASH, "/play/") || !strings.HasPrefix(p.Thumbnail, "/play/") {
			t.Fatal(p, err)
		}
		ticket, file, _ := strings.Cut(strings.TrimPrefix(p.DASH, "/play/"), "/")
		subject, err := l.library.Tickets.Check(gateway.TicketPlay, ticket)
		if err != nil {
			t.Fatal(err)
		}
		viewer, prefix, _ := strings.Cut(subject, "/"+id+"/")
		if viewer != l.house.Hub.ID+"/"+l.house.Bob.Subject() {
			t.Error("the ticket is for", viewer)
		}
		if err := l.library.Plays(ctx, l.house.Bob, id, prefix); err != nil {
			t.Error(err)
		}
		gatewaytest.Want(t, l.library.Plays(ctx, l.house.Ada, id, prefix), gateway.NotFound, "")
		gatewaytest.Want(t, l.library.Plays(ctx, l.house.Bob, id, "assets/ast_other/1-pkg/"), gateway.NotFound, "")
		if _, err := l.blobs.Stat(ctx, prefix+"/"+file); err != nil {
			t.Error("the address leads nowhere:", err)
		}
		pic, kind, err := l.library.Thumbnail(ctx, l.house.Bob, id, 320)
		if err != nil || kind != "image/jpeg" {
			t.Fatal(kind, err)
		}
		pic.Close()

		// The ladder follows; the generation before it stays for a day, then goes.
		eventually(t, "ladder", func() bool {
			as, err = l.assets.Get(ctx, it.AssetID)
			return err == nil && as.State == gateway.AssetReady
		})
		if _, err := l.blobs.Stat(ctx, prefix+"/"+file); err != nil {
			t.Error("a player that began before the ladder is cut off:", err)
		}
		if err := l.assets.RunTrim(ctx, as.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := l.blobs.Stat(ctx, as.Package.DASH); err != nil {
			t.Error("the newest generation was trimmed:", err)
		}
		if !strings.HasPrefix(as.Package.DASH, prefix) {
			if _, err := l.blobs.Stat(ctx, prefix+"/"+file); gateway.CodeOf(err) != gateway.NotFound {
				t.Error("the old generation was not trimmed:", err)
			}
		}

		// Only the importer sees it, until it is shared; both are logged.
		_, err = l.library.Get(ctx, l.house.Ada, id)
		gatewaytest.Want(t, err, gateway.NotFound, "")
		_, err = l.library.Share(ctx, l.house.Ada, id, it.Version, true)
		gatewaytest.Want(t, err, gateway.NotFound, "")
		it = l.item(id)
		_, err = l.library.Share(ctx, l.house.Bob, id, it.Version+7, true)
		gatewaytest.Want(t, err, gateway.Precondition, "stale")
		if _, err = l.library.Share(ctx, l.house.Bob, id, it.Version, true); err != nil {
			t.Fatal(err)
		}
		if _, err = l.library.Get(ctx, l.house.Ada, id); err != nil {
			t.Error(err)
		}
		err = l.library.Remove(ctx, l.house.Ada, id)
		gatewaytest.Want(t, err, gateway.Forbidden, "not_importer")

		if err := l.library.Remove(ctx, l.house.Bob, id); err != nil {
			t.Fatal(err)
		}
		if _, err := l.assets.Get(ctx, as.ID); gateway.CodeOf(err) != gateway.NotFound {
			t.Error(err)
		}
		if _, err := l.blobs.Stat(ctx, as.Original); gateway.CodeOf(err) != gateway.NotFound {
			t.Error("the bytes are still here:", err)
		}
		if len(l.entries(l.referenceOf(entry))) != 1 {
			t.Error("removing a copy removed the entry")
		}
		log, err := l.db.Audit().List(ctx, gateway.Scope(l.house.Hub.ID), gateway.AuditFilter{}, gateway.Slice{})
		if err != nil {
			t.Fatal(err)
		}
		var actions []string
		for _, r := range log {
			actions = append(actions, r.Action)
		}
		if !slices.Contains(actions, "library.share") || !slices.Contains(actions, "library.remove") {
			t.Error(actions)
		}
	})
}

func (l *live) referenceOf(entry string) string {
	l.t.Helper()
	var e platformEntry
	l.world.ask("media", "get", map[string]any{"entryId": entry}, &e)
	return e.ReferenceID
}

// tear lets deliveries of the original break off after a random number of bytes; it counts them and
// the bytes that went over.
func (l *live) tear(times int) (broken, sent *atomic.Int64) {
	broken, sent = &atomic.Int64{}, &atomic.Int64{}
	l.meet(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api_v3/") {
			l.platform.ServeHTTP(w, r)
			return
		}
		t := &torn{ResponseWriter: w, sent: sent, left: -1}
		if broken.Load() < int64(times) {
			broken.Add(1)
			t.left = 1 + rand.IntN(60_000)
		}
		l.platform.ServeHTTP(t, r)
	})
	return broken, sent
}

type torn struct {
	http.ResponseWriter
	left int // bytes until it breaks, < 0 = never
	sent *atomic.Int64
}

func (t *torn) Write(b []byte) (int, error) {
	if t.left >= 0 && len(b) >= t.left {
		n, _ := t.ResponseWriter.Write(b[:t.left])
		t.sent.Add(int64(n))
		panic(http.ErrAbortHandler)
	}
	n, err := t.ResponseWriter.Write(b)
	t.sent.Add(int64(n))
	if t.left >= 0 {
		t.left -= n
	}
	return n, err
}

func TestCopyGoesOnWhereTheLineBroke(t *testing.T) {
	t.Parallel()
	l := newLive(t, storetest.SQLite(t))
	stop := l.work()
	body := bigClip(t)
	entry := l.ready("a.mp4", body)
	stop()
	it, _, _, err := l.library.Import(t.Context(), l.house.Bob, entry, gateway.ItemCopy, gateway.RenditionOriginal)
	if err != nil {
		t.Fatal(err)
	}
	broken, sent := l.tear(6)
	var z *gateway.Snooze
	eventually(t, "copied", func() bool {
		if err := l.library.RunImport(t.Context(), it.ID); err != nil && !asSnooze(err, &z) {
			t.Fatal(err)
		}
		return l.item(it.ID).State == gateway.ItemProcessing
	})
	as, err := l.assets.Get(t.Context(), l.item(it.ID).AssetID)
	if err != nil || !bytes.Equal(l.original(as), body) {
		t.Error("the copy differs", err)
	}
	if broken.Load() != 6 || sent.Load() > int64(len(body))*2 {
		t.Errorf("%d breaks, %d bytes sent for a file of %d: it did not go on where it was", broken.Load(), sent.Load(), len(body))
	}
}

func TestCancelOfARunningCopy(t *testing.T) {
	t.Parallel()
	l := newLive(t, storetest.SQLite(t))
	l.work()
	ctx := t.Context()
	entry := l.ready("a.mp4", bigClip(t))
	stuck := make(chan struct{})
	var delivering atomic.Bool
	l.meet(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api_v3/") {
			l.platform.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write(make([]byte, 1000))
		delivering.Store(true)
		select { // a platform that dawdles
		case <-stuck:
		case <-r.Context().Done():
		}
	})
	defer close(stuck)
	it, job, _, err := l.library.Import(ctx, l.house.Bob, entry, gateway.ItemCopy, "")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "bytes flow", delivering.Load)
	_, err = l.jobs.Cancel(ctx, l.house.Ada, job.ID)
	gatewaytest.Want(t, err, gateway.NotFound, "")
	if j, err := l.jobs.Cancel(ctx, l.house.Bob, job.ID); err != nil || !j.CancelRequested {
		t.Fatal(j, err)
	}
	eventually(t, "cancelled", func() bool { return l.job(job.ID).State == gateway.JobCancelled })
	if got := l.item(it.ID); got.State != gateway.ItemCancelled {
		t.Error(got.State)
	}
	eventually(t, "bytes freed", func() bool {
		_, err := l.staging.Durable(ctx, job.ID)
		return gateway.CodeOf(err) == gateway.NotFound
	})
	if _, err := l.jobs.Cancel(ctx, l.house.Bob, job.ID); err != nil {
		t.Error("cancelling twice:", err)
	}
	// Asked for again, the same item goes on with a new job.
	l.meet(nil)
	again, job2, created, err := l.library.Import(ctx, l.house.Bob, entry, gateway.ItemCopy, "")
	if err != nil || created || again.ID != it.ID || job2.ID == job.ID {
		t.Fatal(again.ID, created, err)
	}
	eventually(t, "ready", func() bool { return l.item(it.ID).State == gateway.ItemReady })
	_, err = l.jobs.Cancel(ctx, l.house.Bob, job2.ID)
	gatewaytest.Want(t, err, gateway.Conflict, "job_over")
}

func TestCancelBeforeAndAfterTheBytes(t *testing.T) {
	t.Parallel()
	l := newLive(t, storetest.SQLite(t))
	stop := l.work()
	ctx := t.Context()
	entry := l.ready("a.mp4", flatClip(t))
	stop()
	it, job, _, err := l.library.Import(ctx, l.house.Bob, entry, gateway.ItemCopy, "")
	if err != nil {
		t.Fatal(err)
	}
	if j, err := l.jobs.Cancel(ctx, l.house.Bob, job.ID); err != nil || j.State != gateway.JobCancelled { // queued: at once
		t.Fatal(j, err)
	}
	if err := l.library.RunImport(ctx, it.ID); err != nil {
		t.Fatal(err)
	}
	if got := l.item(it.ID); got.State != gateway.ItemCancelled {
		t.Error(got.State)
	}
	_, job, _, err = l.library.Import(ctx, l.house.Bob, entry, gateway.ItemCopy, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.library.RunImport(ctx, it.ID); err != nil {
		t.Fatal(err)
	}
	asset := l.item(it.ID).AssetID
	if asset == "" || l.item(it.ID).State != gateway.ItemProcessing {
		t.Fatalf("%+v", l.item(it.ID))
	}
	if j, err := l.jobs.Cancel(ctx, l.house.Bob, job.ID); err != nil || j.State != gateway.JobCancelled { // in the pipeline: at once, too
		t.Fatal(j, err)
	}
	if _, err := l.assets.Get(ctx, asset); gateway.CodeOf(err) != gateway.NotFound {
		t.Error(err)
	}
	if err := l.assets.RunInspect(ctx, asset); err != nil {
		t.Error("a task for a removed asset:", err)
	}
}

func TestImportOfADeletedEntry(t *testing.T) {
	l := newLive(t, storetest.SQLite(t))
	stop := l.work()
	ctx := t.Context()
	entry := l.ready("a.mp4", flatClip(t))
	stop()
	it, job, _, err := l.library.Import(ctx, l.house.Bob, entry, gateway.ItemCopy, "")
	if err != nil {
		t.Fatal(err)
	}
	var out any
	l.world.ask("media", "delete", map[string]any{"entryId": entry}, &out)
	_, _, _, err = l.library.Import(ctx, l.house.Ada, entry, gateway.ItemLink, "")
	gatewaytest.Want(t, err, gateway.NotFound, "")
	if err := l.library.RunImport(ctx, it.ID); gateway.CodeOf(err) != gateway.NotFound {
		t.Error(err)
	}
	if got := l.item(it.ID); got.State != gateway.ItemFailed || got.ErrorCode != "entry_gone" || got.NextStep == "" {
		t.Errorf("%+v", got)
	}
	if j := l.job(job.ID); j.State != gateway.JobFailed {
		t.Error(j.State)
	}
}

// A process that died when all bytes were staged, or published, but before the row said so.
func TestImportGoesOnAfterTheLastByte(t *testing.T) {
	l := newLive(t, storetest.SQLite(t))
	stop := l.work()
	ctx, body := t.Context(), flatClip(t)
	entry := l.ready("a.mp4", body)
	stop()
	for _, published := range []bool{false, true} {
		who := l.house.Ada
		if published {
			who = l.house.Bob
		}
		it, job, _, err := l.library.Import(ctx, who, entry, gateway.ItemCopy, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.staging.Create(ctx, job.ID, int64(len(body))); err != nil {
			t.Fatal(err)
		}
		if _, err := l.staging.WriteAt(ctx, job.ID, 0, bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		if published {
			if _, err := l.assets.Adopt(ctx, job.ID, "ast"+strings.TrimPrefix(job.ID, "job")); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.library.RunImport(ctx, it.ID); err != nil {
			t.Fatal(err)
		}
		as, err := l.assets.Get(ctx, l.item(it.ID).AssetID)
		if err != nil || !bytes.Equal(l.original(as), body) || as.SHA256 != digest(body) || as.Size != int64(len(body)) {
			t.Errorf("published %v: %+v %v", published, as, err)
		}
	}
}

// A process that dies at random moments of an import, again and again: one item, one asset, the
// right bytes.
func TestImportSurvivesDeathAnywhere(t *testing.T) {
	t.Parallel()
	l := newLive(t, storetest.SQLite(t))
	stop := l.work()
	body := bigClip(t)
	entry := l.ready("a.mp4", body)
	stop()
	it, _, _, err := l.library.Import(t.Context(), l.house.Bob, entry, gateway.ItemCopy, "")
	if err != nil {
		t.Fatal(err)
	}
	deaths := 0
	for l.item(it.ID).State != gateway.ItemProcessing {
		if now := l.item(it.ID); now.State != gateway.ItemPending && now.State != gateway.ItemImporting {
			t.Fatalf("after %d deaths: %s %s %s", deaths, now.State, now.ErrorCode, now.ErrorText)
		}
		ctx, die := context.WithCancel(t.Context())
		after := rand.Int64N(int64(len(body)) / 3) // bytes delivered until death
		var sent atomic.Int64
		l.meet(func(w http.ResponseWriter, r *http.Request) {
			l.platform.ServeHTTP(&counting{w, &sent, func(n int64) {
				if n > after {
					die()
				}
			}}, r)
		})
		err := l.library.RunImport(ctx, it.ID)
		die()
		if err != nil {
			deaths++
		}
		if deaths > 300 {
			t.Fatal(err)
		}
		old := l.library
		l.library = &gateway.Library{Store: old.Store, Clock: old.Clock, Catalog: old.Catalog, Tickets: old.Tickets, Assets: old.Assets, Events: old.Events}
	}
	t.Logf("%d deaths", deaths)
	as, err := l.assets.Get(t.Context(), l.item(it.ID).AssetID)
	if err != nil || !bytes.Equal(l.original(as), body) || as.SHA256 != digest(body) {
		t.Error("the copy differs", err)
	}
	if _, err := l.staging.Durable(t.Context(), l.item(it.ID).JobID); gateway.CodeOf(err) != gateway.NotFound {
		t.Error("staged bytes are left:", err)
	}
	all, err := l.db.Assets().All(t.Context(), gateway.Slice{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, as := range all {
		if as.OwnerKind == gateway.OwnerLibraryItem {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d assets", n)
	}
}

type counting struct {
	http.ResponseWriter
	sent *atomic.Int64
	tell func(int64)
}

func (c *counting) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.tell(c.sent.Add(int64(n)))
	return n, err
}

// clocked is a database that follows the test's clock.
func clocked(t testing.TB, clock *gatewaytest.Clock) *store.DB {
	return storetest.Open(t, store.Options{DataDir: t.TempDir(), Clock: clock.Now})
}
