package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// resumeWaiting takes up what waits for a connection that works again.
func resumeWaiting(s Services) *worker[gateway.ResumeWaiting] {
	return &worker[gateway.ResumeWaiting]{
		run:      func(ctx context.Context, t gateway.ResumeWaiting) error { return s.Integrations.RunResume(ctx, t) },
		stubborn: true, // people wait for it
		timeout:  5 * time.Minute,
	}
}
