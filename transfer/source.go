package transfer

import (
	"errors"
	"io"
	"io/fs"
	"sync"
)

// File is what a Sender reads an upload from; *os.File is one.
type File interface {
	io.ReaderAt
	io.Closer
	Stat() (fs.FileInfo, error)
}

// openFiles is how many files a source keeps open.
const openFiles = 32

// source reads the tape from the client's files. Safe for concurrent use.
type source struct {
	open func(Upload) (File, error)

	mu      sync.Mutex
	tape    tape
	uploads []Upload
	files   map[int]*openFile
	order   []int // opened first is closed first
}

type openFile struct {
	File
	users int
	drop  bool
}

func newSource(open func(Upload) (File, error)) *source {
	return &source{open: open, files: map[int]*openFile{}}
}

func (s *source) add(u Upload) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads = append(s.uploads, u)
	return s.tape.add(u.Size)
}

func (s *source) bounds(upload int) Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tape.bounds(upload)
}

// split cuts a range at the borders of uploads.
func (s *source) split(r Range, f func(upload int, offset int64, n int) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tape.split(r.Start, r.End, f)
}

// sourceError is a failure of one upload's file.
type sourceError struct {
	upload int
	err    error
}

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// read fills p from a position on. At a *sourceError n bytes before that upload's failing part are good.
func (s *source) read(p []byte, pos int64) (n int, err error) {
	for n < len(p) {
		s.mu.Lock()
		u := s.tape.upload(pos)
		b := s.tape.bounds(u)
		f, err := s.use(u)
		s.mu.Unlock()
		m := int(min(int64(len(p)-n), b.End-pos))
		if err == nil {
			var got int
			got, err = f.ReadAt(p[n:n+m], pos-b.Start)
			s.release(f)
			if got == m {
				err = nil
			} else if errors.Is(err, io.EOF) {
				err = fail(CodeChanged, "the file became shorter while it was sent")
			}
		}
		if err != nil {
			return n, &sourceError{u, err}
		}
		n += m
		pos += int64(m)
	}
	return n, nil
}

// use opens an upload's file; release must follow. Called with mu held.
func (s *source) use(upload int) (*openFile, error) {
	f := s.files[upload]
	if f == nil {
		u := s.uploads[upload]
		file, err := s.open(u)
		if err != nil {
			return nil, err
		}
		st, err := file.Stat()
		if err == nil && st.Size() != u.Size {
			err = fail(CodeChanged, "the file's size is not the announced one")
		}
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		f = &openFile{File: file}
		s.files[upload] = f
		s.order = append(s.order, upload)
		if len(s.order) > openFiles {
			s.closeFile(s.order[0])
			s.order = s.order[1:]
		}
	}
	f.users++
	return f, nil
}

func (s *source) closeFile(upload int) {
	f := s.files[upload]
	delete(s.files, upload)
	if f.drop = true; f.users == 0 {
		_ = f.Close() // was only read
	}
}

func (s *source) release(f *openFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.users--; f.users == 0 && f.drop {
		_ = f.Close()
	}
}

// check opens an upload's file to see whether it is what was announced.
func (s *source) check(upload int) error {
	s.mu.Lock()
	f, err := s.use(upload)
	s.mu.Unlock()
	if err == nil {
		s.release(f)
	}
	return err
}

func (s *source) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.order {
		s.closeFile(u)
	}
	s.order = nil
}
