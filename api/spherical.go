package api

import (
	"context"
	"slices"

	"isthmus/gateway"
	"isthmus/openapi"
)

func untagged360Of(u gateway.SphericalState) Untagged360JSONResponse {
	r := u.Scan
	tag := etag(u.Version())
	out := openapi.Untagged360{Allowed: u.Allowed, Etag: tag, Search: openapi.Untagged360Search{
		State: openapi.Untagged360SearchStateNever, AskedAt: someTime(r.AskedAt), StartedAt: someTime(r.StartedAt), EndedAt: someTime(r.EndedAt),
		Looked: r.Looked, Found: r.Found,
	}}
	if r.Problem != nil {
		out.Search.Error = itemError(r.Problem.Code, r.Problem.Message, r.Problem.NextStep)
	}
	switch {
	case !r.EndedAt.IsZero() && r.Problem != nil:
		out.Search.State = openapi.Untagged360SearchStateFailed
	case !r.EndedAt.IsZero():
		out.Search.State = openapi.Untagged360SearchStateDone
	case !r.StartedAt.IsZero() && r.Problem == nil:
		out.Search.State = openapi.Untagged360SearchStateRunning
	case !r.StartedAt.IsZero() || !r.AskedAt.IsZero():
		out.Search.State = openapi.Untagged360SearchStateWaiting
	}
	return Untagged360JSONResponse{Body: out, Headers: Untagged360ResponseHeaders{ETag: &tag}}
}

func (s *Server) untagged360Entry(a gateway.Actor, c gateway.SphericalCandidate) (openapi.Untagged360Entry, error) {
	thumb, err := s.thumbURL(a, "media:"+c.EntryID)
	return openapi.Untagged360Entry{
		ID: c.ID, EntryID: c.EntryID, Name: c.Name, Type: openapi.MediaType(c.Type), OwnerID: c.OwnerID, Width: c.Width, Height: c.Height,
		Likely: c.Likely, Evidence: list(c.Evidence), State: openapi.Untagged360State(c.State), Job: text(c.JobID),
		Error: itemError(c.ErrorCode, c.ErrorText, c.NextStep), ThumbnailURL: thumb, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}, err
}

// without gives the ids that are not among others, each once.
func without(ids, others []string) []string {
	left := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(others, id) })
	slices.Sort(left)
	return list(slices.Compact(left))
}

func untagged360Run(ids []string, job gateway.Job, accepted []string) Untagged360RunJSONResponse {
	at := "/v1/hubs/" + job.HubID + "/jobs/" + job.ID
	return Untagged360RunJSONResponse{
		Body:    openapi.Untagged360Run{Job: jobOf(job), Accepted: accepted, Skipped: without(ids, accepted)},
		Headers: Untagged360RunResponseHeaders{Location: &at},
	}
}

// GetUntagged360 shows the switch and the last search.
func (s *Server) GetUntagged360(ctx context.Context, _ GetUntagged360RequestObject) (GetUntagged360ResponseObject, error) {
	u, err := s.spherical.State(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	return GetUntagged360200JSONResponse{untagged360Of(u)}, nil
}

// UpdateUntagged360 turns the switch.
func (s *Server) UpdateUntagged360(ctx context.Context, r UpdateUntagged360RequestObject) (UpdateUntagged360ResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	u, err := s.spherical.Allow(ctx, actorOf(ctx), version, r.Body.Allowed)
	if err != nil {
		return nil, stale(err)
	}
	return UpdateUntagged360200JSONResponse{untagged360Of(u)}, nil
}

// SearchUntagged360 asks for a search now.
func (s *Server) SearchUntagged360(ctx context.Context, _ SearchUntagged360RequestObject) (SearchUntagged360ResponseObject, error) {
	u, err := s.spherical.Scan(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	return SearchUntagged360202JSONResponse{untagged360Of(u)}, nil
}

// ListUntagged360 lists what was found.
func (s *Server) ListUntagged360(ctx context.Context, r ListUntagged360RequestObject) (ListUntagged360ResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	a := actorOf(ctx)
	rows, err := s.spherical.Candidates(ctx, a, strs[openapi.Untagged360State, gateway.CandidateState](r.Params.State), deref(r.Params.Job), w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(c gateway.SphericalCandidate) string { return c.ID })
	items := make([]openapi.Untagged360Entry, len(rows))
	for i, c := range rows {
		if items[i], err = s.untagged360Entry(a, c); err != nil {
			return nil, err
		}
	}
	return ListUntagged360200JSONResponse{
		Body:    openapi.Untagged360Page{Items: items, Next: next},
		Headers: ListUntagged360200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// MarkUntagged360 begins to tag entries.
func (s *Server) MarkUntagged360(ctx context.Context, r MarkUntagged360RequestObject) (MarkUntagged360ResponseObject, error) {
	job, accepted, err := s.spherical.Mark(ctx, actorOf(ctx), r.Body.Ids)
	if err != nil {
		return nil, err
	}
	return MarkUntagged360202JSONResponse{untagged360Run(r.Body.Ids, job, accepted)}, nil
}

// UndoUntagged360 begins to take tags back.
func (s *Server) UndoUntagged360(ctx context.Context, r UndoUntagged360RequestObject) (UndoUntagged360ResponseObject, error) {
	ids, of := deref(r.Body.Ids), deref(r.Body.Job)
	if (len(ids) == 0) == (of == "") {
		return nil, gateway.E(gateway.Invalid, "ids_or_job", "Either entries or a job are to be named.").At("/ids").
			Next("Send ids, or the job whose marks are to be taken back.")
	}
	job, accepted, err := s.spherical.Undo(ctx, actorOf(ctx), ids, of)
	if err != nil {
		return nil, err
	}
	return UndoUntagged360202JSONResponse{untagged360Run(ids, job, accepted)}, nil
}

// DismissUntagged360 says that entries are flat.
func (s *Server) DismissUntagged360(ctx context.Context, r DismissUntagged360RequestObject) (DismissUntagged360ResponseObject, error) {
	changed, err := s.spherical.Dismiss(ctx, actorOf(ctx), r.Body.Ids, r.Body.Dismissed == nil || *r.Body.Dismissed)
	if err != nil {
		return nil, err
	}
	return DismissUntagged360200JSONResponse{Changed: list(changed), Skipped: without(r.Body.Ids, changed)}, nil
}
