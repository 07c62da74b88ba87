package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Dir keeps uploads as files of a folder, for programs without a storage of their own: ID.part while
// it comes, with its block map ID.map beside it, and ID when it is finished. Ids must be plain file
// names. One process at a time. Safe for concurrent use.
type Dir struct {
	path     string
	noDigest bool

	mu    sync.Mutex
	files map[string]*dirFile
}

// OpenDir uses a folder that exists. noDigest leaves files unread: what clients say of the SHA-256 is not compared.
func OpenDir(path string, noDigest bool) *Dir {
	return &Dir{path: path, noDigest: noDigest, files: map[string]*dirFile{}}
}

var _ Files = (*Dir)(nil)

type dirFile struct {
	data *os.File

	syncMu sync.Mutex // one sync after the other

	mu      sync.Mutex // guards what follows
	journal *os.File   // nil until the first bytes are durable
	durable ranges
	written ranges
	broken  error // of a sync: what was written before it may be gone, and nobody can tell

	sumMu sync.Mutex
	sum   hash.Hash
	n     int64 // bytes in sum
}

func (d *Dir) name(id, suffix string) (string, error) {
	if id == "" || id != filepath.Base(id) || id[0] == '.' {
		return "", fail(CodeRefused, "this id cannot be a file's name")
	}
	return filepath.Join(d.path, id+suffix), nil
}

// file opens an upload that is not finished. Its descriptors stay open until it ends, or Close.
func (d *Dir) file(id string) (*dirFile, error) {
	part, err := d.name(id, ".part")
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[id]; f != nil {
		return f, nil
	}
	mapName, _ := d.name(id, ".map")
	if _, err := os.Stat(part); errors.Is(err, fs.ErrNotExist) {
		// A map alone is of an upload that was cancelled or finished, and the machine crashed meanwhile: its bytes are gone.
		if err := os.Remove(mapName); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	f := &dirFile{sum: sha256.New()}
	if f.data, err = os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if f.journal, err = os.OpenFile(mapName, os.O_RDWR, 0); err == nil {
		err = f.load()
	} else if errors.Is(err, fs.ErrNotExist) {
		f.journal, err = nil, nil
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	d.files[id] = f
	return f, nil
}

const mapRecord = 8 + 8 + 4

// load reads the block map up to the first record that a crash left unfinished, which is overwritten next.
func (f *dirFile) load() error {
	b, err := io.ReadAll(f.journal)
	if err != nil {
		return err
	}
	n := int64(0)
	for ; len(b) >= mapRecord; b = b[mapRecord:] {
		if crc32.ChecksumIEEE(b[:16]) != binary.BigEndian.Uint32(b[16:]) {
			break
		}
		f.durable.add(int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:])))
		n += mapRecord
	}
	_, err = f.journal.Seek(n, io.SeekStart)
	return err
}

func (f *dirFile) close() error {
	err := f.data.Close()
	if f.journal != nil {
		err = errors.Join(err, f.journal.Close())
	}
	return err
}

// Durable implements Files.
func (d *Dir) Durable(_ context.Context, id string) ([]Range, error) {
	done, err := d.name(id, "")
	if err != nil {
		return nil, err
	}
	if st, err := os.Stat(done); err == nil {
		if st.Size() == 0 {
			return nil, nil
		}
		return []Range{{Start: 0, End: st.Size()}}, nil
	}
	part, _ := d.name(id, ".part")
	if _, err := os.Stat(part); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // thousands of new uploads need no descriptors yet
	}
	f, err := d.file(id)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Range(nil), f.durable...), nil
}

// WriteAt implements Files.
func (d *Dir) WriteAt(_ context.Context, id string, p []byte, offset int64) error {
	f, err := d.file(id)
	if err != nil {
		return err
	}
	if _, err := f.data.WriteAt(p, offset); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written.add(offset, offset+int64(len(p)))
	return nil
}

// Sync implements Files: the bytes first, then the record that says so.
func (d *Dir) Sync(_ context.Context, id string) error {
	f, err := d.file(id)
	if err != nil {
		return err
	}
	if err := d.commit(f, id); err != nil {
		return err
	}
	if !d.noDigest && f.sumMu.TryLock() {
		go func() { // beside whoever waits for the disk
			defer f.sumMu.Unlock()
			_ = f.read(f.prefix()) // Finish meets the same error and tells it
		}()
	}
	return nil
}

