package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"isthmus/openapi"
	"isthmus/transfer"
)

// How files go over HTTPS: several at once, because each costs round trips of its own; in requests of a
// bounded size, because blocks that came by the fast path are skipped between two of them.
const (
	httpsAtOnce = 4
	httpsPart   = 64 << 20
	httpsChunk  = 256 << 10
	httpsWait   = time.Second
	httpsLong   = 30 * time.Second
)

// startHTTPS sends what has not ended by tus; the function ends that and waits for it.
func (g *sending) startHTTPS(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		var all errgroup.Group
		all.SetLimit(httpsAtOnce)
		for _, f := range g.files {
			all.Go(func() error {
				g.put(ctx, f)
				return nil
			})
		}
		_ = all.Wait() // nothing fails: each file's end is noted
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// put sends one upload until it has ended or ctx does.
func (g *sending) put(ctx context.Context, f *outgoing) {
	wait := httpsWait
	for ctx.Err() == nil && !g.isOver(f) {
		before := g.lastOffset(f)
		err := g.step(ctx, f)
		if err == nil {
			g.online(true, "")
		}
		if g.lastOffset(f) > before {
			wait = httpsWait
		}
		var refusal *failure
		var own unreadable
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil:
			return
		case errors.Is(err, errOffset):
			wait = httpsWait
		case errors.As(err, &own) && transfer.CodeOf(err) == transfer.CodeChanged:
			te, _ := errors.AsType[*transfer.Error](err)
			g.spoilt(f.id, te.Text)
		case errors.As(err, &own):
			g.end(f.id, fail(exitSome, "It cannot be read: "+reason(own.error)+".", ""), "")
		case lost(err):
			g.online(false, "the server cannot be reached")
		case errors.As(err, &refusal) && refusal.code == exitSignIn:
			g.stop(refusal)
			return
		case isBusy(err):
			if refusal.slug == "upload_taken_over" && !g.byOurselves(ctx) {
				g.end(f.id, errTakenOver(), "") // to try again would be to take it back
			}
			if refusal.slug == retryLater && wait > httpsWait { // not the first time
				g.online(false, refusal.text)
			}
		case refusal != nil:
			g.end(f.id, fail(exitSome, refusal.text, refusal.next), "")
		default:
			g.online(false, err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, httpsLong)
	}
}

// byOurselves tells whether the own fast path took uploads over: it then comes up, which ends ctx.
func (g *sending) byOurselves(ctx context.Context) bool {
	if !g.useFast() {
		return false
	}
	select {
	case <-ctx.Done():
		return true
	case <-time.After(3 * time.Second):
	}
	up, _, _, _ := g.state()
	return up
}

// settle ends what is still open of a transfer that is over at the server, by what became of each upload.
func (g *sending) settle(ctx context.Context) {
	var all errgroup.Group
	all.SetLimit(httpsAtOnce)
	for _, f := range g.files {
		if g.isOver(f) {
			continue
		}
		all.Go(func() error {
			u, err := g.session.upload(ctx, f.id, nil)
			if err != nil {
				return err
			}
			switch u.State {
			case openapi.UploadStateReceiving: // as part of another transfer
				g.end(f.id, errTakenOver(), "")
			case openapi.UploadStateCancelled, openapi.UploadStateExpired:
				g.end(f.id, fail(exitSome, "It was cancelled elsewhere.", "Send it again."), "")
			default:
				g.end(f.id, nil, deref(u.Sha256))
			}
			return nil
		})
	}
	_ = all.Wait() // what could not be asked stays open, and is asked again
}

// upload asks for one of the caller's uploads; wait: as a Prefer header says it.
func (s *session) upload(ctx context.Context, id string, wait *string) (*openapi.Upload, error) {
	r, err := s.api.GetUploadWithResponse(ctx, s.hub, id, &openapi.GetUploadParams{Prefer: wait})
	if err != nil {
		return nil, unreachable(err)
	}
	return answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
}

// busyReasons are refusals that pass.
var busyReasons = map[string]bool{
	"upload_taken_over": true, "upload_locked": true, "upload_busy": true, "stopping": true, "too_slow": true, "body_cut": true,
	"offset_mismatch": true, "incomplete": true, retryLater: true,
}

const retryLater = "retry_later"

func isBusy(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && (f.retry || busyReasons[f.slug])
}

// unreadable is a failure of our own file, which has nothing to do with the way to the server.
type unreadable struct{ error }

func (u unreadable) Unwrap() error { return u.error }

var errOffset = errors.New("the offset is another one")

func (g *sending) isOver(f *outgoing) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return f.ended
}

