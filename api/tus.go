package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	xslog "golang.org/x/exp/slog"

	"isthmus/gateway"
)

const tusBase = "/files/"

// routeTus mounts tus 1.0 over gateway.Uploads. Uploads are made by REST, which checks name, type
// and quota; what is sent here counts as received only when it is on disk. Reaching the end does
// not finish an upload: only the explicit finish does.
func (s *Server) routeTus() error {
	composer := handler.NewStoreComposer()
	store := tusStore{s.uploads}
	composer.UseCore(store)
	composer.UseTerminater(store)
	composer.UseLocker(tusLocker{memorylocker.New()})
	h, err := handler.NewUnroutedHandler(handler.Config{
		StoreComposer: composer, BasePath: tusBase, DisableDownload: true,
		Cors:   &handler.CorsConfig{Disable: true},
		Logger: xslog.New(discard{}), // it would log every chunk; the access log is enough
	})
	if err != nil {
		return err
	}
	serve := func(f http.HandlerFunc) echo.HandlerFunc {
		wrapped := h.Middleware(f)
		return func(c echo.Context) error {
			var own tusFailure
			w := &tusWriter{ResponseWriter: c.Response()}
			r := c.Request().Clone(context.WithValue(c.Request().Context(), tusFailureKey, &own))
			if r.Method == http.MethodPatch {
				// A graceful stop, or a newer request, ends the body where it is; what arrived is kept and the
				// client goes on later. Not by cancelling the context with tusd's cause: tusd then looks at the
				// body from another goroutine while it may just be making it.
				r.Body = stoppableBody{r.Body, w}
				own.interrupt = func() { w.stopReading(handler.ErrUploadInterrupted) }
				defer context.AfterFunc(s.closing, func() { w.stopReading(handler.ErrServerShutdown) })()
			}
			r.URL.Path = "/" + c.Param("id")
			r.Header.Del("X-HTTP-Method-Override") // policies are per method
			wrapped.ServeHTTP(w, r)
			w.over()
			// tusd sets deadlines on the connection, which may serve something long next.
			_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Time{})
			return w.problem(own.err)
		}
	}
	enter := []echo.MiddlewareFunc{noStore, s.authenticate, s.enforceTus}
	s.echo.HEAD(tusBase+":id", serve(h.HeadFile), enter...)
	s.echo.PATCH(tusBase+":id", serve(h.PatchFile), enter...)
	s.echo.DELETE(tusBase+":id", serve(h.DelFile), enter...)
	options := serve(func(http.ResponseWriter, *http.Request) {}) // answered by tusd's middleware; tells nothing secret
	for _, p := range []string{strings.TrimSuffix(tusBase, "/"), tusBase, tusBase + ":id"} {
		s.echo.OPTIONS(p, options)
	}
	create := func(echo.Context) error {
		return gateway.E(gateway.Invalid, "create_by_rest", "Uploads are not created here.").
			Next("POST /v1/hubs/{hub}/uploads and send the bytes to the tus_url it gives.")
	}
	s.echo.POST(strings.TrimSuffix(tusBase, "/"), create, s.authenticate)
	s.echo.POST(tusBase, create, s.authenticate)
	return nil
}

// enforceTus finds the actor whose upload it is. The address does not name the hub, so that it
// stays short and stable; a person in several hubs is asked for in each.
func (s *Server) enforceTus(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		who := callerOf(r.Context())
		var hubs []string
		switch {
		case who.token != nil:
			hubs = []string{who.token.HubID}
		case who.session != nil:
			in, err := s.hubs.Belongings(r.Context(), who.session.Issuer, who.session.Subject)
			if err != nil {
				return err
			}
			for _, b := range in {
				hubs = append(hubs, b.Hub.ID)
			}
		default:
			return errSignIn()
		}
		for _, hub := range hubs {
			a, err := s.actorIn(r.Context(), who, hub, tusPolicy)
			if err != nil {
				return err
			}
			if err := s.allowed(c, a, tusPolicy); err != nil {
				return err
			}
			u, err := s.uploads.Get(r.Context(), a, c.Param("id"))
			switch {
			case err == nil && !mine(a, u.ParticipantID, u.ClientID):
				return errNoUpload() // an admin may look at an upload and cancel it by REST, not write into it
			case err == nil && (u.State == gateway.UploadCancelled || u.State == gateway.UploadExpired):
				return gateway.E(gateway.NotFound, "upload_gone", "This upload was cancelled or has expired.").Next("Create a new one.")
			case err == nil:
				c.SetRequest(r.WithContext(context.WithValue(r.Context(), actorKey, a)))
				return next(c)
			case gateway.CodeOf(err) != gateway.NotFound:
				return err
			}
		}
		return errNoUpload()
	}
}

