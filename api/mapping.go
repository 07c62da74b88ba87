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
	rows, err := s.mappings.List(ctx, a, gateway.MappingState(deref(r.Params.State)), w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(m gateway.Mapping) string { return m.ID })
	people, err := s.people(ctx, a)
	if err != nil {
		return nil, err
	}
	items := each(rows, func(m gateway.Mapping) openapi.Mapping {
		out := mappingOf(m)
		if p, ok := people[m.ParticipantID]; ok {
			out.ParticipantName, out.ParticipantEmail = text(p.Name), text(p.Email)
		}
		return out
	})
	return ListMappings200JSONResponse{
		Body:    openapi.MappingPage{Items: items, Next: next},
		Headers: ListMappings200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// people gives the hub's newest participants by id; enough to put names to a page of mappings.
func (s *Server) people(ctx context.Context, a gateway.Actor) (map[string]gateway.Participant, error) {
	members, err := s.hubs.Members(ctx, a, gateway.Slice{Limit: maxLimit})
	if err != nil {
		return nil, err
	}
	out := make(map[string]gateway.Participant, len(members))
	for _, p := range members {
		out[p.ID] = p
	}
	return out, nil
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
