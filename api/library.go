package api

import (
	"context"
	"net/url"

	"isthmus/gateway"
	"isthmus/openapi"
)

func itemError(code, message, next string) *openapi.ItemError {
	if code == "" && message == "" {
		return nil
	}
	return &openapi.ItemError{Code: code, Message: message, NextStep: text(next)}
}

func (s *Server) itemOf(a gateway.Actor, it gateway.LibraryItem) (openapi.LibraryItem, error) {
	thumb, err := s.thumbURL(a, "item:"+it.ID)
	if err != nil {
		return openapi.LibraryItem{}, err
	}
	if it.ThumbVersion != "" { // another picture has another address, or browsers would keep the old one
		thumb += "?v=" + url.QueryEscape(it.ThumbVersion)
	}
	external := ""
	if a.Machine() && a.ClientID == it.ClientID {
		external = it.ExternalID
	}
	return openapi.LibraryItem{
		ExternalID: text(external), Tags: someList(it.Tags), Export: exportOf(it.Export),
		ID: it.ID, Etag: etag(it.Version), Source: openapi.LibraryItemSource(it.Source), EntryID: it.EntryID, Kind: openapi.ItemKind(it.Kind),
		Rendition: text(it.RenditionID), Name: it.Name, Type: openapi.MediaType(it.Type), Is360: it.Is360, DurationMs: it.DurationMS,
		State: openapi.ItemState(it.State), Shared: it.Shared, Mine: mine(a, it.ParticipantID, it.ClientID),
		ParticipantID: text(it.ParticipantID), JobID: text(it.JobID), Error: itemError(it.ErrorCode, it.ErrorText, it.NextStep),
		SourceLost: sourceLostOf(it.SourceLostAt, it.Lost()), ThumbnailURL: thumb, CreatedAt: it.CreatedAt, UpdatedAt: it.UpdatedAt,
	}, nil
}

// mine tells whether something was made by the actor.
func mine(a gateway.Actor, participantID, clientID string) bool {
	if a.Machine() {
		return clientID == a.ClientID
	}
	return participantID == a.ParticipantID
}

func (s *Server) itemAnswer(a gateway.Actor, it gateway.LibraryItem) (LibraryItemJSONResponse, error) {
	body, err := s.itemOf(a, it)
	return LibraryItemJSONResponse{Body: body, Headers: LibraryItemResponseHeaders{ETag: &body.Etag}}, err
}

// ListLibrary lists what the hub imported, as far as the caller may see it.
func (s *Server) ListLibrary(ctx context.Context, r ListLibraryRequestObject) (ListLibraryResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	a := actorOf(ctx)
	if r.Params.ExternalID != nil {
		return s.listExternal(ctx, a, *r.Params.ExternalID)
	}
	rows, err := s.library.List(ctx, a, deref(r.Params.Q), strs[openapi.MediaType, gateway.MediaType](r.Params.Type), w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(it gateway.LibraryItem) string { return it.ID })
	out := openapi.LibraryPage{Items: make([]openapi.LibraryItem, 0, len(rows)), Next: next}
	for _, it := range rows {
		item, err := s.itemOf(a, it)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, item)
	}
	return ListLibrary200JSONResponse{Body: out, Headers: ListLibrary200ResponseHeaders{Link: nextLink(ctx, next)}}, nil
}

// ImportMedia asks for an entry.
func (s *Server) ImportMedia(ctx context.Context, r ImportMediaRequestObject) (ImportMediaResponseObject, error) {
	a := actorOf(ctx)
	it, job, created, err := s.library.Import(ctx, a, r.Body.EntryID, gateway.ItemKind(r.Body.Kind), deref(r.Body.Rendition))
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
	if job.ID != "" {
		out.Job = ptr(jobOf(job))
	}
	if !created || over {
		return ImportMedia200JSONResponse(out), nil
	}
	where := "/v1/hubs/" + a.HubID + "/library/" + it.ID
	if job.ID != "" {
		where = "/v1/hubs/" + a.HubID + "/jobs/" + job.ID
	}
	return ImportMedia202JSONResponse{Body: out, Headers: ImportMedia202ResponseHeaders{Location: &where}}, nil
}

