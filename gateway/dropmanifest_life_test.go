package gateway_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

// told is what became of a manifest's items, as drops.told.
func (s *shed) told(f gateway.DropFile) string {
	s.t.Helper()
	list, err := s.db.DropItems().OfFile(s.t.Context(), f.ID, nil, 0, 500)
	if err != nil {
		s.t.Fatal(err)
	}
	var b strings.Builder
	for _, it := range list {
		fmt.Fprintf(&b, "%d %s %s %s\n", it.Number, it.Action, it.State, it.Reason)
	}
	return b.String()
}

func describing(handler gateway.DropHandler, c gateway.DropComplete) func(*gateway.DropFolder) {
	return func(f *gateway.DropFolder) { f.Handler, f.Complete = handler, c }
}

var stable = gateway.DropComplete{StableS: 60}

// run does what is due with a file.
func (s *shed) run(name string) {
	s.t.Helper()
	for _, f := range s.files() {
		if f.Name == name {
			if err := s.folders.RunFile(s.t.Context(), f.ID); gateway.CodeOf(err) == gateway.Internal {
				s.t.Fatal(err)
			}
		}
	}
}

func TestReplacedManifestIsAnother(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newShed(t, db, describing(gateway.HandleXML, stable))
		s.put("a.mp4", noise(500))
		s.put("c.mp4", noise(500))
		s.put("news.xml", xml(addItem("old-a", "A", "a.mp4"), addItem("old-b", "B", "b.mp4"), addItem("old-c", "C", "c.mp4")))
		s.settle()
		s.drive()
		old := s.is("news.xml", gateway.DropWaiting, "")
		s.is("b.mp4", gateway.DropParsed, "")
		s.put("news.xml", xml(addItem("new-a", "A", "a.mp4")))
		s.settle()
		s.drive()
		now := s.is("news.xml", gateway.DropReady, "")
		if now.ID == old.ID || now.Items != 1 {
			t.Errorf("%+v", now)
		}
		if l := s.all(); len(l) != 1 || l[0].ReferenceID != "new-a" {
			t.Errorf("what the corrected manifest no longer says was done: %+v", l)
		}
		s.is("b.mp4", gateway.DropGone, "")
		if c := s.is("c.mp4", gateway.DropWaiting, ""); c.LeadID != "" {
			t.Error("a file still belongs to the manifest of before")
		}
		if got := s.told(old); got != "" {
			t.Error("its items are kept:", got)
		}
	})
}

// Whatever stops a manifest, the files that it named are free.
func TestFilesOfAManifestThatStops(t *testing.T) {
	t.Parallel()
	for how, stop := range map[string]func(*shed, gateway.DropFile) error{
		"gone": func(s *shed, f gateway.DropFile) error {
			err := os.Remove(filepath.Join(s.dir, f.Name))
			s.scan()
			return err
		},
		"ignored": func(s *shed, f gateway.DropFile) error {
			_, err := s.folders.Ignore(s.t.Context(), s.house.Admin, f.ID)
			return err
		},
		"given up": func(s *shed, f gateway.DropFile) error {
			return s.folders.GiveUpFile(s.t.Context(), f.ID, gateway.E(gateway.Internal, "", "no"))
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := newShed(t, storetest.SQLite(t), describing(gateway.HandleXML, stable))
			s.put("here.mp4", noise(500))
			s.put("news.xml", xml(addItem("ref-h", "H", "here.mp4"), addItem("ref-c", "C", "coming.mp4"), addItem("ref-n", "N", "never.mp4")))
			s.settle()
			s.drive()
			s.put("coming.mp4", noise(600))
			s.scan()
			if f := s.is("coming.mp4", gateway.DropDetected, ""); f.LeadID == "" {
				t.Fatalf("%+v", f)
			}
			if err := stop(s, s.is("news.xml", gateway.DropWaiting, "")); err != nil {
				t.Fatal(err)
			}
			s.drive()
			s.is("never.mp4", gateway.DropGone, "")
			if how == "given up" {
				s.is("here.mp4", gateway.DropQuarantined, "items_not_started")
			} else if f := s.is("here.mp4", gateway.DropWaiting, ""); f.LeadID != "" {
				t.Errorf("%+v", f)
			}
			s.later(61 * time.Second)
			s.scan()
			s.drive()
			if f := s.is("coming.mp4", gateway.DropWaiting, ""); f.LeadID != "" {
				t.Errorf("%+v", f)
			}
			s.put("other.xml", xml(addItem("ref-h", "H", "here.mp4"), addItem("ref-c", "C", "coming.mp4")))
			s.settle()
			s.drive()
			if other := s.is("other.xml", gateway.DropReady, ""); other.Items != 2 {
				t.Error(s.told(other))
			}
			if l := s.all(); len(l) != 2 {
				t.Error(l)
			}
		})
	}
}

