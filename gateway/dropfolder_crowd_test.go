package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// Two servers look at one folder and work on its files at the same time: each file becomes one entry.
func TestTwoReplicasOneFolder(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, twoReplicas)
}

func twoReplicas(t *testing.T, o store.Options) {
	n := raised("ISTHMUS_DROP_FILES", 30)
	one := newShed(t, storetest.Open(t, o))
	two := one.replica("two")
	lives(t, o, one.uploads.Replica, true)
	lives(t, o, "two", true)
	for i := range n {
		one.put(fmt.Sprintf("clip-%04d.mp4", i), noise(500+i))
	}
	one.scan()
	one.later(61 * time.Second)
	both := []*shed{one, two}
	if err := one.db.DropFolders().SetWake(t.Context(), one.folder.ID, one.now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	together(2, func(i int) {
		if err := both[i].folders.RunScan(t.Context(), one.folder.ID); err != nil {
			t.Error(err)
		}
	})
	one.scan()
	pending := one.files(gateway.DropPending)
	if len(pending) != n {
		t.Fatalf("%d of %d are whole", len(pending), n)
	}
	together(2, func(i int) {
		order := rand.Perm(n)
		for _, j := range order {
			err := both[i].folders.RunFile(t.Context(), pending[j].ID)
			var z *gateway.Snooze
			if err != nil && !errors.As(err, &z) && !gateway.IsReason(err, "changed_meanwhile") { // what the other one has comes back later
				t.Error(err)
			}
		}
	})
	for range 100 * n { // in turns: the bytes of some files lie with the other one
		if one.turn(); len(one.files(gateway.DropReady)) == n {
			break
		}
		two.turn()
	}
	seen := map[string]bool{}
	for _, e := range one.all() {
		if seen[e.ReferenceID] {
			t.Errorf("%s is there twice", e.ReferenceID)
		}
		seen[e.ReferenceID] = true
	}
	if len(seen) != n {
		t.Errorf("%d entries of %d files", len(seen), n)
	}
}

// drafter writes one file as somebody does who knows nothing of us.
type drafter struct {
	name  string
	steps []func()
	whole []string // digests of contents that were whole at some time
	gone  bool     // may never be taken
}

// Writers of every kind at once: no half-written file becomes an entry, none is lost, none is there twice.
func TestRandomWriters(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) { f.Complete = gateway.DropComplete{Marker: ".done", Rename: "*.part"} })
	n := raised("ISTHMUS_DROP_WRITERS", 150)
	seed := rand.Uint64()
	t.Log("seed", seed)
	rnd := rand.New(rand.NewPCG(seed, 6))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var all []*drafter
	during := map[string]func(){} // what somebody does while a file is read
	s.folders.Sources = meddled{s.folders.Sources, func(act, name string) {
		if f := during[name]; f != nil && act == "open" {
			delete(during, name)
			f()
		}
	}}
	for i := range n {
		d := &drafter{name: fmt.Sprintf("file-%05d.mp4", i)}
		at := filepath.Join(s.dir, d.name)
		body := noise(200 + rnd.IntN(2000))
		write := func(from, to int, path string) func() {
			return func() {
				f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
				must(err)
				_, err = f.WriteAt(body[from:to], int64(from))
				must(err)
				must(f.Close())
			}
		}
		mark := func() {
			d.whole = append(d.whole, digest(body))
			must(os.WriteFile(at+".done", nil, 0o600))
		}
		half := len(body) / 2
		switch rnd.IntN(11) {
		case 0: // slow, then marked
			d.steps = []func(){write(0, half, at), write(half, len(body), at), mark}
		case 1: // paused for good
			d.gone, d.steps = true, []func(){write(0, half, at)}
		case 2: // renamed when it is whole
			d.steps = []func(){write(0, half, at+".part"), write(half, len(body), at+".part"), func() {
				d.whole = append(d.whole, digest(body))
				time.Sleep(12 * time.Millisecond) // more than a tick of the disk's clock, by which a rename nobody saw is known
				must(os.Rename(at+".part", at))
			}}
		case 3: // truncated, and not said to be whole
			d.gone, d.steps = true, []func(){write(0, len(body), at), func() { must(os.Truncate(at, int64(half))) }}
		case 4: // replaced after it was whole, by something that is whole as well
			d.steps = []func(){write(0, len(body), at), mark, func() {
				other := noise(300 + rnd.IntN(500))
				d.whole = append(d.whole, digest(other))
				must(os.WriteFile(at+".part", other, 0o600))
				must(os.Rename(at+".part", at))
			}, func() { must(os.WriteFile(at+".done", nil, 0o600)) }} // nobody saw it under its other name
		case 5: // deleted before it is whole
			d.gone, d.steps = true, []func(){write(0, half, at), func() { must(os.Remove(at)) }}
		case 6: // a link to a file that is whole
			d.gone, d.steps = true, []func(){func() { must(os.Symlink("/etc/passwd", at)) }, func() { must(os.WriteFile(at+".done", nil, 0o600)) }}
		case 7: // a pipe
			d.gone, d.steps = true, []func(){func() { must(syscall.Mkfifo(at, 0o600)) }, func() { must(os.WriteFile(at+".done", nil, 0o600)) }}
		case 8: // two spellings of one name; which of them is the twin is decided by who comes first
			d.name = fmt.Sprintf("caf\u00e9-%05d.mp4", i)
			at = filepath.Join(s.dir, d.name)
			twin := filepath.Join(s.dir, fmt.Sprintf("cafe\u0301-%05d.mp4", i))
			d.steps = []func(){write(0, len(body), at), mark, func() {}, func() { must(os.WriteFile(twin, noise(50), 0o600)) }, func() { must(os.WriteFile(twin+".done", nil, 0o600)) }}
		case 9: // replaced while it is fetched
			d.steps = []func(){write(0, len(body), at), func() {
				during[d.name] = func() {
					other := noise(300 + rnd.IntN(500))
					d.whole = append(d.whole, digest(other))
					must(os.WriteFile(at+".part", other, 0o600))
					must(os.Rename(at+".part", at))
					must(os.WriteFile(at+".done", nil, 0o600))
				}
				mark()
			}}
		case 10: // paused, then goes on
			d.steps = []func(){write(0, half, at), func() {}, func() {}, func() {}, write(half, len(body), at), mark}
		}
		all = append(all, d)
	}
	open := make([]int, n)
	for left := n; left > 0; {
		for range 1 + n/8 {
			i := rnd.IntN(n)
			if open[i] < len(all[i].steps) {
				all[i].steps[open[i]]()
				if open[i]++; open[i] == len(all[i].steps) {
					left--
				}
			}
		}
		s.scan()
		s.drive()
		s.later(time.Minute)
	}
	for range 3 {
		s.settle()
		s.drive()
	}
	taken := map[string][]string{} // digests of what became entries, by reference id
	for _, e := range s.all() {
		var f gateway.DropFile
		list, err := s.db.DropFiles().List(t.Context(), gateway.Scope(s.house.Hub.ID), gateway.DropFileFilter{EntryID: e.ID, Superseded: true}, gateway.Slice{Limit: 10})
		must(err)
		if len(list) == 0 {
			t.Errorf("nobody knows the entry %s %s", e.ID, e.ReferenceID)
			continue
		}
		f = list[0]
		taken[e.ReferenceID] = append(taken[e.ReferenceID], f.SHA256)
	}
	for _, d := range all {
		got := taken[strings.TrimSuffix(d.name, ".mp4")]
		if d.gone {
			if len(got) > 0 {
				t.Errorf("%s was taken and never was whole", d.name)
			}
			continue
		}
		seen := map[string]bool{}
		for _, sum := range got {
			if seen[sum] {
				t.Errorf("%s was taken twice", d.name)
			}
			seen[sum] = true
			if !strings.Contains(strings.Join(d.whole, " "), sum) {
				t.Errorf("%s was taken when it was not whole", d.name)
			}
		}
		if len(d.whole) == 0 || !seen[d.whole[len(d.whole)-1]] {
			t.Errorf("%s was lost: %d of %d contents", d.name, len(got), len(d.whole))
		}
	}
}

