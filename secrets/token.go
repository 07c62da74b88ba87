package secrets

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"isthmus/gateway"
)

// Algorithms of signing keys. There is none with a shared secret.
const (
	EdDSA = "EdDSA"
	ES256 = "ES256"
	RS256 = "RS256"
)

// TypeAccessToken is the header "typ" of an OAuth access token (RFC 9068).
const TypeAccessToken = "at+jwt"

const (
	leeway   = gateway.TokenLeeway
	maxToken = 8 << 10
)

var tokenForm = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)

type times struct{ Exp, Iat, Nbf float64 }

var kidForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Key is a signing key with its name.
type Key struct {
	ID      string
	Alg     string
	Private crypto.Signer
}

// NewKey makes a key of the algorithm and its private half as text to be sealed.
func NewKey(id, alg string) (Key, gateway.Secret, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("unknown algorithm %q", alg)
	}
	if err != nil {
		return Key{}, "", fmt.Errorf("secrets: new key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Key{}, "", fmt.Errorf("secrets: new key: %w", err)
	}
	return Key{ID: id, Alg: alg, Private: private}, gateway.Secret(base64.StdEncoding.EncodeToString(der)), nil
}

// ParseKey reads what NewKey gave.
func ParseKey(id, alg string, private gateway.Secret) (Key, error) {
	der, err := base64.StdEncoding.DecodeString(private.Reveal())
	if err != nil {
		return Key{}, errors.New("secrets: key is not base64")
	}
	p, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return Key{}, errors.New("secrets: key is not PKCS #8")
	}
	s, ok := p.(crypto.Signer)
	k := Key{ID: id, Alg: alg, Private: s}
	if !ok || !k.fits() {
		return Key{}, fmt.Errorf("secrets: key is not one for %s", alg)
	}
	return k, nil
}

// fits tells whether the key is of its algorithm's type, so that one can never be used as another.
func (k Key) fits() bool {
	switch p := k.Private.(type) {
	case ed25519.PrivateKey:
		return k.Alg == EdDSA
	case *ecdsa.PrivateKey:
		return k.Alg == ES256 && p.Curve == elliptic.P256()
	case *rsa.PrivateKey:
		return k.Alg == RS256 && p.N.BitLen() >= 2048
	}
	return false
}

// Tokens signs and checks one kind of JSON web token. Safe for concurrent use.
type Tokens struct {
	typ    string
	issuer string
	keys   map[string]Key
	first  Key
	clock  gateway.Clock
	parser *jwt.Parser
}

// NewTokens serves tokens with the given header "typ" and issuer. The first key signs, all check.
func NewTokens(typ, issuer string, clock gateway.Clock, keys ...Key) (*Tokens, error) {
	t := &Tokens{typ: typ, issuer: issuer, keys: map[string]Key{}, clock: clock}
	var algs []string
	for _, k := range keys {
		if !k.fits() || !kidForm.MatchString(k.ID) || t.keys[k.ID].ID != "" {
			return nil, fmt.Errorf("secrets: key %q cannot be used", k.ID)
		}
		t.keys[k.ID] = k
		algs = append(algs, k.Alg)
	}
	if typ == "" || issuer == "" || len(keys) == 0 {
		return nil, errors.New("secrets: tokens need a type, an issuer and a key")
	}
	t.first = keys[0]
	t.parser = parser(issuer, algs, clock)
	return t, nil
}

// parser is the only place that makes one: the library's defaults take tokens without expiry, from
// the future, and of any algorithm that fits the key's Go type.
func parser(issuer string, algs []string, clock gateway.Clock) *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods(algs),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithIssuer(issuer),
		jwt.WithLeeway(leeway),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(clock),
	)
}

// Sign makes a token. The claims should embed jwt.RegisteredClaims; Issuer must be that of NewTokens.
func (t *Tokens) Sign(claims jwt.Claims) (string, error) {
	if iss, err := claims.GetIssuer(); err != nil || iss != t.issuer {
		return "", fmt.Errorf("secrets: token of a foreign issuer %q", iss)
	}
	if exp, err := claims.GetExpirationTime(); err != nil || exp == nil {
		return "", errors.New("secrets: token without expiry")
	}
	token := &jwt.Token{
		Method: jwt.GetSigningMethod(t.first.Alg),
		Header: map[string]any{"typ": t.typ, "alg": t.first.Alg, "kid": t.first.ID},
		Claims: claims,
	}
	s, err := token.SignedString(t.first.Private)
	if err != nil {
		return "", fmt.Errorf("secrets: sign: %w", err)
	}
	return s, nil
}

// Verify checks a token for an audience and reads its claims into a pointer to a struct that embeds
// jwt.RegisteredClaims. Unauthenticated with reason "token_expired" or "token_invalid" otherwise.
func (t *Tokens) Verify(token, audience string, claims jwt.Claims) error {
	err := t.verify(token, audience, claims)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrTokenExpired):
		return gateway.E(gateway.Unauthenticated, "token_expired", "The token has expired.").Next("Get a new one.").Because(err)
	}
	return gateway.E(gateway.Unauthenticated, "token_invalid", "The token is not valid here.").Next("Get a new one.").Because(err)
}

func (t *Tokens) verify(token, audience string, claims jwt.Claims) error {
	if err := wellFormed(token); err != nil {
		return err
	}
	if _, err := t.parser.ParseWithClaims(token, claims, t.key); err != nil {
		return err
	}
	aud, err := claims.GetAudience()
	if err != nil {
		return err
	}
	for _, a := range aud {
		if a == audience && audience != "" {
			return nil
		}
	}
	return jwt.ErrTokenInvalidAudience
}

// wellFormed refuses what two readers could read in two ways.
func wellFormed(token string) error {
	if !tokenForm.MatchString(token) || len(token) > maxToken {
		return errors.New("not of the form of a token") // base64 would skip line ends: one token, many spellings
	}
	// Duplicate names: the library takes the last one, another reader may take the first.
	for _, part := range strings.SplitN(token, ".", 3)[:2] {
		b, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err == nil {
			err = uniqueNames(b)
		}
		if err == nil {
			err = json.Unmarshal(b, &times{}) // the library takes "123" in quotes as well
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// key finds the key by its id in our own list. Only the three header fields that we write are
// taken: whatever else a header may ask for (crit, jku, jwk, x5u, b64, zip …) is refused unread.
func (t *Tokens) key(token *jwt.Token) (any, error) {
	if len(token.Header) != 3 || token.Header["typ"] != t.typ {
		return nil, errors.New("unexpected header")
	}
	kid, _ := token.Header["kid"].(string)
	k, ok := t.keys[kid]
	if !ok || token.Method.Alg() != k.Alg || token.Header["alg"] != k.Alg {
		return nil, errors.New("unknown key")
	}
	return k.Private.Public(), nil
}

// uniqueNames refuses a JSON object in which a name occurs twice at any level, also when only the
// case differs, which encoding/json takes for the same.
func uniqueNames(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if err := uniqueIn(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("text after the JSON value")
	}
	return nil
}

func uniqueIn(d *json.Decoder, depth int) error {
	tok, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := tok.(json.Delim)
	switch {
	case !ok && depth == 0, open == '[' && depth == 0:
		return errors.New("not a JSON object")
	case !ok:
		return nil
	case depth > 16:
		return errors.New("nested too deeply")
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			n := strings.ToLower(fmt.Sprint(name))
			if seen[n] {
				return errors.New("a name occurs twice")
			}
			seen[n] = true
		}
		if err := uniqueIn(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