func TestFailedItemsAreTriedAgain(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	ctx := t.Context()
	d.put("a.mp4", noise(500))
	d.put("a.png", picture(t))
	c := d.put("c.mp4", noise(600))
	shared := `<thumbnails><thumbnail isDefault="true"><dropFolderFileContentResource filePath="a.png"/></thumbnail></thumbnails></item>`
	f := d.put("news.xml", xml(strings.Replace(addItem("ref-a", "A", "a.mp4"), "</item>", shared, 1),
		`<item><action>update</action><referenceId>later</referenceId><contentAssets><content><dropFolderFileContentResource filePath="c.mp4"/></content></contentAssets>`+shared))
	d.work()
	half := d.expect("news.xml", gateway.DropQuarantined, "items_failed")
	if half.ItemsDone != 1 || half.ItemsFailed != 1 || !strings.Contains(half.Text, "1 of 2") {
		t.Errorf("%+v", half)
	}
	d.expect("c.mp4", gateway.DropQuarantined, "reference_not_found")
	d.expect("a.png", gateway.DropWaiting, "")
	d.put("a.mp4", noise(700)) // for something else: the item that is done does not take it

	d.put("first.xml", xml(`<item><action>add</action><type>1</type><referenceId>later</referenceId><name>L</name><media><mediaType>1</mediaType></media></item>`))
	d.work()
	if _, err := d.folders.Retry(ctx, d.house.Admin, c.ID); err != nil { // the file's fix is its manifest's
		t.Fatal(err)
	}
	if err := d.folders.RunFile(ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	d.work()
	d.expect("news.xml", gateway.DropReady, "")
	if got := d.told(f); got != "1 add done \n2 update done \n" {
		t.Error(got)
	}
	if done := d.expect("c.mp4", gateway.DropReady, ""); done.EntryID != d.entries("later")[0].ID {
		t.Error(done.EntryID)
	}
	d.expect("a.png", gateway.DropReady, "")
	if a := d.expect("a.mp4", gateway.DropWaiting, ""); a.LeadID != "" {
		t.Error("a newer file was taken for an item that is done")
	}
	if l := d.all(); len(l) != 2 {
		t.Error(l)
	}
}

// A file that failed with its item is not held by a manifest that is over, and what is said of it is not kept for ever.
func TestFailedItemsAreForgotten(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	ctx := t.Context()
	update := `<item><action>update</action><referenceId>nobody</referenceId><contentAssets><content><dropFolderFileContentResource filePath="%s"/></content></contentAssets></item>`
	data := func(f gateway.DropFile) int { return len(d.items(f)[0].Data) }
	c := d.put("c.mp4", noise(600))
	old, sent := d.put("old.xml", xml(fmt.Sprintf(update, "c.mp4"))), d.put("sent.xml", xml(fmt.Sprintf(update, "s.mp4")))
	d.put("s.mp4", noise(600))
	d.work()
	d.expect("old.xml", gateway.DropQuarantined, "items_failed")
	u, err := d.db.Uploads().Get(ctx, gateway.AnyHub, sent.UploadID)
	if err != nil {
		t.Fatal(err)
	}
	u.ParticipantID = d.house.Teacher.ParticipantID
	if err := d.db.Uploads().Update(ctx, &u); err != nil {
		t.Fatal(err)
	}
	err = d.db.Tx(ctx, func(tx gateway.Tx) error {
		_, err := tx.Erasures().Forget(ctx, d.house.Hub.ID, d.house.Teacher.ParticipantID)
		return err
	})
	if err != nil || data(sent) != 0 || data(old) == 0 {
		t.Fatal(err, data(sent), data(old))
	}
	d.later(31 * 24 * time.Hour)
	if err := d.folders.Sweep(ctx); err != nil || data(old) != 0 {
		t.Fatal(err, data(old))
	}
	if _, err := d.folders.Retry(ctx, d.house.Admin, old.ID); err != nil { // read anew as long as its bytes are here
		t.Fatal(err)
	}
	d.work()
	d.expect("old.xml", gateway.DropQuarantined, "items_failed")

	if _, err := d.folders.Ignore(ctx, d.house.Admin, old.ID); err != nil {
		t.Fatal(err)
	}
	d.work()
	if data(old) != 0 {
		t.Error("kept of a manifest that is left alone")
	}
	if _, err := d.folders.Retry(ctx, d.house.Admin, c.ID); err != nil {
		t.Fatal(err)
	}
	if err := d.folders.RunFile(ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	if f := d.expect("c.mp4", gateway.DropWaiting, ""); f.LeadID != "" || f.TryAt == nil {
		t.Errorf("it waits for a manifest that is over: %+v", f)
	}
}

func TestUsedFileIsNotTakenAgain(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), describing(gateway.HandleXML, stable))
	s.put("a.mp4", noise(500))
	s.put("one.xml", xml(addItem("one", "One", "a.mp4")))
	s.settle()
	s.drive()
	s.is("one.xml", gateway.DropReady, "")
	s.put("two.xml", xml(addItem("two", "Two", "a.mp4")))
	for range 3 {
		s.settle()
		s.drive()
	}
	two := s.is("two.xml", gateway.DropQuarantined, "items_failed")
	if got := s.told(two); got != "1 add failed file_used\n" || len(s.all()) != 1 {
		t.Fatal(got, s.all())
	}
	s.put("a.mp4", noise(700)) // sent again
	s.settle()
	s.drive()
	if _, err := s.folders.Retry(t.Context(), s.house.Admin, two.ID); err != nil {
		t.Fatal(err)
	}
	s.drive()
	s.is("two.xml", gateway.DropReady, "")
	if len(s.all()) != 2 {
		t.Error(s.all())
	}
}

