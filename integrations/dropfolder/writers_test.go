package dropfolder_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
)

// writers is how many of them a test has; ISTHMUS_DROP_WRITERS raises it.
func writers(t *testing.T, usual int) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("ISTHMUS_DROP_WRITERS")); err == nil && n > usual {
		return n
	}
	return usual
}

// body is a content that says itself whether it is whole. Each is of another length.
func body(n int) string {
	text := strings.Repeat(fmt.Sprintf("%08d", n), 20+n%50) + strings.Repeat("x", n%8)
	sum := sha256.Sum256([]byte(text))
	return text + hex.EncodeToString(sum[:])
}

func isWhole(b string) bool {
	if len(b) < 64 {
		return false
	}
	sum := sha256.Sum256([]byte(b[:len(b)-64]))
	return b[len(b)-64:] == hex.EncodeToString(sum[:])
}

// TestManyWriters: slow, paused, renaming, truncating, replacing and deleting writers, links and pipes. What is read
// between two looks with one identity is one content; what was renamed from a temporary name is whole.
func TestManyWriters(t *testing.T) {
	t.Parallel()
	s, at := folder(t)
	n := writers(t, 300)
	outside := filepath.Join(t.TempDir(), "outside.mp4")
	write(t, outside, "outside")
	seed := rand.Uint64()
	t.Log("seed", seed)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		defer stop()
		for i := range n {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				drop(at, outside, i, rand.New(rand.NewPCG(seed, uint64(i))))
			})
		}
		wg.Wait()
	}()
	contents, settled := map[string]string{}, 0
	for last := false; ; last = ctx.Err() != nil {
		seen := map[string]gateway.DropEntry{}
		must(t, s.Scan(t.Context(), func(e gateway.DropEntry) error { seen[e.Name] = e; return nil }))
		for name, before := range seen {
			content, ok := take(t, s, name, before)
			if !ok {
				continue
			}
			if strings.Contains(content, "outside") {
				t.Errorf("%s: a link was followed", name)
			}
			id := name + "\x00" + before.Identity
			if former, known := contents[id]; known && former != content {
				t.Errorf("%s has two contents under the identity %s", name, before.Identity)
			}
			contents[id] = content
			if strings.HasSuffix(name, ".mp4") {
				if settled++; !isWhole(content) {
					t.Errorf("%s is not whole: %d bytes", name, len(content))
				}
			}
		}
		if last {
			break
		}
	}
	if settled == 0 {
		t.Error("no file was ever read")
	}
}

// take reads a file as it should be: looked at before and after.
func take(t *testing.T, s gateway.DropSource, name string, before gateway.DropEntry) (string, bool) {
	t.Helper()
	r, err := s.Open(t.Context(), name)
	if err != nil {
		gatewaytest.Want(t, err, gateway.NotFound, "file_missing")
		return "", false
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	must(t, err)
	after, err := s.Stat(t.Context(), name)
	return string(b), err == nil && r.Entry().Identity == before.Identity && after.Identity == before.Identity
}

// drop is one writer. Names that end in .mp4 appear by renames only.
func drop(at, outside string, i int, r *rand.Rand) {
	dir := filepath.Join(at, fmt.Sprint("d", r.IntN(4)))
	_ = os.MkdirAll(dir, 0o755)
	name := filepath.Join(dir, fmt.Sprintf("%d.mp4", r.IntN(50)))
	if r.IntN(4) == 0 { // NFC and NFD of one name
		name = filepath.Join(dir, []string{"\u00fc.mp4", "u\u0308.mp4"}[r.IntN(2)])
	}
	part := filepath.Join(dir, fmt.Sprintf("%d.part", i))
	whole := body(i)
	switch r.IntN(8) {
	case 0: // in one go
		_ = os.WriteFile(part, []byte(whole), 0o644)
		_ = os.Rename(part, name)
	case 1, 2: // slowly
		slowly(part, whole, r)
		_ = os.Rename(part, name)
	case 3: // given up
		slowly(part, whole[:len(whole)/2], r)
	case 4: // begun anew
		slowly(part, whole[:len(whole)/2], r)
		_ = os.Truncate(part, 0)
		slowly(part, whole, r)
		_ = os.Rename(part, name)
	case 5:
		_ = os.Remove(name)
		_ = os.Symlink(outside, name)
	case 6:
		_ = os.Remove(name)
		_ = unix.Mkfifo(name, 0o666)
	case 7: // a whole directory
		_ = os.WriteFile(part, []byte(whole), 0o644)
		_ = os.Rename(part, name)
		_ = os.Rename(dir, filepath.Join(at, fmt.Sprint("moved", i)))
	}
}

func slowly(at, content string, r *rand.Rand) {
	f, err := os.OpenFile(at, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	for content != "" {
		n := min(1+r.IntN(400), len(content))
		_, _ = f.WriteString(content[:n])
		content = content[n:]
		time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
	}
}

func BenchmarkScan(b *testing.B) {
	s, at := benchFolder(b)
	for i := range 100_000 {
		if i%1000 == 0 {
			if err := os.MkdirAll(filepath.Join(at, fmt.Sprint(i/1000)), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(at, fmt.Sprint(i/1000), fmt.Sprintf("%d.mp4", i)), nil, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		n := 0
		if err := s.Scan(b.Context(), func(gateway.DropEntry) error { n++; return nil }); err != nil || n != 100_000 {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}
