package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// openFolderRig is an agent with a folder that pages may see, and a secret beside it.
func openFolderRig(t *testing.T, dir string) (*agentRig, string) {
	t.Helper()
	base := t.TempDir()
	folder := filepath.Join(base, "clips")
	for _, name := range []string{"a.mp4", "b.mp4", "day/c.mp4", "day/deep/d.mp4", ".hidden/e.mp4"} {
		write(t, filepath.Join(folder, name), "bytes of "+name)
	}
	write(t, filepath.Join(base, "secret.txt"), "secret")
	for _, link := range []string{"out.txt", "day/out.txt"} {
		if err := os.Symlink(filepath.Join(base, "secret.txt"), filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(base, filepath.Join(folder, "up")); err != nil {
		t.Fatal(err)
	}
	r := startAgent(t, dir, folder)
	r.folder = folder
	return r, r.agent.picks.folders[0].ID
}

func (p *page) picks(path string, body any) []pickView {
	p.t.Helper()
	var out struct{ Picks []pickView }
	p.get("POST", path, body, &out)
	return out.Picks
}

func (p *page) state() stateView {
	p.t.Helper()
	var s stateView
	p.get("GET", "/v1/state", nil, &s)
	return s
}

// enqueue sends one file of the open folder.
func (p *page) enqueue(folder, name string, more map[string]any) jobView {
	p.t.Helper()
	in := map[string]any{"hub": "hub_1", "picks": []string{p.picks("/v1/folders/"+folder, map[string]any{"paths": []string{name}})[0].ID}}
	for k, v := range more {
		in[k] = v
	}
	var j jobView
	p.get("POST", "/v1/jobs", in, &j)
	return j
}

// A page sees names and sizes in the folders that were opened to it, and nothing beside them; it takes
// nothing from elsewhere, by no path and no link, not even one that is put there later.
func TestAgentFolders(t *testing.T) {
	r, id := openFolderRig(t, t.TempDir())
	p := r.paired(ours)
	var list folderList
	p.get("GET", "/v1/folders/"+id, nil, &list)
	var names []string
	for _, e := range list.Entries {
		names = append(names, e.Name)
	}
	if got := strings.Join(names, " "); got != "a.mp4 b.mp4 day" {
		t.Errorf("the folder shows %s", got)
	}
	p.get("GET", "/v1/folders/"+id+"?path=day", nil, &list)
	if len(list.Entries) != 2 || list.Entries[0].Name != "c.mp4" || !list.Entries[1].Folder {
		t.Errorf("its folder shows %+v", list.Entries)
	}
	for _, path := range []string{"up", "../", "../../etc", "up/clips"} {
		if status, text := p.ask("GET", "/v1/folders/"+id+"?path="+path, nil); status == 200 && strings.Contains(text, "secret") || strings.HasPrefix(path, "up") && status != 403 {
			t.Errorf("list %s: %d %s", path, status, text)
		}
	}
	p.refused(403, "outside", "GET", "/v1/folders/other", nil)
	choose := func(path string) map[string]any { return map[string]any{"paths": []string{path}} }
	for _, path := range []string{"out.txt", "day/out.txt", "up/secret.txt"} {
		p.refused(403, "outside", "POST", "/v1/folders/"+id, choose(path))
	}
	p.refused(404, "no_file", "POST", "/v1/folders/"+id, choose("../secret.txt"))
	for _, path := range []string{filepath.Join(r.folder, "../secret.txt"), filepath.Join(r.folder, "out.txt"), filepath.Join(r.folder, "up/secret.txt"), "/etc/passwd", filepath.Dir(r.folder)} {
		p.refused(403, "outside", "POST", "/v1/paths", choose(path))
	}
	p.refused(400, "invalid", "POST", "/v1/paths", choose("a.mp4"))

	day := p.picks("/v1/folders/"+id, choose("day"))[0]
	if day.Files != 2 || day.Name != "day" || !day.Folder {
		t.Errorf("a folder: %+v", day)
	}
	pasted := p.picks("/v1/paths", choose(`"`+filepath.Join(r.folder, "a.mp4")+"\" "))[0]
	if pasted.Name != "a.mp4" || pasted.Size != int64(len("bytes of a.mp4")) {
		t.Errorf("a pasted path: %+v", pasted)
	}

	many := filepath.Join(r.folder, "many")
	for i := range mostFiles/3 + 1 {
		write(t, filepath.Join(many, fmt.Sprint(i)), "x")
	}
	p.refused(409, "too_many_files", "POST", "/v1/folders/"+id, map[string]any{"paths": []string{"many", "many", "many", "many"}})
	if err := os.RemoveAll(many); err != nil {
		t.Fatal(err)
	}

	// Between choosing and sending somebody who may write there puts a link in the file's place.
	j := p.enqueue(id, "b.mp4", nil)
	run := <-r.work.runs
	f, err := run.files[0].open()
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 14)
	if n, err := f.ReadAt(text, 0); string(text[:n]) != "bytes of b.mp4" {
		t.Errorf("the file reads %q %v", text[:n], err)
	}
	_ = f.Close()
	if err := os.Remove(filepath.Join(r.folder, "b.mp4")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../secret.txt", filepath.Join(r.folder, "b.mp4")); err != nil {
		t.Fatal(err)
	}
	if f, err := run.files[0].open(); err == nil {
		t.Errorf("a link that leads out was opened: %v", f)
	}
	// Nothing that a page hears names a path.
	if _, text := p.ask("GET", "/v1/state", nil); strings.Contains(text, filepath.Dir(r.folder)) || !strings.Contains(text, j.ID) {
		t.Errorf("the state: %s", text)
	}
}

// What one server's page chose and sends is none of another's business.
func TestAgentServersApart(t *testing.T) {
	r, id := openFolderRig(t, t.TempDir())
	mine, theirs := r.paired(ours), r.paired(other)
	pick := mine.picks("/v1/folders/"+id, map[string]any{"paths": []string{"a.mp4"}})[0]
	job := map[string]any{"hub": "hub_1", "picks": []string{pick.ID}}
	theirs.refused(404, "pick_over", "POST", "/v1/jobs", job)
	mine.refused(409, "signed_out", "POST", "/v1/jobs", map[string]any{"hub": "hub_2", "picks": []string{pick.ID}})
	mine.refused(400, "invalid", "POST", "/v1/jobs", map[string]any{"hub": "hub_1", "picks": []string{pick.ID}, "policy": "fixed"})
	mine.refused(400, "invalid", "POST", "/v1/jobs", map[string]any{"hub": "hub_1", "picks": []string{pick.ID}, "path": "/etc/passwd"})
	var j jobView
	mine.get("POST", "/v1/jobs", job, &j)
	mine.refused(404, "pick_over", "POST", "/v1/jobs", job) // used up
	if got := (<-r.work.runs).job; got.Server != ours {
		t.Errorf("it is sent to %s", got.Server)
	}
	for _, what := range []string{"pause", "resume", "first", "cancel"} {
		theirs.refused(404, "not_found", "POST", "/v1/jobs/"+j.ID+"/"+what, nil)
	}
	theirs.refused(404, "not_found", "DELETE", "/v1/jobs/"+j.ID, nil)
	if s := theirs.state(); len(s.Jobs) != 0 {
		t.Errorf("the other page sees %+v", s.Jobs)
	}
}

// wait follows the stream of states until one fits.
func (p *page) wait(what string, fits func(stateView) bool) stateView {
	p.t.Helper()
	a := p.send("GET", "/v1/events", nil, nil)
	defer func() { _ = a.Body.Close() }()
	lines := bufio.NewScanner(a.Body)
	lines.Buffer(nil, 1<<20)
	var s stateView
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		s = stateView{}
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			p.t.Fatal(err)
		}
		if fits(s) {
			return s
		}
	}
	p.t.Fatalf("the stream ended before %s: %+v %v", what, s, lines.Err())
	return s
}

