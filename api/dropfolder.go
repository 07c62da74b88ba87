package api

import (
	"context"
	"net/http"
	"strings"

	"isthmus/gateway"
	"isthmus/openapi"
)

func dropFolderOf(v gateway.DropFolderView) openapi.DropFolder {
	f := v.DropFolder
	out := openapi.DropFolder{
		ID: f.ID, Etag: etag(f.Version), Name: f.Name, Description: f.Description, Paused: f.PausedAt != nil,
		Source: openapi.DropSourceKind(f.Source), Path: f.Path, HasBucketSecret: len(f.Secret) > 0,
		Complete: openapi.DropComplete{Marker: text(f.Complete.Marker), Rename: text(f.Complete.Rename), StableSeconds: some(f.Complete.StableS)},
		Handler:  openapi.DropHandler(f.Handler), Patterns: list(f.Patterns), Ignore: list(f.Ignore), Match: openapi.DropMatch(f.Match), Slug: f.Slug,
		Origin: openapi.DropOrigin{
			UserID: text(f.Origin.UserID), UserFromPath: some(f.Origin.UserFromPath), Tags: listed(f.Origin.Tags), TagsFromPath: some(f.Origin.TagsFromPath),
			Category: text(f.Origin.Category), CategoryFromPath: some(f.Origin.CategoryFromPath), ConversionProfileID: some(f.Origin.ConversionProfileID),
		},
		WaitHours: f.WaitHours, Delete: openapi.DropDelete(f.Delete), DeleteDays: f.DeleteDays, MaxFiles: f.MaxFiles, MaxBytes: f.MaxBytes,
		Policy: some(openapi.TransferPolicy(f.Policy)), RateBps: f.RateBPS, ClientID: text(f.AppID), CreatedBy: makerOf(f),
		Health: dropHealthOf(v), States: dropCountsOf(v.Counts), CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt,
	}
	if f.Source == gateway.DropBucket {
		out.Bucket = &openapi.DropBucket{
			Endpoint: text(f.Bucket.Endpoint), Region: text(f.Bucket.Region), Name: f.Bucket.Name, KeyID: text(f.Bucket.KeyID), PathStyle: some(f.Bucket.PathStyle),
		}
	}
	if v.Stop != nil {
		out.Stopped = itemError(v.Stop.Code, v.Stop.Message, v.Stop.NextStep)
	}
	return out
}

// makerOf is in whose name a folder acts, as the audit log calls them.
func makerOf(f gateway.DropFolder) string {
	return gateway.Actor{ParticipantID: f.ParticipantID, ClientID: f.ClientID}.Subject()
}

func listed(in []string) *[]string {
	if len(in) == 0 {
		return nil
	}
	return &in
}

func dropHealthOf(f gateway.DropFolderView) openapi.DropHealth {
	h := f.Health
	out := openapi.DropHealth{State: openapi.DropHealthStateOk, LastAt: h.LastAt, OkAt: h.OKAt, NextAt: f.ScanAt, Since: h.Since, BehindSince: f.Behind, Error: itemError(h.Code, h.Text, h.NextStep)}
	switch {
	case h.LastAt == nil:
		out.State, out.NextAt = openapi.DropHealthStateUnseen, nil
		return out
	case h.Code != "":
		out.State = openapi.DropHealthStateFailing
	}
	out.Files, out.TookMs = &h.Files, &h.TookMS
	return out
}

func dropCountsOf(counts map[gateway.DropState]gateway.DropCount) map[string]openapi.DropCount {
	out := map[string]openapi.DropCount{}
	for state, n := range counts {
		out[string(state)] = openapi.DropCount{Files: n.Files, Bytes: n.Bytes}
	}
	return out
}

func dropDraftOf(b openapi.DropFolderInput) gateway.DropFolderDraft {
	d := dropPatchOf(openapi.DropFolderPatch{
		Name: &b.Name, Description: b.Description, Path: b.Path, Bucket: b.Bucket, BucketSecret: b.BucketSecret, Complete: b.Complete, Handler: b.Handler,
		Patterns: b.Patterns, Ignore: b.Ignore, Match: b.Match, Slug: b.Slug, Origin: b.Origin, WaitHours: b.WaitHours, Delete: b.Delete,
		DeleteDays: b.DeleteDays, MaxFiles: b.MaxFiles, MaxBytes: b.MaxBytes, Policy: (*openapi.DropFolderPatchPolicy)(b.Policy), RateBps: b.RateBps,
	})
	d.Source = (*gateway.DropSourceKind)(b.Source)
	return d
}

