package secrets_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"isthmus/gateway"
	"isthmus/secrets"
)

const (
	issuer   = "https://isthmus.example"
	audience = "https://isthmus.example/v1"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

func tickets(t *testing.T, k *secrets.Keyring) *secrets.Tickets {
	t.Helper()
	tk, err := secrets.NewTickets(k, issuer, clock)
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

func newKey(t *testing.T, id, alg string) secrets.Key {
	t.Helper()
	k, text, err := secrets.NewKey(id, alg)
	if err != nil {
		t.Fatal(err)
	}
	back, err := secrets.ParseKey(id, alg, text)
	if err != nil || back.ID != id {
		t.Fatal(err)
	}
	return k
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// forge signs any header and payload text with a key, as the library never would.
func forge(t *testing.T, k secrets.Key, header, payload string) string {
	t.Helper()
	in := b64(header) + "." + b64(payload)
	sum, opts := sha256.Sum256([]byte(in)), crypto.SHA256
	var sig []byte
	var err error
	if p, ok := k.Private.(ed25519.PrivateKey); ok {
		sig = ed25519.Sign(p, []byte(in))
	} else {
		sig, err = k.Private.(*rsa.PrivateKey).Sign(rand.Reader, sum[:], opts)
	}
	if err != nil {
		t.Fatal(err)
	}
	return in + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func hs256(header, payload string, key []byte) string {
	in := b64(header) + "." + b64(payload)
	m := hmac.New(sha256.New, key)
	m.Write([]byte(in))
	return in + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

type claims struct {
	jwt.RegisteredClaims
	HubID string `json:"hub_id"`
}

func TestGoodTokens(t *testing.T) {
	for _, alg := range []string{secrets.EdDSA, secrets.ES256, secrets.RS256} {
		tokens, err := secrets.NewTokens(secrets.TypeAccessToken, issuer, clock, newKey(t, "k1", alg), newKey(t, "k2", secrets.EdDSA))
		if err != nil {
			t.Fatal(err)
		}
		s, err := tokens.Sign(claims{jwt.RegisteredClaims{Issuer: issuer, Audience: []string{audience}, ExpiresAt: jwt.NewNumericDate(now.Add(time.Minute))}, "hub_1"})
		if err != nil {
			t.Fatal(err)
		}
		var c claims
		if err := tokens.Verify(s, audience, &c); err != nil || c.HubID != "hub_1" {
			t.Fatal(alg, err, c)
		}
	}
}

func TestBadTokens(t *testing.T) {
	ed, rs, foreign := newKey(t, "ed", secrets.EdDSA), newKey(t, "rs", secrets.RS256), newKey(t, "ed", secrets.EdDSA)
	tokens, err := secrets.NewTokens(secrets.TypeAccessToken, issuer, clock, ed, rs)
	if err != nil {
		t.Fatal(err)
	}
	const head = `{"alg":"EdDSA","typ":"at+jwt","kid":"ed"}`
	body := func(change func(map[string]any)) string {
		m := map[string]any{"iss": issuer, "aud": audience, "sub": "s", "iat": now.Unix(), "exp": now.Unix() + 600}
		if change != nil {
			change(m)
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	set := func(name string, v any) string { return body(func(m map[string]any) { m[name] = v }) }
	without := func(name string) string { return body(func(m map[string]any) { delete(m, name) }) }
	extra := func(s string) string { return strings.TrimSuffix(head, "}") + "," + s + "}" }
	good := forge(t, ed, head, body(nil))
	if err := tokens.Verify(good, audience, &claims{}); err != nil {
		t.Fatal("the forger is no good:", err)
	}
	parts := strings.Split(good, ".")
	der, err := x509.MarshalPKIXPublicKey(rs.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	rsPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	edPublic := []byte(ed.Private.Public().(ed25519.PublicKey))

	bad := map[string]string{
		"empty":                   "",
		"one part":                "abc",
		"two parts":               parts[0] + "." + parts[1],
		"four parts":              good + ".x",
		"no signature":            parts[0] + "." + parts[1] + ".",
		"alg none":                b64(`{"alg":"none","typ":"at+jwt","kid":"ed"}`) + "." + parts[1] + ".",
		"alg None":                b64(`{"alg":"None","typ":"at+jwt","kid":"ed"}`) + "." + parts[1] + ".",
		"alg none, signature":     b64(`{"alg":"none","typ":"at+jwt","kid":"ed"}`) + "." + parts[1] + "." + parts[2],
		"alg empty":               forge(t, ed, `{"alg":"","typ":"at+jwt","kid":"ed"}`, body(nil)),
		"alg missing":             forge(t, ed, `{"typ":"at+jwt","kid":"ed"}`, body(nil)),
		"alg number":              forge(t, ed, `{"alg":1,"typ":"at+jwt","kid":"ed"}`, body(nil)),
		"alg lower case":          forge(t, ed, `{"alg":"eddsa","typ":"at+jwt","kid":"ed"}`, body(nil)),
		"HS256 with RSA PEM":      hs256(`{"alg":"HS256","typ":"at+jwt","kid":"rs"}`, body(nil), rsPEM),
		"HS256 with RSA DER":      hs256(`{"alg":"HS256","typ":"at+jwt","kid":"rs"}`, body(nil), der),
		"HS256 with Ed25519 key":  hs256(`{"alg":"HS256","typ":"at+jwt","kid":"ed"}`, body(nil), edPublic),
		"HS256 with empty key":    hs256(`{"alg":"HS256","typ":"at+jwt","kid":"ed"}`, body(nil), nil),
		"RS256 named, Ed key":     forge(t, ed, `{"alg":"RS256","typ":"at+jwt","kid":"ed"}`, body(nil)),
		"Ed named, RSA key":       forge(t, rs, `{"alg":"EdDSA","typ":"at+jwt","kid":"rs"}`, body(nil)),
		"RS384":                   forge(t, rs, `{"alg":"RS384","typ":"at+jwt","kid":"rs"}`, body(nil)),
		"PS256":                   forge(t, rs, `{"alg":"PS256","typ":"at+jwt","kid":"rs"}`, body(nil)),
		"kid of the other key":    forge(t, ed, `{"alg":"EdDSA","typ":"at+jwt","kid":"rs"}`, body(nil)),
		"foreign key, known kid":  forge(t, foreign, head, body(nil)),
		"unknown kid":             forge(t, ed, `{"alg":"EdDSA","typ":"at+jwt","kid":"zz"}`, body(nil)),
		"no kid":                  forge(t, ed, `{"alg":"EdDSA","typ":"at+jwt"}`, body(nil)),
		"kid is a path":           forge(t, ed, `{"alg":"EdDSA","typ":"at+jwt","kid":"../../dev/null"}`, body(nil)),
		"kid is a list":           forge(t, ed, `{"alg":"EdDSA","typ":"at+jwt","kid":["ed"]}`, body(nil)),
		"typ JWT":                 forge(t, ed, `{"alg":"EdDSA","typ":"JWT","kid":"ed"}`, body(nil)),
		"typ of a ticket":         forge(t, ed, `{"alg":"EdDSA","typ":"isthmus-ticket+jwt","kid":"ed"}`, body(nil)),
		"no typ":                  forge(t, ed, `{"alg":"EdDSA","kid":"ed"}`, body(nil)),
		"crit":                    forge(t, ed, extra(`"crit":["exp"]`), body(nil)),
		"jku":                     forge(t, ed, extra(`"jku":"https://evil.example/keys"`), body(nil)),
		"x5u":                     forge(t, ed, extra(`"x5u":"https://evil.example/c"`), body(nil)),
		"x5c":                     forge(t, ed, extra(`"x5c":["AA"]`), body(nil)),
		"jwk":                     forge(t, foreign, extra(`"jwk":{"kty":"OKP"}`), body(nil)),
		"b64 false":               forge(t, ed, extra(`"b64":false`), body(nil)),
		"zip":                     forge(t, ed, extra(`"zip":"DEF"`), body(nil)),
		"header name twice":       forge(t, ed, extra(`"kid":"ed"`), body(nil)),
		"header name, other case": forge(t, ed, extra(`"ALG":"none"`), body(nil)),
		"header is a list":        forge(t, ed, `[`+head+`]`, body(nil)),
		"text after the header":   forge(t, ed, head+`{}`, body(nil)),
		"no exp":                  forge(t, ed, head, without("exp")),
		"exp null":                forge(t, ed, head, set("exp", nil)),
		"exp text":                forge(t, ed, head, set("exp", "9999999999")),
		"expired":                 forge(t, ed, head, set("exp", now.Unix()-60)),
		"exp zero":                forge(t, ed, head, set("exp", 0)),
		"iat in the future":       forge(t, ed, head, set("iat", now.Unix()+120)),
		"nbf in the future":       forge(t, ed, head, set("nbf", now.Unix()+120)),
		"no iss":                  forge(t, ed, head, without("iss")),
		"other iss":               forge(t, ed, head, set("iss", issuer+".evil.example")),
		"iss with a slash":        forge(t, ed, head, set("iss", issuer+"/")),
		"no aud":                  forge(t, ed, head, without("aud")),
		"other aud":               forge(t, ed, head, set("aud", "play")),
		"aud is longer":           forge(t, ed, head, set("aud", audience+"/x")),
		"aud empty":               forge(t, ed, head, set("aud", []string{})),
		"aud list of others":      forge(t, ed, head, set("aud", []string{"a", "b"})),
		"claim twice":             forge(t, ed, head, strings.TrimSuffix(body(nil), "}")+`,"exp":99999999999}`),
		"claim, other case":       forge(t, ed, head, strings.TrimSuffix(body(nil), "}")+`,"Exp":99999999999}`),
		"nested claim twice":      forge(t, ed, head, strings.TrimSuffix(body(nil), "}")+`,"x":[{"a":1,"a":2}]}`),
		"payload is no object":    forge(t, ed, head, `"x"`),
		"payload changed":         parts[0] + "." + b64(set("sub", "admin")) + "." + parts[2],
		"header changed":          b64(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`) + "." + parts[1] + "." + parts[2],
		"signature cut":           good[:len(good)-4],
		"padding":                 parts[0] + "=." + parts[1] + "." + parts[2],
		"signature padded":        good + "==",
		"white space":             " " + good,
		"newline":                 good + "\n",
		"huge":                    forge(t, ed, head, set("x", strings.Repeat("a", 9000))),
	}
	if last := good[len(good)-1]; true { // the last character carries unused bits: a second spelling of the same bytes
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		bad["second spelling"] = good[:len(good)-1] + string(alphabet[strings.IndexByte(alphabet, last)^1])
	}
	for name, token := range bad {
		err := tokens.Verify(token, audience, &claims{})
		if gateway.CodeOf(err) != gateway.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && len(parts) > 1 && strings.Contains(gateway.AsError(err).Message, parts[2]) {
			t.Errorf("%s: the token is in the message", name)
		}
	}
	if err := tokens.Verify(bad["expired"], audience, &claims{}); !gateway.IsReason(err, "token_expired") {
		t.Error("expired:", err)
	}
	if err := tokens.Verify(forge(t, ed, head, set("aud", "")), "", &claims{}); err == nil {
		t.Error("an empty audience was taken")
	}
}

func TestTokensAreNotMadeWrong(t *testing.T) {
	k := newKey(t, "k", secrets.EdDSA)
	tokens, err := secrets.NewTokens(secrets.TypeAccessToken, issuer, clock, k)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Sign(jwt.RegisteredClaims{Issuer: issuer}); err == nil {
		t.Error("signed without expiry")
	}
	if _, err := tokens.Sign(jwt.RegisteredClaims{Issuer: "other", ExpiresAt: jwt.NewNumericDate(now)}); err == nil {
		t.Error("signed for another issuer")
	}
	for name, keys := range map[string][]secrets.Key{
		"none":          {},
		"twice":         {k, k},
		"bad id":        {{ID: "../k", Alg: secrets.EdDSA, Private: k.Private}},
		"alg mismatch":  {{ID: "k", Alg: secrets.RS256, Private: k.Private}},
		"no private":    {{ID: "k", Alg: secrets.EdDSA}},
		"shared secret": {{ID: "k", Alg: "HS256", Private: k.Private}},
	} {
		if _, err := secrets.NewTokens(secrets.TypeAccessToken, issuer, clock, keys...); err == nil {
			t.Error(name)
		}
	}
}

func TestTickets(t *testing.T) {
	k := keyring(t, t.TempDir())
	tk := tickets(t, k)
	s, err := tk.Issue(gateway.TicketPlay, "assets/a/1/", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if sub, err := tk.Check(gateway.TicketPlay, s); err != nil || sub != "assets/a/1/" {
		t.Fatal(sub, err)
	}
	if _, err := tk.Check(gateway.TicketThumbnail, s); gateway.CodeOf(err) != gateway.Unauthenticated {
		t.Fatal("used for another purpose:", err)
	}
	later, err := secrets.NewTickets(k, issuer, func() time.Time { return now.Add(time.Minute + time.Second) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := later.Check(gateway.TicketPlay, s); !gateway.IsReason(err, "token_expired") {
		t.Fatal(err)
	}
	other, err := secrets.NewTickets(k, issuer+"2", clock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Check(gateway.TicketPlay, s); err == nil {
		t.Fatal("another installation's ticket")
	}
	for _, bad := range []func() (string, error){
		func() (string, error) { return tk.Issue("", "s", time.Minute) },
		func() (string, error) { return tk.Issue("p", "", time.Minute) },
		func() (string, error) { return tk.Issue("p", "s", 0) },
	} {
		if _, err := bad(); err == nil {
			t.Fatal("issued")
		}
	}
}