// In a folder that chose nothing, a file is whole when a manifest names it with the size that it has, however long it
// lies there; a manifest that is cut off makes nothing.
func TestWholeByWhatTheManifestSays(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), describing(gateway.HandleXML, gateway.DropComplete{}))
	sized := strings.Replace(addItem("ref-a", "A", "a.mp4"), `filePath="a.mp4"/>`, `filePath="a.mp4"><fileSize>500</fileSize></dropFolderFileContentResource>`, 1)
	doc, body := xml(sized, addItem("ref-b", "B", "b.mp4")), noise(500)
	s.put("a.mp4", body[:300])
	s.put("b.mp4", noise(500))
	s.put("news.xml", doc[:len(doc)-20])
	s.put("rows.csv", []byte("action,name\nadd,One\nadd,T"))
	still := func() {
		s.scan()
		s.later(11 * time.Second)
		s.scan()
		s.drive()
	}
	still()
	s.is("news.xml", gateway.DropQuarantined, "manifest_malformed")
	s.put("news.xml", doc)
	for range 3 {
		still()
		s.later(time.Minute)
	}
	s.is("news.xml", gateway.DropWaiting, "")
	s.is("a.mp4", gateway.DropDetected, "")
	s.is("b.mp4", gateway.DropDetected, "")
	s.is("rows.csv", gateway.DropDetected, "")
	s.put("a.mp4", body)
	still()
	s.is("a.mp4", gateway.DropWaiting, "")
	b := s.is("b.mp4", gateway.DropDetected, "")
	s.later(3 * time.Hour)
	s.run("news.xml")
	orphan := s.is("news.xml", gateway.DropQuarantined, "orphan_manifest")
	if !strings.Contains(orphan.Text, "b.mp4") || strings.Contains(orphan.Text, "a.mp4") {
		t.Error(orphan.Text)
	}
	s.drive()
	s.is("a.mp4", gateway.DropQuarantined, "orphan_manifest")
	if _, err := s.folders.Take(t.Context(), s.house.Admin, b.ID); err != nil { // somebody says that it is whole, and an entry by itself
		t.Fatal(err)
	}
	s.drive()
	s.is("b.mp4", gateway.DropReady, "")
	if l := s.all(); len(l) != 1 {
		t.Error(l)
	}
}

