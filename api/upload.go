package api

import (
	"context"
	"net/http"

	"isthmus/gateway"
	"isthmus/openapi"
)

func (s *Server) uploadOf(a gateway.Actor, u gateway.Upload) openapi.Upload {
	return openapi.Upload{
		ID: u.ID, Name: u.Name, Title: u.Title, Description: text(u.Description), Tags: list(u.Tags), ContentType: text(u.ContentType), Device: text(u.Device),
		Size: u.Size, Offset: u.Received, Fingerprint: text(u.Fingerprint), Target: targetOf(u.Target), ItemID: text(u.ItemID), DropFolderID: text(u.FolderID), DropFileID: text(u.DropFileID), State: openapi.UploadState(u.State), Progress: u.Progress,
		Sha256: text(u.SHA256), TusURL: s.base.String() + tusBase + u.ID, EntryID: text(u.EntryID), Mine: mine(a, u.ParticipantID, u.ClientID),
		Type: some(openapi.MediaType(u.Inspection.Type)), Is360: u.Inspection.Is360(), Suggest360: u.Inspection.Suggest360,
		Evidence: text(u.Inspection.Evidence), Error: itemError(u.ErrorCode, u.ErrorText, u.NextStep), Waiting: uploadWaitOf(u),
		EntryLost: sourceLostOf(u.EntryLostAt, u.Lost()),
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, ExpiresAt: u.ExpiresAt, FinishedAt: u.FinishedAt,
	}
}

// ListUploads lists the caller's uploads, from whatever device.
func (s *Server) ListUploads(ctx context.Context, r ListUploadsRequestObject) (ListUploadsResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	a := actorOf(ctx)
	rows, err := s.uploads.List(ctx, a, strs[openapi.UploadState, gateway.UploadState](r.Params.State), w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(u gateway.Upload) string { return u.ID })
	return ListUploads200JSONResponse{
		Body: openapi.UploadPage{
			Items: each(rows, func(u gateway.Upload) openapi.Upload { return s.uploadOf(a, u) }), Next: next,
		},
		Headers: ListUploads200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// CreateUpload announces a file.
func (s *Server) CreateUpload(ctx context.Context, r CreateUploadRequestObject) (CreateUploadResponseObject, error) {
	a, b := actorOf(ctx), r.Body
	keepAnswer(ctx, http.StatusCreated, func(u gateway.Upload) (any, []string) {
		return s.uploadOf(a, u), []string{"Location", uploadPath(u)}
	})
	u, err := s.uploads.Create(ctx, a, newUploadOf(*b))
	if err != nil {
		return nil, err
	}
	where := uploadPath(u)
	return CreateUpload201JSONResponse{Body: s.uploadOf(a, u), Headers: CreateUpload201ResponseHeaders{Location: &where}}, nil
}

func newUploadOf(b openapi.UploadInput) gateway.NewUpload {
	return gateway.NewUpload{
		Name: b.Name, Title: deref(b.Title), Description: deref(b.Description), Tags: deref(b.Tags),
		ContentType: deref(b.ContentType), Size: b.Size, Fingerprint: deref(b.Fingerprint), Target: wantedTarget(b.Target), FolderID: deref(b.DropFolderID),
	}
}

func uploadPath(u gateway.Upload) string { return "/v1/hubs/" + u.HubID + "/uploads/" + u.ID }

// awaitUpload gives an upload, when the caller prefers to wait only once nothing more happens to it.
func (s *Server) awaitUpload(ctx context.Context, a gateway.Actor, prefer *string, id string) (u gateway.Upload, _ error) {
	err := s.await(ctx, a, prefers(prefer), func(ctx context.Context) (over bool, err error) {
		u, err = s.uploads.Get(ctx, a, id)
		return u.State != gateway.UploadReceiving && u.State != gateway.UploadHeld && u.State != gateway.UploadIngesting && u.State != gateway.UploadProcessing, err
	})
	return u, err
}

// GetUpload shows an upload.
func (s *Server) GetUpload(ctx context.Context, r GetUploadRequestObject) (GetUploadResponseObject, error) {
	a := actorOf(ctx)
	u, err := s.awaitUpload(ctx, a, r.Params.Prefer, r.ID)
	if err != nil {
		return nil, err
	}
	return GetUpload200JSONResponse{UploadJSONResponse(s.uploadOf(a, u))}, nil
}

// CancelUpload stops an upload.
func (s *Server) CancelUpload(ctx context.Context, r CancelUploadRequestObject) (CancelUploadResponseObject, error) {
	a := actorOf(ctx)
	u, err := s.uploads.Cancel(ctx, a, r.ID)
	if err != nil {
		return nil, err
	}
	return CancelUpload200JSONResponse{UploadJSONResponse(s.uploadOf(a, u))}, nil
}

// FinishUpload says that the file is whole.
func (s *Server) FinishUpload(ctx context.Context, r FinishUploadRequestObject) (FinishUploadResponseObject, error) {
	a := actorOf(ctx)
	u, err := s.uploads.Finish(ctx, a, r.ID, r.Body.Size, deref(r.Body.Sha256))
	if err == nil && prefers(r.Params.Prefer).wait > 0 {
		u, err = s.awaitUpload(ctx, a, r.Params.Prefer, u.ID)
	}
	if err != nil {
		return nil, err
	}
	return FinishUpload202JSONResponse{UploadJSONResponse(s.uploadOf(a, u))}, nil
}

// ExtendUpload moves the expiry.
func (s *Server) ExtendUpload(ctx context.Context, r ExtendUploadRequestObject) (ExtendUploadResponseObject, error) {
	a := actorOf(ctx)
	u, err := s.uploads.Extend(ctx, a, r.ID)
	if err != nil {
		return nil, err
	}
	return ExtendUpload200JSONResponse{UploadJSONResponse(s.uploadOf(a, u))}, nil
}

// RetryUpload takes up a failed upload.
func (s *Server) RetryUpload(ctx context.Context, r RetryUploadRequestObject) (RetryUploadResponseObject, error) {
	a := actorOf(ctx)
	u, err := s.uploads.Retry(ctx, a, r.ID)
	if err == nil && prefers(r.Params.Prefer).wait > 0 {
		u, err = s.awaitUpload(ctx, a, r.Params.Prefer, u.ID)
	}
	if err != nil {
		return nil, err
	}
	return RetryUpload202JSONResponse{UploadJSONResponse(s.uploadOf(a, u))}, nil
}

func targetOf(t string) *openapi.UploadTarget {
	if t == gateway.TargetKaltura {
		return ptr(openapi.UploadTargetKaltura)
	}
	return ptr(openapi.UploadTarget(t))
}

func wantedTarget(t *openapi.UploadInputTarget) string {
	if t == nil || *t == openapi.UploadInputTargetKaltura {
		return gateway.TargetKaltura
	}
	return string(*t)
}
