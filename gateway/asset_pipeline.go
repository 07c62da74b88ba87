package gateway

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync/atomic"
	"time"
)

// errSuperseded stops a step whose asset was removed or taken over by a newer attempt.
var errSuperseded = errors.New("asset removed or taken over")

// RunInspect looks into an asset, then queues PackageAsset (task InspectAsset). Like the other steps
// it is safe to run twice: each run takes a new fencing number and only the newest can commit.
func (s *Assets) RunInspect(ctx context.Context, id string) error {
	return s.step(ctx, id, AssetInspecting, inspectTime, func(ctx context.Context, as *Asset, _ Progress) (string, []Task, error) {
		in, err := s.Pipeline.Inspect(ctx, Source{Blob: as.Original}, as.FileName)
		if err != nil {
			return "", nil, err
		}
		as.Inspection, as.State = in, AssetPackaging
		return "", []Task{PackageAsset{AssetID: id}}, nil
	})
}

// RunPackage makes an asset playable, then queues LadderAsset for video (task PackageAsset).
func (s *Assets) RunPackage(ctx context.Context, id string) error {
	return s.step(ctx, id, AssetPackaging, packageTime, func(ctx context.Context, as *Asset, p Progress) (string, []Task, error) {
		dir := generation(id, as.Attempt, stepPackage)
		pkg, err := s.Pipeline.Package(ctx, Source{Blob: as.Original}, as.Inspection, dir, p)
		if err != nil {
			return dir, nil, err
		}
		as.Package = pkg
		if as.Inspection.Type != Video {
			as.State = AssetReady
			return dir, nil, nil
		}
		as.State = AssetPlayable
		return dir, []Task{LadderAsset{AssetID: id}}, nil
	})
}

// RunLadder adds the lower rungs (task LadderAsset). When it cannot, the asset stays playable as it is.
func (s *Assets) RunLadder(ctx context.Context, id string) error {
	return s.step(ctx, id, AssetPlayable, ladderTime, func(ctx context.Context, as *Asset, p Progress) (string, []Task, error) {
		dir := generation(id, as.Attempt, stepLadder)
		pkg, err := s.Pipeline.Ladder(ctx, Source{Blob: as.Original}, as.Inspection, as.Package, dir, p)
		if err != nil {
			return dir, nil, err
		}
		as.Package, as.State = pkg, AssetReady
		return dir, nil, nil
	})
}

// RunSettle tells the owner (task SettleAsset).
func (s *Assets) RunSettle(ctx context.Context, id string) error {
	as, err := s.Get(ctx, id)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if f := s.Settled[as.OwnerKind]; f != nil {
		return f(ctx, as)
	}
	return nil
}

// work does a step on a row that it may change; it gives the folder it published and what follows.
type work func(ctx context.Context, as *Asset, p Progress) (dir string, next []Task, _ error)

func (s *Assets) step(ctx context.Context, id string, from AssetState, limit func(Asset) time.Duration, f work) error {
	as, err := s.change(ctx, id, func(_ Tx, as *Asset) error {
		if as.State != from {
			return errUnchanged // done by an earlier run
		}
		as.Attempt++
		as.Progress = 0
		return nil
	})
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil || as.State != from {
		return err
	}
	timed, cancelTimed := context.WithTimeout(ctx, limit(as))
	defer cancelTimed()
	stepCtx, cancel := context.WithCancelCause(timed)
	defer cancel(nil)
	progress, stop := s.follow(stepCtx, cancel, as)
	dir, next, err := f(stepCtx, &as, progress)
	stop()
	switch {
	case errors.Is(context.Cause(stepCtx), errSuperseded):
		return s.discard(ctx, dir)
	case ctx.Err() != nil && err != nil: // stopped from outside; says nothing about the file
		return ctx.Err()
	case timed.Err() != nil && err != nil:
		return E(Unavailable, "step_timeout", "Preparing the media took too long.").
			Next("It is tried again; if that does not help, upload a shorter or simpler file.").Because(err)
	case CodeOf(err) == Invalid:
		return errors.Join(err, s.refuse(ctx, as.ID, as.Attempt, from, AsError(err)))
	case err != nil:
		return err
	}
	// What is published is good: a stop of the process now must not waste it.
	return s.commit(context.WithoutCancel(ctx), as, dir, next)
}

