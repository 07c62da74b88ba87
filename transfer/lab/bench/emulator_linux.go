package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isthmus/transfer/lab"
)

// The role "link" is the emulator, in a process of its own because of its priority. It takes a
// lab.Config and says "ready"; for each line of its input it prints the counters since the last one.

func runLink(cfg lab.Config) error {
	n, err := lab.Open(cfg)
	if err != nil {
		return err
	}
	defer func() { complain(n.Close()) }()
	if err := lab.Realtime(); err != nil {
		fmt.Fprintln(os.Stderr, "without real-time priority packets may be late:", err)
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode("ready"); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := out.Encode(n.Lap()); err != nil {
			return err
		}
	}
	return nil
}

type emulator struct {
	process *process
	cfg     lab.Config
}

// openLink builds a link. The names hold our process id, so that benches do not meet.
func openLink(ctx context.Context, s scenario) (*emulator, error) {
	e := &emulator{cfg: lab.Config{
		A: fmt.Sprintf("bench-a-%d", os.Getpid()), B: fmt.Sprintf("bench-b-%d", os.Getpid()),
		AB: s.link(), BA: s.link(), Seed: uint64(time.Now().UnixNano()),
	}}
	var err error
	if e.process, err = startRole("", "link", e.cfg); err != nil {
		return nil, err
	}
	var word string
	if err := e.process.read(ctx, &word); err != nil {
		e.process.end()
		return nil, err
	}
	return e, nil
}

// lap gives what crossed the link since the last lap: from A to B, and back.
func (e *emulator) lap(ctx context.Context) (c [2]lab.Counters, err error) {
	if _, err := io.WriteString(e.process.stdin, "\n"); err != nil {
		return c, err
	}
	err = e.process.read(ctx, &c)
	return c, err
}

// congestion sets TCP's congestion control on both sides.
func (e *emulator) congestion(name string) error {
	for side, namespace := range []string{e.cfg.A, e.cfg.B} {
		if err := lab.Congestion(namespace, side, name); err != nil {
			return err
		}
	}
	return nil
}

// congestionOf tells what a connection from A to an address really uses.
func (e *emulator) congestionOf(addr string) (name string, err error) {
	to, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return "", err
	}
	var c *net.TCPConn
	if err := lab.Within(e.cfg.A, func() (err error) { c, err = net.DialTCP("tcp4", nil, to); return err }); err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	raw, err := c.SyscallConn()
	if err != nil {
		return "", err
	}
	if e := raw.Control(func(fd uintptr) { name, err = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION) }); e != nil {
		err = e
	}
	return strings.TrimRight(name, "\x00"), err
}
