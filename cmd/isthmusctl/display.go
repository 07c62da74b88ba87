package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"
)

// display shows how files are sent. update comes several times a second, event when something happens, from
// any goroutine.
type display interface {
	update(s snapshot)
	event(e event)
	close()
}

// display chooses: JSON where it is asked for; moving bars on a terminal that can; lines everywhere else.
// Nothing is coloured, so NO_COLOR has nothing to switch off.
func (a *app) display(files int) display {
	switch {
	case a.JSON:
		return &jsonDisplay{app: a}
	case a.Quiet:
		return &lineDisplay{to: io.Discard, results: a.out, errors: a.err, each: files <= fewFiles}
	case a.Plain || os.Getenv("TERM") == "dumb" || !a.terminal():
		return &lineDisplay{to: a.err, results: a.out, errors: a.err, each: files <= fewFiles}
	}
	d := newBars(a.err, files)
	if f, ok := a.out.(*os.File); !ok || !cwriter.IsTerminal(int(f.Fd())) {
		d.results = a.out // whoever keeps them wants them there, not among the bars
	}
	return d
}

// fewFiles is how many files get a line each when they were sent; of more only what failed is told.
const fewFiles = 20

// terminal tells whether bars can move there: it is one, and says how large it is.
func (a *app) terminal() bool {
	w := cwriter.New(a.err)
	if !w.IsTerminal() {
		return false
	}
	width, height, err := w.GetTermSize()
	return err == nil && width > 0 && height > 0
}

// jsonDisplay writes events as they come, progress among them.
type jsonDisplay struct {
	app *app

	mu   sync.Mutex
	last time.Time
}

const jsonEvery = time.Second

func (d *jsonDisplay) update(s snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.last) < jsonEvery {
		return
	}
	d.last = time.Now()
	d.app.emit(event{Event: "progress", Transfer: s.Transfer, Progress: &s})
}

func (d *jsonDisplay) event(e event) { d.app.emit(e) }
func (d *jsonDisplay) close()        {}

// lineDisplay writes whole lines: for pipes, logs and screen readers, which read every change aloud.
type lineDisplay struct {
	to      io.Writer // progress
	results io.Writer // what was sent
	errors  io.Writer // what was not
	each    bool      // a line for each file that was sent

	mu     sync.Mutex
	last   time.Time
	before snapshot
}

const lineEvery = 10 * time.Second

func (d *lineDisplay) update(s snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed := s.Path != d.before.Path || s.Path == pathFast && s.Limiter != d.before.Limiter && time.Since(d.last) > time.Second
	d.before.Path = s.Path
	over := s.Sent+s.Failed == s.Files // the summary follows
	if over || s.Path == pathConnecting && s.Done == 0 || !changed && time.Since(d.last) < lineEvery {
		return
	}
	d.before, d.last = s, time.Now()
	fmt.Fprintln(d.to, time.Now().Format("15:04:05"), s.line())
}

func (d *lineDisplay) event(e event) {
	if text := e.line(d.each); text != "" {
		to := d.results
		switch e.Event {
		case "path":
			to = d.to
		case "failed":
			to = d.errors
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		fmt.Fprintln(to, text)
	}
}

func (d *lineDisplay) close() {}

// line is a snapshot in words.
func (s snapshot) line() string {
	parts := []string{s.share() + " of " + bytesText(s.Total)}
	if s.Files > 1 {
		parts = append(parts, fmt.Sprintf("%d of %d files", s.Sent, s.Files))
	}
	if s.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", s.Failed))
	}
	parts = append(parts, s.how()...)
	if s.Left != nil {
		parts = append(parts, leftText(*s.Left)+" left")
	}
	return strings.Join(parts, ", ")
}

func (s snapshot) share() string {
	if s.Total <= 0 {
		return "0 %"
	}
	return fmt.Sprintf("%d %%", s.Done*100/s.Total)
}

