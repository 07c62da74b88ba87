package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"isthmus/transfer/lab"
)

// process is a program that this one started.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan []byte // of its output; closed at its end
	errors tail
	done   chan struct{}
	err    error // of its end, once done
	own    bool  // this program in a role: it ends when its input does
}

// start starts a program in a namespace, "" being our own. It has a process group of its own, so that
// Ctrl-C ends it by us, in order.
func start(namespace, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), lines: make(chan []byte, 10_000), done: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stderr = &p.errors
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if namespace == "" {
		err = p.cmd.Start()
	} else {
		err = lab.Within(namespace, p.cmd.Start) // a child has the namespace of the thread that starts it
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case p.lines <- bytes.Clone(s.Bytes()):
			default: // nobody reads: what came last is of no use any more
			}
		}
		close(p.lines)
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// startRole starts this program in a role.
func startRole(namespace, role string, args any) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	p, err := start(namespace, self, role, string(text))
	if err == nil {
		p.own = true
	}
	return p, err
}

// read decodes the next line that the program prints.
func (p *process) read(ctx context.Context, into any) error {
	select {
	case line, ok := <-p.lines:
		if !ok {
			<-p.done
			return fmt.Errorf("%w: %s", errors.Join(p.err, io.ErrUnexpectedEOF), p.errors.text())
		}
		return json.Unmarshal(line, into)
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(20 * time.Second):
		return errors.New("no answer for 20 s")
	}
}

// wait waits for the program's end, or gives up with ctx.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%s: %w: %s", p.cmd.Path, p.err, p.errors.text())
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const patience = 3 * time.Second

// end ends the program and what it started itself, politely at first. Further calls do nothing.
func (p *process) end() {
	_ = p.stdin.Close()
	if p.own && p.over(patience) {
		return
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if p.over(0) {
			return
		}
		for _, pid := range append(children(p.cmd.Process.Pid), p.cmd.Process.Pid) {
			_ = syscall.Kill(pid, s)
		}
		if p.over(patience) {
			return
		}
	}
	<-p.done
}

// over tells whether it has ended, or ends within that time.
func (p *process) over(within time.Duration) bool {
	select {
	case <-p.done:
		return true
	default:
	}
	select {
	case <-p.done:
		return true
	case <-time.After(within):
		return false
	}
}

// children are the processes that a process started, and they.
func children(pid int) (all []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // of each of its threads
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, f := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(f); err == nil {
				all = append(all, children(child)...)
				all = append(all, child)
			}
		}
	}
	return all
}

// cpu is what the program used, and what those used that it started and waited for.
func (p *process) cpu() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-2000):]
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}
