package gateway

import (
	"cmp"
	"context"
	"io"
	"time"
)

// Meter lets a write over HTTPS count as one of the hub's sessions: it keeps to its share of the cap, and shows in
// the figures of its transfer, if it is part of one. end must follow.
func (s *Transfers) Meter(ctx context.Context, u Upload, r io.Reader) (_ io.Reader, end func(), _ error) {
	acc, err := accountOf(ctx, s.Store, u.HubID)
	if err != nil {
		return r, func() {}, err
	}
	t := Transfer{Row: Row{HubID: u.HubID}, ParticipantID: u.ParticipantID, ClientID: u.ClientID, Policy: acc.DefaultPolicy}
	if u.FolderID != "" {
		f, err := s.Store.DropFolders().Get(ctx, Scope(u.HubID), u.FolderID)
		if err != nil {
			return r, func() {}, err
		}
		t.Policy, t.RateBPS = cmp.Or(acc.ofFolder(f), t.Policy), f.RateBPS
	}
	if u.TransferID != "" {
		if t, err = s.Store.Transfers().Get(ctx, AnyHub, u.TransferID); err != nil {
			return r, func() {}, err
		}
	}
	a, err := s.sender(ctx, t)
	if err != nil {
		return r, func() {}, err
	}
	ss := s.overHTTPS(t, u.FolderID, a.Role, acc)
	m := &metered{ctx: ctx, r: r, s: s, session: ss, since: time.Now(), patience: cmp.Or(s.Patience, heldMost)}
	m.asked = m.since
	return m, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		ss.users--
		ss.freed = s.Clock()
	}, nil
}

// overHTTPS joins the session that the transfer has already: requests come and go. Uploads of no transfer share one of
// their sender's, for each drop folder: who sends them side by side has no larger part of the cap.
func (s *Transfers) overHTTPS(t Transfer, folder string, role Role, acc TransferAccount) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hubs[t.HubID]; h != nil {
		for _, other := range h.sessions {
			if other.path == PathHTTPS && other.transfer.ID == t.ID && (t.ID != "" || other.Owner == t.audience() && other.folder == folder) {
				other.users++
				return other
			}
		}
	}
	ss := &session{transfer: t, folder: folder}
	s.add(ss, role, acc, PathHTTPS)
	ss.users++
	return ss
}

// A client takes a connection for dead on which nothing moves for half a minute, and its socket moves only now and then
// when next to nothing is read of it. So who is held that long gets an answer, and comes back.
const (
	heldMost  = 10 * time.Second
	heldLeast = 128 << 10 // bytes in that time, which is something
	heldAgain = 5 * time.Second
)

func held(wait time.Duration) *Error {
	return E(RateLimited, "bandwidth_taken", "The hub's bandwidth leaves next to nothing for this upload at the moment; what arrived is kept.").
		Next("Go on from the offset in a while.").After(min(max(wait, heldAgain), 3*heldAgain))
}

// metered is a request's body that is read no faster than its session may be.
type metered struct {
	ctx     context.Context
	r       io.Reader
	s       *Transfers
	session *session

	patience time.Duration

	asked time.Time     // when the last read was over
	since time.Time     // of the figures below
	turns time.Duration // waited for the session's turn
	got   int           // bytes
}

func (m *metered) Read(p []byte) (int, error) {
	begun := time.Now()
	n, err := m.session.turn(m.ctx, len(p), m.patience)
	if err != nil {
		return 0, err
	}
	turn := time.Now()
	m.turns += turn.Sub(begun)
	if turn.Sub(m.since) >= m.patience {
		if m.got < heldLeast && m.turns > m.patience/2 {
			m.s.came(m.session, 0, n, 0, 0)
			return 0, held(0)
		}
		m.since, m.turns, m.got = turn, 0, 0
	}
	got, err := m.r.Read(p[:n])
	now := time.Now()
	m.s.came(m.session, got, n, now.Sub(begun), begun.Sub(m.asked))
	m.asked = now
	m.got += got
	return got, err
}

// turn waits until some of so many bytes may come, and says how many; RateLimited when that takes too long.
func (ss *session) turn(ctx context.Context, want int, patience time.Duration) (int, error) {
	begun := time.Now()
	for {
		rate := ss.rateNow.Load()
		if rate < 0 {
			return want, nil
		}
		wait := shareEvery / 2 // the rate may be another by then
		now := time.Now()
		if rate > 0 {
			n := min(want, max(1<<10, int(rate/8/50)))
			ss.pace.Lock()
			if ss.due.Before(now) {
				ss.due = now
			}
			if d := ss.due.Sub(now); d < wait {
				ss.due = ss.due.Add(cost(n, rate))
				ss.pace.Unlock()
				if d > 0 {
					sleep(ctx, d)
				}
				return n, ctx.Err()
			}
			ss.pace.Unlock()
		}
		if now.Sub(begun) >= patience {
			return 0, held(patience)
		}
		if !sleep(ctx, wait) {
			return 0, ctx.Err()
		}
	}
}

// cost is how long bytes take at a rate, with the headers that they came in.
func cost(n int, rate int64) time.Duration {
	return time.Duration(float64(n) * 8 * 1.05 / float64(rate) * float64(time.Second))
}

// came counts bytes that came in the place of those that might have, and what was waited for: them, and the disk.
func (s *Transfers) came(ss *session, got, might int, waited, written time.Duration) {
	if rate := ss.rateNow.Load(); rate > 0 && got < might {
		ss.pace.Lock()
		ss.due = ss.due.Add(-cost(might-got, rate))
		ss.pace.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ss.taken += int64(got)
	ss.waited += waited
	ss.written += written
	if now := s.Clock(); now.Sub(ss.looked) >= rowsEvery {
		ss.looked = now
		ss.observe(now, Reading{Bytes: ss.taken, Missing: 1, Storage: ss.written > ss.waited})
		ss.waited, ss.written = 0, 0
	}
}
