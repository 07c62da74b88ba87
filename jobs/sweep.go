package jobs

import (
	"context"
	"errors"
	"time"

	"isthmus/gateway"
)

// sweep expires and removes what is over. One part that fails does not keep the other from its work.
func sweep(s Services) *worker[gateway.Sweep] {
	return &worker[gateway.Sweep]{
		run: func(ctx context.Context, _ gateway.Sweep) error {
			errs := []error{s.Uploads.Sweep(ctx), s.Library.Sweep(ctx), s.Assets.Sweep(ctx), s.Integrations.Sweep(ctx), s.Jobs.Reconcile(ctx)}
			for _, f := range s.Sweeps {
				errs = append(errs, f(ctx))
			}
			return errors.Join(errs...)
		},
		timeout: 10 * time.Minute,
	}
}
