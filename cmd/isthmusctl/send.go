package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"isthmus/openapi"
	"isthmus/transfer/rate"
)

type sendCommand struct {
	Files []string `arg:"" name:"file" help:"Files, folders, patterns such as *.mp4, or - for standard input."`

	Folder string   `help:"Drop folder to send to, by id or name; its rules say what becomes of the files, and folders keep their tree there." placeholder:"FOLDER"`
	Rate   bitRate  `help:"At most so many bits per second, such as 200M or 1.5G." placeholder:"RATE"`
	Policy string   `help:"How to treat other traffic on the line: fixed (at --rate, whatever happens), high, fair or low. Default: the hub's." enum:",fixed,high,fair,low" default:"" placeholder:"POLICY"`
	Tags   []string `help:"Tags of the new entries." name:"tag"`
	Resume bool     `help:"Go on with unfinished uploads of the same files, from this or another device, and leave out what was sent already."`
	NoFast bool     `help:"Use HTTPS only." name:"no-fast"`
	Wait   bool     `help:"Wait until everything can be played."`

	Recursive bool   `help:"Folders are always sent with all that is in them; accepted for those used to it." short:"r" hidden:""`
	Follow    bool   `help:"In folders, send what symbolic links lead to." short:"L"`
	Hidden    bool   `help:"In folders, send what begins with a dot, too."`
	Name      string `help:"What standard input is called, such as show.mp4."`
	Size      int64  `help:"Bytes that standard input will carry; sending then begins before it ends."`
}

// bitRate is a rate as people write it.
type bitRate rate.BitRate

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *bitRate) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	s = strings.TrimSuffix(strings.TrimSuffix(s, "bit/s"), "bps")
	s = strings.TrimSpace(s)
	factor := 1.0
	if n := len(s); n > 0 {
		if f, ok := map[byte]float64{'k': 1e3, 'K': 1e3, 'M': 1e6, 'm': 1e6, 'G': 1e9, 'g': 1e9}[s[n-1]]; ok {
			factor, s = f, strings.TrimSpace(s[:n-1])
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v*factor >= 8000 && v*factor <= 1e12) { // NaN, too
		return fmt.Errorf("%q is no rate: write bits per second, such as 800k, 200M or 1.5G", text)
	}
	*r = bitRate(v * factor)
	return nil
}

// Run sends the files and says what became of them.
func (c *sendCommand) Run(ctx context.Context, a *app) error {
	if c.Policy == rate.Fixed.String() && c.Rate == 0 {
		return fail(exitUsage, "The policy fixed needs a rate.", "Add one, such as --rate 200M.")
	}
	if c.Size < 0 {
		return fail(exitUsage, "Nothing has fewer than 0 bytes.", "Say with --size how many standard input will carry, or leave it out.")
	}
	files, out, end, err := c.collect(ctx, a)
	if err != nil {
		return err
	}
	defer end()
	for _, l := range out {
		if !l.bad {
			a.notice("Left out %s: %s.", l.path, l.why)
		}
	}
	if len(files) == 0 && !slices.ContainsFunc(out, func(l left) bool { return l.bad }) {
		return fail(exitUsage, "There is nothing to send.", "Folders are sent without what is hidden and without links; see --hidden and --follow.")
	}
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	w := wish{policy: c.Policy, target: rate.BitRate(c.Rate), tags: c.Tags, noFast: c.NoFast, resume: c.Resume}
	if c.Folder != "" {
		f, err := s.folder(ctx, c.Folder)
		if err != nil {
			return err
		}
		w.folder = f.ID
	}
	j := &job{app: a, session: s, wish: w, wait: c.Wait, again: goOnWith(os.Args, c.Resume)}
	if slices.ContainsFunc(files, func(f localFile) bool { return f.open != nil }) {
		j.again = "" // a pipe cannot be read again
	}
	j.leave(out)
	return j.run(ctx, files)
}

// collect finds the files; end frees what was kept for it.
func (c *sendCommand) collect(ctx context.Context, a *app) (files []localFile, out []left, end func(), _ error) {
	end = func() {}
	named := slices.DeleteFunc(slices.Clone(c.Files), func(f string) bool { return f == "-" })
	if len(named) < len(c.Files) {
		if c.Name == "" {
			return nil, nil, nil, fail(exitUsage, "Standard input has no name.", "Say what it is called: --name show.mp4")
		}
		if c.Size == 0 {
			a.notice("Reading standard input into a temporary file first; with --size sending could begin at once.")
		}
		pipe, err := newSpool(ctx, a.in, c.Size)
		if ctx.Err() != nil {
			return nil, nil, nil, fail(exitPaused, "Stopped before standard input ended. Nothing was sent.", "")
		}
		if err != nil {
			return nil, nil, nil, fail(exitFailed, "Standard input cannot be kept in a temporary file: "+err.Error()+".", "Free some room in "+os.TempDir()+", or set TMPDIR.")
		}
		end = pipe.remove
		if pipe.size == 0 {
			out = append(out, left{"-", "empty: there is nothing to play in it", true})
		} else {
			files = append(files, pipe.local(c.Name))
		}
	}
	found, more, err := search(named, searchRules{follow: c.Follow, hidden: c.Hidden})
	if err != nil {
		end()
		return nil, nil, nil, err
	}
	return append(files, found...), append(out, more...), end, nil
}

