package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

// From a directory to a ready entry, on both databases: with the name as reference id, and once.
func TestDropFileBecomesAnEntry(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newShed(t, db, func(f *gateway.DropFolder) {
			f.Origin = gateway.DropOrigin{Tags: []string{"news"}, TagsFromPath: true, Category: "Drops", CategoryFromPath: true}
		})
		body := noise(200_000)
		s.put("2026/harbour.mp4", body)
		s.scan()
		f := s.is("2026/harbour.mp4", gateway.DropDetected, "")
		s.drive()
		if len(s.all()) != 0 {
			t.Fatal("a file that may still be written was taken")
		}
		s.later(61 * time.Second)
		s.scan()
		s.drive()
		s.settle() // nothing more happens
		s.drive()
		done := s.is("2026/harbour.mp4", gateway.DropReady, "")
		if done.ID != f.ID || done.SHA256 != digest(body) || done.ReferenceID != "harbour" {
			t.Errorf("%+v", done)
		}
		list := s.all()
		if len(list) != 1 || list[0].ID != done.EntryID || list[0].ReferenceID != "harbour" || list[0].Name != "harbour" || list[0].Tags != "news, 2026" && list[0].Tags != "news,2026" {
			t.Errorf("%+v", list)
		}
		if got, want := s.states(f.ID), "detected pending importing processing ready"; got != want {
			t.Errorf("%s, not %s", got, want)
		}
	})
}

// What says that it is whole is taken, what does not is not, however long nothing happens; a marker that is older than
// the content was for another content.
func TestHalfWrittenIsNotTaken(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) {
		f.Complete = gateway.DropComplete{Marker: ".done", Rename: "*.part"}
	})
	s.put("plain.mp4", noise(100))
	s.put("written.mp4.part", noise(100))
	s.put("marked.mp4", noise(100))
	s.put("stale.mp4.done", nil)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(s.dir, "stale.mp4.done"), old, old); err != nil {
		t.Fatal(err)
	}
	s.put("stale.mp4", noise(100))
	for range 5 {
		s.scan()
		s.drive()
		s.later(24 * time.Hour)
	}
	if n := len(s.all()); n != 0 {
		t.Fatalf("%d entries of files that nobody said were whole", n)
	}
	s.put("marked.mp4.done", nil)
	if err := os.Rename(filepath.Join(s.dir, "written.mp4.part"), filepath.Join(s.dir, "written.mp4")); err != nil {
		t.Fatal(err)
	}
	s.scan()
	s.drive()
	s.is("marked.mp4", gateway.DropReady, "")
	s.is("written.mp4", gateway.DropReady, "")
	s.is("plain.mp4", gateway.DropDetected, "not_known_whole")
	s.is("stale.mp4", gateway.DropDetected, "not_known_whole")
	if n := len(s.all()); n != 2 {
		t.Errorf("%d entries", n)
	}
	s.put("renamed away.txt", nil) // no matter
	if err := os.Rename(filepath.Join(s.dir, "marked.mp4"), filepath.Join(s.dir, "another name.mp4")); err != nil {
		t.Fatal(err)
	}
	s.put("another name.mp4.done", nil)
	s.settle()
	s.drive()
	if s.is("another name.mp4", gateway.DropReady, ""); len(s.all()) != 2 {
		t.Error("a file that only got another name was taken twice")
	}
}

