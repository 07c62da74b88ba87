package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"isthmus/gateway"
	"isthmus/secrets"
)

// Tokens signs and checks our own access tokens with keys from the database. Safe for concurrent use.
type Tokens struct {
	store  gateway.Store
	sealer gateway.Sealer
	issuer string // also the audience: tokens are for this API and nothing else
	clock  gateway.Clock

	mu     sync.Mutex
	loaded time.Time
	tokens *secrets.Tokens
	public jose.JSONWebKeySet
}

// reloadAfter limits how often an unknown key makes us look for keys that another replica made.
const reloadAfter = 10 * time.Second

// NewTokens reads the signing keys and makes the first one if there is none.
func NewTokens(ctx context.Context, store gateway.Store, sealer gateway.Sealer, baseURL string, clock gateway.Clock) (*Tokens, error) {
	t := &Tokens{store: store, sealer: sealer, issuer: strings.TrimSuffix(baseURL, "/"), clock: clock}
	err := t.load(ctx)
	if errors.Is(err, errNoKey) {
		if err = t.create(ctx); err == nil {
			err = t.load(ctx)
		}
	}
	return t, err
}

var errNoKey = errors.New("there is no signing key")

func (t *Tokens) create(ctx context.Context) error {
	id := gateway.NewID("key")
	_, private, err := secrets.NewKey(id, secrets.ES256)
	if err != nil {
		return err
	}
	row := gateway.SigningKey{Row: gateway.Row{ID: id}, Alg: secrets.ES256}
	if row.Private, err = t.sealer.Seal(private, row.Place()); err != nil {
		return err
	}
	return t.store.Keys().Insert(ctx, &row)
}

// load reads all keys. The newest that is not retired signs.
func (t *Tokens) load(ctx context.Context) error {
	rows, err := t.store.Keys().List(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(rows, func(a, b gateway.SigningKey) int {
		if (a.RetiredAt == nil) != (b.RetiredAt == nil) {
			if a.RetiredAt == nil {
				return -1
			}
			return 1
		}
		return strings.Compare(b.ID, a.ID)
	})
	if len(rows) == 0 || rows[0].RetiredAt != nil {
		return errNoKey
	}
	var keys []secrets.Key
	var set jose.JSONWebKeySet
	for _, r := range rows {
		private, err := t.sealer.Open(r.Private, r.Place())
		if err != nil {
			return fmt.Errorf("signing key %s: %w", r.ID, err)
		}
		k, err := secrets.ParseKey(r.ID, r.Alg, private)
		if err != nil {
			return fmt.Errorf("signing key %s: %w", r.ID, err)
		}
		keys = append(keys, k)
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: k.Alg, Use: "sig"})
	}
	tokens, err := secrets.NewTokens(secrets.TypeAccessToken, t.issuer, t.clock, keys...)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens, t.public, t.loaded = tokens, set, t.clock()
	return nil
}

func (t *Tokens) current() (*secrets.Tokens, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tokens, t.clock().Sub(t.loaded) > reloadAfter
}

// Sign makes a JWT of typ at+jwt that begins now.
func (t *Tokens) Sign(a secrets.Access) (string, error) {
	tokens, _ := t.current()
	a.IssuedAt = t.clock()
	return tokens.SignAccess(t.issuer, a)
}

// Verify accepts an unexpired at+jwt of ours and nothing else. Unauthenticated otherwise.
func (t *Tokens) Verify(ctx context.Context, token string) (secrets.Access, error) {
	tokens, old := t.current()
	a, err := tokens.VerifyAccess(token, t.issuer)
	if err != nil && old && !gateway.IsReason(err, "token_expired") { // perhaps signed by another replica's new key
		if lerr := t.load(ctx); lerr != nil {
			return secrets.Access{}, lerr
		}
		tokens, _ = t.current()
		a, err = tokens.VerifyAccess(token, t.issuer)
	}
	return a, err
}

// PublicKeys is the JWK set, as JSON.
func (t *Tokens) PublicKeys() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return json.Marshal(t.public)
}
