package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"isthmus/openapi"
)

// sends is how one run of a job went.
type sends struct {
	mu       sync.Mutex
	begun    []string
	files    int
	bytes    int64
	moved    chan struct{} // closed by the first bytes
	moveOnce sync.Once
}

func newSends() *sends { return &sends{moved: make(chan struct{})} }

func (s *sends) events() agentEvents {
	return agentEvents{
		begun: func(id string) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.begun = append(s.begun, id)
			return nil
		},
		progress: func(_ jobLive, files int, sent int64) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.files, s.bytes = files, sent
			if sent > 0 {
				s.moveOnce.Do(func() { close(s.moved) })
			}
		},
	}
}

// The agent's sending, at a real server: what is there is not sent again, what is under way goes on as the
// same transfer, whatever the agent knew when it died; a cancel at the server ends the job.
func TestAgentSends(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ctx := t.Context()
	v := vault{t.TempDir()}
	token, err := (&openapi.Credentials{BaseURL: s.BaseURL, ClientID: s.ClientID, ClientSecret: s.ClientSecret}).ClientCredentials(ctx).Token()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.change(ctx, func(all *logins) (bool, error) {
		all.put(login{Server: s.BaseURL, HubID: s.HubID, Token: *token})
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	w := &agentSender{app: &app{commandLine: &commandLine{}, vault: v, out: io.Discard, err: io.Discard, patience: hasty}, logins: map[string]*pendingLogin{}}
	ses, err := w.connect(s.BaseURL, s.HubID)
	if err != nil {
		t.Fatal(err)
	}
	uploads := func() int {
		r, err := ses.api.ListUploadsWithResponse(ctx, s.HubID, &openapi.ListUploadsParams{Limit: ptr(openapi.PageLimit(100))})
		if err != nil || r.JSON200 == nil {
			t.Fatal(err, string(r.Body))
		}
		return len(r.JSON200.Items)
	}
	dir := t.TempDir()
	folder := openFolder{path: dir}
	local := func(name string, size int) localFile {
		text := make([]byte, size)
		_, _ = rand.Read(text)
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		files, _, err := collectInside(folder, name)
		if err != nil {
			t.Fatal(err)
		}
		return files[0].local()
	}
	job := func(name string) queueJob { return queueJob{ID: name, Server: s.BaseURL, Hub: s.HubID} }

	files := []localFile{local("a.mp4", 70_000), local("b.mp4", 80_000), local("c.mp4", 90_000)}
	away := filepath.Join(t.TempDir(), "c.mp4")
	if err := os.Rename(filepath.Join(dir, "c.mp4"), away); err != nil {
		t.Fatal(err)
	}
	j, one := job("first"), newSends()
	err = w.send(ctx, j, files, one.events())
	if err == nil || !strings.Contains(err.Error(), "1 of 3 files were not sent") || strings.Contains(err.Error(), dir) || again(err) || len(one.begun) != 1 || one.files != 2 {
		t.Fatalf("a file that is gone: %v %+v", err, one)
	}
	if err := os.Rename(away, filepath.Join(dir, "c.mp4")); err != nil {
		t.Fatal(err)
	}
	j.Begun, j.Transfers = true, one.begun
	two := newSends()
	if err := w.send(ctx, j, files, two.events()); err != nil || len(two.begun) != 1 || two.files != 3 || two.bytes != 240_000 || uploads() != 3 {
		t.Fatalf("with the file back: %v %+v, %d uploads", err, two, uploads())
	}
	j.Transfers = nil // it died before it knew
	three := newSends()
	if err := w.send(ctx, j, files, three.events()); err != nil || len(three.begun) != 0 || uploads() != 3 {
		t.Fatalf("sent before: %v %+v, %d uploads", err, three, uploads())
	}

	// 16 s at this rate: it is under way until the test is done with it.
	large := []localFile{local("large.mp4", 20_000_000)}
	slow := job("slow")
	slow.Policy, slow.Rate = "fixed", 10_000_000
	start := func(ctx context.Context, j queueJob) (*sends, chan error) {
		run, ended := newSends(), make(chan error, 1)
		go func() { ended <- w.send(ctx, j, large, run.events()) }()
		select {
		case <-run.moved:
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(3 * time.Minute):
			t.Fatal("nothing moves")
		}
		return run, ended
	}
	cut, cancel := context.WithCancel(ctx)
	run, ended := start(cut, slow)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("cut: %v", err)
	}
	slow.Begun, slow.Transfers = true, run.begun
	goes, ended := start(ctx, slow)
	if len(goes.begun) != 0 || uploads() != 4 {
		t.Errorf("it went on as another transfer: %v, %d uploads", goes.begun, uploads())
	}
	// Another agent of the same person sends the same file: the newer one goes on.
	slow.Transfers = nil
	newer, took := start(ctx, slow)
	if err := <-ended; !isTakenOver(err) {
		t.Errorf("taken over: %v", err)
	}
	slow.Transfers, ended = newer.begun, took
	if err := w.cancel(ctx, slow); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, errCancelledThere) {
		t.Errorf("cancelled at the server: %v", err)
	}
	if err := w.send(ctx, slow, large, newSends().events()); !errors.Is(err, errCancelledThere) || uploads() != 4 {
		t.Errorf("cancelled while the agent was away: %v, %d uploads", err, uploads())
	}
	if _, err := w.connect(s.BaseURL, "hub_of_others"); err != errNoLogin {
		t.Errorf("a hub without a sign-in: %v", err)
	}
	agentKilled(t, s, v)
	if uploads() != 5 {
		t.Errorf("%d uploads", uploads())
	}
}

// An agent that is killed in mid-file goes on by itself when it is started again, as the same transfer.
func agentKilled(t *testing.T, s *server, v vault) {
	if err := os.MkdirAll(agentDir(v), 0o700); err != nil {
		t.Fatal(err)
	}
	q, err := openQueue(filepath.Join(agentDir(v), "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "killed.mp4")
	text := make([]byte, 6_000_000)
	_, _ = rand.Read(text)
	write(t, path, string(text))
	files, err := collect(path)
	if err != nil {
		t.Fatal(err)
	}
	j := queueJob{
		ID: "agj_killed", Server: s.BaseURL, Hub: s.HubID, Name: "killed.mp4", Files: 1, Size: 6_000_000, Policy: "fixed", Rate: 16_000_000,
		State: queueQueued, Created: time.Now(),
	}
	if err := errors.Join(q.add(&j, files), q.close()); err != nil {
		t.Fatal(err)
	}
	a := &app{commandLine: &commandLine{}, vault: v, out: io.Discard, err: io.Discard}
	run := func(until func(jobView) bool) jobView {
		c := exec.Command("hasty", "agent", "run")
		c.Env = append(os.Environ(), "ISTHMUS_CONFIG_DIR="+v.dir, "ISTHMUS_AGENT_PORTS=0")
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = c.Process.Kill()
			_ = c.Wait()
		}()
		var st controlStatus
		for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if err := a.control(t.Context(), "GET", "status", nil, &st); err == nil && len(st.Jobs) == 1 && until(st.Jobs[0]) {
				return st.Jobs[0]
			}
		}
		t.Fatalf("it waits in vain: %+v", st)
		return jobView{}
	}
	before := run(func(j jobView) bool { return j.Sent > 0 })
	after := run(func(j jobView) bool { return j.State == queueDone })
	if before.Transfer == "" || after.Transfer != before.Transfer || before.State != queueSending || after.Sent != j.Size {
		t.Errorf("killed at %+v, went on to %+v", before, after)
	}
}
