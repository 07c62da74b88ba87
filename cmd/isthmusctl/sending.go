package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	xrate "golang.org/x/time/rate"

	"isthmus/transfer"
	"isthmus/transfer/rate"
)

// Paths that bytes take, as in openapi.yaml's TransferLive, and what else a sending may be doing.
const (
	pathConnecting = "connecting"
	pathFast       = "quic"
	pathHTTPS      = "https"
	pathPaused     = "paused"
	pathOffline    = "offline"
)

// outgoing is a file with its upload.
type outgoing struct {
	localFile
	id     string // of the upload
	tusURL string

	// Under sending.mu:
	done    int64 // bytes at the server, as far as known over HTTPS or from an earlier connection
	ended   bool
	refused bool // by the fast path, once
	failed  error
	sha256  string // that the server checked; empty: none

	hashing sync.Once
	hashed  chan struct{} // closed when the digest below is known, or why not
	sum     string
	sumErr  error
}

// sending moves the files of one transfer by the fast path or over HTTPS, whichever the network lets
// through, at the same offsets. All methods are safe for concurrent use; Run is called once.
type sending struct {
	session *session
	id      string // of the transfer
	files   []*outgoing
	byID    map[string]*outgoing
	noFast  bool
	life    context.Context // of Run
	tell    func(event)     // of what happens; not while a method of sending is called

	mu      sync.Mutex
	ticket  ticket
	policy  rate.Policy
	target  rate.BitRate // 0: as fast as it goes
	paused  bool
	changed chan struct{} // closed and replaced when somebody asked for something
	sender  *transfer.Sender
	path    string
	why     string    // why it is not the fast path
	whyTold string    // when the path was told last
	wrote   time.Time // when bytes last left over HTTPS
	held    time.Time // until then the fast path is left alone
	cutFast func()    // ends the connection of the fast path
	open    int       // uploads that have not ended
	fatal   error
	meter   meter
	limiter *xrate.Limiter // of HTTPS
}

// ticket is how the fast path is reached.
type ticket struct {
	token     string
	addresses []string
	key       transfer.KeyHash
}

func newSending(s *session, id string, files []*outgoing, t ticket, policy rate.Policy, target rate.BitRate) *sending {
	g := &sending{
		session: s, id: id, files: files, byID: map[string]*outgoing{}, ticket: t, policy: policy, target: target, tell: func(event) {},
		changed: make(chan struct{}), path: pathConnecting, open: len(files), limiter: xrate.NewLimiter(xrate.Inf, httpsChunk),
	}
	g.limit()
	for _, f := range files {
		f.hashed = make(chan struct{})
		g.byID[f.id] = f
	}
	return g
}

const lookEvery = 100 * time.Millisecond

// Run sends until each upload has ended. The uploads' own ends are told and kept; the error says why it
// stopped before. When ctx ends, what the server has is kept there, to go on from.
func (g *sending) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.life = ctx
	var legs sync.WaitGroup
	defer legs.Wait()
	defer cancel()
	if g.useFast() {
		legs.Go(func() { g.runFast(ctx) })
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var stopHTTPS func()
	defer func() {
		if stopHTTPS != nil {
			stopHTTPS()
		}
	}()
	away, weighed := time.Now(), time.Now()
	slow := slowdown{span: g.session.patience.slow}
	for {
		up, paused, over, fatal := g.state()
		switch {
		case over:
			return nil
		case fatal != nil:
			return fatal
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if up {
			away = time.Now()
		}
		want := !paused && !up && (!g.useFast() || g.isHeld() || time.Since(away) > g.session.patience.grace)
		switch {
		case want && stopHTTPS == nil:
			stopHTTPS = g.startHTTPS(ctx)
		case !want && stopHTTPS != nil:
			stopHTTPS()
			stopHTTPS = nil
		}
		g.onPath(up, paused, stopHTTPS != nil)
		if time.Since(weighed) >= slow.span/15 { // a second
			weighed = time.Now()
			g.weigh(&slow)
		}
		select {
		case <-ctx.Done():
		case <-g.asked():
		case <-look.C:
		}
	}
}

func (g *sending) useFast() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.noFast && len(g.ticket.addresses) > 0
}

func (g *sending) asked() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// state tells whether the fast path carries, somebody paused, all is over, or all is lost.
func (g *sending) state() (up, paused, over bool, fatal error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	up = g.sender != nil && g.sender.Progress().Path != "connecting"
	return up, g.paused, g.open == 0, g.fatal
}

// weigh looks whether this network slows UDP down, and takes the quicker way.
func (g *sending) weigh(slow *slowdown) {
	if !g.useFast() {
		return
	}
	s := g.Snapshot()
	// Where files end, or nothing is left to send, the server's work on them is what takes time.
	line := s.Limiter == rate.Path.String() && s.Sent == slow.sent && s.Total-s.Done > slowLeft
	slow.sent = s.Sent
	switch slow.look(time.Now(), s.Path, line, s.Done) {
	case tryHTTPS:
		g.hold(4*slow.span, "there is little room for UDP on this network; HTTPS is tried")
	case stayHTTPS:
		g.hold(slowHold, fmt.Sprintf("this network slows UDP down, to %s; over HTTPS it carries %s", rateText(int64(slow.fast)), rateText(int64(slow.https))))
	case backToFast:
		g.hold(0, "")
	}
}

