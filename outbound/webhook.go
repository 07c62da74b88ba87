package outbound

import (
	"net/url"
	"slices"
	"strings"

	"isthmus/gateway"
)

// WebhookURL checks the address of a receiver of webhooks and gives it with a normal scheme, host
// and port; path and query stay as they are, because they are the receiver's and often its secret.
// No error holds any of them. The dialer checks the address again at every call.
// Errors are Invalid with the reasons webhook_url_malformed, webhook_url_not_https,
// webhook_url_userinfo, webhook_url_fragment, webhook_url_host, webhook_url_port or webhook_url_internal.
func (o Options) WebhookURL(raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Opaque != "" || len(raw) > 2048 {
		return "", webhookBad("malformed")
	}
	if u.User != nil {
		return "", webhookBad("userinfo")
	}
	if strings.Contains(raw, "#") {
		return "", webhookBad("fragment")
	}
	origin, err := o.origin(u)
	if err != nil {
		return "", webhookError(gateway.AsError(err))
	}
	if strings.ContainsFunc(u.RawQuery, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", webhookBad("malformed")
	}
	// The decoded path, so that an encoded dot is a dot.
	steps := strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' || r == '\\' })
	if slices.Contains(steps, ".") || slices.Contains(steps, "..") {
		return "", webhookBad("malformed")
	}
	query := ""
	if u.RawQuery != "" || u.ForceQuery {
		query = "?" + u.RawQuery
	}
	return origin + u.EscapedPath() + query, nil
}

var webhookWords = map[string][2]string{
	"malformed": {"This is not a web address that can be called.", "Write it like https://example.org/hook, without . or .. in the path and with everything else encoded."},
	"userinfo":  {"The address holds a user name or password.", "Leave out everything between https:// and the host name; receivers know our messages by their signature."},
	"fragment":  {"The address holds a fragment.", "Leave out everything from the # on; it is never sent."},
	"not_https": {"The address does not begin with https://.", "Use the https address of the receiver."},
	"host":      {"The host name of the address is not one we accept.", "Write the plain host name of the receiver, like hooks.example.org."},
	"port":      {"Only port 443 may be called.", "Leave the port out, or ask the operator to allow the receiver's network for webhooks."},
	"internal":  {"This address is not on the public internet.", "Use a public address of the receiver, or ask the operator to allow its network for webhooks."},
	"scheme":    {"Only https addresses can be called.", "Use the https address of the receiver."},
}

func webhookBad(reason string) *gateway.Error {
	w := webhookWords[reason]
	return gateway.E(gateway.Invalid, "webhook_url_"+reason, w[0]).Next("%s", w[1])
}

// webhookError says in the words of webhooks what the guard says in those of service URLs.
func webhookError(e *gateway.Error) *gateway.Error {
	reason, ok := strings.CutPrefix(e.Reason, "service_url_")
	if _, known := webhookWords[reason]; !ok || !known {
		return e
	}
	return webhookBad(reason)
}
