package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"isthmus/openapi"
	"isthmus/transfer"
)

// The form is that of web/src/upload/fingerprint.ts, or files are not found again from one to the other.
func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) localFile {
		p := filepath.Join(dir, "f")
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.UnixMilli(1_700_000_000_123)
		if err := os.Chtimes(p, at, at); err != nil {
			t.Fatal(err)
		}
		return localFile{path: p, name: name, size: int64(len(b)), changed: at}
	}
	mark := func(f localFile) string {
		t.Helper()
		m, err := f.fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	abc := mark(write("tree/e\u0301t:e\u0301.mp4", []byte("abc")))
	if abc != "v1:3:1700000000123:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad:\u00e9t:\u00e9.mp4" {
		t.Errorf("%q", abc)
	}
	big := make([]byte, 3*endSize)
	one := mark(write("a.mp4", big))
	big[endSize+7] = 1 // in neither end: the time is all that tells
	if two := mark(write("b.mp4", big)); bytesOf(one) != bytesOf(two) || one == two {
		t.Errorf("%q %q", one, two)
	}
	big[len(big)-1] = 1
	if two := mark(write("a.mp4", big)); bytesOf(one) == bytesOf(two) {
		t.Error("the end does not count")
	}
	for _, other := range []string{"", "v1:3", strings.Replace(abc, "v1:", "v2:", 1), strings.Replace(abc, ":3:", ":4:", 1)} {
		if bytesOf(abc) == bytesOf(other) {
			t.Errorf("%q is taken for the same", other)
		}
	}
	if long := mark(write(strings.Repeat("ü", 300)+".mp4", []byte("abc"))); len(long) > 300 {
		t.Errorf("longer than the API takes: %d", len(long))
	}
}

// What was read of a file that has changed is not given.
func TestSteady(t *testing.T) {
	p := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(p, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	f, err := localFile{path: p, size: 10, changed: st.ModTime()}.reader()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, 4)
	if _, err := f.ReadAt(b, 6); err != nil {
		t.Fatal(err)
	}
	later := st.ModTime().Add(time.Second)
	if err := os.Chtimes(p, later, later); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(b, 6); transfer.CodeOf(err) != transfer.CodeChanged {
		t.Error("a change of the time goes unnoticed:", err)
	}
	if _, err := f.Stat(); transfer.CodeOf(err) != transfer.CodeChanged {
		t.Error("likewise:", err)
	}
}

// zeros is a file that takes hours to read.
type zeros struct{ spoolInfo }

func (z zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }
func (z zeros) Stat() (fs.FileInfo, error)            { return z.spoolInfo, nil }
func (z zeros) Close() error                          { return nil }

// Nobody has to wait until a large file was read, and nobody reads on when all is over.
func TestDigestStops(t *testing.T) {
	const size = 1 << 50
	f := &outgoing{localFile: localFile{size: size, open: func() (transfer.File, error) { return zeros{spoolInfo{size}}, nil }}, hashed: make(chan struct{})}
	life, over := context.WithCancel(t.Context())
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := f.digest(ctx, life); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	over()
	if _, err := f.digest(t.Context(), life); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-f.hashed
}

