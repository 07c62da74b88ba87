package gateway

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

func TestRedirectURIs(t *testing.T) {
	good := []string{
		"https://app.example.org/callback", "https://app.example.org", "https://app.example.org/", "https://app.example.org:8443/a/b/?x=1&y=2",
		"https://xn--bcher-kva.example/cb", "http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", "http://[::1]:8080/", "http://localhost:3000/cb",
		"https://192.0.2.1/cb", "https://app.example.org/%C3%A4",
	}
	for _, uri := range good {
		if why := badRedirect(uri); why != "" {
			t.Errorf("%s %s", uri, why)
		}
	}
	bad := []string{
		"", "callback", "/callback", "//app.example.org/cb", "https:", "https:///cb", "https:app.example.org", "https:/app.example.org",
		"javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:https://a.example/1", "about:blank",
		"com.example.app:/cb", "com.example.app://cb", "myapp://cb", "ftp://app.example.org/cb", "ws://app.example.org", "HTTPS://app.example.org/cb",
		"http://app.example.org/cb", "http://10.0.0.1/cb", "http://localhost.evil.example/cb", "http://127.0.0.1.evil.example/cb", "http://0.0.0.0/cb",
		"http://[::ffff:127.0.0.1]/cb", "http://127.1/cb", "http://2130706433/cb", "http://0x7f.1/cb", "http://0177.0.0.1/cb", "http://LOCALHOST/cb",
		"https://app.example.org/cb#", "https://app.example.org/cb#x", "https://app.example.org/#/route",
		"https://*.example.org/cb", "https://app.example.org/*", "https://app.example.org/cb?x=*",
		"https://user@app.example.org/cb", "https://user:pass@app.example.org/cb", "https://@app.example.org/cb", "https://app.example.org@evil.example/",
		"https://app.example.org\\@evil.example/", "https://app.example.org\\.evil.example/", "https://app.example.org/\\cb", "https://app.example.org/%5ccb",
		"https://app.example.org/a/../cb", "https://app.example.org/./cb", "https://app.example.org/%2e%2e/cb", "https://app.example.org//cb", "https://app.example.org/a%2f%2fb",
		"https://app.example.org/c b", "https://app.example.org/cb\n", "https://app.example.org/cb\x00", "https://app.example.org/%00", "https://app.example.org/%0d%0a",
		"https://äpp.example.org/cb", "https://app。example.org/cb", "https://app.example.org./cb", "https://.example.org/cb", "https://app..example.org/cb", "https://-a.example.org/cb",
		"https://app.example.org:/cb", "https://app.example.org:0/cb", "https://app.example.org:65536/cb", "https://app.example.org:044/cb", "https://app.example.org:x/cb",
		"https://app.example.org/cb?code=1", "https://app.example.org/cb?state=1", "https://app.example.org/cb?iss=x", "https://app.example.org/cb?a=%zz", "https://app.example.org/cb?a;b",
		"https://App.example.org/cb", "https://[::1/cb", "https://[fe80::1%25eth0]/cb", "https://1/cb", "https://app.123/cb", "https://" + strings.Repeat("a", 2000) + ".example/",
		"https://" + strings.Repeat("a", 64) + ".example/", "https://app.example.org/<script>", `https://app.example.org/"x`, " https://app.example.org/cb",
	}
	for _, uri := range bad {
		if why := badRedirect(uri); why == "" {
			t.Errorf("%q was taken", uri)
		}
	}
	if err := checkRedirects([]string{good[0], good[0]}); !IsReason(err, "redirect_uri") {
		t.Error("twice the same", err)
	}
	if err := AsError(checkRedirects([]string{good[0], "javascript:alert(1)"})); err.Field != "/redirect_uris/1" || strings.Contains(err.Error(), "alert") {
		t.Errorf("%+v", err)
	}
	if err := checkRedirects(make([]string, maxRedirects+1)); !IsReason(err, "redirect_uri") {
		t.Error(err)
	}
}

func TestOrigins(t *testing.T) {
	got, err := checkOrigins([]string{"https://a.example", "https://a.example:443", "https://a.example:8443", "http://localhost:3000", "http://127.0.0.1:80"})
	if want := "[https://a.example https://a.example:8443 http://localhost:3000 http://127.0.0.1]"; err != nil || fmt.Sprint(got) != want {
		t.Error(got, err)
	}
	for _, o := range []string{
		"", "null", "*", "https://*", "https://*.example.org", "https://a.example/", "https://a.example/path", "https://a.example?x", "https://a.example#x", "a.example",
		"http://a.example", "https://u@a.example", "https://A.example", "https://a.example:", "https://a.example:99999", "javascript:alert(1)", "https://a.example https://b.example",
		"https://a.example;", "https://a.example'", "https://a.example,https://b.example", "chrome-extension://abc", "file://",
	} {
		if _, err := checkOrigins([]string{o}); !IsReason(err, "origin") {
			t.Errorf("%q was taken: %v", o, err)
		}
	}
}

