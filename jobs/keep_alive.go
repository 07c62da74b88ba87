package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// keepAlive queues what is due of connections.
func keepAlive(s Services) *worker[gateway.KeepAlive] {
	return &worker[gateway.KeepAlive]{
		run:     func(ctx context.Context, _ gateway.KeepAlive) error { return s.Integrations.KeepAlive(ctx) },
		timeout: 5 * time.Minute,
	}
}

// diagnoseIntegration diagnoses one connection.
func diagnoseIntegration(s Services) *worker[gateway.DiagnoseIntegration] {
	return &worker[gateway.DiagnoseIntegration]{
		run: func(ctx context.Context, t gateway.DiagnoseIntegration) error {
			return s.Integrations.RunDiagnose(ctx, t.IntegrationID)
		},
		timeout: 5 * time.Minute,
	}
}
