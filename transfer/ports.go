package transfer

import (
	"context"
	"time"

	"isthmus/transfer/wire"
)

// ALPN is the protocol's name in the TLS handshake.
const ALPN = "isthmus/1"

// Range is the bytes [Start, End).
type Range = wire.Range

// Upload is one file of a transfer.
type Upload struct {
	ID   string // at most 128 bytes
	Name string // UTF-8, for people and for finding the file, at most 4 KiB
	Size int64  // in bytes
}

// Share is what a transfer may take of its account now.
type Share struct {
	Rate     int64 // bit/s of whole IP packets; 0: nothing for now; negative: no limit
	Priority uint8 // 0 normal; a client puts transfers of higher priority first
}

// Grant is what a ticket allows.
type Grant struct {
	Uploads []Upload // in the order in which they shall come; sizes add up to less than 2^48
	Expires time.Time

	// Share is asked every few milliseconds while bytes come, from several goroutines; nil: no limit.
	Share func() Share
	// Ended tells of uploads that have ended before, by id: the client hears of them at once. That is for one whose
	// connection broke before it had its receipts. Files is not asked about them.
	Ended map[string]End

	// Start is called when no other session has one of the uploads any more, before the first call of Files; an
	// error ends the session. nil: nothing. It is the place to shut out other ways to the same files. The session
	// is good until Close.
	Start func(ctx context.Context, s *Session) error
	// Close is called once, started or not, when the session is over and its bytes are on disk; nil: nothing.
	Close func()
}

// End is how an upload ended.
type End struct {
	SHA256 []byte // that was checked; nil: none
	Err    *Error // nil: complete and accepted
}

// Tickets says what a ticket allows. An *Error tells the client why not; with any other error it
// learns only that the ticket is no good. Safe for concurrent use.
type Tickets interface {
	Open(ctx context.Context, token string) (Grant, error)
}

// Files keeps the bytes. A session calls WriteAt for one upload from one goroutine at a time, each byte of
// an upload at most once; Durable and Sync run beside it, Finish and Cancel alone: after them no call for that
// upload follows in the session, except Finish again. An *Error is told to the client, any other error is a failure
// of the storage. With CodeTakenOver, CodeCancelled or CodeRefused WriteAt and Sync give up that upload alone, with other errors the session. Safe for concurrent use.
type Files interface {
	// Durable gives the ranges that survive a crash: ascending, not touching.
	Durable(ctx context.Context, uploadID string) ([]Range, error)
	// WriteAt takes p, which is the caller's again afterwards.
	WriteAt(ctx context.Context, uploadID string, p []byte, offset int64) error
	// Sync makes durable what WriteAt took before the call.
	Sync(ctx context.Context, uploadID string) error
	// Finish accepts the whole file of size bytes: all were taken, perhaps not synced yet. sha256 is what the
	// client read, 32 bytes or none if it does not know. It returns the digest that it checked, if it did, once
	// the file and the acceptance are durable. Repeated with the same digest it does no harm.
	Finish(ctx context.Context, uploadID string, size int64, sha256 []byte) ([]byte, error)
	// Cancel throws the upload away.
	Cancel(ctx context.Context, uploadID string) error
}
