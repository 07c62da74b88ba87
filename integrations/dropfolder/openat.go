package dropfolder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isthmus/gateway"
)

// step opens directories, never through a link.
const step = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// errIrregular is a name that is there, but no regular file.
var errIrregular = errors.New("not a regular file")

// openRoot opens what the operator named. It may be a link: the operator's word counts.
func openRoot(root string) (int, error) {
	return retry(func() (int, error) { return unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
}

// openBelow opens a directory below another step by step. The caller closes it, and keeps at.
func openBelow(at int, below string) (int, error) {
	fd, err := retry(func() (int, error) { return unix.Openat(at, ".", step, 0) })
	if err != nil || below == "." {
		return fd, err
	}
	for name := range strings.SplitSeq(below, "/") {
		next, err := retry(func() (int, error) { return unix.Openat(fd, name, step, 0) })
		_ = unix.Close(fd)
		if err != nil {
			return -1, err
		}
		fd = next
	}
	return fd, nil
}

// statAt looks at a name itself, not at where it may lead.
func statAt(dir int, name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	_, err := retry(func() (int, error) { return 0, unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

// openFile opens a regular file for reading. What it is is asked of a handle that opens nothing yet, because
// opening a device may do something and opening a pipe may wait for ever.
func openFile(dir int, name string) (*os.File, unix.Stat_t, error) {
	var st unix.Stat_t
	handle, err := retry(func() (int, error) { return unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, st, err
	}
	defer func() { _ = unix.Close(handle) }() // it holds nothing
	if err := unix.Fstat(handle, &st); err != nil {
		return nil, st, err
	}
	if !regular(st) {
		return nil, st, errIrregular
	}
	fd, err := retry(func() (int, error) {
		return unix.Open("/proc/self/fd/"+strconv.Itoa(handle), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	})
	if errors.Is(err, fs.ErrNotExist) { // no /proc: by its name once more
		fd, err = retry(func() (int, error) {
			return unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		})
	}
	if err != nil {
		return nil, st, err
	}
	var opened unix.Stat_t
	if err := unix.Fstat(fd, &opened); err != nil || opened.Dev != st.Dev || opened.Ino != st.Ino {
		_ = unix.Close(fd)
		return nil, st, errors.Join(errIrregular, err)
	}
	return os.NewFile(uintptr(fd), name), opened, nil
}

// retry repeats what a signal broke off.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func regular(st unix.Stat_t) bool  { return st.Mode&unix.S_IFMT == unix.S_IFREG }
func isFolder(st unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// identity is inode, size, time of the content and time of the inode, as gateway.SameDropFile and SameDropContent
// read it. The device is left out: a network disk has another each time it is mounted.
func identity(st unix.Stat_t) string {
	return fmt.Sprintf("%x/%x/%x.%x/%x.%x", st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
}

func entry(name string, st unix.Stat_t) gateway.DropEntry {
	return gateway.DropEntry{
		Name: name, Size: st.Size, Identity: identity(st),
		ModifiedAt: time.Unix(st.Mtim.Unix()).UTC().Truncate(time.Microsecond),
	}
}

// moved tells whether a file's inode changed after its last write and its directory with it, as a rename does. Nothing
// is said of a file with several names, of one whose time was set (to before it was made: so do senders that keep
// times, also of what they sent in part), and on disks that do not know when it was made.
func moved(dir int, name string, st unix.Stat_t) bool {
	if st.Nlink != 1 || st.Ctim.Nano() <= st.Mtim.Nano() {
		return false
	}
	var d unix.Stat_t
	if unix.Fstat(dir, &d) != nil || d.Mtim.Nano()+int64(20*time.Millisecond) < st.Ctim.Nano() {
		return false
	}
	var x unix.Statx_t
	err := unix.Statx(dir, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME|unix.STATX_INO, &x)
	return err == nil && x.Mask&unix.STATX_BTIME != 0 && x.Ino == st.Ino && x.Btime.Sec*1e9+int64(x.Btime.Nsec) <= st.Mtim.Nano()
}
