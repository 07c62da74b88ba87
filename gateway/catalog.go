package gateway

import (
	"context"
	"io"
	"time"
)

// Catalog browses "From Kaltura". It is the one place that asks Decide about media.
type Catalog struct {
	Integrations *Integrations
	Mappings     *Mappings
	Clock        Clock
	StaleAfter   time.Duration // how old a cached page may be when the platform does not answer
}

// Browse gives a page of what the actor may see. When the platform is unavailable the last good
// answer to the same question by the same viewer is served with Stale set.
func (s *Catalog) Browse(ctx context.Context, a Actor, q Query) (Page, error) { panic("todo") }

// Get gives one entry the actor may see, with the reason. NotFound otherwise, whatever the cause.
func (s *Catalog) Get(ctx context.Context, a Actor, id string) (Media, Decision, error) {
	panic("todo")
}

// Playback gives addresses to play an entry.
func (s *Catalog) Playback(ctx context.Context, a Actor, id string) (Media, Playback, error) {
	panic("todo")
}

// Thumbnail streams an entry's picture with its content type.
func (s *Catalog) Thumbnail(ctx context.Context, a Actor, id string, width int) (io.ReadCloser, string, error) {
	panic("todo")
}

// Mark360 adds the tag 360 to an entry the actor may see.
func (s *Catalog) Mark360(ctx context.Context, a Actor, id string) (Media, error) { panic("todo") }
