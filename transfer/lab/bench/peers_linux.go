package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"isthmus/transfer/rate"
)

// peer is a way to send a file.
type peer struct {
	name       string
	kind       string // isthmus, curl, scp, quic, tcp, tus, webtransport
	policy     rate.Policy
	digest     bool   // isthmus: with the SHA-256 of the file on both sides, as it is meant to be used
	congestion string // TCP's, on a link
	page       order  // tus, webtransport: how the browser is to send
}

// inBrowser tells whether the sender is a page in a browser.
func (p peer) inBrowser() bool { return p.page.Way != "" }

const (
	linkPeers     = "isthmus,curl-cubic,curl-bbr,scp,quic"
	loopbackPeers = "tcp,isthmus-plain,quic,isthmus"
)

var peers = []peer{
	{name: "isthmus", kind: "isthmus", digest: true},
	{name: "isthmus-plain", kind: "isthmus"},
	{name: "isthmus-high", kind: "isthmus", policy: rate.High, digest: true},
	{name: "isthmus-low", kind: "isthmus", policy: rate.Low, digest: true},
	{name: "isthmus-fixed", kind: "isthmus", policy: rate.Fixed, digest: true},
	{name: "curl-cubic", kind: "curl", congestion: "cubic"},
	{name: "curl-bbr", kind: "curl", congestion: "bbr"},
	{name: "scp", kind: "scp", congestion: "cubic"},
	{name: "quic", kind: "quic"},
	{name: "tcp", kind: "tcp", congestion: "cubic"},
	{name: "tcp-bbr", kind: "tcp", congestion: "bbr"},
	{name: "browser-tus", kind: "tus", congestion: "cubic", page: order{Way: "tus", Parts: uploads}},
	{name: "browser-tus-bbr", kind: "tus", congestion: "bbr", page: order{Way: "tus", Parts: uploads}},
	{name: "browser-tus-most", kind: "tus", congestion: "cubic", page: order{Way: "tus", Parts: 6}}, // browsers open no more to one host
	{name: "browser-webtransport", kind: "webtransport", page: order{Way: "streams", Parts: 1, Sessions: 1}},
	{name: "browser-webtransport-streams", kind: "webtransport", page: order{Way: "streams", Parts: uploads, Sessions: 1}},
	{name: "browser-webtransport-sessions", kind: "webtransport", page: order{Way: "streams", Parts: uploads, Sessions: uploads}},
	{name: "browser-webtransport-many", kind: "webtransport", page: order{Way: "streams", Parts: 16, Sessions: 16}},
	{name: "browser-webtransport-datagrams", kind: "webtransport", page: order{Way: "datagrams"}},
}

// uploads is how many files the web uploader sends at once (PARALLEL in web/src/upload/queue.ts).
const uploads = 3

func peerNames() string {
	var all []string
	for _, p := range peers {
		all = append(all, p.name)
	}
	return strings.Join(all, ", ") + "; browser: all browser-…"
}

// parsePeers reads names, separated by commas; "browser" are all in a browser.
func parsePeers(text string) ([]peer, error) {
	var chosen []peer
	for name := range strings.SplitSeq(text, ",") {
		before := len(chosen)
		for _, p := range peers {
			if p.name == name || name == "browser" && p.inBrowser() {
				chosen = append(chosen, p)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("peer %q: there are %s", name, peerNames())
		}
	}
	return chosen, nil
}

// absent says why a peer cannot take part on this machine; "": it can.
func (p peer) absent(onLink bool) string {
	var need []string
	switch p.kind {
	case "curl":
		need = []string{"curl"}
	case "scp":
		need = []string{"scp", "ssh-keygen", sshd()}
	case "tus", "webtransport":
		need = []string{browser()}
	}
	for _, program := range need {
		if _, err := exec.LookPath(program); err != nil {
			return "no program " + filepath.Base(program)
		}
	}
	if onLink && p.congestion != "" {
		there, err := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
		if err == nil && !slices.Contains(strings.Fields(string(there)), p.congestion) {
			return "this kernel has no " + p.congestion
		}
	}
	return ""
}

// receiver starts the receiving side; files go to dir.
func (p peer) receiver(ctx context.Context, namespace, host, dir string, size int64) (*process, ready, error) {
	if p.kind == "scp" {
		return startSSHD(ctx, namespace, host, dir)
	}
	args := serveArgs{Proto: p.kind, Addr: host + ":0", Dir: dir, Flows: 1, Size: size, Digest: p.digest}
	if p.kind == "curl" {
		args.Proto = "https"
	}
	return startServe(ctx, namespace, args)
}

func startServe(ctx context.Context, namespace string, args serveArgs) (*process, ready, error) {
	var at ready
	server, err := startRole(namespace, "serve", args)
	if err != nil {
		return nil, at, err
	}
	if err := server.read(ctx, &at); err != nil {
		server.end()
		return nil, at, fmt.Errorf("receiver: %w", err)
	}
	return server, at, nil
}

// sender starts the sending side. s is nil on loopback.
func (p peer) sender(namespace string, at ready, file, dir string, s *scenario) (*process, error) {
	switch p.kind {
	case "curl":
		return start(namespace, "curl", "-sSfk", "--http1.1", "-H", "Expect:", "-T", file, "-w", "%{time_total}\n", "https://"+at.Addr+"/0")
	case "scp":
		return startSCP(namespace, at, file, dir)
	}
	if p.inBrowser() {
		return p.browserSender(namespace, at, file, dir, s)
	}
	args := sendArgs{Proto: p.kind, Addr: at.Addr, Key: at.Key, File: file, Policy: p.policy.String(), Digest: p.digest}
	if p.policy == rate.Fixed && s != nil {
		args.Target = rate.BitRate(0.95 * float64(s.rate)) // it must be told; leave room for the control connection
	}
	return startRole(namespace, "send", args)
}

func (p peer) browserSender(namespace string, at ready, file, dir string, s *scenario) (*process, error) {
	hash, err := hex.DecodeString(at.Key)
	if err != nil {
		return nil, err
	}
	page := p.page
	page.Addr, page.Hash, page.Rate = at.Addr, hash, 1e9
	if s != nil {
		page.Rate = s.rate * 9 / 10 // headers need the rest
	}
	return startRole(namespace, "send", sendArgs{Proto: "browser", File: file, Page: page, Profile: filepath.Join(dir, "profile")})
}
