package spaces

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"isthmus/gateway"
)

// A provider that keeps its ID tokens small names the hubs by userinfo only. When that fails, the
// sign-in fails: going on would take the person for one who has left every hub, and suspend them.
func TestHubsFromUserinfo(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk := jose.JSONWebKey{Key: key, KeyID: "k", Algorithm: "ES256", Use: "sig"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jwk}, nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	ts := httptest.NewServer(mux)
	defer ts.Close()
	say := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	var nonce string
	down := false
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		say(w, map[string]any{
			"issuer": ts.URL, "authorization_endpoint": ts.URL + "/authorize", "token_endpoint": ts.URL + "/token",
			"userinfo_endpoint": ts.URL + "/userinfo", "jwks_uri": ts.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		say(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk.Public()}})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		raw, err := jwt.Signed(signer).Claims(map[string]any{
			"iss": ts.URL, "sub": "s1", "aud": "isthmus", "nonce": nonce, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		}).Serialize()
		if err != nil {
			t.Error(err)
		}
		say(w, map[string]any{"access_token": "a", "token_type": "Bearer", "expires_in": 60, "id_token": raw})
	})
	mux.HandleFunc("/userinfo", func(w http.ResponseWriter, _ *http.Request) {
		if down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		say(w, map[string]any{"sub": "s1", "email": "ada@example.org", "email_verified": true, HubsClaim: []map[string]string{{"id": "h1", "role": "admin"}}})
	})
	var signedIn []gateway.Identity
	s, err := New(Config{
		BaseURL: ts.URL, Issuer: ts.URL, ClientID: "isthmus", ClientSecret: "secret", HTTP: ts.Client(),
		SignIn: func(_ http.ResponseWriter, _ *http.Request, id gateway.Identity) error {
			signedIn = append(signedIn, id)
			return nil
		},
		SignOut: func(http.ResponseWriter, *http.Request) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/auth/", s)
	p := &party{t: t, base: ts.URL}
	try := func() int {
		b := p.browser()
		_, authorize := b.get(ts.URL + LoginPath)
		nonce = param(t, authorize, "nonce")
		status, _ := b.get(ts.URL + CallbackPath + "?code=c&state=" + url.QueryEscape(param(t, authorize, "state")))
		return status
	}
	if status := try(); status != http.StatusSeeOther || len(signedIn) != 1 || signedIn[0].Email != "ada@example.org" || len(signedIn[0].Memberships) != 1 {
		t.Fatal(status, signedIn)
	}
	down = true
	if status := try(); status != http.StatusServiceUnavailable || len(signedIn) != 1 {
		t.Fatal(status, signedIn)
	}
}
