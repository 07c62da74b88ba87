package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

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
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, gateway.E(gateway.Precondition, "data_folder", "The data folder cannot be locked.").
				Next("Use a local file system.").Because(err)
		}
		who := "Another process"
		if pid, err := io.ReadAll(io.LimitReader(f, 20)); err == nil && len(pid) > 0 {
			who = "Process " + strings.TrimSpace(string(pid))
		}
		return nil, gateway.E(gateway.Conflict, "data_folder_in_use", fmt.Sprintf("%s is already running on %s.", who, what)).
			Next("Stop it first, or name another folder with --data.")
	}
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		return nil, errors.Join(fmt.Errorf("store: lock file: %w", err), f.Close())
	}
	return f, nil
}

func writePID(f *os.File) error {
	_, err := fmt.Fprintf(f, "%d\n", os.Getpid())
	return err
}
