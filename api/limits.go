package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"isthmus/gateway"
)

// RateLimits are how many requests a minute are taken; 0 takes the default, less than 0 sets no limit.
type RateLimits struct {
	Client  int // of one OAuth client; default 6000
	User    int // of one person; default 3000
	Hub     int // of all of a hub together; default 30000
	Address int // of one address without sign-in; default 1200; each replica counts for itself
}

func perMinute(n, otherwise int, name string, local bool) gateway.Limit {
	if n == 0 {
		n = otherwise
	}
	return gateway.Limit{Name: name, Quota: max(0, n), Window: time.Minute, Local: local}
}

// rates are the limits as they are applied.
type rates struct{ client, user, hub, address gateway.Limit }

func (l RateLimits) rates() rates {
	return rates{
		client: perMinute(l.Client, 6000, "client", false), user: perMinute(l.User, 3000, "user", false),
		hub: perMinute(l.Hub, 30_000, "hub", false), address: perMinute(l.Address, 1200, "address", true),
	}
}

// name tells callers apart: the person or the client. It holds no personal data.
func (c caller) name() string {
	switch {
	case c.token != nil && c.token.ParticipantID != "":
		return "user:" + c.token.ParticipantID + " client:" + c.token.ClientID
	case c.token != nil:
		return "client:" + c.token.ClientID
	case c.session != nil:
		sum := sha256.Sum256([]byte(c.session.Issuer + "\x00" + c.session.Subject))
		return "person:" + hex.EncodeToString(sum[:16])
	}
	return ""
}

// limitCaller counts a request against the limits of who sends it, whatever becomes of it. Who may do
// nothing here is slowed down as well.
func (s *Server) limitCaller(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		who := callerOf(c.Request().Context())
		var of []gateway.LimitOf
		switch {
		case who.token != nil:
			of = append(of, s.ofClient(who.token.ClientID))
			if p := who.token.ParticipantID; p != "" {
				of = append(of, gateway.LimitOf{Limit: s.rates.user, Key: "user:" + p})
			}
		case who.session != nil:
			of = append(of, gateway.LimitOf{Limit: s.rates.user, Key: who.name()})
		default:
			of = append(of, s.ofAddress(c.RealIP()))
		}
		return s.limit(c, next, of...)
	}
}

func (s *Server) ofClient(id string) gateway.LimitOf {
	return gateway.LimitOf{Limit: s.rates.client, Key: "client:" + id}
}

func (s *Server) ofAddress(address string) gateway.LimitOf {
	return gateway.LimitOf{Limit: s.rates.address, Key: "address:" + network(address)}
}

// limitAddress counts a request against the limit of its address, whoever sends it.
func (s *Server) limitAddress(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error { return s.limit(c, next, s.ofAddress(c.RealIP())) }
}

// limitHub counts a request against the limit of the hub that the caller was let in to: nobody else can
// use that up.
func (s *Server) limitHub(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		a := actorOf(c.Request().Context())
		if a.HubID == "" {
			return next(c)
		}
		return s.limit(c, next, gateway.LimitOf{Limit: s.rates.hub, Key: "hub:" + a.HubID})
	}
}

func (s *Server) limit(c echo.Context, next echo.HandlerFunc, of ...gateway.LimitOf) error {
	if err := s.take(c.Request().Context(), c.Response().Header(), of...); err != nil {
		return err
	}
	return next(c)
}

// take takes one request from the limits and tells in the header what is left.
func (s *Server) take(ctx context.Context, h http.Header, of ...gateway.LimitOf) error {
	asked := of[:0]
	for _, l := range of {
		if l.Quota > 0 {
			asked = append(asked, l)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	states, err := s.limits.Take(ctx, asked...)
	// The fields of draft-ietf-httpapi-ratelimit-headers: one item per policy.
	for _, st := range states {
		add(h, "RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", st.Name, st.Quota, int(st.Window.Seconds())))
		add(h, "RateLimit", fmt.Sprintf("%q;r=%d;t=%d", st.Name, st.Left, int(math.Ceil(st.Reset.Seconds()))))
	}
	return err
}

// add lengthens a field that is a list.
func add(h http.Header, name, item string) {
	if had := h.Get(name); had != "" {
		item = had + ", " + item
	}
	h.Set(name, item)
}

// network is whom an address belongs to: of IPv6 a customer has a whole /64.
func network(address string) string {
	a, err := netip.ParseAddr(strings.TrimSpace(address))
	if err == nil && a.Is6() && !a.Is4In6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return address
}
