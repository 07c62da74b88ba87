package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"isthmus/openapi"
	"isthmus/transfer/rate"
)

// newAgentWork lets the agent sign in and send as the commands login and send do.
func newAgentWork(a *app) agentWork {
	w := &agentSender{app: a, logins: map[string]*pendingLogin{}}
	return agentWork{hubs: w.hubs, login: w.login, send: w.send, cancel: w.cancel}
}

type agentSender struct {
	*app
	mu     sync.Mutex
	logins map[string]*pendingLogin // by server
}

type pendingLogin struct {
	view  loginView
	until time.Time
}

func (w *agentSender) hubs(server string) ([]string, error) {
	all, err := w.vault.read()
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, k := range all.Logins {
		if k.Server == server {
			ids = append(ids, k.HubID)
		}
	}
	return ids, nil
}

// connect opens a session as the person who signed in, never as a machine of the environment: pages act for
// people.
func (w *agentSender) connect(server, hub string) (*session, error) {
	all, err := w.vault.read()
	if err != nil {
		return nil, err
	}
	k := all.find(server, hub)
	if k == nil {
		return nil, errNoLogin
	}
	return w.personal(k)
}

// login begins a sign-in, or shows the one that is under way: a page that asks again and again gets no
// heap of codes.
func (w *agentSender) login(ctx context.Context, server string, ended func()) (loginView, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.logins[server]; p != nil && time.Until(p.until) > time.Minute {
		return p.view, nil
	}
	shown, failed := make(chan *oauth2.DeviceAuthResponse, 1), make(chan error, 1)
	go func() {
		// Goes on when the page's request has ended; the code's own life ends it.
		_, err := w.signIn(context.WithoutCancel(ctx), server, clientID, func(ask *oauth2.DeviceAuthResponse) { shown <- ask })
		if err != nil {
			slog.Warn("the agent was not signed in", "server", server, "error", err)
		}
		failed <- err
		w.mu.Lock() // not before login has noted it
		delete(w.logins, server)
		w.mu.Unlock()
		ended()
	}()
	select {
	case ask := <-shown:
		v := loginView{Address: ask.VerificationURI, Code: ask.UserCode}
		if ask.VerificationURIComplete != "" {
			v.Address = ask.VerificationURIComplete
		}
		w.logins[server] = &pendingLogin{v, ask.Expiry}
		return v, nil
	case err := <-failed:
		return loginView{}, err
	case <-ctx.Done():
		return loginView{}, ctx.Err()
	}
}

// send is one run of a job. It goes on with the transfers of earlier runs, the same ones, so that whoever
// watches them at the server sees one; what is in none of them is announced.
func (w *agentSender) send(ctx context.Context, j queueJob, files []localFile, on agentEvents) error {
	s, err := w.connect(j.Server, j.Hub)
	if err != nil {
		return err
	}
	run := &agentRun{session: s, on: on}
	rest := files
	if len(j.Transfers) > 0 {
		marked, _, out, err := s.batches(ctx, files, wish{})
		if err != nil {
			return err
		}
		run.out = out
		unknown := slices.Concat(marked...)
		for _, id := range j.Transfers {
			var g *sending
			if g, unknown, err = run.reopen(ctx, id, unknown); err != nil {
				return err
			}
			if g == nil {
				continue
			}
			if err := run.finish(ctx, g); err != nil {
				return err
			}
		}
		rest = nil
		for _, c := range unknown {
			rest = append(rest, c.localFile)
		}
	}
	if len(rest) > 0 {
		// An earlier run that ended before it knew its transfer left uploads that can be gone on with.
		wish := wish{policy: j.Policy, target: rate.BitRate(j.Rate), resume: j.Begun}
		batches, done, out, err := s.batches(ctx, rest, wish)
		if err != nil {
			return err
		}
		run.out = append(run.out, out...)
		run.before.add(done...)
		for _, b := range batches {
			g, refused, err := s.begin(ctx, b, wish)
			run.out = append(run.out, refused...)
			if err != nil {
				return err
			}
			if g == nil {
				continue
			}
			if err := on.begun(g.id); err != nil {
				return err
			}
			if err := run.finish(ctx, g); err != nil {
				return err
			}
		}
	}
	return run.result(ctx, len(files))
}

// agentRun is what a run has behind it.
type agentRun struct {
	session *session
	on      agentEvents
	before  tally
	out     []left
	last    string // transfer
}

// result says what became of the whole job.
func (r *agentRun) result(ctx context.Context, files int) error {
	err := notSent(r.out, files)
	if err == nil || r.last == "" {
		return err
	}
	t, terr := r.session.api.GetTransferWithResponse(ctx, r.session.hub, r.last)
	if terr == nil && t.JSON200 != nil && t.JSON200.State == openapi.TransferStateCancelled {
		return errCancelledThere
	}
	return err
}

// errCancelledThere ends a job whose transfer somebody cancelled at the server.
var errCancelledThere = errors.New("cancelled at the server")

// tally counts files and bytes at the server.
type tally struct {
	files int
	bytes int64
}

func (t *tally) add(uploads ...openapi.Upload) {
	for _, u := range uploads {
		t.files++
		t.bytes += u.Size
	}
}

