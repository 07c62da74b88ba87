package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// ingestUpload hands a finished upload to the platform; the file may be large and the line thin.
func ingestUpload(s Services) *worker[gateway.IngestUpload] {
	return &worker[gateway.IngestUpload]{
		run: func(ctx context.Context, t gateway.IngestUpload) error { return s.Uploads.RunIngest(ctx, t.UploadID) },
		giveUp: func(ctx context.Context, t gateway.IngestUpload, err error) error {
			return s.Uploads.GiveUp(ctx, t.UploadID, err)
		},
		timeout: 6 * time.Hour,
	}
}