// hold leaves the fast path alone for a while.
func (g *sending) hold(d time.Duration, why string) {
	g.change(func() {
		g.held, g.why = time.Now().Add(d), why
		if g.cutFast != nil {
			g.cutFast()
		}
	})
}

func (g *sending) isHeld() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Before(g.held)
}

// onPath notes the path and tells when it is another one.
func (g *sending) onPath(up, paused, https bool) {
	g.mu.Lock()
	before := g.path
	switch {
	case paused:
		g.path = pathPaused
	case up:
		g.path, g.why = pathFast, ""
	case https && g.path != pathOffline:
		g.path = pathHTTPS
	case !https:
		g.path = pathConnecting
	}
	if g.path == pathHTTPS && g.why == "" {
		g.why = g.whyHTTPS()
	}
	now, why := g.path, g.why
	news := now != before || now == pathHTTPS && why != g.whyTold
	g.whyTold = why
	g.mu.Unlock()
	if news {
		g.tell(event{Event: "path", Transfer: g.id, Path: now, Why: why})
	}
}

func (g *sending) whyHTTPS() string {
	switch {
	case g.noFast:
		return "as asked for by --no-fast"
	case len(g.ticket.addresses) == 0:
		return "the server has no fast path"
	}
	return "the server does not answer over UDP"
}

// change does what somebody asked for and wakes Run.
func (g *sending) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	close(g.changed)
	g.changed = make(chan struct{})
}

// Pause stops sending for any time; the fast path's connection stays.
func (g *sending) Pause() {
	g.change(func() {
		g.paused = true
		if g.sender != nil {
			g.sender.Pause()
		}
	})
}

// Resume goes on after Pause.
func (g *sending) Resume() {
	g.change(func() {
		g.paused = false
		if g.sender != nil {
			g.sender.Resume()
		}
	})
}

// SetRate changes the policy and the rate that is wished for; 0: as fast as it goes.
func (g *sending) SetRate(policy rate.Policy, target rate.BitRate) {
	g.change(func() {
		g.policy, g.target = policy, target
		g.limit()
		if g.sender != nil {
			g.sender.SetRate(policy, target, 0)
		}
	})
}

// follow runs the sending and shows how it goes, also at its end.
func (g *sending) follow(ctx context.Context, every time.Duration, show func(snapshot)) error {
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			show(g.Snapshot())
		case err := <-ended:
			show(g.Snapshot())
			return err
		}
	}
}

// limit sets the rate of HTTPS, which knows no policies. Called with mu held, or before Run.
func (g *sending) limit() {
	if g.target > 0 {
		g.limiter.SetLimit(xrate.Limit(g.target / 8))
	} else {
		g.limiter.SetLimit(xrate.Inf)
	}
}

// Cancel throws one upload away, here and at the server.
func (g *sending) Cancel(ctx context.Context, uploadID string) error {
	r, err := g.session.api.CancelUploadWithResponse(ctx, g.session.hub, uploadID)
	if err != nil {
		return unreachable(err)
	}
	if _, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse); err != nil {
		return err
	}
	g.end(uploadID, fail(exitSome, "It was cancelled.", ""), "")
	return nil
}

// spoilt ends an upload whose bytes are of no use, and frees them at the server.
func (g *sending) spoilt(id, why string) {
	g.end(id, fail(exitSome, sentence(why, ""), "Send it again when nothing writes to it."), "")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, _ = g.session.api.CancelUploadWithResponse(ctx, g.session.hub, id) // else it expires by itself
}

// sentence makes a text into one; or stands for none.
func sentence(text, or string) string {
	if text == "" {
		text = or
	}
	if text == "" || text[len(text)-1] == '.' {
		return text
	}
	if text[0] >= 'a' && text[0] <= 'z' {
		text = string(text[0]-'a'+'A') + text[1:]
	}
	return text + "."
}

// end notes an upload's end and tells it; the first counts.
func (g *sending) end(id string, err error, sum string) {
	var e event
	g.change(func() {
		f := g.byID[id]
		if f == nil || f.ended {
			return
		}
		f.ended, f.failed, f.sha256 = true, err, sum
		if err == nil {
			f.done = f.size
		}
		g.open--
		e = event{Event: "sent", Transfer: g.id, Upload: id, Name: f.name, File: f.path, Size: f.size, SHA256: sum}
		if err != nil {
			e.Event, e.Text = "failed", err.Error()
		}
	})
	if e.Event != "" {
		g.tell(e)
	}
}

// hash begins to read the whole file for its SHA-256, once; life ends that.
func (f *outgoing) hash(life context.Context) {
	f.hashing.Do(func() {
		go func() {
			defer close(f.hashed)
			file, err := f.reader()
			if err != nil {
				f.sumErr = err
				return
			}
			defer func() { _ = file.Close() }() // only read
			f.sum, f.sumErr = sha256Of(life, io.NewSectionReader(file, 0, f.size))
		}()
	})
}

// digest is the whole file's SHA-256, in hex. Who waits for it may stop waiting; it is not begun anew then.
func (f *outgoing) digest(ctx, life context.Context) (string, error) {
	f.hash(life)
	select {
	case <-f.hashed:
		return f.sum, f.sumErr
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