// A part of a file, a month of silence, the rest: one whole entry. One that is never finished expires and becomes none.
func TestUploadIntoAFolderPausedForAMonth(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) {
		f.Source, f.Path, f.Origin = gateway.DropUploads, "", gateway.DropOrigin{Tags: []string{"news"}}
	})
	ctx, body := t.Context(), noise(300_000)
	send := func(name string) gateway.Upload {
		u, err := s.uploads.Create(ctx, s.house.Admin, gateway.NewUpload{Name: name, Title: "Harbour", Tags: []string{"mine"}, Size: int64(len(body)), FolderID: s.folder.ID})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.uploads.Write(ctx, s.house.Admin, u.ID, 0, bytes.NewReader(body[:100_000])); err != nil {
			t.Fatal(err)
		}
		return u
	}
	u, never := send("tree/below/clip.mp4"), send("tree/never.mp4")
	s.drive()
	s.later(29 * 24 * time.Hour)
	if err := s.uploads.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.folders.Tend(ctx); err != nil {
		t.Fatal(err)
	}
	s.drive()
	s.is("tree/below/clip.mp4", gateway.DropUploading, "")
	if len(s.all()) != 0 {
		t.Fatal("a part became an entry")
	}
	if _, err := s.uploads.Write(ctx, s.house.Admin, u.ID, 100_000, bytes.NewReader(body[100_000:])); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.uploads.Finish(ctx, s.house.Admin, u.ID, u.Size, digest(body)); err != nil {
			t.Fatal(err)
		}
	}
	s.drive()
	f := s.is("tree/below/clip.mp4", gateway.DropReady, "")
	if list := s.all(); len(list) != 1 || list[0].ID != f.EntryID || list[0].ReferenceID != "clip" || f.SHA256 != digest(body) {
		t.Errorf("%+v %+v", list, f)
	} else if list[0].Name != "Harbour" || !strings.Contains(list[0].Tags, "mine") || !strings.Contains(list[0].Tags, "news") { // as its sender said
		t.Errorf("%+v", list)
	}
	s.later(3 * 24 * time.Hour)
	if err := s.uploads.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	s.drive()
	s.is("tree/never.mp4", gateway.DropGone, "")
	if s.state(never.ID).State != gateway.UploadExpired || len(s.all()) != 1 {
		t.Error(s.state(never.ID).State)
	}
	// Its name is free again, and only then.
	if _, err := s.uploads.Create(ctx, s.house.Admin, gateway.NewUpload{Name: "tree/never.mp4", Size: 5, FolderID: s.folder.ID}); err != nil {
		t.Error(err)
	}
	_, err := s.uploads.Create(ctx, s.house.Admin, gateway.NewUpload{Name: "tree/never.mp4", Size: 5, FolderID: s.folder.ID})
	if !gateway.IsReason(err, "name_taken") {
		t.Error(err)
	}
	_, err = s.uploads.Create(ctx, s.house.Ada, gateway.NewUpload{Name: "a.mp4", Size: 5, FolderID: s.folder.ID})
	if gateway.CodeOf(err) != gateway.Forbidden {
		t.Error(err)
	}
}

// What was sent to a server that is away waits for it with a reason, takes no place from others, and goes on when it is back.
func TestFilesOfAServerThatIsAway(t *testing.T) {
	t.Parallel()
	o := store.Options{DataDir: t.TempDir()}
	s := newShed(t, storetest.Open(t, o), func(f *gateway.DropFolder) { f.Source, f.Path = gateway.DropUploads, "" })
	two := s.replica("two")
	two.uploads.Clock, two.uploads.Pipeline = s.now, byName{}
	ctx, body := t.Context(), noise(3000)
	for _, name := range []string{"a.mp4", "b.mp4", "c.mp4"} {
		u, err := two.uploads.Create(ctx, s.house.Admin, gateway.NewUpload{Name: name, Size: int64(len(body)), FolderID: s.folder.ID})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := two.uploads.Write(ctx, s.house.Admin, u.ID, 0, bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		if _, err := two.uploads.Finish(ctx, s.house.Admin, u.ID, u.Size, digest(body)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name, state, reason string) {
		t.Helper()
		for _, f := range s.files() {
			if f.Name == name {
				var z *gateway.Snooze
				if err := s.folders.RunFile(ctx, f.ID); err != nil && !asSnooze(err, &z) {
					t.Fatal(err)
				}
			}
		}
		s.is(name, gateway.DropState(state), reason)
	}
	run("a.mp4", "pending", "") // it may have been too busy until now
	b := s.is("b.mp4", gateway.DropPending, "")
	b.State = gateway.DropImporting // it had begun
	if err := s.db.DropFiles().Update(ctx, &b); err != nil {
		t.Fatal(err)
	}
	c := s.is("c.mp4", gateway.DropPending, "")
	if err := two.folders.RunFile(ctx, c.ID); err != nil { // it was to go to the platform next
		t.Fatal(err)
	}
	ingest := func() {
		t.Helper()
		var z *gateway.Snooze
		if err := s.uploads.RunIngest(ctx, c.UploadID); err != nil && !asSnooze(err, &z) {
			t.Fatal(err)
		}
	}
	lives(t, o, "two", true)
	for range 2 { // it only has much to do
		s.later(11 * time.Minute)
		ingest()
		run("a.mp4", "pending", "")
		run("b.mp4", "importing", "")
		run("c.mp4", "importing", "")
	}
	lives(t, o, "two", false)
	for range 2 {
		ingest()
		s.later(3 * time.Minute)
	}
	for range 2 {
		run("a.mp4", "pending", "server_away")
		run("b.mp4", "pending", "server_away")
		run("c.mp4", "pending", "server_away")
	}
	if got := s.states(b.ID); got != "uploading pending pending" {
		t.Error(got)
	}
	if rows, err := s.db.DropFiles().Turn(ctx, s.folder.ID, s.now(), 10); err != nil || len(rows) != 0 {
		t.Error(rows, err)
	}
	two.drive()
	two.is("a.mp4", gateway.DropReady, "")
	two.is("b.mp4", gateway.DropReady, "")
	two.is("c.mp4", gateway.DropReady, "")
	if n := len(s.all()); n != 3 {
		t.Errorf("%d entries", n)
	}
}

// Of names that cannot be taken so many are listed as people can look at.
func TestManyOddNames(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t))
	s.put("two\nlines.mp4", []byte("x"))
	s.scan()
	s.is("two\nlines.mp4", gateway.DropQuarantined, "name_no_path")
	const n = 1009
	for i := range n {
		s.put(fmt.Sprintf("odd\xff%d.mp4", i), []byte("x"))
	}
	for range 2 {
		s.scan()
		if got := len(s.files(gateway.DropQuarantined)); got != 1000 {
			t.Fatal(got)
		}
	}
	before := s.files()
	for i := range n {
		s.put(fmt.Sprintf("odd\xff%d.mp4", i), []byte("others"))
	}
	s.scan()
	for i, f := range s.files() { // the same rows as before
		if f.ID != before[i].ID || f.State != gateway.DropQuarantined || f.Name != "two\nlines.mp4" && f.Size != 6 {
			t.Fatalf("%+v, before %+v", f, before[i])
		}
	}
	f, err := s.db.DropFolders().Get(t.Context(), gateway.AnyHub, s.folder.ID)
	if err != nil || f.Health.Code != "odd_names" || !strings.Contains(f.Health.Text, "1010") {
		t.Errorf("%+v %v", f.Health, err)
	}
}

