package media

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"isthmus/gateway"
)

// Health is what an operator should know about processing media here.
type Health struct {
	Ready      bool       `json:"ready"` // media is processed
	Protection Protection `json:"protection"`
	Unsafe     bool       `json:"unsafe"` // the operator allowed processing without full protection
	FFmpeg     string     `json:"ffmpeg"` // version, e.g. "5.1.9-0+deb12u1"
	KnownHoles bool       `json:"known_holes"`
	Notes      []string   `json:"notes,omitempty"` // in words
}

// Health tells whether and how well confined media is processed. Cheap: what it says was found at start.
func (p *Pipeline) Health() Health { return p.health }

// refuse says why nothing is processed, or nil.
func (p *Pipeline) refuse() error {
	if p.health.Ready {
		return nil
	}
	return gateway.E(gateway.Unavailable, "sandbox_missing", "Media cannot be processed safely on this server.").
		Next("The operator must allow user namespaces, Landlock and seccomp (in a container: a less strict profile), or accept the risk with the unsafe option.").
		After(time.Hour).Because(fmt.Errorf("missing: %s", p.guard.Missing))
}

// examine finds out what there is to know at start.
func (p *Pipeline) examine(ctx context.Context) {
	h := Health{Protection: p.guard, Unsafe: p.unsafe, Ready: p.guard.Complete() || p.unsafe}
	if !p.guard.Complete() {
		note := "This machine cannot confine ffmpeg fully; missing: " + p.guard.Missing + "."
		if p.unsafe {
			note += " Processing goes on because the operator chose the unsafe option."
		}
		h.Notes = append(h.Notes, note)
	}
	p.health = h
	if !h.Ready {
		return
	}
	version, err := p.version(ctx)
	if err != nil {
		p.health.Ready = false
		p.health.Notes = append(h.Notes, "ffmpeg does not run in the sandbox: "+err.Error())
		return
	}
	p.health.FFmpeg = version
	if p.health.KnownHoles = knownHoles(version); p.health.KnownHoles {
		p.health.Notes = append(h.Notes, "ffmpeg "+version+" has known security holes (CVE-2026-8461 and later); the sandbox and the "+
			"allow-lists contain them. Install 5.1.10, 6.1.6, 7.1.5, 8.1.3 or newer when you can.")
	}
}

func (p *Pipeline) version(ctx context.Context) (string, error) {
	dir, err := p.disk.root.Open(workDir)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	cmd, err := p.guard.command(ctx, dir, confinement{
		Exe: p.ffmpeg, Args: []string{"-version"}, Unsafe: p.unsafe,
		Limits: limits{Memory: 3 << 30, CPU: 10, Output: 1, Files: 64, Threads: 16},
	})
	if err != nil {
		return "", err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, stderr.String())
	}
	m := regexp.MustCompile(`^ffmpeg version (\S+)`).FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("unexpected answer to -version")
	}
	return string(m[1]), nil
}

// knownHoles tells whether a version lacks the fixes of 2026. Distributions may have taken over
// single fixes, which the number does not tell: then this warns for nothing, which is the better mistake.
func knownHoles(version string) bool {
	m := regexp.MustCompile(`^n?(\d+)\.(\d+)(?:\.(\d+))?`).FindStringSubmatch(version)
	if m == nil {
		return false // a build from git; nothing is known about it
	}
	num := func(i int) int { n, _ := strconv.Atoi(m[i]); return n }
	major, minor, patch := num(1), num(2), num(3)
	fixed := map[int][2]int{5: {1, 10}, 6: {1, 6}, 7: {1, 5}, 8: {1, 3}}
	if f, ok := fixed[major]; ok {
		return minor < f[0] || (minor == f[0] && patch < f[1])
	}
	return major < 5
}
