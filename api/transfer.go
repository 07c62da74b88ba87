package api

import (
	"context"
	"net/http"

	"isthmus/gateway"
	"isthmus/openapi"
)

func transferOf(a gateway.Actor, v gateway.TransferView) openapi.Transfer {
	return openapi.Transfer{
		ID: v.ID, State: openapi.TransferState(v.State), Policy: openapi.TransferPolicy(v.Policy), RateBps: some(v.RateBPS),
		First: v.First != gateway.FirstNone, Files: v.Files, FilesDone: v.Ended, Size: v.Size, Received: v.Received,
		Device: text(v.Device), Person: text(v.Person), Mine: mine(a, v.ParticipantID, v.ClientID), Live: liveOf(v.Now),
		CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt,
	}
}

func liveOf(l gateway.TransferLive) openapi.TransferLive {
	out := openapi.TransferLive{
		Path: openapi.TransferLivePath(l.Path), RateBps: l.RateBPS, ShareBps: some(l.ShareBPS), Paused: l.Paused,
		LimitedBy: some(openapi.TransferLiveLimitedBy(l.LimitedBy)),
	}
	if l.RTT > 0 {
		out.RttMs, out.Loss = ptr(float64(l.RTT.Microseconds())/1000), ptr(l.Loss)
	}
	return out
}

func ticketOf(t gateway.TransferTicket) openapi.TransferTicket {
	return openapi.TransferTicket{Token: t.Token.Reveal(), Addresses: list(t.Addresses), KeyHash: t.KeyHash, ExpiresAt: t.ExpiresAt}
}

func (s *Server) startOf(a gateway.Actor, t gateway.StartedTransfer) openapi.TransferStart {
	return openapi.TransferStart{
		Transfer: transferOf(a, t.View), Ticket: ticketOf(t.Ticket),
		Uploads: each(t.Uploads, func(u gateway.Upload) openapi.Upload { return s.uploadOf(a, u) }),
	}
}

func transferPath(t gateway.Transfer) string { return "/v1/hubs/" + t.HubID + "/transfers/" + t.ID }

