package gateway

import (
	"context"
	"fmt"
	"time"
)

// Snooze is returned by a task that must wait; it does not count as an attempt.
type Snooze struct{ After time.Duration }

// Error says so.
func (s *Snooze) Error() string { return fmt.Sprintf("wait %s", s.After) }

// Jobs shows and cancels long work.
type Jobs struct {
	Store  Store
	Clock  Clock
	Events *Events
}

// Get gives a job of the actor's (an admin sees all of the hub), NotFound otherwise.
func (s *Jobs) Get(ctx context.Context, a Actor, id string) (Job, error) { panic("todo") }

// List gives the actor's jobs, newest first.
func (s *Jobs) List(ctx context.Context, a Actor, w Slice) ([]Job, error) { panic("todo") }

// Cancel asks a job to stop; a running one stops within a second. Conflict when it is done.
func (s *Jobs) Cancel(ctx context.Context, a Actor, id string) (Job, error) { panic("todo") }
