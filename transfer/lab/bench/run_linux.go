package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// result is one run: a line of bench/transfer.jsonl. Shares are in percent. What could not be measured is null.
type result struct {
	Time       time.Time `json:"time"`
	Link       string    `json:"link"`
	Peer       string    `json:"peer"`
	Size       int64     `json:"size"` // bytes of the file
	Goodput    *float64  `json:"goodput_pct"`
	Goal       float64   `json:"goal_pct,omitempty"`
	Wire       *float64  `json:"wire_ratio"`  // bytes sent into the link for each byte of the file that came
	Reverse    *float64  `json:"reverse_pct"` // bytes sent back, of those
	CPU        float64   `json:"cpu_s_per_gb"`
	SHA256OK   *bool     `json:"sha256_ok"`
	CPUSend    float64   `json:"cpu_send_s_per_gb"`
	CPUReceive float64   `json:"cpu_receive_s_per_gb"`
	Digest     float64   `json:"sha256_s_per_gb,omitempty"` // part of the CPU: what the SHA-256 of both sides costs here
	Redundant  *float64  `json:"redundant_pct,omitempty"`   // payload beyond what file and loss made necessary
	Seconds    float64   `json:"seconds"`
	Mbit       float64   `json:"mbit_s"`
	Came       int64     `json:"came"` // bytes
	Cut        bool      `json:"cut"`
	Loss       *float64  `json:"loss_pct,omitempty"` // that the link really had, queue drops included
	LateMS     float64   `json:"late_ms,omitempty"`  // the emulator's own delay, at most
	Load       float64   `json:"load"`               // of the machine, over the last minute
	Error      string    `json:"error,omitempty"`
}

// bench is one start of the program.
type bench struct {
	options
	dir     string // of all files; gone at the end
	sources map[int64]source
	hashing float64 // CPU s/GB of SHA-256, one side
	runs    int
}

type source struct {
	path string
	sum  []byte
}

// source makes a file of random bytes, once for each size.
func (b *bench) source(size int64) (source, error) {
	if s, ok := b.sources[size]; ok {
		return s, nil
	}
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	f, err := os.Create(filepath.Join(b.dir, "source-"+strconv.FormatInt(size, 10)))
	if err != nil {
		return source{}, err
	}
	_, err = io.CopyN(f, mathrand.NewChaCha8(seed), size)
	if err = errors.Join(err, f.Close()); err != nil {
		return source{}, fmt.Errorf("%w: twice the file's size is needed; TMPDIR chooses the place", err)
	}
	s := source{path: f.Name()}
	s.sum, err = b.hash(s.path)
	b.sources[size] = s
	return s, err
}

// hash reads a file for its SHA-256 and notes what that costs.
func (b *bench) hash(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadCPU()
	h := sha256.New()
	n, err := io.Copy(h, struct{ io.Reader }{f})
	if n >= mib {
		b.hashing = (threadCPU() - before).Seconds() / float64(n) * 1e9
	}
	return h.Sum(nil), err
}

