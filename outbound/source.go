package outbound

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"isthmus/gateway"
)

// Source fetches media from addresses that clients name. It implements gateway.Fetcher; safe for
// concurrent use.
type Source struct {
	options Options
	client  *http.Client
}

// NewSource makes a source over a guarded client.
func NewSource(o Options) *Source { return &Source{options: o, client: New(o)} }

// silence is how long a source may send nothing in the middle of a file before it counts as broken off:
// else whoever registers addresses could hold workers for hours.
const silence = time.Minute

// mostHops is how many redirects are followed: media often lie behind one or two. Each is checked
// like the first address, and nothing is sent along that would be a secret.
const mostHops = 5

// Check implements gateway.Fetcher.
func (s *Source) Check(raw string) (string, error) {
	u, err := s.options.WebhookURL(raw)
	return u, sourceError(err)
}

// Fetch implements gateway.Fetcher.
func (s *Source) Fetch(ctx context.Context, raw string, start int64, mark string) (gateway.Fetched, error) {
	for range mostHops + 1 {
		at, err := s.Check(raw)
		if err != nil {
			return gateway.Fetched{}, err
		}
		res, err := s.get(ctx, at, start, mark)
		if err != nil {
			return gateway.Fetched{}, err
		}
		next, err := redirected(at, res)
		if err == nil && next == "" {
			return answered(res, start, mark)
		}
		_ = res.Body.Close() // only read
		if err != nil {
			return gateway.Fetched{}, err
		}
		raw = next
	}
	return gateway.Fetched{}, gateway.E(gateway.Invalid, "source_url_redirects", "The address leads from one address to the next without end.").
		Next("Give the address of the file itself.").At("/url")
}

func (s *Source) get(outer context.Context, at string, start int64, mark string) (*http.Response, error) {
	ctx, cancel := context.WithCancel(outer)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		cancel()
		return nil, sourceBad("malformed").Because(Clean(err))
	}
	req.Header.Set("User-Agent", "Isthmus-Library/1")
	req.Header.Set("Accept", "video/*, image/*, audio/*, */*;q=0.5")
	req.Header.Set("Accept-Encoding", "identity") // ranges count the bytes of the file itself
	if start > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", start))
		req.Header.Set("If-Range", mark)
	}
	res, err := s.client.Do(req)
	if err == nil {
		most := s.options.Silence
		if most == 0 {
			most = silence
		}
		res.Body = &watched{res.Body, outer, time.AfterFunc(most, cancel), most, cancel}
		return res, nil
	}
	cancel()
	var known *gateway.Error
	switch {
	case outer.Err() != nil:
		return nil, outer.Err()
	case errors.As(err, &known):
		return nil, sourceError(known.Because(Clean(err)))
	}
	return nil, gateway.E(gateway.Unavailable, "source_down", "The address cannot be reached.").
		Next("Nothing is lost; it is tried again by itself.").Because(Clean(err))
}

// watched is a body that ends when nothing came for a while.
type watched struct {
	io.ReadCloser
	outer  context.Context
	bell   *time.Timer
	most   time.Duration
	cancel context.CancelFunc
}

func (w *watched) Read(p []byte) (int, error) {
	w.bell.Reset(w.most) // while nobody reads, nothing can come
	n, err := w.ReadCloser.Read(p)
	w.bell.Stop()
	if errors.Is(err, context.Canceled) && w.outer.Err() == nil {
		err = gateway.E(gateway.Unavailable, "source_silent", "The address stopped sending.").Next("Nothing is lost; it goes on by itself.").Because(Clean(err))
	}
	return n, err
}

func (w *watched) Close() error {
	w.bell.Stop()
	w.cancel()
	return w.ReadCloser.Close()
}

// redirected gives the address that an answer points to, empty when it is the answer itself.
func redirected(at string, res *http.Response) (string, error) {
	switch res.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return "", nil
	}
	from, err := url.Parse(at)
	if err != nil {
		return "", sourceBad("malformed")
	}
	to, err := from.Parse(res.Header.Get("Location"))
	if err != nil || res.Header.Get("Location") == "" {
		return "", gateway.E(gateway.Invalid, "source_url_redirects", "The address leads to something that is no address.").
			Next("Give the address of the file itself.").At("/url")
	}
	to.Fragment, to.RawFragment = "", ""
	return to.String(), nil
}

