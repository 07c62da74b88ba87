package gateway

import (
	"context"
	"time"
)

// TicketTransfer is the purpose of a ticket that lets a transfer be sent; the subject is its id.
const TicketTransfer = "transfer"

// Admission is one session of the fast path that was let in. All methods are safe for concurrent use.
type Admission struct {
	TransferID string
	Uploads    []Upload // those that take bytes, in the order in which they shall come
	Expires    time.Time

	transfers *Transfers
	session   *shareSession
}

// Reading is what a session has measured. Bytes and Carried only grow.
type Reading struct {
	Bytes   int64 // of payload that came in this session
	Carried int64 // of packets that came, repeated ones too; 0 = not known
	Missing int64 // bytes of payload to come
	Paused  bool  // by the client
	RTT     time.Duration
	Loss    float64 // 0..1, of packets
}

// Start takes the uploads over from whoever else is sending them.
func (a *Admission) Start(ctx context.Context) error { return a.transfers.start(ctx, a) }

// Share says how fast the session may be now, in bit/s of whole packets (0: not at all; negative: as it
// likes), and the priority that its client should give it (0 normal, higher first). It does no I/O.
func (a *Admission) Share() (rate int64, priority uint8) { return a.session.share() }

// Observe takes what was measured; call it about once a second. It does no I/O.
func (a *Admission) Observe(r Reading) { a.transfers.observe(a.session, r) }

// Err says why the session has to end, nil while it may go on. It does no I/O.
func (a *Admission) Err() error { return a.session.err() }

// Close ends the admission, started or not. Harmless when repeated.
func (a *Admission) Close() { a.transfers.leave(a) }
