package media

import (
	"context"
	"os/exec"
	"time"

	"isthmus/gateway"
)

// Confined prepares any program as ffmpeg is prepared, around the bytes of src. Done removes the workspace.
func (p *Pipeline) Confined(ctx context.Context, src gateway.Source, l Limits, exe string, args ...string) (cmd *exec.Cmd, out string, done func(), err error) {
	w, err := p.workspace(src)
	if err != nil {
		return nil, "", nil, err
	}
	cmd, err = p.guard.command(ctx, w.dir, confinement{
		Exe: exe, Args: args, Read: []string{inName}, Write: []string{outName},
		Limits: limits(l), Nice: 1,
	})
	return cmd, w.path(outName), w.Close, err
}

// Limits is limits for tests.
type Limits limits

// Accept checks the output folder of a workspace as publishing does.
func Accept(d *Disk, out string) error {
	w := &workspace{disk: d, name: out[:len(out)-len("/"+outName)]}
	return w.accept()
}

// SetTools replaces ffmpeg by another program after the start.
func (p *Pipeline) SetTools(ffmpeg string) { p.ffmpeg = ffmpeg }

// SetStall shortens the time without progress after which ffmpeg is killed.
func SetStall(p *Pipeline, d time.Duration) { p.stall = d }

// BreakSync lets the next syncs of a staged file that is open fail.
func (s *Staging) BreakSync(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.files[id].data.Close()
}

// OpenFiles counts who has a staged file open.
func (s *Staging) OpenFiles(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[id].refs
}

// PinAtMost changes how many files wait open for a Commit.
func (s *Staging) PinAtMost(n int64) { s.most = n }

// Held is how long the process was held up by the machine since the last call.
func Held(pid int) func(passed time.Duration) time.Duration { return (&held{pid: pid}).since }
