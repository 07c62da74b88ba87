package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"isthmus/gateway"
	"isthmus/openapi"
)

// IdentityProtocol speaks OpenID with identity providers. Safe for concurrent use.
type IdentityProtocol interface {
	// Diagnose asks a provider step by step whether people can sign in there; redirect is our address.
	Diagnose(ctx context.Context, p gateway.OpenedProvider, redirect string) []gateway.ProviderCheck
	// Heard checks and takes a webhook of a provider; Forbidden when it is not signed right.
	Heard(ctx context.Context, people *gateway.People, providerID string, header http.Header, body []byte) error
}

// Addresses of the sign-in that is mounted at /auth/.
const (
	loginPath      = "/auth/login"
	callbackPath   = "/auth/callback"
	backLogoutPath = "/auth/backchannel-logout"
)

const maxIdentityWebhook = 64 << 10

func claimsOf(m gateway.ClaimMapping) openapi.ClaimMapping {
	out := openapi.ClaimMapping{
		Hubs: some(m.Hubs), HubID: some(m.HubID), HubName: some(m.HubName), Role: some(m.Role), Plan: some(m.Plan),
		RoleClaim: some(m.RoleClaim), PlanClaim: some(m.PlanClaim),
		DefaultRole: some(openapi.Role(m.DefaultRole)), DefaultPlan: some(openapi.Plan(m.DefaultPlan)), Partial: some(m.Partial),
	}
	if len(m.Roles) > 0 {
		out.Roles = ptr(map[string]openapi.Role{})
		for theirs, ours := range m.Roles {
			(*out.Roles)[theirs] = openapi.Role(ours)
		}
	}
	if len(m.Plans) > 0 {
		out.Plans = ptr(map[string]openapi.Plan{})
		for theirs, ours := range m.Plans {
			(*out.Plans)[theirs] = openapi.Plan(ours)
		}
	}
	return out
}

func claimMapping(m *openapi.ClaimMapping) *gateway.ClaimMapping {
	if m == nil {
		return nil
	}
	out := gateway.ClaimMapping{
		Hubs: deref(m.Hubs), HubID: deref(m.HubID), HubName: deref(m.HubName), Role: deref(m.Role), Plan: deref(m.Plan),
		RoleClaim: deref(m.RoleClaim), PlanClaim: deref(m.PlanClaim),
		DefaultRole: gateway.Role(deref(m.DefaultRole)), DefaultPlan: gateway.Plan(deref(m.DefaultPlan)), Partial: deref(m.Partial),
		Roles: map[string]gateway.Role{}, Plans: map[string]gateway.Plan{},
	}
	for theirs, ours := range deref(m.Roles) {
		out.Roles[theirs] = gateway.Role(ours)
	}
	for theirs, ours := range deref(m.Plans) {
		out.Plans[theirs] = gateway.Plan(ours)
	}
	return &out
}

func providerOf(p gateway.IdentityProvider) openapi.IdentityProvider {
	return openapi.IdentityProvider{
		ID: p.ID, Etag: etag(p.Version), Issuer: p.Issuer, Name: p.Name, ClientID: p.ClientID, HasSecret: len(p.ClientSecret) > 0,
		Scopes: list(p.Scopes), Audiences: list(p.Audiences), EmailDomains: list(p.EmailDomains), Claims: claimsOf(p.Claims),
		MaxTokenAgeSeconds: p.MaxTokenAge, HasWebhookSecret: len(p.WebhookSecret) > 0, Enabled: p.DisabledAt == nil,
		Source: openapi.IdentityProviderSource(p.Source), CreatedAt: someTime(p.CreatedAt), UpdatedAt: someTime(p.UpdatedAt),
	}
}

func providerResponse(p gateway.IdentityProvider) IdentityProviderJSONResponse {
	tag := etag(p.Version)
	return IdentityProviderJSONResponse{Body: providerOf(p), Headers: IdentityProviderResponseHeaders{ETag: &tag}}
}

