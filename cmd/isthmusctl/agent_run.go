package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	mostJobs   = 500 // that have not ended
	mostEnded  = 100 // that are kept to be looked at
	firstRetry = 3 * time.Second
	lastRetry  = 5 * time.Minute
)

// agent works off the queue: for each server one transfer at a time, since one fills the line. What a
// person asked for is on disk before they hear that it was done; what it says of bytes is the server's
// truth and asked anew after a restart.
type agent struct {
	queue  *queue
	picks  *agentPicks
	device string
	work   agentWork

	mu     sync.Mutex
	jobs   []*agentJob
	change chan struct{} // closed by the next change
	wake   chan struct{}
	runs   sync.WaitGroup
}

// agentWork is what the agent needs of the commands login and send.
type agentWork struct {
	// hubs gives the ids of a server's hubs that there is a sign-in for. No network.
	hubs func(server string) ([]string, error)
	// login begins a sign-in by code; it goes on by itself until the code is over, and then calls ended.
	login func(ctx context.Context, server string, ended func()) (loginView, error)
	// send announces the files, or goes on where an earlier run of the job stopped, until each file has ended
	// or ctx has.
	send func(ctx context.Context, j queueJob, files []localFile, on agentEvents) error
	// cancel takes a transfer back at the server.
	cancel func(ctx context.Context, j queueJob) error
}

// agentEvents is how a sending tells the agent what happens.
type agentEvents struct {
	begun    func(transfer string) error // what it gave back is on disk when this returns
	progress func(live jobLive, filesDone int, sent int64)
}

// loginView is where the person enters which code.
type loginView struct {
	Address string `json:"address"`
	Code    string `json:"code"`
}

// agentJob is a job in memory.
type agentJob struct {
	queueJob
	live *jobLive
	stop context.CancelFunc // of its run; nil: none is under way
}

// jobLive is how a job goes now.
type jobLive struct {
	Path      string   `json:"path"` // none, quic, https
	Rate      int64    `json:"rate_bps"`
	RTT       *float64 `json:"rtt_ms,omitempty"`
	Loss      *float64 `json:"loss,omitempty"`
	LimitedBy string   `json:"limited_by,omitempty"`
	Fallback  string   `json:"fallback,omitempty"`
}

// newAgent takes up the queue where it was left.
func newAgent(q *queue, picks *agentPicks, device string, work agentWork) (*agent, error) {
	a := &agent{queue: q, picks: picks, device: device, work: work, change: make(chan struct{}), wake: make(chan struct{}, 1)}
	kept, err := q.jobs()
	if err != nil {
		return nil, err
	}
	for _, j := range kept {
		if j.State == queueSending || j.State == queueWaiting {
			j.State = queueQueued
		}
		j.RetryAt = time.Time{}
		a.jobs = append(a.jobs, &agentJob{queueJob: j})
	}
	return a, nil
}

// run sends until ctx ends; then it stops what is under way.
func (a *agent) run(ctx context.Context) {
	for {
		later := a.turn(ctx)
		select {
		case <-a.wake:
		case <-later:
		case <-ctx.Done():
			a.runs.Wait()
			return
		}
	}
}

// turn begins whatever may run now, and tells when to look again.
func (a *agent) turn(ctx context.Context) <-chan time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, soonest := time.Now(), time.Time{}
	busy := map[string]*agentJob{}
	for _, j := range a.jobs {
		if j.stop != nil && j.State != queueCancelled {
			busy[j.Server] = j
		}
	}
	for _, j := range a.order() {
		ready := j.State == queueQueued || j.State == queueWaiting || j.Owed
		if !ready || j.stop != nil {
			continue
		}
		if j.RetryAt.After(now) {
			if soonest.IsZero() || j.RetryAt.Before(soonest) {
				soonest = j.RetryAt
			}
			continue
		}
		if j.Owed {
			a.start(ctx, j, a.settle)
			continue
		}
		switch running := busy[j.Server]; {
		case running == nil:
			j.State = queueSending
			busy[j.Server] = j
			a.start(ctx, j, a.send)
		case j.Rank > running.Rank && running.State == queueSending:
			running.State = queueQueued // gives way; what the server has stays there
			running.stop()
		}
	}
	if soonest.IsZero() {
		return nil
	}
	return time.After(time.Until(soonest))
}

