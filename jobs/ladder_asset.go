package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// ladderAsset adds the lower rungs.
func ladderAsset(s Services) *worker[gateway.LadderAsset] {
	return &worker[gateway.LadderAsset]{
		run: func(ctx context.Context, t gateway.LadderAsset) error { return s.Assets.RunLadder(ctx, t.AssetID) },
		giveUp: func(ctx context.Context, t gateway.LadderAsset, err error) error {
			return s.Assets.GiveUp(ctx, t.AssetID, err)
		},
		timeout: 25 * time.Hour,
	}
}
