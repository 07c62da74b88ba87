package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Relay sends durable bytes on to the platform while more arrive, so that the time to the platform
// is the longer of the two legs and not their sum. It never makes an entry. What the platform has
// acknowledged is written down after each chunk; after a crash at most the chunks under way are sent
// again. Use by pointer; safe for concurrent use.
type Relay struct {
	Store        Store
	Staging      Staging
	Integrations *Integrations
	Mappings     *Mappings
	Events       *Events
	ChunkSize    int64 // bytes of one request; 0 = standardChunk
	Parallel     int   // chunks under way for one upload; 0 = standardParallel
	PerHub       int   // chunks under way for one hub; 0 = 6
	Global       int   // chunks under way together; 0 = 64, so that some hubs whose platform hangs leave room

	mu      sync.Mutex
	senders map[string]*sender
	ctx     context.Context // of Run; nil while it does not
	replica string
	pumps   sync.WaitGroup
	slots   chan struct{}
	hubs    map[string]chan struct{}
	woken   chan struct{} // closed by Wake
}

// By BenchmarkRelayChunks, to a platform 40 ms away: one chunk of 2 MiB at a time wastes more than half
// of the line (205 Mbit/s), three reach 414; from 4 MiB and three on the machines are the limit
// (460 to 520 Mbit/s) and more of either gains nothing. 8 MiB keeps that so when the platform is 200 ms
// away, where three requests of it still fill 700 Mbit/s. Larger chunks cost more when one is lost, and
// the last one, which goes alone, is what a person waits for at the end; and more than ten at once
// would outrun how many Kaltura joins in one call.
const (
	standardChunk    = 8 << 20
	standardParallel = 3
)

// sender is one upload's way to the platform. Whoever holds the turn sends: the pump while bytes
// arrive, then Complete.
type sender struct {
	id      string
	turn    chan struct{} // one place
	wake    chan struct{} // one place: "look again"
	users   int           // guarded by Relay.mu
	pumping bool          // guarded by Relay.mu

	ingest   Ingest      // kept between rounds by the holder of the turn
	account  Integration // that it goes to
	toldAt   time.Time
	failures int
}

// pumpIdle is how long a pump waits for more bytes before it ends; the next Poke starts another.
const pumpIdle = time.Minute

// errRelayOver ends a pump: the upload wants no more sending.
var errRelayOver = errors.New("relay is over")

// Poke tells the relay that an upload has new durable bytes. Returns at once.
func (r *Relay) Poke(uploadID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil || r.ctx.Err() != nil {
		return
	}
	s := r.use(uploadID)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	if s.pumping {
		r.release(s)
		return
	}
	s.pumping = true
	r.pumps.Add(1)
	go r.pump(r.ctx, s) // holds the use
}

// use and release count who needs a sender; r.mu is held.
func (r *Relay) use(id string) *sender {
	if r.senders == nil {
		r.senders = map[string]*sender{}
	}
	s := r.senders[id]
	if s == nil {
		s = &sender{id: id, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
		r.senders[id] = s
	}
	s.users++
	return s
}

func (r *Relay) release(s *sender) {
	if s.users--; s.users == 0 {
		delete(r.senders, s.id)
	}
}

// Run works until ctx ends; begins with what a restart left behind.
func (r *Relay) Run(ctx context.Context, replica string) error {
	r.mu.Lock()
	r.ctx, r.replica = ctx, replica
	r.mu.Unlock()
	defer r.pumps.Wait()
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		left, err := r.Store.Uploads().InReplica(ctx, replica)
		if err == nil {
			for _, u := range left {
				r.Poke(u.ID)
			}
			break
		}
		slog.WarnContext(ctx, "relay: cannot read the uploads left behind", "error", err)
		if !sleep(ctx, wait) {
			return nil
		}
	}
	<-ctx.Done()
	return nil
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *Relay) pump(ctx context.Context, s *sender) {
	defer r.pumps.Done()
	for {
		err := r.round(ctx, s)
		switch {
		case ctx.Err() != nil, errors.Is(err, errRelayOver):
			r.leave(s, true)
			return
		case err != nil:
			slog.InfoContext(ctx, "relay: waiting", "upload", s.id, "error", err)
			if !r.pause(ctx, s.patience(err)) {
				r.leave(s, true)
				return
			}
			continue
		}
		s.failures = 0
		idle := time.NewTimer(pumpIdle)
		select {
		case <-s.wake:
		case <-ctx.Done():
		case <-idle.C:
			if r.leave(s, false) {
				return
			}
		}
		idle.Stop()
	}
}

// Wake lets pumps that wait after a failure look again at once: a platform is back, or has a new
// credential.
func (r *Relay) Wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.woken != nil {
		close(r.woken)
		r.woken = nil
	}
}

// pause waits for d or Wake; false when ctx ended first.
func (r *Relay) pause(ctx context.Context, d time.Duration) bool {
	r.mu.Lock()
	if r.woken == nil {
		r.woken = make(chan struct{})
	}
	woken := r.woken
	r.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-woken:
	case <-ctx.Done():
		return false
	}
	return true
}

