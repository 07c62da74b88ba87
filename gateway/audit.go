package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// AuditRecord is one line of a hub's audit log. The lines of a hub are a chain: each holds the hash
// of the one before and of its own content. Seq, Prev and Hash are set when it is written.
type AuditRecord struct {
	Row
	Seq       int64           `bun:"seq"`       // 1, 2, … without gaps within the hub
	Actor     string          `bun:"actor"`     // Actor.Subject()
	ClientID  string          `bun:"client_id"` // the app through which a person acted; "" = our own pages
	Action    string          `bun:"action"`    // "integration.connect", "library.share", …
	Subject   string          `bun:"subject"`   // id of what it was done to
	RequestID string          `bun:"request_id"`
	Data      json.RawMessage `bun:"data"` // no secrets
	Prev      string          `bun:"prev"` // Hash of the record before; "" = the first
	Hash      string          `bun:"hash"` // Digest()
}

// AuditTime is how a record's time goes into its hash and into exports: UTC with microseconds.
const AuditTime = "2006-01-02T15:04:05.000000Z"

// Digest is the SHA-256 (hex) of the record's content and of Prev: of the fields below, in this
// order, each after its length in bytes as a big-endian 64-bit number, so that no two records look alike.
func (r AuditRecord) Digest() string {
	h := sha256.New()
	for _, field := range []string{
		"isthmus.audit.v1", r.HubID, strconv.FormatInt(r.Seq, 10), r.ID, r.CreatedAt.UTC().Format(AuditTime),
		r.Actor, r.ClientID, r.Action, r.Subject, r.RequestID, string(r.Data), r.Prev,
	} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(field)))
		_, _ = h.Write(n[:])
		_, _ = h.Write([]byte(field))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// AuditHead is the end of a hub's chain, and where it begins when older records were trimmed. It is
// sealed with the server's key, so that who can write to the database but has no key cannot
// move it: neither rewrite the chain nor cut its end off.
type AuditHead struct {
	HubID    string `bun:"hub_id,pk"`
	Seq      int64  `bun:"seq"` // of the last record; 0 = none yet
	Hash     string `bun:"hash"`
	FromSeq  int64  `bun:"from_seq"` // of the last record that was trimmed; 0 = none was
	FromHash string `bun:"from_hash"`
	Seal     Sealed `bun:"seal"`

	Sealing AuditSealing `bun:"-"` // whether Seal says the same; set when read
	Last    int64        `bun:"-"` // the highest seq of the hub's records; set when read
}

// AuditSealing says whether a head is as the server left it.
type AuditSealing string

// The states of a head's seal.
const (
	SealGood    AuditSealing = "good"
	SealBroken  AuditSealing = "broken"  // it names another end than the head
	SealMissing AuditSealing = "missing" // the head was made by somebody else, or before sealing began
	SealUnused  AuditSealing = "unused"  // this process has no key
)

// Place is where the head is sealed.
func (h AuditHead) Place() string { return "audit_heads.seal/" + h.HubID }

// Sealable is the text that is sealed.
func (h AuditHead) Sealable() Secret {
	return Secret(fmt.Sprintf("%d:%s:%d:%s", h.Seq, h.Hash, h.FromSeq, h.FromHash))
}

// AuditFilter says which records are meant. Zero fields do not limit.
type AuditFilter struct {
	Actor    string // AuditRecord.Actor, the bare id of a participant or client, a kind of actor, or part of a name or e-mail
	Action   string // one action, or its area, with or without the "." behind it
	Subject  string
	From, To time.Time // created in [From, To)
	Oldest   bool      // oldest first
}

// AuditTable is the audit log. There is no way to change a record.
type AuditTable interface {
	// Insert adds a record to its hub's chain. In a transaction it is written last of all but events, so that
	// the chain is locked only for a moment; r's chain fields are set by then.
	Insert(ctx context.Context, r *AuditRecord) error
	// List gives records, newest first unless the filter says otherwise; Slice.After is a seq in digits.
	List(ctx context.Context, s Scope, f AuditFilter, w Slice) ([]AuditRecord, error)
	// Walk gives up to n records of a hub with a seq above after and at most until, in the order of seq.
	Walk(ctx context.Context, hubID string, after, until int64, n int) ([]AuditRecord, error)
	// Head gives the head of a hub's chain. NotFound when it has none.
	Head(ctx context.Context, hubID string) (AuditHead, error)
	// Heads gives those of all hubs, by hub from after on, n at most.
	Heads(ctx context.Context, after string, n int) ([]AuditHead, error)
	// Trim deletes the records up to a mark, which becomes the chain's new beginning. Only in a
	// transaction. Conflict when the chain does not begin before the mark or ends before it.
	Trim(ctx context.Context, hubID string, to AuditMark) error
}

// audit writes a line of the audit log in the transaction of its cause.
func audit(ctx context.Context, tx Tx, a Actor, action, subject string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return AsError(err)
	}
	// Postgres keeps no NUL, and what comes back must be byte for byte what was hashed.
	raw = bytes.ReplaceAll(raw, []byte(`\u0000`), []byte(`\ufffd`))
	r := &AuditRecord{
		Row: Row{ID: NewID("aud"), HubID: a.HubID}, Actor: a.Subject(), Action: action, Subject: subject, RequestID: requestID(ctx), Data: raw,
	}
	if !a.Machine() {
		r.ClientID = a.ClientID
	}
	return tx.Audit().Insert(ctx, r)
}

// SystemActor is the server itself, acting in a hub for nobody.
func SystemActor(hubID string) Actor { return Actor{HubID: hubID} }

type requestIDKey struct{}

// WithRequestID has what happens on behalf of a request name it in the audit log.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
