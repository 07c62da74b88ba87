package media

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"isthmus/gateway"
)

const (
	bufferSize = 256 << 10
	syncEvery  = 8 << 20         // bytes between two syncs
	syncAfter  = 2 * time.Second // and on a slow line at least this often
	warmEvery  = 1 << 20         // bytes after which the disk is told to begin
	mostPinned = 2048            // files that wait, open, for a Commit; beyond it nobody lets another one wait
	smallFile  = 1 << 20         // bytes; its sum is made when it is asked for, in one go
)

// WriteAt stores r from offset on and returns how many bytes of it are durable.
func (s *Staging) WriteAt(ctx context.Context, id string, offset int64, r io.Reader) (int64, error) {
	f, err := s.acquire(id)
	if err != nil {
		return 0, err
	}
	defer s.release(f)
	if offset < 0 || offset > f.limit() {
		return 0, beyondSize()
	}
	bufp := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(bufp)

	w := &stagedWriter{s: s, f: f, at: offset, synced: offset, lost: f.lostCount(), last: time.Now()}
	werr := w.copyFrom(ctx, r, *bufp)
	// Whatever stopped us, the bytes that did arrive are kept.
	if err := w.commit(); err != nil && (werr == nil || errors.Is(werr, io.EOF)) {
		werr = err
	}
	return w.synced - offset, ioError(werr)
}

// Put stores p at offset, not yet durable. The file stays open until a Commit.
func (s *Staging) Put(ctx context.Context, id string, p []byte, offset int64) error {
	f, err := s.acquire(id)
	if err != nil {
		return err
	}
	if offset < 0 || int64(len(p)) > f.limit()-offset {
		s.release(f)
		return beyondSize()
	}
	f.mu.Lock()
	lost, first := f.lost, !f.pinned
	f.mu.Unlock()
	if first {
		err = s.disk.room(int64(len(p)))
	}
	if err == nil {
		_, err = f.put(p, offset, lost)
	}
	f.mu.Lock()
	keep := !f.pinned && !f.gone && len(f.written) > 0
	f.pinned = f.pinned || keep
	f.mu.Unlock()
	if !keep {
		s.release(f)
	} else if s.pins.Add(1) > s.most && err == nil {
		err = s.Commit(ctx, id)
	}
	return ioError(err)
}

// Commit makes durable what Put took before the call.
func (s *Staging) Commit(_ context.Context, id string) error {
	f, err := s.acquire(id)
	if err != nil {
		return err
	}
	defer s.release(f)
	return ioError(s.commit(f, f.lostCount()))
}

func beyondSize() *gateway.Error {
	return gateway.E(gateway.TooLarge, "beyond_size", "The bytes lie beyond the size that was announced.").
		Next("Ask for the current offset and go on from there.")
}

func bytesLost() *gateway.Error {
	return gateway.E(gateway.Unavailable, "storage_failed", "The disk lost bytes that were not acknowledged yet.").
		Next("Send them again from the current offset.").After(time.Second)
}

// put hands p to the system and notes that it is to be synced, unless a sync has failed since lost was read.
func (f *staged) put(p []byte, at int64, lost int) (int, error) {
	n, err := f.data.WriteAt(p, at)
	if n == 0 {
		return 0, err
	}
	f.sum.written(at)
	end := at + int64(n)
	f.mu.Lock()
	if f.lost != lost {
		f.mu.Unlock()
		return 0, bytesLost()
	}
	f.written.Insert(at, end)
	if f.warmed == 0 {
		f.warm = gateway.Range{Start: at, End: end}
	}
	f.warm = gateway.Range{Start: min(f.warm.Start, at), End: max(f.warm.End, end)}
	f.warmed += int64(n)
	warm, full := f.warm, f.warmed >= warmEvery
	if full {
		f.warmed = 0
	}
	f.mu.Unlock()
	if full {
		// Start writing back now, so that the sync that follows has little left to do. Advice only.
		_ = unix.SyncFileRange(int(f.data.Fd()), warm.Start, warm.End-warm.Start, unix.SYNC_FILE_RANGE_WRITE)
	}
	return n, err
}

