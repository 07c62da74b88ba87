package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"isthmus/transfer/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 3 && roles[os.Args[1]] != nil {
		err = roles[os.Args[1]](ctx, []byte(os.Args[2]))
	} else {
		err = benchmark(ctx, os.Args[1:], os.Stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// roles are what this program is when it was started by itself.
var roles = map[string]func(context.Context, []byte) error{
	"link":  func(_ context.Context, args []byte) error { return role(args, runLink) },
	"serve": func(ctx context.Context, args []byte) error { return role(args, bound(ctx, serve)) },
	"send":  func(ctx context.Context, args []byte) error { return role(args, bound(ctx, send)) },
}

func role[T any](text []byte, run func(T) error) error {
	var args T
	if err := json.Unmarshal(text, &args); err != nil {
		return err
	}
	return run(args)
}

// bound ends a role when its input ends, as it does with whoever started it, however that ended.
func bound[T any](ctx context.Context, run func(context.Context, T) error) func(T) error {
	return func(args T) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
		return run(ctx, args)
	}
}

type options struct {
	links, sizeText, peers, out string
	cut, checkFor               time.Duration
	repeat, starts              int
	size                        int64
}

func benchmark(ctx context.Context, args []string, stdout io.Writer) error {
	b := &bench{sources: map[int64]source{}}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&b.links, "links", "", "A,B,C,D,E,F, fasp, loopback, fairness, or all; default A to F")
	f.StringVar(&b.sizeText, "size", "", "of the file, such as 64MiB or 1GiB; default: the link's own")
	f.StringVar(&b.peers, "peers", "", "who sends, from the list below; default "+linkPeers+", and on loopback "+loopbackPeers)
	f.StringVar(&b.out, "out", "bench/transfer.jsonl", "file that each run adds a line to")
	f.DurationVar(&b.cut, "cut", time.Minute, "after which the others are cut; they count by what has come")
	f.DurationVar(&b.checkFor, "check", time.Second, "of full packets at four fifths and at six fifths of a link's rate, to see what it is")
	f.IntVar(&b.repeat, "runs", 0, "of each peer on each link; default 1, on loopback 3")
	f.IntVar(&b.starts, "starts", 10, "fairness: how often two equal flows start")
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "Sends one file by several programs over emulated links and compares them. docs/transfer.md explains the table.")
		f.PrintDefaults()
		fmt.Fprintf(f.Output(), "Links (rate, round trip, loss each way; a queue of one bandwidth-delay product):\n")
		for _, s := range scenarios {
			fmt.Fprintf(f.Output(), "  %v; %s\n", s, sizeText(s.size))
		}
		fmt.Fprintf(f.Output(), "  %s: CPU on this machine; %s: several flows on link A\nPeers:\n  %s\n", loopback, fairness, peerNames())
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	links, loop, fair, err := parseLinks(b.links)
	if err != nil {
		return err
	}
	if b.size, err = parseSize(b.sizeText); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "isthmus-bench-"); err != nil {
		return err
	}
	defer func() { complain(os.RemoveAll(b.dir)) }()
	out, err := newReport(b.out, stdout)
	if err != nil {
		return err
	}
	if reason := noLinks(); reason != "" && (len(links) > 0 || fair) {
		out.say("Skipped: all links, because %s.", reason)
		links, fair = nil, false
	}
	for _, s := range links {
		err = errors.Join(err, b.onLink(ctx, s, out))
	}
	if loop {
		err = errors.Join(err, b.onLoopback(ctx, out))
	}
	if fair {
		err = errors.Join(err, b.fairness(ctx, out))
	}
	out.table()
	switch {
	case ctx.Err() != nil:
		err = errors.New("interrupted; everything that was started has been ended")
	case out.failed > 0:
		err = errors.Join(err, fmt.Errorf("%d runs failed", out.failed))
	}
	return errors.Join(err, out.close())
}

// noLinks says why links cannot be emulated here; "": they can.
func noLinks() string {
	if _, err := exec.LookPath("ip"); err != nil {
		return "there is no program ip (package iproute2)"
	}
	if os.Getuid() != 0 {
		return "namespaces and TUN devices need root"
	}
	name := fmt.Sprintf("bench-try-%d", os.Getpid())
	n, err := lab.Open(lab.Config{A: name + "-a", B: name + "-b"})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EPERM):
		return fmt.Sprintf("this machine does not allow it (%v)", err)
	case err != nil:
		return err.Error()
	}
	if err := n.Close(); err != nil {
		return err.Error()
	}
	return ""
}

// onLink builds a link, checks that it is what it should be, and lets each peer send a file.
func (b *bench) onLink(ctx context.Context, s scenario, out *report) error {
	if ctx.Err() != nil {
		return nil
	}
	chosen, err := parsePeers(or(b.peers, map[bool]string{true: "isthmus", false: linkPeers}[s.onlyFast]))
	if err != nil {
		return err
	}
	e, err := openLink(ctx, s)
	if err != nil {
		return err
	}
	defer e.process.end()
	if err := b.check(ctx, s, e, out); err != nil {
		return err
	}
	for range or(b.repeat, 1) {
		for _, p := range chosen {
			if ctx.Err() != nil {
				return nil
			}
			if reason := p.absent(true); reason != "" {
				out.absent(p.name, reason)
				continue
			}
			r := b.measure(ctx, &s, e, p, or(b.size, s.size))
			if ctx.Err() != nil {
				return nil
			}
			if err := out.add(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// check measures the link as programs see it.
func (b *bench) check(ctx context.Context, s scenario, e *emulator, out *report) error {
	m, err := lab.Check(e.cfg, b.checkFor)
	if err != nil {
		return fmt.Errorf("link %s: %w", s.name, err)
	}
	c, err := e.lap(ctx)
	if err != nil {
		return err
	}
	out.link(s, m, c[0])
	return nil
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// serverHost is where receivers listen on a link.
var serverHost = lab.Addr(1).String()

// ensureDir makes the folder of a file.
func ensureDir(path string) error { return os.MkdirAll(filepath.Dir(path), 0o755) }
