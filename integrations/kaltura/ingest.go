package kaltura

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"isthmus/gateway"
)

const maxNudges = 64

// Create implements gateway.Platform: an upload token, made anew or found again by its handle.
func (p *Platform) Create(ctx context.Context, a gateway.Actor, m gateway.NewMedia) (gateway.Ingest, error) {
	w, err := p.sender(ctx, a)
	if err != nil {
		return nil, public(err)
	}
	in := &ingest{p: p, who: w, size: m.Size, ownRight: a.OwnRight}
	var t uploadToken
	if m.Handle != "" {
		if err := p.as(ctx, w, "uploadtoken.get", params{"uploadTokenId": m.Handle}, &t); err != nil {
			return nil, public(err)
		}
	} else {
		// An add whose answer was lost leaves an empty token behind, which Kaltura clears away itself.
		err := p.as(ctx, w, "uploadtoken.add", params{"uploadToken": params{
			"objectType": "KalturaUploadToken", "fileName": fileName(m), "fileSize": m.Size,
		}}, &t)
		if err != nil {
			return nil, public(err)
		}
	}
	if t.ID == "" {
		return nil, public(&fault{Op: "uploadtoken", Kind: faultGarbled, Status: 200})
	}
	in.id, in.base = string(t.ID), p.uploadBase(string(t.UploadURL))
	if m.Handle != "" && m.Size == 0 { // somebody else's upload, of whatever size
		in.size = int64(t.UploadedFileSize)
	}
	if err := in.note(t); err != nil {
		return nil, public(err)
	}
	return in, nil
}

// fileName keeps the ending, from which Kaltura guesses the type; the entry's name is set apart.
func fileName(m gateway.NewMedia) string {
	n := m.FileName
	if i := strings.LastIndexAny(n, "/\\"); i >= 0 {
		n = n[i+1:]
	}
	if n = cutBytes(strings.TrimSpace(n), 200); n == "" {
		n = "upload"
	}
	return n
}

func cutBytes(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// uploadBase is where chunks go: an installation may name an upload host of its own. It gets the KS,
// so it must be https and of the same domain as the service URL.
func (p *Platform) uploadBase(address string) string {
	if address == "" {
		return p.base
	}
	own, err1 := url.Parse(p.base)
	u, err2 := url.Parse(address)
	if err1 != nil || err2 != nil || u.Scheme != "https" || own.Scheme != "https" || u.User != nil || domain(u.Hostname()) != domain(own.Hostname()) {
		return p.base
	}
	return "https://" + u.Host
}

// domain is the last three labels at most: upload.kaltura.com and www.kaltura.com share the last
// two, and where a public suffix has two labels (ac.uk) the third is needed.
func domain(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return host // numbers have no domain: those that end alike belong to anybody
	}
	l := strings.Split(strings.ToLower(host), ".")
	n := 2
	if len(l) >= 3 && len(l[len(l)-1]) == 2 && len(l[len(l)-2]) <= 3 {
		n = 3
	}
	return strings.Join(l[max(0, len(l)-n):], ".")
}

// ingest is one upload token.
//
// Kaltura wants a first chunk (resume=0) before any other, forgets all others when it gets one
// again, keeps chunks beyond a gap aside and joins them when a later call comes. So the first chunk
// is sent under a lock and once; a chunk that arrives before it is led in by an empty first one;
// everything after is sent at its offset with resume=1, where repeats are harmless; and Finish
// nudges until the size is right before it says that the file is whole.
type ingest struct {
	p    *Platform
	who  who
	id   string
	base string
	size int64

	ownRight bool // of the actor

	mu      sync.Mutex
	started bool // the first chunk is there
	whole   bool // the token is complete or used
}

// Handle implements gateway.Ingest.
func (in *ingest) Handle() string { return in.id }

func (in *ingest) note(t uploadToken) error {
	switch t.Status {
	case tokenPending:
		in.started, in.whole = false, false
	case tokenPartial:
		in.started, in.whole = true, false
	case tokenFull, tokenClosed:
		in.started, in.whole = true, true
	default: // timed out, deleted, error
		return ingestGone(nil)
	}
	return nil
}

func (in *ingest) token(ctx context.Context) (uploadToken, error) {
	var t uploadToken
	err := in.p.as(ctx, in.who, "uploadtoken.get", params{"uploadTokenId": in.id}, &t)
	return t, err
}

// WriteAt implements gateway.Ingest. When r can seek, a chunk is repeated here as needed.
func (in *ingest) WriteAt(ctx context.Context, offset, size int64, r io.Reader) error {
	if offset < 0 || size < 0 || offset+size > in.size {
		return gateway.E(gateway.Invalid, "range_invalid", "These bytes lie outside of the file.")
	}
	done, err := in.begin(ctx, offset, size, r)
	if err == nil && !done && size > 0 {
		_, err = in.chunk(ctx, chunk{offset: offset, size: size, r: r, resume: true})
	}
	return public(err)
}

