package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store/storetest"
)

// A manifest whose files have no room beside each other is run all the same: they are fetched as room gets free.
func TestManifestLargerThanTheQuota(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), describing(gateway.HandleXML, stable))
	ctx := t.Context()
	doc := xml(addItem("ref-a", "A", "a.mp4"), addItem("ref-b", "B", "b.mp4"), addItem("ref-c", "C", "c.mp4"))
	hub, err := s.db.Hubs().Get(ctx, gateway.AnyHub, s.house.Hub.ID)
	if err != nil {
		t.Fatal(err)
	}
	hub.QuotaBytes = int64(len(doc)) + 1500
	if err := s.db.Hubs().Update(ctx, &hub); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.mp4", "b.mp4", "c.mp4"} {
		s.put(name, noise(1000))
	}
	s.put("news.xml", doc)
	s.settle()
	s.drive()
	f := s.is("news.xml", gateway.DropReady, "")
	if got := s.told(f); got != "1 add done \n2 add done \n3 add done \n" || len(s.all()) != 3 {
		t.Error(got, s.all())
	}
}

// Items that each hold a part of the room, and have none for the rest, give way to each other.
func TestItemsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	photo := picture(t)
	d.folders.Fetcher = web{"https://files.example/a.mp4": body(noise(1000), 1000), "https://files.example/a.png": body(photo, int64(len(photo)))}
	var items []string
	for i := range 4 {
		item := strings.Replace(addItem(fmt.Sprint("ref-", i), "A", "x"), `<dropFolderFileContentResource filePath="x"/>`, `<urlContentResource url="https://files.example/a.mp4"/>`, 1)
		items = append(items, strings.Replace(item, "</item>", `<thumbnails><thumbnail><urlContentResource url="https://files.example/a.png"/></thumbnail></thumbnails></item>`, 1))
	}
	doc := xml(items...)
	hub, err := d.db.Hubs().Get(t.Context(), gateway.AnyHub, d.house.Hub.ID)
	if err != nil {
		t.Fatal(err)
	}
	hub.QuotaBytes = int64(len(doc)+4*1000+len(photo)) - 1
	if err := d.db.Hubs().Update(t.Context(), &hub); err != nil {
		t.Fatal(err)
	}
	f := d.put("n.xml", doc)
	for range 60 {
		d.work()
		d.later(10 * time.Second)
	}
	if got := d.told(f); got != "1 add done \n2 add done \n3 add done \n4 add done \n" || len(d.all()) != 4 {
		t.Error(d.explain(f))
	}
}

// What an item has no room for is not fetched, or, when nobody said how much it is, not kept.
func TestNoRoomForWhatIsFetched(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	read := 0
	address := func(size int64) func() (gateway.Fetched, error) {
		return func() (gateway.Fetched, error) {
			return gateway.Fetched{Size: size, Body: io.NopCloser(&telling{bytes.NewReader(noise(1000)), func() {
				if size > 0 {
					read++
				}
			}})}, nil
		}
	}
	d.folders.Fetcher = web{"https://files.example/told": address(1000), "https://files.example/untold": address(-1)}
	doc := []byte(`[{"action":"add","type":"video","name":"A","contents":[{"url":"https://files.example/told"}]},
		{"action":"add","type":"video","name":"B","contents":[{"url":"https://files.example/untold"}]}]`)
	room := func(n int64) {
		t.Helper()
		hub, err := d.db.Hubs().Get(t.Context(), gateway.AnyHub, d.house.Hub.ID)
		if err != nil {
			t.Fatal(err)
		}
		hub.QuotaBytes = n
		if err := d.db.Hubs().Update(t.Context(), &hub); err != nil {
			t.Fatal(err)
		}
	}
	room(int64(len(doc)) + 999)
	f := d.put("n.json", doc)
	d.work()
	if got := d.told(f); read > 0 || got != "1 add queued quota_exceeded\n2 add queued quota_exceeded\n" {
		t.Error(read, got)
	}
	if ids, err := d.staging.Stale(t.Context(), "upl_", time.Now().Add(time.Hour)); err != nil || len(ids) != 1 || ids[0] != f.UploadID {
		t.Error(ids, err)
	}
	room(int64(len(doc)) + 2000)
	d.later(10 * time.Minute)
	d.work()
	d.expect("n.json", gateway.DropReady, "")
}