// how says in parts how it goes.
func (s snapshot) how() []string {
	switch s.Path {
	case pathPaused:
		return []string{"paused"}
	case pathConnecting:
		return []string{"connecting"}
	case pathOffline:
		return []string{"waiting for the server, trying again"}
	}
	parts := []string{rateText(s.Rate)}
	if s.Path == pathFast {
		parts = append(parts, fmt.Sprintf("RTT %.0f ms, loss %.1f %%", s.RTT, 100*s.Loss))
	}
	if s.Path == pathHTTPS {
		return append(parts, "over HTTPS")
	}
	if by := limiterWords[s.Limiter]; by != "" {
		parts = append(parts, "limited by "+by)
	}
	return append(parts, "by the fast path")
}

// line is an event in words; empty: people need not know. each: also of every file that was sent.
func (e event) line(each bool) string { return tidy(e.words(each)) }

func (e event) words(each bool) string {
	switch e.Event {
	case "sent":
		if !each {
			return ""
		}
		text := "Sent " + e.File + " as " + e.Upload
		if e.SHA256 != "" {
			text += ", SHA-256 " + e.SHA256
		}
		return text
	case "failed":
		return "Not sent: " + e.File + ": " + e.Text
	case "ready":
		return "Ready: " + e.Name + ", entry " + e.Entry
	case "path":
		switch e.Path {
		case pathHTTPS:
			return "Over HTTPS now: " + e.Why + "."
		case pathFast:
			return "By the fast path now."
		case pathConnecting:
			return "Connecting again."
		case pathOffline:
			return sentence(e.Why, "The server cannot be reached.") + " Trying again until it works."
		}
	}
	return ""
}

// bars are the moving display: a bar for all, how it goes, and above them a line for each file under way.
type bars struct {
	each    bool
	results io.Writer // nil: above the bars
	p       *mpb.Progress
	all     *mpb.Bar
	lines   []*mpb.Bar

	mu  sync.Mutex
	now snapshot
}

const barsEvery = 200 * time.Millisecond

func newBars(to io.Writer, files int) *bars {
	d := &bars{each: files <= fewFiles, p: mpb.New(mpb.WithOutput(to), mpb.WithRefreshRate(barsEvery), mpb.WithWidth(40))}
	line := func(text func() string) {
		d.lines = append(d.lines, d.p.New(0, mpb.NopStyle(), mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return text() }))))
	}
	if files > 1 {
		for i := range min(files, shownFiles) {
			line(func() string { return d.fileText(i) })
		}
	}
	// Made without a total, which can then follow what is left out on the way.
	d.all = d.p.AddBar(0,
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return d.shareText() })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return d.leftText() })))
	line(func() string { return strings.Join(d.snapshot().how(), ", ") })
	return d
}

func (d *bars) snapshot() snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// nameWidth is how much of a name is shown.
const nameWidth = 60

func (d *bars) fileText(i int) string {
	s := d.snapshot()
	if i >= len(s.Active) {
		return ""
	}
	f := s.Active[i]
	name := f.Name
	if r := []rune(name); len(r) > nameWidth {
		name = "…" + string(r[len(r)-nameWidth+1:])
	}
	return fmt.Sprintf("  %3d %% of %8s  %s", f.Done*100/max(f.Size, 1), bytesText(f.Size), tidy(name))
}

func (d *bars) shareText() string {
	s := d.snapshot()
	return fmt.Sprintf("%d/%d files, %s of %s ", s.Sent, s.Files, s.share(), bytesText(s.Total))
}

func (d *bars) leftText() string {
	if s := d.snapshot(); s.Left != nil && s.Done < s.Total {
		return leftText(*s.Left) + " left"
	}
	return ""
}

func (d *bars) update(s snapshot) {
	d.mu.Lock()
	d.now = s
	d.mu.Unlock()
	d.all.SetTotal(max(s.Total, 1), false)
	d.all.SetCurrent(s.Done)
}

func (d *bars) event(e event) {
	text := e.line(d.each)
	switch {
	case text == "":
	case d.results != nil && e.Event != "path" && e.Event != "failed":
		fmt.Fprintln(d.results, text)
	default:
		_, _ = fmt.Fprintln(d.p, text) // above the bars
	}
}

func (d *bars) close() {
	for _, b := range d.lines {
		b.Abort(true)
	}
	d.all.Abort(false)
	d.p.Wait()
}
