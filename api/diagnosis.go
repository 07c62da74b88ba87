package api

import (
	"context"
	"time"

	"isthmus/gateway"
	"isthmus/openapi"
)

func expiryOf(d gateway.Diagnosis, now time.Time) *openapi.Expiry {
	e, ok := d.Expiry(now)
	if !ok {
		return nil
	}
	return &openapi.Expiry{At: e.At, DaysLeft: e.DaysLeft, Near: e.Near, Message: e.Message, NextStep: e.NextStep}
}

// ProbeKaltura diagnoses the saved connection now.
func (s *Server) ProbeKaltura(ctx context.Context, _ ProbeKalturaRequestObject) (ProbeKalturaResponseObject, error) {
	in, err := s.integrations.Check(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	return ProbeKaltura200JSONResponse{integrationOf(in)}, nil
}
