package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isthmus/gateway"
)

// Blobs keeps finished files in a folder. It implements gateway.Blobs.
type Blobs struct {
	disk    *Disk
	staging *Staging
}

var _ gateway.Blobs = (*Blobs)(nil)

// NewBlobs opens the finished files of a data folder; staging must be on the same one.
func NewBlobs(d *Disk, staging *Staging) *Blobs { return &Blobs{disk: d, staging: staging} }

func blobPath(key string) (string, error) {
	if err := checkName("key", key); err != nil {
		return "", err
	}
	return blobsDir + "/" + key, nil
}

// Adopt publishes a complete staged file under key, by a rename.
func (b *Blobs) Adopt(ctx context.Context, stagedID, key string) error {
	to, err := blobPath(key)
	if err != nil {
		return err
	}
	if _, err := b.disk.root.Stat(to); err == nil {
		return b.staging.Remove(ctx, stagedID)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return ioError(err)
	}
	return b.staging.hand(stagedID, func(data string) error { return b.disk.publish(data, to) })
}

// hand gives the path of a complete file to take, which publishes it elsewhere, then forgets the id.
func (s *Staging) hand(id string, take func(data string) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.load(id)
	if err != nil {
		return err
	}
	size, complete := f.complete()
	if !complete || f.refs > 0 {
		return gateway.E(gateway.Conflict, "incomplete", "Not all of the file has arrived, or it is being written.").
			Next("Send what is missing, then finish again.")
	}
	if f.size < 0 { // bytes beyond were written before a crash and never acknowledged
		if err := s.cut(f, size); err != nil {
			return ioError(err)
		}
	}
	if err := take(f.dir + "/data"); err != nil {
		return ioError(err)
	}
	delete(s.files, id)
	return ioError(s.remove(id))
}

func (s *Staging) cut(f *staged, size int64) error {
	file, err := s.disk.root.OpenFile(f.dir+"/data", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(size), file.Close())
}

// Open reads a range. The reader can also seek within it.
func (b *Blobs) Open(_ context.Context, key string, rng gateway.Range) (io.ReadCloser, gateway.BlobInfo, error) {
	name, err := blobPath(key)
	if err != nil {
		return nil, gateway.BlobInfo{}, noSuchBlob(err)
	}
	f, err := b.disk.root.Open(name)
	if err != nil {
		return nil, gateway.BlobInfo{}, noSuchBlob(err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, gateway.BlobInfo{}, errors.Join(noSuchBlob(err), f.Close())
	}
	info := gateway.BlobInfo{Size: st.Size(), ModTime: st.ModTime()}
	if rng.End < 0 || rng.End > info.Size {
		rng.End = info.Size
	}
	if rng.Start < 0 || rng.Start > rng.End {
		return nil, info, errors.Join(gateway.E(gateway.Invalid, "bad_range", "That range lies outside of the file.").
			Next("Ask for bytes below %d.", info.Size), f.Close())
	}
	return blobReader{io.NewSectionReader(f, rng.Start, rng.End-rng.Start), f}, info, nil
}

type blobReader struct {
	*io.SectionReader
	f *os.File
}

func (r blobReader) Close() error { return r.f.Close() }

// Stat tells size and time.
func (b *Blobs) Stat(_ context.Context, key string) (gateway.BlobInfo, error) {
	name, err := blobPath(key)
	if err != nil {
		return gateway.BlobInfo{}, noSuchBlob(err)
	}
	st, err := b.disk.root.Stat(name)
	if err == nil && !st.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return gateway.BlobInfo{}, noSuchBlob(err)
	}
	return gateway.BlobInfo{Size: st.Size(), ModTime: st.ModTime()}, nil
}

// Folders names the folders directly below a prefix to which nothing was added since a time.
func (b *Blobs) Folders(ctx context.Context, prefix string, before time.Time) ([]string, error) {
	name, err := blobPath(strings.TrimSuffix(prefix, "/"))
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(b.disk.root.FS(), name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, ioError(err)
	}
	var names []string
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		st, err := e.Info()
		if err == nil && st.IsDir() && st.ModTime().Before(before) { // an error: it went away meanwhile
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// noSuchBlob turns "not there" (and a key that cannot exist) into NotFound.
func noSuchBlob(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || gateway.IsReason(err, "bad_key") {
		return gateway.E(gateway.NotFound, "no_such_file", "There is no such file.").Next("It may have been deleted or replaced.").Because(err)
	}
	return ioError(err)
}

// Remove deletes a key or, with a trailing slash, everything below it. Harmless when unknown.
func (b *Blobs) Remove(_ context.Context, key string) error {
	name, err := blobPath(strings.TrimSuffix(key, "/"))
	if err != nil {
		return err
	}
	st, err := b.disk.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return nil
	case err != nil:
		return ioError(err)
	case st.IsDir() != strings.HasSuffix(key, "/"):
		return nil
	}
	return ioError(b.disk.removeAll(name))
}

// removeAll takes a file or folder out of sight by one rename, then deletes it.
func (d *Disk) removeAll(name string) error {
	grave := fmt.Sprintf("%s/%s", workDir, gateway.NewID("gone"))
	if err := d.root.Rename(name, grave); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return d.root.RemoveAll(grave)
}
