package dropfolder_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/integrations/dropfolder"
)

// folder is a directory source and where it lies.
func folder(t *testing.T) (gateway.DropSource, string) {
	t.Helper()
	s := dropfolder.New(dropfolder.Options{Root: t.TempDir()})
	f := gateway.DropFolder{Row: gateway.Row{HubID: hub}, Source: gateway.DropDirectory, Path: "in"}
	if err := s.Make(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	return open(t, s, f, ""), s.Place(f)
}

func benchFolder(b *testing.B) (gateway.DropSource, string) {
	b.Helper()
	s := dropfolder.New(dropfolder.Options{Root: b.TempDir()})
	f := gateway.DropFolder{Row: gateway.Row{HubID: hub}, Source: gateway.DropDirectory, Path: "in"}
	if err := s.Make(b.Context(), f); err != nil {
		b.Fatal(err)
	}
	d, err := s.Open(b.Context(), f, "")
	if err != nil {
		b.Fatal(err)
	}
	return d, s.Place(f)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPathsThatLeaveTheHub(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := dropfolder.New(dropfolder.Options{Root: root})
	for _, p := range []string{"..", "../hub_2", "in/../../hub_2", "/etc", "in/..", `in\..\x`, "a\x00b", "\xff", strings.Repeat("x/", 600)} {
		f := gateway.DropFolder{Row: gateway.Row{HubID: hub}, Source: gateway.DropDirectory, Path: p}
		_, err := s.Open(t.Context(), f, "")
		gatewaytest.Want(t, err, gateway.Invalid, "directory_path")
		gatewaytest.Explained(t, err)
		gatewaytest.Want(t, s.Make(t.Context(), f), gateway.Invalid, "directory_path")
	}
	for _, id := range []string{"", ".", "..", "a/b"} {
		_, err := s.Open(t.Context(), gateway.DropFolder{Row: gateway.Row{HubID: id}, Source: gateway.DropDirectory, Path: "in"}, "")
		gatewaytest.Want(t, err, gateway.Internal, "hub_missing")
	}
	f := gateway.DropFolder{Row: gateway.Row{HubID: hub}, Source: gateway.DropDirectory, Path: "in"}
	_, err := s.Open(t.Context(), f, "")
	gatewaytest.Want(t, err, gateway.Unavailable, "directory_missing")
	if left, err := os.ReadDir(root); err != nil || len(left) != 0 {
		t.Error("only Make makes directories:", left, err)
	}
	_, err = dropfolder.New(dropfolder.Options{}).Open(t.Context(), f, "")
	gatewaytest.Want(t, err, gateway.Precondition, "directories_off")
	f.Path = "" // the hub's own
	must(t, s.Make(t.Context(), f))
	must(t, s.Make(t.Context(), f))
	open(t, s, f, "")
}

// TestOnlyRegularFilesOfTheFolder is a directory whose writer is hostile.
func TestOnlyRegularFilesOfTheFolder(t *testing.T) {
	t.Parallel()
	s, at := folder(t)
	outside := filepath.Join(t.TempDir(), "secret")
	write(t, outside, "secret")
	write(t, filepath.Join(at, "real", "a.mp4"), "a")
	must(t, os.Symlink(outside, filepath.Join(at, "link.mp4")))
	must(t, os.Symlink("/etc", filepath.Join(at, "etc")))
	must(t, os.Symlink("real", filepath.Join(at, "inside")))
	must(t, os.Symlink("real/a.mp4", filepath.Join(at, "inside.mp4")))
	must(t, os.Symlink("nowhere", filepath.Join(at, "dangling.mp4")))
	must(t, unix.Mkfifo(filepath.Join(at, "pipe.mp4"), 0o666))
	if l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); err == nil {
		defer func() { _ = unix.Close(l) }()
		_ = unix.Bind(l, &unix.SockaddrUnix{Name: filepath.Join(at, "s.mp4")}) // too long a path makes none
	}
	if os.Getuid() == 0 {
		must(t, unix.Mknod(filepath.Join(at, "device.mp4"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5)))) // /dev/zero
	}
	if got := names(list(t, s)); !slices.Equal(got, []string{"real/a.mp4"}) {
		t.Fatalf("%q", got)
	}
	for _, name := range []string{"link.mp4", "etc/passwd", "inside/a.mp4", "inside.mp4", "dangling.mp4", "pipe.mp4", "device.mp4", "s.mp4", "real"} {
		_, err := s.Stat(t.Context(), name)
		gatewaytest.Want(t, err, gateway.NotFound, "file_missing")
		_, err = s.Open(t.Context(), name)
		gatewaytest.Want(t, err, gateway.NotFound, "file_missing")
	}
	// A folder that is a link is none, however it got there.
	must(t, os.Rename(at, at+".old"))
	must(t, os.Symlink(at+".old", at))
	_, err := s.Stat(t.Context(), "real/a.mp4")
	gatewaytest.Want(t, err, gateway.Unavailable, "directory_not_real")
	gatewaytest.Explained(t, err)
}

