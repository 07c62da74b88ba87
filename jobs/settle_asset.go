package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// settleAsset tells the owner of an asset.
func settleAsset(s Services) *worker[gateway.SettleAsset] {
	return &worker[gateway.SettleAsset]{
		run:      func(ctx context.Context, t gateway.SettleAsset) error { return s.Assets.RunSettle(ctx, t.AssetID) },
		stubborn: true, // an import that is ready would look busy for ever
		timeout:  5 * time.Minute,
	}
}
