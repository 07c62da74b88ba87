package api

import (
	"context"

	"isthmus/gateway"
	"isthmus/openapi"
)

// GetMe says who calls.
func (s *Server) GetMe(ctx context.Context, _ GetMeRequestObject) (GetMeResponseObject, error) {
	who := callerOf(ctx)
	if who.token != nil {
		a := actorOf(ctx)
		h, err := s.hubs.Get(ctx, a)
		if err != nil {
			return nil, err
		}
		scopes := list(a.Scopes)
		me := GetMe200JSONResponse{Kind: openapi.MeKindClient, ClientID: &a.ClientID, Scopes: &scopes, Hubs: []openapi.Hub{hubOf(h)}}
		if !a.Machine() {
			me.Kind, me.Name, me.Email = openapi.MeKindPerson, text(a.Name), text(a.Email)
			me.Hubs[0] = hubFor(h, a.Role, a.ParticipantID)
		}
		return me, nil
	}
	in, err := s.hubs.Belongings(ctx, who.session.Issuer, who.session.Subject)
	if err != nil {
		return nil, err
	}
	op, err := s.operators.Of(ctx, *who.session)
	if err != nil && gateway.CodeOf(err) != gateway.Forbidden {
		return nil, err
	}
	return GetMe200JSONResponse{
		Kind: openapi.MeKindPerson, Name: text(who.session.Name), Email: text(who.session.Email), Operator: some(op.ID != ""),
		Hubs: each(in, func(b gateway.Belonging) openapi.Hub {
			return hubFor(b.Hub, b.Participant.Role, b.Participant.ID)
		}),
	}, nil
}

// ListMyIntegrations says for each hub of the caller what it is connected to and what they see.
func (s *Server) ListMyIntegrations(ctx context.Context, _ ListMyIntegrationsRequestObject) (ListMyIntegrationsResponseObject, error) {
	who := callerOf(ctx)
	out := ListMyIntegrations200JSONResponse{Items: []openapi.MyIntegration{}}
	if who.token != nil {
		a := actorOf(ctx)
		h, err := s.hubs.Get(ctx, a)
		if err != nil {
			return nil, err
		}
		shown := hubOf(h)
		if !a.Machine() {
			shown = hubFor(h, a.Role, a.ParticipantID)
		}
		one, err := s.myIntegration(ctx, a, h, shown)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, one)
		return out, nil
	}
	in, err := s.hubs.Belongings(ctx, who.session.Issuer, who.session.Subject)
	if err != nil {
		return nil, err
	}
	for _, b := range in {
		a, err := s.hubs.ActorIn(ctx, *who.session, b.Hub.ID)
		if err != nil {
			return nil, err
		}
		one, err := s.myIntegration(ctx, a, b.Hub, hubFor(b.Hub, b.Participant.Role, b.Participant.ID))
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, one)
	}
	return out, nil
}

func (s *Server) myIntegration(ctx context.Context, a gateway.Actor, h gateway.Hub, shown openapi.Hub) (openapi.MyIntegration, error) {
	out := openapi.MyIntegration{Hub: shown, Platform: openapi.MyIntegrationPlatformKaltura}
	in, err := s.integrations.Get(ctx, a)
	if err != nil {
		e := gateway.AsError(err)
		switch {
		case e.Reason == "plan_too_low":
			out.State = openapi.MyIntegrationStatePlanTooLow
		case e.Code == gateway.NotFound:
			out.State = openapi.MyIntegrationStateNotConnected
		default:
			return out, err
		}
		out.WhatISee, out.NextStep = e.Message, text(e.NextStep)
		return out, nil
	}
	out.State = openapi.MyIntegrationStateConnected
	if !h.Plan.AllowsIntegrations() {
		out.State = openapi.MyIntegrationStatePlanTooLow
	}
	out.Health, out.HealthText = some(openapi.Health(in.Health)), text(in.HealthText)
	out.Connection = ptr(connectionStateOf(in))
	out.Visibility = some(openapi.Visibility(in.Visibility))
	out.WhatISee = whatISee(a, in)
	if a.Machine() {
		return out, nil
	}
	m, err := s.mappings.Mine(ctx, a, in.ID)
	switch {
	case gateway.CodeOf(err) == gateway.NotFound:
		out.Mapping = &openapi.MyMapping{State: openapi.MyMappingStateNone}
		switch {
		case !a.EmailVerified:
			out.NextStep = ptr("Have your e-mail address verified at your spaces platform, then sign in again: Kaltura users are found by it.")
		case in.MappingMode == gateway.MappingOff:
			out.NextStep = ptr("Ask an admin of the hub to link you to a Kaltura user.")
		default:
			out.NextStep = ptr("Open the media library: you get your Kaltura user on first use.")
		}
	case err != nil:
		return out, err
	default:
		out.Mapping = &openapi.MyMapping{
			State: openapi.MyMappingState(m.State), How: some(openapi.MappingHow(m.How)), PlatformUserID: text(m.PlatformUserID),
		}
		switch m.State {
		case gateway.MappingPending:
			out.NextStep = ptr("An admin of the hub has to approve your Kaltura user.")
		case gateway.MappingConflict:
			out.NextStep = ptr("Several Kaltura users have your e-mail address: an admin of the hub has to choose yours.")
		case gateway.MappingUnlinked:
			out.NextStep = ptr("An admin of the hub unlinked you; ask them to link you again.")
		}
	}
	return out, nil
}

func whatISee(a gateway.Actor, in gateway.Integration) string {
	switch {
	case in.Visibility == gateway.VisibilityShared:
		return "Your hub shares the whole Kaltura account with all its participants, so you see all of its media."
	case a.Machine():
		return "Your hub shows each person only their own media, and this client acts for no person, so it sees none."
	}
	return "Your hub shows each person only their own media, so you see what you own in Kaltura."
}
