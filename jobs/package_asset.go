package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// packageAsset makes an asset playable.
func packageAsset(s Services) *worker[gateway.PackageAsset] {
	return &worker[gateway.PackageAsset]{
		run: func(ctx context.Context, t gateway.PackageAsset) error { return s.Assets.RunPackage(ctx, t.AssetID) },
		giveUp: func(ctx context.Context, t gateway.PackageAsset, err error) error {
			return s.Assets.GiveUp(ctx, t.AssetID, err)
		},
		timeout: 13 * time.Hour,
	}
}
