package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// inspectAsset looks into a file.
func inspectAsset(s Services) *worker[gateway.InspectAsset] {
	return &worker[gateway.InspectAsset]{
		run: func(ctx context.Context, t gateway.InspectAsset) error { return s.Assets.RunInspect(ctx, t.AssetID) },
		giveUp: func(ctx context.Context, t gateway.InspectAsset, err error) error {
			return s.Assets.GiveUp(ctx, t.AssetID, err)
		},
		timeout: 3 * time.Hour,
	}
}
