package gateway

import (
	"context"
	"io"
	"time"
)

// Meter lets a write over HTTPS of a transfer's upload count as one of its sessions: it shows in the
// transfer's figures and keeps to its share. end must follow.
func (s *Transfers) Meter(ctx context.Context, u Upload, r io.Reader) (_ io.Reader, end func(), _ error) {
	t, err := s.Store.Transfers().Get(ctx, AnyHub, u.TransferID)
	if err != nil {
		return r, func() {}, err
	}
	a, err := s.sender(ctx, t)
	if err != nil {
		return r, func() {}, err
	}
	acc, err := accountOf(ctx, s.Store, t.HubID)
	if err != nil {
		return r, func() {}, err
	}
	ss := s.overHTTPS(t)
	if ss == nil {
		ss = s.join(t, a.Role, acc, PathHTTPS)
		s.mu.Lock()
		ss.users++
		s.mu.Unlock()
	}
	m := &metered{ctx: ctx, r: r, s: s, session: ss}
	return m, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		ss.users--
		ss.freed = s.Clock()
	}, nil
}

// overHTTPS joins the session that the transfer has already, if it has one: requests come and go.
func (s *Transfers) overHTTPS(t Transfer) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hubs[t.HubID]; h != nil {
		for _, ss := range h.sessions {
			if ss.path == PathHTTPS && ss.transfer.ID == t.ID {
				ss.users++
				return ss
			}
		}
	}
	return nil
}

// metered is a request's body that is read no faster than its session may be.
type metered struct {
	ctx     context.Context
	r       io.Reader
	s       *Transfers
	session *session
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.session.turn(m.ctx, len(p))
	if err != nil {
		return 0, err
	}
	got, err := m.r.Read(p[:n])
	m.s.came(m.session, got, n)
	return got, err
}

// turn waits until some of so many bytes may come, and says how many.
func (ss *session) turn(ctx context.Context, want int) (int, error) {
	for {
		rate := ss.rateNow.Load()
		if rate < 0 {
			return want, nil
		}
		wait := shareEvery / 2 // the rate may be another by then
		if rate > 0 {
			n := min(want, max(1<<10, int(rate/8/50)))
			ss.pace.Lock()
			now := time.Now()
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
		if !sleep(ctx, wait) {
			return 0, ctx.Err()
		}
	}
}

// cost is how long bytes take at a rate, with the headers that they came in.
func cost(n int, rate int64) time.Duration {
	return time.Duration(float64(n) * 8 * 1.05 / float64(rate) * float64(time.Second))
}

// came counts bytes that came in the place of those that might have.
func (s *Transfers) came(ss *session, got, might int) {
	if rate := ss.rateNow.Load(); rate > 0 && got < might {
		ss.pace.Lock()
		ss.due = ss.due.Add(-cost(might-got, rate))
		ss.pace.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ss.taken += int64(got)
	if now := s.Clock(); now.Sub(ss.looked) >= rowsEvery {
		ss.looked = now
		ss.observe(now, Reading{Bytes: ss.taken, Missing: 1})
	}
}
