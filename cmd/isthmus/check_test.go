package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isthmus/gateway"
	"isthmus/media"
	"isthmus/media/mediatest"
)

// Every single file that a packaged clip consists of is missed when it is gone.
func TestCheckMissesEveryFile(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	disk, err := media.OpenDisk(dir, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = disk.Close() }()
	staging := media.NewStaging(disk)
	blobs := media.NewBlobs(disk, staging)
	pipeline, err := media.New(ctx, media.Options{Disk: disk, Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	clip := filepath.Join(t.TempDir(), "clip.mp4")
	if err := (mediatest.Clip{Seconds: 2, Width: 320, Height: 180}).Make(ctx, clip); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(clip)
	if err != nil {
		t.Fatal(err)
	}
	if err := staging.Create(ctx, "st", int64(len(raw))); err != nil {
		t.Fatal(err)
	}
	if _, err := staging.WriteAt(ctx, "st", 0, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	a := gateway.Asset{Row: gateway.Row{ID: "ast_1"}, State: gateway.AssetReady, Original: "assets/ast_1/original", Size: int64(len(raw))}
	if err := blobs.Adopt(ctx, "st", a.Original); err != nil {
		t.Fatal(err)
	}
	src := gateway.Source{Blob: a.Original}
	if a.Inspection, err = pipeline.Inspect(ctx, src, "clip.mp4"); err != nil {
		t.Fatal(err)
	}
	if a.Package, err = pipeline.Package(ctx, src, a.Inspection, "assets/ast_1/1-pkg/", nil); err != nil {
		t.Fatal(err)
	}
	if faults := checkAsset(ctx, blobs, a); len(faults) > 0 {
		t.Fatal(faults)
	}
	files := 0
	err = filepath.WalkDir(filepath.Join(dir, "blobs"), func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "package.json" { // spares a repeated run the work, nobody plays it
			return err
		}
		files++
		if err := os.Rename(name, name+".away"); err != nil {
			return err
		}
		if faults := checkAsset(ctx, blobs, a); len(faults) == 0 {
			t.Errorf("%s is gone and nobody notices", strings.TrimPrefix(name, dir))
		}
		return os.Rename(name+".away", name)
	})
	if err != nil || files < 6 {
		t.Fatal(files, "files", err)
	}
}