// commit makes what was written durable: data first, then the records that say so. It refuses when a sync
// has failed since lost was read.
func (s *Staging) commit(f *staged, lost int) error {
	f.syncing.Lock()
	defer f.syncing.Unlock()
	f.mu.Lock()
	if f.lost != lost {
		f.mu.Unlock()
		return bytesLost()
	}
	fresh := f.written
	f.written = nil
	f.mu.Unlock()
	if len(fresh) == 0 { // somebody else's sync had it
		return nil
	}
	err := fdatasync(f.data)
	if err == nil {
		err = s.harden(f)
	}
	if err == nil {
		err = writeRecords(f.journal, f.records, fresh)
	}
	f.mu.Lock()
	if err != nil {
		// After a failed sync the kernel forgets which pages were bad, so a second sync would lie
		// (also to other writers of this file). Nothing unacknowledged counts any more.
		f.lost++
		f.written = nil
	} else {
		for _, r := range fresh {
			f.ranges.Insert(r.Start, r.End)
		}
	}
	unpin := f.pinned && len(f.written) == 0
	f.pinned = f.pinned && !unpin
	f.mu.Unlock()
	if unpin {
		s.pins.Add(-1)
		s.release(f) // the caller has it open, too
	}
	if err != nil {
		return err
	}
	s.digest(f)
	if f.records += len(fresh); f.records > compactAfter && len(f.ranges) < f.records/8 {
		return s.compact(f)
	}
	return nil
}

// compact writes the journal anew from the ranges. Called with f.syncing held.
func (s *Staging) compact(f *staged) error {
	err := s.disk.writeFile(f.dir+"/journal", appendRecords(appendHead(nil, f.size), f.ranges))
	var j *os.File
	if err == nil {
		j, err = s.disk.root.OpenFile(f.dir+"/journal", os.O_RDWR, 0o600)
	}
	old := f.journal
	if err != nil {
		// Which of the two journals has the name now is not known. Nobody writes to the old one any more; whoever
		// comes next reads what is there.
		s.mu.Lock()
		delete(s.files, path.Base(f.dir))
		s.forget(f)
		s.mu.Unlock()
		return errors.Join(err, old.Close())
	}
	f.journal, f.headed, f.records = j, true, 1+len(f.ranges)
	return old.Close()
}

func (f *staged) lostCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

// stagedWriter is one WriteAt under way.
type stagedWriter struct {
	s      *Staging
	f      *staged
	at     int64 // next byte to write
	synced int64 // everything from the offset to here is durable
	lost   int
	last   time.Time
}

func (w *stagedWriter) copyFrom(ctx context.Context, r io.Reader, buf []byte) error {
	if err := w.s.disk.room(bufferSize); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		room := w.f.limit() - w.at
		n, rerr := r.Read(buf[:max(1, min(int64(len(buf)), room))])
		if int64(n) > room {
			return gateway.E(gateway.TooLarge, "beyond_size", "More bytes came than were announced.").
				Next("Begin a new upload with the right size.")
		}
		if n > 0 {
			m, err := w.f.put(buf[:n], w.at, w.lost)
			w.at += int64(m)
			if err != nil {
				return err
			}
		}
		if w.at-w.synced >= syncEvery || (w.at > w.synced && time.Since(w.last) >= syncAfter) {
			if err := w.commit(); err != nil {
				return err
			}
			if err := w.s.disk.room(bufferSize); err != nil {
				return err
			}
		}
		if errors.Is(rerr, io.EOF) {
			return nil
		}
		if rerr != nil {
			return rerr
		}
	}
}

func (w *stagedWriter) commit() error {
	if w.at == w.synced {
		return nil
	}
	if err := w.s.commit(w.f, w.lost); err != nil {
		w.at = w.synced
		return err
	}
	w.synced, w.last = w.at, time.Now()
	return nil
}

// digest lets the sum follow what is durable, beside whoever writes. It has the file open by itself:
// nobody waits for it, and the file may be handed on or removed meanwhile.
func (s *Staging) digest(f *staged) {
	if f.size >= 0 && f.size <= smallFile || !f.sum.begin() {
		return
	}
	data, err := s.disk.root.Open(f.dir + "/data")
	if err != nil {
		f.sum.end()
		return
	}
	go func() {
		defer func() { _ = data.Close() }()
		f.sum.chase(data, func() int64 {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.ranges.Prefix()
		})
	}()
}
