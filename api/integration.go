package api

import (
	"context"
	"net/http"

	"isthmus/gateway"
	"isthmus/openapi"
)

func integrationOf(in gateway.Integration) IntegrationJSONResponse {
	tag := etag(in.Version)
	var playerHash *openapi.HashType
	if in.PlayerTokenID != "" {
		playerHash = ptr(openapi.HashType(in.PlayerHashType))
	}
	return IntegrationJSONResponse{
		Body: openapi.Integration{
			CategoryID: in.CategoryID, Entitlement: openapi.Entitlement(in.Entitlement), PrivacyContext: in.PrivacyContext,
			ConversionProfileID: in.ConversionProfileID, PlayerTokenID: in.PlayerTokenID, PlayerLast4: text(in.PlayerLast4), PlayerHashType: playerHash,
			Platform: openapi.IntegrationPlatformKaltura, Etag: tag, ServiceURL: in.ServiceURL, PartnerID: in.PartnerID,
			AppTokenID: in.AppTokenID, TokenLast4: in.TokenLast4, HashType: openapi.HashType(in.HashType),
			Visibility: openapi.Visibility(in.Visibility), MappingMode: openapi.MappingMode(in.MappingMode),
			MatchBy: openapi.MatchBy(in.MatchBy), Health: openapi.Health(in.Health), HealthText: in.HealthText,
			HealthAt: in.HealthAt, Diagnosis: diagnosisOf(in.Diagnosis), Expiry: expiryOf(in.Diagnosis, gateway.SystemClock()), CreatedAt: in.CreatedAt, UpdatedAt: in.UpdatedAt,
		},
		Headers: IntegrationResponseHeaders{ETag: &tag},
	}
}

func diagnosisOf(d gateway.Diagnosis) openapi.Diagnosis {
	return openapi.Diagnosis{
		At: d.At, SessionType: openapi.DiagnosisSessionType(d.SessionType), FixedUser: text(d.FixedUser),
		Privileges: text(d.Privileges), TokenExpiry: someTime(d.TokenExpiry), Warnings: list(d.Warnings), EntryCount: d.EntryCount,
		Checks: each(d.Checks, func(c gateway.Check) openapi.Check {
			return openapi.Check{
				ID: openapi.CheckID(c.ID), State: openapi.CheckState(c.State), Needed: c.Needed,
				Reason: text(c.Reason), Text: c.Text, Fix: text(c.Fix),
			}
		}),
	}
}

func connectionOf(b openapi.ConnectionInput) gateway.Connection {
	return gateway.Connection{
		ServiceURL: b.ServiceURL, PartnerID: b.PartnerID, AppTokenID: b.AppTokenID, AppToken: gateway.Secret(deref(b.AppToken)),
		HashType: string(b.HashType), Visibility: gateway.Visibility(b.Visibility),
		MappingMode: gateway.MappingMode(deref(b.MappingMode)), MatchBy: gateway.MatchBy(deref(b.MatchBy)),
		Options: gateway.ConnectionOptions{
			CategoryID: b.CategoryID, Entitlement: (*gateway.Entitlement)(b.Entitlement), PrivacyContext: b.PrivacyContext,
			ConversionProfileID: b.ConversionProfileID, PlayerTokenID: b.PlayerTokenID,
			PlayerToken: gateway.Secret(deref(b.PlayerToken)), PlayerHashType: string(deref(b.PlayerHashType)),
		},
	}
}

