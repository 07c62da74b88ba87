package kaltura

import "isthmus/gateway"

// Succeed lets newer, the same account with the App Token that was saved in place of this one's,
// take over: from now on this Platform's sessions come from there. Work under way that still holds
// this Platform then outlives the end of its token without noticing. nil takes that back, when an
// earlier token is saved again.
func (p *Platform) Succeed(newer gateway.Platform) {
	n, ok := newer.(*Platform)
	if !ok || n == p {
		p.sessions.heir.Store(nil)
		p.players.heir.Store(nil)
		return
	}
	p.sessions.heir.Store(n.sessions)
	if p.players != p.sessions {
		p.players.heir.Store(n.players)
	}
}

// latest gives the sessions of the newest token.
func (s *sessions) latest() *sessions {
	for {
		next := s.heir.Load()
		if next == nil {
			return s
		}
		s = next
	}
}
