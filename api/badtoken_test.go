package api_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/secrets"
)

// TestBadJWTs sends tokens that the server's own key signed over wrong contents, and right contents that
// it did not sign, to the API: each is refused with one and the same answer.
func TestBadJWTs(t *testing.T) {
	h := newHouse(t, newRig(t))
	keys, err := h.db.Keys().List(t.Context())
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	private, err := h.keyring.Open(keys[0].Private, keys[0].Place())
	if err != nil {
		t.Fatal(err)
	}
	own, err := secrets.ParseKey(keys[0].ID, keys[0].Alg, private)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	signed := func(key crypto.Signer, header, payload string) string {
		in := b64(header) + "." + b64(payload)
		sum := sha256.Sum256([]byte(in))
		r, s, err := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return in + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	}
	head := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":%q}`, own.ID)
	extra := func(s string) string { return strings.TrimSuffix(head, "}") + "," + s + "}" }
	now := time.Now().Unix()
	payload := func(change ...any) string {
		m := map[string]any{
			"iss": h.base, "aud": []string{h.base}, "sub": h.machine.ID, "client_id": h.machine.ID, "hub": h.hub["bio"], "scope": "library:read",
			"jti": gateway.NewID("tok"), "iat": now, "exp": now + 600,
		}
		for i := 0; i+1 < len(change); i += 2 {
			name := change[i].(string)
			if m[name] = change[i+1]; change[i+1] == nil {
				delete(m, name)
			}
		}
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	claims := func(change ...any) string { return signed(own.Private, head, payload(change...)) }
	raw := func(s string) string { // claims as text that no map holds
		return signed(own.Private, head, strings.TrimSuffix(payload(), "}")+","+s+"}")
	}
	header := func(s string) string { return signed(own.Private, s, payload()) }
	good := claims()
	parts := strings.Split(good, ".")
	der, err := x509.MarshalPKIXPublicKey(own.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	shared := func(key []byte) string {
		in := b64(fmt.Sprintf(`{"alg":"HS256","typ":"at+jwt","kid":%q}`, own.ID)) + "." + parts[1]
		m := hmac.New(sha256.New, key)
		m.Write([]byte(in))
		return in + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
	ticket, err := h.tickets.Issue(gateway.TicketThumbnail, "x", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	person := h.signedIn(h.pat, h.web)
	pats := participantOf(t, h.rig, "pat@example.org")
	zeros := base64.RawURLEncoding.EncodeToString(make([]byte, 64))
	bad := map[string]string{
		"garbage": "abc", "one part": parts[0], "two parts": parts[0] + "." + parts[1], "four parts": good + ".x", "five parts, as JWE": "a.b.c.d.e",
		"dots only": "..", "no signature": parts[0] + "." + parts[1] + ".", "zero signature": parts[0] + "." + parts[1] + "." + zeros,
		"signature cut": good[:len(good)-4], "signature longer": good + "AAAA", "another token's signature": parts[0] + "." + parts[1] + "." + strings.Split(claims(), ".")[2],
		"header padded": parts[0] + "=." + parts[1] + "." + parts[2], "signature padded": good + "==", "plain base64": strings.ReplaceAll(good, "-", "+") + "+",
		"none": b64(`{"alg":"none","typ":"at+jwt"}`) + "." + parts[1] + ".", "None": b64(`{"alg":"None","typ":"at+jwt"}`) + "." + parts[1] + ".",
		"nOnE with a signature":     b64(`{"alg":"nOnE","typ":"at+jwt"}`) + "." + parts[1] + "." + parts[2],
		"HS256 with the public key": shared(der), "HS256 with its PEM": shared(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), "HS256 with nothing": shared(nil),
		"HS256 with the key's id": shared([]byte(own.ID)),
		"another key, same id":    signed(foreign, head, payload()), "another key's own id": signed(foreign, `{"alg":"ES256","typ":"at+jwt","kid":"mine"}`, payload()),
		"no alg": header(fmt.Sprintf(`{"typ":"at+jwt","kid":%q}`, own.ID)), "alg is a list": header(fmt.Sprintf(`{"alg":["ES256"],"typ":"at+jwt","kid":%q}`, own.ID)),
		"alg in lower case": header(fmt.Sprintf(`{"alg":"es256","typ":"at+jwt","kid":%q}`, own.ID)), "alg of another curve": header(fmt.Sprintf(`{"alg":"ES384","typ":"at+jwt","kid":%q}`, own.ID)),
		"no kid": header(`{"alg":"ES256","typ":"at+jwt"}`), "kid is empty": header(`{"alg":"ES256","typ":"at+jwt","kid":""}`), "kid is a path": header(`{"alg":"ES256","typ":"at+jwt","kid":"../../dev/null"}`),
		"kid is SQL": header(`{"alg":"ES256","typ":"at+jwt","kid":"x' OR '1'='1"}`), "kid with NUL": header(`{"alg":"ES256","typ":"at+jwt","kid":"a\u0000b"}`),
		"kid of 10 KiB": header(`{"alg":"ES256","typ":"at+jwt","kid":"` + strings.Repeat("k", 10<<10) + `"}`), "kid is a number": header(`{"alg":"ES256","typ":"at+jwt","kid":1}`),
		"typ JWT": header(fmt.Sprintf(`{"alg":"ES256","typ":"JWT","kid":%q}`, own.ID)), "no typ": header(fmt.Sprintf(`{"alg":"ES256","kid":%q}`, own.ID)),
		"typ of a ticket": header(fmt.Sprintf(`{"alg":"ES256","typ":"isthmus-ticket+jwt","kid":%q}`, own.ID)),
		"crit":            header(extra(`"crit":["exp"]`)), "jku": header(extra(`"jku":"https://evil.example/keys"`)), "x5u": header(extra(`"x5u":"https://evil.example/c"`)),
		"x5c": header(extra(`"x5c":["AA"]`)), "embedded jwk": header(extra(`"jwk":{"kty":"EC"}`)), "b64 false": header(extra(`"b64":false`)), "zip": header(extra(`"zip":"DEF"`)), "cty JWT": header(extra(`"cty":"JWT"`)),
		"alg twice": header(extra(`"alg":"none"`)), "header is a list": header("[" + head + "]"), "header is no JSON": header("x"), "header of dots": strings.Repeat(".", 7<<10),
		"no exp": claims("exp", nil), "exp is null": raw(`"exp":null`), "exp is text": claims("exp", "9999999999"), "exp is negative": claims("exp", -1), "exp is zero": claims("exp", 0),
		"exp is infinite": signed(own.Private, head, strings.Replace(payload(), fmt.Sprintf(`"exp":%d`, now+600), `"exp":1e999`, 1)), "expired": claims("exp", now-60), "exp is true": claims("exp", true),
		"iat in the future": claims("iat", now+3600), "no iat": claims("iat", nil), "iat is text": claims("iat", "now"), "nbf in the future": claims("nbf", now+3600),
		"no iss": claims("iss", nil), "another issuer": claims("iss", "https://evil.example"), "issuer with a slash": claims("iss", h.base+"/"), "issuer in capitals": claims("iss", strings.ToUpper(h.base)),
		"no aud": claims("aud", nil), "another audience": claims("aud", "https://else.example"), "audience is a longer address": claims("aud", h.base+".evil.example"), "audience is empty": claims("aud", []string{}),
		"audience of a ticket": claims("aud", "play"),
		"no hub":               claims("hub", nil), "no client": claims("client_id", nil), "no subject": claims("sub", nil), "no id": claims("jti", nil), "a client that is not": claims("client_id", "cli_x", "sub", "cli_x"),
		"a client of another hub": claims("hub", h.hub["other"]), "hub is all": claims("hub", "*"), "a person without a grant": claims("sub", pats.ID), "a grant without a person": claims("gid", "gnt_x"),
		"a made-up grant": claims("sub", pats.ID, "gid", "gnt_x"), "a grant of another client": claims("sub", pats.ID, "gid", h.grants(h.pat)[0].ID),
		"exp twice": raw(`"exp":99999999999`), "Exp beside exp": raw(`"Exp":99999999999`), "hub twice": raw(fmt.Sprintf(`"hub":%q`, h.hub["other"])), "nested names twice": raw(`"x":[{"a":1,"a":2}]`),
		"payload is text": signed(own.Private, head, `"x"`), "payload is a list": signed(own.Private, head, "["+payload()+"]"), "text after the payload": signed(own.Private, head, payload()+"{}"),
		"nested beyond reason": raw(`"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200)), "huge": claims("x", strings.Repeat("a", 9000)),
		"payload changed": parts[0] + "." + b64(payload("scope", strings.Join(gateway.AllScopes, " "))) + "." + parts[2],
		"a ticket":        ticket, "a refresh token": person.Refresh, "a client's secret": h.secrets[h.machine.ID],
	}
	if len(bad) < 60 {
		t.Fatalf("%d cases", len(bad))
	}
	c := h.anonymous()
	path := "/v1/hubs/" + h.hub["bio"] + "/library"
	c.bearer = good
	c.want(200, "GET", path, nil)
	for name, token := range bad {
		c.bearer = token
		a := c.do("GET", path, nil)
		if name == "a client of another hub" || name == "hub is all" { // asks for a hub that is not the token's
			if a.StatusCode != 404 {
				t.Errorf("%s: %d", name, a.StatusCode)
			}
			a = c.do("GET", "/v1/me", nil)
		}
		if a.StatusCode != 401 || !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
			continue
		}
		if p := a.problem(t); p.Code != "invalid_token" {
			t.Errorf("%s: %s", name, p.Code)
		}
		if len(token) > 60 && strings.Contains(string(a.body)+h.log.String(), token) {
			t.Errorf("%s: the token is told again", name)
		}
	}
	for _, h := range []string{"Bearer", "Bearer ", "Basic " + good, good, "DPoP " + good, "Bearer " + good + " " + good, "Bearer " + good + "," + good} {
		c.bearer = ""
		if a := c.do("GET", path, nil, "Authorization", h); a.StatusCode != 401 {
			t.Errorf("%.20q: %d", h, a.StatusCode)
		}
	}
}
