package dropfolder_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
)

// bound only ends a hang.
const bound = 2 * time.Minute

// watching is a watch that runs; next waits for one piece of news.
type watching struct {
	t    *testing.T
	news chan [2]string
	end  chan error
}

func watch(t *testing.T, s gateway.DropSource) *watching {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &watching{t, make(chan [2]string, 100_000), make(chan error, 1)}
	go func() {
		w.end <- s.Watch(ctx, func(name, from string) { w.news <- [2]string{name, from} })
	}()
	t.Cleanup(func() {
		stop()
		select {
		case <-w.end:
		case <-time.After(bound):
			t.Error("the watch does not end")
		}
	})
	w.until("", "")
	return w
}

// until waits for news; others may come before it.
func (w *watching) until(name, from string) {
	w.t.Helper()
	var seen [][2]string
	late := time.After(bound)
	for {
		select {
		case n := <-w.news:
			if n == [2]string{name, from} {
				return
			}
			seen = append(seen, n)
		case err := <-w.end:
			w.end <- err
			w.t.Fatalf("the watch ended: %v", err)
		case <-late:
			w.t.Fatalf("%q from %q was never told, but %q", name, from, seen)
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	s, at := folder(t)
	write(t, filepath.Join(at, "before", "a.mp4"), "a")
	w := watch(t, s)

	write(t, filepath.Join(at, "a.part"), "a")
	w.until("a.part", "")
	must(t, os.Rename(filepath.Join(at, "a.part"), filepath.Join(at, "a ← \"b\".mp4")))
	w.until("a ← \"b\".mp4", "a.part")
	must(t, os.Rename(filepath.Join(at, "a ← \"b\".mp4"), filepath.Join(at, "before", "c.mp4")))
	w.until("before/c.mp4", "a ← \"b\".mp4")
	must(t, os.Remove(filepath.Join(at, "before", "c.mp4")))
	w.until("before/c.mp4", "")

	// Directories that come are looked into, and watched.
	write(t, filepath.Join(at, "new", "deep", "x.mp4"), "x")
	w.until("new/deep/x.mp4", "")
	write(t, filepath.Join(at, "new", "deep", "y.mp4"), "y")
	w.until("new/deep/y.mp4", "")
	elsewhere := filepath.Join(t.TempDir(), "tree")
	write(t, filepath.Join(elsewhere, "sub", "m.mp4"), "m")
	must(t, os.Rename(elsewhere, filepath.Join(at, "tree")))
	w.until("tree/sub/m.mp4", "")

	// One that moves takes its files along, and is watched under its new name.
	for i := range 5 {
		was, is := fmt.Sprintf("moved%d", i), fmt.Sprintf("moved%d", i+1)
		if i == 0 {
			was = "new"
		}
		must(t, os.Rename(filepath.Join(at, was), filepath.Join(at, is)))
		w.until(is+"/deep/x.mp4", was+"/deep/x.mp4")
		write(t, filepath.Join(at, is, "deep", fmt.Sprint(i)), "z")
		w.until(fmt.Sprintf("%s/deep/%d", is, i), "")
		write(t, filepath.Join(at, is, fmt.Sprint(i)), "z")
		w.until(fmt.Sprintf("%s/%d", is, i), "")
	}

	// A flood asks for a scan.
	many := filepath.Join(t.TempDir(), "many")
	for i := range 1500 {
		write(t, filepath.Join(many, fmt.Sprint(i)), "")
	}
	must(t, os.Rename(many, filepath.Join(at, "many")))
	w.until("", "")

	// What a link leads to is not watched.
	outside := t.TempDir()
	must(t, os.Symlink(outside, filepath.Join(at, "link")))
	w.until("link", "")
	write(t, filepath.Join(outside, "secret"), "x")
	write(t, filepath.Join(at, "last.mp4"), "x")
	for {
		n := <-w.news
		if n[0] == "link/secret" {
			t.Fatal("a link was followed")
		}
		if n[0] == "last.mp4" {
			break
		}
	}
	must(t, os.RemoveAll(at))
	select {
	case err := <-w.end:
		w.end <- err
		gatewaytest.Want(t, err, gateway.Unavailable, "directory_missing")
	case <-time.After(bound):
		t.Fatal("the directory is gone and still watched")
	}
}
