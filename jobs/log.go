package jobs

import (
	"context"
	"log/slog"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// LogErrors makes the handler that store's runner reports failed tasks to.
func LogErrors(log *slog.Logger) river.ErrorHandler { return errorLog{log} }

// errorLog logs what tasks fail with; River itself decides whether they are tried again.
type errorLog struct{ log *slog.Logger }

// HandleError implements river.ErrorHandler.
func (t errorLog) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	t.log.WarnContext(ctx, "task failed", "kind", job.Kind, "attempt", job.Attempt, "args", string(job.EncodedArgs), "error", err)
	return nil
}

// HandlePanic implements river.ErrorHandler.
func (t errorLog) HandlePanic(ctx context.Context, job *rivertype.JobRow, panicked any, trace string) *river.ErrorHandlerResult {
	t.log.ErrorContext(ctx, "task panicked", "kind", job.Kind, "attempt", job.Attempt, "args", string(job.EncodedArgs), "panic", panicked, "trace", trace)
	return nil
}
