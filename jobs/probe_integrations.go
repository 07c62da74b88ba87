package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// probeIntegrations asks every connection for its health.
func probeIntegrations(s Services) *worker[gateway.ProbeIntegrations] {
	return &worker[gateway.ProbeIntegrations]{
		run:     func(ctx context.Context, _ gateway.ProbeIntegrations) error { return s.Integrations.Probe(ctx) },
		timeout: 5 * time.Minute,
	}
}
