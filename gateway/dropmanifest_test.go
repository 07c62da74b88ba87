package gateway_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

const mrss = `<?xml version="1.0"?><mrss version="1.0"><channel>%s</channel></mrss>`

func addItem(reference, name, file string) string {
	return fmt.Sprintf(`<item><action>add</action><type>1</type><referenceId>%s</referenceId><name>%s</name><tags><tag>news</tag></tags>
		<media><mediaType>1</mediaType></media><contentAssets><content><dropFolderFileContentResource filePath="%s"/></content></contentAssets></item>`, reference, name, file)
}

func xml(items ...string) []byte { return fmt.Appendf(nil, mrss, strings.Join(items, "\n")) }

func TestManifestTakesFilesInEitherOrder(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		d := newDrops(t, db)
		d.put("a.mp4", noise(500))
		f := d.put("news.xml", xml(addItem("ref-a", "A", "a.mp4"), addItem("ref-b", "B", "b.mp4")))
		d.work()
		waits := d.expect("news.xml", gateway.DropWaiting, "")
		if fmt.Sprint(waits.WaitingFor) != "[b.mp4]" {
			t.Error("it waits for", waits.WaitingFor)
		}
		d.expect("b.mp4", gateway.DropParsed, "")
		if len(d.all()) != 0 {
			t.Error("entries before all files were there:", d.all())
		}
		d.put("b.mp4", noise(600))
		d.work()
		done := d.expect("news.xml", gateway.DropReady, "")
		if done.Items != 2 || done.ItemsDone != 2 || done.ItemsFailed != 0 {
			t.Error(done.Items, done.ItemsDone, done.ItemsFailed)
		}
		for _, ref := range []string{"ref-a", "ref-b"} {
			if l := d.entries(ref); len(l) != 1 || l[0].Tags != "news" {
				t.Error(ref, l)
			}
		}
		a := d.expect("a.mp4", gateway.DropReady, "")
		if a.EntryID != d.entries("ref-a")[0].ID || a.LeadID != f.ID {
			t.Error(a.EntryID, a.LeadID)
		}
		if len(d.all()) != 2 {
			t.Error(d.all())
		}
		if _, err := d.staging.Durable(t.Context(), a.UploadID); gateway.CodeOf(err) != gateway.NotFound {
			t.Error("the staged bytes stay:", err)
		}
		for _, it := range d.items(f) {
			if len(it.Data) > 0 || it.EntryID == "" {
				t.Errorf("%+v", it)
			}
		}
	})
}

func TestManifestUpdatesAndDeletes(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	d.put("a.mp4", noise(500))
	d.put("one.xml", xml(addItem("ref-a", "A", "a.mp4"), `<item><action>add</action><type>1</type><referenceId>ref-b</referenceId><name>B</name><media><mediaType>1</mediaType></media></item>`))
	d.work()
	a := d.entries("ref-a")[0]
	d.put("a2.mp4", noise(700))
	f := d.put("two.xml", xml(
		`<item><referenceId>ref-a</referenceId><name>A again</name><contentAssets><content><dropFolderFileContentResource filePath="a2.mp4"/></content></contentAssets></item>`,
		`<item><action>delete</action><referenceId>ref-b</referenceId></item>`,
		`<item><action>update</action><entryId>0_nothere1</entryId><name>X</name></item>`,
	))
	d.work()
	d.expect("two.xml", gateway.DropProcessing, "")
	if got := d.told(f); got != "1 update done \n2 delete queued deletion_due\n3 update failed entry_not_found\n" {
		t.Error(got)
	}
	if now := d.entries("ref-a"); len(now) != 1 || now[0].ID != a.ID || now[0].Name != "A again" {
		t.Error(now)
	}
	if len(d.entries("ref-b")) != 1 {
		t.Error("deleted without a chance to undo it")
	}
	d.later(11 * time.Minute)
	d.work()
	done := d.expect("two.xml", gateway.DropQuarantined, "items_failed")
	if done.ItemsDone != 2 || done.ItemsFailed != 1 {
		t.Error(done.ItemsDone, done.ItemsFailed)
	}
	for _, e := range d.entries("ref-b") {
		if fmt.Sprint(e.Status) != "3" {
			t.Error("not deleted:", e)
		}
	}
}

