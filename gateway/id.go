package gateway

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID makes "prefix_" followed by 26 characters: 48 bits of time, so that ids sort by age, and
// 80 random bits, so that they cannot be guessed.
func NewID(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[6:]) // never fails since Go 1.24
	var t [8]byte
	binary.BigEndian.PutUint64(t[:], uint64(time.Now().UnixMilli()))
	copy(b[:6], t[2:])
	return prefix + "_" + idEncoding.EncodeToString(b[:])
}

// NewToken makes an unguessable text of 256 bits for links and sessions.
func NewToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return idEncoding.EncodeToString(b[:])
}

// Row is what every stored noun has. Version counts changes: an update names the version it was
// made from and fails with Conflict when somebody else was first, which also fences off workers
// that were declared dead.
type Row struct {
	ID        string    `bun:"id,pk" json:"id"`
	HubID     string    `bun:"hub_id" json:"hub_id"`
	Version   int64     `bun:"version" json:"-"`
	CreatedAt time.Time `bun:"created_at" json:"created_at"`
	UpdatedAt time.Time `bun:"updated_at" json:"updated_at"`
}

// Clock tells the time in UTC, cut to microseconds, which is what both databases keep.
type Clock func() time.Time

// SystemClock is the real one.
func SystemClock() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
