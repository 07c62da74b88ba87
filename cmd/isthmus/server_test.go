package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"isthmus/media"
	"isthmus/store/storetest"
)

// TestMain lets the test binary be the server itself, so that tests can kill it like any process.
func TestMain(m *testing.M) {
	media.SandboxMain()
	if os.Getenv("ISTHMUS_TEST_AS_SERVER") == "1" {
		os.Args[0] = "isthmus"
		main()
		return
	}
	code := m.Run()
	printFaults()
	os.Exit(code)
}

// process is a real server process with a real data folder on a fixed port.
type process struct {
	t    testing.TB
	dir  string
	addr string
	dsn  string
	args []string // further ones of serve
	env  []string
	cmd  *exec.Cmd
	log  *os.File
	demo demoFile
}

// eachServer runs the body against a demo server on SQLite and on Postgres, both at the same time.
func eachServer(t *testing.T, body func(*testing.T, *process), before ...func(*process)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		body(t, newServer(t, "", before...))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		body(t, newServer(t, storetest.Postgres(t), before...))
	})
}

// withoutMedia has the demo without media, whose renditions take half a minute of a processor.
func withoutMedia(s *process) { s.args = append(s.args, "--no-demo-media") }

func newServer(t testing.TB, dsn string, before ...func(*process)) *process {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	s := &process{t: t, dir: dir, addr: addr, dsn: dsn, log: log}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			var told []string
			for line := range strings.Lines(string(b)) {
				if !strings.Contains(line, `"status":2`) { // answered requests tell nothing
					told = append(told, line)
				}
			}
			t.Logf("server log (end):\n%s", strings.Join(told[max(0, len(told)-40):], ""))
		}
	})
	for _, f := range before {
		f(s)
	}
	s.start()
	b, err := os.ReadFile(filepath.Join(dir, "data", "demo.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &s.demo); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *process) start() {
	s.t.Helper()
	args := []string{"serve", "--demo", "--data", filepath.Join(s.dir, "data"), "--addr", s.addr, "--admin-addr", ""}
	if s.dsn != "" {
		args = append(args, "--db", s.dsn)
	}
	s.cmd = exec.Command(os.Args[0], append(args, s.args...)...)
	s.cmd.Env = append(append(os.Environ(), "ISTHMUS_TEST_AS_SERVER=1"), s.env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("the server to be ready", func() error {
		resp, err := http.Get("http://" + s.addr + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz answers %s", resp.Status)
		}
		return nil
	})
}

// kill ends the process as a power cut of its own would: nothing can be tidied.
func (s *process) kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// eventually waits for a condition; the deadline only ends a hopeless wait.
func (s *process) eventually(what string, ok func() error) {
	s.t.Helper()
	var err error
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	s.t.Fatalf("waited in vain for %s: %v", what, err)
}

// drained waits until every one of the named things is done. It gives up when none of them was for
// three minutes.
func (s *process) drained(left map[string]string, done func(path string) bool) {
	s.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); len(left) > 0; time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			s.t.Fatalf("nothing moves any more: %v", left)
		}
		for id, path := range left {
			if done(path) {
				delete(left, id)
				deadline = time.Now().Add(3 * time.Minute)
			}
		}
	}
}

// caller speaks to the API as one person (cookie) or client (bearer token).
type caller struct {
	s      *process
	http   *http.Client
	bearer string
}

// client gets a bearer token by client_credentials.
func (s *process) client() *caller {
	s.t.Helper()
	req, _ := http.NewRequest(http.MethodPost, s.demo.BaseURL+"/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	req.SetBasicAuth(s.demo.ClientID, s.demo.ClientSecret)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	body, _ := io.ReadAll(resp.Body)
	if err := json.Unmarshal(body, &token); err != nil || token.AccessToken == "" {
		s.t.Fatalf("token endpoint answered %s: %s", resp.Status, body)
	}
	return &caller{s: s, http: http.DefaultClient, bearer: token.AccessToken}
}

var (
	inputField = regexp.MustCompile(`<input[^>]*>`)
	formAction = regexp.MustCompile(`<form[^>]*action="([^"]*)"`)
	attribute  = regexp.MustCompile(`(name|value)="([^"]*)"`)
)

// signIn walks through the demo identity provider's page as a browser would.
func (s *process) signIn(role string) *caller {
	s.t.Helper()
	jar, _ := cookiejar.New(nil)
	c := &caller{s: s, http: &http.Client{Jar: jar}}
	resp, err := c.http.Get(s.demo.BaseURL + "/auth/login?next=/")
	if err != nil {
		s.t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	form := url.Values{}
	for _, field := range inputField.FindAllString(string(page), -1) {
		var name, value string
		for _, m := range attribute.FindAllStringSubmatch(field, -1) {
			if m[1] == "name" {
				name = m[2]
			} else {
				value = m[2]
			}
		}
		if name != "" {
			form.Set(name, value)
		}
	}
	for _, p := range s.demo.People {
		if p.Role == role {
			form.Set("email", p.Email)
			form.Set("password", p.Password)
		}
	}
	target := resp.Request.URL
	if m := formAction.FindStringSubmatch(string(page)); m != nil && m[1] != "" {
		if target, err = target.Parse(strings.ReplaceAll(m[1], "&amp;", "&")); err != nil {
			s.t.Fatal(err)
		}
	}
	req, _ := http.NewRequest(http.MethodPost, target.String(), strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", s.demo.BaseURL)
	if resp, err = c.http.Do(req); err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	var me struct {
		Email string `json:"email"`
	}
	c.get("/v1/me", &me)
	return c
}

// call sends JSON and decodes the answer; it returns the status and the raw body.
func (c *caller) call(method, path string, in, out any, header ...string) (int, []byte) {
	c.s.t.Helper()
	status, body, err := c.try(method, path, in, out, header...)
	if err != nil {
		c.s.t.Fatal(err)
	}
	return status, body
}

func (c *caller) try(method, path string, in, out any, header ...string) (int, []byte, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return 0, nil, err
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.s.demo.BaseURL+path, body)
	if err != nil {
		return 0, nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	} else {
		req.Header.Set("Origin", c.s.demo.BaseURL)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, raw, err
	}
	if out != nil && resp.StatusCode < 300 {
		if err := json.Unmarshal(raw, out); err != nil {
			return resp.StatusCode, raw, fmt.Errorf("%s %s: %w in %s", method, path, err, raw)
		}
	}
	return resp.StatusCode, raw, nil
}

// get expects 200.
func (c *caller) get(path string, out any) {
	c.s.t.Helper()
	if status, body := c.call(http.MethodGet, path, nil, out); status != http.StatusOK {
		c.s.t.Fatalf("GET %s answered %d: %s", path, status, body)
	}
}