// A spherical file is tagged so whether it comes alone or with a manifest; and the hub takes the same kinds of files.
func TestNamedFilesAreAsThoseAlone(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), describing(gateway.HandleXML, stable))
	s.put("sphere.mp4", noise(500))
	s.put("flat.mp4", noise(500))
	s.put("song.mp3", noise(500))
	s.uploads.Accept = func(string) gateway.Acceptance { return gateway.Acceptance{Types: []gateway.MediaType{gateway.Video}} }
	s.put("news.xml", xml(addItem("ref-s", "S", "sphere.mp4"), addItem("ref-f", "F", "flat.mp4"), addItem("ref-m", "M", "song.mp3")))
	s.settle()
	s.drive()
	news := s.is("news.xml", gateway.DropQuarantined, "items_failed")
	if got := s.told(news); got != "1 add done \n2 add done \n3 add failed type_not_accepted\n" {
		t.Error(got)
	}
	s.is("song.mp3", gateway.DropQuarantined, "type_not_accepted")
	tags := map[string]string{}
	for _, e := range s.all() {
		tags[e.Name] = e.Tags
	}
	if len(tags) != 2 || tags["F"] != "news" || !strings.Contains(tags["S"], "360") || !strings.Contains(tags["S"], "news") {
		t.Error(tags)
	}
}

func TestFileThatNoManifestNamesInADirectory(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), describing(gateway.HandleXML, stable))
	s.put("lone.mp4", noise(500))
	s.settle()
	s.drive()
	s.is("lone.mp4", gateway.DropWaiting, "")
	s.later(3 * time.Hour)
	s.run("lone.mp4")
	lone := s.is("lone.mp4", gateway.DropQuarantined, "no_manifest")
	if !slices.Contains(lone.Actions(), gateway.ActTake) {
		t.Error(lone.Actions())
	}
	s.put("late.xml", xml(addItem("lone", "Lone", "lone.mp4")))
	s.settle()
	s.drive()
	s.is("lone.mp4", gateway.DropReady, "")
	s.put("other.mp4", noise(600))
	s.settle()
	s.drive()
	s.later(3 * time.Hour)
	s.run("other.mp4")
	other := s.is("other.mp4", gateway.DropQuarantined, "no_manifest")
	if _, err := s.folders.Take(t.Context(), s.house.Admin, other.ID); err != nil {
		t.Fatal(err)
	}
	s.drive()
	s.is("other.mp4", gateway.DropReady, "")
}