func TestTwinsAndReplacedFiles(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t))
	composed, apart := "caf\u00e9.mp4", "cafe\u0301.mp4"
	s.put(composed, noise(100))
	s.settle()
	s.put(apart, noise(101))
	first := noise(1000)
	s.put("a.mp4", first)
	s.settle()
	s.put("a.mp4", noise(500)) // after it was whole, before its turn
	s.drive()
	s.is(composed, gateway.DropReady, "")
	s.is(apart, gateway.DropQuarantined, "name_twin")
	s.is("a.mp4", gateway.DropDetected, "")
	if n := len(s.all()); n != 1 {
		t.Fatalf("%d entries", n)
	}
	s.settle()
	s.drive()
	s.is("a.mp4", gateway.DropReady, "")
	s.put("a.mp4", noise(700)) // a new content is a new file
	s.settle()
	s.drive()
	if s.is("a.mp4", gateway.DropReady, ""); len(s.all()) != 3 {
		t.Errorf("%d entries", len(s.all()))
	}
	later := time.Now().Add(time.Hour) // the same content is not
	if err := os.Chtimes(filepath.Join(s.dir, "a.mp4"), later, later); err != nil {
		t.Fatal(err)
	}
	s.settle()
	s.drive()
	if s.is("a.mp4", gateway.DropReady, ""); len(s.all()) != 3 {
		t.Errorf("%d entries", len(s.all()))
	}
}

// A directory that is away says nothing about the files; an empty one says so only the second time.
func TestDirectoryThatGoesAway(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t))
	s.put("a.mp4", noise(100))
	s.put("b.mp4", noise(100))
	s.settle()
	s.drive()
	away := s.dir + ".away"
	if err := os.Rename(s.dir, away); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.scan()
	}
	s.is("a.mp4", gateway.DropReady, "")
	f, err := s.db.DropFolders().Get(t.Context(), gateway.AnyHub, s.folder.ID)
	if err != nil || f.Health.Code == "" || f.Health.NextStep == "" || f.Health.Since == nil {
		t.Errorf("%+v %v", f.Health, err)
	}
	if err := os.Mkdir(s.dir, 0o750); err != nil { // as an empty mount point
		t.Fatal(err)
	}
	s.scan()
	s.is("a.mp4", gateway.DropReady, "")
	if err := os.Remove(s.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, s.dir); err != nil {
		t.Fatal(err)
	}
	s.scan()
	if f, err = s.db.DropFolders().Get(t.Context(), gateway.AnyHub, s.folder.ID); err != nil || f.Health.Code != "" || f.Health.Files != 2 {
		t.Errorf("%+v %v", f.Health, err)
	}
	for _, name := range []string{"a.mp4", "b.mp4"} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.scan()
	s.is("a.mp4", gateway.DropReady, "")
	s.scan()
	s.is("a.mp4", gateway.DropGone, "")
	if len(s.all()) != 2 {
		t.Error("entries were touched")
	}
}

