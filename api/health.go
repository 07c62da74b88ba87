package api

import (
	"context"

	"isthmus/gateway"
	"isthmus/openapi"
)

// connectionStateOf is what everybody in a hub may know of its connection.
func connectionStateOf(in gateway.Integration) openapi.ConnectionState {
	return openapi.ConnectionState{
		State: openapi.Health(in.Health), Text: in.HealthText, Since: in.HealthSince, LastTryAt: in.HealthAt, NextTryAt: in.NextTryAt,
	}
}

// uploadWaitOf says since when an upload waits and when it is tried, nil when it does not wait.
func uploadWaitOf(u gateway.Upload) *openapi.UploadWait {
	if u.WaitingSince == nil || u.State.Done() {
		return nil
	}
	return &openapi.UploadWait{Since: *u.WaitingSince, LastTryAt: u.LastTryAt, NextTryAt: u.NextTryAt}
}

// GetKalturaHealth tells an admin how the connection is and was.
func (s *Server) GetKalturaHealth(ctx context.Context, r GetKalturaHealthRequestObject) (GetKalturaHealthResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	h, err := s.integrations.Health(ctx, actorOf(ctx), w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(h.History, w, size, func(c gateway.HealthChange) string { return c.ID })
	in := h.Integration
	return GetKalturaHealth200JSONResponse{
		Body: openapi.HealthReport{
			State: openapi.Health(in.Health), Text: in.HealthText, Since: in.HealthSince, LastOkAt: in.LastOKAt, LastTryAt: in.HealthAt,
			NextTryAt: in.NextTryAt, Waiting: openapi.WaitingWork{Uploads: h.Waiting.Uploads, Imports: h.Waiting.Imports},
			History: each(rows, func(c gateway.HealthChange) openapi.HealthChange {
				return openapi.HealthChange{ID: c.ID, State: openapi.Health(c.State), Text: c.Text, Since: c.Since, Until: c.Until}
			}), Next: next,
		},
		Headers: GetKalturaHealth200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}