// meddled tells before a file of a place is read or removed.
type meddled struct {
	gateway.DropSources
	tell func(act, name string)
}

type meddledSource struct {
	gateway.DropSource
	tell func(act, name string)
}

// Open implements gateway.DropSources.
func (m meddled) Open(ctx context.Context, f gateway.DropFolder, secret gateway.Secret) (gateway.DropSource, error) {
	src, err := m.DropSources.Open(ctx, f, secret)
	return meddledSource{src, m.tell}, err
}

// Open implements gateway.DropSource: what is told of happens when the file is open.
func (m meddledSource) Open(ctx context.Context, name string) (gateway.DropReader, error) {
	r, err := m.DropSource.Open(ctx, name)
	m.tell("open", name)
	return r, err
}

// Remove implements gateway.DropSource.
func (m meddledSource) Remove(ctx context.Context, name, identity string) error {
	m.tell("remove", name)
	return m.DropSource.Remove(ctx, name, identity)
}

// queueKeeper notes which files have a task.
type queueKeeper struct {
	gateway.Store
	files map[string]bool
}

type keepingTx struct {
	gateway.Tx
	files map[string]bool
}

// Tx implements gateway.Store.
func (q queueKeeper) Tx(ctx context.Context, f func(gateway.Tx) error) error {
	return q.Store.Tx(ctx, func(tx gateway.Tx) error { return f(keepingTx{tx, q.files}) })
}