// goOnWith is the command that goes on after a pause.
func goOnWith(args []string, resumes bool) string {
	end := slices.Index(args, "--") // behind it there are no options
	if end < 0 {
		end = len(args)
	}
	words := []string{filepath.Base(args[0])}
	for _, arg := range args[1:end] {
		words = append(words, shellWord(arg))
	}
	if !resumes {
		words = append(words, "--resume")
	}
	for _, arg := range args[end:] {
		words = append(words, shellWord(arg))
	}
	return strings.Join(words, " ")
}

// shellWord writes a word so that a shell reads the same and does nothing with it.
func shellWord(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=:,+@", r)
	}
	switch {
	case word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }):
		return word
	case runtime.GOOS == "windows":
		return `"` + word + `"` // which is in no name there
	case tidy(word) == word:
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	var b strings.Builder // as bash, ksh and zsh take what no terminal may see
	for _, c := range []byte(word) {
		if plain(rune(c)) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return "$'" + b.String() + "'"
}

// job is one run of send: files in one or several transfers, one after the other.
type job struct {
	*app
	session *session
	wish    wish
	wait    bool
	again   string

	show    display
	before  snapshot // of the transfers that are over; in Total also those to come
	skipped int      // files that were wanted and not sent, before any transfer
	begun   bool     // the server may have bytes to go on from
	sent    []string // uploads, for wait
}

// leave tells of files that are not sent though they were wanted.
func (j *job) leave(out []left) {
	for _, l := range out {
		if !l.bad {
			continue
		}
		j.skipped++
		e := event{Event: "failed", File: l.path, Text: sentence(l.why, "")}
		switch {
		case j.show != nil:
			j.show.event(e)
		case j.JSON:
			j.emit(e)
		default:
			fmt.Fprintln(j.err, e.line(true))
		}
	}
}

func (j *job) run(ctx context.Context, files []localFile) error {
	batches, done, out, err := j.session.batches(ctx, files, j.wish)
	if err != nil {
		return err
	}
	j.leave(out)
	for _, u := range done {
		if u.State == openapi.UploadStateFailed {
			j.leave([]left{{u.Name, "it arrived, but " + why(u), true}})
			continue
		}
		j.before.Sent++
		if j.JSON {
			j.emit(event{Event: "sent", Upload: u.ID, Name: u.Name, Size: u.Size, SHA256: deref(u.Sha256), State: "before"})
		}
		j.sent = append(j.sent, u.ID)
	}
	if n := j.before.Sent; n > 0 {
		j.notice("%s sent already.", count(n, "file was", "files were"))
	}
	resumed := 0
	for _, b := range batches {
		for _, c := range b {
			j.before.Files++
			j.before.Total += c.size
			if c.resume != nil {
				resumed++
			}
		}
	}
	if resumed > 0 {
		j.notice("Going on with %s.", count(resumed, "unfinished upload", "unfinished uploads"))
	}
	j.show = j.display(j.before.Files)
	for _, b := range batches {
		if err = j.batch(ctx, b); err != nil {
			break
		}
	}
	j.show.close()
	if err != nil {
		return j.stopped(ctx, err)
	}
	if j.wait && len(j.sent) > 0 {
		if err := j.ready(ctx); err != nil {
			return err
		}
	}
	return j.summary()
}

// batch sends one transfer.
func (j *job) batch(ctx context.Context, b []candidate) error {
	g, out, err := j.session.begin(ctx, b, j.wish)
	for _, l := range out {
		j.before.Files--
		for _, c := range b {
			if c.path == l.path {
				j.before.Total -= c.size
			}
		}
	}
	j.leave(out)
	if err != nil || g == nil {
		return err
	}
	if j.JSON {
		j.emit(event{Event: "transfer", Transfer: g.id, Server: j.session.server, Hub: j.session.hub, Files: len(g.files)})
	}
	g.tell = func(e event) { j.show.event(e) }
	own := g.Snapshot()
	j.before.Files -= own.Files
	j.before.Total -= own.Total
	err = g.follow(ctx, barsEvery, func(s snapshot) { j.show.update(j.with(s)) })
	last := j.with(g.Snapshot())
	j.begun = true
	j.before.Files, j.before.Sent, j.before.Failed, j.before.Done, j.before.Total = last.Files, last.Sent, last.Failed, last.Done, last.Total
	for _, f := range g.files {
		if g.isOver(f) && f.failed == nil {
			j.sent = append(j.sent, f.id)
		}
	}
	return err
}

