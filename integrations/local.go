package integrations

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// NewLocal makes a transport that calls h in this process. Bodies stream both ways, so nothing is
// held in memory. The request's context ends for the handler when the caller gives up or closes
// the answer's body.
func NewLocal(h http.Handler) http.RoundTripper { return local{h} }

type local struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (l local) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	in := req.Clone(ctx)
	in.RequestURI, in.RemoteAddr = in.URL.RequestURI(), "local"
	if in.Host == "" {
		in.Host = in.URL.Host
	}
	in.URL.Scheme, in.URL.Host = "", "" // as a server sees it
	if in.Body == nil {
		in.Body = http.NoBody
	}
	pr, pw := io.Pipe()
	w := &localWriter{header: http.Header{}, pipe: pw, begun: make(chan struct{})}
	go func() {
		var err error
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("local handler: %v", r) // the answer breaks off, as it would on a socket
			}
			_ = in.Body.Close()
			w.end(err)
		}()
		l.handler.ServeHTTP(w, in)
	}()
	// The pipe knows nothing of contexts: a handler stuck in Write is freed by breaking it.
	stop := context.AfterFunc(ctx, func() { _ = pw.CloseWithError(context.Cause(ctx)) })
	select {
	case <-w.begun:
	case <-ctx.Done():
		cancel()
		return nil, req.Context().Err()
	}
	if w.status == 0 {
		cancel()
		return nil, w.err
	}
	length := int64(-1)
	if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil {
		length = n
	}
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.sent, ContentLength: length,
		Body: &localBody{PipeReader: pr, done: func() { stop(); cancel() }}, Request: req,
	}, nil
}

// localBody lets the handler go when the caller is done.
type localBody struct {
	*io.PipeReader
	done func()
}

// Close implements io.Closer.
func (b *localBody) Close() error {
	err := b.PipeReader.Close()
	b.done()
	return err
}

// localWriter is the handler's side of an answer.
type localWriter struct {
	header, sent http.Header
	status       int
	err          error // why there is no answer
	pipe         *io.PipeWriter
	once         sync.Once
	begun        chan struct{} // closed when status and sent are set
}

// Header implements http.ResponseWriter.
func (w *localWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *localWriter) WriteHeader(status int) {
	if status < 200 {
		return // informational answers have no use here
	}
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.begun)
	})
}

// Write implements io.Writer; it blocks until the caller has read.
func (w *localWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(p)
}

// Flush implements http.Flusher: bytes are never held back.
func (w *localWriter) Flush() { w.WriteHeader(http.StatusOK) }

func (w *localWriter) end(err error) {
	if err == nil {
		w.WriteHeader(http.StatusOK)
	}
	w.once.Do(func() {
		w.err = err
		close(w.begun)
	})
	_ = w.pipe.CloseWithError(err) // nil is the end of file
}
