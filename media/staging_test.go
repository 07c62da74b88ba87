package media_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"isthmus/gateway"
	"isthmus/media"
)

// byteAt is what every test file holds, so that any part of it can be checked alone.
func byteAt(i int64) byte { return byte(i*2654435761>>13 ^ i>>7) }

type pattern struct{ at, end int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.at >= p.end {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.end-p.at))
	for i := range n {
		b[i] = byteAt(p.at + int64(i))
	}
	p.at += int64(n)
	return n, nil
}

func patternBytes(start, end int64) []byte {
	b, _ := io.ReadAll(&pattern{start, end}) // never fails
	return b
}

func TestStagingAgainstAModel(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		h := open(t, dir)
		defer h.disk.Close() //nolint:errcheck // closed twice
		ctx, id := t.Context(), gateway.NewID("upl")
		size := rapid.Int64Range(0, 3<<20).Draw(rt, "size")
		known := rapid.Bool().Draw(rt, "known")
		told := size
		if !known {
			told = -1
		}
		if err := h.staging.Create(ctx, id, told); err != nil {
			rt.Fatal(err)
		}
		model := make([]byte, size)
		var ranges, pending gateway.Ranges
		commit := func() {
			for _, r := range pending {
				ranges = ranges.Add(r.Start, r.End)
			}
			pending = nil
		}
		check := func() {
			got, err := h.staging.Durable(ctx, id)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(ranges) {
				rt.Fatalf("durable %v %v, want %v", got, err, ranges)
			}
			prefix := ranges.Prefix()
			n := rapid.Int64Range(0, prefix).Draw(rt, "sum of")
			if sum, err := h.staging.Sum(ctx, id, n); err != nil || sum != digest(model[:n]) {
				rt.Fatalf("sum of %d: %s %v", n, sum, err)
			}
			if sum, err := h.staging.Sum(ctx, id, prefix); err != nil || sum != digest(model[:prefix]) {
				rt.Fatalf("sum of %d: %s %v", prefix, sum, err)
			}
			if _, err := h.staging.Sum(ctx, id, prefix+1); !gateway.IsReason(err, "incomplete") {
				rt.Fatal("sum beyond what is there:", err)
			}
			f, err := h.staging.Open(ctx, id)
			if err != nil {
				rt.Fatal(err)
			}
			defer f.Close() //nolint:errcheck // read only
			for _, r := range ranges {
				b := make([]byte, r.End-r.Start)
				if _, err := f.ReadAt(b, r.Start); err != nil || !bytes.Equal(b, model[r.Start:r.End]) {
					rt.Fatal("bytes differ in", r, err)
				}
			}
		}
		broken := errors.New("line cut")
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0: // start again
				if err := h.disk.Close(); err != nil {
					rt.Fatal(err)
				}
				h = open(t, dir)
				pending = nil
			case 1: // a torn tail
				j, err := os.OpenFile(filepath.Join(dir, "staging", id, "journal"), os.O_WRONLY|os.O_APPEND, 0)
				if errors.Is(err, os.ErrNotExist) {
					break
				}
				if err != nil {
					rt.Fatal(err)
				}
				_, err = j.Write(rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(rt, "torn"))
				if err = errors.Join(err, j.Close(), h.disk.Close()); err != nil {
					rt.Fatal(err)
				}
				h = open(t, dir)
				pending = nil
			case 2, 3:
				start := rapid.Int64Range(0, size).Draw(rt, "put at")
				end := rapid.Int64Range(start, size).Draw(rt, "put to")
				b := bytes.Repeat([]byte{rapid.Byte().Draw(rt, "put")}, int(end-start))
				if err := h.staging.Put(ctx, id, b, start); err != nil {
					rt.Fatal(err)
				}
				copy(model[start:], b)
				pending = pending.Add(start, end)
			case 4:
				if err := h.staging.Commit(ctx, id); err != nil {
					rt.Fatal(err)
				}
				commit()
			default:
				start := rapid.Int64Range(0, size).Draw(rt, "start")
				if rapid.Bool().Draw(rt, "go on") {
					start = ranges.Prefix()
				}
				end := rapid.Int64Range(start, size).Draw(rt, "end")
				b := rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(rt, "bytes")
				b = bytes.Repeat(b, int(end-start)/len(b)+1)[:end-start]
				var r io.Reader = bytes.NewReader(b)
				var want error
				if rapid.Bool().Draw(rt, "cut") {
					r, want = io.MultiReader(r, iotest.ErrReader(broken)), broken
				} else if known && rapid.IntRange(0, 9).Draw(rt, "over") == 0 {
					r, want = io.MultiReader(r, bytes.NewReader(make([]byte, size-end+1))), &gateway.Error{}
				}
				n, err := h.staging.WriteAt(ctx, id, start, r)
				if (err != nil) != (want != nil) || (want == broken && !errors.Is(err, broken)) || n < end-start {
					rt.Fatalf("write [%d,%d): %d %v", start, end, n, err)
				}
				copy(model[start:], b)
				for i := end; i < start+n; i++ {
					model[i] = 0
				}
				if n > 0 { // whoever syncs the file syncs all of it
					commit()
				}
				ranges = ranges.Add(start, start+n)
				if want != nil && want != broken && !gateway.IsReason(err, "beyond_size") {
					rt.Fatal("too many bytes:", err)
				}
			}
			check()
		}
		if err := h.staging.Commit(ctx, id); err != nil {
			rt.Fatal(err)
		}
		commit()
		key := "done/" + id
		err := h.blobs.Adopt(ctx, id, key)
		complete := ranges.Prefix() == size && len(ranges) <= 1
		if !known {
			complete = len(ranges) == 0 || len(ranges) == 1 && ranges[0].Start == 0
		}
		if !complete {
			if !gateway.IsReason(err, "incomplete") {
				rt.Fatal("adopting an incomplete file:", err)
			}
		} else {
			if err != nil {
				rt.Fatal(err)
			}
			if got := h.read(key); !bytes.Equal(got, model[:ranges.Prefix()]) {
				rt.Fatal("published bytes differ")
			}
			if err := h.blobs.Adopt(ctx, id, key); err != nil {
				rt.Fatal("adopting twice:", err)
			}
			if _, err := h.staging.Durable(ctx, id); gateway.CodeOf(err) != gateway.NotFound {
				rt.Fatal("still staged:", err)
			}
		}
	})
}

