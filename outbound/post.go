package outbound

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"isthmus/gateway"
)

// Poster sends small bodies to addresses that somebody typed in. It implements gateway.Poster; safe
// for concurrent use.
type Poster struct {
	options Options
	client  *http.Client
}

// NewPoster makes a poster over a guarded client.
func NewPoster(o Options) *Poster { return &Poster{options: o, client: New(o)} }

// Check implements gateway.Poster.
func (p *Poster) Check(url string) (string, error) { return p.options.WebhookURL(url) }

// beginning is how much of an answer is looked at. The rest is read a little further, so that the
// connection can be used again, and then cut off.
const beginning, further = 2 << 10, 62 << 10

// Post implements gateway.Poster. Redirects are not followed.
func (p *Poster) Post(ctx context.Context, url string, header map[string]string, body []byte) (gateway.Posted, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return gateway.Posted{}, gateway.E(gateway.Invalid, "webhook_url_malformed", "The address is malformed.").Because(Clean(err))
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	req.Header.Set("User-Agent", "Isthmus-Webhooks/1")
	res, err := p.client.Do(req)
	if err != nil {
		var known *gateway.Error
		switch {
		case errors.As(err, &known):
			return gateway.Posted{}, webhookError(known).Because(Clean(err))
		case errors.Is(err, context.DeadlineExceeded):
			return gateway.Posted{}, gateway.E(gateway.Unavailable, "webhook_slow", "The receiver did not answer in time.").Because(Clean(err))
		}
		return gateway.Posted{}, gateway.E(gateway.Unavailable, "webhook_down", "The receiver cannot be reached.").Because(Clean(err))
	}
	defer func() { _ = res.Body.Close() }()
	// The status is the answer: a body that trickles or breaks off changes nothing about it.
	brief, cancel := context.WithTimeout(ctx, time.Second)
	stop := context.AfterFunc(brief, func() { _ = res.Body.Close() })
	begin, err := io.ReadAll(io.LimitReader(res.Body, beginning))
	if err == nil {
		_, _ = io.CopyN(io.Discard, res.Body, further)
	}
	stop()
	cancel()
	return gateway.Posted{Status: res.StatusCode, Retry: retryAfter(res.Header.Get("Retry-After"), time.Now()), Body: begin}, nil
}

// retryAfter reads that header: seconds or a date; nonsense and the past are 0.
func retryAfter(h string, now time.Time) time.Duration {
	h = strings.TrimSpace(h)
	if at, err := http.ParseTime(h); err == nil {
		return max(0, at.Sub(now))
	}
	seconds, err := strconv.ParseInt(h, 10, 64)
	if errors.Is(err, strconv.ErrRange) && seconds > 0 || seconds > math.MaxInt64/int64(time.Second) {
		return math.MaxInt64
	}
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
