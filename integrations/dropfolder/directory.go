package dropfolder

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"isthmus/gateway"
)

const (
	maxDepth = 32        // directories below one another; each is an open file while it is read
	maxFiles = 1_000_000 // of one scan
	batch    = 1024      // names read at once
)

// directory is a folder's place on this server's disks. It holds nothing open: a disk that was mounted anew is
// found by the next call.
type directory struct {
	root  string // the operator's
	below string // the hub's directory in it and the folder's in that
	shown string // for people
	log   *slog.Logger
}

// open gives the folder's directory or says why it is not there.
func (d *directory) open() (int, error) {
	root, err := openRoot(d.root)
	if err != nil {
		return -1, d.away(err)
	}
	defer func() { _ = unix.Close(root) }()
	fd, err := openBelow(root, d.below)
	return fd, d.away(err)
}

func (d *directory) there() error {
	fd, err := d.open()
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// make makes the hub's directory and those below it.
func (d *directory) make() error {
	if err := os.MkdirAll(d.root, 0o770); err != nil {
		return d.away(err)
	}
	at, err := openRoot(d.root)
	for name := range strings.SplitSeq(d.below, "/") {
		if err != nil {
			break
		}
		if err = unix.Mkdirat(at, name, 0o770); err == nil || errors.Is(err, fs.ErrExist) {
			var next int
			next, err = retry(func() (int, error) { return unix.Openat(at, name, step, 0) })
			_ = unix.Close(at)
			at = next
			continue
		}
		_ = unix.Close(at)
	}
	if err == nil {
		_ = unix.Close(at)
	}
	return d.away(err)
}

// Scan implements gateway.DropSource.
func (d *directory) Scan(ctx context.Context, each func(gateway.DropEntry) error) error {
	fd, err := d.open()
	if err != nil {
		return err
	}
	s := &scan{ctx: ctx, each: each}
	if err := s.folder(os.NewFile(uintptr(fd), "folder"), "", 0); err != nil {
		return d.away(err)
	}
	if s.shut != "" {
		return gateway.E(gateway.Unavailable, "directory_part_forbidden", "The directory "+s.shut+" below the folder may not be read.").
			Next("Give the server's user the right to read it. What is in it is neither taken nor forgotten meanwhile.").Because(s.why)
	}
	return nil
}

// scan is one walk.
type scan struct {
	ctx   context.Context
	each  func(gateway.DropEntry) error
	files int
	shut  string // a directory that could not be read
	why   error
}

// folder gives a directory's files, then those below; it closes dir.
func (s *scan) folder(dir *os.File, prefix string, depth int) error {
	defer func() { _ = dir.Close() }() // only read
	var folders []string
	for {
		names, err := dir.Readdirnames(batch)
		if err != nil && err != io.EOF {
			return err
		}
		if len(names) == 0 {
			break
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
		for _, name := range names {
			folder, err := s.name(int(dir.Fd()), prefix, name, depth)
			if err != nil {
				return err
			}
			if folder {
				folders = append(folders, name)
			}
		}
	}
	for _, name := range folders {
		fd, err := retry(func() (int, error) { return unix.Openat(int(dir.Fd()), name, step, 0) })
		switch {
		case err == nil:
			if err := s.folder(os.NewFile(uintptr(fd), name), prefix+name+"/", depth+1); err != nil {
				return err
			}
		case vanished(err): // gone or replaced since
		case errors.Is(err, fs.ErrPermission):
			s.shut, s.why = readable(prefix+name), err
		default:
			return err
		}
	}
	return nil
}

// name gives one file, or tells that the name is a directory to be walked.
func (s *scan) name(dir int, prefix, name string, depth int) (folder bool, _ error) {
	if ours(name) {
		return false, nil
	}
	st, err := statAt(dir, name)
	switch {
	case vanished(err):
		return false, nil
	case errors.Is(err, fs.ErrPermission): // a directory that may be listed, but not searched
		s.shut, s.why = readable(strings.TrimSuffix(prefix, "/")), err
		return false, nil
	case err != nil:
		return false, err
	case isFolder(st):
		if odd := oddName(prefix + name); odd != "" {
			return false, s.give(gateway.DropEntry{Name: readable(prefix + name), Odd: odd})
		}
		if depth+1 < maxDepth {
			return true, nil
		}
		return false, s.give(gateway.DropEntry{Name: readable(prefix + name), Odd: gateway.DropOddDeep})
	case !regular(st):
		return false, nil
	}
	e := entry(prefix+name, st)
	e.Moved = moved(dir, name, st)
	if e.Odd = oddName(e.Name); e.Odd != "" {
		e.Name = readable(e.Name)
	}
	return false, s.give(e)
}

func (s *scan) give(e gateway.DropEntry) error {
	if s.files++; s.files > maxFiles {
		return gateway.E(gateway.TooLarge, "directory_too_full", "There are more than a million files below the folder.").
			Next("Move some of them away, or make several folders.")
	}
	return s.each(e)
}

// Stat implements gateway.DropSource.
func (d *directory) Stat(_ context.Context, name string) (gateway.DropEntry, error) {
	var e gateway.DropEntry
	err := d.within(name, func(dir int, base string) error {
		st, err := statAt(dir, base)
		if err == nil && !regular(st) {
			err = errIrregular
		}
		e = entry(name, st)
		e.Moved = err == nil && moved(dir, base, st)
		return err
	})
	return e, err
}

// Open implements gateway.DropSource.
func (d *directory) Open(_ context.Context, name string) (gateway.DropReader, error) {
	var r *fileReader
	err := d.within(name, func(dir int, base string) error {
		f, st, err := openFile(dir, base)
		if err == nil {
			r = &fileReader{f, entry(name, st)}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// within has a file's directory open for do, and says what an error means.
func (d *directory) within(name string, do func(dir int, base string) error) error {
	if !fs.ValidPath(name) || name == "." || strings.Contains(name, "\x00") || ours(path.Base(name)) || oddName(name) != "" {
		return missing(nil)
	}
	fd, err := d.open()
	if err != nil {
		return err
	}
	dir, err := openBelow(fd, path.Dir(name))
	_ = unix.Close(fd)
	if err == nil {
		err = do(dir, path.Base(name))
		_ = unix.Close(dir)
	}
	return fileError(err)
}

// Close implements gateway.DropSource.
func (d *directory) Close() error { return nil }

// fileReader is an open regular file.
type fileReader struct {
	f *os.File
	e gateway.DropEntry
}

func (r *fileReader) Entry() gateway.DropEntry { return r.e }

func (r *fileReader) Read(p []byte) (int, error) {
	n, err := r.f.Read(p)
	return n, fileError(err)
}

func (r *fileReader) ReadAt(p []byte, at int64) (int, error) {
	n, err := r.f.ReadAt(p, at)
	return n, fileError(err)
}

func (r *fileReader) Close() error { return r.f.Close() }

// oddName says why a name is never taken.
func oddName(name string) string {
	switch {
	case !utf8.ValidString(name):
		return gateway.DropOddNotUTF8
	case len(name) > gateway.MaxDropName:
		return gateway.DropOddLong
	}
	return ""
}

// readable makes a name fit for people and databases: bytes that are no text as \xNN, the end cut off.
func readable(name string) string {
	var b strings.Builder
	for len(name) > 0 && b.Len() < gateway.MaxDropName-8 {
		r, n := utf8.DecodeRuneInString(name)
		if r == utf8.RuneError && n == 1 {
			const hex = "0123456789abcdef"
			b.WriteString(`\x` + string([]byte{hex[name[0]>>4], hex[name[0]&15]}))
		} else {
			b.WriteString(name[:n])
		}
		name = name[n:]
	}
	if name != "" {
		b.WriteString("…")
	}
	return b.String()
}
