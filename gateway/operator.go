package gateway

import (
	"context"
	"crypto/rand"
	"strings"
	"time"
)

// Operator is a person who runs this installation: they make hubs, set plans and name further
// operators. They are known by issuer and subject, belong to no hub, and see nothing of what is in one.
type Operator struct {
	Row
	Issuer  string `bun:"issuer"`
	Subject string `bun:"subject"`
	Name    string `bun:"name"`
	AddedBy string `bun:"added_by"` // Actor.Subject of who named them, or "setup" for the first
}

// Actor acts as the operator for the whole installation.
func (o Operator) Actor() Actor { return Actor{OperatorID: o.ID, Name: o.Name} }

// OperatorTable holds operators.
type OperatorTable interface {
	Rows[Operator]
	// ByPerson gives the operator that a person is, NotFound when they are none.
	ByPerson(ctx context.Context, issuer, subject string) (Operator, error)
	// All gives every operator, newest first.
	All(ctx context.Context) ([]Operator, error)
}

// Setup is the one row that decides who becomes the first operator. Everybody who changes whether there
// are operators changes it, too, so that of two who do so at once one notices the other.
type Setup struct {
	Row
	CodeHash  string     `bun:"code_hash"` // of the newest code; earlier ones are void
	ExpiresAt time.Time  `bun:"expires_at"`
	UsedAt    *time.Time `bun:"used_at"`
}

const setupID = "setup"

// SetupCodeLife is how long a setup code works.
const SetupCodeLife = 15 * time.Minute

const setupCodeLength, setupCodeGroup = 20, 5 // 100 random bits, written in groups

// newSetupCode makes a code that a person can read out: XXXXX-XXXXX-XXXXX-XXXXX.
func newSetupCode() string {
	var b [13]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	text := strings.ToUpper(idEncoding.EncodeToString(b[:])[:setupCodeLength])
	var groups []string
	for ; text != ""; text = text[setupCodeGroup:] {
		groups = append(groups, text[:setupCodeGroup])
	}
	return strings.Join(groups, "-")
}

// plainCode is a code as it is compared: whatever the case and the dashes, with the letters that the
// alphabet leaves out read as what they look like.
func plainCode(typed string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == 'o' || r == 'O':
			return '0'
		case r == 'i' || r == 'I' || r == 'l' || r == 'L':
			return '1'
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		}
		return -1
	}, typed)
}
