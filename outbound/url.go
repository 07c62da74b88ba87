package outbound

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"isthmus/gateway"
)

// ServiceURL checks an address that somebody typed in and gives its one normal form: lower-case
// scheme and host (IDNA), no default port, no trailing slash, no query. The dialer checks the
// address again when it is called; this is for a quick, understandable answer.
// Errors are Invalid with the reasons service_url_malformed, service_url_not_https,
// service_url_userinfo, service_url_query, service_url_host, service_url_port or service_url_internal.
func (o Options) ServiceURL(raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Opaque != "" || len(raw) > 2048 {
		return "", bad("service_url_malformed", "This is not a web address.").
			Next("Write it like https://www.kaltura.com.")
	}
	if u.User != nil {
		return "", bad("service_url_userinfo", "The address holds a user name or password.").
			Next("Leave out everything between https:// and the host name.")
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(raw, "#") {
		return "", bad("service_url_query", "The address holds a query or fragment.").
			Next("Leave out everything from the ? or # on.")
	}
	origin, err := o.origin(u)
	if err != nil {
		return "", err
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if strings.Contains(u.Path, "..") || strings.Contains(path, "//") {
		return "", bad("service_url_malformed", "The path of the address is not in its simplest form.")
	}
	return origin + path, nil
}

// origin checks where an address leads and gives scheme, host and port in their one normal form.
func (o Options) origin(u *url.URL) (string, error) {
	host, ip, err := hostOf(u)
	if err != nil {
		return "", err
	}
	inside := ip.IsValid() && inAny(o.AllowNetworks, ip)
	if err := o.checkScheme(u.Scheme, ip, inside); err != nil {
		return "", err
	}
	if ip.IsValid() && !inside {
		if err := newGuard(o).public.SafeAddr(ip); err != nil {
			return "", at(refused(err))
		}
	}
	if !ip.IsValid() && localName(host) && len(o.AllowNetworks) == 0 {
		return "", at(refused(nil))
	}
	port, err := o.port(u, ip, inside)
	if err != nil {
		return "", err
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return strings.ToLower(u.Scheme) + "://" + host + port, nil
}

func (o Options) checkScheme(scheme string, ip netip.Addr, inside bool) error {
	switch strings.ToLower(scheme) {
	case "https":
		return nil
	case "http":
		// Without TLS only into a network that the operator named; for a name the dialer decides.
		if inside || (!ip.IsValid() && len(o.AllowNetworks) > 0) {
			return nil
		}
	}
	return at(notHTTPS())
}

func (o Options) port(u *url.URL, ip netip.Addr, inside bool) (string, error) {
	p := u.Port()
	if p == "" || (u.Scheme == "https" && p == "443") || (u.Scheme == "http" && p == "80") {
		return "", nil
	}
	if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
		return "", bad("service_url_malformed", "The port of the address is not a number from 1 to 65535.")
	}
	if !inside && (ip.IsValid() || len(o.AllowNetworks) == 0) {
		return "", bad("service_url_port", "Only port 443 may be called.").
			Next("Leave the port out, or ask the operator to allow the network.")
	}
	return ":" + p, nil
}

// hostOf normalises the host and refuses the odd spellings of addresses that some resolvers take
// for an IP address although it does not look like one: 2130706433, 0x7f000001, 127.1, 0177.0.0.1.
func hostOf(u *url.URL) (string, netip.Addr, error) {
	h := u.Hostname()
	odd := bad("service_url_host", "The host name of the address is not one we accept.").
		Next("Write the plain host name, like www.kaltura.com.")
	if h == "" || strings.HasPrefix(u.Host, ":") || strings.Contains(h, "%") {
		return "", netip.Addr{}, odd
	}
	if ip, err := netip.ParseAddr(h); err == nil {
		return ip.Unmap().String(), ip.Unmap(), nil
	}
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(h, "."))
	if err != nil || ascii == "" || net.ParseIP(ascii) != nil {
		return "", netip.Addr{}, odd
	}
	ascii = strings.ToLower(ascii)
	if ip, err := netip.ParseAddr(ascii); err == nil { // full-width digits and the like
		return ip.String(), ip, nil
	}
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if looksNumeric(last) {
		return "", netip.Addr{}, odd
	}
	return ascii, netip.Addr{}, nil
}

// looksNumeric: a last label of digits, or hexadecimal after 0x, makes the whole host an IPv4
// address in the eyes of browsers and of C resolvers. No top-level domain looks so.
func looksNumeric(label string) bool {
	if label == "" {
		return true
	}
	if strings.HasPrefix(label, "0x") {
		return strings.Trim(label[2:], "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

func localName(host string) bool {
	for _, suffix := range []string{"localhost", "local", "internal", "home.arpa"} {
		if host == suffix || strings.HasSuffix(host, "."+suffix) {
			return true
		}
	}
	return !strings.Contains(host, ".")
}

func bad(reason, message string) *gateway.Error {
	return gateway.E(gateway.Invalid, reason, message).At("/service_url")
}

func notHTTPS() error {
	return gateway.E(gateway.Invalid, "service_url_not_https", "The address does not begin with https://.").
		Next("Use the https address, or ask the operator to allow the network.")
}

func at(err error) error {
	return gateway.AsError(err).At("/service_url")
}
