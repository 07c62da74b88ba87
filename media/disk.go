package media

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"isthmus/gateway"
)

// The folders below the data folder.
const (
	stagingDir = "staging"
	blobsDir   = "blobs"
	workDir    = "work"
)

// DefaultLowWater is how many bytes stay free on the disk: below it nothing new is taken in, so that
// the database and the logs can go on.
const DefaultLowWater = 512 << 20

// Disk is the data folder. All access goes through os.Root, so that no name, however it came
// about, leads out of it. One filesystem: publishing is a rename.
type Disk struct {
	root     *os.Root
	lowWater int64
}

// OpenDisk opens or makes the data folder with its sub-folders. lowWater < 0 means none, 0 the default.
func OpenDisk(dir string, lowWater int64) (*Disk, error) {
	if lowWater == 0 {
		lowWater = DefaultLowWater
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	d := &Disk{root: root, lowWater: max(lowWater, 0)}
	for _, sub := range []string{stagingDir, blobsDir, workDir} {
		if err := d.mkdirAll(sub); err != nil {
			return nil, errors.Join(fmt.Errorf("data folder: %w", err), root.Close())
		}
	}
	// The sandbox's user enters its work folder by descriptor, and needs the right to search for that.
	if err := root.Chmod(workDir, 0o711); err != nil {
		return nil, errors.Join(fmt.Errorf("data folder: %w", err), root.Close())
	}
	return d, nil
}

// Close lets go of the folder.
func (d *Disk) Close() error { return d.root.Close() }

// mkdirAll makes a folder and its parents, each durable.
func (d *Disk) mkdirAll(dir string) error {
	if dir == "." {
		return nil
	}
	if _, err := d.root.Stat(dir); err == nil {
		return nil
	}
	if err := d.mkdirAll(path.Dir(dir)); err != nil {
		return err
	}
	if err := d.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.syncPath(path.Dir(dir))
}

func (d *Disk) syncPath(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// publish makes what lies at from appear at to, whole and durable or not at all: fsync, rename,
// fsync of the folder. This is the only way a file or folder gets its final name. A folder must
// hold nothing but plain files: what ffmpeg wrote is not trusted to be free of links.
func (d *Disk) publish(from, to string) error {
	info, err := d.root.Lstat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if err := d.syncTree(from); err != nil {
			return err
		}
	} else if err := d.syncPath(from); err != nil {
		return err
	}
	if err := d.mkdirAll(path.Dir(to)); err != nil {
		return err
	}
	if err := d.root.Rename(from, to); err != nil {
		return err
	}
	return d.syncPath(path.Dir(to))
}

// syncTree makes every file below dir durable, eight at a time: a long video has thousands of
// segments, and parallel fsyncs share the journal's commits.
func (d *Disk) syncTree(dir string) error {
	var g errgroup.Group
	g.SetLimit(8)
	var dirs []string
	err := fs.WalkDir(d.root.FS(), dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			dirs = append(dirs, name)
			return nil
		case !e.Type().IsRegular():
			return fmt.Errorf("%s is not a plain file", name)
		}
		g.Go(func() error { return d.syncPath(name) })
		return nil
	})
	if err = errors.Join(err, g.Wait()); err != nil {
		return err
	}
	for _, name := range dirs {
		if err := d.syncPath(name); err != nil {
			return err
		}
	}
	return nil
}

// writeFile publishes a small file.
func (d *Disk) writeFile(name string, data []byte) error {
	tmp := name + ".new"
	f, err := d.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return d.publish(tmp, name)
}

// Free tells how many bytes may still be written, the low-water mark taken off. Never negative.
func (d *Disk) Free() (int64, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, err
	}
	return max(int64(st.Bavail)*st.Bsize-d.lowWater, 0), nil
}

// room refuses when fewer than n bytes may be written.
func (d *Disk) room(n int64) error {
	free, err := d.Free()
	if err != nil {
		return err
	}
	if free < max(n, 1) {
		return diskFull(nil)
	}
	return nil
}

func diskFull(cause error) error {
	return gateway.E(gateway.Unavailable, "disk_full", "There is no room left to store this right now.").
		Next("What has arrived is safe. Try again later, or ask the operator to free disk space.").
		After(time.Minute).Because(cause)
}

// ioError turns an error of the filesystem into one of ours; nil stays nil.
func ioError(err error) error {
	var known *gateway.Error
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return diskFull(err)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return gateway.E(gateway.Unavailable, "too_many_open_files", "The server has too many files open.").
			Next("Try again in a moment.").After(5 * time.Second).Because(err)
	case errors.Is(err, unix.EIO):
		return gateway.E(gateway.Unavailable, "storage_failed", "The disk reported an error; nothing was acknowledged that is not safe.").
			Next("Try again; if it happens again, tell the operator.").After(time.Minute).Because(err)
	}
	return err
}

// checkName allows what our own ids and keys are made of, and nothing that means something to a
// filesystem, a shell or a URL.
func checkName(kind, name string) error {
	bad := gateway.E(gateway.Invalid, "bad_"+kind, "That is not a valid "+kind+".").Next("Use the one you were given.")
	if name == "" || len(name) > 512 {
		return bad
	}
	for _, seg := range strings.Split(name, "/") {
		if seg == "" || len(seg) > 128 || seg[0] == '.' || seg[0] == '-' {
			return bad
		}
		for _, c := range []byte(seg) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._-", rune(c)) {
				return bad
			}
		}
	}
	return nil
}

func checkID(id string) error {
	if strings.Contains(id, "/") {
		return checkName("id", "")
	}
	return checkName("id", id)
}