// begin makes sure that the first chunk is there; done when that was this one.
func (in *ingest) begin(ctx context.Context, offset, size int64, r io.Reader) (done bool, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.whole || in.started {
		return in.whole, nil
	}
	first := chunk{r: bytes.NewReader(nil)}
	if offset == 0 {
		first.size, first.r, done = size, r, true
	}
	if _, err = in.chunk(ctx, first); err == nil {
		in.started = true
		return done, nil
	}
	var f *fault
	if !errors.As(err, &f) {
		return false, err
	}
	// Was it the answer or the chunk that got lost? A first chunk must not be sent on top of others.
	t, terr := in.token(ctx)
	if terr != nil {
		return false, err
	}
	if nerr := in.note(t); nerr != nil {
		return false, nerr
	}
	if in.started && int64(t.UploadedFileSize) >= first.size {
		return done, nil
	}
	return false, err
}

type chunk struct {
	offset, size  int64
	r             io.Reader
	resume, final bool
}

func (in *ingest) chunk(ctx context.Context, c chunk) (uploadToken, error) {
	const op = "uploadtoken.upload"
	seeker, canSeek := c.r.(io.Seeker)
	var begin int64
	if canSeek {
		var err error
		if begin, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			canSeek = false
		}
	}
	sent := false
	rewind := func() error {
		if !sent {
			sent = true
			return nil
		}
		if !canSeek {
			return gateway.E(gateway.Unavailable, "chunk_unrepeatable", "A chunk was interrupted and has to be sent again.").After(time.Second)
		}
		_, err := seeker.Seek(begin, io.SeekStart)
		return err
	}
	var t uploadToken
	err := in.p.with(ctx, in.who, func(s session) error {
		var a answer
		var err error
		// The first chunk is not repeated without looking; the others are harmless to repeat.
		tries := 1
		if c.resume && canSeek {
			tries = attempts
		}
		for try := 1; ; try++ {
			if err = rewind(); err != nil {
				return err
			}
			a, err = in.p.guard.send(ctx, op, func(ctx context.Context) (answer, error) { return in.post(ctx, op, c, s.ks) })
			if !sick(err) || try >= tries {
				break
			}
			if err := sleep(ctx, min(delay(try, err), in.p.linger())); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		return a.decode(op, &t)
	})
	return t, err
}

// post sends one chunk as a multipart body with its length known, without holding it in memory.
func (in *ingest) post(ctx context.Context, op string, c chunk, ks gateway.Secret) (answer, error) {
	meta, err := json.Marshal(params{
		"uploadTokenId": in.id, "resume": c.resume, "finalChunk": c.final, "resumeAt": c.offset,
		"format": formatJSON, "clientTag": clientTag, "ks": ks.Reveal(),
	})
	if err != nil {
		return answer{}, err
	}
	var head bytes.Buffer
	form := multipart.NewWriter(&head)
	if err := form.WriteField("json", string(meta)); err != nil {
		return answer{}, err
	}
	if _, err := form.CreateFormFile("fileData", "chunk"); err != nil {
		return answer{}, err
	}
	tail := "\r\n--" + form.Boundary() + "--\r\n"

	limit := in.p.chunkIdle()
	if c.final {
		limit = in.p.finalWait()
	}
	ctx, w, cancel := newWatch(ctx, limit)
	defer cancel()
	length := int64(head.Len()) + c.size + int64(len(tail))
	src := &source{r: io.LimitReader(c.r, c.size), want: c.size}
	body := w.reader(io.MultiReader(&head, src, strings.NewReader(tail)))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, in.p.action(in.base, op), io.NopCloser(body))
	if err != nil {
		return answer{}, err
	}
	req.ContentLength = length
	req.Header.Set("Content-Type", form.FormDataContentType())
	a, err := in.p.send(req, op)
	// An answer may come before the body is read, and c.r is read again in a repeat.
	if serr := src.stop(); err != nil && serr != nil {
		return a, &fault{Op: op, Kind: faultSource, Err: serr}
	}
	if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return a, &fault{Op: op, Kind: faultTimeout, Err: errIdle}
	}
	return a, err
}

// source remembers whether our own side failed to deliver the bytes. The transport may go on reading
// after the answer is there; after stop nothing is read any more.
type source struct {
	r    io.Reader
	want int64

	mu      sync.Mutex
	err     error
	stopped bool
}

// stop ends all reading and tells what went wrong with it.
func (s *source) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	return s.err
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return 0, net.ErrClosed
	}
	n, err := s.r.Read(p)
	s.want -= int64(n)
	if err == io.EOF && s.want > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
