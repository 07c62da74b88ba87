package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// runMapping does the work of a dry run or a merge; a stop in the middle costs nothing.
func runMapping(s Services) *worker[gateway.RunMapping] {
	return &worker[gateway.RunMapping]{
		run: func(ctx context.Context, t gateway.RunMapping) error { return s.Mappings.RunJob(ctx, t.JobID) },
		giveUp: func(ctx context.Context, t gateway.RunMapping, err error) error {
			return s.Mappings.GiveUp(ctx, t.JobID, err)
		},
		timeout: 2 * time.Hour,
	}
}