func TestMatchPolicies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		match gateway.DropMatch
		there bool
		state gateway.DropState
		made  int
	}{
		{gateway.MatchAdd, true, gateway.DropReady, 2},
		{gateway.MatchOrAdd, true, gateway.DropReady, 1},
		{gateway.MatchOrAdd, false, gateway.DropReady, 1},
		{gateway.MatchOrWait, true, gateway.DropReady, 1},
		{gateway.MatchOrWait, false, gateway.DropNoMatch, 0},
	} {
		name := string(c.match)
		if c.there {
			name += ", there"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) { f.Match = c.match })
			id := ""
			make := func() {
				var e struct{ ID string }
				s.world.ask("media", "add", map[string]any{"entry": map[string]any{
					"objectType": "KalturaMediaEntry", "mediaType": 1, "name": "There before", "referenceId": "tour",
				}}, &e)
				id = e.ID
			}
			if c.there {
				make()
			}
			s.put("tour.mp4", noise(1000))
			s.settle()
			s.drive()
			f := s.is("tour.mp4", c.state, "")
			if len(s.all()) != c.made || c.there && c.match != gateway.MatchAdd && f.EntryID != id {
				t.Errorf("%d entries, %+v", len(s.all()), f)
			}
			if c.state != gateway.DropNoMatch {
				return
			}
			if len(f.WaitingFor) != 1 || f.WaitingFor[0] != "entry:tour" {
				t.Error(f.WaitingFor)
			}
			make()
			s.later(time.Minute)
			if err := s.folders.RunFile(t.Context(), f.ID); err != nil {
				t.Fatal(err)
			}
			s.drive()
			if f = s.is("tour.mp4", gateway.DropReady, ""); f.EntryID != id || len(s.all()) != 1 {
				t.Errorf("%+v", f)
			}
		})
	}
}

