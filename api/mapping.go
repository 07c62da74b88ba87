package api

import (
	"context"

	"isthmus/gateway"
	"isthmus/openapi"
)

func mappingOf(m gateway.Mapping) openapi.Mapping {
	return openapi.Mapping{
		ID: m.ID, Etag: etag(m.Version), ParticipantID: m.ParticipantID, PlatformUserID: m.PlatformUserID,
		How: openapi.MappingHow(m.How), State: openapi.MappingState(m.State), Candidates: list(m.Candidates),
		LastUsedAt: someTime(m.LastUsedAt), CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt,
	}
}

func mappingAnswer(m gateway.Mapping) MappingJSONResponse {
	body := mappingOf(m)
	return MappingJSONResponse{Body: body, Headers: MappingResponseHeaders{ETag: &body.Etag}}
}

// ListMappings shows who is who on Kaltura.
func (s *Server) ListMappings(ctx context.Context, r ListMappingsRequestObject) (ListMappingsResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	a := actorOf(ctx)
	f := gateway.MappingFilter{}
	if r.Params.State != nil {
		f.States = []gateway.MappingState{gateway.MappingState(*r.Params.State)}
	}
	rows, err := s.mappings.List(ctx, a, f, w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, gateway.MappedPerson.Cursor)
	return ListMappings200JSONResponse{
		Body:    openapi.MappingPage{Items: each(rows, mappedOf), Next: next},
		Headers: ListMappings200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

func mappedOf(m gateway.MappedPerson) openapi.Mapping {
	out := mappingOf(m.Mapping)
	out.ParticipantName, out.ParticipantEmail = text(m.Person.Name), text(m.Person.Email)
	return out
}

// LinkMapping sets a mapping by hand.
func (s *Server) LinkMapping(ctx context.Context, r LinkMappingRequestObject) (LinkMappingResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	m, err := s.mappings.Link(ctx, actorOf(ctx), r.ID, version, r.Body.PlatformUserID)
	if err != nil {
		return nil, stale(err)
	}
	return LinkMapping200JSONResponse{mappingAnswer(m)}, nil
}

// UnlinkMapping cuts a mapping.
func (s *Server) UnlinkMapping(ctx context.Context, r UnlinkMappingRequestObject) (UnlinkMappingResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	m, err := s.mappings.Unlink(ctx, actorOf(ctx), r.ID, version)
	if err != nil {
		return nil, stale(err)
	}
	return UnlinkMapping200JSONResponse{mappingAnswer(m)}, nil
}