// awaitItem gives an item, when the caller prefers to wait only once its import is over.
func (s *Server) awaitItem(ctx context.Context, a gateway.Actor, prefer *string, id string) (it gateway.LibraryItem, over bool, _ error) {
	err := s.await(ctx, a, prefers(prefer), func(ctx context.Context) (_ bool, err error) {
		it, err = s.library.Get(ctx, a, id)
		over = it.State == gateway.ItemReady || it.State == gateway.ItemFailed || it.State == gateway.ItemCancelled
		return over, err
	})
	return it, over, err
}

// GetLibraryItem shows an item.
func (s *Server) GetLibraryItem(ctx context.Context, r GetLibraryItemRequestObject) (GetLibraryItemResponseObject, error) {
	a := actorOf(ctx)
	it, _, err := s.awaitItem(ctx, a, r.Params.Prefer, r.ID)
	if err != nil {
		return nil, err
	}
	out, err := s.itemAnswer(a, it)
	if err != nil {
		return nil, err
	}
	return GetLibraryItem200JSONResponse{out}, nil
}

// ShareLibraryItem shares an item with the hub or takes that back, renames and retags. Without If-Match the newest version is meant.
func (s *Server) ShareLibraryItem(ctx context.Context, r ShareLibraryItemRequestObject) (ShareLibraryItemResponseObject, error) {
	a := actorOf(ctx)
	it, err := s.library.Get(ctx, a, r.ID)
	if err != nil {
		return nil, err
	}
	version := it.Version
	if r.Params.IfMatch != nil {
		if version, err = ifMatch(r.Params.IfMatch); err != nil {
			return nil, err
		}
	}
	it, err = s.library.Change(ctx, a, r.ID, version, gateway.ItemChange{Shared: r.Body.Shared, Name: r.Body.Name, Tags: r.Body.Tags, Is360: r.Body.Is360})
	if err != nil {
		return nil, stale(err)
	}
	out, err := s.itemAnswer(a, it)
	if err != nil {
		return nil, err
	}
	return ShareLibraryItem200JSONResponse{out}, nil
}

// RemoveLibraryItem removes an item.
func (s *Server) RemoveLibraryItem(ctx context.Context, r RemoveLibraryItemRequestObject) (RemoveLibraryItemResponseObject, error) {
	remove := s.library.Remove
	if deref(r.Params.Entry) == openapi.RemoveLibraryItemParamsEntryDelete {
		remove = s.library.RemoveWithEntry
	}
	if err := remove(ctx, actorOf(ctx), r.ID); err != nil {
		return nil, err
	}
	return RemoveLibraryItem204Response{}, nil
}

// GetLibraryPlayback gives addresses to play an item.
func (s *Server) GetLibraryPlayback(ctx context.Context, r GetLibraryPlaybackRequestObject) (GetLibraryPlaybackResponseObject, error) {
	a := actorOf(ctx)
	it, p, err := s.library.Playback(ctx, a, r.ID)
	if err != nil {
		return nil, err
	}
	thumb, err := s.thumbURL(a, "item:"+it.ID)
	if err != nil {
		return nil, err
	}
	out := playbackOf(p)
	if out.Captions, err = s.captionsOf(a, "item:"+it.ID, p.Captions); err != nil {
		return nil, err
	}
	out.ID, out.Name, out.Type, out.DurationMs, out.Thumbnail = it.ID, it.Name, openapi.MediaType(it.Type), it.DurationMS, &thumb
	setProjection(&out, it.Is360)
	return GetLibraryPlayback200JSONResponse{PlaybackJSONResponse(out)}, nil
}
