package kaltura

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"isthmus/gateway"
)

const (
	answerLimit  = 4 << 20 // a page of 100 entries has a tenth of it
	answerUsual  = 1 << 20 // larger ones are read one at a time
	answerDepth  = 32
	answerWidth  = 2000 // elements of one array or object
	clientTag    = "isthmus"
	formatJSON   = 1
	maxMediaHops = 3
)

// client posts calls to one Kaltura server. Safe for concurrent use.
type client struct {
	timing
	base  string // service URL without trailing slash
	http  *http.Client
	clock gateway.Clock
	large chan struct{} // one place
}

func newClient(base string, rt http.RoundTripper, clock gateway.Clock, t timing) *client {
	return &client{timing: t, base: base, clock: clock, large: make(chan struct{}, 1), http: &http.Client{
		Transport: rt,
		// A redirected call would post the KS to wherever the server points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is the body of a call and when the server said it.
type answer struct {
	body []byte
	date time.Time // the server's clock, if it told
}

// call posts one action as JSON. ks may be empty. Errors are *apiError or *fault.
func (c *client) call(ctx context.Context, op string, p params, ks string) (answer, error) {
	body := make(params, len(p)+3)
	for k, v := range p {
		body[k] = v
	}
	body["format"] = formatJSON
	body["clientTag"] = clientTag
	if ks != "" {
		body["ks"] = ks
	}
	b, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.action(c.base, op), bytes.NewReader(b))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json") // exactly: with a charset Kaltura ignores the body
	return c.send(req, op)
}

func (c *client) action(base, op string) string {
	service, action, _ := strings.Cut(op, ".")
	if action == "" {
		return base + "/api_v3/service/" + service
	}
	return base + "/api_v3/service/" + service + "/action/" + action
}

// send performs an API request and sorts the answer.
func (c *client) send(req *http.Request, op string) (answer, error) {
	req.Header.Set("Accept", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, netFault(op, err)
	}
	res.Body = idle(res.Body, c.silence())
	defer func() { _ = res.Body.Close() }()
	if f := statusFault(op, res); f != nil {
		return answer{}, f
	}
	b, err := c.read(req.Context(), op, res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{body: bytes.TrimSpace(b)}
	a.date, _ = http.ParseTime(res.Header.Get("Date"))
	return a, check(op, a.body)
}

// read takes an answer into memory. Of the large ones only one at a time, so that a server that
// answers every call with as much as we take costs us that much once.
func (c *client) read(ctx context.Context, op string, body io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(body, answerUsual))
	if err != nil {
		return nil, netFault(op, err)
	}
	if len(b) < answerUsual {
		return b, nil
	}
	select {
	case c.large <- struct{}{}:
		defer func() { <-c.large }()
	case <-ctx.Done():
		return nil, netFault(op, ctx.Err())
	}
	all := bytes.NewBuffer(b)
	if _, err := all.ReadFrom(io.LimitReader(body, answerLimit-answerUsual+1)); err != nil {
		return nil, netFault(op, err)
	}
	if all.Len() > answerLimit {
		return nil, &fault{Op: op, Kind: faultTooLarge}
	}
	return all.Bytes(), nil
}

// tame tells whether valid JSON stays small when it is decoded: every "{}," of a long list becomes a
// whole struct, which would make a gigabyte of some megabytes.
func tame(b []byte) bool {
	var width [answerDepth]int
	depth := 0
	text, escaped := false, false
	for _, c := range b {
		switch {
		case escaped:
			escaped = false
		case text:
			text, escaped = c != '"', c == '\\'
		case c == '"':
			text = true
		case c == '{', c == '[':
			if depth == answerDepth {
				return false
			}
			width[depth] = 1
			depth++
		case c == '}', c == ']':
			depth--
		case c == ',':
			if width[depth-1]++; width[depth-1] > answerWidth {
				return false
			}
		}
	}
	return true
}

// statusFault sorts HTTP statuses. Kaltura's own errors come with 200.
func statusFault(op string, res *http.Response) error {
	f := &fault{Op: op, Status: res.StatusCode, Retry: retryAfter(res.Header)}
	switch s := res.StatusCode; {
	case s == http.StatusOK:
		return nil
	case s == http.StatusTooManyRequests:
		f.Kind = faultBusy
	case s >= 500:
		f.Kind = faultStatus
	case s >= 300 && s < 400:
		f.Kind = faultRedirect
	default:
		f.Kind = faultNotAPI
	}
	return f
}

func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil && s >= 0 {
		return min(time.Duration(s)*time.Second, time.Hour)
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, min(time.Until(t), time.Hour))
	}
	return 0
}

