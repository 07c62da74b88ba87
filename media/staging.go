package media

import (
	"context"
	"encoding/hex"
	"errors"
	"hash/maphash"
	"io/fs"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"isthmus/gateway"
)

// Staging keeps arriving files, each in a folder of its own: data (sparse) and journal.
// It implements gateway.Staging.
type Staging struct {
	disk    *Disk
	mu      sync.Mutex
	files   map[string]*staged
	buffers sync.Pool
	making  [64]sync.Mutex // by a hash of the id: of one file one is made at a time
	names   rounds         // of the folder of all
	pins    atomic.Int64   // files that are pinned
	most    int64          // of them
}

var makingSeed = maphash.MakeSeed()

var _ gateway.Staging = (*Staging)(nil)

// NewStaging opens the staging area of a data folder. One process at a time.
func NewStaging(d *Disk) *Staging {
	return &Staging{disk: d, files: map[string]*staged{}, most: mostPinned, buffers: sync.Pool{New: func() any {
		b := make([]byte, bufferSize)
		return &b
	}}}
}

// staged is one file. Its descriptors are open only while somebody uses it.
type staged struct {
	dir  string
	size int64 // -1 = unknown, the file grows

	refs          int // guarded by Staging.mu, as are the two files' opening and closing
	data, journal *os.File

	syncing sync.Mutex // one sync at a time; guards the journal. Taken before mu, never with Staging.mu held
	records int        // of the journal, its head included
	headed  bool       // the journal begins with the size; not in places of earlier versions
	fresh   bool       // its names are perhaps not on disk yet

	mu      sync.Mutex     // guards what follows; nobody holds it while the disk works
	ranges  gateway.Ranges // durable; changes while syncing is held, too
	written gateway.Ranges // since the last sync began
	lost    int            // counts failed syncs: after one, nobody may claim pages written before it
	pinned  bool           // counts in refs: the file stays open while written holds something
	gone    bool           // forgotten: whoever still has it open is the last to know
	warm    gateway.Range  // around what the disk was not told yet to begin with
	warmed  int64          // bytes in it

	sum prefixSum
}

// load finds a file in memory or on disk. Called with s.mu held.
func (s *Staging) load(id string) (*staged, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if f := s.files[id]; f != nil {
		return f, nil
	}
	f, err := s.readPlace(id)
	if err != nil {
		return nil, err
	}
	s.files[id] = f
	return f, nil
}

// limit is the first byte that must not be written.
func (f *staged) limit() int64 {
	if f.size < 0 {
		return math.MaxInt64
	}
	return f.size
}

// complete tells how long the file is, if nothing is missing.
func (f *staged) complete() (int64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.ranges.Prefix()
	if f.size < 0 {
		return n, n == f.ranges.Total()
	}
	return n, n == f.size
}

func noSuchStaged() error {
	return gateway.E(gateway.NotFound, "no_such_upload", "There is no such file here.").Next("Begin a new upload.")
}

// acquire opens a file for use; release must follow.
func (s *Staging) acquire(id string) (*staged, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.load(id)
	if err != nil {
		return nil, err
	}
	if f.refs == 0 {
		if f.data, err = s.disk.root.OpenFile(f.dir+"/data", os.O_RDWR, 0); err != nil {
			return nil, ioError(err)
		}
		if f.journal, err = s.openJournal(f); err != nil {
			return nil, ioError(errors.Join(err, f.data.Close()))
		}
	}
	f.refs++
	return f, nil
}

func (s *Staging) openJournal(f *staged) (*os.File, error) {
	_, err := s.disk.root.Stat(f.dir + "/journal")
	j, err2 := s.disk.root.OpenFile(f.dir+"/journal", os.O_RDWR|os.O_CREATE, 0o600)
	if err2 != nil {
		return nil, err2
	}
	if err != nil { // new: its name must survive too
		if err := s.disk.syncPath(f.dir); err != nil {
			return nil, errors.Join(err, j.Close())
		}
	}
	return j, nil
}

func (s *Staging) release(f *staged) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unref(f)
}

// unref is release with s.mu held.
func (s *Staging) unref(f *staged) {
	if f.refs--; f.refs == 0 {
		// Everything acknowledged was synced; there is nothing left that closing could lose.
		_ = f.data.Close()
		_ = f.journal.Close()
	}
}

// Durable gives the ranges on disk.
func (s *Staging) Durable(_ context.Context, id string) (gateway.Ranges, error) {
	s.mu.Lock()
	f, err := s.load(id)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return append(gateway.Ranges(nil), f.ranges...), nil
}

// Open reads a file whether complete or not; bytes that are not there yet read as zero.
func (s *Staging) Open(_ context.Context, id string) (gateway.StagedFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.load(id)
	if err != nil {
		return nil, err
	}
	file, err := s.disk.root.Open(f.dir + "/data")
	if err != nil {
		return nil, ioError(err)
	}
	size := f.size
	if size < 0 {
		f.mu.Lock()
		if n := len(f.ranges); n > 0 {
			size = f.ranges[n-1].End
		}
		f.mu.Unlock()
	}
	return stagedReader{file, max(size, 0)}, nil
}

type stagedReader struct {
	*os.File
	size int64
}

func (r stagedReader) Size() int64 { return r.size }

// Sum gives the SHA-256 of the first size bytes, which must be durable.
func (s *Staging) Sum(ctx context.Context, id string, size int64) (string, error) {
	f, err := s.acquire(id)
	if err != nil {
		return "", err
	}
	defer s.release(f)
	f.mu.Lock()
	have := f.ranges.Prefix()
	f.mu.Unlock()
	if size < 0 || size > have {
		return "", gateway.E(gateway.Conflict, "incomplete", "Not all of the file has arrived.").
			Next("Send what is missing, then finish again.")
	}
	sum, err := f.sum.of(ctx, f.data, size)
	if err != nil {
		return "", ioError(err)
	}
	return hex.EncodeToString(sum), nil
}

// Remove forgets the id and its bytes.
func (s *Staging) Remove(_ context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[id]; f != nil {
		delete(s.files, id)
		s.forget(f)
	}
	return ioError(s.remove(id))
}

// forget lets go of a file that nobody finds by its id any more. Called with s.mu held.
func (s *Staging) forget(f *staged) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = true
	f.lost++ // what was written and not synced does not count
	f.written = nil
	if f.pinned {
		f.pinned = false
		s.pins.Add(-1)
		s.unref(f)
	}
}

// remove takes the folder out of sight in one step, then deletes it: a crash in between leaves
// rubbish in the work folder, which is cleared at start, and no half file.
func (s *Staging) remove(id string) error { return s.disk.removeAll(stagingDir + "/" + id) }

// Stale lists ids with the prefix whose last acknowledged byte came before a time.
func (s *Staging) Stale(ctx context.Context, prefix string, before time.Time) ([]string, error) {
	entries, err := fs.ReadDir(s.disk.root.FS(), stagingDir)
	if err != nil {
		return nil, ioError(err)
	}
	var ids []string
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		var last time.Time
		for _, name := range []string{"", "/meta", "/journal"} {
			if st, err := s.disk.root.Stat(stagingDir + "/" + e.Name() + name); err == nil && st.ModTime().After(last) {
				last = st.ModTime()
			}
		}
		if last.Before(before) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}
