package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"time"
)

// KeyState is how far the request with an Idempotency-Key is.
type KeyState string

// The states.
const (
	KeyRunning KeyState = "running"
	KeyEffect  KeyState = "effect" // it changed something and its answer is not known yet
	KeyDone    KeyState = "done"
)

// IdempotencyKey is a request with that header, and its answer once there is one. ID is a hash of who
// asks, for what, and the key: keys of different callers never meet.
type IdempotencyKey struct {
	Row
	Fingerprint []byte            `bun:"fingerprint"` // SHA-256 of the request
	Owner       string            `bun:"owner"`       // replica, its start and the request that works on it
	State       KeyState          `bun:"state"`
	BusyUntil   time.Time         `bun:"busy_until"` // prolonged while the owner lives
	ExpiresAt   time.Time         `bun:"expires_at"`
	Status      int64             `bun:"status"`
	Header      map[string]string `bun:"header"` // stored as JSON
	Answer      Sealed            `bun:"answer"` // sealed, because answers may hold secrets that are shown once
}

// Place is where the answer is sealed.
func (k IdempotencyKey) Place() string { return "idempotency_keys.answer/" + k.ID }

// KeptAnswer is what was answered to a request.
type KeptAnswer struct {
	Status int
	Header map[string]string
	Body   []byte
}

// Idempotency keeps the answers to requests with an Idempotency-Key for 24 hours, so that a client
// that lost one asks again without causing anything twice, also after a crash and on any replica.
// Use by pointer; safe for concurrent use.
//
// What happens when the process dies between effect and answer:
//   - an operation whose service calls answered in its transaction commits effect and answer together;
//   - an operation that is idempotent by itself (Natural) simply runs again;
//   - of any other, the first transaction marks the key, so that it does not run again: the repeated
//     request is told that the outcome has to be looked up.
type Idempotency struct {
	Store   Store
	Clock   Clock
	Sealer  Sealer
	Replica string // this process among those that share the database, the same after a restart

	boot boot
}

// boot names a process since its start: replica, slash, a random text, slash.
type boot struct {
	once sync.Once
	name string
}

func (b *boot) of(replica string) string {
	b.once.Do(func() { b.name = replica + "/" + NewToken()[:8] + "/" })
	return b.name
}

// died tells whether what holds something was this replica before its last start.
func (b *boot) died(replica, holder string) bool {
	return strings.HasPrefix(holder, replica+"/") && !strings.HasPrefix(holder, b.of(replica))
}

const (
	keyLife = 24 * time.Hour
	keyBusy = 30 * time.Second // without a sign of life, after which another process may take over
)

// KeyedRequest names a request. Natural says that running it twice does the same as running it once.
type KeyedRequest struct {
	HubID, Caller, Operation, Key string
	Fingerprint                   [sha256.Size]byte
	Natural                       bool
}

// Once is a request that runs under its key. Use by pointer; safe for concurrent use.
type Once struct {
	of      *Idempotency
	natural bool
	stop    context.CancelFunc // ends the prolonging

	mu     sync.Mutex
	row    IdempotencyKey
	render func(v any) (KeptAnswer, error)
}

type onceKey struct{}

// Begin gives the answer that the request had before, or else the context to run it in and the Once to
// End it with. Errors: Invalid idempotency_key_reused (another request had the key), Conflict
// request_in_progress, Conflict outcome_unknown.
func (s *Idempotency) Begin(ctx context.Context, q KeyedRequest) (context.Context, *Once, *KeptAnswer, error) {
	owner := s.boot.of(s.Replica) + NewToken()[:12]
	sum := sha256.Sum256([]byte(strings.Join([]string{q.HubID, q.Caller, q.Operation, q.Key}, "\x00")))
	id := "idk_" + hex.EncodeToString(sum[:])
	var o *Once
	var had *KeptAnswer
	err := retryConflict(func() error {
		now := s.Clock()
		row, err := s.Store.IdempotencyKeys().Get(ctx, AnyHub, id)
		switch {
		case CodeOf(err) == NotFound:
			row = IdempotencyKey{
				Row: Row{ID: id, HubID: q.HubID}, Fingerprint: q.Fingerprint[:], Owner: owner, State: KeyRunning, BusyUntil: now.Add(keyBusy), ExpiresAt: now.Add(keyLife),
			}
			if err := s.Store.IdempotencyKeys().Insert(ctx, &row); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			if had, err = s.before(&row, q, now); err != nil || had != nil {
				return err
			}
			row.Owner, row.BusyUntil = owner, now.Add(keyBusy)
			if err := s.Store.IdempotencyKeys().Update(ctx, &row); err != nil { // Conflict: another was faster
				return err
			}
		}
		o = &Once{of: s, natural: q.Natural, row: row}
		return nil
	})
	if err != nil || had != nil {
		return ctx, nil, had, err
	}
	alive, stop := context.WithCancel(context.WithoutCancel(ctx))
	o.stop = stop
	go o.prolong(alive, id, owner)
	return context.WithValue(ctx, onceKey{}, o), o, nil, nil
}

