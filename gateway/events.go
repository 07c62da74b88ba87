package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Events is the event log with live listeners. Safe for concurrent use.
type Events struct {
	Store Store
	Clock Clock

	mu        sync.Mutex
	listeners map[*listener]struct{}
	stop      chan struct{} // ends the poll when the last listener goes
}

// listener waits for news. The event log itself is the buffer between it and the writers: a slow
// reader falls behind and catches up by sequence number, nothing piles up in memory.
type listener struct {
	actor    Actor
	wake     chan struct{} // one place: "look again"
	progress chan Live
}

const (
	lookAgain    = time.Second // for what other replicas wrote
	eventBatch   = 200
	progressRoom = 64
)

// Append writes an event for an audience (see MaySee) in the caller's transaction; listeners hear of it after the commit
// (they look again at least every second, so that another replica's events arrive too).
func (s *Events) Append(ctx context.Context, tx Tx, hubID, audience, typ, subject string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return E(Internal, "", "An event could not be written.").Because(err)
	}
	e := Event{ID: NewID("evt"), HubID: hubID, Audience: audience, Type: typ, Subject: subject, Data: raw, At: s.Clock()}
	if err := tx.Events().Append(ctx, &e); err != nil {
		return err
	}
	if err := fanOut(ctx, tx, e); err != nil {
		return err
	}
	tx.AfterCommit(func() {
		s.each(hubID, audience, (*listener).look)
	})
	return nil
}

// Progress tells listeners of this process about progress; it is not logged and may be lost.
func (s *Events) Progress(hubID, audience, typ, subject string, data any) {
	var raw json.RawMessage
	s.each(hubID, audience, func(l *listener) {
		if raw == nil { // nobody listening costs nothing
			var err error
			if raw, err = json.Marshal(data); err != nil {
				raw = json.RawMessage("null")
			}
		}
		select {
		case l.progress <- Live{HubID: hubID, Type: typ, Subject: subject, At: s.Clock(), Data: raw}:
		default: // a slow reader misses progress, never an event
		}
	})
}

// MaySee tells whether an actor may hear of something that happened in a hub to a participant or machine
// client (empty = to everybody): their own and the hub's, a content admin what is for those, an admin all of the hub.
func MaySee(a Actor, hubID, audience string) bool {
	return a.HubID == hubID && (a.Admin() && !a.Machine() || slices.Contains(a.Audiences(), audience))
}

// AudienceContent is the audience of what is for content admins and admins of the hub.
const AudienceContent = "content_admins"

// Audiences are those that an actor belongs to, for the table of events; an admin hears of all of the hub.
func (a Actor) Audiences() []string {
	out := []string{"", a.self()}
	if !a.Machine() && (a.Role == RoleAdmin || a.Role == RoleContentAdmin) {
		out = append(out, AudienceContent)
	}
	return out
}

// AudienceAdmins is the audience of what only admins of the hub can do something about.
const AudienceAdmins = "admins"

// audienceOf names who hears of a thing made by a participant or, when there is none, by a machine
// client: what a client does for itself is no news for the whole hub.
func audienceOf(participantID, clientID string) string { return cmp.Or(participantID, clientID) }

// Live is one message to a listener. Seq is 0 and ID is empty for progress.
type Live struct {
	Seq                      int64
	ID, HubID, Type, Subject string
	At                       time.Time
	Data                     json.RawMessage
}

// message is how an event is told, wherever it is told: server-sent, listed or in a webhook.
func (e Event) message() Live {
	id := e.ID
	if id == "" {
		id = "evt_" + strconv.FormatInt(e.Seq, 10)
	}
	return Live{e.Seq, id, e.HubID, e.Type, e.Subject, e.At, e.Data}
}

// FromNow asks Listen and List for what happens from now on only, FromBeginning List for all that is kept.
const (
	FromNow       int64 = -1
	FromBeginning int64 = -2
)