// TestSwappedBetweenLookAndOpen: whatever is swapped when, nothing but files of the folder is read.
func TestSwappedBetweenLookAndOpen(t *testing.T) {
	t.Parallel()
	s, at := folder(t)
	outside := t.TempDir()
	write(t, filepath.Join(outside, "a.mp4"), "secret")
	write(t, filepath.Join(at, "sub", "a.mp4"), "inside")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { // swaps the directory, then the file
		for ctx.Err() == nil {
			_ = os.Rename(filepath.Join(at, "sub"), filepath.Join(at, "kept"))
			_ = os.Symlink(outside, filepath.Join(at, "sub"))
			_ = os.Remove(filepath.Join(at, "sub"))
			_ = os.Rename(filepath.Join(at, "kept"), filepath.Join(at, "sub"))
			_ = os.Rename(filepath.Join(at, "sub", "a.mp4"), filepath.Join(at, "sub", "b"))
			_ = os.Symlink(filepath.Join(outside, "a.mp4"), filepath.Join(at, "sub", "a.mp4"))
			_ = os.Remove(filepath.Join(at, "sub", "a.mp4"))
			_ = unix.Mkfifo(filepath.Join(at, "sub", "a.mp4"), 0o666)
			_ = os.Remove(filepath.Join(at, "sub", "a.mp4"))
			_ = os.Rename(filepath.Join(at, "sub", "b"), filepath.Join(at, "sub", "a.mp4"))
		}
	})
	read := 0
	for i := 0; read < 200 && i < 1_000_000; i++ {
		r, err := s.Open(t.Context(), "sub/a.mp4")
		if err != nil {
			gatewaytest.Want(t, err, gateway.NotFound, "file_missing")
			continue
		}
		read++
		if b, err := io.ReadAll(r); err != nil || string(b) != "inside" {
			t.Errorf("%q %v", b, err)
		}
		_ = r.Close()
		for name := range list(t, s) {
			if strings.Count(name, "/") > 1 {
				t.Errorf("%q", name)
			}
		}
	}
	stop()
	wg.Wait()
	if read == 0 {
		t.Error("never read the file")
	}
}