func errNoUpload() *gateway.Error {
	return gateway.E(gateway.NotFound, "upload_not_found", "There is no such upload, or it is not yours.").
		Next("List your uploads, or create a new one.")
}

// tusStore is tusd's view of gateway.Uploads. The actor comes with the context.
type tusStore struct{ uploads *gateway.Uploads }

func (t tusStore) NewUpload(context.Context, handler.FileInfo) (handler.Upload, error) {
	return nil, handler.ErrNotImplemented
}

func (t tusStore) GetUpload(ctx context.Context, id string) (handler.Upload, error) {
	return tusUpload{t.uploads, actorOf(ctx), id}, nil
}

func (t tusStore) AsTerminatableUpload(u handler.Upload) handler.TerminatableUpload {
	return u.(tusUpload)
}

type tusUpload struct {
	uploads *gateway.Uploads
	actor   gateway.Actor
	id      string
}

func (u tusUpload) GetInfo(ctx context.Context) (handler.FileInfo, error) {
	up, offset, err := u.uploads.Offset(ctx, u.actor, u.id)
	if err != nil {
		return handler.FileInfo{}, tusError(ctx, err)
	}
	return handler.FileInfo{ID: u.id, Size: up.Size, Offset: offset, MetaData: handler.MetaData{"filename": up.Name}}, nil
}

func (u tusUpload) WriteChunk(ctx context.Context, offset int64, src io.Reader) (int64, error) {
	n, err := u.uploads.Write(ctx, u.actor, u.id, offset, src)
	return n, tusError(ctx, err)
}

func (u tusUpload) GetReader(context.Context) (io.ReadCloser, error) {
	return nil, handler.ErrNotImplemented
}

// FinishUpload is tusd's word for "all bytes are there". Nothing follows from that with us.
func (u tusUpload) FinishUpload(context.Context) error { return nil }

func (u tusUpload) Terminate(ctx context.Context) error {
	_, err := u.uploads.Cancel(ctx, u.actor, u.id)
	return tusError(ctx, err)
}

// tusLocker lets one request at a time have an upload. A newer one interrupts the one that writes.
type tusLocker struct{ handler.Locker }

func (l tusLocker) NewLock(id string) (handler.Lock, error) {
	lock, err := l.Locker.NewLock(id)
	return tusLock{lock}, err
}

type tusLock struct{ lock handler.Lock }

// Lock has tusd's way to interrupt replaced by ours, which stops the reading only.
func (l tusLock) Lock(ctx context.Context, _ func()) error {
	interrupt := func() {}
	if f, ok := ctx.Value(tusFailureKey).(*tusFailure); ok && f.interrupt != nil {
		interrupt = f.interrupt
	}
	return l.lock.Lock(ctx, interrupt)
}

func (l tusLock) Unlock() error { return l.lock.Unlock() }

// tusFailure holds our own error while tusd answers in its way, which knows a status and a text only,
// and what ends the body of a request that writes.
type tusFailure struct {
	err       error
	interrupt func()
}

func tusError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var te handler.Error
	if errors.As(err, &te) { // the body reader's: client gone, too long
		return te
	}
	if f, ok := ctx.Value(tusFailureKey).(*tusFailure); ok {
		f.err = err
	}
	return err
}

// tusWriter holds tusd's plain-text errors back, so that they are answered as problems, and keeps
// tusd's deadlines away from whatever the connection serves next.
type tusWriter struct {
	http.ResponseWriter
	failed int
	body   []byte

	mu       sync.Mutex
	stopped  error // why reading is to stop
	cut      bool  // reading was cut off, which ends the connection
	answered bool
}

// SetReadDeadline is tusd's, until reading is to stop or the request has been answered. By then the
// connection serves another request, which net/http would cancel, and all that follow on it.
func (w *tusWriter) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answered {
		return nil
	}
	if w.stopped != nil {
		t = time.Now()
	}
	w.cut = w.cut || !t.After(time.Now())
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(t)
}

// SetWriteDeadline is tusd's while the request lasts.
func (w *tusWriter) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answered {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).SetWriteDeadline(t)
}