func dropPatchOf(b openapi.DropFolderPatch) gateway.DropFolderDraft {
	d := gateway.DropFolderDraft{
		Name: b.Name, Description: b.Description, Path: b.Path, Handler: (*gateway.DropHandler)(b.Handler), Patterns: b.Patterns, Ignore: b.Ignore,
		Match: (*gateway.DropMatch)(b.Match), Slug: b.Slug, WaitHours: b.WaitHours, Delete: (*gateway.DropDelete)(b.Delete), DeleteDays: b.DeleteDays,
		MaxFiles: b.MaxFiles, MaxBytes: b.MaxBytes, Policy: (*gateway.TransferPolicy)(b.Policy), RateBPS: b.RateBps,
	}
	if b.BucketSecret != nil {
		d.Secret = ptr(gateway.Secret(*b.BucketSecret))
	}
	if k := b.Bucket; k != nil {
		d.Bucket = &gateway.DropBucketAddress{Endpoint: deref(k.Endpoint), Region: deref(k.Region), Name: k.Name, KeyID: deref(k.KeyID), PathStyle: deref(k.PathStyle)}
	}
	if c := b.Complete; c != nil {
		d.Complete = &gateway.DropComplete{Marker: deref(c.Marker), Rename: deref(c.Rename), StableS: deref(c.StableSeconds)}
	}
	if o := b.Origin; o != nil {
		d.Origin = &gateway.DropOrigin{
			UserID: deref(o.UserID), UserFromPath: deref(o.UserFromPath), Tags: deref(o.Tags), TagsFromPath: deref(o.TagsFromPath),
			Category: deref(o.Category), CategoryFromPath: deref(o.CategoryFromPath), ConversionProfileID: deref(o.ConversionProfileID),
		}
	}
	return d
}

func dropFolderPath(f gateway.DropFolder) string {
	return "/v1/hubs/" + f.HubID + "/drop-folders/" + f.ID
}

func dropFolderAnswer(v gateway.DropFolderView) DropFolderJSONResponse {
	body, at := dropFolderOf(v), dropFolderPath(v.DropFolder)
	return DropFolderJSONResponse{Body: body, Headers: DropFolderResponseHeaders{ETag: &body.Etag, Location: &at}}
}

// dropFolder answers with a folder after it was changed.
func (s *Server) dropFolder(ctx context.Context, id string) (DropFolderJSONResponse, error) {
	v, err := s.drops.Get(ctx, actorOf(ctx), id)
	if err != nil {
		return DropFolderJSONResponse{}, err
	}
	return dropFolderAnswer(v), nil
}