func TestNamesAreGivenAsTheyAre(t *testing.T) {
	t.Parallel()
	s, at := folder(t)
	composed, decomposed := "\u00fc.mp4", "u\u0308.mp4"
	for _, name := range []string{composed, decomposed, "A.mp4", "a.mp4", " lead and trail ", "new\nline", "-rf", "..."} {
		write(t, filepath.Join(at, name), name)
	}
	write(t, filepath.Join(at, "bad\xff.mp4"), "x")
	deep := at
	for range 33 {
		deep = filepath.Join(deep, "d")
	}
	write(t, filepath.Join(deep, "x.mp4"), "x")
	long := filepath.Join(at, strings.Repeat("l", 200), strings.Repeat("m", 200), strings.Repeat("n", 200), strings.Repeat("o", 200))
	write(t, filepath.Join(long, strings.Repeat("ü", 100)+".mp4"), "x")
	write(t, filepath.Join(long, "ok.mp4"), "x")

	all := list(t, s)
	odd := map[string]string{}
	for name, e := range all {
		if e.Odd != "" {
			odd[e.Odd] += name
			delete(all, name)
			if _, err := s.Stat(t.Context(), name); gateway.CodeOf(err) != gateway.NotFound {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	if odd[gateway.DropOddNotUTF8] != `bad\xff.mp4` || odd[gateway.DropOddDeep] != strings.TrimSuffix(strings.Repeat("d/", 32), "/") || len(odd[gateway.DropOddLong]) > gateway.MaxDropName || len(odd) != 3 {
		t.Errorf("%q", odd)
	}
	for _, name := range []string{composed, decomposed, "A.mp4", "a.mp4", " lead and trail ", "new\nline", "-rf", "..."} {
		r, err := s.Open(t.Context(), name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if b, err := io.ReadAll(r); string(b) != name || err != nil || all[name].Name != name {
			t.Errorf("%q is read as %q: %v", name, b, err)
		}
		_ = r.Close()
	}
	if len(all) != 9 {
		t.Errorf("%q", names(all))
	}
}

// TestWhatMayNotBeRead needs a user who is refused something.
func TestWhatMayNotBeRead(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t)
		return
	}
	s, at := folder(t)
	write(t, filepath.Join(at, "a.mp4"), "a")
	write(t, filepath.Join(at, "shut.mp4"), "b")
	write(t, filepath.Join(at, "sub", "c.mp4"), "c")
	must(t, os.Chmod(filepath.Join(at, "shut.mp4"), 0))
	_, err := s.Open(t.Context(), "shut.mp4")
	gatewaytest.Want(t, err, gateway.Forbidden, "file_forbidden")
	gatewaytest.Explained(t, err)
	for _, mode := range []os.FileMode{0, 0o444} { // not listed; listed, but not searched
		must(t, os.Chmod(filepath.Join(at, "sub"), mode))
		var seen []string
		err = s.Scan(t.Context(), func(e gateway.DropEntry) error { seen = append(seen, e.Name); return nil })
		gatewaytest.Want(t, err, gateway.Unavailable, "directory_part_forbidden")
		if slices.Sort(seen); !slices.Equal(seen, []string{"a.mp4", "shut.mp4"}) {
			t.Errorf("%q", seen)
		}
	}
	must(t, os.Chmod(filepath.Join(at, "sub"), 0o700))
	e, err := s.Stat(t.Context(), "a.mp4")
	must(t, err)
	must(t, os.Chmod(at, 0o500))
	err = s.Remove(t.Context(), "a.mp4", e.Identity)
	gatewaytest.Want(t, err, gateway.Forbidden, "file_undeletable")
	gatewaytest.Explained(t, err)
	must(t, os.Chmod(at, 0))
	gatewaytest.Want(t, s.Scan(t.Context(), func(gateway.DropEntry) error { return nil }), gateway.Unavailable, "directory_forbidden")
	must(t, os.Chmod(at, 0o700))
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	s, at := folder(t)
	is := func(name string) string {
		t.Helper()
		e, err := s.Stat(t.Context(), name)
		must(t, err)
		return e.Identity
	}
	write(t, filepath.Join(at, "a.part"), "a")
	part := is("a.part")
	must(t, os.Rename(filepath.Join(at, "a.part"), filepath.Join(at, "a.mp4")))
	whole := is("a.mp4")
	if !gateway.SameDropFile(part, whole) || !gateway.SameDropContent(part, whole) {
		t.Error("a rename:", part, whole)
	}
	must(t, os.Chmod(filepath.Join(at, "a.mp4"), 0o600))
	if now := is("a.mp4"); now == whole || !gateway.SameDropContent(now, whole) {
		t.Error("another mode:", now, whole)
	}
	f, err := os.OpenFile(filepath.Join(at, "a.mp4"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.WriteString("b")
	must(t, errors.Join(err, f.Close()))
	if now := is("a.mp4"); !gateway.SameDropFile(now, whole) || gateway.SameDropContent(now, whole) {
		t.Error("more content:", now, whole)
	}
	write(t, filepath.Join(at, "b.mp4"), "ab")
	if gateway.SameDropFile(is("a.mp4"), is("b.mp4")) || gateway.SameDropFile("", "") || gateway.SameDropFile("etag", "etag") {
		t.Error("two files are one")
	}
}

// TestRemovalRaces: a writer replaces the file all the time; what it wrote last is never deleted for what was there before.
func TestRemovalRaces(t *testing.T) {
	t.Parallel()
	s, at := folder(t)
	target := filepath.Join(at, "a.mp4")
	var last []byte
	for i := range 300 {
		write(t, target, "old")
		e, err := s.Stat(t.Context(), "a.mp4")
		must(t, err)
		last = []byte{byte(i), byte(i >> 8), 'n', 'e', 'w'}
		write(t, filepath.Join(at, "next"), string(last))
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Remove(context.WithoutCancel(t.Context()), "a.mp4", e.Identity); err != nil && gateway.CodeOf(err) != gateway.Conflict {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := os.Rename(filepath.Join(at, "next"), target); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if b, err := os.ReadFile(target); err != nil || string(b) != string(last) {
			t.Fatalf("round %d: %q %v", i, b, err)
		}
	}
	if left, err := os.ReadDir(at); err != nil || len(left) != 1 {
		t.Error(left, err)
	}
}

// TestRemovalThatACrashBrokeOff finishes what was put aside.
func TestRemovalThatACrashBrokeOff(t *testing.T) {
	t.Parallel()
	s, at := folder(t)
	write(t, filepath.Join(at, "a.mp4"), "a")
	e, err := s.Stat(t.Context(), "a.mp4")
	must(t, err)
	aside := filepath.Join(at, dropfolder.Aside("a.mp4", e.Identity))

	must(t, os.Rename(filepath.Join(at, "a.mp4"), aside))
	if got := list(t, s); len(got) != 0 {
		t.Error("what is being removed is taken:", got)
	}
	must(t, s.Remove(t.Context(), "a.mp4", e.Identity))
	if left, err := os.ReadDir(at); err != nil || len(left) != 0 {
		t.Error(left, err)
	}

	write(t, aside, "of somebody who was quicker")
	err = s.Remove(t.Context(), "a.mp4", e.Identity)
	gatewaytest.Want(t, err, gateway.Conflict, "file_changed")
	if b, err := os.ReadFile(filepath.Join(at, "a.mp4")); err != nil || string(b) != "of somebody who was quicker" {
		t.Errorf("%q %v", b, err)
	}

	write(t, aside, "one") // and a third came meanwhile
	err = s.Remove(t.Context(), "a.mp4", e.Identity)
	gatewaytest.Want(t, err, gateway.Conflict, "file_changed")
	if got := names(list(t, s)); len(got) != 2 || got[0] != "a.mp4" || !strings.HasPrefix(got[1], "kept-") {
		t.Errorf("%q", got)
	}
}
