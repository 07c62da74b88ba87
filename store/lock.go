package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isthmus/gateway"
)

// lockFile takes a folder or a database for this process by a lock on a file that stands for it.
// The kernel lets go of the lock when the process ends, however it ends, so there is never a stale
// one to clear away.
func lockFile(path, what string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, gateway.E(gateway.Precondition, "data_folder", "The data folder cannot be used.").
			Next("Choose a folder that this user may write to.").Because(err)
	}
	if err := flock(f); err != nil {
		defer func() { _ = f.Close() }()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, gateway.E(gateway.Precondition, "data_folder", "The data folder cannot be locked.").
				Next("Use a local file system.").Because(err)
		}
		who := "Another process"
		if pid := holder(f); pid != 0 {
			who = fmt.Sprint("Process ", pid)
		}
		return nil, gateway.E(gateway.Conflict, "data_folder_in_use", fmt.Sprintf("%s is already running on %s.", who, what)).
			Next("Stop it first, or name another folder with --data.")
	}
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		return nil, errors.Join(fmt.Errorf("store: lock file: %w", err), f.Close())
	}
	return f, nil
}

// flock takes the lock. A process that was killed while it started a child leaves it for a moment to
// that child, which has every file of its parent until it becomes another program: so a lock of a
// dead process is waited for.
func flock(f *os.File) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			return err
		}
		if pid := holder(f); pid == 0 || !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return err
		}
	}
}

// holder gives the id of the process that wrote itself into a lock file, 0 when none did.
func holder(f *os.File) int {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 20))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

func writePID(f *os.File) error {
	_, err := fmt.Fprintf(f, "%d\n", os.Getpid())
	return err
}