func connectionPatchOf(b openapi.ConnectionPatch) gateway.Connection {
	return gateway.Connection{
		ServiceURL: deref(b.ServiceURL), PartnerID: deref(b.PartnerID), AppTokenID: deref(b.AppTokenID),
		AppToken: gateway.Secret(deref(b.AppToken)), HashType: string(deref(b.HashType)),
		Visibility: gateway.Visibility(deref(b.Visibility)), MappingMode: gateway.MappingMode(deref(b.MappingMode)),
		MatchBy: gateway.MatchBy(deref(b.MatchBy)),
		Options: gateway.ConnectionOptions{
			CategoryID: b.CategoryID, Entitlement: (*gateway.Entitlement)(b.Entitlement), PrivacyContext: b.PrivacyContext,
			ConversionProfileID: b.ConversionProfileID, PlayerTokenID: b.PlayerTokenID,
			PlayerToken: gateway.Secret(deref(b.PlayerToken)), PlayerHashType: string(deref(b.PlayerHashType)),
		},
	}
}

// GetKaltura shows the connection.
func (s *Server) GetKaltura(ctx context.Context, _ GetKalturaRequestObject) (GetKalturaResponseObject, error) {
	in, err := s.integrations.Get(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	return GetKaltura200JSONResponse{integrationOf(in)}, nil
}

// ConnectKaltura connects the hub or replaces the whole connection.
func (s *Server) ConnectKaltura(ctx context.Context, r ConnectKalturaRequestObject) (ConnectKalturaResponseObject, error) {
	a, version := actorOf(ctx), int64(0)
	if r.Params.IfMatch != nil {
		v, err := ifMatch(r.Params.IfMatch)
		if err != nil {
			return nil, err
		}
		version = v
	}
	in, err := s.integrations.Save(ctx, a, version, connectionOf(*r.Body))
	if err != nil {
		if version == 0 && (gateway.IsReason(err, reasonStale) || gateway.IsReason(err, "already_connected")) {
			_, err = ifMatch(nil) // there is one already: replacing it wants its version
		}
		return nil, stale(err)
	}
	return ConnectKaltura200JSONResponse{integrationOf(in)}, nil
}

// UpdateKaltura changes some settings.
func (s *Server) UpdateKaltura(ctx context.Context, r UpdateKalturaRequestObject) (UpdateKalturaResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	a := actorOf(ctx)
	saved, err := s.integrations.Get(ctx, a)
	if err != nil {
		return nil, err
	}
	c := connectionPatchOf(*r.Body)
	merge(&c, saved)
	in, err := s.integrations.Save(ctx, a, version, c)
	if err != nil {
		return nil, stale(err)
	}
	return UpdateKaltura200JSONResponse{integrationOf(in)}, nil
}

// merge takes what a patch leaves out from the saved connection. An absent App Token stays empty,
// which Save understands as "keep the saved one".
func merge(c *gateway.Connection, saved gateway.Integration) {
	keep := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	keep(&c.ServiceURL, saved.ServiceURL)
	keep(&c.AppTokenID, saved.AppTokenID)
	keep(&c.HashType, saved.HashType)
	if c.PartnerID == 0 {
		c.PartnerID = saved.PartnerID
	}
	if c.Visibility == "" {
		c.Visibility = saved.Visibility
	}
	if c.MappingMode == "" {
		c.MappingMode = saved.MappingMode
	}
	if c.MatchBy == "" {
		c.MatchBy = saved.MatchBy
	}
}

// DisconnectKaltura removes the connection with its secret.
func (s *Server) DisconnectKaltura(ctx context.Context, r DisconnectKalturaRequestObject) (DisconnectKalturaResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := s.integrations.Disconnect(ctx, actorOf(ctx), version); err != nil {
		return nil, stale(err)
	}
	return DisconnectKaltura204Response{}, nil
}

// VerifyKaltura diagnoses a connection without saving it.
func (s *Server) VerifyKaltura(ctx context.Context, r VerifyKalturaRequestObject) (VerifyKalturaResponseObject, error) {
	d, err := s.integrations.Verify(ctx, actorOf(ctx), connectionPatchOf(*r.Body))
	if err != nil {
		return nil, err
	}
	return VerifyKaltura200JSONResponse(diagnosisOf(d)), nil
}

func tokenRequestOf(t gateway.TokenRequest) openapi.TokenRequest {
	return openapi.TokenRequest{URL: t.URL, Body: t.Body, Curl: t.Curl, Explain: list(t.Explain)}
}

// GetTokenRequest writes the appToken.add request for a visibility.
func (s *Server) GetTokenRequest(ctx context.Context, r GetTokenRequestRequestObject) (GetTokenRequestResponseObject, error) {
	t, err := s.integrations.TokenRequest(ctx, actorOf(ctx), deref(r.Params.ServiceURL), gateway.TokenWish{
		Visibility: gateway.Visibility(r.Params.Visibility), Entitlement: gateway.Entitlement(deref(r.Params.Entitlement)),
		PrivacyContext: deref(r.Params.PrivacyContext), Player: deref(r.Params.Player),
	})
	if err != nil {
		return nil, err
	}
	return GetTokenRequest200JSONResponse(tokenRequestOf(t)), nil
}

// ListConversionProfiles lists what the account can make of uploads.
func (s *Server) ListConversionProfiles(ctx context.Context, _ ListConversionProfilesRequestObject) (ListConversionProfilesResponseObject, error) {
	list, err := s.integrations.ConversionProfiles(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	return ListConversionProfiles200JSONResponse(each(list, func(p gateway.ConversionProfile) openapi.ConversionProfile {
		return openapi.ConversionProfile{ID: p.ID, Name: p.Name, Default: p.Default}
	})), nil
}

// GetDisconnectImpact counts what a disconnect would break.
func (s *Server) GetDisconnectImpact(ctx context.Context, _ GetDisconnectImpactRequestObject) (GetDisconnectImpactResponseObject, error) {
	i, err := s.integrations.Impact(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	return GetDisconnectImpact200JSONResponse{Links: i.Links, Uploads: i.Uploads, Mappings: i.Mappings}, nil
}

// CreateInvite makes a link for a Kaltura administrator outside the hub.
func (s *Server) CreateInvite(ctx context.Context, r CreateInviteRequestObject) (CreateInviteResponseObject, error) {
	shown := func(inv gateway.Invite, secret string) openapi.Invite {
		return openapi.Invite{URL: s.base.String() + "/connect/" + secret, Visibility: openapi.Visibility(inv.Visibility), ExpiresAt: inv.ExpiresAt}
	}
	keepAnswer(ctx, http.StatusCreated, func(n gateway.NewInvite) (any, []string) { return shown(n.Invite, n.New.Reveal()), nil })
	secret, inv, err := s.integrations.NewInvite(ctx, actorOf(ctx), gateway.Visibility(r.Body.Visibility))
	if err != nil {
		return nil, err
	}
	return CreateInvite201JSONResponse(shown(inv, secret)), nil
}

// GetInvite shows an invite to its reader, who is not signed in.
func (s *Server) GetInvite(ctx context.Context, r GetInviteRequestObject) (GetInviteResponseObject, error) {
	inv, hub, t, err := s.integrations.InviteInfo(ctx, r.Secret)
	if err != nil {
		return nil, err
	}
	return GetInvite200JSONResponse{
		HubName: hub.Name, Visibility: openapi.Visibility(inv.Visibility), ExpiresAt: inv.ExpiresAt, TokenRequest: tokenRequestOf(t),
	}, nil
}

// AcceptInvite connects the inviting hub. The invite's visibility holds, whatever the body says.
func (s *Server) AcceptInvite(ctx context.Context, r AcceptInviteRequestObject) (AcceptInviteResponseObject, error) {
	inv, hub, _, err := s.integrations.InviteInfo(ctx, r.Secret)
	if err != nil {
		return nil, err
	}
	c := connectionOf(*r.Body)
	c.Visibility = inv.Visibility
	in, err := s.integrations.AcceptInvite(ctx, r.Secret, c)
	if err != nil {
		return nil, stale(err)
	}
	return AcceptInvite200JSONResponse{HubName: hub.Name, Diagnosis: diagnosisOf(in.Diagnosis)}, nil
}
