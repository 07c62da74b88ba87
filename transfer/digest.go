package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"isthmus/transfer/wire"
)

const (
	digestAhead = 4 << 20 // of what is being sent; what is sent next is read soon anyway
	digestStep  = 256 << 10
	digestNap   = 2 * time.Millisecond
)

// digest reads each upload for its SHA-256 beside the sending, while its bytes are in the system's
// cache, and says Finish.
func (l *link) digest(ctx context.Context) error {
	buf := make([]byte, digestStep)
	for {
		var upload int
		select {
		case <-ctx.Done():
			return ctx.Err()
		case upload = <-l.digests:
		}
		var sum []byte
		if !l.s.cfg.NoDigest {
			var err error
			if sum, err = l.sum(ctx, upload, buf); err != nil {
				var f *sourceError
				if !errors.As(err, &f) {
					return err
				}
				if err := l.ended(upload, Result{Err: f.err}); err != nil {
					return err
				}
				continue
			}
		}
		if l.isOver(upload) {
			continue
		}
		if err := l.send(wire.MsgFinish, wire.Finish{Upload: upload, SHA256: sum}.Append(nil)); err != nil {
			return closed(err)
		}
	}
}

func (l *link) sum(ctx context.Context, upload int, buf []byte) ([]byte, error) {
	b := l.src.bounds(upload)
	h := sha256.New()
	l.mu.Lock()
	complete := l.uploads[upload].missing == 0
	l.mu.Unlock()
	for pos, nap := b.Start, digestNap; pos < b.End; {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if l.isOver(upload) {
			return nil, nil
		}
		if !complete && pos > l.read.Load()+digestAhead {
			select {
			case <-ctx.Done():
			case <-time.After(nap):
			}
			nap = min(2*nap, 50*digestNap) // a pause may last for days
			continue
		}
		nap = digestNap
		n, err := l.src.read(buf[:min(int64(len(buf)), b.End-pos)], pos)
		if err != nil {
			return nil, err
		}
		_, _ = h.Write(buf[:n])
		pos += int64(n)
	}
	return h.Sum(nil), nil
}
