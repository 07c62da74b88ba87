package media_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"isthmus/gateway"
	"isthmus/media"
	"isthmus/media/mediatest"
)

// TestReallyFullDisk fills a small filesystem. It needs the right to mount one.
func TestReallyFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skip("cannot mount a small filesystem: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	h := open(t, dir)
	ctx := t.Context()
	must(t, h.staging.Create(ctx, "a", -1))
	n, err := h.staging.WriteAt(ctx, "a", 0, &pattern{0, 64 << 20})
	if !gateway.IsReason(err, "disk_full") || n < 8<<20 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	d, err := open(t, dir).staging.Durable(ctx, "a")
	if err != nil || d.Prefix() != n {
		t.Fatal("what was acknowledged is lost:", d, err)
	}
	if sum, err := h.staging.Sum(ctx, "a", n); err != nil || sum != digest(patternBytes(0, n)) {
		t.Error(sum, err)
	}
	must(t, h.staging.Remove(ctx, "a"))

	// A video whose package does not fit: trouble that passes, and nothing half published.
	clip := filepath.Join(t.TempDir(), "c.mp4")
	must(t, mediatest.Clip{Seconds: 2, Width: 320, Height: 180, Extra: []string{
		"-b:v", "20M", "-minrate", "20M", "-maxrate", "20M", "-bufsize", "1M",
		"-x264-params", "nal-hrd=cbr",
	}}.Make(ctx, clip))
	src := h.storeFile("in", clip)
	fill, err := os.Create(filepath.Join(dir, "fill"))
	must(t, err)
	h.pipeline, err = media.New(ctx, media.Options{Disk: h.disk})
	must(t, err)
	in, err := h.pipeline.Inspect(ctx, src, "c.mp4")
	must(t, err)
	if _, err := io.Copy(fill, &pattern{0, 1 << 30}); !errors.Is(err, unix.ENOSPC) {
		t.Fatal("the small filesystem is not:", err)
	}
	must(t, fill.Truncate(mustSize(t, fill)-2<<20)) // room for a start, not for all
	if _, err := h.pipeline.Package(ctx, src, in, "out", nil); !gateway.IsReason(err, "disk_full") || gateway.CodeOf(err) != gateway.Unavailable {
		t.Error("packaging on a full disk:", err)
	}
	if _, err := os.Stat(h.path("out")); !errors.Is(err, os.ErrNotExist) {
		t.Error("something was published")
	}
	must(t, os.Remove(fill.Name()))
	must(t, fill.Close())
	pkg, err := h.pipeline.Package(ctx, src, in, "out", nil)
	must(t, err)
	h.plays(pkg.DASH, 1, 60)
}

func mustSize(t *testing.T, f *os.File) int64 {
	t.Helper()
	st, err := f.Stat()
	must(t, err)
	return st.Size()
}

func TestBlobs(t *testing.T) {
	h := open(t, t.TempDir())
	ctx := t.Context()
	h.store("a/b/one", []byte("0123456789"))
	h.store("a/c", []byte("other"))
	for _, c := range []struct {
		rng  gateway.Range
		want string
	}{{gateway.Range{Start: 0, End: -1}, "0123456789"}, {gateway.Range{Start: 3, End: 5}, "34"}, {gateway.Range{Start: 8, End: 99}, "89"}, {gateway.Range{Start: 10, End: -1}, ""}} {
		r, info, err := h.blobs.Open(ctx, "a/b/one", c.rng)
		must(t, err)
		b, err := io.ReadAll(r)
		must(t, errors.Join(err, r.Close()))
		if string(b) != c.want || info.Size != 10 || info.ModTime.IsZero() {
			t.Errorf("%v: %q %+v", c.rng, b, info)
		}
	}
	if _, _, err := h.blobs.Open(ctx, "a/b/one", gateway.Range{Start: 11, End: -1}); !gateway.IsReason(err, "bad_range") {
		t.Error(err)
	}
	for _, key := range []string{"", "..", "a/../a/c", "/etc/passwd", "a/b", "a//c", "a/c/", "none", "a/c/x", "a\\c", "a/c\x00", "a/.c", strings.Repeat("a/", 300) + "a"} {
		if _, _, err := h.blobs.Open(ctx, key, gateway.Range{End: -1}); gateway.CodeOf(err) != gateway.NotFound {
			t.Errorf("open %q: %v", key, err)
		}
		if _, err := h.blobs.Stat(ctx, key); gateway.CodeOf(err) != gateway.NotFound {
			t.Errorf("stat %q: %v", key, err)
		}
	}
	// A link that got into the folder leads nowhere.
	must(t, os.Symlink("/etc/passwd", h.path("a/link")))
	if _, _, err := h.blobs.Open(ctx, "a/link", gateway.Range{End: -1}); err == nil {
		t.Error("a link out of the folder was followed")
	}
	must(t, h.blobs.Remove(ctx, "a/b")) // a folder without its slash stays
	if got := h.read("a/b/one"); !bytes.Equal(got, []byte("0123456789")) {
		t.Error("removed without the slash")
	}
	must(t, h.blobs.Remove(ctx, "a/b/"))
	must(t, h.blobs.Remove(ctx, "a/b/"))
	must(t, h.blobs.Remove(ctx, "none"))
	if _, err := h.blobs.Stat(ctx, "a/b/one"); gateway.CodeOf(err) != gateway.NotFound {
		t.Error("still there:", err)
	}
	if string(h.read("a/c")) != "other" {
		t.Error("too much was removed")
	}
}

// TestFourLargeUploadsNeedLittleMemory: what grows with the size of an upload would show long before 5 GiB.
func TestFourLargeUploadsNeedLittleMemory(t *testing.T) {
	h := open(t, t.TempDir())
	var wg sync.WaitGroup
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, id := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			if err := h.staging.Create(t.Context(), id, 96<<20); err != nil {
				t.Error(err)
			}
			if n, err := h.staging.WriteAt(t.Context(), id, 0, &pattern{0, 96 << 20}); err != nil || n != 96<<20 {
				t.Error(n, err)
			}
		})
	}
	wg.Wait()
	runtime.ReadMemStats(&after)
	if grown := int64(after.Sys) - int64(before.Sys); grown > 32<<20 {
		t.Errorf("%d MiB more", grown>>20)
	}
	if all := after.TotalAlloc - before.TotalAlloc; all > 16<<20 {
		t.Errorf("%d MiB allocated for 384 MiB of uploads", all>>20)
	}
}
