package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Every system's description of the service names the program and its words unharmed, whatever is in them.
func TestAgentService(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, `100% fast & $HOME`)
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	words := []string{program, "agent", "run", `--folder=/srv/Ä <b> "x" \ $y`}
	env := map[string]string{"ISTHMUS_CONFIG_DIR": "/srv/a b"}

	s, err := serviceOf("linux", "/home/x", dir, dir, 7, env, words)
	if err != nil || !strings.HasSuffix(s.path, "systemd/user/isthmusctl-agent.service") {
		t.Errorf("systemd: %s %v", s.path, err)
	}
	if _, err := exec.LookPath("systemd-analyze"); err == nil {
		unit := filepath.Join(dir, filepath.Base(s.path))
		if err := os.WriteFile(unit, s.bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		verify := exec.Command("systemd-analyze", "--user", "verify", unit)
		verify.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "HOME="+dir)
		if out, err := verify.CombinedOutput(); err != nil || strings.Contains(string(out), filepath.Base(unit)) {
			t.Errorf("systemd does not take the unit: %v %s\n%s", err, out, s.text)
		}
	}

	s, err = serviceOf("darwin", "/Users/x", "", "/Users/x/l", 501, env, words)
	if err != nil || s.start[0][2] != "gui/501" {
		t.Errorf("launchd: %v %v", s.start, err)
	}
	for _, w := range append(words, "/srv/a b", "/Users/x/l/agent.log") {
		if !strings.Contains(plain(t, s.text), w) {
			t.Errorf("launchd's plist has no %q:\n%s", w, s.text)
		}
	}

	s, err = serviceOf("windows", `C:\Users\x`, "", `C:\Users\x\l`, -1, nil, []string{`C:\Program Files\i & i\isthmusctl.exe`, "agent", "run", `--folder=D:\`})
	text := plain(t, strings.Replace(s.text, "UTF-16", "UTF-8", 1))
	if err != nil || !strings.Contains(text, `C:\Program Files\i & i\isthmusctl.exe`) || !strings.Contains(text, `"agent" "run" "--folder=D:\\"`) {
		t.Errorf("the task: %s %v", text, err)
	}
	if b := s.bytes(); b[0] != 0xff || b[1] != 0xfe || b[2] != '<' || b[3] != 0 {
		t.Errorf("the task is not UTF-16: % x", b[:4])
	}
	if _, err := serviceOf("plan9", "", "", "", 0, nil, words); err == nil {
		t.Error("a service for a system that we do not know")
	}
}

// What cannot be stopped, because it does not run, is removed all the same.
func TestAgentStopAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	err := stopAll(t.Context(), [][]string{{"false"}, {"mkdir", dir}})
	if _, serr := os.Stat(dir); err == nil || serr != nil {
		t.Errorf("%v, and then %v", err, serr)
	}
}

// plain gives the text of an XML document, and fails if it is none.
func plain(t *testing.T, text string) string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	var b strings.Builder
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if c, ok := token.(xml.CharData); ok {
			b.Write(c)
		}
	}
}

// The page and its content policy know the ports that agents take.
func TestAgentPortsEverywhere(t *testing.T) {
	for _, file := range []string{"../../web/src/transfer/agent.ts", "../../api/middleware.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range agentPorts {
			if !strings.Contains(string(text), strconv.Itoa(port)) {
				t.Errorf("%s does not know port %d", file, port)
			}
		}
	}
}