func (a *agent) start(ctx context.Context, j *agentJob, do func(context.Context, *agentJob)) {
	ctx, j.stop = context.WithCancel(ctx)
	a.runs.Go(func() {
		do(ctx, j)
		a.mu.Lock()
		defer a.mu.Unlock()
		j.stop()
		j.stop, j.live = nil, nil
		a.keep(j)
		a.forgetOld()
		a.poke()
	})
	a.keep(j)
}

// send is one run of a job.
func (a *agent) send(ctx context.Context, j *agentJob) {
	a.mu.Lock()
	was := j.queueJob
	j.Begun = true
	err := a.queue.put(j.queueJob)
	a.mu.Unlock()
	var files []queueFile
	if err == nil {
		files, err = a.queue.files(was.ID)
	}
	if err == nil {
		var local []localFile
		for _, f := range files {
			local = append(local, f.local())
		}
		err = a.work.send(ctx, was, local, agentEvents{
			begun: func(transfer string) error {
				a.mu.Lock()
				defer a.mu.Unlock()
				if !slices.Contains(j.Transfers, transfer) {
					j.Transfers = append(slices.Clone(j.Transfers), transfer)
				}
				return a.queue.put(j.queueJob)
			},
			progress: func(live jobLive, done int, sent int64) {
				a.mu.Lock()
				defer a.mu.Unlock()
				if sent > j.Sent { // bytes move: what went wrong before is over
					j.Tries, j.Error = 0, nil
				}
				j.live, j.Done, j.Sent = &live, done, sent
				a.tell()
			},
		})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	stopped := ctx.Err() != nil
	switch {
	case j.State == queueCancelled: // by a person, meanwhile
		j.Owed = len(j.Transfers) > 0
	case j.State != queueSending: // paused, or it gave way
	case err == nil:
		j.State, j.Done, j.Sent, j.Error, j.Ended = queueDone, j.Files, j.Size, nil, time.Now().UTC()
	case errors.Is(err, errCancelledThere):
		j.State, j.Error, j.Ended = queueCancelled, nil, time.Now().UTC()
	case stopped: // the agent ends; it goes on when it starts again
		j.State = queueQueued
	case again(err):
		a.later(j, err)
	case isTakenOver(err): // to go on would be to take it back
		j.State, j.Error = queuePaused, asAgentProblem(err)
	default:
		slog.Warn("a transfer failed", "job", j.ID, "error", err)
		j.State, j.Error, j.Ended = queueFailed, asAgentProblem(err), time.Now().UTC()
	}
}

// settle takes a cancelled job back at the server, however long that cannot be reached.
func (a *agent) settle(ctx context.Context, j *agentJob) {
	a.mu.Lock()
	was := j.queueJob
	a.mu.Unlock()
	err := a.work.cancel(ctx, was)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && (again(err) || ctx.Err() != nil) {
		a.later(j, err)
		return
	}
	if err != nil { // it has none any more, or we may not: there is nothing left to do
		slog.Warn("a transfer could not be cancelled at the server", "job", j.ID, "error", err)
	}
	j.Owed = false
}

// later says when a job that met with a passing fault is tried again.
func (a *agent) later(j *agentJob, err error) {
	if j.State == queueSending {
		j.State = queueWaiting
	}
	j.Error = asAgentProblem(err)
	j.RetryAt = time.Now().Add(min(lastRetry, firstRetry<<min(j.Tries, 10))).UTC()
	j.Tries++
}

// keep writes a job down and tells who watches. Called with a.mu held. When the disk refuses, memory goes
// on: nothing is lost but the change, which the log shows.
func (a *agent) keep(j *agentJob) {
	if err := a.queue.put(j.queueJob); err != nil {
		slog.Error("the queue cannot be written", "error", err)
	}
	a.tell()
}

func (a *agent) tell() {
	close(a.change)
	a.change = make(chan struct{})
}

func (a *agent) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// changed is closed by the next change.
func (a *agent) changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.change
}
