package transfer

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"isthmus/transfer/rate"
)

// Ticket is what the application hands a client.
type Ticket struct {
	Token   string
	Address string // host:port of the server's UDP port
	KeyHash KeyHash
}

// SenderConfig is what a Sender needs.
type SenderConfig struct {
	Ticket Ticket
	// Renew gets another ticket for the same uploads when the server no longer takes the present one; nil: Send ends then.
	Renew func(ctx context.Context) (Ticket, error)
	// Open gives the file of an upload, which the server names: look it up among what it may have, do not make a path
	// of it. It may be called several times for one upload and from several goroutines. An upload whose file cannot be opened fails; the others go on.
	Open func(Upload) (File, error)
	// Done is told each upload's end, from one goroutine at a time; nil: nobody is.
	Done func(Result)

	Rate     rate.Config // policy, target rate; RTT and Packet are filled in
	NoDigest bool        // do not read the files for their SHA-256: the server then cannot compare
	Tries    int         // connections in a row that bring nothing until Send gives up; 0: no end
	// Silence is how long our packets may have no answer until a connection is given up, and half of it a handshake;
	// 0: 10 s.
	Silence time.Duration
	Log     *slog.Logger
}

// Result is how an upload ended.
type Result struct {
	Upload
	SHA256 []byte    // that the server checked; nil: none
	Time   time.Time // of the receipt, by the server's clock
	Err    error     // an *Error, or what the file answered; nil: complete and accepted
}

// Progress is how far a Sender is.
type Progress struct {
	Total    int64        // bytes of all uploads; 0 until the server named them
	Done     int64        // of them at the server
	Sent     int64        // bytes of payload that left, repeated ones too
	Repeated int64        // of them sent before
	State    rate.State   // rate, round trip, loss, what limits
	History  rate.History // of this path so far, for SenderConfig.Rate of the next transfer; zero: too little was seen
	Priority uint8        // that the server wants this transfer to have
	Path     string       // "connecting", "sending", "paused"
	Tries    int          // connections made
	Last     error        // why the last one ended
}

// Sender sends the uploads of a ticket. Its methods are safe for concurrent use.
type Sender struct {
	cfg SenderConfig
	log *slog.Logger

	doneMu   sync.Mutex // held while Done is called
	mu       sync.Mutex
	results  map[string]Result
	progress Progress
	paused   bool
	cancels  []string
	link     *link         // nil: not connected
	silence  time.Duration // without an answer to our packets, until the connection is given up
	wait     time.Duration // after the first failure; it doubles
	changed  chan struct{} // closed and replaced when paused, cancels or rate change
}

// NewSender prepares; Send begins.
func NewSender(cfg SenderConfig) *Sender {
	s := &Sender{cfg: cfg, log: cfg.Log, results: map[string]Result{}, changed: make(chan struct{}), silence: cfg.Silence, wait: firstWait}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.silence <= 0 {
		s.silence = silenceEnd
	}
	s.progress.Path = "connecting"
	return s
}

const (
	firstWait = 200 * time.Millisecond
	longWait  = 10 * time.Second
	renewals  = 3 // in a row
)

// Send sends until each upload has ended, over as many connections as it takes, and returns the uploads'
// ends in no particular order. The error says why it stopped before.
func (s *Sender) Send(ctx context.Context) ([]Result, error) {
	if s.cfg.Open == nil {
		return nil, errors.New("transfer: SenderConfig.Open is missing")
	}
	ticket := s.cfg.Ticket
	var err error
	refused := 0 // tickets in a row
	for tries, wait := 1, s.wait; ; tries++ {
		before := s.Progress().Done
		err = s.attempt(ctx, ticket)
		s.note(func(p *Progress) { p.Tries++; p.Path = "connecting"; p.Last = err })
		if err == nil || ctx.Err() != nil {
			break
		}
		if s.Progress().Done > before {
			tries, wait = 1, s.wait
		}
		code := CodeOf(err)
		if code != CodeTicket {
			refused = 0
		} else if refused++; s.cfg.Renew != nil && refused < renewals {
			if ticket, err = s.cfg.Renew(ctx); err != nil {
				break
			}
			continue
		}
		if !code.Again() || s.cfg.Tries > 0 && tries >= s.cfg.Tries {
			break
		}
		s.log.Debug("transfer: connection ended", "error", err, "again_in", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait)):
		}
		wait = min(2*wait, longWait)
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Result
	whole := err == nil
	for _, r := range s.results {
		all = append(all, r)
		whole = whole && r.Err == nil
	}
	if whole {
		s.progress.Done = s.progress.Total // the last receipt may have come before the last report
	}
	return all, err
}

// Progress tells how far it is.
func (s *Sender) Progress() Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.progress
}

func (s *Sender) setLink(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = l
}

// UploadProgress is how far one upload is.
type UploadProgress struct {
	Upload
	Done int64 // bytes at the server
	Over bool  // it has ended; Done tells nothing more
}

// Uploads tells how far each upload is that the server has named on the present connection.
func (s *Sender) Uploads() []UploadProgress {
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]UploadProgress, len(l.uploads))
	for i, u := range l.uploads {
		all[i] = UploadProgress{u.Upload, u.Size - u.missing, u.over}
	}
	return all
}

func (s *Sender) note(f func(*Progress)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.progress)
}

func (s *Sender) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Pause stops sending; the connection stays.
func (s *Sender) Pause() { s.change(func() { s.paused = true }) }

// Resume goes on after Pause.
func (s *Sender) Resume() { s.change(func() { s.paused = false }) }

// SetRate changes policy, target and minimum rate.
func (s *Sender) SetRate(policy rate.Policy, target, minimum rate.BitRate) {
	s.change(func() { s.cfg.Rate.Policy, s.cfg.Rate.Target, s.cfg.Rate.Minimum = policy, target, minimum })
}

// Cancel throws one upload away, here and at the server.
func (s *Sender) Cancel(uploadID string) {
	s.change(func() { s.cancels = append(s.cancels, uploadID) })
}

// orders is what people asked for since.
type orders struct {
	paused  bool
	rate    rate.Config
	cancels []string
	changed <-chan struct{}
}

func (s *Sender) orders() orders {
	s.mu.Lock()
	defer s.mu.Unlock()
	return orders{s.paused, s.cfg.Rate, s.cancels, s.changed}
}

// end notes an upload's end; the first counts.
func (s *Sender) end(r Result) {
	s.mu.Lock()
	_, known := s.results[r.ID]
	if !known {
		s.results[r.ID] = r
	}
	s.mu.Unlock()
	if !known && s.cfg.Done != nil {
		s.doneMu.Lock()
		defer s.doneMu.Unlock()
		s.cfg.Done(r)
	}
}

func (s *Sender) ended(uploadID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.results[uploadID]
	return ok
}

// dialError tells a wrong key from a server that does not answer.
func dialError(err error) error {
	var t *quic.TransportError
	if errors.As(err, &t) && t.ErrorCode.IsCryptoError() {
		return &Error{Code: CodeTicket, Text: "this is not the server that the ticket is for", Err: err}
	}
	var silent *quic.HandshakeTimeoutError
	var idle *quic.IdleTimeoutError
	if errors.As(err, &silent) || errors.As(err, &idle) {
		return &Error{Code: CodeBlocked, Text: "the server does not answer over UDP", Err: err}
	}
	return closed(err)
}
