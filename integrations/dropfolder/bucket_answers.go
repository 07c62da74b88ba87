package dropfolder

import (
	"context"
	"io"
	"net/http"
	"time"
)

const (
	answerBytes = 8 << 20 // of what is no object: a page of the longest keys has less than half of it
	answerTime  = 2 * time.Minute
)

// answers calls a store. Whatever it answers but objects is held whole by the SDK, so that it is bounded here, in size
// and in time. An object is asked for by its range, is read as it comes, and has its own end (awake).
type answers struct {
	client *http.Client
	most   time.Duration
}

// Do implements s3.HTTPClient.
func (a answers) Do(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	bell := time.AfterFunc(a.most, cancel)
	res, err := a.client.Do(r.WithContext(ctx))
	if err != nil {
		bell.Stop()
		cancel()
		return nil, err
	}
	if r.Header.Get("Range") != "" && res.StatusCode < 300 {
		bell.Stop()
		return res, nil // its reader's context ends this one
	}
	res.Body = &answer{res.Body, answerBytes, func() { bell.Stop(); cancel() }}
	return res, nil
}

// answer is a body that must end.
type answer struct {
	io.ReadCloser
	left int
	over func()
}

func (a *answer) Read(p []byte) (int, error) {
	if a.left < 0 {
		return 0, noStore()
	}
	n, err := a.ReadCloser.Read(p[:min(len(p), a.left+1)])
	if a.left -= n; a.left < 0 {
		err = noStore()
	}
	return n, err
}

func (a *answer) Close() error {
	err := a.ReadCloser.Close()
	a.over()
	return err
}
