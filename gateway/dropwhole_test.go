package gateway_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store/storetest"
)

// A rename between two looks is known by what the disk says; a file that is written where it lies never is, also under
// an inode that a file with an unfinished name had. What stays in doubt says so.
func TestRenameThatNobodySaw(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) { f.Complete = gateway.DropComplete{Rename: "*.part"} })
	at := func(name string) string { return filepath.Join(s.dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tick := func() { time.Sleep(40 * time.Millisecond) } // of the disk's clock
	s.put("written.mp4", noise(100))
	s.put("again.mp4.part", noise(100))
	s.scan()
	must(os.Rename(at("again.mp4.part"), at("again.mp4"))) // as if its inode were another file's
	tick()
	s.put("again.mp4", noise(70))
	s.put("quick.mp4.part", noise(100))
	s.put("kept time.mp4.part", noise(100))
	old := time.Now().Add(-24 * time.Hour)
	must(os.Chtimes(at("kept time.mp4.part"), old, old)) // so do senders that were broken off
	tick()
	must(os.Rename(at("quick.mp4.part"), at("quick.mp4")))
	must(os.Rename(at("kept time.mp4.part"), at("kept time.mp4")))
	for range 5 {
		s.scan()
		s.drive()
		s.later(30 * time.Second)
	}
	s.is("quick.mp4", gateway.DropReady, "")
	s.later(2 * time.Hour)
	s.scan()
	s.scan()
	for _, name := range []string{"written.mp4", "again.mp4", "kept time.mp4"} {
		if f := s.is(name, gateway.DropDetected, "not_known_whole"); f.NextStep == "" {
			t.Error(name)
		}
	}
	tick()
	must(os.Rename(at("written.mp4"), at("written.mp4.part")))
	must(os.Rename(at("written.mp4.part"), at("written.mp4")))
	s.settle()
	s.drive()
	s.is("written.mp4", gateway.DropReady, "")
}

// Two names of one file are two files, and a name that changes is no third one.
func TestHardLinkedNames(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t))
	at := func(name string) string { return filepath.Join(s.dir, name) }
	s.put("a.mp4", noise(100))
	s.settle()
	s.drive()
	for _, to := range []string{"b.mp4", "c.mp4"} {
		if err := os.Link(at("a.mp4"), at(to)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(at("a.mp4")); err != nil {
		t.Fatal(err)
	}
	s.settle()
	s.settle()
	s.drive()
	s.is("b.mp4", gateway.DropReady, "")
	s.is("c.mp4", gateway.DropReady, "")
	if n := len(s.all()); n != 2 {
		t.Errorf("%d entries", n)
	}
}

// What was left alone stays so when its disk was away for a while.
func TestIgnoredFileComesBack(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t))
	s.put("a.mp4", noise(100))
	s.put("stays.mp4", noise(100))
	s.scan()
	if _, err := s.folders.Ignore(t.Context(), s.house.Admin, s.is("a.mp4", gateway.DropDetected, "").ID); err != nil {
		t.Fatal(err)
	}
	away := filepath.Join(t.TempDir(), "a.mp4")
	if err := os.Rename(filepath.Join(s.dir, "a.mp4"), away); err != nil {
		t.Fatal(err)
	}
	s.scan()
	s.is("a.mp4", gateway.DropGone, "")
	if err := os.Rename(away, filepath.Join(s.dir, "a.mp4")); err != nil {
		t.Fatal(err)
	}
	s.settle()
	s.settle()
	s.drive()
	s.is("a.mp4", gateway.DropIgnored, "")
}

