package gateway

import (
	"context"
	"errors"
	"io"
)

// SeekBlob reads a blob of a known size from wherever it is told, as http.ServeContent wants it. The
// blob is opened when the first byte is asked for. Not safe for concurrent use.
func SeekBlob(ctx context.Context, blobs Blobs, key string, size int64) io.ReadSeekCloser {
	return &blobSeeker{ctx: ctx, blobs: blobs, key: key, size: size}
}

type blobSeeker struct {
	ctx   context.Context
	blobs Blobs
	key   string
	size  int64
	at    int64
	open  io.ReadCloser
}

func (b *blobSeeker) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	var err error
	if offset != b.at {
		err = b.Close()
		b.at = offset
	}
	return offset, err
}

func (b *blobSeeker) Read(p []byte) (int, error) {
	if b.at >= b.size {
		return 0, io.EOF
	}
	if b.open == nil {
		r, _, err := b.blobs.Open(b.ctx, b.key, Range{Start: b.at, End: -1})
		if err != nil {
			return 0, err
		}
		b.open = r
	}
	n, err := b.open.Read(p)
	b.at += int64(n)
	return n, err
}

// Close lets go of the blob; a Read after it opens it again.
func (b *blobSeeker) Close() error {
	if b.open == nil {
		return nil
	}
	open := b.open
	b.open = nil
	return open.Close()
}
