package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// abandonIngest deletes what was sent of an upload that nobody wants any more.
func abandonIngest(s Services) *worker[gateway.AbandonIngest] {
	return &worker[gateway.AbandonIngest]{
		run:     func(ctx context.Context, t gateway.AbandonIngest) error { return s.Uploads.RunAbandon(ctx, t.UploadID) },
		timeout: 5 * time.Minute,
	}
}
