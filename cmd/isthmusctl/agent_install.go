package main

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf16"
)

type agentInstallCommand struct {
	Folder []string `help:"Folder that paired pages may list and send from. May be given several times." type:"existingdir" placeholder:"DIR"`
	Print  bool     `help:"Print what would be installed, and where, and change nothing."`
}

// Run writes the service's description where the system looks for it and starts it.
func (c *agentInstallCommand) Run(ctx context.Context, a *app) error {
	words := []string{"agent", "run"}
	for _, f := range c.Folder {
		abs, err := filepath.Abs(f)
		if err != nil {
			return err
		}
		words = append(words, "--folder="+abs)
	}
	s, err := a.service(words)
	if err != nil {
		return err
	}
	if c.Print {
		fmt.Fprintf(a.out, "%s:\n\n%s\nThen:\n%s", s.path, s.text, commands(s.start))
		return nil
	}
	if _, err := os.Stat(s.path); err == nil {
		_ = stopAll(ctx, s.stop) // else launchd and Windows keep the one with the old folders; none may run
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(s.path, s.bytes(), 0o600); err != nil {
		return err
	}
	if err := runAll(ctx, s.start); err != nil {
		return fail(exitFailed, "The service was written to "+s.path+" and could not be started: "+err.Error()+".",
			"Start it by hand, where there is a session of yours:\n"+commands(s.start)).because(err)
	}
	a.notice("The agent runs as a service, also after the next sign-in to this computer. Pair it with the page: isthmusctl agent pair")
	return nil
}

type agentUninstallCommand struct{}

// Run stops the service and removes its description.
func (c *agentUninstallCommand) Run(ctx context.Context, a *app) error {
	s, err := a.service(nil)
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.path); errors.Is(err, fs.ErrNotExist) {
		return fail(exitUsage, "The agent is not installed as a service.", "")
	}
	stopped := stopAll(ctx, s.stop) // where it did not run that is no failure
	if err := os.Remove(s.path); err != nil {
		return err
	}
	if stopped != nil {
		a.notice("The service was removed. Stopping it said: %v", stopped)
		return nil
	}
	a.notice("The service was stopped and removed. Its queue and pairings stay in %s.", agentDir(a.vault))
	return nil
}

// service is how a system runs the agent for a person.
type service struct {
	path        string // of its description
	text        string
	wide        bool       // written as UTF-16, as Windows' scheduler wants it
	start, stop [][]string // commands
}

func (a *app) service(words []string) (service, error) {
	program, err := os.Executable()
	if err != nil {
		return service{}, err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return service{}, err
	}
	env := map[string]string{}
	if dir := os.Getenv("ISTHMUS_CONFIG_DIR"); dir != "" {
		env["ISTHMUS_CONFIG_DIR"] = dir
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return service{}, err
	}
	return serviceOf(runtime.GOOS, home, config, agentDir(a.vault), os.Getuid(), env, append([]string{program}, words...))
}

// serviceOf describes the service for a system.
func serviceOf(system, home, config, dir string, uid int, env map[string]string, words []string) (service, error) {
	switch system {
	case "darwin":
		return launchdService(home, dir, uid, env, words), nil
	case "windows":
		return windowsService(dir, words), nil
	case "linux":
		return systemdService(config, env, words), nil
	}
	return service{}, fail(exitFailed, "There is no service for this system.", `Let its own means start "isthmusctl agent run".`)
}

func systemdService(config string, env map[string]string, words []string) service {
	const unit = "isthmusctl-agent.service"
	var b strings.Builder
	b.WriteString("[Unit]\nDescription=Sends files for the transfer page (isthmusctl agent)\n\n[Service]\nExecStart=")
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quoteUnit(w, i > 0))
	}
	b.WriteByte('\n')
	for k, v := range env {
		b.WriteString("Environment=" + quoteUnit(k+"="+v, false) + "\n")
	}
	b.WriteString("Restart=always\nRestartSec=5\nNoNewPrivileges=yes\n\n[Install]\nWantedBy=default.target\n")
	ctl := []string{"systemctl", "--user"}
	return service{
		path: filepath.Join(config, "systemd", "user", unit), text: b.String(),
		start: [][]string{append(ctl[:2:2], "daemon-reload"), append(ctl[:2:2], "enable", unit), append(ctl[:2:2], "restart", unit)},
		stop:  [][]string{append(ctl[:2:2], "disable", "--now", unit)},
	}
}

