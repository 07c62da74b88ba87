package outbound

import (
	"errors"
	"net/netip"
	"testing"

	"isthmus/gateway"
)

func TestServiceURL(t *testing.T) {
	onPrem := Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}}
	for _, c := range []struct {
		raw, want, reason string
		o                 Options
	}{
		{raw: "https://www.kaltura.com", want: "https://www.kaltura.com"},
		{raw: " HTTPS://WWW.Kaltura.COM:443/ ", want: "https://www.kaltura.com"},
		{raw: "https://kaltura.example.org/sub/", want: "https://kaltura.example.org/sub"},
		{raw: "https://Bücher.example.org", want: "https://xn--bcher-kva.example.org"},
		{raw: "https://www.kaltura.com.", want: "https://www.kaltura.com"},
		{raw: "https://8.8.8.8", want: "https://8.8.8.8"},
		{raw: "http://www.kaltura.com", reason: "service_url_not_https"},
		{raw: "ftp://www.kaltura.com", reason: "service_url_not_https"},
		{raw: "javascript:alert(1)", reason: "service_url_malformed"},
		{raw: "www.kaltura.com", reason: "service_url_malformed"},
		{raw: "", reason: "service_url_malformed"},
		{raw: "https://", reason: "service_url_malformed"},
		{raw: "https://user:pw@www.kaltura.com", reason: "service_url_userinfo"},
		{raw: "https://www.kaltura.com/?ks=1", reason: "service_url_query"},
		{raw: "https://www.kaltura.com/#x", reason: "service_url_query"},
		{raw: "https://www.kaltura.com/a/../b", reason: "service_url_malformed"},
		{raw: "https://www.kaltura.com/a/%2e%2e/b", reason: "service_url_malformed"},
		{raw: "https://2130706433/", reason: "service_url_host"},
		{raw: "https://0x7f000001/", reason: "service_url_host"},
		{raw: "https://127.1/", reason: "service_url_host"},
		{raw: "https://0177.0.0.1/", reason: "service_url_host"},
		{raw: "https://0x7f.1/", reason: "service_url_host"},
		{raw: "https://１２７.０.０.１/", reason: "service_url_host"},
		{raw: "https://[fe80::1%25eth0]/", reason: "service_url_host"},
		{raw: "https://:443/", reason: "service_url_host"},
		{raw: "https://127.0.0.1", reason: "service_url_internal"},
		{raw: "https://169.254.169.254/latest/meta-data", reason: "service_url_internal"},
		{raw: "https://[::ffff:10.0.0.1]/", reason: "service_url_internal"},
		{raw: "https://[::1]/", reason: "service_url_internal"},
		{raw: "https://localhost", reason: "service_url_internal"},
		{raw: "https://kaltura.localhost.", reason: "service_url_internal"},
		{raw: "https://metadata.google.internal", reason: "service_url_internal"},
		{raw: "https://intranet", reason: "service_url_internal"},
		{raw: "https://www.kaltura.com:8443", reason: "service_url_port"},
		{raw: "http://10.20.1.1:8080/", o: onPrem, want: "http://10.20.1.1:8080"},
		{raw: "https://10.20.1.1:8443", o: onPrem, want: "https://10.20.1.1:8443"},
		{raw: "http://kaltura.intranet:8080", o: onPrem, want: "http://kaltura.intranet:8080"},
		{raw: "http://10.21.1.1", o: onPrem, reason: "service_url_not_https"},
		{raw: "https://10.21.1.1", o: onPrem, reason: "service_url_internal"},
		{raw: "http://8.8.8.8", o: onPrem, reason: "service_url_not_https"},
	} {
		got, err := c.o.ServiceURL(c.raw)
		var e *gateway.Error
		if c.reason != "" {
			if !errors.As(err, &e) || e.Reason != c.reason || e.Code != gateway.Invalid {
				t.Errorf("%q: %q, %v; want reason %s", c.raw, got, err, c.reason)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.raw, got, err, c.want)
		}
		if again, err := c.o.ServiceURL(got); err != nil || again != got {
			t.Errorf("%q is not its own normal form: %q, %v", got, again, err)
		}
	}
}
