package dropfolder

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"

	"isthmus/gateway"
)

// vanished tells that a name is not what it was a moment ago.
func vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

func missing(err error) error {
	return gateway.E(gateway.NotFound, "file_missing", "The file is not there.").
		Next("Put it there again, or let the folder forget it.").Because(err)
}

// away says why the folder itself cannot be looked at: always Unavailable, because it says nothing of the files.
func (d *directory) away(err error) error {
	var known *gateway.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	where := "The directory " + d.shown
	if d.shown == "." {
		where = "The hub's drop directory"
	}
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return gateway.E(gateway.Unavailable, "directory_not_real", where+" or one above it is a link or a file.").
			Next("Links are not followed: put a real directory there, or mount the other one there.").Because(err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESTALE), errors.Is(err, unix.ENODEV):
		return gateway.E(gateway.Unavailable, "directory_missing", where+" is not there.").
			Next("Make it again on the server, or mount its disk. Files that were in it are not forgotten meanwhile.").Because(err)
	case errors.Is(err, fs.ErrPermission):
		return gateway.E(gateway.Unavailable, "directory_forbidden", where+" may not be read.").
			Next("Give the server's user the right to list and read it.").Because(err)
	}
	return gateway.E(gateway.Unavailable, "directory_broken", where+" cannot be read.").
		Next("Look at the server's disk; it is tried again by itself.").Because(err)
}

// fileError says why one file could not be had.
func fileError(err error) error {
	var known *gateway.Error
	switch {
	case err == nil, err == io.EOF, errors.As(err, &known):
		return err
	case vanished(err), errors.Is(err, errIrregular), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENAMETOOLONG):
		return missing(err)
	case errors.Is(err, fs.ErrPermission):
		return gateway.E(gateway.Forbidden, "file_forbidden", "The file may not be read.").
			Next("Give the server's user the right to read it; then try again.").Because(err)
	case errors.Is(err, unix.EROFS):
		return gateway.E(gateway.Forbidden, "file_read_only", "The file lies on a disk that is read-only.").
			Next("Let the server write to the directory, or delete the file by hand.").Because(err)
	case errors.Is(err, unix.ETXTBSY), errors.Is(err, unix.EBUSY), errors.Is(err, unix.EAGAIN):
		return gateway.E(gateway.Unavailable, "file_busy", "Somebody else holds the file.").
			Next("It is tried again by itself.").Because(err)
	}
	return gateway.E(gateway.Unavailable, "file_broken", "The file cannot be read.").
		Next("Look at the server's disk; it is tried again by itself.").Because(err)
}
