package media

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"isthmus/gateway"
)

// Options make a Pipeline.
type Options struct {
	Disk    *Disk
	FFmpeg  string // path or name; empty = "ffmpeg"
	FFprobe string // path or name; empty = "ffprobe"
	Encodes int    // encodings at once; 0 = processors less one, at least one
	Unsafe  bool   // process media although this machine cannot confine ffmpeg fully
}

// Pipeline looks into media and makes it playable. It implements gateway.Pipeline.
type Pipeline struct {
	disk            *Disk
	ffmpeg, ffprobe string
	unsafe          bool
	guard           Protection
	health          Health
	quick, slow     chan struct{} // slots
	stall           time.Duration // longest wait for progress
}

var _ gateway.Pipeline = (*Pipeline)(nil)

// New checks ffmpeg and the sandbox and clears what an earlier process left behind. A machine that
// cannot confine ffmpeg is no error: Health says so and every call is refused with "sandbox_missing".
func New(ctx context.Context, o Options) (*Pipeline, error) {
	if !helperReady {
		return nil, errors.New("media.SandboxMain must be called first thing in main: the pipeline runs ffmpeg through this very program")
	}
	p := &Pipeline{disk: o.Disk, unsafe: o.Unsafe, stall: time.Minute}
	for _, tool := range []struct {
		path *string
		name string
		def  string
	}{{&p.ffmpeg, o.FFmpeg, "ffmpeg"}, {&p.ffprobe, o.FFprobe, "ffprobe"}} {
		if tool.name == "" {
			tool.name = tool.def
		}
		found, err := exec.LookPath(tool.name)
		if err != nil {
			return nil, fmt.Errorf("%s is needed to process media (on Debian: apt-get install ffmpeg): %w", tool.name, err)
		}
		*tool.path = found
	}
	if o.Encodes <= 0 {
		o.Encodes = max(runtime.NumCPU()-1, 1)
	}
	p.slow = make(chan struct{}, o.Encodes)
	p.quick = make(chan struct{}, runtime.NumCPU()+1)
	if err := p.disk.clearWork(); err != nil {
		return nil, err
	}
	p.guard = protection()
	p.examine(ctx)
	return p, nil
}

// clearWork removes the workspaces of a process that is gone. Only one process uses a data folder.
func (d *Disk) clearWork() error {
	dir, err := d.root.Open(workDir)
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "run_") || strings.HasPrefix(name, "gone_") {
			if err := d.root.RemoveAll(workDir + "/" + name); err != nil {
				return err
			}
		}
	}
	return nil
}

// slot waits for its turn.
func slot(ctx context.Context, c chan struct{}) (release func(), _ error) {
	select {
	case c <- struct{}{}:
		return func() { <-c }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
