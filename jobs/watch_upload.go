package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// watchUpload looks once whether an entry is ready; the waiting is done by snoozing.
func watchUpload(s Services) *worker[gateway.WatchUpload] {
	return &worker[gateway.WatchUpload]{
		run: func(ctx context.Context, t gateway.WatchUpload) error { return s.Uploads.RunWatch(ctx, t.UploadID) },
		giveUp: func(ctx context.Context, t gateway.WatchUpload, err error) error {
			return s.Uploads.GiveUp(ctx, t.UploadID, err)
		},
		timeout: 2 * time.Minute,
	}
}