// with adds the other transfers of the run to the present one.
func (j *job) with(s snapshot) snapshot {
	s.Files += j.before.Files
	s.Sent += j.before.Sent
	s.Failed += j.before.Failed
	s.Done += j.before.Done
	s.Total += j.before.Total
	if s.Left != nil && s.Rate > 0 {
		*s.Left = float64(s.Total-s.Done) * 8 / float64(s.Rate)
	}
	return s
}

// stopped explains an end before the end.
func (j *job) stopped(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		if j.begun && j.again != "" && !isTakenOver(err) {
			j.notice("What arrived stays at the server for %d days. Go on with: %s", resumeDays, j.again)
		}
		return err
	}
	text := fmt.Sprintf("Paused: %s of %s are at the server and stay there for %d days.", bytesText(j.before.Done), bytesText(j.before.Total), resumeDays)
	if j.JSON {
		j.emit(event{Event: "paused", Text: text, Next: j.again, Exit: ptr(exitPaused)})
		return told(exitPaused)
	}
	fmt.Fprintln(j.err, text)
	if j.again != "" {
		fmt.Fprintf(j.err, "Go on, here or where the same files are, with:\n  %s\n", j.again)
	} else {
		fmt.Fprintln(j.err, "Standard input cannot be read again, so it has to be sent anew.")
	}
	return told(exitPaused)
}

// told ends the program with a code when everything was said.
func told(code int) error { return (&failure{code: code, text: "stopped"}).because(errTold) }

// ready waits until the uploads can be played.
func (j *job) ready(ctx context.Context) error {
	j.notice("Waiting until everything can be played. Ctrl-C ends the waiting only.")
	for _, id := range j.sent {
		for over := false; !over; {
			u, err := j.session.upload(ctx, id, ptr("wait=50"))
			switch {
			case ctx.Err() != nil:
				return fail(exitPaused, "Stopped waiting. Everything is at the server.", "")
			case lost(err) || isBusy(err): // it restarts, perhaps; nothing can be lost any more
				select {
				case <-ctx.Done():
				case <-time.After(httpsWait):
				}
				continue
			case err != nil:
				return err
			}
			switch u.State {
			case openapi.UploadStateReceiving, openapi.UploadStateHeld, openapi.UploadStateIngesting, openapi.UploadStateProcessing:
				continue
			}
			over = true
			e := event{Event: "ready", Upload: u.ID, Name: u.Name, Entry: deref(u.EntryID), State: string(u.State)}
			if u.State != openapi.UploadStateReady {
				e.Event, e.File, e.Text = "failed", u.Name, sentence("it arrived, but "+why(*u), "")
				j.before.Failed++
				j.before.Sent--
			}
			switch {
			case j.JSON:
				j.emit(e)
			case e.Event == "failed":
				fmt.Fprintln(j.err, e.line(true))
			default:
				fmt.Fprintln(j.out, e.line(true))
			}
		}
	}
	return nil
}

// why says what became of an upload that arrived and is of no use.
func why(u openapi.Upload) string {
	if u.Error != nil {
		return strings.TrimSuffix(u.Error.Message, ".") + ". " + deref(u.Error.NextStep)
	}
	return "it is " + string(u.State)
}

// summary says what became of all and gives the exit code.
func (j *job) summary() error {
	failed, code := j.before.Failed+j.skipped, exitOK
	switch {
	case failed > 0 && j.before.Sent > 0:
		code = exitSome
	case failed > 0:
		code = exitFailed
	}
	if j.JSON {
		j.emit(event{Event: "done", Hub: j.session.hub, Files: j.before.Sent, Failed: failed, Size: j.before.Done, Exit: &code})
	} else if !j.Quiet {
		fmt.Fprintf(j.err, "%s, %s, to the hub %s.", count(j.before.Sent, "file sent", "files sent"), bytesText(j.before.Done), j.session.hubName)
		if failed > 0 {
			fmt.Fprintf(j.err, " Not sent: %d.", failed)
		}
		fmt.Fprintln(j.err)
	}
	if code != exitOK {
		return told(code)
	}
	return nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
