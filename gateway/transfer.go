package gateway

import (
	"context"
	"time"
)

// TransferState is how far a transfer is. An upload of it has ended when it takes no more bytes.
type TransferState string

// The states.
const (
	TransferOpen      TransferState = "open"      // an upload of it has not ended
	TransferDone      TransferState = "done"      // all have ended, at least one was finished
	TransferCancelled TransferState = "cancelled" // all have ended, none was finished
)

// TransferPolicy is how a transfer treats others on the line.
type TransferPolicy string

// The policies.
const (
	PolicyFixed TransferPolicy = "fixed"
	PolicyHigh  TransferPolicy = "high"
	PolicyFair  TransferPolicy = "fair"
	PolicyLow   TransferPolicy = "low"
)

// TransferPolicies are all of them.
var TransferPolicies = []TransferPolicy{PolicyFixed, PolicyHigh, PolicyFair, PolicyLow}

// TransferFirst says before whom a transfer comes.
type TransferFirst string

// Whom it comes before.
const (
	FirstNone TransferFirst = ""
	FirstOwn  TransferFirst = "own" // the other transfers of its person or app
	FirstHub  TransferFirst = "hub" // all of the hub
)

// Transfer is a batch of uploads that are sent together, with one ticket.
type Transfer struct {
	Row
	ParticipantID string         `bun:"participant_id"`
	ClientID      string         `bun:"client_id"`
	State         TransferState  `bun:"state"`
	Policy        TransferPolicy `bun:"policy"`
	RateBPS       int64          `bun:"rate_bps"` // wished for, bit/s; 0 = as fast as it goes
	First         TransferFirst  `bun:"first"`
	Device        string         `bun:"device"`  // where it is sent from, for people
	LiveBy        string         `bun:"live_by"` // replica that told the figures below
	LiveAt        *time.Time     `bun:"live_at"` // when
	Live          TransferLive   `bun:"live"`    // stored as JSON
	EndedAt       *time.Time     `bun:"ended_at"`
}

// TransferPath is how bytes come.
type TransferPath string

// The paths.
const (
	PathNone  TransferPath = "none"
	PathQUIC  TransferPath = "quic"
	PathHTTPS TransferPath = "https"
)

// What holds a transfer back.
const (
	LimitedByNone     = "none"
	LimitedByLine     = "line"
	LimitedByCap      = "cap"
	LimitedByPriority = "priority"
	LimitedByRate     = "rate"
	LimitedByStorage  = "storage"
)

// Limiters are all words for what holds a transfer back.
var Limiters = []string{LimitedByNone, LimitedByLine, LimitedByCap, LimitedByPriority, LimitedByRate, LimitedByStorage}

// TransferLive is how a transfer goes now.
type TransferLive struct {
	Path      TransferPath  `json:"path"`
	RateBPS   int64         `json:"rate_bps"`  // of payload
	ShareBPS  int64         `json:"share_bps"` // of whole packets; 0 = no cap
	RTT       time.Duration `json:"rtt"`
	Loss      float64       `json:"loss"` // 0..1, of packets
	Paused    bool          `json:"paused"`
	LimitedBy string        `json:"limited_by"`
}

// TransferTotals sums up a transfer's uploads.
type TransferTotals struct {
	Files    int64 // uploads
	Ended    int64 // of them take no more bytes, for better or worse
	Size     int64 // bytes
	Received int64 // of them durable when last looked at
}

// TransferView is a transfer with all that is shown of it.
type TransferView struct {
	Transfer
	TransferTotals
	Now    TransferLive
	Person string // who sends; for admins only
}

// TransferTicket lets a client send. The token is a secret.
type TransferTicket struct {
	Token     Secret
	Addresses []string // host:port of UDP ports, best first; none = no fast path here
	KeyHash   string   // SHA-256 (hex) of the server key's SubjectPublicKeyInfo
	ExpiresAt time.Time
}

// StartedTransfer is what who made a transfer needs.
type StartedTransfer struct {
	View    TransferView
	Uploads []Upload // in the order of the files, then of the ids
	Ticket  TransferTicket
}

// NewTransfer is what a client says before it sends a batch.
type NewTransfer struct {
	Files     []NewUpload
	UploadIDs []string       // unfinished uploads to be sent on
	Policy    TransferPolicy // empty = the hub's default
	RateBPS   int64
	Device    string
}

// TransferChange is what is changed of a transfer; nil stays as it is.
type TransferChange struct {
	Policy  *TransferPolicy
	RateBPS *int64
	First   *bool
}

// Unfinished counts what a person or client has not finished.
type Unfinished struct {
	Uploads   int64 // outside of transfers
	Transfers int64 // open ones
	Files     int64 // that open transfers wait for
}

// TransferTable holds transfers. Own setter: live_by, live_at, live.
type TransferTable interface {
	Rows[Transfer]
	// List gives those of a participant or client (both empty: all of the scope) in a state (empty: any), newest first.
	List(ctx context.Context, s Scope, participantID, clientID string, state TransferState, w Slice) ([]Transfer, error)
	// Named gives those of the ids that there are, whatever their hubs.
	Named(ctx context.Context, ids []string) ([]Transfer, error)
	// Lock gives a row and keeps others from locking it until the transaction ends.
	Lock(ctx context.Context, id string) (Transfer, error)
	// Totals sums up the uploads of transfers, by id; one without uploads is missing.
	Totals(ctx context.Context, ids []string) (map[string]TransferTotals, error)
	// Rest tells what the uploads but one have come to: whether one has not ended, and whether one was finished.
	Rest(ctx context.Context, id, butUpload string) (open, finished bool, err error)
	// Unfinished counts what somebody has not finished.
	Unfinished(ctx context.Context, s Scope, participantID, clientID string) (Unfinished, error)
	// SetLive notes how transfers go, by id, as a replica sees it, whatever the versions.
	SetLive(ctx context.Context, replica string, at time.Time, live map[string]TransferLive) error
}
