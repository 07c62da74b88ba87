package media

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"sync"

	"isthmus/gateway"
)

// A place is a folder with data and journal. That its names are on disk matters only when bytes in it are acknowledged,
// or the place itself is (Create): ten thousand small files then wait for the disk together and not one after the other.

// Create reserves an id; size -1 means that nobody knows it yet.
func (s *Staging) Create(_ context.Context, id string, size int64) error {
	f, err := s.place(id, size)
	if err != nil {
		return err
	}
	f.syncing.Lock()
	defer f.syncing.Unlock()
	if f.fresh {
		if err := s.disk.syncPath(f.dir + "/data"); err != nil {
			return ioError(err)
		}
	}
	return ioError(s.harden(f))
}

// Prepare is Create for a place that may be lost in a crash, until bytes in it are durable.
func (s *Staging) Prepare(_ context.Context, id string, size int64) error {
	_, err := s.place(id, size)
	return err
}

// Room refuses what the disk has no room for now.
func (s *Staging) Room(_ context.Context, size int64) error { return ioError(s.disk.room(size)) }

// place finds or makes it.
func (s *Staging) place(id string, size int64) (*staged, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if size < -1 {
		return nil, gateway.E(gateway.Invalid, "bad_size", "A file cannot have a negative size.").Next("Send the size in bytes.")
	}
	// Not under mu: thousands of small files are made while others receive.
	making := &s.making[maphash.String(makingSeed, id)%uint64(len(s.making))]
	making.Lock()
	defer making.Unlock()
	s.mu.Lock()
	f, err := s.load(id)
	s.mu.Unlock()
	if err == nil {
		if f.size != size {
			return nil, gateway.E(gateway.Conflict, "size_mismatch", "This upload was begun with another size.").
				Next("Begin a new upload for this file.")
		}
		return f, nil
	}
	if gateway.CodeOf(err) != gateway.NotFound {
		return nil, err
	}
	if err := s.disk.room(size); err != nil {
		return nil, ioError(err)
	}
	if err := s.create(id, size); err != nil {
		return nil, ioError(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[id]; f != nil { // somebody looked meanwhile
		return f, nil
	}
	f = &staged{dir: stagingDir + "/" + id, size: size, records: 1, headed: true, fresh: true}
	s.files[id] = f
	return f, nil
}

func (s *Staging) create(id string, size int64) error {
	dir := stagingDir + "/" + id
	if err := s.disk.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// 0644 inside a 0700 folder: the sandbox reads it under another user id through a descriptor of
	// its work folder, while nobody else can get here.
	f, err := s.disk.root.OpenFile(dir+"/data", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if err = errors.Join(f.Truncate(max(size, 0)), f.Close()); err != nil { // sparse
		return err
	}
	// A journal without a sound head was never acknowledged.
	j, err := s.disk.root.OpenFile(dir+"/journal", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = j.Write(appendHead(nil, size))
	return errors.Join(err, j.Close())
}

// harden makes a place survive a crash. Called with f.syncing held.
func (s *Staging) harden(f *staged) error {
	if !f.fresh {
		return nil
	}
	if err := s.disk.syncPath(f.dir + "/journal"); err != nil {
		return err
	}
	if err := s.disk.syncPath(f.dir); err != nil {
		return err
	}
	if err := s.names.do(func() error { return s.disk.syncPath(stagingDir) }); err != nil {
		return err
	}
	f.fresh = false
	return nil
}

// readPlace finds a place on disk. Called with s.mu held.
func (s *Staging) readPlace(id string) (*staged, error) {
	f := &staged{dir: stagingDir + "/" + id}
	// Without data the file was published by Adopt just before a crash.
	if _, err := s.disk.root.Stat(f.dir + "/data"); errors.Is(err, fs.ErrNotExist) {
		return nil, noSuchStaged()
	} else if err != nil {
		return nil, ioError(err)
	}
	j, err := s.disk.root.Open(f.dir + "/journal")
	if errors.Is(err, fs.ErrNotExist) {
		return f, s.readMeta(f, id)
	} else if err != nil {
		return nil, ioError(err)
	}
	if f.size, f.headed, err = readHead(j); err == nil && !f.headed {
		err = s.readMeta(f, id)
		if _, serr := j.Seek(0, io.SeekStart); err == nil {
			err = serr
		}
	}
	if err == nil {
		f.ranges, f.records, err = readJournal(j, f.limit())
	}
	if err = errors.Join(err, j.Close()); err != nil {
		return nil, ioError(err)
	}
	if f.headed {
		f.records++
	}
	f.fresh = len(f.ranges) == 0 // nobody knows how far its making had come
	return f, nil
}

// readMeta gets the size of a place that an earlier version made, which has it in a file of its own.
func (s *Staging) readMeta(f *staged, id string) error {
	b, err := s.disk.root.ReadFile(f.dir + "/meta")
	if errors.Is(err, fs.ErrNotExist) {
		return noSuchStaged()
	} else if err != nil {
		return ioError(err)
	}
	var m struct {
		Size int64 `json:"size"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("staging %s: %w", id, err)
	}
	f.size = m.Size
	return nil
}

// rounds lets many share one piece of work: who asks while it is under way waits for the next round.
type rounds struct {
	turn sync.Mutex // the work, one at a time
	mu   sync.Mutex
	next *round // that has not begun; guarded by mu
}

type round struct {
	done chan struct{}
	err  error
}

// do has work done once more, from now on, for all that ask until it begins.
func (r *rounds) do(work func() error) error {
	r.mu.Lock()
	mine, first := r.next, r.next == nil
	if first {
		mine = &round{done: make(chan struct{})}
		r.next = mine
	}
	r.mu.Unlock()
	if !first {
		<-mine.done
		return mine.err
	}
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	r.next = nil
	r.mu.Unlock()
	mine.err = work()
	close(mine.done)
	return mine.err
}
