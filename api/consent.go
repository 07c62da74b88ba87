package api

import (
	"context"
	"net/url"

	"isthmus/gateway"
	"isthmus/openapi"
)

func scopeTexts(names []string) []openapi.ScopeText {
	out := []openapi.ScopeText{}
	for _, name := range names {
		for _, s := range gateway.Scopes {
			if s.Name == name {
				out = append(out, openapi.ScopeText{Name: s.Name, Title: s.Title})
			}
		}
	}
	return out
}

func appShown(c gateway.Client) openapi.AppShown {
	return openapi.AppShown{ID: c.ID, Name: c.Name, Type: openapi.AppShownType(c.Type)}
}

func askShown(a gateway.Ask) ConsentAskJSONResponse {
	out := ConsentAskJSONResponse{Client: appShown(a.Client), Scopes: scopeTexts(a.Scopes)}
	out.Hubs = make([]openapi.ConsentAskHub, 0, len(a.Hubs))
	for _, h := range a.Hubs {
		out.Hubs = append(out.Hubs, openapi.ConsentAskHub{ID: h.Hub.ID, Name: h.Hub.Name, Allowed: h.Allowed})
	}
	if u, err := url.Parse(a.RedirectURI); err == nil {
		out.ReturnsTo = text(u.Host)
	}
	return out
}

// GetConsent shows what an app asks for.
func (s *Server) GetConsent(ctx context.Context, r GetConsentRequestObject) (GetConsentResponseObject, error) {
	a, err := s.oauth.Asked(ctx, *callerOf(ctx).session, r.ID)
	if err != nil {
		return nil, err
	}
	return GetConsent200JSONResponse{askShown(a)}, nil
}

// DecideConsent answers an app in the person's name.
func (s *Server) DecideConsent(ctx context.Context, r DecideConsentRequestObject) (DecideConsentResponseObject, error) {
	a, err := s.oauth.Decide(ctx, *callerOf(ctx).session, r.ID, deref(r.Body.HubID), r.Body.Decision == openapi.ConsentDecisionDecisionAllow)
	if err != nil {
		return nil, err
	}
	return DecideConsent200JSONResponse{RedirectTo: s.answerURL(a)}, nil
}

// GetDevice shows what a device asks for.
func (s *Server) GetDevice(ctx context.Context, r GetDeviceRequestObject) (GetDeviceResponseObject, error) {
	a, err := s.oauth.DeviceAsked(ctx, *callerOf(ctx).session, r.UserCode, traceOf(ctx).address)
	if err != nil {
		return nil, err
	}
	return GetDevice200JSONResponse{askShown(a)}, nil
}

// DecideDevice answers a device in the person's name.
func (s *Server) DecideDevice(ctx context.Context, r DecideDeviceRequestObject) (DecideDeviceResponseObject, error) {
	err := s.oauth.DecideDevice(ctx, *callerOf(ctx).session, r.UserCode, traceOf(ctx).address, deref(r.Body.HubID), r.Body.Decision == openapi.ConsentDecisionDecisionAllow)
	if err != nil {
		return nil, err
	}
	return DecideDevice204Response{}, nil
}

// ListMyGrants lists the apps that may act for the person.
func (s *Server) ListMyGrants(ctx context.Context, _ ListMyGrantsRequestObject) (ListMyGrantsResponseObject, error) {
	mine, err := s.oauth.Grants(ctx, *callerOf(ctx).session)
	if err != nil {
		return nil, err
	}
	out := ListMyGrants200JSONResponse{Items: []openapi.AppGrant{}}
	for _, m := range mine {
		out.Items = append(out.Items, openapi.AppGrant{
			ID: m.Grant.ID, Client: appShown(m.Client), Scopes: scopeTexts(m.Grant.Scopes), Via: openapi.AppGrantVia(m.Grant.Via), Hub: openapi.HubName{ID: m.Hub.ID, Name: m.Hub.Name},
			CreatedAt: m.Grant.CreatedAt, LastUsedAt: m.Grant.LastUsedAt, RevokedAt: m.Grant.RevokedAt,
		})
	}
	return out, nil
}

// RevokeMyGrant takes an app's access back.
func (s *Server) RevokeMyGrant(ctx context.Context, r RevokeMyGrantRequestObject) (RevokeMyGrantResponseObject, error) {
	if err := s.oauth.RevokeGrant(ctx, *callerOf(ctx).session, r.Grant); err != nil {
		return nil, err
	}
	return RevokeMyGrant204Response{}, nil
}

// AllowMyGrant gives an app back what the person took.
func (s *Server) AllowMyGrant(ctx context.Context, r AllowMyGrantRequestObject) (AllowMyGrantResponseObject, error) {
	if err := s.oauth.AllowAgain(ctx, *callerOf(ctx).session, r.Grant); err != nil {
		return nil, err
	}
	return AllowMyGrant204Response{}, nil
}
