package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"time"

	"isthmus/transfer"
)

// spool keeps what comes through a pipe, because what is lost on the way is read again. When its size is
// known, sending goes on beside it: a read waits for its bytes.
type spool struct {
	file *os.File
	size int64

	mu   sync.Mutex
	more *sync.Cond
	have int64
	end  error // why no more comes
}

var errPipeSize = &transfer.Error{Code: transfer.CodeChanged, Text: "the pipe did not carry as many bytes as --size says"}

// errPipeStopped says nothing of the upload: who stopped knows why.
var errPipeStopped = &transfer.Error{Code: transfer.CodeRetry, Text: "stopped"}

// newSpool begins to take in. size 0: all is taken in before it returns. Nobody waits for bytes any more when
// ctx has ended.
func newSpool(ctx context.Context, in io.Reader, size int64) (*spool, error) {
	f, err := os.CreateTemp("", "isthmusctl-*")
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" {
		_ = os.Remove(f.Name()) // it stays as long as it is open, and nothing is left behind whatever ends the program
	}
	s := &spool{file: f, size: size}
	s.more = sync.NewCond(&s.mu)
	if size > 0 {
		context.AfterFunc(ctx, s.stop)
		go s.take(in)
		return s, nil
	}
	type taken struct {
		n   int64
		err error
	}
	all := make(chan taken, 1)
	go func() {
		n, err := io.Copy(f, in)
		all <- taken{n, err}
	}()
	select {
	case t := <-all:
		s.size, s.have, s.end, err = t.n, t.n, io.EOF, t.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *spool) take(in io.Reader) {
	buf := make([]byte, 1<<20)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			if _, werr := s.file.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		s.mu.Lock()
		s.have += int64(n)
		switch {
		case s.have > s.size, err == io.EOF && s.have < s.size:
			s.end = errPipeSize
		case err != nil:
			s.end = err
		}
		over := s.end != nil
		s.more.Broadcast()
		s.mu.Unlock()
		if over {
			return
		}
	}
}

// stop wakes who waits for bytes.
func (s *spool) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		s.end = errPipeStopped
	}
	s.more.Broadcast()
}

func (s *spool) remove() {
	s.stop()
	_ = errors.Join(s.file.Close(), os.Remove(s.file.Name())) // a temporary file
}

func (s *spool) local(name string) localFile {
	return localFile{path: "-", name: textName(name), size: s.size, changed: time.Now(), open: func() (transfer.File, error) { return spoolReader{s}, nil }}
}

// spoolReader is one reader of a spool.
type spoolReader struct{ s *spool }

// ReadAt implements io.ReaderAt: it waits for bytes that have not come yet. The last ones are given when the
// pipe has ended in the right place.
func (r spoolReader) ReadAt(p []byte, off int64) (int, error) {
	s := r.s
	want := off + int64(len(p))
	s.mu.Lock()
	for s.end == nil && (s.have < want || want >= s.size) {
		s.more.Wait()
	}
	have, end := s.have, s.end
	s.mu.Unlock()
	if end != nil && end != io.EOF || have < want && have < s.size {
		return 0, end
	}
	return s.file.ReadAt(p, off)
}

func (r spoolReader) Close() error { return nil }

// Stat implements transfer.File.
func (r spoolReader) Stat() (fs.FileInfo, error) { return spoolInfo{r.s.size}, nil }

// spoolInfo says the size that there will be.
type spoolInfo struct{ size int64 }

func (i spoolInfo) Name() string       { return "-" }
func (i spoolInfo) Size() int64        { return i.size }
func (i spoolInfo) Mode() fs.FileMode  { return 0 }
func (i spoolInfo) ModTime() time.Time { return time.Time{} }
func (i spoolInfo) IsDir() bool        { return false }
func (i spoolInfo) Sys() any           { return nil }
