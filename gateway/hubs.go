package gateway

import "context"

// Hubs signs people in and tells who is in which hub.
type Hubs struct {
	Store Store
	Clock Clock
}

// Belonging is one hub a person is in.
type Belonging struct {
	Hub         Hub
	Participant Participant
}

// SignIn brings hubs and participants up to date with a verified identity: roles and plans that
// changed at the provider change here, hubs the identity no longer names suspend the person there.
func (h *Hubs) SignIn(ctx context.Context, id Identity) ([]Belonging, error) { panic("todo") }

// Belongings lists the hubs of a person.
func (h *Hubs) Belongings(ctx context.Context, issuer, subject string) ([]Belonging, error) {
	panic("todo")
}

// ActorIn makes the actor of a signed-in person in a hub. NotFound when they are not in it or suspended.
func (h *Hubs) ActorIn(ctx context.Context, s Session, hubID string) (Actor, error) { panic("todo") }

// Get gives the actor's hub.
func (h *Hubs) Get(ctx context.Context, a Actor) (Hub, error) { panic("todo") }

// Members lists the participants of the actor's hub, for admins.
func (h *Hubs) Members(ctx context.Context, a Actor, w Slice) ([]Participant, error) { panic("todo") }
