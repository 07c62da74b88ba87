package media

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"isthmus/gateway"
)

// Names inside a workspace. The input has the same name whatever it was called.
const (
	inName  = "in"
	outName = "out"
)

// workspace is the private folder of one attempt: the one input, linked, and one folder for output.
type workspace struct {
	disk *Disk
	name string   // below the data folder
	dir  *os.File // what the sandbox gets as its working folder
	size int64    // of the input
}

// workspace makes one around the bytes of src. Close it.
func (p *Pipeline) workspace(src gateway.Source) (_ *workspace, err error) {
	from := stagingDir + "/" + src.Staged + "/data"
	check := checkID(src.Staged)
	if src.Blob != "" {
		from, check = blobPath(src.Blob)
	}
	if check != nil {
		return nil, check
	}
	w := &workspace{disk: p.disk, name: workDir + "/" + gateway.NewID("run")}
	defer func() {
		if err != nil {
			w.Close()
		}
	}()
	root := p.disk.root
	st, err := root.Stat(from)
	if err != nil {
		return nil, noSuchBlob(err)
	}
	w.size = st.Size()
	// Searchable for the sandbox's user, who cannot get here by any other way than the descriptor.
	if err := errors.Join(root.Mkdir(w.name, 0o711), root.Chmod(w.name, 0o711), root.Mkdir(w.path(outName), 0o700)); err != nil {
		return nil, ioError(err)
	}
	if p.guard.Namespaces && os.Geteuid() == 0 {
		if err := root.Chown(w.path(outName), nobody, nobody); err != nil {
			return nil, err
		}
	}
	if err := root.Link(from, w.path(inName)); err != nil {
		return nil, ioError(err)
	}
	w.dir, err = root.Open(w.name)
	return w, ioError(err)
}

func (w *workspace) path(name string) string { return w.name + "/" + name }

func (w *workspace) input() (*os.File, error) { return w.disk.root.Open(w.path(inName)) }

// Close deletes whatever was not published.
func (w *workspace) Close() {
	if w.dir != nil {
		_ = w.dir.Close()
	}
	_ = w.disk.root.RemoveAll(w.name) // what stays is cleared at the next start
}

// job is one run of ffmpeg or ffprobe.
type job struct {
	probe    bool
	args     []string
	nice     int
	timeout  time.Duration // not counting what the machine held it up; processor time is bounded in any case
	quiet    time.Duration // how long beyond the usual it may go without progress
	memory   uint64
	cpu      time.Duration
	output   int64                 // bytes of the largest file it may write
	total    time.Duration         // for progress
	progress gateway.Progress      // nil = nobody asks
	stdout   func(io.Reader) error // takes standard output; nil = it is ffmpeg's progress
}

const stderrRing = 64 << 10

var (
	errStalled  = errors.New("no progress")
	errOvertime = errors.New("took too long")
)

// run starts a job in the sandbox and waits for it. Cancelling ctx kills it at once.
func (p *Pipeline) run(ctx context.Context, w *workspace, j job) error {
	if err := p.refuse(); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	exe := p.ffmpeg
	if j.probe {
		exe = p.ffprobe
	}
	if j.memory == 0 {
		j.memory = 3 << 30
	}
	cmd, err := p.guard.command(ctx, w.dir, confinement{
		Exe: exe, Args: j.args, Read: []string{inName}, Write: []string{outName}, Nice: j.nice, Unsafe: p.unsafe,
		Limits: limits{Memory: j.memory, CPU: uint64(math.Ceil(max(j.cpu, j.timeout).Seconds())), Output: uint64(max(j.output, 16<<20)), Files: 64, Threads: 256},
	})
	if err != nil {
		return err
	}
	var alive atomic.Bool // since the watch last looked
	touch := func() { alive.Store(true) }
	ring := &ringBuffer{limit: stderrRing}
	cmd.Stderr = ring
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return ioError(err)
	}
	done := make(chan struct{})
	var watch sync.WaitGroup
	limit := p.stall + j.quiet
	watch.Go(func() {
		tick := time.NewTicker(min(limit/4, time.Second))
		defer tick.Stop()
		machine := &held{pid: cmd.Process.Pid}
		spent, idle, last := time.Duration(0), time.Duration(0), time.Now()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				passed := now.Sub(last)
				last = now
				passed -= machine.since(passed)
				spent, idle = spent+passed, max(idle+passed, 0)
				if alive.Swap(false) {
					idle = 0
				}
				switch {
				case idle > limit:
					stop(errStalled)
					return
				case spent > j.timeout:
					stop(errOvertime)
					return
				}
			}
		}
	})
	if j.stdout != nil {
		err = j.stdout(touchingReader{out, touch})
	} else {
		err = followProgress(out, j, touch)
	}
	if err != nil {
		stop(err)
	}
	werr := cmd.Wait()
	close(done)
	watch.Wait()
	return p.classify(ctx, err, werr, ring.String())
}