// check finds exceptions, pages and halves among 200 answers.
func check(op string, b []byte) error {
	if len(b) == 0 {
		return &fault{Op: op, Kind: faultGarbled, Status: 200}
	}
	if b[0] == '<' {
		return &fault{Op: op, Kind: faultNotAPI, Status: 200}
	}
	if !json.Valid(b) {
		return &fault{Op: op, Kind: faultGarbled, Status: 200}
	}
	if !tame(b) {
		return &fault{Op: op, Kind: faultTooLarge, Status: 200}
	}
	if b[0] != '{' {
		return nil
	}
	var e struct {
		ObjectType string `json:"objectType"`
		exception
		Result json.RawMessage `json:"result"`
	}
	if len(b) > 64<<10 || json.Unmarshal(b, &e) != nil {
		return nil // no exception is that long, and none has such members
	}
	if e.ObjectType == "KalturaAPIException" || e.Code != "" && e.Message != nil && e.ObjectType == "" {
		return e.exception.err(op)
	}
	if len(e.Result) > 0 {
		var w struct {
			Error exception `json:"error"`
		}
		if json.Unmarshal(e.Result, &w) == nil && w.Error.Code != "" {
			return w.Error.err(op)
		}
	}
	return nil
}

type exception struct {
	Code    text            `json:"code"`
	Message *text           `json:"message"`
	Args    json.RawMessage `json:"args"` // an object, or [] when there are none
}

func (x exception) err(op string) error {
	e := &apiError{Op: op, Code: string(x.Code)}
	if e.Code == codeInvalidKS {
		var args map[string]text
		_ = json.Unmarshal(x.Args, &args)
		e.State = ksState(string(args["KSID"]), string(args["ERR_CODE"]))
	}
	return e
}

// ksState reads the meaning of INVALID_KS out of its first argument, without keeping a KS.
func ksState(ksid, number string) string {
	switch {
	case ksid == "EXPIRED", ksid == "LOGOUT", strings.HasPrefix(ksid, "EXCEEDED_") && len(ksid) < 40:
		return ksid
	case ksid == "" && number == "-4":
		return ""
	}
	return "other"
}

// decode reads an answer into out; a shape we do not expect is a garbled answer.
func (a answer) decode(op string, out any) error {
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return &fault{Op: op, Kind: faultGarbled, Status: 200, Err: errors.New("unexpected shape")}
	}
	return nil
}

// netFault sorts errors of the transport and drops the URL that net/http puts into them.
func netFault(op string, err error) error {
	var ge *gateway.Error
	if errors.As(err, &ge) { // refused by the guarded dialer
		return ge
	}
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	kind := faultUnreachable
	var ne net.Error
	var name *net.DNSError
	var cert *tls.CertificateVerificationError
	var auth x509.UnknownAuthorityError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &cert), errors.As(err, &auth), errors.As(err, &host), errors.As(err, &record):
		kind = faultTLS
	case errors.As(err, &name):
		kind = faultName
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		kind = faultTimeout
	}
	return &fault{Op: op, Kind: kind, Err: err}
}

// get fetches media bytes. It sends no KS, follows at most three redirects and accepts no step down
// from https; where a hop may lead is for the guarded dialer to say.
func (c *client) get(ctx context.Context, op, address string, header http.Header) (*http.Response, error) {
	own, err := url.Parse(c.base)
	if err != nil {
		return nil, err
	}
	at, err := own.Parse(address)
	if err != nil {
		return nil, &fault{Op: op, Kind: faultNotAPI}
	}
	for range maxMediaHops + 1 {
		if at.Scheme == "http" && own.Scheme == "https" {
			at.Scheme = "https" // Kaltura hands out http addresses when asked over a proxy
		}
		if at.Scheme != "https" && at.Scheme != own.Scheme || at.User != nil {
			return nil, &fault{Op: op, Kind: faultRedirect}
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
		if err != nil {
			return nil, &fault{Op: op, Kind: faultNotAPI}
		}
		for k, v := range header {
			req.Header[k] = v
		}
		res, err := c.http.Do(req)
		if err != nil {
			return nil, netFault(op, err)
		}
		if res.StatusCode < 300 || res.StatusCode >= 400 {
			return res, nil
		}
		_ = res.Body.Close()
		if at, err = at.Parse(res.Header.Get("Location")); err != nil {
			return nil, &fault{Op: op, Kind: faultRedirect, Status: res.StatusCode}
		}
	}
	return nil, &fault{Op: op, Kind: faultRedirect}
}
