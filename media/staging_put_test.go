package media_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"isthmus/gateway"
	"isthmus/media"
)

// Many put parts of one file in any order while others sync it, ask what is durable and hash it: all that was
// put before a sync is durable after it, and the whole is right.
func TestPutFromMany(t *testing.T) {
	h := open(t, t.TempDir())
	ctx, id := t.Context(), "upl_many"
	const size, part = 8<<20 + 123, 10_000
	if err := h.staging.Create(ctx, id, size); err != nil {
		t.Fatal(err)
	}
	var offsets []int64
	for at := int64(0); at < size; at += part {
		offsets = append(offsets, at)
	}
	rand.Shuffle(len(offsets), func(i, j int) { offsets[i], offsets[j] = offsets[j], offsets[i] })
	const many = 8
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			var mine gateway.Ranges
			for n := i; n < len(offsets); n += many {
				end := min(offsets[n]+part, size)
				if err := h.staging.Put(ctx, id, patternBytes(offsets[n], end), offsets[n]); err != nil {
					t.Error(err)
				}
				mine = mine.Add(offsets[n], end)
				if n%40 < many {
					if err := h.staging.Commit(ctx, id); err != nil {
						t.Error(err)
					}
					durable, err := h.staging.Durable(ctx, id)
					for _, r := range mine {
						if err != nil || !durable.Covers(r.Start, r.End) {
							t.Error("not durable:", r, err)
						}
					}
					if _, err := h.staging.Sum(ctx, id, durable.Prefix()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := h.staging.Commit(ctx, id); err != nil {
		t.Fatal(err)
	}
	if sum, err := h.staging.Sum(ctx, id, size); err != nil || sum != digest(patternBytes(0, size)) {
		t.Error(sum, err)
	}
	if n := h.staging.OpenFiles(id); n != 0 {
		t.Errorf("%d users of a file that nobody uses", n)
	}
	if err := h.blobs.Adopt(ctx, id, "done/many"); err != nil {
		t.Error(err)
	}
}

// Two that make the same place at once make one; whoever makes it with another size is told.
func TestCreateAtOnce(t *testing.T) {
	h := open(t, t.TempDir())
	ctx := t.Context()
	var wg sync.WaitGroup
	for i := range 64 {
		id := fmt.Sprintf("upl_%d", i/4)
		wg.Go(func() {
			if err := h.staging.Create(ctx, id, 10); err != nil {
				t.Error(err)
			}
			if err := h.staging.Put(ctx, id, []byte("0123456789"), 0); err != nil {
				t.Error(err)
			}
			if err := h.staging.Commit(ctx, id); err != nil {
				t.Error(err)
			}
			if err := h.staging.Create(ctx, id, 11); !gateway.IsReason(err, "size_mismatch") {
				t.Error(err)
			}
			if d, err := h.staging.Durable(ctx, id); err != nil || d.Prefix() != 10 {
				t.Error("what was there is gone:", d, err)
			}
		})
	}
	wg.Wait()
}

// After a sync that failed nothing counts that was not durable before, whoever wrote it.
func TestFailedSync(t *testing.T) {
	h := open(t, t.TempDir())
	ctx, id := t.Context(), "upl_bad"
	if err := h.staging.Create(ctx, id, 100); err != nil {
		t.Fatal(err)
	}
	put := func(start, end int64) error {
		return h.staging.Put(ctx, id, patternBytes(start, end), start)
	}
	durable := func(want string) {
		t.Helper()
		if d, err := h.staging.Durable(ctx, id); err != nil || fmt.Sprint(d) != want {
			t.Errorf("durable %v %v, want %s", d, err, want)
		}
	}
	if err := put(0, 10); err != nil {
		t.Fatal(err)
	}
	if err := h.staging.Commit(ctx, id); err != nil {
		t.Fatal(err)
	}
	// A write by tus is under way, too: it has given bytes that are not synced yet.
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		n, err := h.staging.WriteAt(ctx, id, 50, r)
		if n != 0 {
			t.Error("the other writer claims", n)
		}
		written <- err
	}()
	if _, err := w.Write(patternBytes(50, 60)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(nil); err != nil { // it came back for more: the first bytes are written
		t.Fatal(err)
	}
	if err := put(20, 30); err != nil {
		t.Fatal(err)
	}
	h.staging.BreakSync(id)
	if err := h.staging.Commit(ctx, id); err == nil {
		t.Fatal("the sync did not fail")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err == nil {
		t.Error("the other writer heard nothing")
	}
	durable("[{0 10}]")
	if err := put(30, 40); err != nil {
		t.Fatal(err)
	}
	if err := h.staging.Commit(ctx, id); err != nil {
		t.Fatal(err)
	}
	durable("[{0 10} {30 40}]")
	h.staging = media.NewStaging(h.disk)
	durable("[{0 10} {30 40}]")
}

func TestPutRefusals(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	ctx := t.Context()
	if err := h.staging.Create(ctx, "a", 5); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		offset int64
		bytes  string
	}{{-1, "x"}, {5, "x"}, {0, "123456"}, {6, ""}, {1 << 62, "x"}} {
		if err := h.staging.Put(ctx, "a", []byte(c.bytes), c.offset); !gateway.IsReason(err, "beyond_size") {
			t.Errorf("%d bytes at %d: %v", len(c.bytes), c.offset, err)
		}
	}
	if err := h.staging.Put(ctx, "none", []byte("x"), 0); gateway.CodeOf(err) != gateway.NotFound {
		t.Error(err)
	}
	if err := h.staging.Commit(ctx, "none"); gateway.CodeOf(err) != gateway.NotFound {
		t.Error(err)
	}
	full, err := media.OpenDisk(dir, 1<<60)
	if err != nil {
		t.Fatal(err)
	}
	if err := media.NewStaging(full).Put(ctx, "a", []byte("x"), 0); !gateway.IsReason(err, "disk_full") {
		t.Error(err)
	}
	// Removed with something put and not synced: nothing stays open, and the id is free again.
	if err := h.staging.Put(ctx, "a", []byte("12345"), 0); err != nil {
		t.Fatal(err)
	}
	if err := h.blobs.Adopt(ctx, "a", "done/a"); gateway.CodeOf(err) != gateway.Conflict {
		t.Error("adopted while it is being written:", err)
	}
	if err := h.staging.Remove(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := h.staging.Commit(ctx, "a"); gateway.CodeOf(err) != gateway.NotFound {
		t.Error(err)
	}
	if err := h.staging.Create(ctx, "a", 7); err != nil {
		t.Fatal(err)
	}
	if n, err := h.staging.WriteAt(ctx, "a", 0, strings.NewReader("1234567")); n != 7 || err != nil {
		t.Error(n, err)
	}
}
