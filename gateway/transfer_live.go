package gateway

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shareEvery = 100 * time.Millisecond // rates are brought up to date
	rowsEvery  = time.Second            // settings are read, replicas told, listeners too
	liveEvery  = 2 * time.Second        // rows learn how transfers go, for other replicas
	liveLife   = 5 * time.Second        // what a replica told counts
	lingers    = 2 * time.Second        // a session over HTTPS between two requests
)

// session is somebody who sends a transfer now. What is not atomic is guarded by Transfers.mu.
type session struct {
	sharer
	hub      *hubLine
	transfer Transfer // without an id: somebody's uploads that are part of none
	path     TransferPath
	role     Role

	rateNow  atomic.Int64
	priority atomic.Uint32
	over     atomic.Pointer[Error] // why it has to end

	// Of one over HTTPS:
	folder  string        // drop folder that uploads of no transfer go to
	users   int           // requests that share it
	freed   time.Time     // since when there is none
	taken   int64         // bytes
	looked  time.Time     // when it was observed last
	waited  time.Duration // for bytes, or for their turn, since
	written time.Duration // for the disk, since
	pace    sync.Mutex
	due     time.Time // when the next byte may come; guarded by pace
}

// hubLine is a hub with sessions in this process.
type hubLine struct {
	id       string
	account  TransferAccount
	ledger   ledger
	sessions []*session
}

// join adds a session of the fast path to its hub.
func (s *Transfers) join(t Transfer, role Role, acc TransferAccount) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := &session{transfer: t}
	s.add(ss, role, acc, PathQUIC)
	return ss
}

// add is join for one that was made. Called with mu held.
func (s *Transfers) add(ss *session, role Role, acc TransferAccount, path TransferPath) {
	t := ss.transfer
	if s.hubs == nil {
		s.hubs = map[string]*hubLine{}
	}
	h := s.hubs[t.HubID]
	if h == nil {
		h = &hubLine{id: t.HubID, account: acc}
		s.hubs[t.HubID] = h
	}
	ss.hub, ss.path, ss.role = h, path, role
	ss.ID, ss.Owner, ss.began = NewID("ses"), t.audience(), s.Clock()
	h.sessions = append(h.sessions, ss)
	h.ledger.own = append(h.ledger.own, &ss.sharer)
	h.settle(ss)
	h.step(s.Clock(), true)
	if s.loop == nil && !s.closed {
		s.loop = &loop{kick: make(chan struct{}, 1), done: make(chan struct{})}
		var ctx context.Context
		ctx, s.loop.stop = context.WithCancel(context.Background())
		go s.run(ctx, s.loop)
	}
}

func (s *Transfers) leave(ss *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(ss)
}

func (s *Transfers) remove(ss *session) {
	h := ss.hub
	h.sessions = slices.DeleteFunc(h.sessions, func(o *session) bool { return o == ss })
	h.ledger.own = slices.DeleteFunc(h.ledger.own, func(o *sharer) bool { return o == &ss.sharer })
	h.step(s.Clock(), false) // the loop forgets an empty hub
}

func (s *Transfers) observe(ss *session, r Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss.observe(s.Clock(), r)
}

// settle takes over what account and transfer say now.
func (h *hubLine) settle(ss *session) {
	t := ss.transfer
	ss.First = t.First
	ss.Weight = h.account.Weights.weight(ss.role, t.ParticipantID == "", t.Policy)
	ss.ceiling, ss.ownWish = float64(t.RateBPS), true
	if limit := float64(h.account.MaxRateBPS); limit > 0 && (ss.ceiling == 0 || ss.ceiling > limit) {
		ss.ceiling, ss.ownWish = limit, false
	}
	p := uint32(0)
	switch t.First {
	case FirstOwn:
		p = 1
	case FirstHub:
		p = 2
	}
	ss.priority.Store(p)
}

// step brings the rates of a hub up to date; anew looks at the schedule first.
func (h *hubLine) step(now time.Time, anew bool) {
	if anew {
		h.ledger.total = float64(h.account.CapAt(now))
	}
	h.ledger.step(now)
	for _, ss := range h.sessions {
		rate := int64(ss.rate)
		if h.ledger.total <= 0 && rate == 0 {
			rate = -1 // nothing holds it
		}
		ss.rateNow.Store(rate)
	}
}

// loop is the one goroutine that serves the hubs with sessions.
type loop struct {
	kick chan struct{} // look at the rows at once
	stop context.CancelFunc
	done chan struct{}
}

