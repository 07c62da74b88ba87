package gateway

import (
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// What a client may have at most; a client that needs more is several.
const (
	maxRedirects = 20
	maxOrigins   = 20
	maxURI       = 2000
	maxJWKS      = 16 << 10
	maxKeys      = 10
)

// checkRedirects takes redirect URIs as they will be compared: byte by byte, a loopback's port apart. So
// nothing is tidied up, and what two programs could read in two ways is refused.
func checkRedirects(uris []string) error {
	if len(uris) > maxRedirects {
		return E(Invalid, "redirect_uri", "There are more than 20 redirect URIs.").Next("Register another client for the rest.").At("/redirect_uris")
	}
	for i, uri := range uris {
		if why := badRedirect(uri); why != "" {
			return E(Invalid, "redirect_uri", "A redirect URI "+why+".").At("/redirect_uris/" + strconv.Itoa(i)).
				Next("Use an address such as https://app.example.org/callback, or http://127.0.0.1/callback for a program on the person's own machine.")
		}
		if slices.Contains(uris[:i], uri) {
			return E(Invalid, "redirect_uri", "A redirect URI is named twice.").Next("Remove one.").At("/redirect_uris/" + strconv.Itoa(i))
		}
	}
	return nil
}

// badRedirect says what is wrong with a redirect URI, nothing when it is fine.
func badRedirect(uri string) string {
	u, why := plainAddress(uri)
	if why != "" {
		return why
	}
	switch {
	case strings.Contains(uri, "#"):
		return "has a fragment"
	case strings.ContainsFunc(u.Path, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) ||
		(u.Path != "" && strings.TrimSuffix(path.Clean(u.Path), "/")+"/" != strings.TrimSuffix(u.Path, "/")+"/"):
		return "has a path that can be read in two ways"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "has a query that cannot be read"
	}
	for _, ours := range []string{"code", "state", "iss", "error", "error_description", "response"} {
		if query.Has(ours) {
			return "has the parameter " + ours + ", which is added to it"
		}
	}
	return ""
}

// plainAddress takes an absolute https address, or an http one of the person's own machine, that every
// program reads alike.
func plainAddress(text string) (_ *url.URL, why string) {
	if len(text) > maxURI {
		return nil, "is longer than 2000 characters"
	}
	for _, r := range text {
		switch {
		case r == '*':
			return nil, "has a wildcard"
		case r <= ' ' || r >= 0x7f || strings.ContainsRune("\\\"<>^`{|}", r):
			return nil, "has characters that an address may not have as they are"
		}
	}
	u, err := url.Parse(text)
	if err != nil || !strings.HasPrefix(text, u.Scheme+"://") || u.Host == "" {
		return nil, "is not an absolute https address in lower case"
	}
	if u.User != nil || strings.Contains(u.Host, "@") {
		return nil, "names a user"
	}
	host := u.Hostname()
	if !properHost(host) {
		return nil, "has a host that is no plain name or address in lower case"
	}
	if p := u.Port(); p != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != p {
			return nil, "has a bad port"
		}
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(host)) {
		return nil, "is neither https nor an http address of the person's own machine"
	}
	return u, ""
}

// loopback tells whether a host is this machine.
func loopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsLoopback() && !a.Is4In6()
	}
	return host == "localhost"
}

