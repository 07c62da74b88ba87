package media_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"isthmus/gateway"
	"isthmus/media"
)

func TestMain(m *testing.M) {
	media.SandboxMain()
	helperMain()
	os.Exit(m.Run())
}

// house is a data folder with everything in it.
type house struct {
	t        testing.TB
	dir      string
	disk     *media.Disk
	staging  *media.Staging
	blobs    *media.Blobs
	pipeline *media.Pipeline
}

func open(t testing.TB, dir string) *house {
	t.Helper()
	disk, err := media.OpenDisk(dir, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = disk.Close() })
	h := &house{t: t, dir: dir, disk: disk, staging: media.NewStaging(disk)}
	h.blobs = media.NewBlobs(disk, h.staging)
	return h
}

// pipe opens a house with a pipeline; the test is skipped on a machine without ffmpeg.
func pipe(t testing.TB) *house {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
	h := open(t, t.TempDir())
	var err error
	h.pipeline, err = media.New(t.Context(), media.Options{Disk: h.disk})
	if err != nil {
		t.Fatal(err)
	}
	if hl := h.pipeline.Health(); !hl.Ready {
		t.Fatalf("not ready: %+v", hl)
	}
	return h
}

// store stages and adopts bytes under a key, as an upload does.
func (h *house) store(key string, b []byte) gateway.Source {
	h.t.Helper()
	ctx := context.Background()
	id := gateway.NewID("upl")
	if err := h.staging.Create(ctx, id, int64(len(b))); err != nil {
		h.t.Fatal(err)
	}
	if n, err := h.staging.WriteAt(ctx, id, 0, bytes.NewReader(b)); err != nil || n != int64(len(b)) {
		h.t.Fatal(n, err)
	}
	if err := h.blobs.Adopt(ctx, id, key); err != nil {
		h.t.Fatal(err)
	}
	return gateway.Source{Blob: key}
}

func (h *house) storeFile(key, file string) gateway.Source {
	h.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.store(key, b)
}

// path is where a blob lies on disk.
func (h *house) path(key string) string { return filepath.Join(h.dir, "blobs", key) }

func (h *house) read(key string) []byte {
	h.t.Helper()
	r, _, err := h.blobs.Open(context.Background(), key, gateway.Range{End: -1})
	if err != nil {
		h.t.Fatal(key, err)
	}
	b, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		h.t.Fatal(err)
	}
	return b
}

func digest(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