func TestDeletionIsUndone(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	id := d.world.entry("", "Old", "")
	f := d.put("d.xml", xml(fmt.Sprintf(`<item><action>delete</action><entryId>%s</entryId></item>`, id)))
	d.work()
	it, err := d.folders.UndoItem(t.Context(), d.house.Admin, d.items(f)[0].ID)
	if err != nil || it.Reason != "deletion_undone" {
		t.Fatal(it, err)
	}
	d.later(11 * time.Minute)
	d.work()
	if l := d.all(); len(l) != 1 || l[0].ID != id {
		t.Error(l)
	}
	if _, err := d.folders.UndoItem(t.Context(), d.house.Admin, it.ID); !gateway.IsReason(err, "item_not_due") {
		t.Error(err)
	}
	if _, err := d.folders.UndoItem(t.Context(), d.house.Ada, it.ID); gateway.CodeOf(err) != gateway.Forbidden {
		t.Error(err)
	}
}

func TestMissingFileEndsInQuarantineAndComesAfterAll(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	d.put("a.mp4", noise(500))
	d.put("news.xml", xml(addItem("ref-a", "A", "a.mp4"), addItem("ref-b", "B", "b.mp4")))
	d.work()
	d.later(3 * time.Hour)
	d.work()
	f := d.expect("news.xml", gateway.DropQuarantined, "orphan_manifest")
	if !strings.Contains(f.Text, "b.mp4") || strings.Contains(f.Text, "a.mp4") {
		t.Error(f.Text)
	}
	d.expect("a.mp4", gateway.DropQuarantined, "orphan_manifest")
	d.put("b.mp4", noise(500))
	d.work()
	d.expect("news.xml", gateway.DropReady, "")
	if len(d.all()) != 2 {
		t.Error(d.all())
	}
}

func TestFileThatNoManifestNames(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	a := d.put("a.mp4", noise(500))
	if err := d.folders.Unnamed(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	d.expect("a.mp4", gateway.DropWaiting, "")
	d.later(3 * time.Hour)
	if err := d.folders.Unnamed(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	d.expect("a.mp4", gateway.DropQuarantined, "no_manifest")
	d.put("news.xml", xml(addItem("ref-a", "A", "a.mp4"))) // it is taken then
	d.work()
	d.expect("a.mp4", gateway.DropReady, "")
}

func TestWrongSizeAndChecksumMakeNothing(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	body := noise(500)
	for _, n := range []string{"a.mp4", "b.mp4", "c.mp4"} {
		d.put(n, body)
	}
	check := func(ref, file, inner string) string {
		return strings.Replace(addItem(ref, ref, file), `filePath="`+file+`"/>`, `filePath="`+file+`">`+inner+`</dropFolderFileContentResource>`, 1)
	}
	sum := md5.Sum(body)
	f := d.put("news.xml", xml(
		check("ref-a", "a.mp4", `<fileSize>499</fileSize>`),
		check("ref-b", "b.mp4", `<fileChecksum type="sha1">0123456789012345678901234567890123456789</fileChecksum>`),
		check("ref-c", "c.mp4", `<fileChecksum type="md5">`+hex.EncodeToString(sum[:])+`</fileChecksum>`),
	))
	d.work()
	if got := d.told(f); got != "1 add failed file_size_differs\n2 add failed file_checksum_differs\n3 add done \n" {
		t.Error(got)
	}
	d.expect("a.mp4", gateway.DropQuarantined, "file_size_differs")
	d.expect("b.mp4", gateway.DropQuarantined, "file_checksum_differs")
	if l := d.all(); len(l) != 1 || l[0].ReferenceID != "ref-c" {
		t.Error(l)
	}
}

func TestTwoManifestsNameOneFile(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		d := newDrops(t, db)
		d.put("a.mp4", noise(500))
		one := d.put("one.xml", xml(addItem("ref-1", "One", "a.mp4")))
		two := d.put("two.xml", xml(addItem("ref-2", "Two", "a.mp4")))
		other := &gateway.DropFolders{} // a second replica
		*other = gateway.DropFolders{
			Store: d.folders.Store, Clock: d.folders.Clock, Manifests: d.folders.Manifests, Uploads: d.uploads, Integrations: d.ins,
			Mappings: d.folders.Mappings, Events: d.events, Sealer: d.keys, Replica: "other",
		}
		together(2, func(i int) {
			s, f := d.folders, one
			if i == 1 {
				s, f = other, two
			}
			if err := s.RunManifest(t.Context(), f); err != nil {
				t.Error(err)
			}
		})
		d.work()
		if l := d.all(); len(l) != 1 {
			t.Error("one file became", l)
		}
		done := map[gateway.DropState]int{}
		for _, n := range []string{"one.xml", "two.xml"} {
			f := d.file(n)
			done[f.State]++
			if f.State == gateway.DropQuarantined && !strings.Contains(d.told(f), "failed file_claimed") {
				t.Error(d.told(f))
			}
		}
		if done[gateway.DropReady] != 1 || done[gateway.DropQuarantined] != 1 {
			t.Error(done, d.told(one), d.told(two))
		}
	})
}