func TestManifestOfAPausedFolder(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), describing(gateway.HandleXML, stable))
	ctx := t.Context()
	pause := func(f func() error) {
		if _, err := s.folders.Pause(ctx, s.house.Admin, s.folder.ID); err != nil {
			t.Fatal(err)
		}
		if err := f(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.folders.Resume(ctx, s.house.Admin, s.folder.ID); err != nil {
			t.Fatal(err)
		}
	}
	s.put("a.mp4", noise(500))
	s.put("news.xml", xml(addItem("ref-a", "A", "a.mp4")))
	s.settle()
	pause(func() error {
		s.drive()
		f := s.is("news.xml", gateway.DropPending, "")
		if a := s.is("a.mp4", gateway.DropPending, ""); a.LeadID != "" || s.told(f) != "" {
			t.Errorf("a folder that stands still takes files: %+v", a)
		}
		return nil
	})
	s.drive()
	s.is("news.xml", gateway.DropReady, "")
	if l := s.all(); len(l) != 1 {
		t.Error(l)
	}
}

// A manifest under way begins no item more once its folder is paused or deleted.
func TestManifestUnderWayHeedsItsFolder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		act  func(*drops) error
		then string // of an item that had not begun
	}{
		"paused": {func(d *drops) error {
			_, err := d.folders.Pause(d.t.Context(), d.house.Admin, d.folder.ID)
			return err
		}, "done "},
		"deleted": {func(d *drops) error { return d.folders.Delete(d.t.Context(), d.house.Admin, d.folder.ID, 0) }, "failed folder_deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDrops(t, storetest.SQLite(t))
			const n = 12
			var items []string
			var once sync.Once
			fetched := web{}
			for i := range n {
				u := fmt.Sprintf("https://files.example/%d.mp4", i)
				items = append(items, strings.Replace(addItem(fmt.Sprint("ref-", i), "A", "x"), `<dropFolderFileContentResource filePath="x"/>`, `<urlContentResource url="`+u+`"/>`, 1))
				give := body(noise(500), 500)
				fetched[u] = func() (gateway.Fetched, error) {
					once.Do(func() {
						if err := c.act(d); err != nil {
							t.Error(err)
						}
					})
					return give()
				}
			}
			d.folders.Fetcher = fetched
			f := d.put("news.xml", xml(items...))
			for range 2 {
				d.round(t.Context())
			}
			began := map[int64]bool{}
			for _, it := range d.items(f) {
				began[it.Number] = it.Attempt > 0
			}
			if first := len(d.items(f)); first != n || began[5] || began[n] {
				t.Fatal(d.told(f))
			}
			if name == "paused" {
				d.work()
				if it := d.items(f)[n-1]; it.Attempt > 0 {
					t.Error(d.told(f))
				}
				if _, err := d.folders.Resume(t.Context(), d.house.Admin, d.folder.ID); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				d.work()
			}
			for _, it := range d.items(f) {
				want := "done "
				if !began[it.Number] {
					want = c.then
				}
				if got := string(it.State) + " " + it.Reason; got != want {
					t.Errorf("%d is %s, not %s", it.Number, got, want)
				}
			}
		})
	}
}

// Of a folder that was deleted what began is finished, and nothing else begins or is deleted.
func TestManifestOfADeletedFolder(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	ctx := t.Context()
	id := d.world.entry("", "Stays", "")
	d.put("a.mp4", noise(500))
	f := d.put("news.xml", xml(addItem("ref-a", "A", "a.mp4"), fmt.Sprintf(`<item><action>delete</action><entryId>%s</entryId></item>`, id)))
	for range 2 { // its content is being converted
		d.round(ctx)
	}
	if got := d.told(f); got != "1 add processing \n2 delete queued deletion_due\n" {
		t.Fatal(got)
	}
	if err := d.folders.Delete(ctx, d.house.Admin, d.folder.ID, 0); err != nil {
		t.Fatal(err)
	}
	d.later(11 * time.Minute)
	d.work()
	if got := d.told(f); got != "1 add done \n2 delete failed folder_deleted\n" {
		t.Error(got)
	}
	d.expect("news.xml", gateway.DropQuarantined, "items_failed")
	d.expect("a.mp4", gateway.DropReady, "")
	for _, e := range d.all() {
		if e.ID == id && fmt.Sprint(e.Status) == "3" {
			t.Error("deleted for a folder that is no more")
		}
	}
}
