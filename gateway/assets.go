package gateway

import "context"

// Assets runs the media pipeline over bytes we keep.
type Assets struct {
	Store    Store
	Clock    Clock
	Staging  Staging
	Blobs    Blobs
	Pipeline Pipeline
	Events   *Events
	Settled  map[string]func(context.Context, Asset) error // by owner kind; filled in by cmd
}

// New makes an asset from a complete staged file: publishes the bytes first, then inserts the row
// and queues InspectAsset inside tx. The blob is adopted before the transaction by Adopt.
func (s *Assets) Adopt(ctx context.Context, stagedID, assetID string) (originalKey string, _ error) {
	panic("todo")
}

// New inserts an asset whose bytes were adopted and queues its inspection, in the caller's transaction.
func (s *Assets) New(ctx context.Context, tx Tx, as Asset) (Asset, error) { panic("todo") }

// Get gives an asset whatever its hub: owners have decided who may see it.
func (s *Assets) Get(ctx context.Context, id string) (Asset, error) { panic("todo") }

// Remove deletes an asset with its bytes.
func (s *Assets) Remove(ctx context.Context, id string) error { panic("todo") }

// RunInspect, RunPackage, RunLadder and RunSettle are the tasks of the pipeline, each safe to run twice.
func (s *Assets) RunInspect(ctx context.Context, id string) error { panic("todo") }

// RunPackage makes it playable.
func (s *Assets) RunPackage(ctx context.Context, id string) error { panic("todo") }

// RunLadder adds the lower rungs.
func (s *Assets) RunLadder(ctx context.Context, id string) error { panic("todo") }

// RunSettle tells the owner.
func (s *Assets) RunSettle(ctx context.Context, id string) error { panic("todo") }