func TestFileNamedTwiceInOneManifest(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	d.put("a.mp4", noise(500))
	f := d.put("one.xml", xml(addItem("ref-1", "One", "a.mp4"), addItem("ref-2", "Two", "a.mp4"), addItem("ref-3", "Three", "../a.mp4")))
	d.work()
	if got := d.told(f); got != "1 add done \n2 add failed file_named_twice\n3  failed file_name_invalid\n" {
		t.Error(got)
	}
}

func TestMalformedManifestMakesNothing(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	d.put("a.mp4", noise(500))
	d.put("bad.xml", []byte(`<mrss><channel>`+addItem("ref-a", "A", "a.mp4")+`</chanel></mrss>`))
	d.work()
	f := d.expect("bad.xml", gateway.DropQuarantined, "manifest_malformed")
	if !strings.Contains(f.Text, "Line ") {
		t.Error(f.Text)
	}
	if len(d.items(f)) != 0 || len(d.all()) != 0 {
		t.Error(d.items(f), d.all())
	}
	d.put("bad.xml", xml(addItem("ref-a", "A", "a.mp4"))) // corrected
	d.work()
	d.expect("bad.xml", gateway.DropReady, "")
	d.expect("a.mp4", gateway.DropReady, "")
}

// What one item names lies with two servers: each does with its own what is to be done, and neither waits for ever.
func TestItemWhoseFilesLieWithTwoReplicas(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		one := newDrops(t, storetest.Open(t, o))
		two := one.replica("two")
		lives(t, o, one.uploads.Replica, true)
		lives(t, o, "two", true)
		one.put("a.mp4", noise(500))
		two.put("a.png", picture(t))
		two.put("b.mp4", noise(600))
		one.put("c.png", picture(t))
		item := strings.Replace(addItem("ref-a", "A", "a.mp4"), "</item>", `<thumbnails><thumbnail isDefault="true"><dropFolderFileContentResource filePath="a.png"/></thumbnail></thumbnails></item>`, 1)
		item2 := strings.Replace(addItem("ref-b", "B", "b.mp4"), "</item>", `<thumbnails><thumbnail><dropFolderFileContentResource filePath="c.png"/></thumbnail></thumbnails></item>`, 1)
		f := one.put("news.xml", xml(item, item2))
		if err := one.folders.RunManifest(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		for range 40 {
			for _, d := range []*drops{one, two} {
				var z *gateway.Snooze
				if err := d.folders.RunItems(t.Context(), f.ID); asSnooze(err, &z) {
					one.later(max(z.After, time.Second))
				} else if err != nil {
					t.Fatal(err)
				}
				one.convert()
			}
			if one.file("news.xml").State == gateway.DropReady {
				break
			}
		}
		one.expect("news.xml", gateway.DropReady, "")
		if got := one.told(f); got != "1 add done \n2 add done \n" {
			t.Error(one.explain(f))
		}
		for _, ref := range []string{"ref-a", "ref-b"} {
			if l := one.entries(ref); len(l) != 1 {
				t.Error(ref, l)
			}
		}
	})
}

