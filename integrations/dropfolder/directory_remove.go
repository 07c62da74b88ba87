package dropfolder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"isthmus/gateway"
)

// trash begins the names under which files are put aside before they are deleted.
const trash = ".isthmus-removing-"

// ours tells names that are never taken: what is being removed, by us or by a network disk (a file that was deleted
// while it was open).
func ours(name string) bool {
	return strings.HasPrefix(name, trash) || strings.HasPrefix(name, ".nfs0")
}

// Remove implements gateway.DropSource. Between looking at a file and deleting it somebody may put another in its
// place. So it is put aside first, looked at again, and put back when it is not the one. What a crash leaves aside is
// found by the next try: the name follows from file and identity.
func (d *directory) Remove(_ context.Context, name, id string) error {
	err := d.within(name, func(dir int, base string) error {
		aside := asideName(base, id)
		if done, err := discard(dir, aside, id); err != nil {
			return err
		} else if !done { // a crash came before it could be put back
			if err := ignore(putBack(dir, aside, base), fs.ErrNotExist); err != nil {
				return err
			}
		}
		st, err := statAt(dir, base)
		switch {
		case err != nil:
			return err
		case !regular(st) || identity(st) != id:
			return changed()
		}
		if err := unix.Renameat(dir, base, dir, aside); err != nil {
			return err
		}
		if done, err := discard(dir, aside, id); done || err != nil {
			return err
		}
		return errors.Join(changed(), putBack(dir, aside, base))
	})
	switch {
	case gateway.CodeOf(err) == gateway.NotFound:
		return nil
	case gateway.IsReason(err, "file_forbidden"), gateway.IsReason(err, "file_read_only"):
		return gateway.E(gateway.Forbidden, "file_undeletable", "The server may not delete files in the directory.").
			Next("Give the server's user the right to write to it, or delete the file by hand.").Because(err)
	}
	return err
}

func asideName(base, id string) string {
	sum := sha256.Sum256([]byte(base + "\x00" + id))
	return trash + hex.EncodeToString(sum[:12])
}

// discard deletes what was put aside if it is the file; false when it is not, or not there.
func discard(dir int, aside, id string) (bool, error) {
	st, err := statAt(dir, aside)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !regular(st) || !gateway.SameDropContent(identity(st), id) {
		return false, err
	}
	if err := unix.Unlinkat(dir, aside, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, ignore(unix.Fsync(dir), unix.EINVAL) // some network disks cannot
}

// putBack gives a file its name again, or one beside it when the name is taken by now: nothing is overwritten.
func putBack(dir int, aside, base string) error {
	err := unix.Renameat2(dir, aside, dir, base, unix.RENAME_NOREPLACE)
	if errors.Is(err, fs.ErrExist) {
		err = unix.Renameat2(dir, aside, dir, "kept-"+strings.TrimPrefix(aside, trash)[:8]+"-"+base, unix.RENAME_NOREPLACE)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // a disk that knows no such rename
		if err = unix.Linkat(dir, aside, dir, base, 0); err == nil {
			err = unix.Unlinkat(dir, aside, 0)
		}
	}
	return err
}

func ignore(err error, which ...error) error {
	for _, w := range which {
		if errors.Is(err, w) {
			return nil
		}
	}
	return err
}

func changed() error {
	return gateway.E(gateway.Conflict, "file_changed", "Another file has its name by now.").
		Next("It is looked at anew; nothing was deleted.")
}