// answered makes of an answer what the library reads.
func answered(res *http.Response, start int64, mark string) (f gateway.Fetched, err error) {
	f = gateway.Fetched{Body: res.Body, Size: -1, Mark: markOf(res.Header)}
	switch {
	case res.StatusCode == http.StatusOK && start == 0:
		f.Size = res.ContentLength
		err = peek(&f)
	case res.StatusCode == http.StatusPartialContent && start > 0:
		var from int64
		from, f.Size = contentRange(res.Header.Get("Content-Range"))
		if from != start || f.Mark != mark {
			err = errSourceChanged()
		}
	case res.StatusCode == http.StatusOK || res.StatusCode == http.StatusPartialContent || res.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		err = errSourceChanged()
	default:
		err = statusError(res)
	}
	if err != nil {
		_ = res.Body.Close() // only read
		return gateway.Fetched{}, err
	}
	return f, nil
}

func errSourceChanged() error {
	return gateway.E(gateway.Conflict, "source_changed", "The file at the address cannot be continued where it broke off.").
		Next("It is fetched anew by itself.")
}

// markOf gives what a file is known by: a strong ETag or else the time of its last change.
func markOf(h http.Header) string {
	if t := h.Get("ETag"); t != "" && !strings.HasPrefix(t, "W/") && len(t) <= 500 {
		return t
	}
	if t := h.Get("Last-Modified"); len(t) <= 100 {
		return t
	}
	return ""
}

// contentRange reads "bytes 7-99/100".
func contentRange(h string) (from, size int64) {
	span, whole, _ := strings.Cut(strings.TrimPrefix(h, "bytes "), "/")
	first, _, _ := strings.Cut(span, "-")
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return -1, -1
	}
	if size, err = strconv.ParseInt(whole, 10, 64); err != nil {
		size = -1
	}
	return from, size
}

// peek looks at the first bytes: a login page or an archive need not be fetched to the end. What the
// file really is, the media pipeline decides.
func peek(f *gateway.Fetched) error {
	buffered := bufio.NewReaderSize(f.Body, 4096)
	head, err := buffered.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return gateway.E(gateway.Unavailable, "source_down", "The address broke off.").Next("It is tried again by itself.").Because(Clean(err))
	}
	kind := http.DetectContentType(head)
	if main, _, _ := strings.Cut(kind, "/"); len(head) > 0 && (main == "text" || strings.HasPrefix(kind, "application/") && kind != "application/octet-stream" && kind != "application/ogg") {
		return gateway.E(gateway.Invalid, "source_not_media", "There is no media file at the address, but something like "+kind+".").
			Next("Give the address of the file itself, which must open without signing in.").At("/url")
	}
	f.Body = &peeked{buffered, f.Body}
	return nil
}

type peeked struct {
	io.Reader
	io.Closer
}

func statusError(res *http.Response) error {
	switch c := res.StatusCode; {
	case c == http.StatusNotFound || c == http.StatusGone:
		return gateway.E(gateway.NotFound, "source_not_found", "There is nothing at the address.").Next("Check the address and register it again.")
	case c == http.StatusTooManyRequests || c >= 500:
		e := gateway.E(gateway.Unavailable, "source_down", fmt.Sprintf("The address answers with status %d.", c)).Next("Nothing is lost; it is tried again by itself.")
		if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
			e = e.After(min(time.Duration(s)*time.Second, time.Hour))
		}
		return e
	default:
		return gateway.E(gateway.Forbidden, "source_refused", fmt.Sprintf("The address refuses with status %d.", c)).
			Next("Give an address that opens without signing in, for example a signed one that is good for some hours.")
	}
}

// sourceError says in the words of media sources what the guard says in those of webhooks or service URLs.
func sourceError(err error) error {
	e := gateway.AsError(err)
	if e == nil {
		return nil
	}
	for _, prefix := range []string{"webhook_url_", "service_url_"} {
		if kind, ok := strings.CutPrefix(e.Reason, prefix); ok {
			return sourceBad(kind).Because(e.Err)
		}
	}
	return e
}

func sourceBad(kind string) *gateway.Error {
	words := map[string][2]string{
		"internal":  {"This address is not on the public internet.", "Use a public address of the file, upload the file instead, or ask the operator to allow the network."},
		"not_https": {"The address does not begin with https://.", "Use the https address of the file."},
		"scheme":    {"The address does not begin with https://.", "Use the https address of the file."},
		"port":      {"Only port 443 may be called.", "Leave the port out, or ask the operator to allow the network."},
		"userinfo":  {"The address holds a user name or password.", "Use a signed address, or upload the file instead."},
		"host":      {"The host name of the address is not one we accept.", "Write the plain host name, like media.example.org."},
	}
	w, ok := words[kind]
	if !ok {
		kind, w = "malformed", [2]string{"This is not a web address that can be fetched.", "Write it like https://media.example.org/film.mp4, without a fragment."}
	}
	return gateway.E(gateway.Invalid, "source_url_"+kind, w[0]).Next("%s", w[1]).At("/url")
}
