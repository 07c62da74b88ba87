package outbound

import (
	"bytes"
	"context"
	"errors"
	"io"
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

// Post implements gateway.Poster. Redirects are not followed; of the answer only the status counts.
func (p *Poster) Post(ctx context.Context, url string, header map[string]string, body []byte) (int, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, 0, gateway.E(gateway.Invalid, "webhook_url_malformed", "The address is malformed.").Because(Clean(err))
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
			return 0, 0, webhookError(known).Because(Clean(err))
		case errors.Is(err, context.DeadlineExceeded):
			return 0, 0, gateway.E(gateway.Unavailable, "webhook_slow", "The receiver did not answer in time.").Because(Clean(err))
		}
		return 0, 0, gateway.E(gateway.Unavailable, "webhook_down", "The receiver cannot be reached.").Because(Clean(err))
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be used again
	seconds, err := strconv.Atoi(strings.TrimSpace(res.Header.Get("Retry-After")))
	if err != nil || seconds < 0 {
		seconds = 0
	}
	return res.StatusCode, time.Duration(seconds) * time.Second, nil
}