// TestKilledWriterLosesNothingAcknowledged kills a process while it writes and looks at what it said.
func TestKilledWriterLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		dir, id := t.TempDir(), "upl_killed"
		cmd := exec.Command("/proc/self/exe", "__writer", dir, id, strconv.Itoa(round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var acked gateway.Ranges
		sc := bufio.NewScanner(out)
		// Kill after some acknowledgements and a random moment more: anywhere in the next ones.
		enough := 1 + rand.IntN(12)
		for sc.Scan() {
			var start, end int64
			if _, err := fmt.Sscan(sc.Text(), &start, &end); err != nil {
				t.Fatal(sc.Text(), err)
			}
			acked = acked.Add(start, end)
			if enough--; enough == 0 {
				go func() {
					time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
					_ = cmd.Process.Kill()
				}()
			}
		}
		_ = cmd.Wait()
		h := open(t, dir)
		durable, err := h.staging.Durable(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range acked {
			if got := durable.Add(r.Start, r.End); fmt.Sprint(got) != fmt.Sprint(durable) {
				t.Fatalf("acknowledged %v, on disk %v", acked, durable)
			}
		}
		f, err := h.staging.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range durable {
			b := make([]byte, r.End-r.Start)
			if _, err := f.ReadAt(b, r.Start); err != nil || !bytes.Equal(b, patternBytes(r.Start, r.End)) {
				t.Fatal("said to be on disk, but differs:", r, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		for _, r := range durable.Missing(size) {
			if _, err := h.staging.WriteAt(t.Context(), id, r.Start, &pattern{r.Start, r.End}); err != nil {
				t.Fatal(err)
			}
		}
		if sum, err := h.staging.Sum(t.Context(), id, size); err != nil || sum != digest(patternBytes(0, size)) {
			t.Fatal("the whole file:", sum, err)
		}
	}
}

// writerMain writes random parts of the pattern until it is killed and says what was acknowledged.
func writerMain(dir, id, seed string) error {
	const size = 64 << 20
	disk, err := media.OpenDisk(dir, -1)
	if err != nil {
		return err
	}
	s := media.NewStaging(disk)
	ctx := context.Background()
	if err := s.Create(ctx, id, size); err != nil {
		return err
	}
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(n, 7))
	for n%2 == 1 { // as the fast path does: several parts in any order, then one sync
		var put gateway.Ranges
		for range 1 + rng.IntN(20) {
			start := rng.Int64N(size)
			end := start + rng.Int64N(min(size-start, 256<<10)) + 1
			if err := s.Put(ctx, id, patternBytes(start, end), start); err != nil {
				return err
			}
			put = put.Add(start, end)
		}
		if err := s.Commit(ctx, id); err != nil {
			return err
		}
		for _, r := range put {
			fmt.Println(r.Start, r.End)
		}
	}
	for {
		start := rng.Int64N(size)
		end := start + rng.Int64N(min(size-start, 4<<20)+1)
		w, err := s.WriteAt(ctx, id, start, &pattern{start, end})
		if err != nil {
			return err
		}
		fmt.Println(start, start+w)
	}
}

func TestLongBodyAdvancesStepByStep(t *testing.T) {
	h := open(t, t.TempDir())
	if err := h.staging.Create(t.Context(), "a", 64<<20); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := h.staging.WriteAt(t.Context(), "a", 0, r)
		done <- err
	}()
	if _, err := io.Copy(w, &pattern{0, 20 << 20}); err != nil {
		t.Fatal(err)
	}
	// The body is still open; a pipe hands over synchronously, so two whole steps were taken.
	if d, err := h.staging.Durable(t.Context(), "a"); err != nil || d.Prefix() < 16<<20 {
		t.Errorf("durable %v %v", d, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if d, err := h.staging.Durable(t.Context(), "a"); err != nil || d.Prefix() != 20<<20 {
		t.Errorf("durable %v %v", d, err)
	}
}

func TestStagingRefusals(t *testing.T) {
	h := open(t, t.TempDir())
	ctx := t.Context()
	for _, id := range []string{"", "..", ".", "a/b", "../x", "a\x00b", "-x", strings.Repeat("a", 200), ".hidden", "ü"} {
		if err := h.staging.Create(ctx, id, 1); !gateway.IsReason(err, "bad_id") {
			t.Errorf("id %q: %v", id, err)
		}
	}
	if err := h.staging.Create(ctx, "a", 5); err != nil {
		t.Fatal(err)
	}
	if err := h.staging.Create(ctx, "a", 5); err != nil {
		t.Error("again with the same size:", err)
	}
	if err := h.staging.Create(ctx, "a", 6); gateway.CodeOf(err) != gateway.Conflict {
		t.Error("again with another size:", err)
	}
	if _, err := h.staging.WriteAt(ctx, "none", 0, strings.NewReader("x")); gateway.CodeOf(err) != gateway.NotFound {
		t.Error("unknown id:", err)
	}
	if n, err := h.staging.WriteAt(ctx, "a", 6, strings.NewReader("x")); n != 0 || gateway.CodeOf(err) != gateway.TooLarge {
		t.Error("beyond the size:", n, err)
	}
	if err := h.staging.Remove(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := h.staging.Remove(ctx, "a"); err != nil {
		t.Error("removing twice:", err)
	}
	if _, err := h.staging.Durable(ctx, "a"); gateway.CodeOf(err) != gateway.NotFound {
		t.Error("removed, but there:", err)
	}
}

// TestFullDisk uses a low-water mark far above any disk, which is a full one for everybody but the filesystem.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	ctx := t.Context()
	if err := h.staging.Create(ctx, "a", 100); err != nil {
		t.Fatal(err)
	}
	if n, err := h.staging.WriteAt(ctx, "a", 0, &pattern{0, 40}); n != 40 || err != nil {
		t.Fatal(n, err)
	}
	full, err := media.OpenDisk(dir, 1<<60)
	if err != nil {
		t.Fatal(err)
	}
	s := media.NewStaging(full)
	if n, err := s.WriteAt(ctx, "a", 40, &pattern{40, 100}); n != 0 || !gateway.IsReason(err, "disk_full") || gateway.CodeOf(err) != gateway.Unavailable {
		t.Error(n, err)
	}
	if err := s.Create(ctx, "b", 10); !gateway.IsReason(err, "disk_full") {
		t.Error(err)
	}
	if d, err := s.Durable(ctx, "a"); err != nil || d.Prefix() != 40 {
		t.Error("what was there is lost:", d, err)
	}
	if n, err := h.staging.WriteAt(ctx, "a", 40, &pattern{40, 100}); n != 60 || err != nil {
		t.Error("after room was made:", n, err)
	}
}

func TestStale(t *testing.T) {
	h := open(t, t.TempDir())
	ctx := t.Context()
	for _, id := range []string{"upl_1", "upl_2", "kup_1"} {
		if err := h.staging.Create(ctx, id, -1); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-48 * time.Hour)
	for _, name := range []string{
		"upl_1", "upl_1/journal", "kup_1", "kup_1/journal", "upl_2", "upl_2/journal",
	} {
		if err := os.Chtimes(filepath.Join(h.dir, "staging", name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.staging.WriteAt(ctx, "upl_2", 0, strings.NewReader("news")); err != nil {
		t.Fatal(err)
	}
	ids, err := h.staging.Stale(ctx, "upl_", time.Now().Add(-24*time.Hour))
	if err != nil || fmt.Sprint(ids) != "[upl_1]" {
		t.Error(ids, err)
	}
}
