package api

import (
	"context"
	"io"
	"net/http"

	"isthmus/gateway"
	"isthmus/openapi"
)

func (s *Server) hookOf(h gateway.Hook) openapi.NotificationHook {
	return openapi.NotificationHook{URL: s.base.String() + "/v1/hooks/kaltura/" + h.ID, Etag: etag(h.Version()), Active: h.Active, MadeAt: h.MadeAt, LastAt: h.LastAt}
}

// GetKalturaNotifications shows where notifications are taken.
func (s *Server) GetKalturaNotifications(ctx context.Context, _ GetKalturaNotificationsRequestObject) (GetKalturaNotificationsResponseObject, error) {
	h, err := s.integrations.Hook(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	out := s.hookOf(h)
	return GetKalturaNotifications200JSONResponse{Body: out, Headers: GetKalturaNotifications200ResponseHeaders{ETag: &out.Etag}}, nil
}

// MakeKalturaNotificationSecret makes or replaces the signing secret and shows it this once.
func (s *Server) MakeKalturaNotificationSecret(ctx context.Context, _ MakeKalturaNotificationSecretRequestObject) (MakeKalturaNotificationSecretResponseObject, error) {
	made := func(h gateway.Hook, secret gateway.Secret) openapi.NotificationHook {
		out := s.hookOf(h)
		out.Secret = ptr(secret.Reveal())
		return out
	}
	keepAnswer(ctx, http.StatusCreated, func(h gateway.HookWithSecret) (any, []string) {
		return made(h.Hook, h.New), []string{"ETag", etag(h.Version())}
	})
	h, secret, err := s.integrations.MakeHook(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	out := made(h, secret)
	return MakeKalturaNotificationSecret201JSONResponse{Body: out, Headers: MakeKalturaNotificationSecret201ResponseHeaders{ETag: &out.Etag}}, nil
}

// RemoveKalturaNotificationSecret takes no more notifications.
func (s *Server) RemoveKalturaNotificationSecret(ctx context.Context, r RemoveKalturaNotificationSecretRequestObject) (RemoveKalturaNotificationSecretResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := s.integrations.RemoveHook(ctx, actorOf(ctx), version); err != nil {
		return nil, stale(err)
	}
	return RemoveKalturaNotificationSecret204Response{}, nil
}

// ReceiveKalturaNotification takes Kaltura's notification. The signature is over the body as it came in.
func (s *Server) ReceiveKalturaNotification(ctx context.Context, r ReceiveKalturaNotificationRequestObject) (ReceiveKalturaNotificationResponseObject, error) {
	n := gateway.Notification{Signature: deref(r.Params.XKALTURASIGNATURE), Algorithm: deref(r.Params.XKALTURAHASHALGO)}
	if r.Body != nil {
		var err error
		if n.Body, err = io.ReadAll(io.LimitReader(r.Body, gateway.MaxNotification+1)); err != nil {
			return nil, err
		}
	}
	if len(n.Body) > gateway.MaxNotification {
		return nil, &http.MaxBytesError{Limit: gateway.MaxNotification}
	}
	// Wrong signatures are not counted: nobody guesses 256 bits, and all hubs' notifications may come
	// from one address of Kaltura's.
	if err := s.integrations.Notified(ctx, r.ID, n); err != nil {
		return nil, err
	}
	return ReceiveKalturaNotification204Response{}, nil
}
