package secrets

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"isthmus/gateway"
)

// AssertionAlgs are the algorithms that client assertions may be signed with.
var AssertionAlgs = []string{"EdDSA", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"}

// assertionLife is how far ahead an assertion may end: its id has to be remembered that long.
const assertionLife = 10 * time.Minute

// PublicKey is somebody else's key. ID and Alg may be empty.
type PublicKey struct {
	ID  string
	Alg string
	Key crypto.PublicKey
}

// algs are the algorithms that a key may be used with: those of its type, and only the one it names.
func (k PublicKey) algs() []string {
	var fit []string
	switch p := k.Key.(type) {
	case ed25519.PublicKey:
		fit = []string{"EdDSA"}
	case *ecdsa.PublicKey:
		fit = map[int][]string{256: {"ES256"}, 384: {"ES384"}, 521: {"ES512"}}[p.Curve.Params().BitSize]
	case *rsa.PublicKey:
		if p.N.BitLen() >= 2048 {
			fit = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
		}
	}
	if k.Alg != "" {
		fit = slices.DeleteFunc(fit, func(a string) bool { return a != k.Alg })
	}
	return fit
}

// Assertion is what a client proved who it is with (RFC 7523). Its id may be used once until it ends.
type Assertion struct {
	ID        string
	ExpiresAt time.Time
}

// AssertionIssuer reads which client an assertion claims to be of, before anything is checked.
func AssertionIssuer(assertion string) string {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 || len(assertion) > maxToken {
		return ""
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return ""
	}
	return c.Issuer
}

// VerifyAssertion checks a client assertion that is meant for the audiences, or some of them, and nobody
// else: another who may read it could use it here. Unauthenticated with reason "assertion_invalid" otherwise.
func VerifyAssertion(assertion, clientID string, audiences []string, clock gateway.Clock, keys []PublicKey) (Assertion, error) {
	var c jwt.RegisteredClaims
	err := verifyAssertion(assertion, clientID, audiences, clock, keys, &c)
	if err != nil {
		return Assertion{}, gateway.E(gateway.Unauthenticated, "assertion_invalid", "The client assertion is not valid here.").
			Next("Sign a new one for this server with a registered key.").Because(err)
	}
	return Assertion{ID: c.ID, ExpiresAt: c.ExpiresAt.Add(leeway)}, nil
}

func verifyAssertion(assertion, clientID string, audiences []string, clock gateway.Clock, keys []PublicKey, c *jwt.RegisteredClaims) error {
	if err := wellFormed(assertion); err != nil {
		return err
	}
	_, err := parser(clientID, AssertionAlgs, clock).ParseWithClaims(assertion, c, func(t *jwt.Token) (any, error) {
		return assertionKeys(t, keys)
	})
	if err != nil {
		return err
	}
	switch {
	case clientID == "" || c.Subject != clientID:
		return errors.New("not about the client")
	case c.ID == "" || len(c.ID) > 255:
		return errors.New("no usable jti")
	case c.ExpiresAt.After(clock().Add(assertionLife + leeway)):
		return errors.New("lives too long")
	case len(c.Audience) == 0, slices.ContainsFunc(c.Audience, func(a string) bool { return a == "" || !slices.Contains(audiences, a) }):
		return jwt.ErrTokenInvalidAudience
	}
	return nil
}

// assertionKeys finds the keys that may have signed, by id when the header names one.
func assertionKeys(t *jwt.Token, keys []PublicKey) (any, error) {
	for name := range t.Header {
		if name != "alg" && name != "kid" && name != "typ" {
			return nil, errors.New("unexpected header")
		}
	}
	if typ, has := t.Header["typ"]; has && typ != "JWT" && typ != "client-authentication+jwt" {
		return nil, errors.New("unexpected type")
	}
	kid, named := t.Header["kid"]
	var set jwt.VerificationKeySet
	for _, k := range keys {
		if (!named || k.ID == "" || kid == k.ID) && slices.Contains(k.algs(), t.Method.Alg()) {
			set.Keys = append(set.Keys, k.Key)
		}
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("unknown key")
	}
	return set, nil
}
