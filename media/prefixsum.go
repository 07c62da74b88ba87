package media

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"sync"
)

// prefixSum keeps the SHA-256 of a file's first bytes up to date while they come, so that a finish
// need not read gigabytes again. Bytes in order are hashed as they pass by; others are read back.
type prefixSum struct {
	mu sync.Mutex
	h  hash.Hash
	n  int64 // bytes hashed
}

func (p *prefixSum) reset() { p.h, p.n = sha256.New(), 0 }

// feed hashes b if it comes next; a rewrite of bytes already hashed starts over.
func (p *prefixSum) feed(offset int64, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.h == nil || offset < p.n {
		p.reset()
	}
	if offset == p.n {
		_, _ = p.h.Write(b) // never fails
		p.n += int64(len(b))
	}
}

// cut forgets everything if more than the durable prefix was hashed.
func (p *prefixSum) cut(prefix int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n > prefix {
		p.reset()
	}
}

// advance hashes on to the prefix, at most budget bytes: after a restart an upload catches up
// step by step instead of stopping for all of it at once.
func (p *prefixSum) advance(r io.ReaderAt, prefix, budget int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readTo(context.Background(), r, min(prefix, p.n+budget))
}

func (p *prefixSum) readTo(ctx context.Context, r io.ReaderAt, to int64) error {
	if p.h == nil {
		p.reset()
	}
	if p.n >= to {
		return nil
	}
	buf := make([]byte, min(bufferSize, to-p.n))
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
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n > size { // more was hashed than is asked for: read again, on the side
		other := prefixSum{}
		if err := other.readTo(ctx, r, size); err != nil {
			return nil, err
		}
		return other.h.Sum(nil), nil
	}
	if err := p.readTo(ctx, r, size); err != nil {
		return nil, err
	}
	return p.h.Sum(nil), nil
}
