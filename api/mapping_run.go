package api

import (
	"context"

	"isthmus/gateway"
	"isthmus/openapi"
)

func runOf(run gateway.MappingRun) openapi.MappingRun {
	out := openapi.MappingRun{
		ID: run.ID, JobID: run.JobID, Kind: openapi.MappingRunKind(run.Kind), State: openapi.JobState(run.State),
		MappingID: text(run.MappingID), FromUser: text(run.FromUser), ToUser: text(run.ToUser), Undoing: run.Undoing,
		Total: run.Total, Done: run.Done, Counts: run.Counts, CreatedAt: run.CreatedAt, UpdatedAt: run.UpdatedAt,
	}
	if out.Counts == nil {
		out.Counts = map[string]int{}
	}
	if run.Kind == gateway.RunDryRun {
		out.Rule = &openapi.MappingRule{
			MappingMode: some(openapi.MappingMode(run.Rule.MappingMode)), MatchBy: some(openapi.MatchBy(run.Rule.MatchBy)),
			Visibility: some(openapi.Visibility(run.Rule.Visibility)),
		}
	}
	return out
}

func runAnswer(run gateway.MappingRun) MappingRunJSONResponse {
	at := "/v1/hubs/" + run.HubID + "/mapping-runs/" + run.ID
	return MappingRunJSONResponse{Body: runOf(run), Headers: MappingRunResponseHeaders{Location: &at}}
}

// DryRunMappings begins to find out what a rule would do.
func (s *Server) DryRunMappings(ctx context.Context, r DryRunMappingsRequestObject) (DryRunMappingsResponseObject, error) {
	run, _, err := s.mappings.DryRun(ctx, actorOf(ctx), gateway.MappingRule{
		MappingMode: gateway.MappingMode(deref(r.Body.MappingMode)), MatchBy: gateway.MatchBy(deref(r.Body.MatchBy)),
		Visibility: gateway.Visibility(deref(r.Body.Visibility)),
	})
	if err != nil {
		return nil, err
	}
	return DryRunMappings202JSONResponse{runAnswer(run)}, nil
}

// PreviewMappingMerge tells what a merge would do.
func (s *Server) PreviewMappingMerge(ctx context.Context, r PreviewMappingMergeRequestObject) (PreviewMappingMergeResponseObject, error) {
	p, err := s.mappings.PreviewMerge(ctx, actorOf(ctx), r.ID, r.Params.PlatformUserID)
	if err != nil {
		return nil, err
	}
	return PreviewMappingMerge200JSONResponse{From: platformUserOf(p.From), To: platformUserOf(p.To), Entries: p.Entries, Undo: p.Undo, Note: p.Note}, nil
}

// MergeMapping merges a provisioned user into a real one.
func (s *Server) MergeMapping(ctx context.Context, r MergeMappingRequestObject) (MergeMappingResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	run, _, err := s.mappings.Merge(ctx, actorOf(ctx), r.ID, version, r.Body.PlatformUserID)
	if err != nil {
		return nil, stale(err)
	}
	return MergeMapping202JSONResponse{runAnswer(run)}, nil
}

// ListMappingRuns lists dry runs and merges.
func (s *Server) ListMappingRuns(ctx context.Context, r ListMappingRunsRequestObject) (ListMappingRunsResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.mappings.Runs(ctx, actorOf(ctx), gateway.MappingRunKind(deref(r.Params.Kind)), deref(r.Params.Mapping), w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(m gateway.MappingRun) string { return m.ID })
	return ListMappingRuns200JSONResponse{
		Body:    openapi.MappingRunPage{Items: each(rows, runOf), Next: next},
		Headers: ListMappingRuns200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// GetMappingRun shows one run.
func (s *Server) GetMappingRun(ctx context.Context, r GetMappingRunRequestObject) (GetMappingRunResponseObject, error) {
	run, err := s.mappings.Run(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return GetMappingRun200JSONResponse{runAnswer(run)}, nil
}

// ListMappingRunItems lists what a run was about.
func (s *Server) ListMappingRunItems(ctx context.Context, r ListMappingRunItemsRequestObject) (ListMappingRunItemsResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	var outcomes []string
	if r.Params.Outcome != nil {
		outcomes = []string{string(*r.Params.Outcome)}
	}
	rows, people, err := s.mappings.RunItems(ctx, actorOf(ctx), r.ID, outcomes, w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(m gateway.MappingRunItem) string { return m.ID })
	items := each(rows, func(it gateway.MappingRunItem) openapi.MappingRunItem {
		p := people[it.Subject]
		return openapi.MappingRunItem{
			ID: it.ID, Subject: it.Subject, ParticipantName: text(p.Name), ParticipantEmail: text(p.Email),
			Outcome: openapi.MappingOutcome(it.Outcome), PlatformUserID: text(it.UserID), Detail: it.Detail,
		}
	})
	return ListMappingRunItems200JSONResponse{
		Body:    openapi.MappingRunItemPage{Items: items, Next: next},
		Headers: ListMappingRunItems200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// UndoMappingMerge takes a merge back.
func (s *Server) UndoMappingMerge(ctx context.Context, r UndoMappingMergeRequestObject) (UndoMappingMergeResponseObject, error) {
	run, _, err := s.mappings.Undo(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, stale(err)
	}
	return UndoMappingMerge202JSONResponse{runAnswer(run)}, nil
}

// ResumeMappingMerge goes on with a merge or its undo.
func (s *Server) ResumeMappingMerge(ctx context.Context, r ResumeMappingMergeRequestObject) (ResumeMappingMergeResponseObject, error) {
	run, _, err := s.mappings.Resume(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, stale(err)
	}
	return ResumeMappingMerge202JSONResponse{runAnswer(run)}, nil
}