func states(s stateView) string {
	var out []string
	for _, j := range s.Jobs {
		out = append(out, strings.TrimSuffix(j.Name, ".mp4")+" "+string(j.State))
	}
	return strings.Join(out, ", ")
}

// The queue: one after the other, the urgent one before the rest and in place of the running one; pause
// and resume; a server that is away is tried again; a cancelled transfer is taken back at the server as
// soon as it can be reached; an agent that starts anew goes on.
func TestAgentQueue(t *testing.T) {
	dir := t.TempDir()
	r, id := openFolderRig(t, dir)
	p := r.paired(ours)
	is := func(want string) {
		t.Helper()
		p.wait(want, func(s stateView) bool { return states(s) == want })
	}
	a := p.enqueue(id, "a.mp4", map[string]any{"policy": "low", "rate_bps": 9000})
	b := p.enqueue(id, "day/c.mp4", nil)
	first := <-r.work.runs
	if j := first.job; j.ID != a.ID || j.Policy != "low" || j.Rate != 9000 || j.Hub != "hub_1" || j.Begun || len(first.files) != 1 {
		t.Errorf("sent first: %+v", j)
	}
	if err := first.on.begun("trf_a"); err != nil {
		t.Fatal(err)
	}
	first.on.progress(jobLive{Path: "quic", Rate: 5}, 0, 3)
	s := p.wait("progress", func(s stateView) bool { return s.Jobs[0].Sent == 3 })
	if j := s.Jobs[0]; j.Live == nil || j.Live.Path != "quic" || j.Transfer != "trf_a" || j.State != queueSending || s.Device != "edit-7" {
		t.Errorf("under way: %+v", s)
	}
	urgent := p.enqueue(id, "day/deep/d.mp4", map[string]any{"first": true})
	second := <-r.work.runs
	if second.job.ID != urgent.ID || first.ctx.Err() == nil {
		t.Errorf("the urgent one did not take the place: %+v", second.job)
	}
	is("d sending, a queued, c queued")
	p.ask("POST", "/v1/jobs/"+b.ID+"/first", nil)
	third := <-r.work.runs
	if third.job.ID != b.ID {
		t.Errorf("put first: %+v", third.job)
	}
	p.ask("POST", "/v1/jobs/"+b.ID+"/pause", nil)
	if back := <-r.work.runs; back.job.ID != urgent.ID || !back.job.Begun {
		t.Errorf("after the pause: %+v", back.job)
	} else {
		back.end <- nil
	}
	is("c paused, a sending, d done")
	again := <-r.work.runs
	if again.job.ID != a.ID || !slices.Equal(again.job.Transfers, []string{"trf_a"}) {
		t.Errorf("goes on: %+v", again.job)
	}
	again.end <- fail(exitUnreachable, "The server cannot be reached.", "Check the connection.")
	s = p.wait("waiting", func(s stateView) bool { return states(s) == "c paused, a waiting, d done" })
	if j := s.Jobs[1]; j.Error == nil || j.Error.Message != "The server cannot be reached." || j.RetryAt == nil {
		t.Errorf("it does not say why it waits: %+v", j)
	}
	p.ask("POST", "/v1/jobs/"+a.ID+"/resume", nil)
	(<-r.work.runs).end <- errTakenOver()
	is("c paused, a paused, d done") // going on by itself would take it back
	p.ask("POST", "/v1/jobs/"+a.ID+"/resume", nil)
	(<-r.work.runs).end <- fail(exitSome, "1 of 1 files was not sent.", "")
	is("c paused, a failed, d done")

	r.work.offline = true
	p.ask("POST", "/v1/jobs/"+a.ID+"/cancel", nil)
	is("c paused, a cancelled, d done")
	p.refused(409, "not_over", "DELETE", "/v1/jobs/"+b.ID, nil)
	p.refused(409, "not_over", "DELETE", "/v1/jobs/"+a.ID, nil) // the server does not know yet
	p.ask("DELETE", "/v1/jobs/"+urgent.ID, nil)
	is("c paused, a cancelled")
	p.ask("POST", "/v1/jobs/"+b.ID+"/resume", nil)
	<-r.work.runs
	is("c sending, a cancelled")

	r.stop()
	r = startAgent(t, dir, r.folder)
	p = &page{agentRig: r, origin: ours, host: fmt.Sprintf("127.0.0.1:%d", r.door.port), key: p.key}
	p.enter() // the pairing lasts, the token does not
	if back := <-r.work.runs; back.job.ID != b.ID || back.files[0].size != int64(len("bytes of day/c.mp4")) {
		t.Errorf("after the restart: %+v", back.job)
	}
	is("c sending, a cancelled")
	for done := false; !done; {
		r.work.mu.Lock()
		done = slices.Equal(r.work.cancelled, []string{"trf_a"})
		r.work.mu.Unlock()
	}
}

