package api

import (
	"context"

	"isthmus/gateway"
	"isthmus/openapi"
)

func hubOf(h gateway.Hub) openapi.Hub {
	return openapi.Hub{
		ID: h.ID, Name: h.Name, Plan: openapi.Plan(h.Plan), AllowsIntegrations: h.Plan.AllowsIntegrations(),
		DowngradedAt: h.DowngradedAt,
	}
}

func hubFor(h gateway.Hub, role gateway.Role, participantID string) openapi.Hub {
	out := hubOf(h)
	out.Role, out.ParticipantID = some(openapi.Role(role)), some(participantID)
	return out
}

// GetHub shows the hub as the caller is in it.
func (s *Server) GetHub(ctx context.Context, _ GetHubRequestObject) (GetHubResponseObject, error) {
	a := actorOf(ctx)
	h, err := s.hubs.Get(ctx, a)
	if err != nil {
		return nil, err
	}
	if a.Machine() {
		return GetHub200JSONResponse(hubOf(h)), nil
	}
	return GetHub200JSONResponse(hubFor(h, a.Role, a.ParticipantID)), nil
}

// ListMembers lists the hub's participants.
func (s *Server) ListMembers(ctx context.Context, r ListMembersRequestObject) (ListMembersResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.hubs.Members(ctx, actorOf(ctx), w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(p gateway.Participant) string { return p.ID })
	items := each(rows, func(p gateway.Participant) openapi.Member {
		return memberOf(p)
	})
	return ListMembers200JSONResponse{
		Body:    openapi.MemberPage{Items: items, Next: next},
		Headers: ListMembers200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}
