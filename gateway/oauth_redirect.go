package gateway

import (
	"regexp"
	"slices"
)

// loopbackRedirect is an address of the person's own machine, by number: a name could lead elsewhere.
var loopbackRedirect = regexp.MustCompile(`^(http://(?:127\.0\.0\.1|\[::1\]))(?::[1-9][0-9]{0,4})?(/[!-~]*)?$`)

// Redirects tells whether answers may be sent to an address: one of the client's, byte by byte. A
// program on a person's device listens on any free port there, so only the port may differ (RFC 8252 §7.3).
func (c Client) Redirects(uri string) bool {
	if uri == "" {
		return false
	}
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	asked := loopbackRedirect.FindStringSubmatch(uri)
	if c.Type != ClientNative || asked == nil {
		return false
	}
	return slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		have := loopbackRedirect.FindStringSubmatch(registered)
		return have != nil && have[1] == asked[1] && have[2] == asked[2]
	})
}