// Bytes that were fetched for an item are fetched again when their replica never comes back, or when they were swept or lost;
// what comes then is what was said of them, or none.
func TestItemBytesThatAreNotComingBack(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*drops, *gateway.Upload){
		"replica": func(d *drops, _ *gateway.Upload) {
			d.work() // it is missed
			d.later(3 * time.Minute)
		},
		"expired":   func(_ *drops, u *gateway.Upload) { u.State = gateway.UploadExpired },
		"lost":      func(d *drops, u *gateway.Upload) { u.Replica = d.uploads.Replica },
		"changed":   func(_ *drops, u *gateway.Upload) { u.State = gateway.UploadExpired },
		"abandoned": func(d *drops, u *gateway.Upload) { u.State, u.Replica = gateway.UploadCancelled, d.uploads.Replica },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := newDrops(t, storetest.SQLite(t))
			right := noise(900)
			given, fetched, upload := right, 0, ""
			one.folders.Fetcher = web{"https://files.example/a.mp4": func() (gateway.Fetched, error) {
				fetched++
				return gateway.Fetched{Size: 900, Body: io.NopCloser(&telling{bytes.NewReader(given), func() {
					if name == "abandoned" && fetched == 2 { // the task that lets go of what was here before
						var z *gateway.Snooze
						if err := one.uploads.RunAbandon(t.Context(), upload); err != nil && !asSnooze(err, &z) {
							t.Error(err)
						}
					}
				}})}, nil
			}}
			two := one.replica("two")
			one.put("a.png", picture(t))
			f := one.put("news.json", fmt.Appendf(nil, `[{"action":"add","type":"video","name":"A","reference_id":"ref-a",
				"contents":[{"url":"https://files.example/a.mp4","sha256":%q}],"thumbnails":[{"file":"a.png"}]}]`, digest(right)))
			if err := one.folders.RunManifest(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			var z *gateway.Snooze
			if err := two.folders.RunItems(t.Context(), f.ID); !asSnooze(err, &z) || fetched != 1 { // the picture lies with the first
				t.Fatal(err, fetched)
			}
			list, err := one.db.Uploads().List(t.Context(), gateway.AnyHub, "", "", []gateway.UploadState{gateway.UploadHeld}, gateway.Slice{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range list {
				if u.Replica != "two" {
					continue
				}
				upload = u.ID
				lose(one, &u)
				if err := one.db.Uploads().Update(t.Context(), &u); err != nil {
					t.Fatal(err)
				}
			}
			if name == "changed" {
				given = noise(901)[1:]
				one.work()
				if got := one.told(f); got != "1 add failed file_checksum_differs\n" {
					t.Fatal(one.explain(f))
				}
				if _, err := one.db.Uploads().Get(t.Context(), gateway.AnyHub, upload); gateway.CodeOf(err) != gateway.NotFound {
					t.Error("what is not as was said is kept", err)
				}
				if _, err := one.staging.Durable(t.Context(), upload); gateway.CodeOf(err) != gateway.NotFound {
					t.Error(err)
				}
				given, fetched = right, 1
				if _, err := one.folders.Retry(t.Context(), one.house.Admin, f.ID); err != nil {
					t.Fatal(err)
				}
			}
			one.work()
			one.expect("news.json", gateway.DropReady, "")
			if l := one.entries("ref-a"); len(l) != 1 || fetched != 2 {
				t.Error(l, fetched)
			}
		})
	}
}

// telling is a reader that tells when it is read.
type telling struct {
	io.Reader
	tell func()
}

func (r *telling) Read(p []byte) (int, error) {
	r.tell()
	return r.Reader.Read(p)
}

// An undo that comes while the entry is being deleted is told that it is too late; one before it wins.
func TestUndoMeetsTheDeletion(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	id := d.world.entry("", "Old", "")
	f := d.put("d.xml", xml(fmt.Sprintf(`<item><action>delete</action><entryId>%s</entryId></item>`, id), `<item><action>update</action><entryId>0_nothere1</entryId><name>X</name></item>`))
	d.work()
	item := d.items(f)[0].ID
	asked := 0
	d.meet(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/action/delete") {
			asked++
			if _, err := d.folders.UndoItem(t.Context(), d.house.Admin, item); !gateway.IsReason(err, "item_not_due") {
				t.Error("undone while it was deleted:", err)
			}
		}
		d.platform.ServeHTTP(w, r)
	})
	d.later(11 * time.Minute)
	d.work()
	if got := d.told(f); asked != 1 || got != "1 delete done \n2 update failed entry_not_found\n" {
		t.Error(asked, d.explain(f))
	}
}

// What was undone is not done after all when the items that failed are tried again.
func TestUndoneStaysUndone(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	id := d.world.entry("", "Old", "")
	f := d.put("d.xml", xml(fmt.Sprintf(`<item><action>delete</action><entryId>%s</entryId></item>`, id), `<item><action>update</action><entryId>0_nothere1</entryId><name>X</name></item>`))
	d.work()
	if _, err := d.folders.UndoItem(t.Context(), d.house.Admin, d.items(f)[0].ID); err != nil {
		t.Fatal(err)
	}
	d.work()
	if _, err := d.folders.Retry(t.Context(), d.house.Admin, f.ID); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d.work()
		d.later(11 * time.Minute)
	}
	if got := d.told(f); got != "1 delete done deletion_undone\n2 update failed entry_not_found\n" {
		t.Error(d.explain(f))
	}
	if l := d.all(); len(l) != 1 || fmt.Sprint(l[0].Status) == "3" {
		t.Error(l)
	}
}
