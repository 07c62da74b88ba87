package gateway

import "context"

// Mappings ties participants to platform users.
type Mappings struct {
	Store        Store
	Clock        Clock
	Integrations *Integrations
	Events       *Events
}

// Resolve gives the actor with PlatformUserID set, mapping the person on first use: exactly one
// mapping and at most one new platform user even when many requests race. Forbidden with reason
// "mapping_pending", "mapping_conflict", "mapping_unlinked", "mapping_off" or "email_unverified".
// A machine client passes unmapped.
func (s *Mappings) Resolve(ctx context.Context, a Actor, o Opened) (Actor, error) { panic("todo") }

// Mine gives the actor's mapping without making one; NotFound when there is none yet.
func (s *Mappings) Mine(ctx context.Context, a Actor, integrationID string) (Mapping, error) {
	panic("todo")
}

// List shows an admin the hub's mappings, conflicts first when state is empty.
func (s *Mappings) List(ctx context.Context, a Actor, state MappingState, w Slice) ([]Mapping, error) {
	panic("todo")
}

// Link sets a mapping by hand (also resolves a conflict or approves). Version as in Integrations.Save.
func (s *Mappings) Link(ctx context.Context, a Actor, id string, version int64, platformUserID string) (Mapping, error) {
	panic("todo")
}

// Unlink cuts a mapping; it is not made anew by itself.
func (s *Mappings) Unlink(ctx context.Context, a Actor, id string, version int64) (Mapping, error) {
	panic("todo")
}
