package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"isthmus/media/mediatest"
)

// sandboxProcess is `isthmus sandbox --json` as a CI job starts it.
type sandboxProcess struct {
	t       *testing.T
	cmd     *exec.Cmd
	out     *bufio.Reader
	log     bytes.Buffer
	account kalturaFile
}

func sandboxCmd(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append([]string{"sandbox", "--unsafe-media"}, args...)...)
	cmd.Env = append(os.Environ(), "ISTHMUS_TEST_AS_SERVER=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// startSandbox starts one and waits until it has printed its account.
func startSandbox(t *testing.T, args ...string) *sandboxProcess {
	t.Helper()
	s := &sandboxProcess{t: t, cmd: sandboxCmd(append([]string{"--json", "--addr", "127.0.0.1:0", "--log-level", "debug"}, args...)...)}
	s.cmd.Stderr = &s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = s.cmd.Wait() }) // when the test did not get to stop
	s.out = bufio.NewReader(out)
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		_ = s.cmd.Wait()
		t.Fatalf("no account: %v\n%s", err, s.log.String())
	}
	if err := json.Unmarshal(line, &s.account); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return s
}

// stop asks the process to end and expects that it ends well and has said nothing more.
func (s *sandboxProcess) stop(with os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(with); err != nil {
		s.t.Fatal(err)
	}
	if rest, _ := io.ReadAll(s.out); len(rest) > 0 {
		s.t.Errorf("more on stdout than the account: %s", rest)
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("after %v: %v\n%s", with, err, s.log.String())
	}
	for _, secret := range []string{
		s.account.AdminSecret, s.account.UserSecret, s.account.OperatorSecret, s.account.AdminPassword, s.account.AppTokens[0].Token, s.account.AppTokens[1].Token,
	} {
		if secret == "" || strings.Contains(s.log.String(), secret) {
			s.t.Errorf("a secret is empty or in the log: %q", secret)
		}
	}
}

func (s *sandboxProcess) call(service, action string, params map[string]any, out any) error {
	return callKaltura(s.t.Context(), http.DefaultClient, s.account.ServiceURL, service, action, params, out)
}

// TestSandbox starts a sandbox with a data folder, uses every credential that it prints, and starts it again.
func TestSandbox(t *testing.T) {
	data := filepath.Join(t.TempDir(), "sandbox")
	s := startSandbox(t, "--data", data)
	k := s.account
	for kind, secret := range map[int]string{0: k.UserSecret, 2: k.AdminSecret} {
		var ks string
		if err := s.call("session", "start", map[string]any{"secret": secret, "userId": "pia", "type": kind, "partnerId": k.PartnerID}, &ks); err != nil {
			t.Errorf("a session of type %d: %v", kind, err)
		}
	}
	var ks string
	if err := s.call("user", "loginByLoginId", map[string]any{"loginId": k.AdminEmail, "password": k.AdminPassword, "partnerId": k.PartnerID}, &ks); err != nil || ks == "" {
		t.Errorf("the administrator's password: %v", err)
	}
	var widget struct{ KS string }
	if err := s.call("session", "startWidgetSession", map[string]any{"widgetId": k.WidgetID}, &widget); err != nil || widget.KS == "" {
		t.Errorf("widget session: %v", err)
	}
	admin, err := adminCalls(t.Context(), http.DefaultClient, k, sandboxAdmin)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range k.AppTokens {
		var found struct{ Token string }
		if err := admin("appToken", "get", map[string]any{"id": a.ID}, &found); err != nil || found.Token != a.Token {
			t.Errorf("App Token %s is not the printed one: %v", a.ID, err)
		}
	}
	var made struct{ ID, DownloadURL string }
	if err := admin("media", "add", map[string]any{"entry": map[string]any{
		"objectType": "KalturaMediaEntry", "mediaType": 1, "name": "Kept", "referenceId": "kept",
	}}, &made); err != nil || !strings.HasPrefix(made.DownloadURL, k.ServiceURL+"/") {
		t.Errorf("media.add: %v, download from %s", err, made.DownloadURL)
	}
	if info, err := os.Stat(filepath.Join(data, sandboxFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the secrets: %v %v", info.Mode(), err)
	}
	s.stop(syscall.SIGTERM)

	again := startSandbox(t, "--data", data, "--base-url", "http://kaltura.internal:8090/")
	if again.account.ServiceURL != "http://kaltura.internal:8090" {
		t.Errorf("service URL %s", again.account.ServiceURL)
	}
	again.account.ServiceURL = k.ServiceURL
	if fmt.Sprint(again.account) != fmt.Sprint(k) {
		t.Errorf("another account after the second start: %v, was %v", again.account, k)
	}
	if err := again.cmd.Process.Kill(); err != nil { // nothing can be tidied
		t.Fatal(err)
	}
	_ = again.cmd.Wait()

	third := startSandbox(t, "--data", data)
	admin, err = adminCalls(t.Context(), http.DefaultClient, third.account, sandboxAdmin)
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Objects []struct{ ID string } }
	if err := admin("baseEntry", "listByReferenceId", map[string]any{"refId": "kept"}, &list); err != nil || len(list.Objects) != 1 || list.Objects[0].ID != made.ID {
		t.Errorf("the entry of the first start: %v %v", list, err)
	}
	third.stop(syscall.SIGTERM)
}