// leave ends a pump unless somebody poked it in the meantime (and it is not made to).
func (r *Relay) leave(s *sender, must bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(s.wake) > 0 && !must {
		return false
	}
	s.pumping = false
	r.release(s)
	return true
}

// patience is how long a pump waits after a failure, with jitter so that uploads that failed
// together do not come back together.
func (s *sender) patience(err error) time.Duration {
	s.failures++
	d := min(time.Second<<min(s.failures-1, 6), time.Minute)
	e := AsError(err)
	switch e.Code {
	case Precondition, Forbidden, NotFound: // a person has to do something first
		d = time.Minute
	}
	d = max(d, e.Retry)
	return d/2 + rand.N(d)
}

// take waits for the turn.
func (s *sender) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *sender) give() { <-s.turn }

// round sends what is durable and not sent yet.
func (r *Relay) round(ctx context.Context, s *sender) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	u, err := r.Store.Uploads().Get(ctx, AnyHub, s.id)
	switch {
	case CodeOf(err) == NotFound:
		return errRelayOver
	case err != nil:
		return err
	case u.State != UploadReceiving && u.State != UploadIngesting, u.Replica != r.replica, u.Target == TargetLibrary, u.described():
		return errRelayOver
	}
	if _, err = r.Staging.Durable(ctx, u.ID); CodeOf(err) == NotFound && u.State == UploadReceiving {
		return errRelayOver // of a transfer, and nothing has come yet
	}
	return r.send(ctx, s, &u, false)
}

// Complete sends what is missing of an upload and gives the ingest, ready to be finished. It waits
// for chunks under way.
func (r *Relay) Complete(ctx context.Context, u Upload) (Ingest, error) {
	r.mu.Lock()
	s := r.use(u.ID)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.release(s)
		r.mu.Unlock()
	}()
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.give()
	for try := 0; ; try++ {
		row, err := r.Store.Uploads().Get(ctx, AnyHub, u.ID)
		if err != nil {
			return nil, err
		}
		err = r.send(ctx, s, &row, true)
		if err == nil && s.ingest == nil { // all was sent before a restart
			err = r.open(ctx, s, &row)
		}
		switch {
		case IsReason(err, "ingest_gone") && try < 3: // forgotten by the platform: once more from our bytes
			continue
		case err != nil:
			return nil, err
		case !row.RelaySent.Covers(0, row.Size):
			if try < 3 {
				continue // it was gone when it was opened
			}
			return nil, E(Unavailable, "relay_incomplete", "The media platform does not keep what it is sent.").
				Next("Nothing is lost; we try again by ourselves.")
		}
		return s.ingest, nil
	}
}

// Forget begins again from our bytes: the platform no longer knows what it was sent.
func (r *Relay) Forget(ctx context.Context, uploadID string) error {
	return r.exclusive(ctx, uploadID, func(s *sender) error {
		s.ingest = nil
		return r.Store.Uploads().SetRelay(ctx, uploadID, "", nil)
	})
}

// Abandon deletes what was sent of an upload. Harmless when nothing was.
func (r *Relay) Abandon(ctx context.Context, u Upload) error {
	return r.exclusive(ctx, u.ID, func(s *sender) error {
		row, err := r.Store.Uploads().Get(ctx, AnyHub, u.ID)
		if err != nil || row.RelayHandle == "" {
			return err
		}
		s.ingest = nil
		actor, o, err := r.account(ctx, row, true)
		if err != nil {
			return err
		}
		ing, err := o.Platform.Create(ctx, actor, newMedia(row))
		if err == nil {
			err = ing.Abandon(ctx)
		}
		if err != nil && !IsReason(err, "ingest_gone") {
			return err
		}
		return r.Store.Uploads().SetRelay(ctx, u.ID, "", nil)
	})
}

func (r *Relay) exclusive(ctx context.Context, id string, f func(*sender) error) error {
	r.mu.Lock()
	s := r.use(id)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.release(s)
		r.mu.Unlock()
	}()
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	return f(s)
}

// account opens the account that an upload goes to, in the name of whoever made it.
func (r *Relay) account(ctx context.Context, u Upload, write bool) (Actor, Opened, error) {
	a, err := senderOf(ctx, r.Store, u)
	if err != nil {
		return a, Opened{}, err
	}
	o, err := r.Integrations.OpenFor(ctx, u.HubID, write)
	if err != nil {
		return a, o, err
	}
	if o.Integration.ID != u.IntegrationID {
		return a, o, E(Forbidden, "integration_changed", "The hub was connected to another account after this upload began.").
			Next("Try the upload again to send it to the account that is connected now.")
	}
	if err = o.Integration.paused(); err != nil {
		return a, o, err
	}
	a, err = r.Mappings.Resolve(ctx, a, o)
	return a, o, err
}

// newMedia describes an upload to the platform.
func newMedia(u Upload) NewMedia {
	t := u.Inspection.Type
	if t == "" {
		t = typeOf(u.Name, u.ContentType)
	}
	return NewMedia{
		ReferenceID: u.ID, Handle: u.RelayHandle, Name: u.Title, Description: u.Description,
		FileName: u.Name, Size: u.Size, Type: t, Tags: entryTags(u), ProfileID: u.ProfileID,
	}
}

