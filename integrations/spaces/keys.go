package spaces

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"isthmus/gateway"
)

// Signature algorithms that are taken: none with a shared secret, and not "none".
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.ES384, jose.EdDSA}

func algorithmNames() (names []string) {
	for _, a := range algorithms {
		names = append(names, string(a))
	}
	return names
}

const (
	keysFresh    = 10 * time.Minute // then they are fetched again, so that one taken back is no longer believed
	keysStale    = time.Hour        // how long they are believed while the provider does not answer
	refetchPause = 10 * time.Second // between two fetches because of unknown keys, which anybody can name
	maxAnswer    = 1 << 20
	maxKeys      = 100
)

// keySet is a provider's keys: kept, fetched anew when they are old or a token names an unknown one,
// which is how a provider changes its keys. It implements oidc.KeySet; safe for concurrent use.
type keySet struct {
	http  *http.Client
	url   string
	clock gateway.Clock

	fetching sync.Mutex // one at a time
	mu       sync.Mutex
	keys     []jose.JSONWebKey
	fetched  time.Time // with success
	next     time.Time // they are not fetched again before
}

// VerifySignature gives the payload of a token that one of the keys signed.
func (k *keySet) VerifySignature(ctx context.Context, jws *jose.JSONWebSignature) ([]byte, error) {
	keys, fetched := k.kept()
	age := k.clock().Sub(fetched)
	if age < keysFresh {
		if payload, err := verifyWith(jws, keys); err == nil {
			return payload, nil
		}
	}
	err := k.refresh(ctx, fetched)
	if keys, fetched = k.kept(); k.clock().Sub(fetched) >= keysStale {
		if err == nil {
			err = errors.New("the keys were not fetched")
		}
		return nil, down(err)
	}
	payload, verr := verifyWith(jws, keys)
	if verr != nil && err != nil {
		return nil, down(err) // perhaps signed by a key that we could not fetch
	}
	return payload, verr
}

func (k *keySet) kept() ([]jose.JSONWebKey, time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys, k.fetched
}

// verifyWith finds the key by the header's id and algorithm; what else the header may offer as a key
// is not looked at.
func verifyWith(jws *jose.JSONWebSignature, keys []jose.JSONWebKey) ([]byte, error) {
	id, alg := oidc.GetKeyIDAndAlg(jws)
	key, err := oidc.FindMatchingKey(id, oidc.KeyUseSignature, alg, keys...)
	if err != nil {
		return nil, err
	}
	if key.Algorithm != "" && key.Algorithm != alg {
		return nil, errors.New("the key is for another algorithm")
	}
	return jws.Verify(&key)
}

// refresh fetches the keys unless somebody did since known, or tried just now.
func (k *keySet) refresh(ctx context.Context, known time.Time) error {
	k.fetching.Lock()
	defer k.fetching.Unlock()
	now := k.clock()
	k.mu.Lock()
	again := k.fetched.Equal(known) && !now.Before(k.next)
	k.mu.Unlock()
	if !again {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	keys, err := fetchKeys(ctx, k.http, k.url)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil { // counted from when we gave up, else each who waited would find the pause over
		k.next = k.clock().Add(failurePause)
		return err
	}
	k.keys, k.fetched, k.next = keys, now, now.Add(refetchPause)
	return nil
}

// fetchKeys gives the public keys that can be used; others of the set are passed over.
func fetchKeys(ctx context.Context, client *http.Client, url string) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := getJSON(ctx, client, url, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys are too many", len(set.Keys))
	}
	out := []jose.JSONWebKey{}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || !key.Valid() || !key.IsPublic() || (key.Use != "" && key.Use != oidc.KeyUseSignature) {
			continue
		}
		if r, ok := key.Key.(*rsa.PublicKey); ok && r.N.BitLen() < 2048 {
			continue
		}
		out = append(out, key)
	}
	if len(out) == 0 {
		return nil, errors.New("the key set holds no key that can be used")
	}
	return out, nil
}

func getJSON(ctx context.Context, client *http.Client, url string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("answered %d", resp.StatusCode)
	case len(body) > maxAnswer:
		return errors.New("answered too much")
	}
	return json.Unmarshal(body, out)
}

// limited keeps a provider from answering without end, also to the library.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

func down(err error) *gateway.Error {
	return gateway.E(gateway.Unavailable, "identity_provider_down", "The identity provider does not answer.").
		Next("Try again in a moment.").Because(err)
}
