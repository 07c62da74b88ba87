package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is the program, too, so that scripts run it as people do.
func TestMain(m *testing.M) {
	testscript.Main(cleaning{m}, map[string]func(){"isthmusctl": main, "hasty": func() { os.Exit(run(os.Args[1:], hasty)) }})
}

// hasty is for lines that are a machine long.
var hasty = patience{grace: 200 * time.Millisecond, again: 300 * time.Millisecond, silence: time.Second, slow: time.Second, stall: 3 * time.Second}

type cleaning struct{ *testing.M }

// Run removes what was built when all is over. Most of the time is spent in waiting for servers and lines, so more
// goes on at once than there are processors, unless somebody says otherwise.
func (m cleaning) Run() int {
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code := m.M.Run()
	_ = os.RemoveAll(tools)
	return code
}

// server is a demo server in a process of its own, behind relays of UDP and of TCP that can be cut.
type server struct {
	BaseURL      string `json:"base_url"`
	HubID        string `json:"hub_id"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	People       []struct {
		Email, Password, Role string
	} `json:"people"`

	dir     string
	clip    string // a file that can be played
	relay   *relay
	line    *line
	addr    string
	process *exec.Cmd
	start   func() error // and waits until it answers
}

var tools string // folder of what was built

// built is the server's program. Where the tests of cmd/isthmus were built, only linking is left to do.
var built = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "isthmusctl-test-*"); err != nil {
		return "", err
	}
	tools = dir
	binary := filepath.Join(dir, "isthmus")
	if out, err := exec.Command("go", "build", "-o", binary, "isthmus/cmd/isthmus").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	// A second and a half of a picture that can be played.
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x90:rate=10:duration=1.5", "-pix_fmt", "yuv420p", filepath.Join(dir, "clip.mp4")).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return dir, nil
})

// startServer starts a demo server without media, with further flags.
func startServer(t *testing.T, flags ...string) *server {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: t.TempDir(), clip: filepath.Join(dir, "clip.mp4")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	_ = l.Close()
	s.relay, s.line = newRelay(t, s.addr), newLine(t, s.addr)
	log, err := os.Create(filepath.Join(s.dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	s.start = func() error {
		s.process = exec.Command(filepath.Join(dir, "isthmus"), append([]string{
			"serve", "--demo", "--no-demo-media", "--data", filepath.Join(s.dir, "data"), "--addr", s.addr, "--admin-addr", "", "--fast-public", s.relay.addr(), "--base-url", s.line.url(),
		}, flags...)...)
		s.process.Stdout, s.process.Stderr = log, log
		s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := s.process.Start(); err != nil {
			return err
		}
		for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			if r, err := http.Get("http://" + s.addr + "/readyz"); err == nil {
				_ = r.Body.Close()
				if r.StatusCode == http.StatusOK {
					return nil
				}
			}
			if time.Now().After(deadline) {
				return errors.New("the server does not start")
			}
		}
	}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("server log (end):\n%s", b[max(0, len(b)-8000):])
		}
	})
	err = s.start()
	if err == nil {
		var b []byte
		if b, err = os.ReadFile(filepath.Join(s.dir, "data", "demo.json")); err == nil {
			err = json.Unmarshal(b, s)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kill ends the server as a crash does.
func (s *server) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// Everything that the program does, against one server.
func TestScripts(t *testing.T) {
	t.Parallel()
	startServer(t).scripts(t, "testdata")
}

// The way changes under a transfer. Its server is another one, because nobody else's packets may be lost.
func TestFallback(t *testing.T) {
	t.Parallel()
	startServer(t).scripts(t, "testdata/fallback")
}

// The server dies under a transfer, and tickets end soon.
func TestRestart(t *testing.T) {
	t.Parallel()
	startServer(t, "--fast-ticket-life", "1s").scripts(t, "testdata/restart")
}

func (s *server) scripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			e.Setenv("ISTHMUS_CONFIG_DIR", filepath.Join(e.WorkDir, "config"))
			e.Setenv("URL", s.BaseURL)
			e.Setenv("CLIP", s.clip)
			e.Setenv("HUB", s.HubID)
			e.Setenv("CLIENT_ID", s.ClientID)
			e.Setenv("CLIENT_SECRET", s.ClientSecret)
			e.Setenv("KEY", filepath.Join(s.dir, "data", "demo.json"))
			e.Setenv("ISTHMUS_URL", s.BaseURL)
			e.Setenv("TMPDIR", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"approve": s.approve,
			"udp":     s.udp,
			"tcp":     s.tcp,
			"server":  s.control,
			"mute":    mute,
			"cut":     s.cut,
			"stall":   stall,
			"bytes":   makeBytes,
			"code":    wantCode,
			"waitfor": waitFor,
			"many":    makeMany,
			"jsonis":  jsonIs,
			"import":  s.importEntry,
			"half":    s.half,
		},
	})
}
