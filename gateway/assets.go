package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Assets runs the media pipeline over bytes we keep. Safe for concurrent use.
type Assets struct {
	Store    Store
	Clock    Clock
	Staging  Staging
	Blobs    Blobs
	Pipeline Pipeline
	Events   *Events
	Settled  map[string]func(context.Context, Asset) error // by owner kind; filled in by cmd
}

// assetsDir is where the bytes of all assets lie.
const assetsDir = "assets/"

func assetDir(id string) string    { return assetsDir + id + "/" }
func originalKey(id string) string { return assetDir(id) + "original" }

// Adopt publishes the bytes of a complete staged file under the original's key of an asset, before
// the transaction that makes the row. Harmless when done already.
func (s *Assets) Adopt(ctx context.Context, stagedID, assetID string) (string, error) {
	key := originalKey(assetID)
	return key, s.Blobs.Adopt(ctx, stagedID, key)
}

// New inserts an asset whose bytes were adopted and queues its inspection, in the caller's transaction.
func (s *Assets) New(ctx context.Context, tx Tx, as Asset) (Asset, error) {
	if as.ID == "" {
		as.ID = NewID("ast")
	}
	if as.Original == "" {
		as.Original = originalKey(as.ID)
	}
	as.State = AssetInspecting
	if err := tx.Assets().Insert(ctx, &as); err != nil {
		return Asset{}, err
	}
	return as, tx.Enqueue(ctx, InspectAsset{AssetID: as.ID})
}

// Get gives an asset whatever its hub: owners have decided who may see it.
func (s *Assets) Get(ctx context.Context, id string) (Asset, error) {
	return s.Store.Assets().Get(ctx, AnyHub, id)
}

// Remove deletes an asset with its bytes. A step that is running notices and stops.
func (s *Assets) Remove(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	// Bytes first: a crash in between leaves a row that says what is still to be removed. And again
	// at the end, for what a running step published before it lost its row.
	if err := s.Blobs.Remove(ctx, assetDir(id)); err != nil {
		return err
	}
	if err := s.Store.Assets().Delete(ctx, AnyHub, id); err != nil {
		return err
	}
	return s.Blobs.Remove(ctx, assetDir(id))
}

// orphanAge is how long a folder without an asset's row is left alone: the bytes come before the row,
// and whoever makes the row may be held up for days.
const orphanAge = 7 * 24 * time.Hour

// Sweep removes the bytes of assets that have no row: left by a crash between the two (task Sweep).
func (s *Assets) Sweep(ctx context.Context) error {
	ids, err := s.Blobs.Folders(ctx, assetsDir, s.Clock().Add(-orphanAge))
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err = s.Get(ctx, id); CodeOf(err) == NotFound {
			err = s.Blobs.Remove(ctx, assetDir(id))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// AssetNews is what events say about an asset at work.
type AssetNews struct {
	ID       string     `json:"id"`
	OwnerID  string     `json:"owner_id"`
	State    AssetState `json:"state"`
	Progress float64    `json:"progress"` // 0..1 of the current step
}

// audience tells who hears of an asset's progress: the importer of a library item. Entries of the
// embedded platform have an owner there, whom we do not know here.
func (s *Assets) audience(ctx context.Context, as Asset) (audience string, ok bool) {
	if as.OwnerKind != OwnerLibraryItem || s.Events == nil {
		return "", false
	}
	it, err := s.Store.Library().Get(ctx, AnyHub, as.OwnerID)
	return it.audience(), err == nil
}

// RunTrim removes generations of a package that nobody plays any more, and what crashed attempts
// published (task TrimAsset, queued a day after a newer generation appeared).
func (s *Assets) RunTrim(ctx context.Context, id string) error {
	as, err := s.Get(ctx, id)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil || (as.State != AssetReady && as.State != AssetFailed) {
		return err
	}
	for n := range as.Attempt {
		for _, step := range []string{stepPackage, stepLadder} {
			dir := generation(id, n+1, step)
			if as.Package.uses(dir) {
				continue
			}
			if err := s.Blobs.Remove(ctx, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// uses tells whether a package refers to anything below dir.
func (p Package) uses(dir string) bool {
	keys := []string{p.Dir, p.DASH, p.HLS, p.Image, p.Waveform}
	for _, t := range p.Thumbnails {
		keys = append(keys, t.Key)
	}
	for _, r := range p.Renditions {
		keys = append(keys, r.Key)
	}
	for _, k := range keys {
		if strings.HasPrefix(k, dir) {
			return true
		}
	}
	return false
}

// The steps that publish something.
const (
	stepPackage = "pkg"
	stepLadder  = "ladder"
)

// generation is where an attempt publishes. The attempt is the fencing number: a worker that was
// taken for dead and comes back writes into a folder that nobody looks at.
func generation(assetID string, attempt int64, step string) string {
	return fmt.Sprintf("%s%d-%s/", assetDir(assetID), attempt, step)
}

// trimAfter is how long an older generation stays for players that began with it.
const trimAfter = 24 * time.Hour

// Time allowed to the steps: a fixed part, and one that grows with the file. They are far above what
// the slowest machine needs; their purpose is that nothing runs for ever.
func inspectTime(as Asset) time.Duration {
	return 2*time.Minute + time.Duration(as.Size/(10<<20))*time.Second
}

func packageTime(as Asset) time.Duration {
	length := time.Duration(as.Inspection.DurationMS) * time.Millisecond
	return min(10*time.Minute+time.Duration(as.Size/(5<<20))*time.Second+8*length, 12*time.Hour)
}

func ladderTime(as Asset) time.Duration {
	return min(3*packageTime(as), 24*time.Hour)
}