// Listen streams what the actor may see after seq (FromNow, or the last one seen, 0 = from the
// beginning of the log) until ctx ends, then closes the channel. A reader may be as slow as it
// likes: events wait in the log, progress is dropped.
func (s *Events) Listen(ctx context.Context, a Actor, seq int64) (<-chan Live, error) {
	lost, err := false, error(nil)
	switch {
	case seq < 0:
		seq, err = s.Store.Events().Last(ctx)
	case seq > 0:
		seq, lost, err = s.resume(ctx, seq)
	}
	if err != nil {
		return nil, err
	}
	l := &listener{actor: a, wake: make(chan struct{}, 1), progress: make(chan Live, progressRoom)}
	s.mu.Lock()
	if s.listeners == nil {
		s.listeners = map[*listener]struct{}{}
	}
	if len(s.listeners) == 0 {
		s.stop = make(chan struct{})
		go s.poll(s.stop)
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	out := make(chan Live)
	go func() {
		defer close(out)
		defer s.forget(l)
		if lost && !send(ctx, out, Live{Seq: seq, HubID: a.HubID, Type: EventsGone, Subject: a.HubID, At: s.Clock()}) {
			return
		}
		s.serve(ctx, l, seq, out)
	}()
	return out, nil
}

// EventsGone is what a listener hears first when the log does not hold all that came after the number it
// named: the oldest were forgotten, or the database was put back to an earlier state and the number is of
// the future. The listener has to look at the state anew.
const EventsGone = "events.gone"

// resume gives the number after which a listener goes on, and whether something between was lost.
func (s *Events) resume(ctx context.Context, seq int64) (from int64, lost bool, _ error) {
	last, err := s.Store.Events().Last(ctx)
	if err != nil || seq > last {
		return last, true, err
	}
	first, err := s.Store.Events().First(ctx)
	return max(seq, first-1), first > seq+1, err
}

// EventsPage is a window of the event log for catching up.
type EventsPage struct {
	Events []Live // oldest first
	Next   int64  // ask after this the next time: it is past what others may see and the caller may not
	More   bool   // there is more now
}

// List gives what the actor may see after seq (as Listen), n at most. Gone events are noticed: NotFound
// with reason "events_gone" when the log no longer reaches back to seq.
func (s *Events) List(ctx context.Context, a Actor, seq int64, n int) (EventsPage, error) {
	last, err := s.Store.Events().Last(ctx) // before the rows: what comes in between is in the next page
	if err != nil {
		return EventsPage{}, err
	}
	switch seq {
	case FromNow:
		return EventsPage{Next: last}, nil
	case FromBeginning:
		seq = 0
	default:
		first, err := s.Store.Events().First(ctx)
		if err != nil {
			return EventsPage{}, err
		}
		if first > seq+1 || seq > last {
			return EventsPage{}, E(NotFound, "events_gone", "The event log no longer reaches back that far.").
				Next("Read the state of what you follow anew, then begin without a cursor.")
		}
	}
	rows, err := s.Store.Events().Since(ctx, a, seq, n+1)
	if err != nil {
		return EventsPage{}, err
	}
	p := EventsPage{More: len(rows) > n, Next: max(seq, last)}
	for _, e := range rows[:min(n, len(rows))] {
		p.Events = append(p.Events, e.message())
		if p.More {
			p.Next = e.Seq
		} else {
			p.Next = max(p.Next, e.Seq)
		}
	}
	return p, nil
}

// eventLife is how long events can be heard again: far longer than anybody's page stays closed.
const eventLife = 30 * 24 * time.Hour

// Sweep forgets what is too old to be heard again (task Sweep).
func (s *Events) Sweep(ctx context.Context) error {
	const most = 500
	for {
		n, err := s.Store.Events().Trim(ctx, s.Clock().Add(-eventLife), most)
		if err != nil || n < most {
			return err
		}
	}
}

func (s *Events) serve(ctx context.Context, l *listener, seq int64, out chan<- Live) {
	l.look()
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-l.progress:
			if !send(ctx, out, p) {
				return
			}
		case <-l.wake:
			batch, err := s.Store.Events().Since(ctx, l.actor, seq, eventBatch)
			if err != nil {
				time.AfterFunc(lookAgain, l.look) // nothing is lost, seq stands where it was
				continue
			}
			for _, e := range batch {
				if !send(ctx, out, e.message()) {
					return
				}
				seq = e.Seq
			}
			if len(batch) == eventBatch {
				l.look()
			}
		}
	}
}

// poll wakes everybody when the log grew, whoever wrote. One per process, and only while somebody
// listens, so that listeners cost one query a second together.
func (s *Events) poll(stop <-chan struct{}) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	var known int64 = -1 // the first look wakes everybody: an event may have come while nobody polled
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*lookAgain)
		last, err := s.Store.Events().Last(ctx)
		cancel()
		if err != nil || last == known {
			continue
		}
		known = last
		s.mu.Lock()
		for l := range s.listeners {
			l.look()
		}
		s.mu.Unlock()
	}
}

func (l *listener) look() {
	select {
	case l.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func send(ctx context.Context, out chan<- Live, m Live) bool {
	select {
	case out <- m:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Events) forget(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	if len(s.listeners) == 0 {
		close(s.stop)
	}
}

func (s *Events) each(hubID, audience string, f func(*listener)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		if MaySee(l.actor, hubID, audience) {
			f(l)
		}
	}
}
