package outbound

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"isthmus/gateway"
)

func TestWebhookURL(t *testing.T) {
	inside := Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}}
	for _, c := range []struct {
		raw, want, reason string
		o                 Options
	}{
		{raw: "https://example.com/hook/", want: "https://example.com/hook/"},
		{raw: "https://example.com", want: "https://example.com"},
		{raw: "https://example.com/", want: "https://example.com/"},
		{raw: " HTTPS://Example.COM:443/Hook/?Token=A%2Fb&x=%20&x=1&", want: "https://example.com/Hook/?Token=A%2Fb&x=%20&x=1&"},
		{raw: "https://example.com/a%2Fb//c;v=1?", want: "https://example.com/a%2Fb//c;v=1?"},
		{raw: "https://example.com/a..b/...?x=/../y", want: "https://example.com/a..b/...?x=/../y"},
		{raw: "https://B\u00fccher.example.org/x", want: "https://xn--bcher-kva.example.org/x"},
		{raw: "https://example.com/x#canary", reason: "fragment"},
		{raw: "https://example.com/x#", reason: "fragment"},
		{raw: "https://example.com/canary/../b", reason: "malformed"},
		{raw: "https://example.com/canary%2e%2e/%2E%2e/b", reason: "malformed"},
		{raw: "https://example.com/canary/..%2fb", reason: "malformed"},
		{raw: "https://example.com/canary/./b", reason: "malformed"},
		{raw: "https://example.com/?canary b", reason: "malformed"},
		{raw: "https://example.com/%zz?canary", reason: "malformed"},
		{raw: "https://example.com/canary\n", want: "https://example.com/canary"},
		{raw: "https://example.com/canary\nb", reason: "malformed"},
		{raw: "nonsense?canary", reason: "malformed"},
		{raw: "https://example.com/" + strings.Repeat("canary", 400), reason: "malformed"},
		{raw: "http://example.com/canary", reason: "not_https"},
		{raw: "https://user:canary@example.com/", reason: "userinfo"},
		{raw: "https://0x7f000001/canary", reason: "host"},
		{raw: "https://127.0.0.1/canary?token=canary", reason: "internal"},
		{raw: "https://localhost/canary", reason: "internal"},
		{raw: "https://example.com:8443/canary", reason: "port"},
		{raw: "http://10.20.1.1:8080/in/?t=1", o: inside, want: "http://10.20.1.1:8080/in/?t=1"},
		{raw: "https://10.21.1.1/canary", o: inside, reason: "internal"},
	} {
		got, err := NewPoster(c.o).Check(c.raw)
		if c.reason == "" {
			if err != nil || got != c.want {
				t.Errorf("%q: %q, %v; want %q", c.raw, got, err, c.want)
			} else if again, err := c.o.WebhookURL(got); err != nil || again != got {
				t.Errorf("%q is not its own normal form: %q, %v", got, again, err)
			}
			continue
		}
		e := gateway.AsError(err)
		if e == nil || e.Code != gateway.Invalid || e.Reason != "webhook_url_"+c.reason || e.NextStep == "" {
			t.Errorf("%q: %q, %v; want %s", c.raw, got, err, c.reason)
			continue
		}
		if said := e.Error() + e.Message + e.NextStep; strings.Contains(said, "canary") || strings.Contains(strings.ToLower(said), "kaltura") {
			t.Errorf("%q: %s", c.raw, said)
		}
	}
}

func TestPostSendsPathAndQueryAsTheyAre(t *testing.T) {
	var uri, body string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		uri, body = r.RequestURI, string(b)
	}))
	defer srv.Close()
	p := NewPoster(Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	const tail = "/a%2Fb//hook/?token=A%2fb&token=&x=a+b"
	url, err := p.Check(srv.URL + tail)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Post(t.Context(), url, nil, []byte("hello"))
	if err != nil || got.Status != 200 || uri != tail || body != "hello" {
		t.Error(got, err, uri, body)
	}
}

// The address that was saved may lead elsewhere later: the socket decides, and says so without the secret.
func TestPostIsGuarded(t *testing.T) {
	_, hits := sink(t)
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer srv.Close()
	p := NewPoster(Options{})
	for url, reason := range map[string]string{
		srv.URL + "/canary?token=canary":                           "webhook_url_not_https",
		"https://127.0.0.1/canary?token=canary":                    "webhook_url_internal",
		strings.Replace(srv.URL, "http:", "https:", 1) + "/canary": "webhook_url_port",
	} {
		_, err := p.Post(t.Context(), url, nil, nil)
		if e := gateway.AsError(err); err == nil || e.Reason != reason || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", url, err)
		}
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	open := NewPoster(Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	_, err := open.Post(t.Context(), gone.URL+"/canary?token=canary", nil, nil)
	if !gateway.IsReason(err, "webhook_down") || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	if hits.Load() != 0 {
		t.Error("called")
	}
}
