package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"isthmus/gateway"
	"isthmus/openapi"
)

func clientOf(c gateway.Client) openapi.OAuthClient {
	out := openapi.OAuthClient{
		ID: c.ID, Etag: etag(c.Version), HubID: text(c.HubID), Name: c.Name, Type: openapi.OAuthClientType(c.Type),
		AuthMethod: openapi.OAuthClientAuthMethod(c.AuthMethod), RedirectUris: list(c.RedirectURIs), Origins: list(c.Origins),
		Scopes: list(c.Scopes), Enabled: c.DisabledAt == nil, CreatedBy: c.CreatedBy, LastUsedAt: c.LastUsedAt,
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
	if c.OldSecretUntil != nil && gateway.SystemClock().Before(*c.OldSecretUntil) {
		out.OldSecretUntil = c.OldSecretUntil
	}
	var keys map[string]any
	if c.JWKS != "" && json.Unmarshal([]byte(c.JWKS), &keys) == nil {
		out.Jwks = &keys
	}
	return out
}

func clientResponse(c gateway.Client) OAuthClientJSONResponse {
	tag := etag(c.Version)
	return OAuthClientJSONResponse{Body: clientOf(c), Headers: OAuthClientResponseHeaders{ETag: &tag}}
}

func clientSecretResponse(c gateway.Client, secret gateway.Secret) OAuthClientSecretJSONResponse {
	tag := etag(c.Version)
	return OAuthClientSecretJSONResponse{
		Body: openapi.OAuthClientSecret{Client: clientOf(c), Secret: text(secret.Reveal())}, Headers: OAuthClientSecretResponseHeaders{ETag: &tag},
	}
}

// clientKept is that answer as it is kept for a repeated request.
func clientKept(c gateway.ClientWithSecret) (any, []string) {
	r := clientSecretResponse(c.Client, c.New)
	return r.Body, []string{"ETag", *r.Headers.ETag}
}

func clientPage(rows []gateway.Client, w gateway.Slice, size int) openapi.OAuthClientPage {
	rows, next := cut(rows, w, size, func(c gateway.Client) string { return c.ID })
	page := openapi.OAuthClientPage{Items: each(rows, clientOf), Next: next}
	for _, s := range gateway.Scopes {
		page.Scopes = append(page.Scopes, struct {
			Name  string `json:"name"`
			Title string `json:"title"`
		}{s.Name, s.Title})
	}
	return page
}

// keysOf gives the pasted key set as text; absent stays absent.
func keysOf(jwks *map[string]any) (*string, error) {
	if jwks == nil {
		return nil, nil
	}
	raw, err := json.Marshal(*jwks)
	return ptr(string(raw)), err
}

func draftOf(b openapi.OAuthClientInput) (gateway.ClientDraft, error) {
	keys, err := keysOf(b.Jwks)
	return gateway.ClientDraft{Name: &b.Name, RedirectURIs: b.RedirectUris, Origins: b.Origins, Scopes: &b.Scopes, JWKS: keys}, err
}

func draftPatchOf(b openapi.OAuthClientPatch) (gateway.ClientDraft, error) {
	keys, err := keysOf(b.Jwks)
	return gateway.ClientDraft{
		Name: b.Name, RedirectURIs: b.RedirectUris, Origins: b.Origins, Scopes: b.Scopes, JWKS: keys, Enabled: b.Enabled,
	}, err
}

// ListOAuthClients lists the hub's apps.
func (s *Server) ListOAuthClients(ctx context.Context, r ListOAuthClientsRequestObject) (ListOAuthClientsResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.clients.List(ctx, actorOf(ctx), w)
	if err != nil {
		return nil, err
	}
	page := clientPage(rows, w, size)
	return ListOAuthClients200JSONResponse{Body: page, Headers: ListOAuthClients200ResponseHeaders{Link: nextLink(ctx, page.Next)}}, nil
}

// CreateOAuthClient registers an app of the hub.
func (s *Server) CreateOAuthClient(ctx context.Context, r CreateOAuthClientRequestObject) (CreateOAuthClientResponseObject, error) {
	d, err := draftOf(*r.Body)
	if err != nil {
		return nil, err
	}
	keepAnswer(ctx, http.StatusCreated, clientKept)
	c, secret, err := s.clients.Create(ctx, actorOf(ctx), gateway.ClientType(r.Body.Type), d)
	if err != nil {
		return nil, err
	}
	return CreateOAuthClient201JSONResponse{clientSecretResponse(c, secret)}, nil
}

// GetOAuthClient shows an app.
func (s *Server) GetOAuthClient(ctx context.Context, r GetOAuthClientRequestObject) (GetOAuthClientResponseObject, error) {
	c, err := s.clients.Get(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return GetOAuthClient200JSONResponse{clientResponse(c)}, nil
}

// UpdateOAuthClient changes an app.
func (s *Server) UpdateOAuthClient(ctx context.Context, r UpdateOAuthClientRequestObject) (UpdateOAuthClientResponseObject, error) {
	c, err := s.updateClient(ctx, actorOf(ctx), r.ID, r.Params.IfMatch, *r.Body)
	if err != nil {
		return nil, err
	}
	return UpdateOAuthClient200JSONResponse{clientResponse(c)}, nil
}

func (s *Server) updateClient(ctx context.Context, a gateway.Actor, id string, match *string, b openapi.OAuthClientPatch) (gateway.Client, error) {
	version, err := ifMatch(match)
	if err != nil {
		return gateway.Client{}, err
	}
	d, err := draftPatchOf(b)
	if err != nil {
		return gateway.Client{}, err
	}
	c, err := s.clients.Update(ctx, a, id, version, d)
	return c, stale(err)
}

// DeleteOAuthClient removes an app.
func (s *Server) DeleteOAuthClient(ctx context.Context, r DeleteOAuthClientRequestObject) (DeleteOAuthClientResponseObject, error) {
	if err := s.clients.Delete(ctx, actorOf(ctx), r.ID); err != nil {
		return nil, err
	}
	return DeleteOAuthClient204Response{}, nil
}

// RotateOAuthClientSecret gives an app another secret.
func (s *Server) RotateOAuthClientSecret(ctx context.Context, r RotateOAuthClientSecretRequestObject) (RotateOAuthClientSecretResponseObject, error) {
	keepAnswer(ctx, http.StatusOK, clientKept)
	c, secret, err := s.clients.RotateSecret(ctx, actorOf(ctx), r.ID, time.Duration(r.Body.OverlapSeconds)*time.Second)
	if err != nil {
		return nil, err
	}
	return RotateOAuthClientSecret200JSONResponse{clientSecretResponse(c, secret)}, nil
}