// A file goes from its folder only when its entry plays and its size was verified, and never when somebody keeps it.
func TestDeletePolicies(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) { f.Delete, f.DeleteDays = gateway.DeleteAfterDays, 3 })
	due := func() {
		t.Helper()
		for _, f := range s.files(gateway.DropDue) {
			if err := s.folders.RunFile(t.Context(), f.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	there := func(name string) bool { _, err := os.Stat(filepath.Join(s.dir, name)); return err == nil }
	for _, name := range []string{"goes.mp4", "kept.mp4", "changed.mp4", "lost.mp4", "shared.mp4", "disguised.mp4"} {
		s.put(name, noise(5000))
	}
	s.settle()
	s.drive()
	due()
	kept := s.is("kept.mp4", gateway.DropDue, "")
	kept.Kept = true
	if err := s.db.DropFiles().Update(t.Context(), &kept); err != nil {
		t.Fatal(err)
	}
	lost := s.is("lost.mp4", gateway.DropDue, "")
	var out any
	s.world.ask("media", "delete", map[string]any{"entryId": lost.EntryID}, &out)
	s.put("changed.mp4", noise(5000))
	if err := os.Chmod(filepath.Join(s.dir, "shared.mp4"), 0o640); err != nil { // its bytes are still those that were imported
		t.Fatal(err)
	}
	disguised := filepath.Join(s.dir, "disguised.mp4") // other bytes, by size and time the same
	st, err := os.Stat(disguised)
	if err != nil {
		t.Fatal(err)
	}
	s.put("disguised.mp4", bytes.Repeat([]byte("x"), 5000))
	if err := os.Chtimes(disguised, st.ModTime(), st.ModTime()); err != nil {
		t.Fatal(err)
	}
	if !there("goes.mp4") {
		t.Fatal("deleted before its time")
	}
	s.later(73 * time.Hour)
	if _, err := s.folders.Pause(t.Context(), s.house.Admin, s.folder.ID); err != nil {
		t.Fatal(err)
	}
	due()
	if s.is("goes.mp4", gateway.DropDue, "paused"); !there("goes.mp4") {
		t.Fatal("deleted while the folder is paused")
	}
	if _, err := s.folders.Resume(t.Context(), s.house.Admin, s.folder.ID); err != nil {
		t.Fatal(err)
	}
	s.later(6 * time.Minute)
	place, removed := s.folders.Sources, 0
	s.folders.Sources = meddled{place, func(act, name string) { // what a crash leaves half removed is found by what the row says
		if act != "remove" || name == "changed.mp4" || name == "disguised.mp4" {
			return
		}
		src, err := place.Open(t.Context(), s.folder, "")
		if err != nil {
			t.Fatal(err)
		}
		e, err := src.Stat(t.Context(), name)
		if removed++; err != nil || e.Identity != s.is(name, gateway.DropDue, "paused").Identity {
			t.Error(name, e, err)
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}}
	due()
	if removed != 2 {
		t.Errorf("%d were removed", removed)
	}
	s.is("goes.mp4", gateway.DropDeleted, "")
	s.is("kept.mp4", gateway.DropReady, "")
	s.is("changed.mp4", gateway.DropReady, "")
	s.is("shared.mp4", gateway.DropDeleted, "")
	s.is("disguised.mp4", gateway.DropReady, "")
	s.is("lost.mp4", gateway.DropDue, "not_verified")
	if there("goes.mp4") || there("shared.mp4") || !there("disguised.mp4") || !there("kept.mp4") || !there("changed.mp4") || !there("lost.mp4") {
		t.Error("the wrong files are there")
	}
}

// Where a folder is watched, a file is taken when it gets its final name, or its marker: nobody looks at the folder as a
// whole here, so only what the watch told can have done it.
func TestWatchedFolderNeedsNoLook(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) {
		f.Complete = gateway.DropComplete{Marker: ".done", Rename: "*.part"}
	})
	ctx, stop := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() { s.folders.Watch(ctx) })
	defer watch.Wait()
	defer stop()
	until := func(name string, state gateway.DropState) gateway.DropFile {
		t.Helper()
		for late := time.Now().Add(2 * time.Minute); time.Now().Before(late); time.Sleep(20 * time.Millisecond) {
			for _, f := range s.files() {
				if f.Name == name && f.State == state {
					return f
				}
			}
		}
		t.Fatalf("%s is not %s: %+v", name, state, s.files())
		return gateway.DropFile{}
	}
	s.put("a.mp4.part", noise(100))
	for n := 0; len(s.files()) == 0; n++ { // the watch stands when it tells of something
		s.put(fmt.Sprintf("sub/knock%d.mp4.part", n), noise(10))
		time.Sleep(100 * time.Millisecond)
	}
	s.put("a.mp4.part", noise(200))
	was := until("a.mp4.part", gateway.DropUploading)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Rename(filepath.Join(s.dir, "a.mp4.part"), filepath.Join(s.dir, "a.mp4")))
	if f := until("a.mp4", gateway.DropPending); f.ID != was.ID {
		t.Errorf("it is another file: %+v", f)
	}
	s.put("sub/b.mp4", noise(100))
	until("sub/b.mp4", gateway.DropDetected)
	s.put("sub/b.mp4.done", nil)
	until("sub/b.mp4", gateway.DropPending)
	if f, err := s.db.DropFolders().Get(t.Context(), gateway.AnyHub, s.folder.ID); err != nil || f.Health.LastAt != nil {
		t.Errorf("the folder was looked at: %+v %v", f.Health, err)
	}
}

// Two files with one reference id that come together become one entry, although the platform's index shows it late.
func TestTwoFilesOfOneReference(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newShed(t, db, func(f *gateway.DropFolder) { f.Match = gateway.MatchOrAdd })
		s.lag()
		s.put("a/clip.mp4", noise(10_000))
		s.put("b/clip.mp4", noise(20_000))
		s.settle()
		s.drive()
		a, b := s.is("a/clip.mp4", gateway.DropReady, ""), s.is("b/clip.mp4", gateway.DropReady, "")
		if l := s.all(); len(l) != 1 || a.EntryID != b.EntryID {
			t.Error(a.EntryID, b.EntryID, l)
		}
	})
}
