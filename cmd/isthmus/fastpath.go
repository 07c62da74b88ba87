package main

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"isthmus/gateway"
	"isthmus/transfer"
	"isthmus/transfer/udp"
)

// fastPath joins the fast path's server to the gateway: one UDP port for files, HTTP/3 and tus over HTTP/3.
// A nil one is off.
type fastPath struct {
	uploads   *gateway.Uploads
	transfers *gateway.Transfers
	log       *slog.Logger
	counts    *fastCounts
	key       fastKey
	h3        *http3.Server

	looking sync.Mutex // one look at a time, so that figures only grow

	mu        sync.Mutex
	server    *transfer.Server // nil: it does not listen
	addresses []string         // for tickets
	trouble   string           // why it does not listen
	admitted  map[*admitted]bool
}

// admitted is a session that was let in.
type admitted struct {
	*gateway.Admission
	session *transfer.Session
	hub     string

	last transfer.SessionInfo // what was observed before
	at   time.Time            // when
	loss float64
	over bool // its client was told to end, upload by upload
}

const fastOff = "off"

// newFastPath prepares; listen opens the port. nil when it is off.
func newFastPath(cfg serveCommand, m *metrics, u *gateway.Uploads, t *gateway.Transfers, log *slog.Logger) (*fastPath, error) {
	if cfg.FastAddr == fastOff {
		return nil, nil
	}
	key, err := openFastKey(cfg.Data)
	if err != nil {
		return nil, err
	}
	f := &fastPath{uploads: u, transfers: t, log: log, key: key, admitted: map[*admitted]bool{}}
	f.counts = newFastCounts(m.registry, f.sessions)
	t.Endpoint = f.endpoint
	return f, nil
}

// listen opens the port: that of HTTP unless a flag says otherwise. An address that the operator named must be free.
func (f *fastPath) listen(cfg serveCommand, tcp net.Addr, h http.Handler) error {
	if f == nil {
		return nil
	}
	addr := cfg.FastAddr
	if addr == "" {
		addr = tcp.String()
	}
	// No Alt-Svc: the key is our own, which browsers do not trust. HTTP/3 is for clients that ask for it.
	f.h3 = &http3.Server{Handler: h, MaxHeaderBytes: 32 << 10, IdleTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler)}
	server, err := transfer.Listen(addr, transfer.Config{
		Certificate: f.key.certificate, Secret: f.key.secret, Tickets: f, Files: f, Log: f.log,
		H3: func(c *quic.Conn) { _ = f.h3.ServeQUICConn(c) }, // it ends when the connection does
	})
	if err != nil {
		if cfg.FastAddr == "" { // HTTPS carries everything, too
			f.log.Warn("no fast path: its UDP port cannot be opened; name another one with --fast-addr", "addr", addr, "error", err)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.trouble = err.Error()
			return nil
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			err = gateway.E(gateway.Conflict, "port_taken", "Another program already listens on UDP "+addr+".").
				Next("Stop it, or name another address with --fast-addr; port 0 takes a free one, \"off\" none.")
		}
		return err
	}
	if err := udp.CheckBuffers(); err != nil {
		f.log.Warn("fast path: small socket buffers", "advice", err.Error())
	}
	addresses := cfg.FastPublic
	if len(addresses) == 0 {
		base, err := url.Parse(cfg.BaseURL)
		if err != nil {
			return err
		}
		addresses = []string{net.JoinHostPort(base.Hostname(), strconv.Itoa(int(server.Addr().Port())))}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server, f.addresses = server, addresses
	f.log.Info("fast path", "addr", server.Addr().String(), "tickets_say", addresses)
	return nil
}

// run serves until ctx ends; what was acknowledged is durable then, and all that came.
func (f *fastPath) run(ctx context.Context) error {
	var server *transfer.Server
	if f != nil {
		server = f.running()
	}
	if server == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	for {
		select {
		case err := <-done:
			return errors.Join(err, f.h3.Close())
		case <-tick.C:
			f.observe()
		}
	}
}

func (f *fastPath) running() *transfer.Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.server
}

func (f *fastPath) sessions() []transfer.SessionInfo {
	if server := f.running(); server != nil {
		return server.Sessions()
	}
	return nil
}

// endpoint is what tickets say.
func (f *fastPath) endpoint() (addresses []string, keyHash string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addresses, hex.EncodeToString(f.key.hash[:])
}

// health is for the admin listener.
func (f *fastPath) health() map[string]any {
	if f == nil {
		return map[string]any{"listening": false}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server == nil {
		return map[string]any{"listening": false, "error": f.trouble}
	}
	h := map[string]any{"listening": true, "addr": f.server.Addr().String()}
	if err := udp.CheckBuffers(); err != nil {
		h["buffers"] = err.Error()
	}
	return h
}

// observe hands on what the sessions have measured, and ends those that may not go on.
func (f *fastPath) observe() {
	f.looking.Lock()
	defer f.looking.Unlock()
	f.mu.Lock()
	all := slices.Collect(maps.Keys(f.admitted))
	f.mu.Unlock()
	for _, a := range all {
		f.look(a, time.Now())
	}
}

// look is observe for one session. Called with looking held, as are the fields of a that it changes.
func (f *fastPath) look(a *admitted, now time.Time) {
	i := a.session.Info()
	if sent := i.Sent - a.last.Sent; sent > 0 {
		a.loss = min(1, max(0, 1-float64(i.Came-a.last.Came)/float64(sent)))
	}
	f.counts.count(a.hub, a.last, i, now.Sub(a.at).Seconds())
	a.last, a.at = i, now
	a.Observe(gateway.Reading{
		Bytes: i.Taken, Carried: i.Carried, Missing: i.Missing, Paused: i.Paused, Storage: i.Storage, RTT: i.RTT, Loss: a.loss,
	})
	err := a.Err()
	told := a.over
	a.over = err != nil
	switch {
	case err != nil && told: // a second ago, and it is still here
		a.session.End(asTransfer(err))
	case err != nil:
		for _, u := range i.Uploads {
			a.refuse(u.ID, gateway.AsError(err))
		}
	}
}

// refuse tells the client why an upload is over, without waiting for it.
func (a *admitted) refuse(uploadID string, why *gateway.Error) {
	go a.session.Refuse(uploadID, asTransfer(why))
}
