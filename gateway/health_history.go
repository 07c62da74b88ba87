package gateway

import (
	"cmp"
	"context"
	"time"
)

// HealthReport is what an administrator sees of a connection's health.
type HealthReport struct {
	Integration Integration // with the health columns
	Waiting     Waiting
	History     []HealthChange // newest first
}

// passes tells whether an error goes away with time, or when an administrator has pasted a new App
// Token: what was asked for can wait for that.
func passes(err error) bool {
	c := CodeOf(err)
	return c == Unavailable || c == RateLimited || IsReason(err, "credentials_invalid")
}

// paused refuses work for a connection whose credential is refused. Only its probe asks the platform
// then: the work would knock in vain, and is taken up as soon as there is a reason to.
func (i Integration) paused() error {
	if i.Health != HealthCredentialsInvalid {
		return nil
	}
	return E(Precondition, "credentials_invalid", cmp.Or(i.HealthText, "Kaltura refuses the App Token.")).
		Next("Nothing is lost; it goes on by itself when an admin of the hub has replaced the App Token.")
}

// keepTrying adds to the error of a request that could not wait when we ask the platform again.
func (s *Integrations) keepTrying(ctx context.Context, in Integration, err error) error {
	if c := CodeOf(err); c != Unavailable && c != RateLimited {
		return err
	}
	e := *AsError(err)
	e.NextStep = "We keep trying by ourselves; try again in a moment."
	// Read again: the failure of this very request may have queued the first probe.
	if now, gerr := s.Store.Integrations().Get(ctx, AnyHub, in.ID); gerr == nil && now.NextTryAt != nil {
		e.Retry = min(max(now.NextTryAt.Sub(s.Clock()), time.Second), 5*time.Minute)
	}
	return &e
}

// Health tells an administrator how the connection is, what waits for it, and how it was before.
func (s *Integrations) Health(ctx context.Context, a Actor, w Slice) (HealthReport, error) {
	if err := adminOnly(a, ScopeConnectionsAdmin); err != nil {
		return HealthReport{}, err
	}
	in, err := s.Get(ctx, a)
	if err != nil {
		return HealthReport{}, err
	}
	r := HealthReport{Integration: in}
	if r.Waiting, err = s.Store.Integrations().Waiting(ctx, in.ID); err != nil {
		return HealthReport{}, err
	}
	r.History, err = s.Store.Health().List(ctx, in.ID, w)
	return r, err
}

// Sweep forgets the history that is too old (task Sweep).
func (s *Integrations) Sweep(ctx context.Context) error {
	_, err := s.Store.Health().Trim(ctx, s.Clock().Add(-healthLife))
	return err
}

// resume has everything taken up that waits for a connection, once tx is committed.
func (s *Integrations) resume(ctx context.Context, tx Tx, integrationID string) error {
	if s.Recovered != nil {
		tx.AfterCommit(s.Recovered)
	}
	return tx.Enqueue(ctx, ResumeWaiting{IntegrationID: integrationID})
}

// resumePerSecond is how many waiting things of one connection are taken up in a second: a platform
// that has just come back is not run over, and other hubs' work comes in between.
const resumePerSecond = 16

// RunResume takes up what waits for a connection that works again (task ResumeWaiting). It would
// look again by itself, but only after minutes.
func (s *Integrations) RunResume(ctx context.Context, t ResumeWaiting) error {
	in, err := s.Store.Integrations().Get(ctx, AnyHub, t.IntegrationID)
	if CodeOf(err) == NotFound || err == nil && in.Health != HealthOK {
		return nil
	}
	if err != nil {
		return err
	}
	n, start := 0, s.Clock()
	next := func() EnqueueOption {
		n++
		return Sooner(start.Add(time.Duration((n-1)/resumePerSecond) * time.Second))
	}
	if err = pullAll(ctx, s.Store, func(w Slice) ([]Upload, error) {
		return s.Store.Uploads().List(ctx, Scope(in.HubID), "", "", []UploadState{UploadIngesting, UploadProcessing}, w)
	}, func(u Upload) (string, Task) {
		switch {
		case u.IntegrationID != in.ID || u.ErrorCode == "":
			return u.ID, nil
		case u.State == UploadProcessing:
			return u.ID, WatchUpload{UploadID: u.ID}
		}
		return u.ID, IngestUpload{UploadID: u.ID}
	}, next); err != nil {
		return err
	}
	if err = pullAll(ctx, s.Store, func(w Slice) ([]Job, error) { return s.Store.Jobs().Marking(ctx, w) }, func(j Job) (string, Task) {
		if j.Subject != in.ID || j.State != JobWaiting {
			return j.ID, nil
		}
		return j.ID, MarkSpherical{j.ID}
	}, next); err != nil {
		return err
	}
	return pullAll(ctx, s.Store, func(w Slice) ([]LibraryItem, error) {
		return s.Store.Library().InStates(ctx, []ItemState{ItemPending, ItemImporting}, w)
	}, func(it LibraryItem) (string, Task) {
		if it.IntegrationID != in.ID || it.ErrorCode == "" {
			return it.ID, nil
		}
		return it.ID, ImportItem{ItemID: it.ID}
	}, next)
}

// pullAll walks a listing and brings the tasks of what waits forward.
func pullAll[T any](ctx context.Context, st Store, list func(Slice) ([]T, error), task func(T) (id string, _ Task), at func() EnqueueOption) error {
	for w := (Slice{Limit: 200}); ; {
		rows, err := list(w)
		if err != nil {
			return err
		}
		var tasks []Task
		for _, r := range rows {
			id, t := task(r)
			w.After = id
			if t != nil {
				tasks = append(tasks, t)
			}
		}
		if len(tasks) > 0 {
			when := make([]EnqueueOption, len(tasks))
			for i := range when {
				when[i] = at()
			}
			if err = st.Tx(ctx, func(tx Tx) error {
				for i, t := range tasks {
					if err := tx.Enqueue(ctx, t, when[i]); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return err
			}
		}
		if len(rows) < w.Limit {
			return nil
		}
	}
}