func (g *sending) lastOffset(f *outgoing) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return f.done
}

func (g *sending) setOffset(f *outgoing, offset int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f.done = offset
}

// online notes whether the server can be reached at all and takes bytes.
func (g *sending) online(yes bool, trouble string) {
	g.mu.Lock()
	before := g.path
	why := strings.TrimSuffix(trouble, ".")
	switch {
	case !yes && g.path == pathHTTPS:
		g.path = pathOffline
	case yes && g.path == pathOffline:
		g.path, why = pathHTTPS, g.why
	}
	now := g.path
	g.mu.Unlock()
	if now != before {
		g.tell(event{Event: "path", Transfer: g.id, Path: now, Why: why})
	}
}

// step asks for the offset and sends one part, or finishes when nothing is missing. Many small files cost one
// request less: a new upload's offset is known.
func (g *sending) step(ctx context.Context, f *outgoing) error {
	offset, err := g.head(ctx, f)
	if err != nil {
		return err
	}
	g.setOffset(f, offset)
	if f.size > httpsPart {
		f.hash(g.life) // beside the sending; asked for below
	}
	for offset < f.size {
		next, err := g.patch(ctx, f, offset)
		if err != nil {
			return err
		}
		g.setOffset(f, next)
		if next < f.size { // blocks that lie behind may be there
			if next, err = g.head(ctx, f); err != nil {
				return err
			}
		}
		offset = next
	}
	sum, err := f.digest(ctx, g.life)
	if err != nil {
		return unreadable{err}
	}
	r, err := g.session.api.FinishUploadWithResponse(ctx, g.session.hub, f.id, nil, openapi.FinishInput{Size: f.size, Sha256: &sum})
	if err != nil {
		return unreachable(err)
	}
	if _, err = answer(r.JSON202, r.ApplicationProblemJSONDefault, r.HTTPResponse); err != nil {
		return err
	}
	g.end(f.id, nil, sum)
	return nil
}

func (g *sending) tus(ctx context.Context, method string, f *outgoing, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.tusURL, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	return g.send(req)
}

// send makes a request and turns refusals into failures.
func (g *sending) send(req *http.Request) (*http.Response, error) {
	r, err := g.session.http.Do(req)
	if err != nil {
		return nil, unreachable(err)
	}
	if r.StatusCode < 300 {
		return r, nil
	}
	defer func() { _ = r.Body.Close() }() // only read
	return nil, problemOf(r)
}

// problemOf reads a refusal.
func problemOf(r *http.Response) *failure {
	var p openapi.Problem
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&p); err != nil || p.Code == "" {
		p = openapi.Problem{Status: r.StatusCode, Title: "The server answered " + r.Status + ".", Code: statusSlugs[r.StatusCode]}
	}
	if r.StatusCode == http.StatusTooManyRequests || r.StatusCode >= 500 {
		p.Code = retryLater
	}
	return refused(&p)
}

// statusSlugs are for answers to HEAD, which have no text.
var statusSlugs = map[int]string{http.StatusLocked: "upload_locked", http.StatusConflict: "upload_locked"}

