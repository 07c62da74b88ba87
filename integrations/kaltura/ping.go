package kaltura

import (
	"context"
	"time"

	"isthmus/gateway"
)

// Ping implements gateway.Pinger: does the server answer, and does it still take the App Token? It
// goes past an open breaker, because somebody has to find out that the server is back, and starts a
// new session, because old ones outlive a revoked token.
func (p *Platform) Ping(ctx context.Context) error {
	const op = "system.ping"
	if err := p.guard.heed(ctx, op); err != nil {
		return public(err) // it asked to be left alone, by us too
	}
	a, err := p.call(ctx, op, nil, "") // with no KS: a stale one makes even a ping fail
	var pong flag
	if err == nil {
		err = a.decode(op, &pong)
	}
	switch {
	case sick(err):
		return public(err)
	case code(err) != "", err == nil && !bool(pong):
		return gateway.E(gateway.Unavailable, "not_kaltura", "Something other than a Kaltura server answered at the service URL.").
			Next("Check the service URL, for example https://www.kaltura.com.").Because(err)
	case err != nil:
		return public(err)
	}
	p.guard.back()
	widget, err := p.sessions.startWidget(ctx)
	if err == nil {
		_, err = p.sessions.startSession(ctx, widget, p.hashType, who{}, time.Minute, "")
	}
	if err != nil {
		return public(err)
	}
	p.sessions.trust()
	return nil
}

// trust forgets that the token was refused.
func (s *sessions) trust() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = nil
}