// properHost takes a name of lower-case ASCII labels or an IP address in its usual form.
func properHost(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String() == host && a.Zone() == ""
	}
	labels := strings.Split(host, ".")
	if digits := labels[len(labels)-1]; len(host) > 253 || strings.Trim(digits, "0123456789") == "" || strings.HasPrefix(digits, "0x") {
		return false // 127.1, 0x7f.1: browsers read an address where others read a name
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// checkOrigins gives origins in the form in which browsers send them: scheme, host, and a port unless
// it is the usual one.
func checkOrigins(origins []string) ([]string, error) {
	if len(origins) > maxOrigins {
		return nil, E(Invalid, "origin", "There are more than 20 origins.").Next("Register another client for the rest.").At("/origins")
	}
	out := make([]string, 0, len(origins))
	for i, o := range origins {
		u, why := plainAddress(o)
		if why == "" && u.Scheme+"://"+u.Host != o {
			why = "has more than a scheme, a host and a port"
		}
		if why != "" {
			return nil, E(Invalid, "origin", "An origin "+why+".").At("/origins/" + strconv.Itoa(i)).
				Next("Use the form https://app.example.org, without a path or a slash at the end.")
		}
		if usual := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]; strings.HasSuffix(o, usual) {
			o = strings.TrimSuffix(o, usual)
		}
		if !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out, nil
}

// checkScopes gives known scopes in their usual order, each once.
func checkScopes(scopes []string) ([]string, error) {
	for i, s := range scopes {
		if !slices.Contains(AllScopes, s) {
			return nil, E(Invalid, "scope_unknown", "There is no such scope.").Next("Use some of: %s.", strings.Join(AllScopes, ", ")).
				At("/scopes/" + strconv.Itoa(i))
		}
	}
	if len(scopes) == 0 {
		return nil, E(Invalid, "scopes_missing", "A client without scopes can do nothing.").Next("Choose what it may do.").At("/scopes")
	}
	return inOrder(scopes), nil
}

// jwk are the members of a public key that we keep.
type jwk struct {
	KTY string `json:"kty"`
	KID string `json:"kid,omitempty"`
	Use string `json:"use,omitempty"`
	Alg string `json:"alg,omitempty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}

// checkJWKS takes a JWK set, or one JWK, of public keys and gives it back with what is needed only. Text
// with a private key is refused and never repeated.
func checkJWKS(text string) (string, error) {
	bad := func(message string) error {
		return E(Invalid, "jwks", message).At("/jwks").
			Next("Paste the public keys as a JWK set: {\"keys\": [{\"kty\": …}]}, with RSA keys of 2048 bits or more, or P-256, P-384, P-521 or Ed25519 keys.")
	}
	private := E(Invalid, "private_key", "This holds a private key, which must never leave your own system.").At("/jwks").
		Next("Throw this key away, make a new pair and paste only the public half.")
	if len(text) > maxJWKS {
		return "", bad("The key set is too large.")
	}
	if strings.Contains(text, "PRIVATE KEY") {
		return "", private
	}
	var set struct {
		Keys []map[string]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		return "", bad("The key set is not JSON of the right form.")
	}
	if set.Keys == nil {
		var one map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &one) == nil && one["kty"] != nil {
			set.Keys = append(set.Keys, one)
		}
	}
	if len(set.Keys) == 0 || len(set.Keys) > maxKeys {
		return "", bad("The key set must have 1 to 10 keys.")
	}
	var out struct {
		Keys []jwk `json:"keys"`
	}
	for _, members := range set.Keys {
		for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, has := members[secret]; has {
				return "", private
			}
		}
		raw, err := json.Marshal(members)
		var k jwk
		if err != nil || json.Unmarshal(raw, &k) != nil {
			return "", bad("A key is not of the right form.")
		}
		if why := k.wrong(); why != "" {
			return "", bad("A key " + why + ".")
		}
		if len(set.Keys) > 1 && (k.KID == "" || slices.ContainsFunc(out.Keys, func(o jwk) bool { return o.KID == k.KID })) {
			return "", bad("Several keys need a \"kid\" each, all different.")
		}
		out.Keys = append(out.Keys, k)
	}
	kept, err := json.Marshal(out)
	return string(kept), err
}

// keyAlgs are the algorithms that go with a kind of key.
var keyAlgs = map[string][]string{
	"RSA": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, "P-256": {"ES256"}, "P-384": {"ES384"}, "P-521": {"ES512"}, "Ed25519": {"EdDSA"},
}

// wrong says why a key cannot be used, nothing when it can.
func (k jwk) wrong() string {
	if k.Use != "" && k.Use != "sig" {
		return "is not for signatures"
	}
	if len(k.KID) > maxExternal || cleanText(k.KID) != k.KID {
		return "has a \"kid\" that is too long or not plain text"
	}
	number := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			return nil
		}
		return b
	}
	kind := k.Crv
	switch k.KTY {
	case "RSA":
		kind = k.KTY
		n, e := new(big.Int).SetBytes(number(k.N)), new(big.Int).SetBytes(number(k.E))
		if n.BitLen() < 2048 || n.BitLen() > 8192 || n.Bit(0) == 0 {
			return "is no RSA key of 2048 to 8192 bits"
		}
		if e.BitLen() < 2 || e.BitLen() > 32 || e.Bit(0) == 0 {
			return "has an exponent that cannot be"
		}
	case "EC":
		curve := map[string]ecdh.Curve{"P-256": ecdh.P256(), "P-384": ecdh.P384(), "P-521": ecdh.P521()}[k.Crv]
		if curve == nil {
			return "has a curve that is not P-256, P-384 or P-521"
		}
		x, y := number(k.X), number(k.Y)
		if size := map[string]int{"P-256": 32, "P-384": 48, "P-521": 66}[k.Crv]; len(x) != size || len(y) != size {
			return "has coordinates of the wrong length"
		}
		if _, err := curve.NewPublicKey(slices.Concat([]byte{4}, x, y)); err != nil {
			return "is no point on its curve"
		}
	case "OKP":
		if k.Crv != "Ed25519" || len(number(k.X)) != 32 {
			return "is no Ed25519 key"
		}
	default:
		return "is of a kind that is not known here"
	}
	if k.Alg != "" && !slices.Contains(keyAlgs[kind], k.Alg) {
		return "names an algorithm that does not go with it"
	}
	return ""
}
