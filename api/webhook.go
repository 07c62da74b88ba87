package api

import (
	"context"
	"net/http"
	"time"

	"isthmus/gateway"
	"isthmus/openapi"
)

func webhookOf(w gateway.WebhookEndpoint) openapi.Webhook {
	return openapi.Webhook{
		ID: w.ID, Etag: etag(w.Version), URL: w.URL, Description: w.Description, Events: list(w.Events), State: openapi.WebhookState(w.State),
		OldSecretUntil: w.OldUntil, Reason: text(w.Reason), FailingSince: w.FailingSince, LastAt: w.LastAt, LastStatus: some(int(w.LastStatus)), LastText: text(w.LastText),
		CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt,
	}
}

func webhookResponse(w gateway.WebhookEndpoint) WebhookJSONResponse {
	tag := etag(w.Version)
	return WebhookJSONResponse{Body: webhookOf(w), Headers: WebhookResponseHeaders{ETag: &tag}}
}

func deliveryOf(d gateway.WebhookDelivery) openapi.WebhookDelivery {
	return openapi.WebhookDelivery{
		ID: d.ID, EventType: d.EventType, State: openapi.WebhookDeliveryState(d.State), Attempts: d.Attempts, Status: some(int(d.Status)),
		Text: text(d.Text), Excerpt: text(d.Excerpt), DurationMs: some(d.DurationMS), EventID: text(d.EventID), LastTryAt: d.LastTryAt, NextTryAt: d.NextTryAt, CreatedAt: d.CreatedAt,
	}
}

// ListWebhooks lists the endpoints.
func (s *Server) ListWebhooks(ctx context.Context, _ ListWebhooksRequestObject) (ListWebhooksResponseObject, error) {
	all, err := s.webhooks.List(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	return ListWebhooks200JSONResponse{Items: each(all, webhookOf)}, nil
}

// CreateWebhook adds an endpoint.
func (s *Server) CreateWebhook(ctx context.Context, r CreateWebhookRequestObject) (CreateWebhookResponseObject, error) {
	keepAnswer(ctx, http.StatusCreated, webhookCreated)
	w, secret, err := s.webhooks.Create(ctx, actorOf(ctx), gateway.NewWebhook{URL: &r.Body.URL, Description: r.Body.Description, Events: r.Body.Events})
	if err != nil {
		return nil, err
	}
	return CreateWebhook201JSONResponse{Webhook: webhookOf(w), Secret: secret.Reveal()}, nil
}

func webhookCreated(w gateway.WebhookWithSecret) (any, []string) {
	return openapi.WebhookCreated{Webhook: webhookOf(w.WebhookEndpoint), Secret: w.New.Reveal()}, nil
}

// RotateWebhookSecret gives an endpoint another secret.
func (s *Server) RotateWebhookSecret(ctx context.Context, r RotateWebhookSecretRequestObject) (RotateWebhookSecretResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	hours := 24
	if r.Body.OverlapHours != nil {
		hours = *r.Body.OverlapHours
	}
	keepAnswer(ctx, http.StatusOK, webhookCreated)
	w, secret, err := s.webhooks.Rotate(ctx, actorOf(ctx), r.ID, version, time.Duration(hours)*time.Hour)
	if err != nil {
		return nil, stale(err)
	}
	return RotateWebhookSecret200JSONResponse{Webhook: webhookOf(w), Secret: secret.Reveal()}, nil
}

// ReplayWebhook sends what happened in a time.
func (s *Server) ReplayWebhook(ctx context.Context, r ReplayWebhookRequestObject) (ReplayWebhookResponseObject, error) {
	done, err := s.webhooks.Replay(ctx, actorOf(ctx), r.ID, r.Body.From, r.Body.To, deref(r.Body.All))
	if err != nil {
		return nil, err
	}
	return ReplayWebhook202JSONResponse{Queued: done.Queued, NextFrom: done.Next}, nil
}

// GetWebhook shows an endpoint.
func (s *Server) GetWebhook(ctx context.Context, r GetWebhookRequestObject) (GetWebhookResponseObject, error) {
	w, err := s.webhooks.Get(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return GetWebhook200JSONResponse{webhookResponse(w)}, nil
}

// UpdateWebhook changes an endpoint.
func (s *Server) UpdateWebhook(ctx context.Context, r UpdateWebhookRequestObject) (UpdateWebhookResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	n := gateway.NewWebhook{URL: r.Body.URL, Description: r.Body.Description, Enabled: r.Body.Enabled, Events: deref(r.Body.Events)}
	w, err := s.webhooks.Update(ctx, actorOf(ctx), r.ID, version, n)
	if err != nil {
		return nil, stale(err)
	}
	return UpdateWebhook200JSONResponse{webhookResponse(w)}, nil
}

// DeleteWebhook removes an endpoint.
func (s *Server) DeleteWebhook(ctx context.Context, r DeleteWebhookRequestObject) (DeleteWebhookResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := s.webhooks.Delete(ctx, actorOf(ctx), r.ID, version); err != nil {
		return nil, stale(err)
	}
	return DeleteWebhook204Response{}, nil
}

// TestWebhook sends a test event.
func (s *Server) TestWebhook(ctx context.Context, r TestWebhookRequestObject) (TestWebhookResponseObject, error) {
	keepAnswer(ctx, http.StatusAccepted, func(d gateway.WebhookDelivery) (any, []string) { return deliveryOf(d), nil })
	d, err := s.webhooks.Test(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return TestWebhook202JSONResponse(deliveryOf(d)), nil
}

// ListWebhookDeliveries shows the log.
func (s *Server) ListWebhookDeliveries(ctx context.Context, r ListWebhookDeliveriesRequestObject) (ListWebhookDeliveriesResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.webhooks.Deliveries(ctx, actorOf(ctx), r.ID, w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(d gateway.WebhookDelivery) string { return d.ID })
	return ListWebhookDeliveries200JSONResponse{
		Body:    openapi.WebhookDeliveryPage{Items: each(rows, deliveryOf), Next: next},
		Headers: ListWebhookDeliveries200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// RedeliverWebhook sends a delivery again.
func (s *Server) RedeliverWebhook(ctx context.Context, r RedeliverWebhookRequestObject) (RedeliverWebhookResponseObject, error) {
	d, err := s.webhooks.Redeliver(ctx, actorOf(ctx), r.ID, r.Delivery)
	if err != nil {
		return nil, err
	}
	return RedeliverWebhook202JSONResponse(deliveryOf(d)), nil
}
