package api

import (
	"context"

	"isthmus/gateway"
	"isthmus/openapi"
)

// RegisterMedia takes a medium of the spaces platform into the library.
func (s *Server) RegisterMedia(ctx context.Context, r RegisterMediaRequestObject) (RegisterMediaResponseObject, error) {
	a, b := actorOf(ctx), r.Body
	in := gateway.Registration{
		ExternalID: b.ExternalID, Name: b.Name, URL: deref(b.URL), UploadID: deref(b.UploadID), SHA256: deref(b.Sha256),
		Tags: deref(b.Tags), Is360: deref(b.Is360), Shared: b.Shared,
	}
	if b.Owner != nil {
		in.Owner = &gateway.OwnerName{Issuer: b.Owner.Issuer, Subject: b.Owner.Subject}
	}
	it, job, outcome, err := s.library.Register(ctx, a, in)
	if err != nil {
		return nil, err
	}
	over := false
	if prefer := r.Params.Prefer; prefers(prefer).wait > 0 {
		if it, over, err = s.awaitItem(ctx, a, prefer, it.ID); err == nil && job.ID != "" {
			job, err = s.jobs.Get(ctx, a, job.ID)
		}
		if err != nil {
			return nil, err
		}
	}
	item, err := s.itemOf(a, it)
	if err != nil {
		return nil, err
	}
	out := openapi.Import{Item: item}
	where := "/v1/hubs/" + a.HubID + "/library/" + it.ID
	if job.ID != "" {
		out.Job = ptr(jobOf(job))
		where = "/v1/hubs/" + a.HubID + "/jobs/" + job.ID
	}
	if over || outcome == gateway.PushUnchanged || it.State != gateway.ItemPending {
		return RegisterMedia200JSONResponse(out), nil
	}
	return RegisterMedia202JSONResponse{Body: out, Headers: RegisterMedia202ResponseHeaders{Location: &where}}, nil
}

// ExportLibraryItem sends an own item to Kaltura.
func (s *Server) ExportLibraryItem(ctx context.Context, r ExportLibraryItemRequestObject) (ExportLibraryItemResponseObject, error) {
	a := actorOf(ctx)
	it, u, created, err := s.library.Export(ctx, a, r.ID)
	if err != nil {
		return nil, err
	}
	item, err := s.itemOf(a, it)
	if err != nil {
		return nil, err
	}
	out := openapi.LibraryExportResult{Item: item, Upload: s.uploadOf(a, u)}
	if !created {
		return ExportLibraryItem200JSONResponse(out), nil
	}
	where := "/v1/hubs/" + a.HubID + "/uploads/" + u.ID
	return ExportLibraryItem202JSONResponse{Body: out, Headers: ExportLibraryItem202ResponseHeaders{Location: &where}}, nil
}

// AcknowledgeLibraryItem notes that the calling client has taken an item over.
func (s *Server) AcknowledgeLibraryItem(ctx context.Context, r AcknowledgeLibraryItemRequestObject) (AcknowledgeLibraryItemResponseObject, error) {
	if _, err := s.library.Acknowledge(ctx, actorOf(ctx), r.ID); err != nil {
		return nil, err
	}
	return AcknowledgeLibraryItem204Response{}, nil
}

// GetLibraryAddress gives a fresh address of an item's bytes.
func (s *Server) GetLibraryAddress(ctx context.Context, r GetLibraryAddressRequestObject) (GetLibraryAddressResponseObject, error) {
	ad, err := s.library.Address(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return GetLibraryAddress200JSONResponse{URL: ad.URL, ExpiresAt: ad.ExpiresAt}, nil
}

func exportOf(e gateway.ItemExport) *openapi.ItemExport {
	if e.UploadID == "" {
		return nil
	}
	out := &openapi.ItemExport{UploadID: e.UploadID, State: openapi.UploadState(e.State), EntryID: text(e.EntryID), Lost: some(e.Lost)}
	if e.Problem != nil {
		out.Error = itemError(e.Problem.Code, e.Problem.Message, e.Problem.NextStep)
	}
	return out
}

func someList(in []string) *[]string {
	if len(in) == 0 {
		return nil
	}
	return &in
}

// listExternal gives the one item that the client registered under its own id, if any.
func (s *Server) listExternal(ctx context.Context, a gateway.Actor, externalID string) (ListLibraryResponseObject, error) {
	out := openapi.LibraryPage{Items: []openapi.LibraryItem{}}
	it, err := s.library.External(ctx, a, externalID)
	if err == nil {
		item, err := s.itemOf(a, it)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, item)
	} else if gateway.CodeOf(err) != gateway.NotFound {
		return nil, err
	}
	return ListLibrary200JSONResponse{Body: out}, nil
}