// A pipe that took a file's place lets nobody wait.
func TestPipeInstead(t *testing.T) {
	dir := t.TempDir()
	p := filepath.Join(dir, "f")
	if err := mkfifo(p); err != nil {
		t.Skip("no pipes with names here")
	}
	for name, f := range map[string]localFile{
		"file": {path: p, name: "f", size: 3}, "file of a folder": queueFile{Root: dir, Path: "f", Name: "f", Size: 3}.local(),
	} {
		if _, err := f.fingerprint(); transfer.CodeOf(err) != transfer.CodeChanged {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a shell reads of the command that goes on is what was typed, and nothing is done by it.
func TestGoOnWith(t *testing.T) {
	for want, args := range map[string][]string{
		"isthmusctl send a.mp4 --resume":            {"/usr/bin/isthmusctl", "send", "a.mp4"},
		"isthmusctl send --resume send":             {"isthmusctl", "send", "--resume", "send"},
		"isthmusctl --hub send send a --resume":     {"isthmusctl", "--hub", "send", "send", "a"},
		"isthmusctl send --resume -- -a '#b'":       {"isthmusctl", "send", "--", "-a", "#b"},
		"isthmusctl send 'a b' 'it'\\''s' --resume": {"isthmusctl", "send", "a b", "it's"},
		"isthmusctl send 'a`reboot`.mp4' --resume":  {"isthmusctl", "send", "a`reboot`.mp4"},
		`isthmusctl send $'\x1b\x5b2J' '' --resume`: {"isthmusctl", "send", "\x1b[2J", ""},
		`isthmusctl send $'\xff.mp4' --resume`:      {"isthmusctl", "send", "\xff.mp4"},
	} {
		if have := goOnWith(args, slices.Contains(args, "--resume")); have != want {
			t.Errorf("%s, not %s", have, want)
		}
	}
}

// A real shell reads every byte as it was.
func TestShellWord(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such shell")
	}
	var all []byte
	for c := range 255 {
		all = append(all, byte(c+1), 'b') // a digit of the escape before it, if it were read so
	}
	for _, word := range []string{"", "a b", "it's", "`id`", "$(id)", "${HOME}", "~", "*", "[a]", "#", "!!", "a\\b", "-rf", "é🎬", "\u202e", "a\nb", "\xff", string(all)} {
		out, err := exec.Command("bash", "-c", "printf %s "+shellWord(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q is read as %q by %s: %v", word, out, shellWord(word), err)
		}
	}
}

// Files find the uploads that they go on with, each once, and the right one of two alike.
func TestTake(t *testing.T) {
	up := func(id, mark string) openapi.Upload { return openapi.Upload{ID: id, Fingerprint: &mark} }
	k := knownUploads{
		open: map[string][]openapi.Upload{"3:aa": {up("other name", "v1:3:1:aa:x"), up("this one", "v1:3:1:aa:y")}},
		over: map[string]openapi.Upload{"v1:3:1:aa:y": up("sent", "v1:3:1:aa:y")},
	}
	for _, want := range []string{"this one", "other name", "sent"} {
		if u, over := k.take("v1:3:1:aa:y"); u == nil || u.ID != want || over != (want == "sent") {
			t.Errorf("%v %v, not %s", u, over, want)
		}
	}
	if u, _ := k.take("v1:3:2:aa:y"); u != nil {
		t.Error("taken twice:", u.ID)
	}
}

func TestWords(t *testing.T) {
	for want, have := range map[string]string{
		"999 B": bytesText(999), "1.0 kB": bytesText(1000), "1.0 MB": bytesText(999_999), "40.0 GB": bytesText(40e9), "9.2 EB": bytesText(1<<63 - 1),
		"0 bit/s": rateText(0), "94.2 Mbit/s": rateText(94_200_000), "1.0 Gbit/s": rateText(999_999_999),
		"59 s": leftText(59), "2 min": leftText(100), "3 h 05 min": leftText(3*3600 + 5*60), "5 days": leftText(5 * 86400),
	} {
		if want != have {
			t.Errorf("%q is shown as %q", want, have)
		}
	}
	for text, want := range map[string]bitRate{"200M": 200e6, "1.5G": 1.5e9, "800k": 800e3, "8000": 8000, "10 Mbit/s": 10e6, "5Mbps": 5e6} {
		var r bitRate
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want {
			t.Errorf("%s: %d, %v", text, r, err)
		}
	}
	for _, text := range []string{"", "M", "-5M", "7999", "fast", "1e99", "NaN"} {
		var r bitRate
		if err := r.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %d", text, r)
		}
	}
	for name, want := range map[string]string{
		"../../etc/passwd": "passwd", "..": "download", ".bashrc": "bashrc", "a\x1b[2Jb.mp4": "a_[2Jb.mp4", `c:\x\y.mp4`: "c__x_y.mp4", "é.mp4": "é.mp4", "": "download",
	} {
		if have := safeName(name); have != want {
			t.Errorf("%q is kept as %q, not %q", name, have, want)
		}
	}
	for _, row := range []struct {
		typed, want string
		allow       bool
	}{
		{"isthmus.example.org", "https://isthmus.example.org", false},
		{"https://isthmus.example.org/", "https://isthmus.example.org", false},
		{"http://localhost:8080", "http://localhost:8080", false},
		{"http://[::1]:8080", "http://[::1]:8080", false},
		{"http://media.lan", "", false},
		{"http://media.lan", "http://media.lan", true},
		{"http://127.0.0.1.example.org", "", false},
		{"https://isthmus.example.org/library", "", false},
		{"ftp://isthmus.example.org", "", false},
		{"", "", false},
	} {
		have, err := serverAddress(row.typed, row.allow)
		if have != row.want || (err == nil) != (row.want != "") || err != nil && exitCode(err) != exitUsage {
			t.Errorf("%q: %q, %v", row.typed, have, err)
		}
	}
}

// The meter forgets what is long ago and starts anew when a number falls.
func TestMeter(t *testing.T) {
	var m meter
	now := time.Unix(1000, 0)
	at := func(after time.Duration, done int64) int64 { return m.at(now.Add(after), done) }
	if r := at(0, 0); r != 0 {
		t.Error(r)
	}
	for i := range 100 {
		at(time.Duration(i)*100*time.Millisecond, int64(i)*100_000)
	}
	if r := at(10*time.Second, 10_000_000); r < 7_900_000 || r > 8_100_000 {
		t.Error("8 Mbit/s are", r)
	}
	for i := range 60 {
		at(10*time.Second+time.Duration(i)*100*time.Millisecond, 10_000_000)
	}
	if r := at(16*time.Second, 10_000_000); r != 0 {
		t.Error("standing still is", r)
	}
	if r := at(17*time.Second, 500); r != 0 {
		t.Error("going back is", r)
	}
}

// The fast path is left only where the line gives it next to nothing and HTTPS does better.
func TestSlowdown(t *testing.T) {
	for name, row := range map[string]struct {
		line  bool
		fast  int64 // bit/s
		https int64
		want  []verdict // of the fast path's span, of the trial
	}{
		"quick":               {true, 50e6, 0, []verdict{goOn}},
		"slow, HTTPS quicker": {true, 300e3, 9e6, []verdict{tryHTTPS, stayHTTPS}},
		"slow line":           {true, 300e3, 310e3, []verdict{tryHTTPS, backToFast}},
		"held by the cap":     {false, 300e3, 0, []verdict{goOn}},
	} {
		s := slowdown{span: 15 * time.Second}
		now, done := time.Unix(1000, 0), int64(0)
		span := func(path string, bps int64) verdict {
			for range int(s.span/time.Second) + 1 {
				if v := s.look(now, path, row.line, done); v != goOn {
					return v
				}
				now, done = now.Add(time.Second), done+bps/8
			}
			return goOn
		}
		if v := span(pathFast, row.fast); v != row.want[0] {
			t.Errorf("%s: %d on the fast path", name, v)
		}
		if len(row.want) == 1 {
			continue
		}
		if v := span(pathHTTPS, row.https); v != row.want[1] {
			t.Errorf("%s: %d after the trial", name, v)
		}
		if row.want[1] == stayHTTPS {
			now = now.Add(slowHold) // nobody waits once more for what was slow before
		} else {
			if v := span(pathFast, row.fast); v != goOn {
				t.Errorf("%s: another trial at once", name)
			}
			now = now.Add(slowRest)
		}
		if v := span(pathFast, row.fast); v != tryHTTPS {
			t.Errorf("%s: no other trial, ever", name)
		}
	}
}
