package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && roles[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

// stopper cancels when so many lines with a word were written.
type stopper struct {
	mu    sync.Mutex
	b     bytes.Buffer
	word  string
	after int
	stop  func()
}

func (s *stopper) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.b.Write(p)
	if strings.Count(s.b.String(), s.word) == s.after {
		s.stop()
	}
	return n, err
}

// Three ways to send a file cross a real link; then somebody interrupts the second round. Nothing stays.
func TestBench(t *testing.T) {
	if reason := noLinks(); reason != "" {
		t.Skip(reason)
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	out := &stopper{word: "  equal  ", after: 3, stop: stop}
	lines := filepath.Join(dir, "out", "transfer.jsonl")
	peers := []string{"isthmus", "quic", "tcp"}
	err := benchmark(ctx, []string{"-links", "E", "-size", "2MiB", "-peers", strings.Join(peers, ","), "-runs", "2", "-check", "100ms", "-out", lines}, out)
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("interrupted: %v\n%s", err, &out.b)
	}
	text, err := os.ReadFile(lines)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(got) != len(peers) {
		t.Fatalf("%d runs:\n%s\n%s", len(got), text, &out.b)
	}
	for i, line := range got {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Link != "E" || r.Peer != peers[i] || r.Size != 2*mib || r.SHA256OK == nil || !*r.SHA256OK || r.Cut {
			t.Errorf("run %d: %s", i, line)
		}
		if r.Goodput == nil || *r.Goodput <= 0 || *r.Goodput > 96 || *r.Wire < 1.03 || *r.Reverse <= 0 || r.CPUSend <= 0 || r.CPUReceive <= 0 {
			t.Errorf("run %d is out of bounds: %s", i, line)
		}
	}
	if !strings.Contains(out.b.String(), "| E | isthmus | 2 MiB |") || !strings.Contains(out.b.String(), "Measured: ") {
		t.Errorf("no table:\n%s", &out.b)
	}
	if left, _ := filepath.Glob(fmt.Sprintf("/run/netns/bench-*-%d*", os.Getpid())); len(left) > 0 {
		t.Errorf("namespaces stay: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "isthmus-bench-*")); len(left) > 0 {
		t.Errorf("files stay: %v", left)
	}
	if left := children(os.Getpid()); len(left) > 0 {
		t.Errorf("processes stay: %v", left)
	}
}
