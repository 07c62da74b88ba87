package gateway_test

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // what manifests say
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

func TestFolderOfMediaAndManifests(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), describing(gateway.HandleBoth, gateway.DropComplete{Marker: ".done"}), func(f *gateway.DropFolder) {
		f.Match = gateway.MatchOrWait
	})
	for _, n := range []string{"named.mp4", "plain.mp4"} {
		s.put(n, noise(500))
		s.put(n+".done", nil)
	}
	s.put("news.xml", xml(addItem("named", "By the manifest", "named.mp4")))
	s.scan()
	s.drive()
	if f := s.is("named.mp4", gateway.DropWaiting, ""); fmt.Sprint(f.WaitingFor) != "[news.xml]" { // it may be named there
		t.Error(f.WaitingFor)
	}
	s.is("plain.mp4", gateway.DropWaiting, "")
	s.put("news.xml.done", nil)
	s.scan()
	s.drive()
	s.is("news.xml", gateway.DropReady, "")
	s.is("named.mp4", gateway.DropReady, "")
	s.later(6 * time.Second)
	s.run("plain.mp4")
	s.is("plain.mp4", gateway.DropNoMatch, "")
	if l := s.all(); len(l) != 1 || l[0].Name != "By the manifest" {
		t.Error(l)
	}
	s.later(3 * time.Hour)
	s.run("plain.mp4")
	plain := s.is("plain.mp4", gateway.DropQuarantined, "no_entry")
	if _, err := s.folders.Take(t.Context(), s.house.Admin, plain.ID); err != nil { // it need not wait for an entry
		t.Fatal(err)
	}
	s.drive()
	plain = s.is("plain.mp4", gateway.DropReady, "")
	if l := s.all(); len(l) != 2 || plain.EntryID == s.is("named.mp4", gateway.DropReady, "").EntryID {
		t.Error(l)
	}
}

// A file that became an entry by itself before its manifest came is not taken again: the item describes that entry.
func TestManifestAfterItsMedia(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newShed(t, db, describing(gateway.HandleBoth, stable))
		s.put("a.mp4", noise(500))
		s.settle()
		s.drive()
		a := s.is("a.mp4", gateway.DropReady, "")
		s.put("b.mp4", noise(600))
		s.settle()
		for b := s.is("b.mp4", gateway.DropPending, ""); !b.State.Busy(); b = s.files(b.State, gateway.DropImporting, gateway.DropProcessing)[0] {
			s.run("b.mp4")
		}
		s.put("late.xml", xml(addItem("ref-a", "A", "a.mp4"), addItem("ref-b", "B", "b.mp4")))
		s.settle()
		s.drive()
		late := s.is("late.xml", gateway.DropReady, "")
		if got := s.told(late); got != "1 update done \n2 update done \n" {
			t.Error(got)
		}
		s.is("b.mp4", gateway.DropReady, "")
		l := s.all()
		if len(l) != 2 {
			t.Fatal(l)
		}
		for _, e := range l {
			name, ref := "B", "ref-b"
			if e.ID == a.EntryID {
				name, ref = "A", "ref-a"
			}
			if e.Name != name || e.ReferenceID != ref || e.Tags != "news" {
				t.Errorf("%+v", e)
			}
		}
		s.put("again.xml", xml(addItem("ref-c", "C", "a.mp4")))
		s.settle()
		s.drive()
		if got := s.told(s.is("again.xml", gateway.DropQuarantined, "items_failed")); got != "1 add failed file_used\n" {
			t.Error(got)
		}
	})
}

// What was new content of an entry that was there before, or the same bytes as those of a former file, is no entry of its own
// for an item to describe; nor is one whose bytes are not what the item says.
func TestManifestAfterMediaOfOtherEntries(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), describing(gateway.HandleBoth, stable), func(f *gateway.DropFolder) { f.Match = gateway.MatchOrAdd })
	there := s.entry("ref-a")
	s.put("ref-a.mp4", noise(500))
	s.put("sized.mp4", noise(500))
	s.settle()
	s.drive()
	if f := s.is("ref-a.mp4", gateway.DropReady, ""); f.EntryID != there {
		t.Fatal(f.EntryID)
	}
	sized := strings.Replace(addItem("ref-s", "S", "sized.mp4"), `filePath="sized.mp4"/>`, `filePath="sized.mp4"><fileSize>501</fileSize></dropFolderFileContentResource>`, 1)
	s.put("late.xml", xml(addItem("other", "Other", "ref-a.mp4"), sized, strings.Replace(addItem("ref-a", "A", "ref-a.mp4"), "<action>add</action>", "", 1)))
	s.settle()
	s.drive()
	late := s.is("late.xml", gateway.DropQuarantined, "items_failed")
	if got := s.told(late); got != "1 add failed file_used\n2 add failed file_size_differs\n3 update done \n" {
		t.Error(got)
	}
	if l := s.all(); len(l) != 2 || l[0].Name != "A" && l[1].Name != "A" {
		t.Error(l)
	}
	bytes := noise(700)
	s.put("m.mp4", bytes)
	s.settle()
	s.drive()
	m := s.is("m.mp4", gateway.DropReady, "")
	s.put("m.mp4", bytes) // sent again
	s.settle()
	s.drive()
	if again := s.is("m.mp4", gateway.DropReady, ""); again.ID == m.ID || again.EntryID != m.EntryID || again.LeadID != "" {
		t.Fatalf("%+v", again)
	}
	s.put("two.xml", xml(addItem("ref-n", "N", "m.mp4")))
	s.settle()
	s.drive()
	if got := s.told(s.is("two.xml", gateway.DropQuarantined, "items_failed")); got != "1 add failed file_used\n" {
		t.Error(got)
	}
}

