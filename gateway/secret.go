package gateway

import (
	"encoding/json"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a value in clear that must not be shown. It prints and marshals as redacted; Reveal
// is the only way out, so that every use can be found.
type Secret string

// Reveal gives the value itself.
func (s Secret) Reveal() string { return string(s) }

// Last4 is what a settings page may show. Short secrets show nothing.
func (s Secret) Last4() string {
	if len(s) < 12 {
		return ""
	}
	return string(s[len(s)-4:])
}

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }

// Sealed is a Secret as it lies in the database: ciphertext bound to table, column and row.
type Sealed []byte

func (Sealed) String() string               { return redacted }
func (Sealed) GoString() string             { return redacted }
func (Sealed) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }
func (Sealed) LogValue() slog.Value         { return slog.StringValue(redacted) }

// Sealer seals secrets for the database. The place ("table.column/rowid") is authenticated, so a
// ciphertext moved to another row does not open. Safe for concurrent use.
type Sealer interface {
	Seal(secret Secret, place string) (Sealed, error)
	Open(sealed Sealed, place string) (Secret, error)
}
