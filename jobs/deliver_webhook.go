package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// deliverWebhook makes one attempt to deliver an event; the waiting is done by snoozing.
func deliverWebhook(s Services) *worker[gateway.DeliverWebhook] {
	return &worker[gateway.DeliverWebhook]{
		run: func(ctx context.Context, t gateway.DeliverWebhook) error {
			return s.Webhooks.RunDelivery(ctx, t.DeliveryID)
		},
		timeout: time.Minute,
	}
}