// What a manifest waits for, or failed with, is its own also when it is sent again: it becomes no entry by itself.
func TestFileSentAgainIsItsManifests(t *testing.T) {
	t.Parallel()
	right, wrong := noise(700), noise(500)
	sum := sha1.Sum(right)
	item := strings.Replace(addItem("ref-a", "A", "a.mp4"), `filePath="a.mp4"/>`,
		fmt.Sprintf(`filePath="a.mp4"><fileChecksum type="sha1">%x</fileChecksum></dropFolderFileContentResource>`, sum), 1)
	once := func(t *testing.T, s *shed) {
		t.Helper()
		s.is("news.xml", gateway.DropReady, "")
		s.is("a.mp4", gateway.DropReady, "")
		if l := s.all(); len(l) != 1 || l[0].ReferenceID != "ref-a" {
			t.Errorf("%+v", l)
		}
	}
	t.Run("written", func(t *testing.T) {
		t.Parallel()
		s := newShed(t, storetest.SQLite(t), describing(gateway.HandleBoth, stable))
		s.put("news.xml", xml(item))
		s.put("a.mp4", wrong)
		s.settle()
		s.drive()
		s.is("a.mp4", gateway.DropQuarantined, "file_checksum_differs")
		s.put("a.mp4", right)
		s.settle()
		s.drive()
		once(t, s)
	})
	t.Run("renamed", func(t *testing.T) {
		t.Parallel()
		s := newShed(t, storetest.SQLite(t), describing(gateway.HandleBoth, gateway.DropComplete{Marker: ".done", Rename: "*.part"}))
		s.put("news.xml", xml(item))
		s.put("news.xml.done", nil)
		s.scan()
		s.drive()
		s.is("news.xml", gateway.DropWaiting, "")
		s.put("a.mp4.part", right)
		s.scan()
		if err := os.Rename(filepath.Join(s.dir, "a.mp4.part"), filepath.Join(s.dir, "a.mp4")); err != nil {
			t.Fatal(err)
		}
		s.scan()
		s.drive()
		once(t, s)
	})
	t.Run("uploaded", func(t *testing.T) {
		t.Parallel()
		s := newShed(t, storetest.SQLite(t), describing(gateway.HandleBoth, gateway.DropComplete{}), func(f *gateway.DropFolder) {
			f.Source, f.Path = gateway.DropUploads, ""
		})
		ctx, admin := t.Context(), s.house.Admin
		begin := func(name string, size int) gateway.Upload {
			u, err := s.uploads.Create(ctx, admin, gateway.NewUpload{Name: name, Size: int64(size), FolderID: s.folder.ID})
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		send := func(u gateway.Upload, body []byte) {
			if _, err := s.uploads.Write(ctx, admin, u.ID, 0, bytes.NewReader(body)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.uploads.Finish(ctx, admin, u.ID, u.Size, digest(body)); err != nil {
				t.Fatal(err)
			}
			s.drive()
		}
		doc := xml(item)
		send(begin("news.xml", len(doc)), doc)
		if _, err := s.uploads.Cancel(ctx, admin, begin("a.mp4", len(wrong)).ID); err != nil {
			t.Fatal(err)
		}
		s.drive()
		s.is("news.xml", gateway.DropWaiting, "")
		u := begin("a.mp4", len(wrong))
		s.drive()
		s.is("news.xml", gateway.DropWaiting, "")
		send(u, wrong)
		s.is("a.mp4", gateway.DropQuarantined, "file_checksum_differs")
		send(begin("a.mp4", len(right)), right)
		once(t, s)
	})
}
