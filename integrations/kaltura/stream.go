package kaltura

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// idle closes body when one read waits longer than limit for a byte. It does not count the time
// that the reader takes between reads, so a slow consumer is not punished.
func idle(body io.ReadCloser, limit time.Duration) io.ReadCloser {
	return &idleReader{body: body, limit: limit}
}

type idleReader struct {
	body  io.ReadCloser
	limit time.Duration
	once  sync.Once
	err   error
}

var errIdle = errors.New("no bytes for too long")

// Read implements io.Reader.
func (r *idleReader) Read(p []byte) (int, error) {
	t := time.AfterFunc(r.limit, func() { _ = r.Close() })
	n, err := r.body.Read(p)
	if !t.Stop() && err != nil && err != io.EOF {
		return n, &fault{Op: "read", Kind: faultTimeout, Err: errIdle}
	}
	return n, err
}

// Close implements io.Closer.
func (r *idleReader) Close() error {
	r.once.Do(func() { r.err = r.body.Close() })
	return r.err
}

// watch ends a context when nobody calls touch for limit: for request bodies, whose reads happen
// when the network takes bytes.
type watch struct {
	timer *time.Timer
	limit time.Duration
}

func newWatch(ctx context.Context, limit time.Duration) (context.Context, *watch, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{limit: limit}
	w.timer = time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	return ctx, w, func() { w.timer.Stop(); cancel(nil) }
}

func (w *watch) reader(r io.Reader) io.Reader { return &watchedReader{r: r, w: w} }

type watchedReader struct {
	r io.Reader
	w *watch
}

// Read implements io.Reader.
func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.w.timer.Reset(r.w.limit)
	return n, err
}
