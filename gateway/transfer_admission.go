package gateway

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// TicketTransfer is the purpose of a ticket that lets a transfer be sent; the subject is its id.
const TicketTransfer = "transfer"

// Admission is one session of the fast path that was let in. All methods are safe for concurrent use.
type Admission struct {
	TransferID string
	HubID      string
	Uploads    []Upload // those that take bytes, in the order in which they shall come
	Ended      []Upload // those that ended before, of which the client may not have heard
	Expires    time.Time

	transfers *Transfers
	session   *session

	mu      sync.Mutex
	release func() // of the uploads, once they were taken over
	closed  bool
}

// Reading is what a session has measured. Bytes and Carried only grow.
type Reading struct {
	Bytes   int64 // of payload that came in this session
	Carried int64 // of packets that came, repeated ones too; 0 = not known
	Missing int64 // bytes of payload to come
	Paused  bool  // by the client
	Storage bool  // the disk here holds it up
	RTT     time.Duration
	Loss    float64 // 0..1, of packets that were sent
}

// Open lets a session in by its ticket. Unauthenticated when the ticket is no good, NotFound when who has it is in
// the hub no more, Conflict when there is nothing to send and nothing to hear. Close must follow.
func (s *Transfers) Open(ctx context.Context, token string) (*Admission, error) {
	id, err := s.Tickets.Check(TicketTransfer, token)
	if err != nil {
		return nil, err
	}
	t, err := s.Store.Transfers().Get(ctx, AnyHub, id)
	if CodeOf(err) == NotFound {
		return nil, transferEnded()
	}
	if err != nil {
		return nil, err
	}
	a, err := s.sender(ctx, t)
	if err != nil {
		return nil, err
	}
	if t.State == TransferCancelled {
		return nil, transferEnded()
	}
	acc, err := accountOf(ctx, s.Store, t.HubID)
	if err != nil {
		return nil, err
	}
	all, err := s.Store.Uploads().OfTransfer(ctx, id, nil, "", 0)
	if err != nil {
		return nil, err
	}
	ad := &Admission{TransferID: id, HubID: t.HubID, Expires: s.Clock().Add(ticketLife), transfers: s}
	var refused error
	for _, u := range all {
		switch err := s.Uploads.writable(u); {
		case err == nil:
			ad.Uploads = append(ad.Uploads, u)
		case u.State != UploadReceiving:
			ad.Ended = append(ad.Ended, u)
		default: // elsewhere, or expired just now
			refused = err
		}
	}
	if len(ad.Uploads) == 0 && (refused != nil || len(ad.Ended) == 0) {
		return nil, cmp.Or(refused, error(transferEnded()))
	}
	ad.session = s.join(t, a.Role, acc)
	if len(ad.Uploads) == 0 {
		ad.Observe(Reading{}) // it takes nothing of the cap
	}
	return ad, nil
}

// sender gives who made a transfer as they are now, if they may still send.
func (s *Transfers) sender(ctx context.Context, t Transfer) (Actor, error) {
	if t.ParticipantID != "" {
		return s.Hubs.ActorFor(ctx, t.HubID, t.ParticipantID)
	}
	active, err := activeClient(ctx, s.Store, t.ClientID)
	if err == nil && !active {
		return Actor{}, hubNotFound()
	}
	return Actor{HubID: t.HubID, ClientID: t.ClientID, Role: RoleParticipant}, err
}

// activeClient tells whether there is such a machine client, and it is not switched off.
func activeClient(ctx context.Context, t Tables, id string) (bool, error) {
	c, err := t.Clients().Get(ctx, AnyHub, id)
	if CodeOf(err) == NotFound {
		return false, nil
	}
	return err == nil && c.DisabledAt == nil, err
}

// Start takes the uploads over from whoever else is sending them. told hears which of them the session has to end,
// and why; it must not block.
func (a *Admission) Start(ctx context.Context, told func(uploadID string, why *Error)) error {
	if len(a.Uploads) == 0 {
		return nil
	}
	ids := make([]string, len(a.Uploads))
	for i, u := range a.Uploads {
		ids[i] = u.ID
	}
	release, err := a.transfers.Uploads.Receive(ctx, ids, told)
	if err != nil {
		return err
	}
	a.mu.Lock()
	closed := a.closed
	if !closed {
		a.release = release
	}
	a.mu.Unlock()
	if closed { // meanwhile
		release()
	}
	return nil
}

// Share says how fast the session may be now, in bit/s of whole packets (0: not at all; negative: as it
// likes), and the priority that its client should give it (0 normal, higher first). It does no I/O.
func (a *Admission) Share() (rate int64, priority uint8) {
	return a.session.rateNow.Load(), uint8(a.session.priority.Load())
}

// Observe takes what was measured; call it about once a second. It does no I/O.
func (a *Admission) Observe(r Reading) { a.transfers.observe(a.session, r) }

// Err says why the session has to end, nil while it may go on. It does no I/O.
func (a *Admission) Err() error {
	if e := a.session.over.Load(); e != nil {
		return e
	}
	return nil
}

// Close ends the admission, started or not. Harmless when repeated.
func (a *Admission) Close() {
	a.mu.Lock()
	was, release := a.closed, a.release
	a.closed = true
	a.mu.Unlock()
	if was {
		return
	}
	a.transfers.leave(a.session)
	if release != nil {
		release()
	}
}
