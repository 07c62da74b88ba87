package dropfolder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"isthmus/gateway"
)

const (
	silence = time.Minute // how long a store may send nothing in the middle of an object
	resumes = 3           // how often reading is begun again where it broke off, without a byte in between
)

// objectReader reads one version of an object. The store refuses to go on with another one.
type objectReader struct {
	ctx context.Context
	b   *bucket
	key string
	e   gateway.DropEntry

	body   io.ReadCloser // of Read
	at     int64
	failed int
}

func (r *objectReader) Entry() gateway.DropEntry { return r.e }

// Read goes on where a connection broke off.
func (r *objectReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if r.at >= r.e.Size {
			return 0, io.EOF
		}
		var n int
		var err error
		if r.body == nil {
			r.body, err = r.b.get(r.ctx, r.key, r.e.Identity, r.at, r.e.Size)
		}
		if err == nil {
			n, err = r.body.Read(p)
			r.at += int64(n)
		}
		if n > 0 {
			r.failed = 0
			if err != nil {
				r.end() // the next Read sees
			}
			return n, nil
		}
		if err == nil {
			continue
		}
		r.end()
		if r.failed++; r.failed > resumes || !passing(r.ctx, err) {
			return 0, bucketError(r.ctx, err)
		}
	}
}

// passing tells whether asking once more may help.
func passing(ctx context.Context, err error) bool {
	var known *gateway.Error
	return ctx.Err() == nil && (!errors.As(err, &known) || known.Code == gateway.Unavailable)
}

// ReadAt implements io.ReaderAt; safe for concurrent use, also with Read.
func (r *objectReader) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 {
		return 0, gateway.E(gateway.Invalid, "offset", "An object has no bytes before its first.")
	}
	want := min(int64(len(p)), r.e.Size-at)
	if want <= 0 {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	body, err := r.b.get(r.ctx, r.key, r.e.Identity, at, at+want)
	if err != nil {
		return 0, err
	}
	defer func() { _ = body.Close() }() // only read
	n, err := io.ReadFull(body, p[:want])
	if err != nil {
		return n, bucketError(r.ctx, err)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *objectReader) end() {
	if r.body != nil {
		_ = r.body.Close() // only read
		r.body = nil
	}
}

func (r *objectReader) Close() error {
	r.end()
	r.at = r.e.Size
	return nil
}

// get asks for the bytes from start to end of the version with an identity.
func (b *bucket) get(outer context.Context, key, id string, start, end int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(outer)
	etag, span := quoted(id), fmt.Sprintf("bytes=%d-%d", start, end-1)
	got, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key, IfMatch: &etag, Range: &span})
	if err != nil {
		cancel()
		return nil, bucketError(outer, err)
	}
	body := &awake{ReadCloser: got.Body, bell: time.AfterFunc(silence, cancel), cancel: cancel}
	if n := got.ContentLength; got.ETag != nil && object("", 0, *got.ETag, nil).Identity != id || n != nil && *n != end-start {
		_ = body.Close() // another version, or a store that knows no ranges
		return nil, changed()
	}
	return body, nil
}

// awake is a body that ends when nothing came for a while.
type awake struct {
	io.ReadCloser
	bell   *time.Timer
	cancel context.CancelFunc
	once   sync.Once
}

func (a *awake) Read(p []byte) (int, error) {
	a.bell.Reset(silence)
	n, err := a.ReadCloser.Read(p)
	a.bell.Stop() // while nobody reads, nothing can come
	return n, err
}

func (a *awake) Close() (err error) {
	a.once.Do(func() {
		a.bell.Stop()
		err = a.ReadCloser.Close()
		a.cancel()
	})
	return err
}