// open begins or resumes the ingest and writes its handle down before anything is sent.
func (r *Relay) open(ctx context.Context, s *sender, u *Upload) error {
	actor, o, err := r.account(ctx, *u, true)
	if err != nil {
		return err
	}
	s.account = o.Integration
	ing, err := o.Platform.Create(ctx, actor, newMedia(*u))
	if IsReason(err, "ingest_gone") && u.RelayHandle != "" {
		u.RelayHandle = ""
		ing, err = o.Platform.Create(ctx, actor, newMedia(*u))
	}
	r.Integrations.Heard(ctx, o.Integration, err)
	if err != nil {
		return err
	}
	if h := ing.Handle(); h != u.RelayHandle {
		u.RelayHandle, u.RelaySent = h, nil
		if err = r.Store.Uploads().SetRelay(ctx, u.ID, h, nil); err != nil {
			return err
		}
	}
	s.ingest = ing
	return nil
}

// send brings chunks over, several at a time, until none is left that may go. With all set, the
// last block goes too, after every other one is acknowledged: a Kaltura upload is closed by it.
func (r *Relay) send(ctx context.Context, s *sender, u *Upload, all bool) (err error) {
	type outcome struct {
		Range
		err error
	}
	done := make(chan outcome)
	var busy []Range
	chunk, parallel := r.ChunkSize, r.Parallel
	if chunk <= 0 {
		chunk = standardChunk
	}
	if parallel <= 0 {
		parallel = standardParallel
	}
	for {
		for err == nil && len(busy) < parallel {
			durable, derr := r.Staging.Durable(ctx, u.ID)
			if derr != nil {
				err = derr
				break
			}
			b, ok := nextBlock(u.Size, chunk, durable, u.RelaySent, busy, all)
			if !ok {
				break
			}
			if s.ingest == nil {
				if err = r.open(ctx, s, u); err != nil {
					break
				}
				continue // what was sent may have been forgotten: choose again
			}
			busy = append(busy, b)
			ing, row, to := s.ingest, *u, s.account
			go func() { done <- outcome{b, r.chunk(ctx, ing, row, to, b)} }()
		}
		if len(busy) == 0 {
			if err != nil {
				s.ingest = nil // opened anew next time, perhaps with a new credential
				if IsReason(err, "ingest_gone") {
					if serr := r.Store.Uploads().SetRelay(ctx, u.ID, "", nil); serr != nil {
						return serr
					}
				}
			}
			return err
		}
		select {
		case d := <-done:
			busy = without(busy, d.Range)
			if d.err != nil {
				if err == nil {
					err = d.err
				}
				continue
			}
			u.RelaySent = u.RelaySent.Add(d.Start, d.End)
			// The chunk is there even if ctx ended meanwhile; writing it down saves sending it again.
			if serr := r.Store.Uploads().SetRelay(context.WithoutCancel(ctx), u.ID, u.RelayHandle, u.RelaySent); serr != nil && err == nil {
				err = serr
			}
			r.tell(s, *u)
		case <-s.wake: // more bytes became durable
		}
	}
}

// tell says how far the second leg is, once the first is over.
func (r *Relay) tell(s *sender, u Upload) {
	if r.Events == nil || u.State != UploadIngesting || time.Since(s.toldAt) < progressEvery {
		return
	}
	s.toldAt = time.Now()
	u.Progress = float64(u.RelaySent.Total()) / float64(u.Size)
	r.Events.Progress(u.HubID, u.audience(), "upload.progress", u.ID, u.News())
}

// chunk sends one block, within the limits of hub and process.
func (r *Relay) chunk(ctx context.Context, ing Ingest, u Upload, to Integration, b Range) error {
	leave, err := r.enter(ctx, u.HubID)
	if err != nil {
		return err
	}
	defer leave()
	f, err := r.Staging.Open(ctx, u.ID)
	if err != nil {
		return err
	}
	defer f.Close()
	n := b.End - b.Start
	err = ing.WriteAt(ctx, b.Start, n, io.NewSectionReader(f, b.Start, n))
	r.Integrations.Heard(ctx, to, err)
	return err
}

// enter takes a place of the hub first and one of the process second, so that a hub with many
// uploads waits among itself and not in front of the others.
func (r *Relay) enter(ctx context.Context, hubID string) (leave func(), _ error) {
	r.mu.Lock()
	if r.slots == nil {
		r.slots = make(chan struct{}, orDefault(r.Global, 64))
		r.hubs = map[string]chan struct{}{}
	}
	hub := r.hubs[hubID]
	if hub == nil {
		hub = make(chan struct{}, orDefault(r.PerHub, 6))
		r.hubs[hubID] = hub
	}
	r.mu.Unlock()
	select {
	case hub <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		<-hub
		return nil, ctx.Err()
	}
	return func() { <-r.slots; <-hub }, nil
}

func orDefault(n, def int) int {
	if n > 0 {
		return n
	}
	return def
}