// The dialog says which page asks, is there once, and gives what the person chose, however it is called.
func TestAgentDialog(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "clip one.mp4"), "x")
	write(t, filepath.Join(dir, "tree/two.mp4"), "xy")
	// Stands in for the desktop's program: notes what it is asked, answers when the test lets it.
	script := "#!/bin/sh\necho \"$@\" > '" + dir + "/asked'\nread line < '" + dir + "/gate'\n[ \"$line\" = closed ] && exit 1\nprintf '%s\\n' '" + dir + "/clip one.mp4' '" + dir + "/tree'\n"
	write(t, filepath.Join(dir, "bin/zenity"), script)
	if err := os.Chmod(filepath.Join(dir, "bin/zenity"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := mkfifo(filepath.Join(dir, "gate")); err != nil {
		t.Skip("no pipes with names here")
	}
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	r := startAgent(t, t.TempDir())
	p := r.paired(ours)
	if !p.state().Dialog {
		t.Fatal("the dialog was not found")
	}
	gate := func(line string) {
		f, err := os.OpenFile(filepath.Join(dir, "gate"), os.O_WRONLY, 0) // waits until the dialog is open
		if err == nil {
			_, err = io.WriteString(f, line+"\n")
		}
		if err != nil {
			t.Error(err)
			return
		}
		_ = f.Close()
	}
	answered := make(chan []pickView)
	go func() { answered <- p.picks("/v1/dialog", map[string]any{"kind": "files"}) }()
	for {
		if _, err := os.Stat(filepath.Join(dir, "asked")); err == nil {
			break
		}
	}
	p.refused(409, "dialog_open", "POST", "/v1/dialog", map[string]any{"kind": "files"})
	gate("chosen")
	got := <-answered
	if len(got) != 2 || got[0].Name != "clip one.mp4" || got[1].Name != "tree" || !got[1].Folder || got[1].Size != 2 {
		t.Errorf("chosen: %+v", got)
	}
	if asked, err := os.ReadFile(filepath.Join(dir, "asked")); err != nil || !strings.Contains(string(asked), "Send to "+ours) {
		t.Errorf("the dialog was opened with %s %v", asked, err)
	}
	go gate("closed")
	if got := p.picks("/v1/dialog", map[string]any{"kind": "folder"}); len(got) != 0 {
		t.Errorf("closed without a choice: %+v", got)
	}
	p.refused(400, "invalid", "POST", "/v1/dialog", map[string]any{"kind": "/etc/passwd"})
}