// follow watches over a running step: it passes its progress on and stops it when the asset is
// removed or a newer attempt has begun.
func (s *Assets) follow(ctx context.Context, cancel context.CancelCauseFunc, as Asset) (Progress, func()) {
	var now atomic.Uint64 // bits of a float64
	var told float64
	var look int
	audience, listening := s.audience(ctx, as)
	stop := every(ctx, lookEvery, func(ctx context.Context) bool {
		row, err := s.Get(ctx, as.ID)
		if CodeOf(err) == NotFound || err == nil && row.Attempt != as.Attempt {
			cancel(errSuperseded)
			return false
		}
		p := math.Float64frombits(now.Load())
		if look++; look%2 == 0 && p != told { // twice a second
			told = p
			if err := s.Store.Assets().SetProgress(ctx, as.ID, as.Attempt, p); err != nil && ctx.Err() == nil {
				slog.DebugContext(ctx, "progress of an asset not noted", "asset", as.ID, "error", err)
			}
			if listening {
				s.Events.Progress(as.HubID, audience, "asset.progress", as.OwnerID, AssetNews{as.ID, as.OwnerID, as.State, p})
			}
		}
		return true
	})
	return func(p float64) { now.Store(math.Float64bits(p)) }, stop
}

// commit writes the outcome of a step if no newer attempt has begun, with the tasks that follow.
func (s *Assets) commit(ctx context.Context, as Asset, dir string, next []Task) error {
	as.Progress, as.ErrorCode, as.ErrorText = 0, "", ""
	if as.State == AssetReady {
		as.Progress = 1
	}
	err := s.Store.Tx(ctx, func(tx Tx) error {
		row := as // Tx may run this again
		if err := tx.Assets().Update(ctx, &row); err != nil {
			return err
		}
		if as.State == AssetReady {
			if err := tx.Enqueue(ctx, TrimAsset{AssetID: as.ID}, NotBefore(s.Clock().Add(trimAfter))); err != nil {
				return err
			}
		}
		for _, t := range append(next, SettleAsset{AssetID: as.ID}) {
			if err := tx.Enqueue(ctx, t); err != nil {
				return err
			}
		}
		return nil
	})
	if IsReason(err, "changed_meanwhile") { // removed, or a newer attempt is on it
		return s.discard(ctx, dir)
	}
	return err
}

func (s *Assets) discard(ctx context.Context, dir string) error {
	if dir == "" {
		return nil
	}
	return s.Blobs.Remove(ctx, dir)
}

// refuse ends an asset that cannot be made to play. One that plays already stays as it is.
func (s *Assets) refuse(ctx context.Context, id string, attempt int64, from AssetState, e *Error) error {
	_, err := s.change(ctx, id, func(tx Tx, as *Asset) error {
		if as.State != from || attempt != 0 && as.Attempt != attempt {
			return errUnchanged
		}
		as.State, as.Progress = AssetFailed, 0
		if from == AssetPlayable {
			as.State, as.Progress = AssetReady, 1
		}
		as.ErrorCode, as.ErrorText = reasonOf(e), e.Message
		return tx.Enqueue(ctx, SettleAsset{AssetID: id})
	})
	return err
}

// GiveUp ends a step that was tried too often.
func (s *Assets) GiveUp(ctx context.Context, id string, cause error) error {
	as, err := s.Get(ctx, id)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil || as.State == AssetReady || as.State == AssetFailed {
		return err
	}
	return s.refuse(ctx, id, 0, as.State, AsError(cause))
}

func (s *Assets) change(ctx context.Context, id string, f func(Tx, *Asset) error) (Asset, error) {
	return changeRow(ctx, s.Store, func(t Tables) Rows[Asset] { return t.Assets() }, AnyHub, id, f)
}
