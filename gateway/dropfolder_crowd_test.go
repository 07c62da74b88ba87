package gateway_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store/storetest"
)

// Two servers look at one folder and work on its files at the same time: each file becomes one entry.
func TestTwoReplicasOneFolder(t *testing.T) {
	t.Parallel()
	n := raised("ISTHMUS_DROP_FILES", 30)
	one := newShed(t, storetest.SQLite(t))
	two := one.replica("two")
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
			_ = both[i].folders.RunFile(t.Context(), pending[j].ID) // what the other one has comes back later
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
		switch rnd.IntN(9) {
		case 0: // slow, then marked
			d.steps = []func(){write(0, half, at), write(half, len(body), at), mark}
		case 1: // paused for good
			d.gone, d.steps = true, []func(){write(0, half, at)}
		case 2: // renamed when it is whole
			d.steps = []func(){write(0, half, at+".part"), write(half, len(body), at+".part"), func() {
				d.whole = append(d.whole, digest(body))
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

// queueCounter counts what is queued.
type queueCounter struct {
	gateway.Store
	tasks map[string]int
}

type countingTx struct {
	gateway.Tx
	tasks map[string]int
}

// Tx implements gateway.Store.
func (c queueCounter) Tx(ctx context.Context, f func(gateway.Tx) error) error {
	return c.Store.Tx(ctx, func(tx gateway.Tx) error { return f(countingTx{tx, c.tasks}) })
}

// Enqueue implements gateway.Tx.
func (c countingTx) Enqueue(ctx context.Context, t gateway.Task, o ...gateway.EnqueueOption) error {
	c.tasks[t.Kind()]++
	return c.Tx.Enqueue(ctx, t, o...)
}

// However many files of a folder are whole, only some have a task: those of another hub do not wait behind them.
func TestManyFilesLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t))
	rows := make([]gateway.DropFile, 3000)
	for i := range rows {
		name := fmt.Sprintf("%05d.mp4", i)
		rows[i] = gateway.DropFile{
			Row: gateway.Row{ID: gateway.NewID("dfi"), HubID: s.house.Hub.ID}, FolderID: s.folder.ID, Name: name, NameKey: name, Size: 5, Identity: name,
			State: gateway.DropPending,
		}
	}
	if _, err := s.db.DropFiles().InsertAll(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	c := queueCounter{s.db, map[string]int{}}
	s.folders.Store = c
	for range 3 {
		if err := s.folders.RunFeed(t.Context(), s.folder.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.folders.Tend(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.tasks[gateway.HandleDropFile{}.Kind()]; n == 0 || n > 3*64 {
		t.Errorf("%d tasks of one hub were asked for", n)
	}
}

// A folder of a hundred thousand files in which nothing changed.
func BenchmarkUnchangedScan(b *testing.B) {
	s := newShed(b, storetest.SQLite(b))
	n := raised("ISTHMUS_DROP_SCAN", 100_000)
	for i := range n {
		dir := filepath.Join(s.dir, fmt.Sprintf("%03d", i/1000))
		if err := os.MkdirAll(dir, 0o750); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%06d.mp4", i)), []byte{1}, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	look := func() {
		if err := s.db.DropFolders().SetWake(b.Context(), s.folder.ID, s.now().Add(-time.Second)); err != nil {
			b.Fatal(err)
		}
		if err := s.folders.RunScan(b.Context(), s.folder.ID); err != nil {
			b.Fatal(err)
		}
	}
	look()
	s.later(61 * time.Second)
	look()
	if got := len(s.files(gateway.DropPending)); got != n {
		b.Fatalf("%d of %d are whole", got, n)
	}
	for b.Loop() {
		look()
	}
	b.ReportMetric(float64(n), "files")
}
