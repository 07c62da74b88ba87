package gateway

import (
	"context"
	"io"
	"time"
)

// Uploads takes files in, from any path, at one offset truth.
type Uploads struct {
	Store        Store
	Clock        Clock
	Staging      Staging
	Integrations *Integrations
	Mappings     *Mappings
	Events       *Events
	Relay        *Relay
	Replica      string
	Life         time.Duration // 30 days
	MaxSize      int64
}

// NewUpload is what a client says before the first byte.
type NewUpload struct {
	Name, Title, Description string
	Tags                     []string
	ContentType              string
	Size                     int64
	Fingerprint              string
}

// Create checks name, type, size, plan, mapping and quota, reserves the bytes and makes the upload.
func (s *Uploads) Create(ctx context.Context, a Actor, n NewUpload) (Upload, error) { panic("todo") }

// Get gives an upload of the actor's (an admin sees all of the hub), NotFound otherwise.
func (s *Uploads) Get(ctx context.Context, a Actor, id string) (Upload, error) { panic("todo") }

// List gives the actor's uploads, newest first.
func (s *Uploads) List(ctx context.Context, a Actor, states []UploadState, w Slice) ([]Upload, error) {
	panic("todo")
}

// Offset gives the contiguous durable prefix.
func (s *Uploads) Offset(ctx context.Context, a Actor, id string) (Upload, int64, error) {
	panic("todo")
}

// Write appends r at offset, which must be the durable prefix (Conflict with reason
// "offset_mismatch" otherwise); returns the bytes that are durable. Only in state receiving.
func (s *Uploads) Write(ctx context.Context, a Actor, id string, offset int64, r io.Reader) (int64, error) {
	panic("todo")
}

// Finish says "this is the whole file": checks size and SHA-256 (lower-case hex; empty = the client
// could not), then queues the ingest. Repeating it with the same values is harmless; other values: Conflict.
func (s *Uploads) Finish(ctx context.Context, a Actor, id string, size int64, sha256 string) (Upload, error) {
	panic("todo")
}

// Cancel stops an upload before its entry exists and frees its bytes.
func (s *Uploads) Cancel(ctx context.Context, a Actor, id string) (Upload, error) { panic("todo") }

// Extend moves the expiry to Life from now.
func (s *Uploads) Extend(ctx context.Context, a Actor, id string) (Upload, error) { panic("todo") }

// Retry takes up a failed upload whose bytes we still have.
func (s *Uploads) Retry(ctx context.Context, a Actor, id string) (Upload, error) { panic("todo") }

// RunIngest hands a finished upload to the platform (task IngestUpload).
func (s *Uploads) RunIngest(ctx context.Context, id string) error { panic("todo") }

// RunWatch waits for the entry to become ready (task WatchUpload); returns *Snooze until then.
func (s *Uploads) RunWatch(ctx context.Context, id string) error { panic("todo") }

// RunAbandon deletes what was sent of a cancelled or expired upload (task AbandonIngest).
func (s *Uploads) RunAbandon(ctx context.Context, id string) error { panic("todo") }

// Sweep expires what is over (task Sweep).
func (s *Uploads) Sweep(ctx context.Context) error { panic("todo") }

// Relay sends durable bytes on to the platform while more arrive.
type Relay struct {
	Store        Store
	Staging      Staging
	Integrations *Integrations
	Mappings     *Mappings
	ChunkSize    int64 // bytes of one request
	Parallel     int   // chunks under way for one upload
}

// Poke tells the relay that an upload has new durable bytes. Returns at once.
func (r *Relay) Poke(uploadID string) { panic("todo") }

// Run works until ctx ends; begins with what a restart left behind.
func (r *Relay) Run(ctx context.Context, replica string) error { panic("todo") }

// Complete sends what is missing of an upload and gives the ingest, ready to be finished.
func (r *Relay) Complete(ctx context.Context, u Upload) (Ingest, error) { panic("todo") }
