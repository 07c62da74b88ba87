package openapi

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Kinds of tokens that ExchangeToken takes (RFC 8693 §3).
const (
	TokenTypeID     = "urn:ietf:params:oauth:token-type:id_token"
	TokenTypeAccess = "urn:ietf:params:oauth:token-type:access_token"
)

// Credentials of a registered client. Safe for concurrent use.
type Credentials struct {
	BaseURL      string // such as "https://isthmus.example.org", without a path
	ClientID     string
	ClientSecret string
	Scopes       []string     // nil: all that the client may have
	HTTP         *http.Client // nil: http.DefaultClient
}

// ClientCredentials gives tokens of the client itself, renewed before they end.
func (c Credentials) ClientCredentials(ctx context.Context) oauth2.TokenSource {
	return c.source(ctx, nil)
}

// ExchangeToken gives a token of one of your users for the ID or access token that your identity
// provider gave them (RFC 8693). Ask again with a newer one when it has ended.
func (c Credentials) ExchangeToken(ctx context.Context, subjectToken, subjectTokenType string) (*oauth2.Token, error) {
	return c.source(ctx, map[string][]string{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {subjectToken},
		"subject_token_type": {subjectTokenType},
	}).Token()
}

func (c Credentials) source(ctx context.Context, params map[string][]string) oauth2.TokenSource {
	if c.HTTP != nil {
		ctx = context.WithValue(ctx, oauth2.HTTPClient, c.HTTP)
	}
	conf := clientcredentials.Config{
		ClientID: c.ClientID, ClientSecret: c.ClientSecret, Scopes: c.Scopes, EndpointParams: params,
		TokenURL: strings.TrimSuffix(c.BaseURL, "/") + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader,
	}
	return conf.TokenSource(ctx)
}

// retries of a request that may succeed later.
const retries = 3

// Connect makes a client that sends tokens of the source. What is refused for being too fast (429) or
// for a moment unavailable (503) is repeated up to three times, when Retry-After says, or else with
// growing pauses; so is what nobody answered. No redirect is followed. Each POST carries an Idempotency-Key, so that a repeat
// does nothing twice. A nil transport means http.DefaultTransport. Safe for concurrent use.
func Connect(baseURL string, tokens oauth2.TokenSource, transport http.RoundTripper) (*ClientWithResponses, error) {
	repeat := retrypolicy.NewBuilder[*http.Response]().
		HandleIf(func(r *http.Response, err error) bool {
			return err != nil || r.StatusCode == http.StatusTooManyRequests || r.StatusCode == http.StatusServiceUnavailable
		}).
		AbortOnErrors(context.Canceled, context.DeadlineExceeded).
		AbortIf(func(_ *http.Response, err error) bool { return refused(err) }).
		WithMaxRetries(retries).WithBackoff(500*time.Millisecond, 8*time.Second).WithJitterFactor(0.2).
		WithDelayFunc(failsafehttp.DelayFunc).ReturnLastFailure().Build()
	rt := failsafehttp.NewRoundTripper(&oauth2.Transport{Source: tokens, Base: transport}, repeat)
	return NewClientWithResponses(baseURL, WithHTTPClient(&http.Client{
		Transport: once{rt},
		// The API redirects nobody, and the token would go along to whatever address followed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}))
}

// refused tells whether there is no token to be had, however often it is asked for.
func refused(err error) bool {
	var e *oauth2.RetrieveError
	return errors.As(err, &e) && e.Response != nil && e.Response.StatusCode >= 400 && e.Response.StatusCode < 500 &&
		e.Response.StatusCode != http.StatusTooManyRequests
}

// once marks what creates, before it is repeated, so that all repeats are one request to the server.
type once struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (o once) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && r.Header.Get("Idempotency-Key") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Idempotency-Key", rand.Text())
	}
	return o.next.RoundTrip(r)
}
