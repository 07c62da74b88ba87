package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// reconcileLibrary asks whether the sources of a connection's items and uploads are still there.
func reconcileLibrary(s Services) *worker[gateway.ReconcileLibrary] {
	return &worker[gateway.ReconcileLibrary]{
		run: func(ctx context.Context, t gateway.ReconcileLibrary) error {
			return s.Library.RunReconcile(ctx, t.IntegrationID)
		},
		timeout: 2 * time.Hour,
	}
}

// lookAtEntry does so for one entry.
func lookAtEntry(s Services) *worker[gateway.LookAtEntry] {
	return &worker[gateway.LookAtEntry]{
		run: func(ctx context.Context, t gateway.LookAtEntry) error {
			return s.Library.RunLook(ctx, t.IntegrationID, t.EntryID)
		},
		timeout: 5 * time.Minute,
	}
}