// ListSignIns says where people can sign in.
func (s *Server) ListSignIns(ctx context.Context, _ ListSignInsRequestObject) (ListSignInsResponseObject, error) {
	all, err := s.providers.Enabled(ctx)
	if err != nil {
		return nil, err
	}
	var out ListSignIns200JSONResponse
	for _, p := range all {
		out.Items = append(out.Items, struct {
			ID       string `json:"id"`
			Issuer   string `json:"issuer"`
			LoginURL string `json:"login_url"`
			Name     string `json:"name"`
		}{p.ID, p.Issuer, loginPath + "?" + url.Values{"provider": {p.ID}}.Encode(), p.Name})
	}
	out.Items = list(out.Items)
	return out, nil
}

// ListIdentityProviders shows them all to an operator.
func (s *Server) ListIdentityProviders(ctx context.Context, _ ListIdentityProvidersRequestObject) (ListIdentityProvidersResponseObject, error) {
	all, err := s.providers.All(ctx, operatorOf(ctx))
	if err != nil {
		return nil, err
	}
	base := s.base.String()
	return ListIdentityProviders200JSONResponse{
		Items: each(all, providerOf), RedirectURI: base + callbackPath, BackchannelLogoutURI: base + backLogoutPath,
	}, nil
}

// CreateIdentityProvider adds one.
func (s *Server) CreateIdentityProvider(ctx context.Context, r CreateIdentityProviderRequestObject) (CreateIdentityProviderResponseObject, error) {
	b := r.Body
	keepAnswer(ctx, http.StatusCreated, func(p gateway.IdentityProvider) (any, []string) {
		return providerOf(p), []string{"ETag", etag(p.Version), "Location", "/v1/operator/identity-providers/" + p.ID}
	})
	p, err := s.providers.Create(ctx, operatorOf(ctx), gateway.ProviderChange{
		Issuer: &b.Issuer, Name: b.Name, ClientID: &b.ClientID, Secret: secretOf(b.ClientSecret), Scopes: b.Scopes, Audiences: b.Audiences,
		EmailDomains: b.EmailDomains, Claims: claimMapping(b.Claims), MaxTokenAge: b.MaxTokenAgeSeconds,
	})
	if err != nil {
		return nil, err
	}
	tag, at := etag(p.Version), "/v1/operator/identity-providers/"+p.ID
	return CreateIdentityProvider201JSONResponse{
		Body: providerOf(p), Headers: CreateIdentityProvider201ResponseHeaders{ETag: &tag, Location: &at},
	}, nil
}

func secretOf(s *string) *gateway.Secret {
	if s == nil {
		return nil
	}
	return ptr(gateway.Secret(*s))
}

