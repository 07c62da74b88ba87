package media_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"isthmus/gateway"
)

// What is left of a place by a crash is whole or counts for nothing.
func TestPlaceAfterACrash(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	ctx := t.Context()
	again := func() {
		t.Helper()
		if err := h.disk.Close(); err != nil {
			t.Fatal(err)
		}
		h = open(t, dir)
	}
	for _, id := range []string{"prepared", "torn", "empty", "nodata", "full"} {
		if err := h.staging.Prepare(ctx, id, 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.staging.Create(ctx, "created", -1); err != nil {
		t.Fatal(err)
	}
	if err := h.staging.Put(ctx, "full", []byte("0123456789"), 0); err != nil {
		t.Fatal(err)
	}
	if err := h.staging.Commit(ctx, "full"); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, "staging", name) }
	for name, n := range map[string]int64{"torn/journal": 13, "empty/journal": 0} {
		if err := os.Truncate(at(name), n); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(at("nodata/data")); err != nil {
		t.Fatal(err)
	}
	again()
	for _, id := range []string{"torn", "empty", "nodata"} {
		if _, err := h.staging.Durable(ctx, id); gateway.CodeOf(err) != gateway.NotFound {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, id := range []string{"prepared", "created"} {
		if d, err := h.staging.Durable(ctx, id); err != nil || len(d) != 0 {
			t.Errorf("%s: %v %v", id, d, err)
		}
	}
	for _, id := range []string{"prepared", "torn", "empty", "nodata"} {
		if err := h.staging.Prepare(ctx, id, 10); err != nil {
			t.Fatal(err)
		}
		if n, err := h.staging.WriteAt(ctx, id, 0, strings.NewReader("01234")); n != 5 || err != nil {
			t.Fatal(n, err)
		}
	}
	again()
	for id, want := range map[string]string{"prepared": "[{0 5}]", "torn": "[{0 5}]", "empty": "[{0 5}]", "nodata": "[{0 5}]", "full": "[{0 10}]"} {
		if d, err := h.staging.Durable(ctx, id); err != nil || fmt.Sprint(d) != want {
			t.Errorf("%s: %v %v", id, d, err)
		}
	}
	if err := h.staging.Prepare(ctx, "full", 11); !gateway.IsReason(err, "size_mismatch") {
		t.Error(err)
	}
}

// A place of the version before, whose size lies in a file of its own, goes on.
func TestPlaceOfTheVersionBefore(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	ctx := t.Context()
	if err := h.staging.Create(ctx, "old", 10); err != nil {
		t.Fatal(err)
	}
	if n, err := h.staging.WriteAt(ctx, "old", 0, strings.NewReader("01234")); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	if err := h.disk.Close(); err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(dir, "staging", "old")
	journal, err := os.ReadFile(filepath.Join(place, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(place, "journal"), journal[24:], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(place, "meta"), []byte(`{"size":10}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"[{0 5}]", "[{0 10}]"} {
		h = open(t, dir)
		if d, err := h.staging.Durable(ctx, "old"); err != nil || fmt.Sprint(d) != want {
			t.Fatal(d, err)
		}
		if want == "[{0 5}]" {
			if n, err := h.staging.WriteAt(ctx, "old", 5, strings.NewReader("56789")); n != 5 || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := h.disk.Close(); err != nil {
			t.Fatal(err)
		}
	}
	h = open(t, dir)
	if sum, err := h.staging.Sum(ctx, "old", 10); err != nil || sum != digest([]byte("0123456789")) {
		t.Error(sum, err)
	}
}

// Thousands of small files are made, put and committed at once; no more wait open than may.
func TestManySmallPlaces(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	ctx := t.Context()
	const n, most = 400, 100
	h.staging.PinAtMost(most)
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Go(func() {
			for i := k; i < n; i += 8 {
				id := fmt.Sprint("f", i)
				if err := h.staging.Prepare(ctx, id, 100); err != nil {
					t.Error(err)
				}
				if err := h.staging.Put(ctx, id, bytes.Repeat([]byte{byte(i)}, 100), 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	waiting := 0
	for i := range n {
		waiting += h.staging.OpenFiles(fmt.Sprint("f", i))
	}
	if waiting == 0 || waiting > most {
		t.Errorf("%d files wait open", waiting)
	}
	for k := range 8 {
		wg.Go(func() {
			for i := k; i < n; i += 8 {
				if err := h.staging.Commit(ctx, fmt.Sprint("f", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := h.disk.Close(); err != nil {
		t.Fatal(err)
	}
	h = open(t, dir)
	for i := range n {
		if d, err := h.staging.Durable(ctx, fmt.Sprint("f", i)); err != nil || !d.Covers(0, 100) {
			t.Fatal(i, d, err)
		}
	}
}