// stopReading wakes a read that waits for a silent client, and lets none follow.
func (w *tusWriter) stopReading(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answered || w.stopped != nil {
		return
	}
	w.stopped, w.cut = why, true
	_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(time.Now())
}

// stoppableBody says why it ends when reading was stopped.
type stoppableBody struct {
	io.ReadCloser
	w *tusWriter
}

func (b stoppableBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	if b.w.stopped != nil {
		err = b.w.stopped
	}
	return n, err
}

// over is when tusd has nothing more to say. A connection that was cut off is not used again.
func (w *tusWriter) over() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut && !w.answered {
		w.Header().Set("Connection", "close")
	}
	w.answered = true
}

func (w *tusWriter) WriteHeader(status int) {
	w.over()
	if status >= 400 {
		w.failed = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *tusWriter) Write(b []byte) (int, error) {
	if w.failed != 0 {
		w.body = append(w.body, b...)
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets tusd reach what else the connection can do.
func (w *tusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// problem gives what tusd refused with, in our words.
func (w *tusWriter) problem(own error) error {
	switch {
	case w.failed == 0:
		return nil
	case own != nil:
		return own
	}
	code, _, _ := strings.Cut(string(w.body), ":")
	if e, ok := tusProblems[code]; ok {
		return e
	}
	if w.failed == http.StatusLocked { // an answer to HEAD has no text
		return tusProblems["ERR_UPLOAD_LOCKED"]
	}
	if w.failed < 500 {
		return gateway.E(gateway.Invalid, "tus", "The upload request is not as tus 1.0 wants it.").
			Next("Use a tus client.").Because(errors.New(string(w.body)))
	}
	return errors.New("tus: " + string(w.body))
}

// tusProblems are tusd's own refusals in our words.
var tusProblems = map[string]*gateway.Error{
	"ERR_MISMATCHED_OFFSET": gateway.E(gateway.Conflict, "offset_mismatch", "The upload is not at that offset.").
		Next("HEAD tells the offset; go on from there."),
	"ERR_READ_TIMEOUT": gateway.E(gateway.Unavailable, "too_slow", "No bytes came for a minute.").
		Next("HEAD tells the offset; go on from there."),
	"ERR_UPLOAD_LOCKED": gateway.E(gateway.Conflict, "upload_locked", "Another request is writing to this upload.").
		Next("Wait for it to end, then HEAD for the offset.").After(time.Second),
	"ERR_UPLOAD_SIZE_EXCEEDED": gateway.E(gateway.TooLarge, "beyond_size", "These bytes go beyond the size the upload was announced with.").
		Next("Create a new upload with the right size."),
	"ERR_LOCK_TIMEOUT": gateway.E(gateway.Conflict, "upload_locked", "Another request is writing to this upload.").
		Next("Wait for it to end, then HEAD for the offset.").After(time.Second),
	"ERR_UPLOAD_INTERRUPTED": gateway.E(gateway.Conflict, "upload_taken_over", "A newer request took this upload over.").
		Next("HEAD tells the offset; let one client at a time send."),
	"ERR_SERVER_SHUTDOWN": gateway.E(gateway.Unavailable, "stopping", "The server is stopping; what arrived is kept.").
		Next("HEAD tells the offset; go on from there in a moment.").After(2 * time.Second),
	"ERR_UNEXPECTED_EOF": gateway.E(gateway.Invalid, "body_cut", "The body ended before its announced length.").
		Next("HEAD tells the offset; go on from there."),
	"ERR_INVALID_OFFSET": gateway.E(gateway.Invalid, "bad_offset", "Upload-Offset is missing or no number.").
		Next("Send the offset that HEAD told."),
	"ERR_INVALID_CONTENT_TYPE": gateway.E(gateway.Invalid, reasonMediaType, "The content type must be application/offset+octet-stream.").
		Next("Set Content-Type so, or use a tus client."),
	"ERR_UNSUPPORTED_VERSION": gateway.E(gateway.Precondition, reasonTusVersion, "The tus version is missing or not 1.0.0.").
		Next("Send Tus-Resumable: 1.0.0, or use a tus client."),
}

// discard drops tusd's own log lines.
type discard struct{}

func (discard) Enabled(context.Context, xslog.Level) bool  { return false }
func (discard) Handle(context.Context, xslog.Record) error { return nil }
func (d discard) WithAttrs([]xslog.Attr) xslog.Handler     { return d }
func (d discard) WithGroup(string) xslog.Handler           { return d }
