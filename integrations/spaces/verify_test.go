package spaces

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"isthmus/gateway"
)

// TestTokens is the table of what may be wrong with a provider's token.
func TestTokens(t *testing.T) {
	s, i, other := newSite(t), newIssuer(t), newIssuer(t)
	s.fix(i.url, "idp_a", func(p *gateway.OpenedProvider) { p.Audiences = []string{"platform-app", "https://media.example/"} })
	s.fix(other.url, "idp_b", nil)
	key := i.keys[0]
	der, err := x509.MarshalPKIXPublicKey(key.Key.(*ecdsa.PrivateKey).Public())
	if err != nil {
		t.Fatal(err)
	}
	foreign := newKey(t, "k1") // the same name, another key
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	i.keys = append(i.keys, jose.JSONWebKey{Key: short, KeyID: "short", Algorithm: "RS256", Use: "sig"})
	encryption, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.keys = append(i.keys, jose.JSONWebKey{Key: encryption, KeyID: "enc", Use: "enc"})

	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	raw := func(header, payload string, signature string) string {
		e := base64.RawURLEncoding.EncodeToString
		return e([]byte(header)) + "." + e([]byte(payload)) + "." + signature
	}
	good := i.token(nil)
	parts := strings.Split(good, ".")
	id := func(change map[string]any) string { return i.token(change) }
	access := func(typ string, change map[string]any) string { return sign(t, jose.ES256, key, typ, i.claims(change)) }
	kid := func(k any, name string) jose.JSONWebKey { return jose.JSONWebKey{Key: k, KeyID: name} }

	for _, c := range []struct {
		name   string
		kind   gateway.TokenKind
		token  string
		reason string // empty: good
	}{
		{"an ID token", gateway.TokenID, good, ""},
		{"without typ", gateway.TokenID, access("", nil), ""},
		{"for an app that the operator trusts", gateway.TokenID, id(map[string]any{"aud": []string{"platform-app"}, "azp": "platform-app"}), ""},
		{"several audiences, all ours", gateway.TokenID, id(map[string]any{"aud": []string{"isthmus", "platform-app"}}), ""},
		{"just expired, within the leeway", gateway.TokenID, id(map[string]any{"exp": at(-20 * time.Second)}), ""},
		{"an access token of RFC 9068", gateway.TokenAccess, access("at+jwt", map[string]any{"aud": "https://media.example/"}), ""},
		{"an access token, application/at+jwt", gateway.TokenAccess, access("application/at+jwt", map[string]any{"aud": "https://media.example/"}), ""},
		{"an access token of a provider that names no type", gateway.TokenAccess, access("JWT", map[string]any{"aud": "https://media.example/"}), ""},

		{"nothing", gateway.TokenID, "", "token_invalid"},
		{"no token", gateway.TokenID, "opaque", "token_invalid"},
		{"unknown kind", "refresh_token", good, "token_invalid"},
		{"alg none", gateway.TokenID, raw(`{"alg":"none","typ":"JWT"}`, `{"iss":"`+i.url+`","sub":"s1","aud":"isthmus"}`, ""), "token_invalid"},
		{"alg None", gateway.TokenID, raw(`{"alg":"None"}`, `{"iss":"`+i.url+`"}`, "AA"), "token_invalid"},
		{"HS256 with the public key", gateway.TokenID, sign(t, jose.HS256, kid(der, "k1"), "JWT", i.claims(nil)), "token_invalid"},
		{"HS256 with the client secret", gateway.TokenID, sign(t, jose.HS256, kid([]byte(strings.Repeat("secret", 8)), "k1"), "JWT", i.claims(nil)), "token_invalid"},
		{"another key of the same name", gateway.TokenID, sign(t, jose.ES256, foreign, "JWT", i.claims(nil)), "token_invalid"},
		{"a key that is not published", gateway.TokenID, sign(t, jose.ES256, newKey(t, "k9"), "JWT", i.claims(nil)), "token_invalid"},
		{"an encryption key", gateway.TokenID, sign(t, jose.ES256, kid(encryption, "enc"), "JWT", i.claims(nil)), "token_invalid"},
		{"a short RSA key", gateway.TokenID, sign(t, jose.RS256, kid(short, "short"), "JWT", i.claims(nil)), "token_invalid"},
		{"the signature of another token", gateway.TokenID, parts[0] + "." + parts[1] + "." + strings.Split(id(map[string]any{"sub": "s2"}), ".")[2], "token_invalid"},
		{"no signature", gateway.TokenID, parts[0] + "." + parts[1] + ".", "token_invalid"},
		{"a changed payload", gateway.TokenID, raw(`{"alg":"ES256","kid":"k1","typ":"JWT"}`, `{"iss":"`+i.url+`","sub":"boss","aud":"isthmus","iat":1,"exp":9999999999}`, parts[2]), "token_invalid"},
		{"a line end", gateway.TokenID, good + "\n", "token_invalid"},
		{"padding", gateway.TokenID, good + "=", "token_invalid"},
		{"four parts", gateway.TokenID, good + ".x", "token_invalid"},
		{"too long", gateway.TokenID, id(map[string]any{"x": strings.Repeat("x", 17<<10)}), "token_invalid"},
		{"JSON serialisation", gateway.TokenID, `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "token_invalid"},

		{"unknown issuer", gateway.TokenID, id(map[string]any{"iss": "https://evil.example"}), "token_invalid"},
		{"issuer with a slash", gateway.TokenID, id(map[string]any{"iss": i.url + "/"}), "token_invalid"},
		{"no issuer", gateway.TokenID, id(map[string]any{"iss": nil}), "token_invalid"},
		{"issuer is a list", gateway.TokenID, id(map[string]any{"iss": []string{i.url}}), "token_invalid"},
		{"another provider's issuer, own key", gateway.TokenID, id(map[string]any{"iss": other.url}), "token_invalid"},

		{"wrong audience", gateway.TokenID, id(map[string]any{"aud": "someone-else"}), "token_invalid"},
		{"no audience", gateway.TokenID, id(map[string]any{"aud": nil}), "token_invalid"},
		{"empty audience", gateway.TokenID, id(map[string]any{"aud": ""}), "token_invalid"},
		{"audience is a number", gateway.TokenID, id(map[string]any{"aud": []any{"isthmus", 7}}), "token_invalid"},
		{"a foreign party", gateway.TokenID, id(map[string]any{"azp": "someone-else"}), "token_invalid"},
		{"a party that is no text", gateway.TokenID, id(map[string]any{"azp": 7}), "token_invalid"},
		{"a foreign audience beside ours, no party", gateway.TokenID, id(map[string]any{"aud": []string{"isthmus", "someone-else"}}), "token_invalid"},

		{"expired", gateway.TokenID, id(map[string]any{"iat": at(-10 * time.Minute), "exp": at(-time.Minute)}), "token_expired"},
		{"no expiry", gateway.TokenID, id(map[string]any{"exp": nil}), "token_invalid"},
		{"expiry as text", gateway.TokenID, id(map[string]any{"exp": "9999999999"}), "token_invalid"},
		{"not valid yet", gateway.TokenID, id(map[string]any{"nbf": at(5 * time.Minute)}), "token_invalid"},
		{"nbf as text", gateway.TokenID, id(map[string]any{"nbf": "soon"}), "token_invalid"},
		{"from the future", gateway.TokenID, id(map[string]any{"iat": at(5 * time.Minute)}), "token_invalid"},
		{"no issue time", gateway.TokenID, id(map[string]any{"iat": nil}), "token_invalid"},
		{"too old, replayed within its life", gateway.TokenID, id(map[string]any{"iat": at(-time.Hour), "exp": at(time.Hour)}), "token_expired"},

		{"no subject", gateway.TokenID, id(map[string]any{"sub": nil}), "identity_incomplete"},
		{"hubs not understood", gateway.TokenID, id(map[string]any{"isthmus_hubs": []any{7}}), "bad_hub_claim"},

		{"an access token as ID token", gateway.TokenID, access("at+jwt", nil), "token_invalid"},
		{"a log-out token as ID token", gateway.TokenID, access("logout+jwt", nil), "token_invalid"},
		{"a log-out token that does not say that it is one", gateway.TokenID, id(map[string]any{"events": map[string]any{backLogoutEvent: map[string]any{}}, "jti": "x"}), "token_invalid"},
		{"likewise as an access token", gateway.TokenAccess, id(map[string]any{"events": map[string]any{backLogoutEvent: map[string]any{}}}), "token_invalid"},
		{"events of no kind", gateway.TokenID, id(map[string]any{"events": []any{}}), "token_invalid"},
		{"an ID token as access token", gateway.TokenAccess, id(map[string]any{"nonce": "n"}), "token_invalid"},
		{"an access token for somebody else", gateway.TokenAccess, access("at+jwt", map[string]any{"aud": "https://elsewhere.example"}), "token_invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := s.verifier.Verify(t.Context(), c.token, c.kind)
			if c.reason == "" {
				if err != nil || got.Issuer != i.url || got.Subject != "s1" || !got.EmailVerified || len(got.Memberships) != 1 || got.IssuedAt.IsZero() || got.Partial {
					t.Fatalf("%+v %v", got, err)
				}
				return
			}
			if gateway.CodeOf(err) != gateway.Unauthenticated || !gateway.IsReason(err, c.reason) {
				t.Fatalf("%v, want %s", err, c.reason)
			}
		})
	}

	// What occurs twice may be read in two ways.
	twice := raw(`{"alg":"ES256","kid":"k1"}`, `{"iss":"`+i.url+`","iss":"`+other.url+`","sub":"s1"}`, parts[2])
	if _, err := s.verifier.Verify(t.Context(), twice, gateway.TokenID); !gateway.IsReason(err, "token_invalid") {
		t.Error(err)
	}
	// A provider that was switched off is none.
	off := time.Now()
	for n := range s.providers.Fixed {
		if s.providers.Fixed[n].ID == "idp_a" {
			s.providers.Fixed[n].DisabledAt = &off
		}
	}
	if _, err := s.verifier.Verify(t.Context(), good, gateway.TokenID); !gateway.IsReason(err, "token_invalid") {
		t.Error(err)
	}
}

func (i *issuer) fetched() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// TestKeysRotate changes the provider's keys under a running verifier.
func TestKeysRotate(t *testing.T) {
	s, i := newSite(t), newIssuer(t)
	s.fix(i.url, "idp_a", func(p *gateway.OpenedProvider) { p.MaxTokenAge = 24 * 3600 })
	verify := func(token string) error {
		_, err := s.verifier.Verify(t.Context(), token, gateway.TokenID)
		return err
	}
	day := map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()}
	old := i.token(day)
	if err := verify(old); err != nil {
		t.Fatal(err)
	}
	for range 5 { // kept
		if err := verify(old); err != nil || i.fetched() != 1 {
			t.Fatal(err, i.fetched())
		}
	}

	// Unknown keys make us look, but anybody can name one: once in ten seconds, however many ask.
	s.clock.add(time.Minute)
	stranger := sign(t, jose.ES256, newKey(t, "unknown"), "JWT", i.claims(nil))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := verify(stranger); !gateway.IsReason(err, "token_invalid") {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := i.fetched(); n != 2 {
		t.Errorf("%d fetches", n)
	}

	// A new key beside the old one is found as soon as a token names it.
	s.clock.add(refetchPause)
	second := newKey(t, "k2")
	i.mu.Lock()
	i.keys = append(i.keys, second)
	i.mu.Unlock()
	fresh := sign(t, jose.ES256, second, "JWT", i.claims(day))
	if err := verify(fresh); err != nil {
		t.Fatal(err)
	}
	// One that was taken back is not believed any more, ten minutes later at the latest.
	i.mu.Lock()
	i.keys = i.keys[1:]
	i.mu.Unlock()
	s.clock.add(keysFresh)
	if err := verify(old); !gateway.IsReason(err, "token_invalid") {
		t.Errorf("a key that was taken back: %v", err)
	}
	if err := verify(fresh); err != nil {
		t.Error(err)
	}
	// A provider that is down for a while is no reason to send people away; for ever is.
	i.mu.Lock()
	i.gone = true
	i.mu.Unlock()
	s.clock.add(keysFresh)
	if err := verify(fresh); err != nil {
		t.Error(err)
	}
	s.clock.add(keysStale)
	if err := verify(fresh); gateway.CodeOf(err) != gateway.Unavailable {
		t.Errorf("no keys for an hour: %v", err)
	}
	i.mu.Lock()
	i.gone = false
	i.mu.Unlock()
	s.clock.add(failurePause)
	if err := verify(fresh); err != nil {
		t.Error(err)
	}
}

// TestDeadProvider counts what a provider that does not answer is asked: it must not cost each of our
// requests a timeout, neither before it was known nor after.
func TestDeadProvider(t *testing.T) {
	s, i := newSite(t), newIssuer(t)
	s.fix(i.url, "idp_a", func(p *gateway.OpenedProvider) { p.MaxTokenAge = 24 * 3600 })
	token := i.token(map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()})
	set := func(gone bool) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.gone, i.lost = gone, gone
	}
	asked := func() (discoveries, keys int) {
		i.mu.Lock()
		defer i.mu.Unlock()
		defer func() { i.discoveries, i.fetches = 0, 0 }()
		return i.discoveries, i.fetches
	}
	all := func(down bool) {
		t.Helper()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := s.verifier.Verify(t.Context(), token, gateway.TokenID); (gateway.CodeOf(err) == gateway.Unavailable) != down || !down && err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	i.slow = func() { s.clock.add(11 * time.Second) } // as long as we wait for an answer
	set(true)
	all(true)
	all(true)
	if d, _ := asked(); d != 1 {
		t.Errorf("an unknown provider was asked %d times", d)
	}
	s.clock.add(failurePause)
	all(true)
	if d, _ := asked(); d != 1 {
		t.Errorf("after the pause it was asked %d times", d)
	}
	set(false)
	s.clock.add(failurePause)
	all(false)
	if d, k := asked(); d != 1 || k != 1 {
		t.Errorf("when it was back: %d, %d", d, k)
	}
	// It dies again. Its keys are believed for an hour, then no more.
	set(true)
	s.clock.add(keysFresh)
	all(false)
	all(false)
	if d, k := asked(); d != 0 || k != 1 {
		t.Errorf("with keys that are getting old: %d, %d", d, k)
	}
	s.clock.add(keysStale)
	all(true)
	all(true)
	if d, k := asked(); d != 1 || k != 1 {
		t.Errorf("with keys that are too old: %d, %d", d, k)
	}
	set(false)
	s.clock.add(failurePause)
	all(false)
}