// GetIdentityProvider shows one.
func (s *Server) GetIdentityProvider(ctx context.Context, r GetIdentityProviderRequestObject) (GetIdentityProviderResponseObject, error) {
	p, err := s.providers.Get(ctx, operatorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return GetIdentityProvider200JSONResponse{providerResponse(p)}, nil
}

// UpdateIdentityProvider changes one.
func (s *Server) UpdateIdentityProvider(ctx context.Context, r UpdateIdentityProviderRequestObject) (UpdateIdentityProviderResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := r.Body
	p, err := s.providers.Update(ctx, operatorOf(ctx), r.ID, version, gateway.ProviderChange{
		Name: b.Name, ClientID: b.ClientID, Secret: secretOf(b.ClientSecret), Scopes: b.Scopes, Audiences: b.Audiences,
		EmailDomains: b.EmailDomains, Claims: claimMapping(b.Claims), MaxTokenAge: b.MaxTokenAgeSeconds, Enabled: b.Enabled,
	})
	if err != nil {
		return nil, stale(err)
	}
	return UpdateIdentityProvider200JSONResponse{providerResponse(p)}, nil
}

// DeleteIdentityProvider removes one.
func (s *Server) DeleteIdentityProvider(ctx context.Context, r DeleteIdentityProviderRequestObject) (DeleteIdentityProviderResponseObject, error) {
	if err := s.providers.Delete(ctx, operatorOf(ctx), r.ID); err != nil {
		return nil, err
	}
	return DeleteIdentityProvider204Response{}, nil
}

// VerifyIdentityProvider diagnoses one, also one that is switched off.
func (s *Server) VerifyIdentityProvider(ctx context.Context, r VerifyIdentityProviderRequestObject) (VerifyIdentityProviderResponseObject, error) {
	p, err := s.providers.Draft(ctx, operatorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	out := VerifyIdentityProvider200JSONResponse{Ok: true, RedirectURI: s.base.String() + callbackPath}
	for _, c := range s.protocol.Diagnose(ctx, p, out.RedirectURI) {
		out.Ok = out.Ok && c.State != gateway.CheckFailed
		out.Checks = append(out.Checks, struct {
			Fix   *string                                      `json:"fix,omitempty"`
			State openapi.IdentityProviderDiagnosisChecksState `json:"state"`
			Step  string                                       `json:"step"`
			Text  string                                       `json:"text"`
		}{some(c.Fix), openapi.IdentityProviderDiagnosisChecksState(c.State), c.Step, c.Text})
	}
	out.Checks = list(out.Checks)
	return out, nil
}

// TryClaims says what claims would give.
func (s *Server) TryClaims(ctx context.Context, r TryClaimsRequestObject) (TryClaimsResponseObject, error) {
	id, err := s.providers.Try(ctx, operatorOf(ctx), r.ID, claimMapping(r.Body.Mapping), r.Body.Claims)
	if err != nil {
		return nil, err
	}
	out := TryClaims200JSONResponse{
		Subject: id.Subject, Name: id.Name, Email: id.Email, EmailVerified: id.EmailVerified, MapsByEmail: id.EmailVerified, Partial: id.Partial,
	}
	for _, m := range id.Memberships {
		name := m.HubName
		if name == "" {
			name = m.HubExternalID
		}
		out.Hubs = append(out.Hubs, struct {
			ExternalID string        `json:"external_id"`
			Name       string        `json:"name"`
			Plan       *openapi.Plan `json:"plan,omitempty"`
			Role       openapi.Role  `json:"role"`
		}{m.HubExternalID, name, some(openapi.Plan(m.Plan)), openapi.Role(m.Role)})
	}
	out.Hubs = list(out.Hubs)
	return out, nil
}

// MakeIdentityWebhookSecret makes the secret and shows it this once.
func (s *Server) MakeIdentityWebhookSecret(ctx context.Context, r MakeIdentityWebhookSecretRequestObject) (MakeIdentityWebhookSecretResponseObject, error) {
	made := func(p gateway.IdentityProvider, secret gateway.Secret) MakeIdentityWebhookSecret201JSONResponse {
		return MakeIdentityWebhookSecret201JSONResponse{URL: s.base.String() + "/v1/hooks/identity/" + p.ID, Secret: secret.Reveal()}
	}
	keepAnswer(ctx, http.StatusCreated, func(p gateway.ProviderWithSecret) (any, []string) { return made(p.IdentityProvider, p.New), nil })
	p, secret, err := s.providers.MakeWebhookSecret(ctx, operatorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return made(p, secret), nil
}

// ReceiveIdentityWebhook takes a provider's webhook. The signature is over the body as it came in.
func (s *Server) ReceiveIdentityWebhook(ctx context.Context, r ReceiveIdentityWebhookRequestObject) (ReceiveIdentityWebhookResponseObject, error) {
	header := http.Header{}
	for name, value := range map[string]*string{
		"webhook-id": r.Params.WebhookID, "webhook-timestamp": r.Params.WebhookTimestamp, "webhook-signature": r.Params.WebhookSignature,
	} {
		header.Set(name, deref(value))
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, maxIdentityWebhook+1)); err != nil {
			return nil, err
		}
	}
	if len(body) > maxIdentityWebhook {
		return nil, &http.MaxBytesError{Limit: maxIdentityWebhook}
	}
	if err := s.protocol.Heard(ctx, s.people, r.ID, header, body); err != nil {
		return nil, err
	}
	return ReceiveIdentityWebhook204Response{}, nil
}

// attachment makes an answer that browsers save as a file.
type attachment struct {
	name string
	body any
}

func (a attachment) write(w http.ResponseWriter) error {
	raw, err := json.Marshal(a.body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="`+a.name+`"`)
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(raw)
	return err
}