// look has the loop take over changed settings at once.
func (s *Transfers) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loop == nil {
		return // nobody is sending
	}
	select {
	case s.loop.kick <- struct{}{}:
	default: // it will look anyway
	}
}

// Close ends the work in the background; what is sent from then on keeps the rate that it has. Call it before the
// database is closed. Harmless when repeated.
func (s *Transfers) Close() {
	s.mu.Lock()
	s.closed = true
	l := s.loop
	s.mu.Unlock()
	if l != nil {
		l.stop()
		<-l.done
	}
}

// run serves all hubs while there are sessions.
func (s *Transfers) run(ctx context.Context, l *loop) {
	defer close(l.done)
	defer l.stop()
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	var rows, live time.Time
	for {
		now, asked := time.Now(), false
		select {
		case <-tick.C:
		case <-l.kick:
			asked = true
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		for _, h := range s.hubs {
			h.step(s.Clock(), false)
		}
		s.mu.Unlock()
		if !asked && now.Sub(rows) < rowsEvery {
			continue
		}
		rows = now
		tell := !s.Alone && now.Sub(live) >= liveEvery
		if tell {
			live = now
		}
		if err := s.refresh(ctx, tell); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "transfers: the database did not answer; rates stay as they are", "error", err)
		}
		if s.idle() {
			return
		}
	}
}

// refresh reads and writes the rows.
func (s *Transfers) refresh(ctx context.Context, tell bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*rowsEvery)
	defer cancel()
	s.endLingering()
	if err := s.readRows(ctx); err != nil {
		return err
	}
	if err := s.shareOut(ctx); err != nil {
		return err
	}
	if tell {
		if err := s.writeLive(ctx); err != nil {
			return err
		}
	}
	return s.tellProgress(ctx)
}

// endLingering removes sessions over HTTPS to which no request has come back, so that their hub can be forgotten.
func (s *Transfers) endLingering() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hubs {
		for _, ss := range slices.Clone(h.sessions) {
			if ss.path == PathHTTPS && ss.users == 0 && s.Clock().Sub(ss.freed) > lingers {
				s.remove(ss)
			}
		}
	}
}

// idle ends the loop when nobody is left.
func (s *Transfers) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hubs) > 0 {
		return false
	}
	s.loop = nil
	return true
}

// snapshot gives the hubs and the sessions of now.
func (s *Transfers) snapshot() (hubs []string, sessions []*session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, h := range s.hubs {
		hubs = append(hubs, id)
		sessions = append(sessions, h.sessions...)
	}
	return hubs, sessions
}