// What a crash left of a fetch, and was sent on after the restart, is no part of what is fetched then.
func TestFetchedAnewAfterACrash(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	ctx, given, down := t.Context(), noise(200_000), true
	d.meet(func(w http.ResponseWriter, r *http.Request) {
		if down && strings.HasSuffix(r.URL.Path, "/service/media/action/add") {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		d.platform.ServeHTTP(w, r)
	})
	d.folders.Fetcher = web{"https://files.example/a.mp4": func() (gateway.Fetched, error) { return body(given, int64(len(given)))() }}
	f := d.put("n.json", []byte(`[{"action":"add","type":"video","name":"A","reference_id":"ref-a","contents":[{"url":"https://files.example/a.mp4"}]}]`))
	d.round(ctx)
	d.round(ctx)
	list, err := d.db.Uploads().List(ctx, gateway.AnyHub, "", "", []gateway.UploadState{gateway.UploadHeld}, gateway.Slice{Limit: 10})
	if err != nil || len(list) != 2 { // with the manifest's own
		t.Fatal(list, err, d.explain(f))
	}
	u := list[0]
	if u.ID == f.UploadID {
		u = list[1]
	}
	u.State = gateway.UploadReceiving
	if err := d.db.Uploads().Update(ctx, &u); err != nil {
		t.Fatal(err)
	}
	relayed, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.relay.Run(relayed, d.uploads.Replica) }()
	until(t, "some is sent on", func() bool {
		now, err := d.db.Uploads().Get(ctx, gateway.AnyHub, u.ID)
		return err == nil && now.RelaySent.Total() >= 128<<10
	})
	given, down = noise(200_001)[1:], false
	d.later(10 * time.Minute)
	d.work()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	d.expect("n.json", gateway.DropReady, "")
	all, err := d.db.Assets().InStates(ctx, []gateway.AssetState{gateway.AssetReady}, gateway.Slice{})
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if !bytes.Equal(d.original(all[0]), given) {
		t.Error("the entry has other bytes than those at the address")
	}
}

// stuck is an address that answers when nobody asks any more.
type stuck struct {
	gateway.Fetcher
	began chan struct{}
}

func (stuck) Check(address string) (string, error) { return address, nil }

func (f stuck) Fetch(ctx context.Context, _ string, _ int64, _ string) (gateway.Fetched, error) {
	f.began <- struct{}{}
	<-ctx.Done()
	return gateway.Fetched{}, ctx.Err()
}

// An item that another run has is let go at once, and what came of it here is not written down.
func TestItemThatAnotherRunHas(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	began := make(chan struct{}, 9)
	d.folders.Fetcher = stuck{began: began}
	f := d.put("n.xml", xml(strings.Replace(addItem("ref-a", "A", "x"), `<dropFolderFileContentResource filePath="x"/>`, `<urlContentResource url="https://files.example/a.mp4"/>`, 1)))
	d.round(t.Context())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- d.folders.RunItems(ctx, f.ID) }()
	<-began
	other := d.items(f)[0]
	until := d.folders.Clock().Add(time.Hour)
	other.Attempt, other.TryAt = other.Attempt+1, &until
	if err := d.db.DropItems().Update(t.Context(), &other); err != nil {
		t.Fatal(err)
	}
	var z *gateway.Snooze
	if err := <-done; !asSnooze(err, &z) {
		t.Error(err)
	}
	if now := d.items(f)[0]; now.Version != other.Version || now.State != gateway.ItemRunning {
		t.Errorf("%+v", now)
	}
}
