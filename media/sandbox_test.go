package media_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"isthmus/gateway"
	"isthmus/media"
)

// hostile builds the program that plays the attacker. Static and without the race detector, which
// would need more address space than the sandbox gives.
func hostile(t *testing.T) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "hostile")
	cmd := exec.Command("go", "build", "-o", exe, "./testdata/hostile")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// The sandbox's user may be another one.
	for dir := exe; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return exe
}

var roomy = media.Limits{Memory: 3 << 30, CPU: 20, Output: 50 << 20, Files: 64, Threads: 64}

func TestSandboxRefusesEverythingButItsWork(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the attacker speaks amd64 system calls")
	}
	h := pipe(t)
	exe := hostile(t)
	src := h.store("in/one", []byte("input"))
	h.store("in/other", []byte("somebody else's file"))

	canary := filepath.Join(t.TempDir(), "canary")
	if err := os.WriteFile(canary, []byte("secret"), 0o666); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(canary); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o777); err != nil { // only the sandbox stands in the way
			t.Fatal(err)
		}
	}
	tcp := listen(t, "tcp", "127.0.0.1:0")
	socket := filepath.Join(filepath.Dir(canary), "sock")
	listen(t, "unix", socket)
	if err := os.Chmod(socket, 0o777); err != nil {
		t.Fatal(err)
	}
	listen(t, "unix", "@isthmus-canary")
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = udp.Close() })
	self := strconv.Itoa(os.Getpid())

	for _, c := range []struct {
		what, arg string
		control   int // 1: allowed inside; 2: also tried outside, where it must succeed; 0: not tried outside
	}{
		{"read-input", "", 1},
		{"write-output", "", 1},
		{"read", canary, 2},
		{"read", "/etc/passwd", 2},
		{"read", "/proc/self/environ", 0},
		{"read", "/proc/" + self + "/environ", 0},
		{"read", "/proc/" + self + "/cmdline", 2},
		{"read", h.path("in/other"), 2},
		{"read", "../../blobs/in/other", 0},
		{"read", "/proc/self/maps", 2},
		{"list", "..", 2},
		{"list", "/", 2},
		{"list", "/proc", 2},
		{"list", h.dir, 2},
		{"list", ".", 2},
		{"write", canary, 2},
		{"write", filepath.Join(filepath.Dir(canary), "new"), 2},
		{"write", "../stray", 0},
		{"write", "stray", 0},
		{"overwrite-input", "", 0},
		{"remove-input", "", 0},
		{"truncate-input", "", 0},
		{"rename-out", "", 0},
		{"symlink", canary, 0},
		{"hardlink", "", 0},
		{"mkdir", "", 0},
		{"fifo", "", 0},
		{"tcp", tcp, 2},
		{"udp", udp.LocalAddr().String(), 2},
		{"unix", socket, 2},
		{"abstract", "isthmus-canary", 2},
		{"netlink", "", 2},
		{"listen", "", 2},
		{"socketpair", "", 2},
		{"exec", "/bin/sh", 0},
		{"exec", "/usr/bin/env", 0},
		{"exec-written", "", 0},
		{"exec-memfd", "", 2},
		{"fork", "", 2},
		{"vfork", "", 0},
		{"clone3", "", 0},
		{"ptrace", self, 0},
		{"traceme", "", 2},
		{"kill", self, 2},
		{"mount", "", 0},
		{"chroot", "", 0},
		{"unshare", "", 0},
		{"setuid", "", 0},
		{"hostname", "", 0},
		{"bpf", "", 0},
		{"perf", "", 0},
		{"keyctl", "", 0},
		{"userfaultfd", "", 0},
		{"io_uring", "", 0},
		{"handle", "", 0},
		{"device", "/dev/kvm", 0},
		{"device", "/dev/tty", 0},
		{"device", "/dev/mem", 0},
		{"device", "/dev/vda", 0},
		{"descriptors", "", 0},
		{"environment", "", 2},
		{"memory", "", 2},
		{"output", "", 0},
		{"files", "", 0},
	} {
		t.Run(c.what+" "+filepath.Base(c.arg), func(t *testing.T) {
			cmd, out, done, err := h.pipeline.Confined(t.Context(), src, roomy, exe, c.what, c.arg)
			if err != nil {
				t.Fatal(err)
			}
			defer done()
			said, err := cmd.CombinedOutput()
			refused := strings.HasPrefix(string(said), "refused: ") && err == nil
			if c.control == 1 {
				if string(said) != "SUCCEEDED\n" {
					t.Fatalf("must be allowed: %s %v", said, err)
				}
				return
			}
			if !refused || strings.Contains(string(said), "unknown action") {
				t.Errorf("not refused: %s %v", said, err)
			}
			if c.what == "output" {
				if st, err := os.Stat(filepath.Join(h.dir, out, "big")); err != nil || st.Size() != int64(roomy.Output) {
					t.Errorf("output not cut at its limit: %v %v", st, err)
				}
			}
			if c.control == 2 {
				free := exec.Command(exe, c.what, c.arg)
				free.Dir = t.TempDir()
				if said, err := free.CombinedOutput(); string(said) != "SUCCEEDED\n" {
					t.Errorf("outside of the sandbox it fails too, so this proves nothing: %s %v", said, err)
				}
			}
		})
	}
	if b, err := os.ReadFile(canary); err != nil || len(b) > 6 {
		t.Errorf("canary: %s %v", b, err)
	}
	if string(h.read("in/one")) != "input" {
		t.Error("the input was changed")
	}
	h.nothingLeft()
}

func listen(t *testing.T, network, addr string) string {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestSandboxEndsACPULoop(t *testing.T) {
	h := pipe(t)
	src := h.store("in/one", []byte("input"))
	tight := roomy
	tight.CPU = 1
	cmd, _, done, err := h.pipeline.Confined(t.Context(), src, tight, hostile(t), "spin")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("ended with %v", err)
	}
}

// TestSandboxDiesWithItsParent kills a process that has a sandbox running. Its standard output ends
// only when everybody who holds it is gone.
func TestSandboxDiesWithItsParent(t *testing.T) {
	h := pipe(t)
	h.store("in/one", []byte("input"))
	cmd := exec.Command("/proc/self/exe", "__parent", h.dir, hostile(t))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); err != nil || line != "sleeping\n" {
		t.Fatal(line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
	_ = cmd.Wait()

	left, err := os.ReadDir(filepath.Join(h.dir, "work"))
	if err != nil || len(left) != 1 {
		t.Fatalf("the killed process should have left its workspace: %v %v", left, err)
	}
	if _, err := media.New(t.Context(), media.Options{Disk: h.disk}); err != nil {
		t.Fatal(err)
	}
	h.nothingLeft()
}

// parentMain is the process that gets killed.
func parentMain(dir, exe string) error {
	disk, err := media.OpenDisk(dir, -1)
	if err != nil {
		return err
	}
	ctx := context.Background()
	p, err := media.New(ctx, media.Options{Disk: disk})
	if err != nil {
		return err
	}
	cmd, _, _, err := p.Confined(ctx, gateway.Source{Blob: "in/one"}, roomy, exe, "sleep")
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
