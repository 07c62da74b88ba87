package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// What pages see of the queue and may do with it.

// jobView is what a page sees of a job.
type jobView struct {
	ID        string     `json:"id"`
	Hub       string     `json:"hub"`
	Transfer  string     `json:"transfer_id,omitempty"`
	Name      string     `json:"name"`
	State     queueState `json:"state"`
	First     bool       `json:"first"`
	Policy    string     `json:"policy,omitempty"`
	Rate      int64      `json:"rate_bps,omitempty"`
	Files     int        `json:"files"`
	FilesDone int        `json:"files_done"`
	Size      int64      `json:"size"`
	Sent      int64      `json:"sent"`
	Live      *jobLive   `json:"live,omitempty"`
	Error     *jobError  `json:"error,omitempty"`
	RetryAt   *time.Time `json:"retry_at,omitempty"`
	Created   time.Time  `json:"created_at"`
	Ended     *time.Time `json:"ended_at,omitempty"`
}

// jobError is why a job waits or failed.
type jobError struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	NextStep string `json:"next_step"`
}

// stateView is all that a page sees of the agent.
type stateView struct {
	Device  string       `json:"device"`
	Version string       `json:"version"`
	Hubs    []string     `json:"hubs"`
	Dialog  bool         `json:"dialog"`
	Folders []openFolder `json:"folders"`
	Jobs    []jobView    `json:"jobs"`
}

// jobInput is what a page asks to be sent.
type jobInput struct {
	Hub    string   `json:"hub"`
	Picks  []string `json:"picks"`
	Policy string   `json:"policy"`
	Rate   int64    `json:"rate_bps"`
	First  bool     `json:"first"`
}

// order gives the jobs as they are sent: what was put first, then by age; what ended last.
func (a *agent) order() []*agentJob {
	all := slices.Clone(a.jobs)
	slices.SortStableFunc(all, func(x, y *agentJob) int {
		if x.Ended.IsZero() != y.Ended.IsZero() {
			if x.Ended.IsZero() {
				return -1
			}
			return 1
		}
		return cmp.Or(y.Ended.Compare(x.Ended), cmp.Compare(y.Rank, x.Rank), cmp.Compare(x.Seq, y.Seq))
	})
	return all
}

// forgetOld drops what ended long ago.
func (a *agent) forgetOld() {
	ended := 0
	for _, j := range a.order() {
		if !j.Ended.IsZero() && !j.Owed && j.stop == nil {
			if ended++; ended > mostEnded {
				a.drop(j)
			}
		}
	}
}

func (a *agent) drop(j *agentJob) {
	if err := a.queue.remove(j.ID); err != nil {
		slog.Error("the queue cannot be written", "error", err)
		return
	}
	a.jobs = slices.DeleteFunc(a.jobs, func(x *agentJob) bool { return x == j })
}