// A deletion that has begun cannot be taken back, nor be begun by another replica; a file that is another one by now keeps its entry; one
// that a newer file replaced loses it as was said.
func TestDeletionByHandIsFenced(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t))
	two := s.replica("two")
	ctx, admin := t.Context(), s.house.Admin
	told := 0
	s.folders.Sources = meddled{s.folders.Sources, func(act, name string) {
		if act != "remove" || name != "goes.mp4" {
			return
		}
		told++
		id := s.is(name, gateway.DropDue, "").ID
		if _, err := s.folders.Undo(ctx, admin, id); !gateway.IsReason(err, "being_deleted") {
			t.Error(err)
		}
		if _, err := s.folders.Keep(ctx, admin, id, true); !gateway.IsReason(err, "being_deleted") {
			t.Error(err)
		}
		if err := two.folders.RunFile(ctx, id); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(s.dir, name)); err != nil {
			t.Error("another replica deleted it meanwhile")
		}
	}}
	names := []string{"goes.mp4", "changed.mp4", "replaced.mp4", "resent.mp4"}
	for _, name := range names {
		s.put(name, noise(5000))
	}
	resent := noise(5001)
	s.put("resent.mp4", resent)
	s.settle()
	s.drive()
	if len(s.all()) != len(names) {
		t.Fatal(len(s.all()))
	}
	var ids []string
	for _, name := range names {
		f := s.is(name, gateway.DropReady, "")
		ids = append(ids, f.ID)
		if _, err := s.folders.DeleteFile(ctx, admin, f.ID, true); err != nil {
			t.Fatal(err)
		}
	}
	s.put("replaced.mp4", noise(4000))
	s.scan() // a newer file of the name
	s.later(2 * time.Second)
	s.put("resent.mp4", resent)
	s.scan()
	s.later(61 * time.Second)
	s.scan()
	if err := s.folders.RunFile(ctx, s.is("resent.mp4", gateway.DropPending, "").ID); err != nil { // the same entry
		t.Fatal(err)
	}
	s.put("changed.mp4", noise(4000))
	s.later(11 * time.Minute)
	for _, id := range ids {
		if err := s.folders.RunFile(ctx, id); err != nil {
			t.Error(err)
		}
	}
	if told != 1 {
		t.Errorf("%d removals", told)
	}
	s.is("goes.mp4", gateway.DropDeleted, "")
	s.is("changed.mp4", gateway.DropReady, "")
	s.is("replaced.mp4", gateway.DropPending, "")
	if f, err := s.db.DropFiles().Get(ctx, gateway.AnyHub, ids[2]); err != nil || f.State != gateway.DropDeleted {
		t.Error(f.State, err)
	}
	list := s.all()
	if f, err := s.db.DropFiles().Get(ctx, gateway.AnyHub, ids[3]); err != nil || f.State != gateway.DropReady || f.EntryID != s.is("resent.mp4", gateway.DropReady, "").EntryID {
		t.Error(f.State, err)
	}
	slices.SortFunc(list, func(a, b platformEntry) int { return strings.Compare(a.ReferenceID, b.ReferenceID) })
	if len(list) != 2 || list[0].ReferenceID != "changed" || list[1].ReferenceID != "resent" {
		t.Errorf("%+v", list)
	}
}

// A file whose name does not fit is renamed, as its reason says: it goes on by itself.
func TestRenamedAsItWasTold(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) { f.Slug = `(?P<referenceId>[a-z]+)-\d+` })
	s.put("odd.mp4", noise(500))
	s.settle()
	s.drive()
	s.is("odd.mp4", gateway.DropQuarantined, "slug_no_match")
	if err := os.Rename(filepath.Join(s.dir, "odd.mp4"), filepath.Join(s.dir, "tour-1.mp4")); err != nil {
		t.Fatal(err)
	}
	s.scan()
	s.drive()
	s.is("tour-1.mp4", gateway.DropReady, "")
	if list := s.all(); len(list) != 1 || list[0].ReferenceID != "tour" {
		t.Errorf("%+v", list)
	}
}