// classify says what the end of a run means: nil, a refusal that is final, or trouble that may pass.
func (p *Pipeline) classify(ctx context.Context, readErr, err error, stderr string) error {
	if cause := context.Cause(ctx); cause != nil {
		switch {
		case errors.Is(cause, errStalled), errors.Is(cause, errOvertime):
			return gateway.E(gateway.Unavailable, "processing_stalled", "Processing this file made no progress and was stopped.").
				Next("It will be tried again; if it fails again, convert the file to H.264/AAC MP4 and upload that.").
				Because(fmt.Errorf("%w: %s", cause, stderr))
		case readErr == nil || !errors.Is(cause, readErr):
			return cause
		}
	}
	if readErr != nil {
		return readErr
	}
	if err == nil {
		return nil
	}
	cause := fmt.Errorf("%w: %s", err, stderr)
	if strings.Contains(stderr, "No space left on device") || strings.Contains(stderr, "Disk quota exceeded") {
		return diskFull(cause)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return cause
	}
	if exit.ExitCode() == helperFailed {
		return gateway.E(gateway.Unavailable, "sandbox_failed", "Media cannot be processed safely on this server right now.").
			Next("Tell the operator; the file is safe and will be processed later.").Because(cause)
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL {
		// Not by us: out of memory, or the limit of processor time.
		return gateway.E(gateway.Unavailable, "processing_killed", "Processing this file needed more than the server may give it.").
			Next("It will be tried again; if it fails again, upload a smaller version.").Because(cause)
	}
	if strings.Contains(stderr, "Cannot allocate memory") {
		return gateway.E(gateway.Invalid, "too_demanding", "Processing this file needs more memory than is allowed.").
			Next("Upload a version with a smaller picture.").Because(cause)
	}
	return gateway.E(gateway.Invalid, "undecodable", "The file is damaged or not what it seems to be: it could not be decoded.").
		Next("Play it on your computer; if it does not play there either, export it again.").Because(cause)
}

// followProgress reads ffmpeg's -progress lines. Only a change counts as life: a hanging ffmpeg may
// well go on to print the same numbers.
func followProgress(r io.Reader, j job, touch func()) error {
	last := map[string]string{}
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		key, value, ok := strings.Cut(sc.Text(), "=")
		if !ok || (key != "out_time_us" && key != "total_size" && key != "frame") || last[key] == value {
			continue
		}
		last[key] = value
		touch()
		if us, err := strconv.ParseInt(value, 10, 64); err == nil && key == "out_time_us" && j.progress != nil && j.total > 0 {
			j.progress(min(max(float64(us)/float64(j.total.Microseconds()), 0), 1))
		}
	}
	// A line that is too long is no reason to stop ffmpeg, but its pipe must not fill up.
	_, err := io.Copy(io.Discard, r)
	return err
}

type touchingReader struct {
	r     io.Reader
	touch func()
}

func (t touchingReader) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	t.touch()
	return n, err
}

// collect reads all of standard output up to a limit.
func collect(into *bytes.Buffer, limit int64) func(io.Reader) error {
	return func(r io.Reader) error {
		n, err := io.Copy(into, io.LimitReader(r, limit+1))
		if err == nil && n > limit {
			err = gateway.E(gateway.Invalid, "too_much_metadata", "The file holds an unreasonable amount of metadata.").
				Next("Export it again without extra tracks and metadata.")
		}
		return err
	}
}

// ringBuffer keeps the end of what was written.
type ringBuffer struct {
	mu    sync.Mutex
	limit int
	b     []byte
}

func (r *ringBuffer) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.b = append(r.b, p...)
	if len(r.b) > r.limit {
		r.b = append(r.b[:0], r.b[len(r.b)-r.limit:]...)
	}
	return len(p), nil
}

// String gives the text fit for one log line: media can hold any bytes, also in names and titles.
func (r *ringBuffer) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == '\uFFFD' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(strings.TrimSpace(string(r.b)), " "))
}
