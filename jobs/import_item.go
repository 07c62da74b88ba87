package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// importItem copies an entry; a stop in the middle costs nothing, it goes on from the durable bytes.
func importItem(s Services) *worker[gateway.ImportItem] {
	return &worker[gateway.ImportItem]{
		run: func(ctx context.Context, t gateway.ImportItem) error { return s.Library.RunImport(ctx, t.ItemID) },
		giveUp: func(ctx context.Context, t gateway.ImportItem, err error) error {
			return s.Library.GiveUp(ctx, t.ItemID, err)
		},
		timeout: 6 * time.Hour,
	}
}
