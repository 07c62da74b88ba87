package api

import (
	"context"

	"isthmus/gateway"
	"isthmus/openapi"
)

func jobOf(j gateway.Job) openapi.Job {
	return openapi.Job{
		ID: j.ID, Kind: j.Kind, Subject: j.Subject, State: openapi.JobState(j.State), Progress: j.Progress, Attempt: j.Attempt,
		NextTryAt: j.NextTryAt, CancelRequested: j.CancelRequested, Error: itemError(j.ErrorCode, j.ErrorText, ""),
		CreatedAt: j.CreatedAt, UpdatedAt: j.UpdatedAt,
	}
}

func jobOver(j gateway.Job) bool {
	return j.State == gateway.JobDone || j.State == gateway.JobFailed || j.State == gateway.JobCancelled
}

// ListJobs lists the caller's long work.
func (s *Server) ListJobs(ctx context.Context, r ListJobsRequestObject) (ListJobsResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.jobs.List(ctx, actorOf(ctx), w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(j gateway.Job) string { return j.ID })
	return ListJobs200JSONResponse{
		Body:    openapi.JobPage{Items: each(rows, jobOf), Next: next},
		Headers: ListJobs200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// GetJob shows a job.
func (s *Server) GetJob(ctx context.Context, r GetJobRequestObject) (GetJobResponseObject, error) {
	a := actorOf(ctx)
	var j gateway.Job
	err := s.await(ctx, a, prefers(r.Params.Prefer), func(ctx context.Context) (over bool, err error) {
		j, err = s.jobs.Get(ctx, a, r.ID)
		return jobOver(j), err
	})
	if err != nil {
		return nil, err
	}
	return GetJob200JSONResponse{JobJSONResponse(jobOf(j))}, nil
}

// CancelJob asks a job to stop.
func (s *Server) CancelJob(ctx context.Context, r CancelJobRequestObject) (CancelJobResponseObject, error) {
	j, err := s.jobs.Cancel(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return CancelJob202JSONResponse{JobJSONResponse(jobOf(j))}, nil
}
