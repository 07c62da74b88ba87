package store_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"isthmus/store"
)

// A process killed while it starts a child leaves its lock to that child for a moment. Whoever starts
// it again must not be told that it still runs.
func TestLockOfADeadProcessIsWaitedFor(t *testing.T) {
	gone := exec.Command("true")
	must(t, gone.Run())
	dir := t.TempDir()
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	_, err = fmt.Fprintln(f, gone.Process.Pid)
	must(t, err)
	child := exec.Command("sleep", "1")
	child.ExtraFiles = []*os.File{f}
	must(t, child.Start())
	must(t, f.Close())
	db, err := store.Open(t.Context(), store.Options{DataDir: dir})
	must(t, err)
	must(t, db.Close())
	must(t, child.Wait())
}