// head asks how many bytes are there without a gap.
func (g *sending) head(ctx context.Context, f *outgoing) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, g.session.patience.stall)
	defer cancel()
	r, err := g.tus(ctx, http.MethodHead, f, nil)
	if err != nil {
		var refusal *failure
		if errors.As(err, &refusal) && refusal.code == exitRefused && refusal.slug == "" {
			return 0, g.explain(ctx, f, err)
		}
		return 0, err
	}
	defer func() { _ = r.Body.Close() }() // it has none
	return offsetOf(r)
}

// explain asks why an upload takes no bytes: HEAD has no words.
func (g *sending) explain(ctx context.Context, f *outgoing, instead error) error {
	u, err := g.session.upload(ctx, f.id, nil)
	if err != nil {
		return err
	}
	switch u.State {
	case openapi.UploadStateCancelled:
		return fail(exitRefused, "It was cancelled elsewhere.", "Send it again.")
	case openapi.UploadStateExpired:
		return fail(exitRefused, "It has expired; its bytes are gone.", "Send it again.")
	case openapi.UploadStateReceiving:
		return instead
	}
	g.end(f.id, nil, deref(u.Sha256)) // it is complete: the answer to our finish was lost
	return errOffset
}

func offsetOf(r *http.Response) (int64, error) {
	n, err := strconv.ParseInt(r.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || n < 0 {
		return 0, fail(exitRefused, "The server does not say how much has arrived.", "Is a proxy in between? It must pass Upload-Offset on.")
	}
	return n, nil
}

// patch sends one part and gives the offset behind it.
func (g *sending) patch(ctx context.Context, f *outgoing, offset int64) (int64, error) {
	file, err := f.reader()
	if err != nil {
		return 0, unreadable{err}
	}
	defer func() { _ = file.Close() }() // only read
	size := min(f.size-offset, httpsPart)
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body := &paced{ctx: ctx, g: g, f: f, at: offset, from: io.NewSectionReader(file, offset, size), stall: time.AfterFunc(g.session.patience.stall, cancel)}
	defer body.stall.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, f.tusURL, body)
	if err != nil {
		return 0, err
	}
	req.ContentLength = size
	req.Header.Set("Tus-Resumable", "1.0.0")
	req.Header.Set("Upload-Offset", strconv.FormatInt(offset, 10))
	req.Header.Set("Content-Type", "application/offset+octet-stream")
	r, err := g.send(req)
	var refusal *failure
	switch {
	case body.failure() != nil:
		return 0, unreadable{body.failure()}
	case errors.As(err, &refusal) && refusal.slug == "offset_mismatch":
		return 0, errOffset
	case err != nil && ctx.Err() != nil && outer.Err() == nil:
		return 0, fail(exitUnreachable, "The server takes no bytes.", "").because(err)
	case err != nil:
		return 0, err
	}
	defer func() { _ = r.Body.Close() }() // it has none
	return offsetOf(r)
}

// paced is the body of a part: read at the rate that was wished for, and counted.
type paced struct {
	ctx   context.Context
	g     *sending
	f     *outgoing
	at    int64
	from  io.Reader
	stall *time.Timer

	mu  sync.Mutex
	err error // of our own file
}

func (p *paced) Read(b []byte) (int, error) {
	b = b[:min(len(b), httpsChunk)]
	if err := p.g.limiter.WaitN(p.ctx, len(b)); err != nil {
		return 0, err
	}
	n, err := p.from.Read(b)
	p.stall.Reset(p.g.session.patience.stall)
	p.at += int64(n)
	p.g.mu.Lock()
	p.f.done = p.at
	p.g.wrote = time.Now()
	p.g.mu.Unlock()
	if err != nil && err != io.EOF {
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
	}
	return n, err
}

// Close is the transport's; the file is closed by who opened it.
func (p *paced) Close() error { return nil }

func (p *paced) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func sha256Of(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for ctx.Err() == nil {
		n, err := r.Read(buf)
		_, _ = h.Write(buf[:n]) // never fails
		switch {
		case err == io.EOF:
			return hex.EncodeToString(h.Sum(nil)), nil
		case err != nil:
			return "", err
		}
	}
	return "", ctx.Err()
}