// quoteUnit writes a word so that systemd reads the same: %% is a percent sign, and in an argument of a
// command $$ a dollar.
func quoteUnit(w string, argument bool) string {
	w = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "%", "%%").Replace(w)
	if argument {
		w = strings.ReplaceAll(w, "$", "$$")
	}
	return `"` + w + `"`
}

func launchdService(home, dir string, uid int, env map[string]string, words []string) service {
	const label = "org.isthmus.agent"
	var b strings.Builder
	b.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n<plist version=\"1.0\">\n<dict>\n")
	b.WriteString("\t<key>Label</key><string>" + label + "</string>\n\t<key>ProgramArguments</key>\n\t<array>\n")
	for _, w := range words {
		b.WriteString("\t\t<string>" + escapeXML(w) + "</string>\n")
	}
	b.WriteString("\t</array>\n")
	if len(env) > 0 {
		b.WriteString("\t<key>EnvironmentVariables</key>\n\t<dict>\n")
		for k, v := range env {
			b.WriteString("\t\t<key>" + escapeXML(k) + "</key><string>" + escapeXML(v) + "</string>\n")
		}
		b.WriteString("\t</dict>\n")
	}
	b.WriteString("\t<key>RunAtLoad</key><true/>\n\t<key>KeepAlive</key><true/>\n")
	b.WriteString("\t<key>StandardErrorPath</key><string>" + escapeXML(filepath.Join(dir, "agent.log")) + "</string>\n</dict>\n</plist>\n")
	path := filepath.Join(home, "Library", "LaunchAgents", label+".plist")
	domain := fmt.Sprintf("gui/%d", uid)
	return service{
		path: path, text: b.String(),
		start: [][]string{{"launchctl", "bootstrap", domain, path}},
		stop:  [][]string{{"launchctl", "bootout", domain + "/" + label}},
	}
}

func windowsService(dir string, words []string) service {
	const task = "isthmusctl agent"
	var args []string
	for _, w := range words[1:] {
		// A quote cannot be in a path there; backslashes before the closing one would escape it.
		trimmed := strings.TrimRight(w, `\`)
		args = append(args, `"`+w+strings.Repeat(`\`, len(w)-len(trimmed))+`"`)
	}
	text := `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>Sends files for the transfer page</Description></RegistrationInfo>
  <Triggers><LogonTrigger><Enabled>true</Enabled></LogonTrigger></Triggers>
  <Principals><Principal id="Author"><LogonType>InteractiveToken</LogonType><RunLevel>LeastPrivilege</RunLevel></Principal></Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>
  </Settings>
  <Actions Context="Author"><Exec><Command>` + escapeXML(words[0]) + `</Command><Arguments>` + escapeXML(strings.Join(args, " ")) + `</Arguments></Exec></Actions>
</Task>
`
	path := filepath.Join(dir, "agent-task.xml")
	return service{
		path: path, text: text, wide: true,
		start: [][]string{{"schtasks", "/Create", "/F", "/TN", task, "/XML", path}, {"schtasks", "/Run", "/TN", task}},
		stop:  [][]string{{"schtasks", "/End", "/TN", task}, {"schtasks", "/Delete", "/F", "/TN", task}},
	}
}

func (s service) bytes() []byte {
	if !s.wide {
		return []byte(s.text)
	}
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s.text)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// runAll runs commands one after the other, until one fails.
func runAll(ctx context.Context, all [][]string) error {
	for _, words := range all {
		out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w %s", strings.Join(words, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// stopAll runs commands whatever becomes of those before: what does not run cannot be stopped, but removed.
func stopAll(ctx context.Context, all [][]string) error {
	var errs []error
	for i := range all {
		errs = append(errs, runAll(ctx, all[i:i+1]))
	}
	return errors.Join(errs...)
}

func commands(all [][]string) string {
	var b strings.Builder
	for _, words := range all {
		b.WriteString("  ")
		for i, w := range words {
			if i > 0 {
				b.WriteByte(' ')
			}
			if strings.ContainsAny(w, " ") {
				w = `"` + w + `"`
			}
			b.WriteString(w)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
