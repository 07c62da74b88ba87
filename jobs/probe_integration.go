package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// probeIntegration asks one connection that does not work whether it does again; the waiting is done by snoozing.
func probeIntegration(s Services) *worker[gateway.ProbeIntegration] {
	return &worker[gateway.ProbeIntegration]{
		run:      func(ctx context.Context, t gateway.ProbeIntegration) error { return s.Integrations.RunProbe(ctx, t) },
		stubborn: true, // people wait for it
		timeout:  2 * time.Minute,
	}
}
