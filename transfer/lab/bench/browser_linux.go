package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// order is what the page in the browser is told to do.
type order struct {
	Way      string // tus, streams (of WebTransport), datagrams; "": the peer is no browser
	Addr     string
	Hash     []byte // WebTransport: SHA-256 of the server's certificate
	Parts    int    // of the file, sent at once
	Sessions int    // WebTransport: connections that carry them
	Rate     int64  // datagrams: bit/s of what is in them
}

//go:embed browser.html
var browserPage []byte

// browser is the program: Chromium or a relative, the only ones that speak WebTransport with all options here.
func browser() string {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return "chromium"
}

// sendInBrowser opens the page in a browser of its own and waits until it has sent the file. The page comes from
// this process by loopback and has the whole file before it begins: neither is part of the transfer.
func sendInBrowser(ctx context.Context, a sendArgs) (sent, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return sent{}, err
	}
	cmd := exec.Command(
		browser(), "--headless", "--user-data-dir="+a.Profile, "--no-first-run", "--disable-gpu", "--log-level=3",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-crash-reporter",
		// The page stands for one of the server's own: no question beforehand whether it may.
		"--disable-web-security", "--ignore-certificate-errors",
	)
	if os.Getuid() == 0 {
		cmd.Args = append(cmd.Args, "--no-sandbox")
	}
	cmd.Args = append(cmd.Args, "http://"+l.Addr().String()+"/")
	var complaints tail
	cmd.Stderr = &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}

	type end struct {
		sent
		Error string
	}
	ends, failed := make(chan end, 1), make(chan error, 2)
	started := make(chan time.Duration, 1) // CPU until then
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(browserPage)
	})
	mux.HandleFunc("GET /order", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(a.Page) })
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, a.File) })
	mux.HandleFunc("POST /begin", func(http.ResponseWriter, *http.Request) {
		started <- treeCPU(cmd.Process.Pid)
		if err := json.NewEncoder(os.Stdout).Encode("begun"); err != nil {
			failed <- err
		}
	})
	mux.HandleFunc("POST /end", func(_ http.ResponseWriter, r *http.Request) {
		var e end
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			failed <- err
			return
		}
		ends <- e
	})
	if err = cmd.Start(); err != nil {
		_ = l.Close()
		return sent{}, err
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }()
	defer func() { _ = srv.Close() }()
	gone := make(chan struct{})
	go func() {
		err = cmd.Wait()
		close(gone)
	}()
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // all that it started too
		<-gone
	}()

	var done end
	select {
	case <-gone:
		return sent{}, fmt.Errorf("%s ended: %w: %s", cmd.Path, errors.Join(err, io.ErrUnexpectedEOF), complaints.text())
	case err := <-failed:
		return sent{}, err
	case done = <-ends:
	case <-ctx.Done(): // cut: what it used until now counts all the same
	}
	select {
	case before := <-started:
		done.CPU = (treeCPU(cmd.Process.Pid) - before).Seconds()
	default:
	}
	if done.Error != "" {
		return sent{}, fmt.Errorf("page: %s", done.Error)
	}
	return done.sent, nil
}

// treeCPU is what a process and those below it have used, those included that have ended.
func treeCPU(pid int) time.Duration {
	ticks := 0
	for _, pid := range append(children(pid), pid) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 14 { // utime, stime and those of children that were waited for
			for _, v := range f[11:15] {
				n, _ := strconv.Atoi(v)
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}
