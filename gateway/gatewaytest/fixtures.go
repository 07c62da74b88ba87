package gatewaytest

import (
	"context"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
)

// Issuer is the identity provider of all fixtures.
const Issuer = "https://id.example.org"

// Clock is a clock that moves only when told to. Its Now is a gateway.Clock. Safe for concurrent use.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// NewClock starts at noon of a fixed day.
func NewClock() *Clock { return &Clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

// Now tells the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Add moves the clock.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// Identity is somebody in one hub, with a verified e-mail name@example.org.
func Identity(name, hub string, plan gateway.Plan, role gateway.Role) gateway.Identity {
	return gateway.Identity{
		Issuer: Issuer, Subject: "sub-" + name, Email: name + "@example.org", EmailVerified: true, Name: name + " Example",
		Memberships: []gateway.Membership{{HubExternalID: hub, HubName: "Hub " + hub, Plan: plan, Role: role}},
	}
}

// House is a hub with people in it. Admin, Teacher (content_admin), Ada and Bob (participants) are
// actors as a session would make them.
type House struct {
	Hub                      gateway.Hub
	Admin, Teacher, Ada, Bob gateway.Actor
}

// NewHouse signs four people in to a hub of that external name.
func NewHouse(t testing.TB, s gateway.Store, clock gateway.Clock, name string, plan gateway.Plan) House {
	t.Helper()
	var h House
	hubs := &gateway.Hubs{Store: s, Clock: clock}
	for _, p := range []struct {
		name string
		role gateway.Role
		to   *gateway.Actor
	}{
		{"admin", gateway.RoleAdmin, &h.Admin},
		{"teacher", gateway.RoleContentAdmin, &h.Teacher},
		{"ada", gateway.RoleParticipant, &h.Ada},
		{"bob", gateway.RoleParticipant, &h.Bob},
	} {
		id := Identity(p.name, name, plan, p.role)
		id.Subject += "-" + name // nobody is in two houses
		b, err := hubs.SignIn(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		h.Hub = b[0].Hub
		*p.to = ActorIn(t, s, b[0].Participant)
	}
	return h
}

// ActorIn is a participant as a session makes them.
func ActorIn(t testing.TB, s gateway.Store, p gateway.Participant) gateway.Actor {
	t.Helper()
	hubs := &gateway.Hubs{Store: s, Clock: gateway.SystemClock}
	a, err := hubs.ActorIn(context.WithoutCancel(t.Context()), gateway.Session{Issuer: p.Issuer, Subject: p.Subject}, p.HubID)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Machine is a client of a hub with the given scopes that acts for nobody.
func Machine(hub gateway.Hub, scopes ...string) gateway.Actor {
	return gateway.Actor{HubID: hub.ID, ClientID: "cli_test", Scopes: scopes}
}

// Want fails unless err has the code and the reason (empty = any).
func Want(t testing.TB, err error, code gateway.Code, reason string) {
	t.Helper()
	if gateway.CodeOf(err) != code || (reason != "" && !gateway.IsReason(err, reason)) {
		t.Fatalf("got %v, want %s (%s)", err, code, reason)
	}
}

// Explained fails unless err tells a person what happened and what to do next.
func Explained(t testing.TB, err error) {
	t.Helper()
	e := gateway.AsError(err)
	if e == nil || e.Message == "" || e.NextStep == "" {
		t.Fatalf("no next step in %v", err)
	}
}
