package store

import (
	"context"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type jobs struct{ rows[gateway.Job] }

// Jobs gives the jobs.
func (t tables) Jobs() gateway.JobTable {
	return jobs{newRows(t, func(x *gateway.Job) *gateway.Row { return &x.Row }, "cancel_requested")}
}

func (j jobs) SetProgress(ctx context.Context, id string, attempt int64, p float64) error {
	return j.progress(ctx, id, attempt, p)
}

func (j jobs) RequestCancel(ctx context.Context, s gateway.Scope, id string) error {
	return j.set(ctx, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return scoped(q.Set("cancel_requested = ?", true).Where("id = ?", id), s)
	})
}

// List gives the actor's jobs, all of the hub's to an admin.
func (j jobs) List(ctx context.Context, a gateway.Actor, w gateway.Slice) ([]gateway.Job, error) {
	return j.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery {
		q = q.Where("hub_id = ?", a.HubID)
		switch {
		case a.Machine():
			return q.Where("participant_id = ''").Where("client_id = ?", a.ClientID).Where("client_id <> ''")
		case a.Admin():
			return q
		}
		return q.Where("participant_id = ?", a.ParticipantID)
	})
}

func (j jobs) Marking(ctx context.Context, w gateway.Slice) ([]gateway.Job, error) {
	return j.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("kind IN (?)", bun.List([]string{gateway.JobMark360, gateway.JobUnmark360})).
			Where("state IN (?) OR state = ? AND EXISTS (SELECT 1 FROM spherical_candidates AS c WHERE c.job_id = job.id AND c.state IN (?))",
				bun.List([]gateway.JobState{gateway.JobQueued, gateway.JobRunning, gateway.JobWaiting}), gateway.JobCancelled,
				bun.List([]gateway.CandidateState{gateway.CandidateMarking, gateway.CandidateUndoing}))
	})
}
