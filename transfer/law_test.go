package transfer

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRanges compares ranges with a plain set.
func TestRanges(t *testing.T) {
	const size = 60
	rapid.Check(t, func(t *rapid.T) {
		var rs ranges
		var set [size + 1]bool
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			start := rapid.Int64Range(0, size).Draw(t, "start")
			end := rapid.Int64Range(start, size).Draw(t, "end")
			var want, got []int64
			for p := start; p < end; p++ {
				if !set[p] {
					want = append(want, p)
				}
			}
			rs.missing(start, end, func(r Range) {
				for p := r.Start; p < r.End; p++ {
					got = append(got, p)
				}
			})
			if !slices.Equal(got, want) {
				t.Fatalf("%v: [%d,%d) missing %v, want %v", rs, start, end, got, want)
			}
			rs.add(start, end)
			for p := start; p < end; p++ {
				set[p] = true
			}
			total := int64(0)
			for _, in := range set {
				if in {
					total++
				}
			}
			last := int64(-1)
			for _, r := range rs {
				if r.Start <= last || r.End <= r.Start {
					t.Fatalf("not sorted and apart: %v", rs)
				}
				last = r.End
			}
			if rs.total() != total {
				t.Fatalf("%v has %d bytes, want %d", rs, rs.total(), total)
			}
		}
	})
}

func TestTapeSplits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tp tape
		var owner []int // of each position
		for u, n := range rapid.SliceOfN(rapid.IntRange(0, 9), 1, 12).Draw(t, "sizes") {
			tp.add(int64(n))
			for range n {
				owner = append(owner, u)
			}
		}
		start := rapid.IntRange(0, len(owner)).Draw(t, "start")
		end := rapid.IntRange(start, len(owner)).Draw(t, "end")
		at := start
		if err := tp.split(int64(start), int64(end), func(u int, offset int64, n int) error {
			for i := range n {
				if owner[at] != u || tp.bounds(u).Start+offset+int64(i) != int64(at) {
					t.Fatalf("position %d: upload %d offset %d", at, u, offset)
				}
				at++
			}
			return nil
		}); err != nil || at != end {
			t.Fatalf("ended at %d of %d, %v", at, end, err)
		}
	})
}

// TestBlockMapAfterACrash cuts and damages a block map everywhere: only whole records that were written count.
func TestBlockMapAfterACrash(t *testing.T) {
	ctx := context.Background()
	path := t.TempDir()
	d := OpenDir(path, false)
	content := bytes.Repeat([]byte("0123456789"), 100)
	for at := 0; at < 500; at += 100 { // every second hundred
		if err := errors.Join(d.WriteAt(ctx, "u", content[2*at:2*at+100], int64(2*at)), d.Sync(ctx, "u")); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(d.WriteAt(ctx, "u", content[100:200], 100), d.Close()); err != nil { // never synced
		t.Fatal(err)
	}
	name := filepath.Join(path, "u.map")
	whole, err := os.ReadFile(name)
	if err != nil || len(whole) != 5*mapRecord {
		t.Fatalf("%d bytes, %v", len(whole), err)
	}
	for cut := range len(whole) {
		for _, flip := range []bool{false, true} {
			b := append([]byte(nil), whole[:cut]...)
			if flip {
				b = append([]byte(nil), whole...)
				b[cut] ^= 0x10
			}
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			d := OpenDir(path, false)
			have, err := d.Durable(ctx, "u")
			if err != nil || len(have) != cut/mapRecord {
				t.Fatalf("cut at %d: %v, %v", cut, have, err)
			}
			for i, r := range have {
				if r != (Range{Start: int64(200 * i), End: int64(200*i + 100)}) {
					t.Fatalf("cut at %d: %v", cut, have)
				}
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What follows a damaged record overwrites it.
	d = OpenDir(path, false)
	if err := errors.Join(d.WriteAt(ctx, "u", content, 0), d.Sync(ctx, "u"), d.Close()); err != nil {
		t.Fatal(err)
	}
	d = OpenDir(path, false)
	have, err := d.Durable(ctx, "u")
	if err != nil || len(have) != 1 || have[0] != (Range{Start: 0, End: 1000}) {
		t.Fatalf("%v, %v", have, err)
	}
	if _, err := d.Finish(ctx, "u", 1000, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(path, "u")); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestDirRefusesNamesThatLeaveIt(t *testing.T) {
	d := OpenDir(t.TempDir(), false)
	for _, id := range []string{"", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden"} {
		if err := d.WriteAt(context.Background(), id, []byte("x"), 0); CodeOf(err) != CodeRefused {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestMapOfAnEarlierUpload: a crash while an upload is cancelled may leave its map, and its id may come again.
func TestMapOfAnEarlierUpload(t *testing.T) {
	ctx := context.Background()
	path := t.TempDir()
	d := OpenDir(path, false)
	if err := errors.Join(d.WriteAt(ctx, "u", make([]byte, 1000), 0), d.Sync(ctx, "u"), d.Close(), os.Remove(filepath.Join(path, "u.part"))); err != nil {
		t.Fatal(err)
	}
	d = OpenDir(path, false)
	if err := errors.Join(d.WriteAt(ctx, "u", []byte("new"), 2000), d.Sync(ctx, "u"), d.Close()); err != nil {
		t.Fatal(err)
	}
	d = OpenDir(path, false)
	have, err := d.Durable(ctx, "u")
	if err != nil || len(have) != 1 || have[0] != (Range{Start: 2000, End: 2003}) {
		t.Errorf("%v, %v", have, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestFailedSyncIsNotRecorded: the map does not name bytes that the disk may not have, then or later.
func TestFailedSyncIsNotRecorded(t *testing.T) {
	ctx := context.Background()
	d := OpenDir(t.TempDir(), true)
	if err := d.WriteAt(ctx, "u", []byte("bytes"), 0); err != nil {
		t.Fatal(err)
	}
	if err := d.files["u"].data.Close(); err != nil { // no sync succeeds any more
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Sync(ctx, "u"); err == nil {
			t.Error("the failure is not told")
		}
	}
	if have, err := d.Durable(ctx, "u"); err != nil || len(have) > 0 {
		t.Errorf("%v, %v", have, err)
	}
	if _, err := os.Stat(filepath.Join(d.path, "u.map")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a map was written: %v", err)
	}
}