// ListDropFolders lists the hub's drop folders.
func (s *Server) ListDropFolders(ctx context.Context, r ListDropFoldersRequestObject) (ListDropFoldersResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.drops.List(ctx, actorOf(ctx), deref(r.Params.Q), w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(v gateway.DropFolderView) string { return v.ID })
	return ListDropFolders200JSONResponse{
		Body: openapi.DropFolderPage{Items: each(rows, dropFolderOf), Next: next}, Headers: ListDropFolders200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// CreateDropFolder makes a folder.
func (s *Server) CreateDropFolder(ctx context.Context, r CreateDropFolderRequestObject) (CreateDropFolderResponseObject, error) {
	answerOf := func(f gateway.DropFolder) DropFolderJSONResponse {
		return dropFolderAnswer(gateway.DropFolderView{DropFolder: f})
	}
	keepAnswer(ctx, http.StatusCreated, func(f gateway.DropFolder) (any, []string) {
		a := answerOf(f)
		return a.Body, []string{"ETag", *a.Headers.ETag, "Location", *a.Headers.Location}
	})
	f, err := s.drops.Create(ctx, actorOf(ctx), dropDraftOf(*r.Body))
	if err != nil {
		return nil, err
	}
	return CreateDropFolder201JSONResponse{answerOf(f)}, nil
}

// GetDropFolder shows a folder.
func (s *Server) GetDropFolder(ctx context.Context, r GetDropFolderRequestObject) (GetDropFolderResponseObject, error) {
	a, err := s.dropFolder(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return GetDropFolder200JSONResponse{a}, nil
}

// UpdateDropFolder changes a folder.
func (s *Server) UpdateDropFolder(ctx context.Context, r UpdateDropFolderRequestObject) (UpdateDropFolderResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if _, err := s.drops.Update(ctx, actorOf(ctx), r.ID, version, dropPatchOf(*r.Body)); err != nil {
		return nil, stale(err)
	}
	a, err := s.dropFolder(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return UpdateDropFolder200JSONResponse{a}, nil
}

// DeleteDropFolder removes a folder.
func (s *Server) DeleteDropFolder(ctx context.Context, r DeleteDropFolderRequestObject) (DeleteDropFolderResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := s.drops.Delete(ctx, actorOf(ctx), r.ID, version); err != nil {
		return nil, stale(err)
	}
	return DeleteDropFolder204Response{}, nil
}

// PauseDropFolder has a folder take no more files.
func (s *Server) PauseDropFolder(ctx context.Context, r PauseDropFolderRequestObject) (PauseDropFolderResponseObject, error) {
	if _, err := s.drops.Pause(ctx, actorOf(ctx), r.ID); err != nil {
		return nil, err
	}
	a, err := s.dropFolder(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return PauseDropFolder200JSONResponse{a}, nil
}

// ResumeDropFolder has a folder take files again.
func (s *Server) ResumeDropFolder(ctx context.Context, r ResumeDropFolderRequestObject) (ResumeDropFolderResponseObject, error) {
	if _, err := s.drops.Resume(ctx, actorOf(ctx), r.ID); err != nil {
		return nil, err
	}
	a, err := s.dropFolder(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return ResumeDropFolder200JSONResponse{a}, nil
}

// ScanDropFolder has a folder looked at now.
func (s *Server) ScanDropFolder(ctx context.Context, r ScanDropFolderRequestObject) (ScanDropFolderResponseObject, error) {
	if _, err := s.drops.Scan(ctx, actorOf(ctx), r.ID); err != nil {
		return nil, err
	}
	a, err := s.dropFolder(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return ScanDropFolder202JSONResponse{a}, nil
}

func dropTestOf(t gateway.DropTest) openapi.DropFolderTest {
	return openapi.DropFolderTest{
		Ok: t.OK,
		Checks: each(t.Checks, func(c gateway.DropCheck) openapi.DropCheck {
			return openapi.DropCheck{Check: c.Name, Ok: c.OK, Text: c.Text, NextStep: text(c.Fix)}
		}),
		Files: each(t.Examples, func(e gateway.DropExample) openapi.DropExample {
			return openapi.DropExample{
				Name: e.Name, Size: e.Size, Taken: e.Taken, Why: text(e.Why), ReferenceID: text(e.Reading.ReferenceID), Flavor: text(e.Reading.Flavor),
				UserID: text(e.Reading.UserID), Tags: listed(e.Reading.Tags), Category: text(e.Reading.Category),
			}
		}),
	}
}

// TryDropFolder tries the settings of a folder that is not there yet.
func (s *Server) TryDropFolder(ctx context.Context, r TryDropFolderRequestObject) (TryDropFolderResponseObject, error) {
	t, err := s.drops.Test(ctx, actorOf(ctx), "", dropDraftOf(*r.Body))
	if err != nil {
		return nil, err
	}
	return TryDropFolder200JSONResponse(dropTestOf(t)), nil
}

// TestDropFolder tries a folder, with other settings if any are given.
func (s *Server) TestDropFolder(ctx context.Context, r TestDropFolderRequestObject) (TestDropFolderResponseObject, error) {
	t, err := s.drops.Test(ctx, actorOf(ctx), r.ID, dropPatchOf(*r.Body))
	if err != nil {
		return nil, err
	}
	return TestDropFolder200JSONResponse(dropTestOf(t)), nil
}

func (s *Server) activationOf(v gateway.DropActivation) openapi.DropActivation {
	f, base := v.Folder, s.base.String()
	out := openapi.DropActivation{
		Folder: dropFolderOf(gateway.DropFolderView{DropFolder: f}), Created: v.Created, ClientID: text(v.Client.ID), Secret: text(v.Secret.Reveal()),
		TokenURL: base + "/oauth2/token", UploadsURL: base + "/v1/hubs/" + f.HubID + "/uploads", PageURL: text(base + "/hubs/" + f.HubID + "/drop-folders?to=" + f.ID),
		Command: "isthmusctl send --folder " + f.ID + " FILE…",
	}
	switch f.Source {
	case gateway.DropDirectory:
		out.Place = text(f.Path)
	case gateway.DropBucket:
		out.Place = text("s3://" + f.Bucket.Name + "/" + strings.TrimPrefix(f.Path, "/"))
	}
	return out
}

// ActivateDropFolder makes a folder with its credential.
func (s *Server) ActivateDropFolder(ctx context.Context, r ActivateDropFolderRequestObject) (ActivateDropFolderResponseObject, error) {
	keepAnswer(ctx, http.StatusOK, func(v gateway.DropActivation) (any, []string) { return s.activationOf(v), nil })
	v, err := s.drops.Activate(ctx, actorOf(ctx), dropDraftOf(*r.Body))
	if err != nil {
		return nil, err
	}
	return ActivateDropFolder200JSONResponse(s.activationOf(v)), nil
}

// DeactivateDropFolder takes a folder's credential away.
func (s *Server) DeactivateDropFolder(ctx context.Context, r DeactivateDropFolderRequestObject) (DeactivateDropFolderResponseObject, error) {
	if _, err := s.drops.Deactivate(ctx, actorOf(ctx), r.ID); err != nil {
		return nil, err
	}
	a, err := s.dropFolder(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return DeactivateDropFolder200JSONResponse{a}, nil
}