// commit makes durable what was written.
func (d *Dir) commit(f *dirFile, id string) error {
	f.syncMu.Lock()
	defer f.syncMu.Unlock()
	f.mu.Lock()
	written := f.written
	f.written = nil
	err := f.broken
	f.mu.Unlock()
	if err != nil || len(written) == 0 {
		return err
	}
	err = f.data.Sync()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		err = d.record(f, id, written)
	}
	if err != nil {
		f.broken = err
		return err
	}
	for _, r := range written {
		f.durable.add(r.Start, r.End)
	}
	return nil
}

// record appends to the block map. Called with f.mu held.
func (d *Dir) record(f *dirFile, id string, written ranges) error {
	fresh := f.journal == nil
	if fresh {
		name, err := d.name(id, ".map")
		if err != nil {
			return err
		}
		if f.journal, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
			f.journal = nil
			return err
		}
	}
	var b []byte
	for _, r := range written {
		b = binary.BigEndian.AppendUint64(b, uint64(r.Start))
		b = binary.BigEndian.AppendUint64(b, uint64(r.End))
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[len(b)-16:]))
	}
	if _, err := f.journal.Write(b); err != nil {
		return err
	}
	if err := f.journal.Sync(); err != nil || !fresh {
		return err
	}
	return syncDir(d.path)
}

// complete makes the whole file durable.
func (f *dirFile) complete(size int64) error {
	f.syncMu.Lock() // a sync under way has taken bytes out of written
	defer f.syncMu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.written {
		f.durable.add(r.Start, r.End)
	}
	f.written = nil
	if f.durable.total() != size {
		return fail(CodeStorage, "bytes are missing")
	}
	if f.broken == nil {
		f.broken = f.data.Sync()
	}
	return f.broken
}

// prefix is how many bytes from 0 on are durable.
func (f *dirFile) prefix() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.durable) == 0 || f.durable[0].Start > 0 {
		return 0
	}
	return f.durable[0].End
}

// read brings the digest up to n bytes. Called with sumMu held.
func (f *dirFile) read(n int64) error {
	m, err := io.Copy(f.sum, io.NewSectionReader(f.data, f.n, n-f.n))
	if f.n += m; err == nil && f.n < n {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Finish implements Files.
func (d *Dir) Finish(_ context.Context, id string, size int64, sum []byte) ([]byte, error) {
	done, err := d.name(id, "")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(done); err == nil {
		return d.finished(done, sum)
	}
	f, err := d.file(id)
	if err != nil {
		return nil, err
	}
	if err := f.complete(size); err != nil { // no record in the map: the new name says it all
		return nil, err
	}
	var have []byte
	if !d.noDigest {
		f.sumMu.Lock()
		err := f.read(size)
		have = f.sum.Sum(nil)
		f.sumMu.Unlock()
		if err != nil {
			return nil, err
		}
		if len(sum) > 0 && !bytes.Equal(sum, have) {
			return nil, fail(CodeDigest, "the SHA-256 of what arrived differs")
		}
	}
	part, _ := d.name(id, ".part")
	if err := errors.Join(os.Rename(part, done), syncDir(d.path)); err != nil {
		return nil, err
	}
	return have, d.forget(id, ".map")
}

// finished answers a repeated Finish.
func (d *Dir) finished(path string, sum []byte) ([]byte, error) {
	if d.noDigest {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	have := h.Sum(nil)
	if len(sum) > 0 && !bytes.Equal(sum, have) {
		return nil, fail(CodeDigest, "the upload was finished with another SHA-256")
	}
	return have, nil
}

// Cancel implements Files.
func (d *Dir) Cancel(_ context.Context, id string) error {
	if _, err := d.name(id, ""); err != nil {
		return err
	}
	return d.forget(id, ".part", ".map")
}

func (d *Dir) forget(id string, suffixes ...string) error {
	d.mu.Lock()
	f := d.files[id]
	delete(d.files, id)
	d.mu.Unlock()
	var all error
	if f != nil {
		f.sumMu.Lock() // nobody reads it any more
		all = f.close()
		f.sumMu.Unlock()
	}
	for _, suffix := range suffixes {
		name, _ := d.name(id, suffix)
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, err)
		}
	}
	return all
}

// Close closes what is open. Nobody may be using d any more.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all error
	for id, f := range d.files {
		f.sumMu.Lock()
		all = errors.Join(all, f.close())
		f.sumMu.Unlock()
		delete(d.files, id)
	}
	return all
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if err = f.Sync(); errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		err = nil // systems that sync no folders keep names by themselves
	}
	return errors.Join(err, f.Close())
}
