package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// trimAsset removes old generations of a package.
func trimAsset(s Services) *worker[gateway.TrimAsset] {
	return &worker[gateway.TrimAsset]{
		run:     func(ctx context.Context, t gateway.TrimAsset) error { return s.Assets.RunTrim(ctx, t.AssetID) },
		timeout: 10 * time.Minute,
	}
}