// TestSandboxDropFolder drops a video with its XML and waits for the entry; then the operator makes another folder.
func TestSandboxDropFolder(t *testing.T) {
	t.Parallel()
	s := startSandbox(t)
	admin, err := adminCalls(t.Context(), http.DefaultClient, s.account, sandboxAdmin)
	if err != nil {
		t.Fatal(err)
	}
	folder := s.account.DropFolderPath
	if err := (mediatest.Clip{Seconds: 2, Width: 320, Height: 180}).Make(t.Context(), filepath.Join(folder, "lesson.mp4")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "lesson.xml"), []byte(`<mrss version="1"><channel><item><action>add</action><type>1</type>
		<referenceId>dropped-1</referenceId><name>Dropped</name><tags><tag>week-3</tag></tags><media><mediaType>1</mediaType></media>
		<contentAssets><content><dropFolderFileContentResource filePath="lesson.mp4"/></content></contentAssets></item></channel></mrss>`), 0o600); err != nil {
		t.Fatal(err)
	}
	var list struct {
		Objects []struct {
			Name, Tags string
			Status     int
		}
	}
	waiter := &process{t: t}
	waiter.eventually("the dropped video to be READY", func() error {
		if err := admin("baseEntry", "listByReferenceId", map[string]any{"refId": "dropped-1"}, &list); err != nil {
			return err
		}
		if len(list.Objects) != 1 || list.Objects[0].Status != 2 {
			return fmt.Errorf("%+v", list)
		}
		return nil
	})
	if e := list.Objects[0]; e.Name != "Dropped" || e.Tags != "week-3" {
		t.Errorf("the entry: %+v", e)
	}
	console := s.account
	console.PartnerID, console.AdminSecret = -2, console.OperatorSecret
	operator, err := adminCalls(t.Context(), http.DefaultClient, console, "")
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ ID, PartnerID int64 }
	err = operator("dropfolder_dropfolder", "add", map[string]any{"partnerId": s.account.PartnerID, "dropFolder": map[string]any{
		"objectType": "KalturaDropFolder", "partnerId": s.account.PartnerID, "name": "Second", "type": 1, "status": 1, "dc": 0, "path": "/second",
		"fileSizeCheckInterval": 1, "fileDeletePolicy": 1, "fileHandlerType": "dropFolderXmlBulkUpload.XML", "fileNamePatterns": "*.xml",
		"fileHandlerConfig": map[string]any{"objectType": "KalturaDropFolderXmlBulkUploadFileHandlerConfig"},
	}}, &made)
	if err != nil || made.ID == s.account.DropFolderID || made.PartnerID != s.account.PartnerID {
		t.Errorf("the operator's folder: %+v %v", made, err)
	}
	s.stop(syscall.SIGTERM)
}

// TestSandboxTemporary reads the account as a person does, and looks that nothing stays behind.
func TestSandboxTemporary(t *testing.T) {
	dir := t.TempDir()
	cmd := sandboxCmd("--addr", "127.0.0.1:0")
	cmd.Env = append(cmd.Env, "TMPDIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	shown := map[string]string{}
	lines := bufio.NewScanner(out)
	for shown["Operator secret"] == "" && lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "  "); ok {
			shown[name] = strings.TrimSpace(value)
		}
	}
	for _, name := range []string{"Service URL", "Partner id", "Admin secret", "User secret", "Widget id", "App Token (shared)", "App Token (own)", "Drop folder", "Operator secret"} {
		if shown[name] == "" {
			t.Errorf("%q was not printed: %v", name, shown)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("data folders while it runs: %v", left)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestSandboxRefuses starts it where it must not run, and reads what it says.
func TestSandboxRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // only held
	server, damaged := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{filepath.Join(server, "keyring.json"): "{}", filepath.Join(damaged, sandboxFile): "{"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"already listens on " + taken.Addr().String() + ". Stop it, or name another address with --addr", []string{"--addr", taken.Addr().String()}},
		{"is the data folder of a server", []string{"--addr", "127.0.0.1:0", "--data", server}},
		{"is damaged. Delete the folder", []string{"--addr", "127.0.0.1:0", "--data", damaged}},
		{"--addr must be HOST:PORT", []string{"--addr", "8090"}},
		{"--base-url must be http(s)://HOST", []string{"--base-url", "kaltura"}},
	} {
		out, err := sandboxCmd(c.args...).CombinedOutput()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() <= 0 || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: %v, %s", c.args, err, out)
		}
	}
}
