package gateway

import (
	"context"
	"time"
)

// Sweep removes bytes of copies that no item refers to: left by a crash in the middle of a removal
// or of an import that was cancelled (task Sweep).
func (s *Library) Sweep(ctx context.Context) error {
	ids, err := s.Assets.Staging.Stale(ctx, "job_", s.Clock().Add(-24*time.Hour))
	if err != nil {
		return err
	}
	for _, id := range ids {
		job, err := s.Store.Jobs().Get(ctx, AnyHub, id)
		if err != nil && CodeOf(err) != NotFound {
			return err
		}
		if err == nil && !job.over() {
			continue
		}
		if err = s.Assets.Staging.Remove(ctx, id); err != nil {
			return err
		}
	}
	const page = 500
	for w := (Slice{Limit: page}); ; {
		list, err := s.Store.Assets().All(ctx, w)
		if err != nil {
			return err
		}
		for _, as := range list {
			w.After = as.ID
			if as.OwnerKind != OwnerLibraryItem || s.Clock().Sub(as.CreatedAt) < time.Hour {
				continue
			}
			it, err := s.Store.Library().Get(ctx, AnyHub, as.OwnerID)
			if err != nil && CodeOf(err) != NotFound {
				return err
			}
			if err == nil && it.AssetID == as.ID {
				continue
			}
			if err = s.Assets.Remove(ctx, as.ID); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
	}
}