// readRows takes over what was changed of accounts, transfers and people, here or elsewhere.
func (s *Transfers) readRows(ctx context.Context) error {
	hubs, sessions := s.snapshot()
	accounts := map[string]TransferAccount{}
	for _, id := range hubs {
		acc, err := accountOf(ctx, s.Store, id)
		if err != nil {
			return err
		}
		accounts[id] = acc
	}
	var ids, people []string
	for _, ss := range sessions {
		if ss.transfer.ID != "" {
			ids = append(ids, ss.transfer.ID)
		}
		if p := ss.transfer.ParticipantID; p != "" {
			people = append(people, p)
		}
	}
	rows, err := s.Store.Transfers().Named(ctx, ids)
	if err != nil {
		return err
	}
	transfers := map[string]Transfer{}
	for _, t := range rows {
		transfers[t.ID] = t
	}
	who, err := s.Store.Mappings().People(ctx, AnyHub, people)
	if err != nil {
		return err
	}
	clients := map[string]bool{} // that may still send
	for _, ss := range sessions {
		if id := ss.transfer.ClientID; ss.transfer.ParticipantID == "" {
			if _, known := clients[id]; !known {
				if clients[id], err = activeClient(ctx, s.Store, id); err != nil {
					return err
				}
			}
		}
	}
	asked := map[*session]bool{}
	for _, ss := range sessions {
		asked[ss] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Clock()
	for id, acc := range accounts {
		h := s.hubs[id]
		h.account = acc
		for _, ss := range h.sessions {
			if !asked[ss] { // it came meanwhile, and nothing is known of it
				h.settle(ss)
				continue
			}
			t, there := transfers[ss.transfer.ID]
			p, member := who[ss.transfer.ParticipantID]
			switch {
			case ss.transfer.ID == "" && ss.folder != "": // as its folder was when it began
			case ss.transfer.ID == "": // uploads of no transfer
				ss.transfer.Policy = acc.DefaultPolicy
			case !there || t.State == TransferCancelled:
				ss.over.Store(transferEnded())
			default:
				ss.transfer = t
			}
			if ss.transfer.ParticipantID == "" {
				member = clients[ss.transfer.ClientID]
			} else {
				ss.role = p.Role
			}
			if !member || p.SuspendedAt != nil {
				ss.over.Store(hubNotFound())
			}
			h.settle(ss)
		}
		h.step(now, true)
	}
	return nil
}

// shareOut tells other replicas what the sessions here want and learns what theirs do. Hubs without
// sessions are forgotten.
func (s *Transfers) shareOut(ctx context.Context) error {
	hubs, _ := s.snapshot()
	for _, id := range hubs {
		s.mu.Lock()
		h := s.hubs[id]
		mine := make([]TransferWish, 0, len(h.sessions))
		for _, ss := range h.sessions {
			mine = append(mine, h.ledger.wanted(&ss.sharer))
		}
		capped := h.ledger.total > 0
		if len(mine) == 0 {
			delete(s.hubs, id)
		}
		s.mu.Unlock()
		if s.Alone {
			continue
		}
		if len(mine) == 0 || !capped {
			if err := s.Store.TransferShares().Forget(ctx, id, s.Replica); err != nil {
				return err
			}
			continue
		}
		others, err := s.Store.TransferShares().Swap(ctx, id, s.Replica, mine, liveLife)
		if err != nil {
			return err
		}
		s.mu.Lock()
		h.ledger.others = others
		s.mu.Unlock()
	}
	return nil
}

// TransferShareTable is where replicas tell each other who wants how much of a hub's cap.
type TransferShareTable interface {
	// Swap puts what the sessions of a replica want in the place of what they wanted, and gives what those
	// of the others want that told it lately, by the database's clock.
	Swap(ctx context.Context, hubID, replica string, mine []TransferWish, lately time.Duration) ([]TransferWish, error)
	// Forget deletes what a replica told. Harmless when it told nothing.
	Forget(ctx context.Context, hubID, replica string) error
}

func noLive() TransferLive { return TransferLive{Path: PathNone, LimitedBy: LimitedByNone} }

// live tells how a transfer goes: as seen here, else as another replica told lately.
func (s *Transfers) live(t Transfer) TransferLive {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, here := noLive(), false
	if h := s.hubs[t.HubID]; h != nil {
		for _, ss := range h.sessions {
			if ss.transfer.ID == t.ID {
				l.add(ss)
				here = true
			}
		}
	}
	if !here && t.LiveAt != nil && t.LiveBy != s.Replica && s.Clock().Sub(*t.LiveAt) < liveLife {
		return t.Live
	}
	return l
}

// add counts a session in; what only one can say, one of the fast path does.
func (l *TransferLive) add(ss *session) {
	if ss.path == PathHTTPS && ss.users == 0 {
		return
	}
	rate := l.RateBPS + int64(ss.payload)
	if share := ss.rateNow.Load(); share > 0 && ss.hub.ledger.total > 0 {
		l.ShareBPS += share
	}
	if l.Path != PathQUIC {
		l.Path, l.RTT, l.Loss, l.Paused, l.LimitedBy = ss.path, ss.rtt, ss.loss, ss.paused, ss.hub.ledger.limitedBy(&ss.sharer)
	}
	l.RateBPS = rate
}

// lives tells how all transfers go that are being sent here.
func (s *Transfers) lives() map[string]TransferView {
	_, sessions := s.snapshot()
	out := map[string]TransferView{}
	for _, ss := range sessions {
		s.mu.Lock()
		t := ss.transfer
		s.mu.Unlock()
		if _, done := out[t.ID]; !done && t.ID != "" {
			out[t.ID] = TransferView{Transfer: t, Now: s.live(t)}
		}
	}
	return out
}

func (s *Transfers) writeLive(ctx context.Context) error {
	rows := map[string]TransferLive{}
	for id, v := range s.lives() {
		rows[id] = v.Now
	}
	if len(rows) == 0 {
		return nil
	}
	return s.Store.Transfers().SetLive(ctx, s.Replica, s.Clock(), rows)
}

func (s *Transfers) tellProgress(ctx context.Context) error {
	all := s.lives()
	ids := make([]string, 0, len(all))
	for id := range all {
		ids = append(ids, id)
	}
	totals, err := s.Store.Transfers().Totals(ctx, ids)
	if err != nil {
		return err
	}
	for id, v := range all {
		v.TransferTotals = totals[id]
		n := v.news()
		n.Live = v.Now.news()
		s.Events.Progress(v.HubID, v.audience(), "transfer.progress", id, n)
	}
	return nil
}