// state is what a page of a server sees.
func (a *agent) state(server string) (stateView, error) {
	hubs, err := a.work.hubs(server)
	if err != nil {
		return stateView{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := stateView{
		Device: a.device, Version: version(), Hubs: append([]string{}, hubs...), Dialog: a.picks.dialogs.there(),
		Folders: append([]openFolder{}, a.picks.folders...), Jobs: []jobView{},
	}
	for _, j := range a.order() {
		if j.Server == server {
			s.Jobs = append(s.Jobs, j.view())
		}
	}
	return s, nil
}

func (j *agentJob) view() jobView {
	v := jobView{
		ID: j.ID, Hub: j.Hub, Name: j.Name, State: j.State, First: j.Rank > 0, Policy: j.Policy, Rate: j.Rate,
		Files: j.Files, FilesDone: j.Done, Size: j.Size, Sent: j.Sent, Live: j.live, Created: j.Created,
	}
	if n := len(j.Transfers); n > 0 {
		v.Transfer = j.Transfers[n-1]
	}
	if p := j.Error; p != nil {
		v.Error = &jobError{p.Code, p.Detail, p.NextStep}
	}
	if j.State == queueWaiting {
		v.RetryAt = &j.RetryAt
	}
	if !j.Ended.IsZero() {
		v.Ended = &j.Ended
	}
	return v
}

func (a *agent) login(ctx context.Context, server string) (loginView, error) {
	return a.work.login(ctx, server, func() { // who watches sees the new hub
		a.mu.Lock()
		defer a.mu.Unlock()
		a.tell()
	})
}

// add puts a new job into the queue.
func (a *agent) add(server string, in jobInput) (jobView, error) {
	hubs, err := a.work.hubs(server)
	switch {
	case err != nil:
		return jobView{}, err
	case !slices.Contains(hubs, in.Hub):
		return jobView{}, errNoLogin
	case in.Policy != "" && !slices.Contains([]string{"fixed", "high", "fair", "low"}, in.Policy):
		return jobView{}, badRequest("There is no such policy.")
	case in.Rate != 0 && in.Rate < 8000 || in.Policy == "fixed" && in.Rate == 0:
		return jobView{}, badRequest("The rate is too low, or missing.")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	waiting := 0
	for _, j := range a.jobs {
		if j.Ended.IsZero() {
			waiting++
		}
	}
	if waiting >= mostJobs {
		return jobView{}, &agentProblem{http.StatusConflict, "queue_full", "The agent's queue is full.", "Wait until some of it was sent."}
	}
	files, name, err := a.picks.take(server, in.Picks)
	if err != nil {
		return jobView{}, err
	}
	j := &agentJob{queueJob: queueJob{
		ID: "agj_" + strings.ToLower(rand.Text()), Server: server, Hub: in.Hub, Name: name, Files: len(files),
		Policy: in.Policy, Rate: in.Rate, State: queueQueued, Created: time.Now().UTC(),
	}}
	for _, f := range files {
		j.Size += f.Size
	}
	if in.First {
		j.Rank = a.highest() + 1
	}
	if err := a.queue.add(&j.queueJob, files); err != nil {
		return jobView{}, err
	}
	a.jobs = append(a.jobs, j)
	a.tell()
	a.poke()
	return j.view(), nil
}

// all is the queue for its owner's own eyes.
func (a *agent) all() []jobView {
	a.mu.Lock()
	defer a.mu.Unlock()
	views := []jobView{}
	for _, j := range a.order() {
		views = append(views, j.view())
	}
	return views
}

func (a *agent) highest() int64 {
	var rank int64
	for _, j := range a.jobs {
		if j.Ended.IsZero() {
			rank = max(rank, j.Rank)
		}
	}
	return rank
}

// alter changes a job of a server and writes it down; when that fails, nothing has changed.
func (a *agent) alter(server, id string, f func(*agentJob) error) (jobView, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, j := range a.jobs {
		if j.ID != id || j.Server != server {
			continue
		}
		was := j.queueJob
		err := f(j)
		if err == nil {
			err = a.queue.put(j.queueJob)
		}
		if err != nil {
			j.queueJob = was
			return jobView{}, err
		}
		if j.stop != nil && j.State != queueSending {
			j.stop()
		}
		a.tell()
		a.poke()
		return j.view(), nil
	}
	return jobView{}, errNoJob
}

var errJobOver = &agentProblem{http.StatusConflict, "over", "This transfer has ended.", "Reload the list."}

func (a *agent) pause(server, id string) (jobView, error) {
	return a.alter(server, id, func(j *agentJob) error {
		if !j.Ended.IsZero() {
			return errJobOver
		}
		j.State = queuePaused
		return nil
	})
}

// resume goes on with what was paused, waits or failed.
func (a *agent) resume(server, id string) (jobView, error) {
	return a.alter(server, id, func(j *agentJob) error {
		switch j.State {
		case queueDone, queueCancelled:
			return errJobOver
		case queuePaused, queueWaiting, queueFailed:
			j.State, j.Error, j.Tries, j.RetryAt, j.Ended = queueQueued, nil, 0, time.Time{}, time.Time{}
		}
		return nil
	})
}

func (a *agent) first(server, id string) (jobView, error) {
	return a.alter(server, id, func(j *agentJob) error {
		if !j.Ended.IsZero() {
			return errJobOver
		}
		j.Rank = a.highest() + 1
		return nil
	})
}

func (a *agent) cancel(server, id string) (jobView, error) {
	return a.alter(server, id, func(j *agentJob) error {
		if j.State == queueDone || j.State == queueCancelled {
			return errJobOver
		}
		j.State, j.Error, j.Ended = queueCancelled, nil, time.Now().UTC()
		j.Owed, j.Tries, j.RetryAt = len(j.Transfers) > 0, 0, time.Time{}
		return nil
	})
}

// remove takes a job that has ended off the list.
func (a *agent) remove(server, id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, j := range a.jobs {
		if j.ID == id && j.Server == server {
			if j.Ended.IsZero() || j.Owed || j.stop != nil {
				return &agentProblem{http.StatusConflict, "not_over", "This transfer has not ended.", "Cancel it first."}
			}
			a.drop(j)
			a.tell()
			return nil
		}
	}
	return errNoJob
}