// before looks at what an earlier request with the key came to. When it came to nothing the row may be
// taken over.
func (s *Idempotency) before(row *IdempotencyKey, q KeyedRequest, now time.Time) (*KeptAnswer, error) {
	switch {
	case !now.Before(row.ExpiresAt):
		row.Fingerprint, row.State, row.ExpiresAt, row.Status, row.Header, row.Answer = q.Fingerprint[:], KeyRunning, now.Add(keyLife), 0, nil, nil
	case !bytes.Equal(row.Fingerprint, q.Fingerprint[:]):
		return nil, E(Invalid, "idempotency_key_reused", "This Idempotency-Key was used for another request.").
			Next("Use a new key for a new request.").At("Idempotency-Key")
	case row.State == KeyDone:
		body, err := s.Sealer.Open(row.Answer, row.Place())
		if err != nil {
			return nil, err
		}
		return &KeptAnswer{int(row.Status), row.Header, []byte(body.Reveal())}, nil
	case now.Before(row.BusyUntil) && !s.boot.died(s.Replica, row.Owner):
		return nil, E(Conflict, "request_in_progress", "The first request with this Idempotency-Key is still under way.").
			Next("Repeat it in a moment.").After(time.Second)
	case row.State == KeyEffect:
		return nil, E(Conflict, "outcome_unknown", "The first request with this Idempotency-Key took effect, but its answer was lost.").
			Next("Look at what it made; only if there is nothing, repeat it with a new key.")
	}
	return nil, nil
}

// Sweep forgets keys that are older than a day (task Sweep).
func (s *Idempotency) Sweep(ctx context.Context) error {
	_, err := s.Store.IdempotencyKeys().DeleteExpired(ctx, s.Clock())
	return err
}

func (o *Once) prolong(ctx context.Context, id, owner string) {
	tick := time.NewTicker(keyBusy / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// A failure is made up for by the next tick, or by the fence when somebody takes over.
			_ = o.of.Store.IdempotencyKeys().Prolong(ctx, id, owner, o.of.Clock().Add(keyBusy))
		}
	}
}

// End keeps the answer, so that the same request gets it again. One that was refused, or failed before it
// changed anything, is forgotten and may be repeated; of one that failed afterwards the outcome has to be
// looked up, as after a crash. Call it once, whatever became of the request.
func (o *Once) End(ctx context.Context, a KeptAnswer) error {
	o.stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	keys := o.of.Store.IdempotencyKeys()
	if o.row.State == KeyDone {
		return nil
	}
	refused := a.Status >= 300 && a.Status < 500
	switch {
	case !refused && (a.Status < 200 || a.Status > 299) && o.row.State == KeyEffect:
		row := o.row
		row.BusyUntil = o.of.Clock() // nobody works on it any more
		return keys.Update(ctx, &row)
	case refused || a.Status < 200 || a.Status > 299:
		return keys.Release(ctx, o.row.ID, o.row.Owner)
	}
	row, err := o.of.done(o.row, a)
	if err == nil {
		err = keys.Update(ctx, &row)
	}
	if err == nil {
		o.row = row
	}
	return err
}

func (s *Idempotency) done(row IdempotencyKey, a KeptAnswer) (IdempotencyKey, error) {
	sealed, err := s.Sealer.Seal(Secret(a.Body), row.Place())
	if err != nil {
		return row, AsError(err)
	}
	row.State, row.Status, row.Header, row.Answer = KeyDone, int64(a.Status), a.Header, sealed
	return row, nil
}

// AnswerWith says how the result of the creating service is answered, so that the service can keep the
// answer in its own transaction. Without an Idempotency-Key it does nothing.
func AnswerWith[T any](ctx context.Context, render func(T) (KeptAnswer, error)) {
	o, _ := ctx.Value(onceKey{}).(*Once)
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.render = func(v any) (KeptAnswer, error) {
		t, ok := v.(T)
		if !ok {
			return KeptAnswer{}, E(Internal, "", "An answer was made of something else than it was told.")
		}
		return render(t)
	}
}

// answered keeps the answer to the request that is running in ctx, in the transaction of its effect.
// Services call it last in the transaction that creates. It does nothing unless AnswerWith was called.
func answered(ctx context.Context, tx Tx, v any) error {
	o, _ := ctx.Value(onceKey{}).(*Once)
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.render == nil {
		return nil
	}
	a, err := o.render(v)
	if err != nil {
		return err
	}
	row, err := o.of.done(o.row, a)
	if err != nil {
		return err
	}
	return o.put(ctx, tx, row)
}

// MarkEffect is called by the store at the end of every transaction. The first one of a request with a
// key, of an operation that neither keeps its answer in its transaction nor is harmless when repeated,
// marks the key.
func MarkEffect(ctx context.Context, tx Tx) error {
	o, _ := ctx.Value(onceKey{}).(*Once)
	if o == nil || o.natural {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.render != nil || o.row.State != KeyRunning {
		return nil
	}
	row := o.row
	row.State = KeyEffect
	return o.put(ctx, tx, row)
}

// aside is ctx for what is noted by the way, such as that the platform does not answer: it is no effect of
// the request.
func aside(ctx context.Context) context.Context {
	return context.WithValue(context.WithoutCancel(ctx), onceKey{}, (*Once)(nil))
}

// put writes the row. When another process took the key over meanwhile, the version differs and the
// transaction with its effect is undone. Holds o.mu.
func (o *Once) put(ctx context.Context, tx Tx, row IdempotencyKey) error {
	if err := tx.IdempotencyKeys().Update(ctx, &row); err != nil {
		if CodeOf(err) == Conflict {
			return E(Conflict, "request_in_progress", "This request took so long that a repeated one took its place.").
				Next("Wait for the answer to the repeated one.").After(time.Second)
		}
		return err
	}
	tx.AfterCommit(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.row = row
	})
	return nil
}