// Enqueue implements gateway.Tx.
func (q keepingTx) Enqueue(ctx context.Context, t gateway.Task, o ...gateway.EnqueueOption) error {
	if h, ok := t.(gateway.HandleDropFile); ok {
		q.files[h.FileID] = true
	}
	return q.Tx.Enqueue(ctx, t, o...)
}

// However many files of a hub are whole, wait, or stand still in a folder that is paused or cannot be read, only some
// have a task: the ten of another hub, and of another folder, all have theirs at once.
func TestManyFilesLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, leaveRoom)
}

func leaveRoom(t *testing.T, db *store.DB) {
	s := newShed(t, db)
	other := gatewaytest.NewHouse(t, s.db, s.now, "quiet", gateway.PlanUniversity)
	long, recent := s.now().Add(-time.Hour), s.now().Add(-time.Second)
	folder := func(hubID, name string, change func(*gateway.DropFolder)) string {
		f := gateway.DropFolder{Row: gateway.Row{ID: gateway.NewID("dfo"), HubID: hubID}, Name: name, NameKey: name, Source: gateway.DropUploads}
		change(&f)
		if err := s.db.DropFolders().Insert(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
		return f.ID
	}
	fill := func(hubID, folderID, names string, n int, state gateway.DropState, tryAt *time.Time, lead string) map[string]bool {
		rows, ids := make([]gateway.DropFile, n), map[string]bool{}
		for i := range rows {
			name := fmt.Sprintf("%s-%05d.mp4", names, i)
			rows[i] = gateway.DropFile{
				Row: gateway.Row{ID: gateway.NewID("dfi"), HubID: hubID}, FolderID: folderID, Name: name, NameKey: name, Size: 5, Identity: name,
				State: state, TryAt: tryAt, LeadID: lead,
			}
			ids[rows[i].ID] = true
		}
		if _, err := s.db.DropFiles().InsertAll(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	hub := s.house.Hub.ID
	as := func(*gateway.DropFolder) {}
	paused := folder(hub, "paused", func(f *gateway.DropFolder) { f.PausedAt = &long })
	second, quiet := folder(hub, "second", as), folder(other.Hub.ID, "quiet", as)
	many := fill(hub, s.folder.ID, "whole", 3000, gateway.DropPending, nil, "")
	waiting := fill(hub, s.folder.ID, "waits", 3000, gateway.DropNoMatch, &long, "")
	still := fill(hub, paused, "still", 3000, gateway.DropWaiting, &long, "")
	fill(hub, paused, "item", 500, gateway.DropImporting, nil, "dfi_manifest")
	fill(hub, s.folder.ID, "away", 64, gateway.DropImporting, &recent, "") // all places of the hub are taken
	tens := map[string]map[string]bool{
		"whole, in another hub":      fill(other.Hub.ID, quiet, "whole", 10, gateway.DropPending, nil, ""),
		"waiting, in another hub":    fill(other.Hub.ID, quiet, "waits", 10, gateway.DropNoMatch, &recent, ""),
		"at work, in another hub":    fill(other.Hub.ID, quiet, "lost", 10, gateway.DropImporting, &recent, ""),
		"waiting, in another folder": fill(hub, second, "waits", 10, gateway.DropNoMatch, &recent, ""),
		"whole, 4 in another folder": fill(hub, second, "whole", 4, gateway.DropPending, nil, ""),
	}
	q := queueKeeper{s.db, map[string]bool{}}
	s.folders.Store = q
	if err := s.folders.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{s.folder.ID, second, quiet, paused} {
		if err := s.folders.RunFeed(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	queued := func(ids map[string]bool) (n int) {
		for id := range ids {
			if q.files[id] {
				n++
			}
		}
		return n
	}
	for what, ids := range tens {
		if n := queued(ids); n != len(ids) {
			t.Errorf("%s: %d of %d have a task", what, n, len(ids))
		}
	}
	if n := queued(many) + queued(waiting); n == 0 || n > 64 {
		t.Errorf("%d tasks of one hub", n)
	}
	if n := queued(still); n != 0 {
		t.Errorf("%d tasks of a folder that is paused", n)
	}
}
