package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// fileDialog opens the system's own file dialog by a program that belongs to it: a browser gives no paths,
// and a path that a page names is not one that a person chose.
type fileDialog struct {
	system string
	find   func(program string) (string, error)
	env    func() []string // that the program is started with
	one    chan struct{}   // at a time

	mu    sync.Mutex
	until time.Time // how long what was found counts
	found *dialogProgram
}

type dialogProgram struct {
	path  string
	env   []string
	words func(folder bool, title string) []string
}

const (
	dialogPatience = 10 * time.Minute
	dialogKnown    = 30 * time.Second
)

func newFileDialog() *fileDialog {
	return &fileDialog{system: runtime.GOOS, find: exec.LookPath, env: screenEnv, one: make(chan struct{}, 1)}
}

// there tells whether a dialog could be opened now: a service may begin before the person's screen does.
func (d *fileDialog) there() bool { return d.program() != nil }

func (d *fileDialog) program() *dialogProgram {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Now().After(d.until) {
		d.found, d.until = d.look(), time.Now().Add(dialogKnown)
	}
	return d.found
}

func (d *fileDialog) look() *dialogProgram {
	env := d.env()
	type choice struct {
		name  string
		words func(folder bool, title string) []string
	}
	var choices []choice
	switch {
	case d.system == "darwin":
		choices = []choice{{"osascript", appleDialog}}
	case d.system == "windows":
		choices = []choice{{"powershell.exe", windowsDialog}}
	case slices.ContainsFunc(env, isScreen):
		choices = []choice{{"zenity", gtkDialog}, {"kdialog", kdeDialog}}
	}
	for _, c := range choices {
		if path, err := d.find(c.name); err == nil {
			return &dialogProgram{path, env, c.words}
		}
	}
	return nil
}

// isScreen tells whether a variable says where the person's screen is.
func isScreen(v string) bool {
	name, value, _ := strings.Cut(v, "=")
	return (name == "DISPLAY" || name == "WAYLAND_DISPLAY") && value != ""
}

// screenEnv is our environment, with the screen that the session's service manager learned of later.
func screenEnv() []string {
	env := os.Environ()
	if runtime.GOOS != "linux" || slices.ContainsFunc(env, isScreen) {
		return env
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "--user", "show-environment").Output()
	if err != nil {
		return env // no such manager
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		if isScreen(line) || strings.HasPrefix(line, "XAUTHORITY=") {
			env = append(env, line)
		}
	}
	return env
}

func gtkDialog(folder bool, title string) []string {
	words := []string{"--file-selection", "--multiple", "--separator=\n", "--title=" + title}
	if folder {
		words = append(words, "--directory")
	}
	return words
}

func kdeDialog(folder bool, title string) []string {
	if folder {
		return []string{"--title", title, "--getexistingdirectory", "."}
	}
	return []string{"--title", title, "--multiple", "--separate-output", "--getopenfilename", "."}
}

// The title comes as an argument, so that nothing in it can be taken for a part of the script.
func appleDialog(folder bool, title string) []string {
	what := "file"
	if folder {
		what = "folder"
	}
	return []string{
		"-e", "on run argv", "-e", "activate",
		"-e", "set chosen to choose " + what + " with prompt (item 1 of argv) with multiple selections allowed",
		"-e", `set out to ""`, "-e", "repeat with f in chosen", "-e", "set out to out & POSIX path of f & linefeed", "-e", "end repeat",
		"-e", "return out", "-e", "end run", title,
	}
}

// The title comes by ISTHMUS_DIALOG_TITLE, for the same reason.
func windowsDialog(folder bool, _ string) []string {
	script := `[Console]::OutputEncoding=[Text.Encoding]::UTF8; Add-Type -AssemblyName System.Windows.Forms; ` +
		`$d=New-Object System.Windows.Forms.OpenFileDialog; $d.Multiselect=$true; $d.Title=$env:ISTHMUS_DIALOG_TITLE; ` +
		`if($d.ShowDialog() -eq 'OK'){$d.FileNames}`
	if folder {
		script = `[Console]::OutputEncoding=[Text.Encoding]::UTF8; Add-Type -AssemblyName System.Windows.Forms; ` +
			`$d=New-Object System.Windows.Forms.FolderBrowserDialog; $d.Description=$env:ISTHMUS_DIALOG_TITLE; ` +
			`if($d.ShowDialog() -eq 'OK'){$d.SelectedPath}`
	}
	return []string{"-NoProfile", "-STA", "-Command", script}
}

// ask shows the dialog, with the page's origin in its title, and gives what was chosen; nothing when the
// person closed it. One at a time: a page cannot bury the screen in dialogs.
func (d *fileDialog) ask(ctx context.Context, folder bool, origin string) ([]string, error) {
	p := d.program()
	if p == nil {
		return nil, &agentProblem{http.StatusConflict, "no_dialog", "This computer has no file dialog that the agent could open.", "Choose from a folder that you opened to pages."}
	}
	select {
	case d.one <- struct{}{}:
		defer func() { <-d.one }()
	default:
		return nil, &agentProblem{http.StatusConflict, "dialog_open", "A file dialog of the agent is open already.", "Look for its window."}
	}
	title := "Send to " + origin
	ctx, cancel := context.WithTimeout(ctx, dialogPatience)
	defer cancel()
	c := exec.CommandContext(ctx, p.path, p.words(folder, title)...)
	c.Env = append(slices.Clone(p.env), "ISTHMUS_DIALOG_TITLE="+title)
	out, err := c.Output()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ctx.Err() == nil && len(bytes.TrimSpace(out)) == 0 {
		return nil, nil // how all of them tell that it was closed
	}
	if err != nil {
		return nil, err
	}
	var paths []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			paths = append(paths, line)
		}
	}
	return paths, nil
}
