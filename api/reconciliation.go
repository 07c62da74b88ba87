package api

import (
	"context"
	"time"

	"isthmus/gateway"
	"isthmus/openapi"
)

func reconciliationOf(r gateway.ReconcileReport) ReconciliationJSONResponse {
	out := openapi.Reconciliation{
		State: openapi.ReconciliationStateNever, AskedAt: someTime(r.AskedAt), StartedAt: someTime(r.StartedAt), EndedAt: someTime(r.EndedAt),
		Entries: r.Entries, Items: r.Items, Uploads: r.Uploads, Lost: r.Lost, Found: r.Found, Changed: r.Changed, Unknown: r.Unknown,
	}
	switch {
	case r.Problem != nil:
		out.State = openapi.ReconciliationStateFailed
		out.Error = itemError(r.Problem.Code, r.Problem.Message, r.Problem.NextStep)
	case !r.EndedAt.IsZero():
		out.State = openapi.ReconciliationStateDone
	case !r.StartedAt.IsZero():
		out.State = openapi.ReconciliationStateRunning
	case !r.AskedAt.IsZero():
		out.State = openapi.ReconciliationStateWaiting
	}
	return ReconciliationJSONResponse(out)
}

// sourceLostOf says since when an entry is gone and what that means.
func sourceLostOf(at *time.Time, p *gateway.Problem) *openapi.SourceLost {
	if at == nil || p == nil {
		return nil
	}
	return &openapi.SourceLost{Since: *at, Message: p.Message, NextStep: p.NextStep}
}

// GetReconciliation shows the last comparison of the library with Kaltura.
func (s *Server) GetReconciliation(ctx context.Context, _ GetReconciliationRequestObject) (GetReconciliationResponseObject, error) {
	r, err := s.library.ReconcileReport(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	return GetReconciliation200JSONResponse{reconciliationOf(r)}, nil
}

// StartReconciliation asks for one now.
func (s *Server) StartReconciliation(ctx context.Context, _ StartReconciliationRequestObject) (StartReconciliationResponseObject, error) {
	r, err := s.library.Reconcile(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	return StartReconciliation202JSONResponse{reconciliationOf(r)}, nil
}
