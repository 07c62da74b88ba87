package media

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"sync"
	"sync/atomic"
)

var sumBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// prefixSum keeps the SHA-256 of a file's first bytes nearly up to date while they come, so that a
// finish need not read gigabytes again. It follows the durable bytes beside the writers, reading what
// is still in the page cache, and never holds them up.
type prefixSum struct {
	mu      sync.Mutex
	h       hash.Hash
	n       int64 // bytes hashed
	chasing bool

	reach atomic.Int64 // bytes from here on were neither hashed nor are being read
}

func (p *prefixSum) reset() {
	p.h, p.n = sha256.New(), 0
	p.reach.Store(0)
}

// written says that bytes from offset on were just written. A rewrite of bytes already hashed starts over.
func (p *prefixSum) written(offset int64) {
	if offset >= p.reach.Load() {
		return // the usual case: no lock
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset()
}

// begin tells whether the caller shall chase; one does so at a time.
func (p *prefixSum) begin() bool {
	if !p.mu.TryLock() {
		return false // somebody hashes
	}
	defer p.mu.Unlock()
	if p.chasing {
		return false
	}
	p.chasing = true
	return true
}

func (p *prefixSum) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chasing = false
}

// chase hashes up to the durable prefix, which may grow meanwhile. What it leaves, of reads.
func (p *prefixSum) chase(r io.ReaderAt, prefix func() int64) {
	const step = 1 << 20 // a rewrite waits no longer than for this
	buf := sumBuffers.Get().(*[]byte)
	defer sumBuffers.Put(buf)
	for {
		to := prefix()
		p.mu.Lock()
		err := p.readTo(context.Background(), r, min(to, p.n+step), *buf)
		if err != nil || p.n >= to { // of meets the same error and tells it
			p.chasing = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}

func (p *prefixSum) readTo(ctx context.Context, r io.ReaderAt, to int64, buf []byte) error {
	if p.h == nil {
		p.reset()
	}
	if p.n >= to {
		return nil
	}
	p.reach.Store(to)
	for p.n < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.ReadAt(buf[:min(int64(len(buf)), to-p.n)], p.n)
		_, _ = p.h.Write(buf[:n])
		p.n += int64(n)
		if err != nil && p.n < to {
			return err
		}
	}
	return nil
}

// of gives the sum of the first size bytes.
func (p *prefixSum) of(ctx context.Context, r io.ReaderAt, size int64) ([]byte, error) {
	buf := sumBuffers.Get().(*[]byte)
	defer sumBuffers.Put(buf)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n > size { // more was hashed than is asked for: read again, on the side
		other := prefixSum{}
		if err := other.readTo(ctx, r, size, *buf); err != nil {
			return nil, err
		}
		return other.h.Sum(nil), nil
	}
	if err := p.readTo(ctx, r, size, *buf); err != nil {
		return nil, err
	}
	return p.h.Sum(nil), nil
}
