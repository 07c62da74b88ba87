package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
)

// How long what lives how long.
const (
	AccessLife  = 10 * time.Minute // of an access token
	RequestLife = 15 * time.Minute // in which a person has to sign in and decide
	CodeLife    = time.Minute
	DeviceLife  = 15 * time.Minute
	DeviceWait  = 5 * time.Second     // between two questions of a device, at first
	RefreshIdle = 14 * 24 * time.Hour // a refresh token that nobody uses
	FamilyLife  = 30 * 24 * time.Hour // whatever is refreshed: then the person is asked again

	// TokenLeeway is how much longer tokens are taken than they say, and as much before: the clocks of two
	// servers differ.
	TokenLeeway = 30 * time.Second
)

// Reasons of the errors that the token endpoint gives, which are those of RFC 6749, 8628 and 8693.
const (
	OAuthInvalidGrant = "invalid_grant"
	OAuthInvalidScope = "invalid_scope"
	OAuthPending      = "authorization_pending"
	OAuthSlowDown     = "slow_down"
	OAuthDenied       = "access_denied"
	OAuthExpired      = "expired_token"
	OAuthBadRequest   = "invalid_request"
)

func oauthError(reason, message string) *Error { return E(Invalid, reason, message) }

var (
	challengeForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	verifierForm  = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)
)

// GoodChallenge tells whether a text can be a PKCE challenge of the method S256.
func GoodChallenge(challenge string) bool { return challengeForm.MatchString(challenge) }

// proves tells whether a PKCE verifier is the one behind a challenge.
func proves(verifier, challenge string) bool {
	if !verifierForm.MatchString(verifier) || challenge == "" {
		return false
	}
	h := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(h[:])), []byte(challenge)) == 1
}

// MayHave gives the scopes that a client gets when it asks for some; all of its own when it names none.
// Invalid with reason "invalid_scope" otherwise.
func (c Client) MayHave(asked []string) ([]string, error) {
	if len(asked) == 0 {
		return inOrder(c.Scopes), nil
	}
	for _, s := range asked {
		if !slices.Contains(c.Scopes, s) {
			return nil, oauthError(OAuthInvalidScope, "This client may not have one of the scopes that it asks for.").
				Next("Ask for scopes that the client was registered with.")
		}
	}
	return inOrder(asked), nil
}

// inOrder gives known scopes in their usual order, each once.
func inOrder(scopes []string) []string {
	out := []string{}
	for _, s := range AllScopes {
		if slices.Contains(scopes, s) {
			out = append(out, s)
		}
	}
	return out
}

// both gives the scopes that are in all lists.
func both(first []string, others ...[]string) []string {
	return inOrder(slices.DeleteFunc(slices.Clone(first), func(s string) bool {
		return slices.ContainsFunc(others, func(o []string) bool { return !slices.Contains(o, s) })
	}))
}

func covers(have, want []string) bool {
	return !slices.ContainsFunc(want, func(s string) bool { return !slices.Contains(have, s) })
}

// userLetters make no words and none is taken for another.
const userLetters = "BCDFGHJKLMNPQRSTVWXZ"

// newUserCode makes a code that a person reads from one screen and types at another: 34 bits, good
// for minutes, and guesses are slowed down.
func newUserCode() string {
	var b strings.Builder
	for i := range 8 {
		if i == 4 {
			b.WriteByte('-')
		}
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(userLetters)))) // never fails since Go 1.24
		b.WriteByte(userLetters[n.Int64()])
	}
	return b.String()
}

// tidyUserCode takes a user code as people type it; empty when it cannot be one.
func tidyUserCode(typed string) string {
	if len(typed) > 40 {
		return ""
	}
	code := strings.Map(func(r rune) rune {
		if strings.ContainsRune(userLetters, r) {
			return r
		}
		return -1
	}, strings.ToUpper(typed))
	if len(code) != 8 {
		return ""
	}
	return code[:4] + "-" + code[4:]
}
