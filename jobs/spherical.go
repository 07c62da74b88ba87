package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// scanSpherical looks for entries that look spherical and lack the tag.
func scanSpherical(s Services) *worker[gateway.ScanSpherical] {
	return &worker[gateway.ScanSpherical]{
		run: func(ctx context.Context, t gateway.ScanSpherical) error {
			return s.Spherical.RunScan(ctx, t.IntegrationID)
		},
		timeout: 2 * time.Hour,
	}
}

// markSpherical tags the entries of a run, or takes the tags back.
func markSpherical(s Services) *worker[gateway.MarkSpherical] {
	return &worker[gateway.MarkSpherical]{
		run: func(ctx context.Context, t gateway.MarkSpherical) error { return s.Spherical.RunMark(ctx, t.JobID) },
		giveUp: func(ctx context.Context, t gateway.MarkSpherical, err error) error {
			return s.Spherical.GiveUp(ctx, t.JobID, err)
		},
		timeout: time.Hour,
	}
}
