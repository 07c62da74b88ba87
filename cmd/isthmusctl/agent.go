package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/netutil"
)

// agentCommand is the background service that sends for the transfer page (docs/agent.md).
type agentCommand struct {
	Run       agentRunCommand       `cmd:"" help:"Run the agent here, until Ctrl-C."`
	Install   agentInstallCommand   `cmd:"" help:"Run the agent as a service of yours, from now on and after every sign-in to this computer."`
	Uninstall agentUninstallCommand `cmd:"" help:"Stop the service and remove it. The queue and the pairings stay."`
	Status    agentStatusCommand    `cmd:"" help:"Say whether the agent runs, for which pages, and what it sends."`
	Pair      agentPairCommand      `cmd:"" help:"Let the transfer page of a server use the agent: shows a code to type there."`
	Unpair    agentUnpairCommand    `cmd:"" help:"Let the page of a server no longer use the agent."`
}

type agentRunCommand struct {
	Folder []string `help:"Folder that paired pages may list and send from. May be given several times." type:"existingdir" placeholder:"DIR"`
	Ports  []int    `hidden:"" help:"Ports to listen on, the first that is free." env:"ISTHMUS_AGENT_PORTS"`
}

// Run works until ctx ends.
func (c *agentRunCommand) Run(ctx context.Context, a *app) (err error) {
	ports := c.Ports
	if len(ports) == 0 {
		ports = agentPorts
	}
	dir := agentDir(a.vault)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	q, err := openQueue(filepath.Join(dir, "queue.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.close()) }()
	picks, err := newAgentPicks(c.Folder, newFileDialog())
	if err != nil {
		return err
	}
	device, err := os.Hostname()
	if err != nil {
		device = "this computer"
	}
	ag, err := newAgent(q, picks, device, newAgentWork(a))
	if err != nil {
		return err
	}
	listeners, port, err := listenAgent(ports)
	if err != nil {
		return err
	}
	door, err := newAgentDoor(q, ports, port)
	if err != nil {
		return err
	}
	s := &agentServer{agent: ag, door: door, control: rand.Text(), streams: make(chan struct{}, mostStreams)}
	run := agentRunning{Port: port, Key: s.control, PID: os.Getpid()}
	if err := writePrivate(runFile(a.vault), run); err != nil {
		return err
	}
	defer func() { _ = os.Remove(runFile(a.vault)) }() // a stale one is told by its port not answering
	a.notice("The agent listens on 127.0.0.1:%d. Ctrl-C ends it.", port)
	return s.serve(ctx, listeners)
}

// serve answers and sends until ctx ends.
func (s *agentServer) serve(ctx context.Context, listeners []net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	web := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }, // ends the streams
		ErrorLog:    slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- web.Serve(netutil.LimitListener(l, 128)) }()
	}
	working := make(chan struct{})
	go func() {
		defer close(working)
		s.agent.run(ctx)
	}()
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	cancel()
	<-working
	if cerr := web.Close(); err == nil {
		err = cerr
	}
	return err
}

func agentDir(v vault) string { return filepath.Join(v.dir, "agent") }

func version() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "unknown"
}

type agentStatusCommand struct{}

// Run asks the agent.
func (c *agentStatusCommand) Run(ctx context.Context, a *app) error {
	var st controlStatus
	if err := a.control(ctx, http.MethodGet, "status", nil, &st); err != nil {
		return err
	}
	if a.JSON {
		return a.printLine(st)
	}
	fmt.Fprintf(a.out, "The agent runs, on 127.0.0.1:%d.\n", st.Port)
	if len(st.Origins) == 0 {
		fmt.Fprintln(a.out, "No page may use it; isthmusctl agent pair lets one.")
	}
	for _, o := range st.Origins {
		fmt.Fprintf(a.out, "  page: %s\n", o)
	}
	for _, f := range st.Folders {
		fmt.Fprintf(a.out, "  folder open to pages: %s\n", f)
	}
	for _, j := range st.Jobs {
		fmt.Fprintf(a.out, "  %s: %s, %d of %d files, %d of %d bytes\n", j.State, j.Name, j.FilesDone, j.Files, j.Sent, j.Size)
		if j.Error != nil {
			fmt.Fprintf(a.out, "    %s %s\n", j.Error.Message, j.Error.NextStep)
		}
	}
	return nil
}

type agentPairCommand struct {
	URL string `arg:"" optional:"" help:"Address of the server whose page it is. Default: where you signed in last."`
}

// Run shows a code and waits until it was used.
func (c *agentPairCommand) Run(ctx context.Context, a *app) error {
	origin, err := a.pageOrigin(c.URL)
	if err != nil {
		return err
	}
	var made controlCode
	if err := a.control(ctx, http.MethodPost, "pair", controlOrigin{origin}, &made); err != nil {
		return err
	}
	if a.JSON {
		a.emit(event{Event: "enter_code", URL: origin, Code: made.Code})
	} else {
		fmt.Fprintf(a.out, "On the page Transfers of %s, under “Set it up”, enter the code\n\n  %s\n\nwithin %d minutes. On no other page: who has the code can send your files.\n",
			origin, made.Code, int(codeLife.Minutes()))
	}
	for {
		var st controlState
		if err := a.control(ctx, http.MethodGet, "pair", nil, &st); err != nil && ctx.Err() == nil {
			return err
		}
		switch st.State {
		case "paired":
			if a.JSON {
				a.emit(event{Event: "paired", URL: origin})
			} else {
				fmt.Fprintf(a.out, "The page of %s may use the agent now.\n", origin)
			}
			return nil
		case "spent":
			return fail(exitFailed, "The code was mistyped five times and is void.", "If that was not you, another program on this computer tried; run the command again for a new code.")
		case "over":
			return fail(exitFailed, "Nobody entered the code in time.", "Run the command again for another code.")
		}
		select {
		case <-ctx.Done():
			return fail(exitPaused, "Stopped waiting; the code stays good.", "")
		case <-time.After(300 * time.Millisecond):
		}
	}
}

type agentUnpairCommand struct {
	URL string `arg:"" optional:"" help:"Address of the server whose page it is. Default: where you signed in last."`
}

// Run forgets every browser that was paired for the server's page.
func (c *agentUnpairCommand) Run(ctx context.Context, a *app) error {
	origin, err := a.pageOrigin(c.URL)
	if err != nil {
		return err
	}
	if err := a.control(ctx, http.MethodPost, "unpair", controlOrigin{origin}, nil); err != nil {
		return err
	}
	a.notice("The page of %s may no longer use the agent. What it sends goes on.", origin)
	return nil
}

// pageOrigin is the origin of the server that was named, or of the last sign-in.
func (a *app) pageOrigin(typed string) (string, error) {
	if typed == "" {
		typed = a.Server
	}
	if typed == "" {
		all, err := a.vault.read()
		if err != nil {
			return "", err
		}
		k := all.find("", "")
		if k == nil {
			return "", fail(exitUsage, "No server is named.", "Name it: isthmusctl agent pair https://isthmus.example.org")
		}
		typed = k.Server
	}
	if !strings.Contains(typed, "://") {
		typed = "https://" + typed
	}
	origin, err := parseOrigin(typed)
	if err != nil {
		return "", fail(exitUsage, err.Error()+".", "Use its https address.")
	}
	return origin, nil
}

// unique sorts names and drops what comes twice.
func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