func TestScopesOfClients(t *testing.T) {
	got, err := checkScopes([]string{ScopeEventsRead, ScopeMediaRead, ScopeEventsRead})
	if err != nil || fmt.Sprint(got) != fmt.Sprint([]string{ScopeMediaRead, ScopeEventsRead}) {
		t.Error(got, err)
	}
	for _, s := range [][]string{nil, {}, {"media:write"}, {"openid"}, {"operator"}, {"*"}, {""}, {ScopeMediaRead + " " + ScopeEventsRead}} {
		if _, err := checkScopes(s); CodeOf(err) != Invalid {
			t.Errorf("%q was taken", s)
		}
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func TestPublicKeys(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, y := b64(point[1:33]), b64(point[33:])
	ed, edPrivate, _ := ed25519.GenerateKey(rand.Reader)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	n := b64(key.N.Bytes())
	goodEC := fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":"a","use":"sig","alg":"ES256","x":"%s","y":"%s"}`, x, y)
	goodEd := fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":"b","x":"%s","x5u":"https://evil.example/"}`, b64(ed))
	goodRSA := fmt.Sprintf(`{"kty":"RSA","n":"%s","e":"AQAB","kid":"c","alg":"PS256"}`, n)
	for _, good := range []string{goodEC, `{"keys":[` + goodEC + `]}`, `{"keys":[` + goodEC + "," + goodEd + "," + goodRSA + `]}`} {
		kept, err := checkJWKS(good)
		if err != nil || !strings.HasPrefix(kept, `{"keys":[{`) || strings.Contains(kept, `"x5u"`) {
			t.Errorf("%s: %s %v", good, kept, err)
		}
	}
	d := b64(ec.D.FillBytes(make([]byte, 32))) // the private half, to see it refused
	for _, private := range []string{
		strings.Replace(goodEC, `"x"`, `"d":"`+d+`","x"`, 1),
		strings.Replace(goodEd, `"x"`, `"d":"`+b64(edPrivate.Seed())+`","x"`, 1),
		strings.Replace(goodRSA, `"n"`, `"p":"AQAB","n"`, 1),
		`{"keys":[` + goodEd + `,` + strings.Replace(goodRSA, `"n"`, `"d":"`+b64(key.D.Bytes())+`","n"`, 1) + `]}`,
		`{"kty":"oct","k":"` + b64(make([]byte, 32)) + `"}`,
		"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----",
	} {
		_, err := checkJWKS(private)
		if !IsReason(err, "private_key") {
			t.Errorf("%.40s…: %v", private, err)
		}
		if strings.Contains(err.Error(), d) {
			t.Error("the key is repeated")
		}
	}
	small := b64(new(big.Int).Rsh(key.N, 1025).Bytes())
	for name, bad := range map[string]string{
		"not JSON": "ssh-ed25519 AAAA", "empty": "{}", "no keys": `{"keys":[]}`, "a list": `[]`, "null": "null", "keys no list": `{"keys":{}}`, "keys of text": `{"keys":["x"]}`,
		"unknown kind": `{"kty":"XYZ"}`, "no kind": `{"keys":[{"x":"y"}]}`, "symmetric": `{"keys":[{"kty":"oct"}]}`,
		"not on the curve": strings.Replace(goodEC, `"y":"`+y, `"y":"`+x, 1), "short point": strings.Replace(goodEC, y, y[:8], 1),
		"other curve": strings.Replace(goodEC, "P-256", "P-192", 1), "weak RSA": strings.Replace(goodRSA, n, small, 1),
		"exponent 1": strings.Replace(goodRSA, "AQAB", "AQ", 1), "even exponent": strings.Replace(goodRSA, "AQAB", "AQAA", 1),
		"for encryption": strings.Replace(goodEC, `"sig"`, `"enc"`, 1), "other algorithm": strings.Replace(goodEC, "ES256", "HS256", 1), "none": strings.Replace(goodEC, "ES256", "none", 1),
		"same kid": `{"keys":[` + goodEC + "," + strings.Replace(goodEd, `"b"`, `"a"`, 1) + `]}`,
		"no kid":   `{"keys":[` + goodEC + "," + strings.Replace(goodEd, `"kid":"b",`, "", 1) + `]}`,
		"too many": `{"keys":[` + strings.Repeat(goodEC+",", maxKeys) + goodEC + `]}`, "too large": `{"keys":[` + strings.Repeat(" ", maxJWKS) + goodEC + `]}`,
		"kid a number": strings.Replace(goodEC, `"kid":"a"`, `"kid":1`, 1), "other forms": strings.Replace(goodEC, `"x":"`, `"x":"=`, 1),
	} {
		if _, err := checkJWKS(bad); !IsReason(err, "jwks") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSetupCodesReadAlike(t *testing.T) {
	code := newSetupCode()
	if len(code) != 23 || strings.Count(code, "-") != 3 {
		t.Error(code)
	}
	for _, typed := range []string{strings.ToLower(code), strings.ReplaceAll(code, "-", ""), " " + strings.ReplaceAll(code, "-", " ") + "\n", strings.ReplaceAll(strings.ReplaceAll(code, "0", "O"), "1", "l")} {
		if plainCode(typed) != plainCode(code) {
			t.Errorf("%q is read as %q", typed, plainCode(typed))
		}
	}
}
