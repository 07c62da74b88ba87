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

const (
	// reloadAfter limits how often an unknown key makes us look for keys that another replica made.
	reloadAfter = 10 * time.Second
	// reloadEvery is how long a replica may miss a rotation.
	reloadEvery = time.Minute
	// keysAge is how long others may keep our public keys.
	keysAge = 5 * time.Minute
	// keyLead is how long a key is published before it signs: all replicas and all that keep the set
	// have it by then.
	keyLead = 2 * keysAge
	keyLife = 90 * 24 * time.Hour
)

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
	row, err := newKey(t.sealer)
	if err != nil {
		return err
	}
	now := t.clock() // nobody knows another one
	row.SignsFrom = &now
	return t.store.Keys().Insert(ctx, &row)
}

func newKey(sealer gateway.Sealer) (gateway.SigningKey, error) {
	row := gateway.SigningKey{Row: gateway.Row{ID: gateway.NewID("key")}, Alg: secrets.ES256}
	_, private, err := secrets.NewKey(row.ID, row.Alg)
	if err == nil {
		row.Private, err = sealer.Seal(private, row.Place())
	}
	return row, err
}

// RotateKeys makes a new signing key. It is published at once and signs when everybody had time to
// read it; the present keys sign until then and are kept until what they signed has ended. With
// compromised the present keys are thrown away instead, and all tokens with them.
func RotateKeys(ctx context.Context, store gateway.Store, sealer gateway.Sealer, clock gateway.Clock, compromised bool) error {
	return rotateKeys(ctx, store, sealer, clock, compromised, 0)
}

// RotateIfDue makes a new signing key when the newest is three months old.
func (t *Tokens) RotateIfDue(ctx context.Context) error {
	err := rotateKeys(ctx, t.store, t.sealer, t.clock, false, keyLife)
	if gateway.CodeOf(err) == gateway.Conflict {
		return nil // another replica was first
	}
	return err
}

func rotateKeys(ctx context.Context, store gateway.Store, sealer gateway.Sealer, clock gateway.Clock, compromised bool, older time.Duration) error {
	next, err := newKey(sealer)
	if err != nil {
		return err
	}
	return store.Tx(ctx, func(tx gateway.Tx) error {
		now := clock()
		from := now.Add(keyLead)
		if compromised {
			from = now
		}
		rows, err := tx.Keys().List(ctx)
		if err != nil {
			return err
		}
		if older > 0 && slices.ContainsFunc(rows, func(k gateway.SigningKey) bool { return now.Sub(since(k)) < older }) {
			return nil
		}
		for _, k := range rows {
			switch {
			case compromised || gone(k, now):
				err = tx.Keys().Delete(ctx, gateway.AnyHub, k.ID)
			case k.RetiredAt == nil || k.RetiredAt.After(from):
				k.RetiredAt = &from
				err = tx.Keys().Update(ctx, &k)
			}
			if err != nil {
				return err
			}
		}
		row := next // Tx may run this again
		row.SignsFrom = &from
		if err := tx.Keys().Insert(ctx, &row); err != nil {
			return err
		}
		return gateway.AuditKeyRotation(ctx, tx, row, compromised)
	})
}

func since(k gateway.SigningKey) time.Time {
	if k.SignsFrom == nil {
		return k.CreatedAt
	}
	return *k.SignsFrom
}

// gone tells whether nothing that a key signed can be valid any more.
func gone(k gateway.SigningKey, now time.Time) bool {
	return k.RetiredAt != nil && now.After(k.RetiredAt.Add(tokenLife+reloadEvery+time.Minute))
}

// signs tells whether new tokens may be signed with a key.
func signs(k gateway.SigningKey, now time.Time) bool {
	return (k.SignsFrom == nil || !now.Before(*k.SignsFrom)) && (k.RetiredAt == nil || now.Before(*k.RetiredAt))
}

// load reads all keys. The newest of those that may, signs.
func (t *Tokens) load(ctx context.Context) error {
	rows, err := t.store.Keys().List(ctx)
	if err != nil {
		return err
	}
	now := t.clock()
	rows = slices.DeleteFunc(rows, func(k gateway.SigningKey) bool { return gone(k, now) })
	slices.SortStableFunc(rows, func(a, b gateway.SigningKey) int { // they come newest first
		switch {
		case signs(a, now) == signs(b, now):
			return 0
		case signs(a, now):
			return -1
		}
		return 1
	})
	if len(rows) == 0 || !signs(rows[0], now) {
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
	t.tokens, t.public, t.loaded = tokens, set, now
	return nil
}

// fresh gives the keys, read anew when that was longer ago than age.
func (t *Tokens) fresh(ctx context.Context, age time.Duration) (*secrets.Tokens, jose.JSONWebKeySet, error) {
	t.mu.Lock()
	old := t.clock().Sub(t.loaded) > age
	t.mu.Unlock()
	var err error
	if old {
		err = t.load(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tokens, t.public, err
}

// Sign makes a JWT of typ at+jwt that begins now.
func (t *Tokens) Sign(ctx context.Context, a secrets.Access) (string, error) {
	tokens, _, err := t.fresh(ctx, reloadEvery)
	if err != nil {
		return "", err
	}
	a.IssuedAt = t.clock()
	return tokens.SignAccess(t.issuer, a)
}

// Verify accepts an unexpired at+jwt of ours and nothing else. Unauthenticated otherwise.
func (t *Tokens) Verify(ctx context.Context, token string) (secrets.Access, error) {
	tokens, _, err := t.fresh(ctx, reloadEvery)
	if err != nil {
		return secrets.Access{}, err
	}
	a, err := tokens.VerifyAccess(token, t.issuer)
	if err != nil && !gateway.IsReason(err, "token_expired") { // perhaps signed by another replica's new key
		if tokens, _, err = t.fresh(ctx, reloadAfter); err != nil {
			return secrets.Access{}, err
		}
		a, err = tokens.VerifyAccess(token, t.issuer)
	}
	return a, err
}

// PublicKeys is the JWK set, as JSON.
func (t *Tokens) PublicKeys(ctx context.Context) ([]byte, error) {
	_, set, err := t.fresh(ctx, reloadEvery)
	if err != nil {
		return nil, err
	}
	return json.Marshal(set)
}
