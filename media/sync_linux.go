package media

import (
	"os"

	"golang.org/x/sys/unix"
)

// fdatasync makes a file's bytes durable; its size was set when it was made, or is synced with them.
func fdatasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
