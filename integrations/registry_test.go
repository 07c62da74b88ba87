package integrations_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/outbound"
)

var account = gateway.Account{
	IntegrationID: "int_1", HubID: "hub_1", Platform: gateway.PlatformKaltura, ServiceURL: "https://www.kaltura.com",
	PartnerID: 102, AppTokenID: "0_l3j6rvza", AppToken: "80b6909ea89eaa04cfe41c2d9e830d65", HashType: "SHA256",
}

func TestEqualAccountsShareTheirState(t *testing.T) {
	r := integrations.New(integrations.Options{})
	open := func(change func(*gateway.Account)) gateway.Platform {
		a := account
		if change != nil {
			change(&a)
		}
		p, err := r.Open(a)
		must(t, err)
		return p
	}
	first := open(nil)
	if open(nil) != first || open(func(a *gateway.Account) { a.ServiceURL += "/" }) != first {
		t.Error("equal accounts do not share")
	}
	for name, change := range map[string]func(*gateway.Account){
		"rotated token":       func(a *gateway.Account) { a.AppToken = "90b6909ea89eaa04cfe41c2d9e830d65" },
		"other hash type":     func(a *gateway.Account) { a.HashType = "SHA512" },
		"other partner":       func(a *gateway.Account) { a.PartnerID = 103 },
		"other hub, same key": func(a *gateway.Account) { a.IntegrationID = "int_2" },
	} {
		if open(change) == first {
			t.Errorf("%s shares", name)
		}
	}
}

func TestAccountsThatMayNotBeOpened(t *testing.T) {
	guard := outbound.Options{}
	r := integrations.New(integrations.Options{
		Outbound: outbound.New(guard), CheckURL: guard.ServiceURL,
		Local: map[string]http.Handler{"http://localhost:8080/kaltura": http.NotFoundHandler()},
	})
	for reason, change := range map[string]func(*gateway.Account){
		"platform_unknown":      func(a *gateway.Account) { a.Platform = "panopto" },
		"service_url_not_https": func(a *gateway.Account) { a.ServiceURL = "http://www.kaltura.com" },
		"service_url_internal":  func(a *gateway.Account) { a.ServiceURL = "https://169.254.169.254" },
		"service_url_host":      func(a *gateway.Account) { a.ServiceURL = "https://0x7f000001" },
		"hash_type_unknown":     func(a *gateway.Account) { a.HashType = "ROT13" },
	} {
		a := account
		change(&a)
		if _, err := r.Open(a); !gateway.IsReason(err, reason) || gateway.CodeOf(err) != gateway.Invalid {
			t.Errorf("%s: %v", reason, err)
		}
	}
	a := account
	for _, near := range []string{"http://localhost:8080/kaltura2", "http://localhost:8080", "http://localhost:8081/kaltura", "https://localhost:8080/kaltura"} {
		a.ServiceURL = near
		if _, err := r.Open(a); err == nil {
			t.Errorf("%s passed for the local platform", near)
		}
	}
	a.ServiceURL = "http://localhost:8080/kaltura/"
	if _, err := r.Open(a); err != nil {
		t.Errorf("the local platform: %v", err)
	}
}

// TestNothingLocalForOthers: an account elsewhere cannot reach the local platform by naming its address.
func TestNothingLocalForOthers(t *testing.T) {
	guard := outbound.Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	local := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the local platform was called") })
	r := integrations.New(integrations.Options{
		Outbound: outbound.New(guard), CheckURL: guard.ServiceURL,
		Local: map[string]http.Handler{"https://isthmus.test": local},
	})
	a := account
	a.ServiceURL = "https://isthmus.test.evil.example"
	p, err := r.Open(a)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Get(ctx, alice, "0_abcdefgh"); err == nil {
		t.Error("no error")
	}
}

// noLeak gives what fails the test when goroutines of its own are left. Tests before may still try
// to reach a dead server, which begins new ones at any time.
func noLeak(t *testing.T) func() {
	others := []goleak.Option{goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("isthmus/integrations/kaltura.(*resilience).again")}
	return func() {
		t.Helper()
		err := goleak.Find(others...) // waits for half a second only, in which a busy machine may end nothing
		for end := time.Now().Add(2 * time.Minute); err != nil && time.Now().Before(end); {
			err = goleak.Find(others...)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func roundTrip(t *testing.T, ctx context.Context, h http.HandlerFunc, body io.Reader) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://isthmus.test/a?b=c", body)
	must(t, err)
	return integrations.NewLocal(h).RoundTrip(req)
}

func TestLocalStreamsBothWays(t *testing.T) {
	defer noLeak(t)()
	in, feed := io.Pipe()
	res, err := roundTrip(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.Host+" "+r.RequestURI)
		w.WriteHeader(http.StatusAccepted)
		w.Header().Set("X-Late", "1")
		_, _ = io.Copy(w, r.Body) // an echo: each byte comes back before the next is sent
	}, in)
	must(t, err)
	if res.StatusCode != 202 || res.Header.Get("X-Seen") != "isthmus.test /a?b=c" || res.Header.Get("X-Late") != "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	buf := make([]byte, 4)
	for range 3 {
		_, err := feed.Write([]byte("ping"))
		must(t, err)
		if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != "ping" {
			t.Fatalf("%q, %v", buf, err)
		}
	}
	must(t, feed.Close())
	if n, err := res.Body.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
	must(t, res.Body.Close())
}

func TestLocalEndsWithItsCaller(t *testing.T) {
	defer noLeak(t)()
	// Closing the body early frees a handler that is still writing and ends its context.
	ended := make(chan error, 1)
	endless := func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil {
				<-r.Context().Done()
				ended <- err
				return
			}
		}
	}
	res, err := roundTrip(t, t.Context(), endless, nil)
	must(t, err)
	_, _ = res.Body.Read(make([]byte, 10))
	must(t, res.Body.Close())
	if <-ended == nil {
		t.Error("the handler went on")
	}
	// So does cancelling, in the middle of the body and before there is an answer.
	ctx, cancel := context.WithCancel(t.Context())
	res, err = roundTrip(t, ctx, endless, nil)
	must(t, err)
	cancel()
	if _, err := io.Copy(io.Discard, res.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	if <-ended == nil {
		t.Error("the handler went on")
	}
	_ = res.Body.Close()
	ctx, cancel = context.WithCancel(t.Context())
	_, err = roundTrip(t, ctx, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
		ended <- r.Context().Err()
	}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the handler saw %v", err)
	}
}

func TestLocalPanicsAndSilence(t *testing.T) {
	defer noLeak(t)()
	if _, err := roundTrip(t, t.Context(), func(http.ResponseWriter, *http.Request) { panic("boom") }, strings.NewReader("x")); err == nil {
		t.Error("a panic before the answer is no error")
	}
	res, err := roundTrip(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	}, nil)
	must(t, err)
	if b, err := io.ReadAll(res.Body); string(b) != "half" || err == nil {
		t.Errorf("%q, %v: an answer that breaks off must not look whole", b, err)
	}
	_ = res.Body.Close()
	res, err = roundTrip(t, t.Context(), func(http.ResponseWriter, *http.Request) {}, nil)
	must(t, err)
	if b, err := io.ReadAll(res.Body); res.StatusCode != 200 || len(b) != 0 || err != nil {
		t.Errorf("%d %q %v", res.StatusCode, b, err)
	}
	_ = res.Body.Close()
}