func threadCPU() time.Duration {
	var r unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// measure sends one file by one peer, over a link or, without one, on loopback.
func (b *bench) measure(ctx context.Context, s *scenario, e *emulator, p peer, size int64) result {
	r := result{Time: time.Now().UTC().Truncate(time.Second), Link: loopback, Peer: p.name, Size: size, Load: load()}
	if s != nil {
		r.Link, r.Goal = s.name, 0
		if p.name == "isthmus" {
			r.Goal = s.goalFor(size)
		}
	}
	if err := b.run(ctx, s, e, p, &r); err != nil {
		r.Error = err.Error()
	}
	return r
}

func (b *bench) run(ctx context.Context, s *scenario, e *emulator, p peer, r *result) error {
	src, err := b.source(r.Size)
	if err != nil {
		return err
	}
	b.runs++
	dir := filepath.Join(b.dir, fmt.Sprintf("run-%d", b.runs))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	from, to, host := "", "", "127.0.0.1"
	limit := b.cut
	if e != nil {
		from, to, host = e.cfg.A, e.cfg.B, serverHost
		if p.congestion != "" {
			if err := e.congestion(p.congestion); err != nil {
				return err
			}
		}
		if p.kind == "isthmus" { // only the others are cut; this is for a run that hangs
			limit = max(limit, time.Minute+6*time.Duration(float64(r.Size)*8e9/float64(s.rate)))
		}
	}
	server, at, err := p.receiver(ctx, to, host, dir, r.Size)
	if err != nil {
		return err
	}
	defer server.end()
	came := &series{}
	go came.collect(server.lines)

	if e != nil {
		if p.congestion != "" {
			name, err := e.congestionOf(at.Addr)
			if err != nil || name != p.congestion {
				return fmt.Errorf("TCP uses %q, not %q: %w", name, p.congestion, err)
			}
		}
		time.Sleep(2 * s.trip)
		if _, err := e.lap(ctx); err != nil {
			return err
		}
	}
	start := time.Now()
	client, err := p.sender(from, at, src.path, dir, s)
	if err != nil {
		return err
	}
	defer client.end()
	if p.inBrowser() { // it has to be started and to have the file
		var begun string
		if err := client.read(ctx, &begun); err != nil {
			return err
		}
		start = time.Now()
	}
	running, stop := context.WithDeadline(ctx, start.Add(limit))
	defer stop()
	err = client.wait(running)
	took := time.Since(start)
	var done sent
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		r.Cut = true
		if p.kind == "scp" {
			r.Came = fileSize(dir)
		} else {
			r.Came, took = came.last(start)
		}
	case err != nil:
		return err
	default:
		r.Came = r.Size
		if done, err = p.report(ctx, client, took); err != nil {
			return err
		}
		took = time.Duration(done.Seconds * float64(time.Second))
	}
	client.end()
	if r.Cut && p.inBrowser() {
		if err := client.read(ctx, &done); err != nil {
			return err
		}
	}
	if e != nil {
		// What is still under way belongs to this run.
		time.Sleep(2*s.trip + 50*ms)
		c, err := e.lap(ctx)
		if err != nil {
			return err
		}
		loss := 1 - float64(c[0].Bytes)/float64(c[0].Sent)
		r.Loss, r.LateMS = ptr(100*loss), float64(max(c[0].LateMax, c[1].LateMax).Microseconds())/1e3
		if r.Came > 0 {
			r.Wire, r.Reverse = ptr(float64(c[0].Sent)/float64(r.Came)), ptr(100*float64(c[1].Sent)/float64(r.Came))
		}
		r.Goodput = ptr(100 * float64(r.Came) * 8 / took.Seconds() / float64(s.rate))
		if done.Sent > 0 {
			r.Redundant = ptr(100 * (float64(done.Sent)*(1-loss)/float64(r.Size) - 1))
		}
	}
	server.end()
	r.Seconds = took.Seconds()
	r.Mbit = float64(r.Came) * 8 / took.Seconds() / 1e6
	if r.Came > 0 {
		gb := float64(r.Came) / 1e9
		r.CPUSend, r.CPUReceive = or(done.CPU, client.cpu().Seconds())/gb, server.cpu().Seconds()/gb
		r.CPU = r.CPUSend + r.CPUReceive
	}
	if !r.Cut && p.page.Way != "datagrams" { // those are counted only
		sum, err := b.hash(filepath.Join(dir, "0"))
		if err != nil {
			return err
		}
		r.SHA256OK = ptr(bytes.Equal(sum, src.sum))
	}
	if p.digest {
		r.Digest = 2 * b.hashing
	}
	return nil
}

// report reads what a sender that is done says of its run, which took so long as we saw it.
func (p peer) report(ctx context.Context, client *process, took time.Duration) (done sent, err error) {
	done.Seconds = took.Seconds()
	switch p.kind {
	case "scp": // says nothing: from start to end it is
	case "curl":
		err = client.read(ctx, &done.Seconds)
	default:
		err = client.read(ctx, &done)
	}
	return done, err
}

func ptr[T any](v T) *T { return &v }

// load is the machine's load average of the last minute.
func load() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	v, _ := strconv.ParseFloat(first, 64)
	return v
}
