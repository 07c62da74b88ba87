package api

import (
	"time"

	"github.com/labstack/echo/v4"
)

// Policy is a policy as tests compare it.
type Policy struct {
	Public, InHub, Admin, Content, Operator bool
	Scope                                   string
}

// Policies gives all policies.
func Policies() map[string]Policy {
	out := map[string]Policy{}
	for id, p := range policies {
		out[id] = Policy{p.public, p.hub != noHub, p.admin, p.content, p.operator, p.scope}
	}
	return out
}

// Routes lists the routes.
func (s *Server) Routes() []*echo.Route { return s.echo.Routes() }

// RecheckEvery sets how often the rights of a listener are looked at again.
func (s *Server) RecheckEvery(d time.Duration) { s.recheck.Store(int64(d)) }

// Patience sets how long a listener may leave a message lying.
func (s *Server) Patience(d time.Duration) { s.patience.Store(int64(d)) }

// ForgetPermits lets tickets be looked at again.
func (s *Server) ForgetPermits() {
	s.playing.mu.Lock()
	defer s.playing.mu.Unlock()
	s.playing.since = nil
}

// BodyTime sets how long a body may take.
func (s *Server) BodyTime(d time.Duration) { s.bodyTime.Store(int64(d)) }