// reopen finds out what became of a transfer's uploads. It gives what is to be sent of them, nil when that
// is nothing, and the files that are in none.
func (r *agentRun) reopen(ctx context.Context, id string, files []candidate) (*sending, []candidate, error) {
	s := r.session
	got, err := s.api.GetTransferWithResponse(ctx, s.hub, id)
	if err != nil {
		return nil, nil, unreachable(err)
	}
	if got.HTTPResponse != nil && got.HTTPResponse.StatusCode == http.StatusNotFound {
		return nil, files, nil
	}
	t, err := answer(got.JSON200, got.ApplicationProblemJSONDefault, got.HTTPResponse)
	if err != nil {
		return nil, nil, err
	}
	byMark := map[string][]int{}
	for i, c := range files {
		byMark[c.mark] = append(byMark[c.mark], i)
	}
	known := make([]bool, len(files))
	r.last = id
	var open []*outgoing
	p := openapi.ListTransferUploadsParams{Limit: ptr(openapi.PageLimit(100))}
	for {
		got, err := s.api.ListTransferUploadsWithResponse(ctx, s.hub, id, &p)
		if err != nil {
			return nil, nil, unreachable(err)
		}
		page, err := answer(got.JSON200, got.ApplicationProblemJSONDefault, got.HTTPResponse)
		if err != nil {
			return nil, nil, err
		}
		for _, u := range page.Items {
			same := byMark[deref(u.Fingerprint)]
			if len(same) == 0 || u.State == openapi.UploadStateExpired { // that one is announced anew
				continue
			}
			i := same[0]
			byMark[*u.Fingerprint], known[i] = same[1:], true
			switch u.State {
			case openapi.UploadStateReceiving:
				open = append(open, &outgoing{localFile: files[i].localFile, id: u.ID, tusURL: u.TusURL, done: u.Offset})
			case openapi.UploadStateCancelled:
				r.out = append(r.out, left{files[i].path, "it was cancelled elsewhere", true})
			default:
				r.before.add(u)
			}
		}
		if page.Next == nil {
			break
		}
		p.Cursor = page.Next
	}
	var rest []candidate
	for i, c := range files {
		if !known[i] {
			rest = append(rest, c)
		}
	}
	if len(open) == 0 {
		return nil, rest, nil
	}
	policy, err := rate.ParsePolicy(string(t.Policy))
	if err != nil {
		policy = rate.Fair
	}
	g := newSending(s, id, open, ticket{}, policy, rate.BitRate(deref(t.RateBps)))
	return g, rest, g.renew(ctx)
}

// finish sends what is open of a transfer and tells how it goes.
func (r *agentRun) finish(ctx context.Context, g *sending) error {
	before := r.before
	err := g.follow(ctx, refresh, func(s snapshot) { r.on.progress(s.live(), before.files+s.Sent, before.bytes+s.Done) })
	if err != nil {
		return err
	}
	r.last = g.id
	last := g.Snapshot()
	r.before.files += last.Sent
	r.before.bytes += last.Done
	for _, f := range g.files {
		if isTakenOver(f.failed) {
			return f.failed
		}
		if f.failed != nil {
			r.out = append(r.out, left{f.path, f.failed.Error(), true})
		}
	}
	return nil
}

// live is what a page sees of a sending.
func (s snapshot) live() jobLive {
	live := jobLive{Path: "none", Rate: s.Rate, LimitedBy: apiLimiters[s.Limiter]}
	switch s.Path {
	case pathFast:
		live.Path, live.RTT, live.Loss = "quic", &s.RTT, &s.Loss
	case pathHTTPS:
		live.Path, live.Fallback = "https", s.Why
	}
	return live
}

// apiLimiters are the words of openapi.yaml's TransferLive, so that the page says the same of either, and some
// that only who sends can know.
var apiLimiters = map[string]string{
	rate.Path.String(): "line", rate.TargetRate.String(): "rate", rate.AccountCap.String(): "cap", rate.Receiver.String(): "storage",
	rate.Sender.String(): "sender", rate.Disk.String(): "disk", rate.Application.String(): "source",
}

// notSent makes one error of what was left behind; a page is told names without folders.
func notSent(out []left, files int) error {
	var first *left
	n := 0
	for i, l := range out {
		if l.bad {
			n++
			if first == nil {
				first = &out[i]
			}
		}
	}
	if n == 0 {
		return nil
	}
	return fail(exitSome, fmt.Sprintf("%d of %d files were not sent. The first, %s: %s", n, files, filepath.Base(first.path), sentence(first.why, "")), "Mend that and resume: what was sent is not sent again.")
}

// cancel takes the job's transfers back; what became an entry stays one.
func (w *agentSender) cancel(ctx context.Context, j queueJob) error {
	s, err := w.connect(j.Server, j.Hub)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range j.Transfers {
		r, err := s.api.CancelTransferWithResponse(ctx, s.hub, id)
		if err == nil {
			_, err = answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		}
		errs = append(errs, unreachable(err))
	}
	return errors.Join(errs...)
}

// again tells whether trying again by itself may help.
func again(err error) bool {
	var f *failure
	return lost(err) || errors.As(err, &f) && f.retry
}