// A file that a manifest names changes, or goes, while it is fetched, and a look sees it first: it is what the look says,
// and no item takes its half.
func TestNamedFileThatChangesWhileItIsFetched(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), describing(gateway.HandleXML, gateway.DropComplete{Marker: ".done"}))
	whole := noise(2000)
	write := func(name string, body []byte, age time.Duration) {
		t.Helper()
		s.put(name, body)
		at := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(s.dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	began := map[string]bool{}
	s.folders.Sources = meddled{s.folders.Sources, func(act, name string) {
		if act != "open" || began[name] || strings.HasSuffix(name, ".xml") {
			return
		}
		switch began[name] = true; name {
		case "a.mp4":
			write(name, whole[:900], 10*time.Minute)
		case "gone.mp4":
			if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
				t.Error(err)
			}
		}
		s.scan()
	}}
	write("news.xml", xml(addItem("ref-a", "A", "a.mp4"), addItem("ref-b", "B", "b.mp4"), addItem("ref-c", "C", "gone.mp4")), time.Hour)
	for _, name := range []string{"a.mp4", "gone.mp4"} {
		write(name, noise(1000), time.Hour)
	}
	for _, name := range []string{"a.mp4", "gone.mp4", "news.xml"} {
		write(name+".done", nil, 30*time.Minute)
	}
	step := func() {
		s.scan()
		s.drive()
	}
	step()
	a := s.is("a.mp4", gateway.DropDetected, "")
	s.is("gone.mp4", gateway.DropGone, "")
	if _, err := s.folders.Ignore(t.Context(), s.house.Admin, a.ID); err != nil {
		t.Error(err)
	}
	if _, err := s.folders.Retry(t.Context(), s.house.Admin, a.ID); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"b.mp4", "gone.mp4"} {
		write(name, noise(1000), 5*time.Minute)
		write(name+".done", nil, 4*time.Minute)
	}
	write("a.mp4", whole[:1500], 5*time.Minute) // its sender goes on
	step()
	write("a.mp4", whole[:1600], 4*time.Minute)
	step()
	a = s.is("a.mp4", gateway.DropUploading, "")
	if !slices.Contains(a.Actions(), gateway.ActIgnore) || !slices.Contains(a.Actions(), gateway.ActTake) || !slices.Contains(a.Actions(), gateway.ActDelete) {
		t.Error(a.Actions())
	}
	s.is("news.xml", gateway.DropWaiting, "")
	if l := s.all(); len(l) != 0 {
		t.Error(l)
	}
	write("a.mp4", whole, 3*time.Minute)
	write("a.mp4.done", nil, 2*time.Minute)
	step()
	s.is("news.xml", gateway.DropReady, "")
	if a = s.is("a.mp4", gateway.DropReady, ""); a.SHA256 != digest(whole) || len(s.all()) != 3 {
		t.Errorf("%+v", a)
	}
}

// Of a folder that is deleted no file goes, and none becomes what it never was; what is being deleted at that moment is
// deleted with its entry, as was said.
func TestFolderDeletedWithFilesThatAreDue(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) { f.Delete, f.DeleteDays = gateway.DeleteAfterDays, 3 })
	ctx, admin := t.Context(), s.house.Admin
	for _, name := range []string{"goes.mp4", "ready.mp4", "policy.mp4"} {
		s.put(name, noise(500))
	}
	s.put("empty.mp4", nil)
	s.settle()
	s.drive()
	s.put("young.mp4", noise(500))
	s.scan()
	ids := map[string]string{}
	for _, f := range s.files() {
		if ids[f.Name] = f.ID; f.Name == "policy.mp4" {
			continue
		}
		if _, err := s.folders.DeleteFile(ctx, admin, f.ID, f.Name == "goes.mp4"); err != nil {
			t.Fatal(err)
		}
	}
	s.later(11 * time.Minute)
	s.folders.Sources = meddled{s.folders.Sources, func(act, _ string) {
		if act != "remove" {
			return
		}
		if err := s.folders.Delete(ctx, admin, s.folder.ID, 0); err != nil {
			t.Error(err)
		}
		if err := s.folders.Tend(ctx); err != nil {
			t.Error(err)
		}
	}}
	if err := s.folders.RunFile(ctx, ids["goes.mp4"]); err != nil {
		t.Fatal(err)
	}
	for name, state := range map[string]gateway.DropState{
		"goes.mp4": gateway.DropDeleted, "ready.mp4": gateway.DropReady, "policy.mp4": gateway.DropReady, "empty.mp4": gateway.DropQuarantined, "young.mp4": gateway.DropGone,
	} {
		f, err := s.db.DropFiles().Get(ctx, gateway.AnyHub, ids[name])
		if err != nil || f.State != state || (f.ReadyAt != nil) != (name != "empty.mp4" && name != "young.mp4") {
			t.Errorf("%s is %s, ready %v %v", name, f.State, f.ReadyAt, err)
		}
		if _, err := os.Stat(filepath.Join(s.dir, name)); (err == nil) != (name != "goes.mp4") {
			t.Error(name, err)
		}
	}
	if l := s.all(); len(l) != 2 {
		t.Errorf("%+v", l)
	}
}