// ListTransfers lists the caller's transfers, or all of the hub.
func (s *Server) ListTransfers(ctx context.Context, r ListTransfersRequestObject) (ListTransfersResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	a := actorOf(ctx)
	rows, err := s.transfers.List(ctx, a, gateway.TransferState(deref(r.Params.State)), deref(r.Params.All), w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(v gateway.TransferView) string { return v.ID })
	return ListTransfers200JSONResponse{
		Body:    openapi.TransferPage{Items: each(rows, func(v gateway.TransferView) openapi.Transfer { return transferOf(a, v) }), Next: next},
		Headers: ListTransfers200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// CreateTransfer announces a batch of files.
func (s *Server) CreateTransfer(ctx context.Context, r CreateTransferRequestObject) (CreateTransferResponseObject, error) {
	a, b := actorOf(ctx), r.Body
	keepAnswer(ctx, http.StatusCreated, func(t gateway.StartedTransfer) (any, []string) {
		return s.startOf(a, t), []string{"Location", transferPath(t.View.Transfer)}
	})
	files := each(deref(b.Files), newUploadOf)
	for i := range files {
		if files[i].FolderID == "" {
			files[i].FolderID = deref(b.DropFolderID)
		}
	}
	t, err := s.transfers.Create(ctx, a, gateway.NewTransfer{
		Files: files, UploadIDs: deref(b.UploadIds), Policy: gateway.TransferPolicy(deref(b.Policy)),
		RateBPS: deref(b.RateBps), Device: deref(b.Device),
	})
	if err != nil {
		return nil, err
	}
	where := transferPath(t.View.Transfer)
	return CreateTransfer201JSONResponse{Body: s.startOf(a, t), Headers: CreateTransfer201ResponseHeaders{Location: &where}}, nil
}

// GetTransfer shows a transfer.
func (s *Server) GetTransfer(ctx context.Context, r GetTransferRequestObject) (GetTransferResponseObject, error) {
	a := actorOf(ctx)
	v, err := s.transfers.Get(ctx, a, r.ID)
	if err != nil {
		return nil, err
	}
	return GetTransfer200JSONResponse{TransferJSONResponse(transferOf(a, v))}, nil
}

// UpdateTransfer changes how a transfer is sent.
func (s *Server) UpdateTransfer(ctx context.Context, r UpdateTransferRequestObject) (UpdateTransferResponseObject, error) {
	a, b := actorOf(ctx), r.Body
	v, err := s.transfers.Update(ctx, a, r.ID, gateway.TransferChange{Policy: (*gateway.TransferPolicy)(b.Policy), RateBPS: b.RateBps, First: b.First})
	if err != nil {
		return nil, err
	}
	return UpdateTransfer200JSONResponse{TransferJSONResponse(transferOf(a, v))}, nil
}

// CancelTransfer cancels what is left of a transfer.
func (s *Server) CancelTransfer(ctx context.Context, r CancelTransferRequestObject) (CancelTransferResponseObject, error) {
	a := actorOf(ctx)
	v, err := s.transfers.Cancel(ctx, a, r.ID)
	if err != nil {
		return nil, err
	}
	return CancelTransfer200JSONResponse{TransferJSONResponse(transferOf(a, v))}, nil
}

// ListTransferUploads lists the uploads of a transfer.
func (s *Server) ListTransferUploads(ctx context.Context, r ListTransferUploadsRequestObject) (ListTransferUploadsResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	a := actorOf(ctx)
	rows, err := s.transfers.UploadsOf(ctx, a, r.ID, w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(u gateway.Upload) string { return u.ID })
	return ListTransferUploads200JSONResponse{
		Body:    openapi.UploadPage{Items: each(rows, func(u gateway.Upload) openapi.Upload { return s.uploadOf(a, u) }), Next: next},
		Headers: ListTransferUploads200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// RenewTransferTicket gives another ticket.
func (s *Server) RenewTransferTicket(ctx context.Context, r RenewTransferTicketRequestObject) (RenewTransferTicketResponseObject, error) {
	t, err := s.transfers.Renew(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return RenewTransferTicket200JSONResponse(ticketOf(t)), nil
}

func accountOf(t gateway.TransferAccount, q gateway.Quota) TransferAccountJSONResponse {
	tag := etag(t.Version)
	var quota, free *int64
	if q.Total > 0 {
		quota, free = &q.Total, &q.Free
	}
	policies := func(in []gateway.TransferPolicy) []openapi.TransferPolicy {
		return each(in, func(p gateway.TransferPolicy) openapi.TransferPolicy { return openapi.TransferPolicy(p) })
	}
	return TransferAccountJSONResponse{
		Body: openapi.TransferAccount{
			Etag: tag, CapBps: t.CapBPS, CapNowBps: t.CapAt(gateway.SystemClock()), MaxRateBps: some(t.MaxRateBPS),
			QuotaBytes: quota, QuotaFreeBytes: free, DefaultPolicy: openapi.TransferPolicy(t.DefaultPolicy), Policies: policies(t.Policies), TimeZone: t.TimeZone,
			Schedule: each(t.Schedule, func(h gateway.TransferHours) openapi.TransferHours {
				return openapi.TransferHours{
					Days: each(h.Days, func(d string) openapi.TransferHoursDays { return openapi.TransferHoursDays(d) }),
					From: h.From, To: h.To, CapBps: h.CapBPS,
				}
			}),
			Weights: openapi.TransferWeights{
				Admin: t.Weights.Admin, ContentAdmin: t.Weights.ContentAdmin, Participant: t.Weights.Participant, App: t.Weights.App,
			},
		},
		Headers: TransferAccountResponseHeaders{ETag: &tag},
	}
}

// GetTransferAccount shows the hub's bandwidth.
func (s *Server) GetTransferAccount(ctx context.Context, _ GetTransferAccountRequestObject) (GetTransferAccountResponseObject, error) {
	a := actorOf(ctx)
	t, err := s.transfers.Account(ctx, a)
	if err != nil {
		return nil, err
	}
	q, err := s.uploads.Quota(ctx, a)
	if err != nil {
		return nil, err
	}
	return GetTransferAccount200JSONResponse{accountOf(t, q)}, nil
}

// UpdateTransferAccount changes the hub's bandwidth.
func (s *Server) UpdateTransferAccount(ctx context.Context, r UpdateTransferAccountRequestObject) (UpdateTransferAccountResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := r.Body
	c := gateway.TransferAccountChange{
		CapBPS: b.CapBps, MaxRateBPS: b.MaxRateBps, DefaultPolicy: (*gateway.TransferPolicy)(b.DefaultPolicy), TimeZone: b.TimeZone,
		Policies: strs[openapi.TransferPolicy, gateway.TransferPolicy](b.Policies),
	}
	if b.Weights != nil {
		c.Weights = &gateway.TransferWeights{Admin: b.Weights.Admin, ContentAdmin: b.Weights.ContentAdmin, Participant: b.Weights.Participant, App: b.Weights.App}
	}
	if b.Schedule != nil {
		hours := each(*b.Schedule, func(h openapi.TransferHours) gateway.TransferHours {
			return gateway.TransferHours{Days: strs[openapi.TransferHoursDays, string](&h.Days), From: h.From, To: h.To, CapBPS: h.CapBps}
		})
		c.Schedule = &hours
	}
	a := actorOf(ctx)
	t, err := s.transfers.SetAccount(ctx, a, version, c)
	if err != nil {
		return nil, stale(err)
	}
	q, err := s.uploads.Quota(ctx, a)
	if err != nil {
		return nil, err
	}
	return UpdateTransferAccount200JSONResponse{accountOf(t, q)}, nil
}
