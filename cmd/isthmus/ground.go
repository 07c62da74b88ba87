package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"isthmus/gateway"
	"isthmus/integrations/kaltura/platform"
	"isthmus/media"
	"isthmus/secrets"
	"isthmus/store"
)

// ground is what the server and the sandbox both stand on: rows, keys, files and the media pipeline.
type ground struct {
	log      *slog.Logger
	data     string // folder
	db       *store.DB
	disk     *media.Disk
	keyring  *secrets.Keyring
	pipeline *media.Pipeline
	staging  *media.Staging
	blobs    *media.Blobs
	events   *gateway.Events
	assets   *gateway.Assets
}

// open opens everything in the order in which things need each other. After an error, close lets go
// of what was opened.
func (g *ground) open(ctx context.Context, f dataFlags, replica string, m media.Options) (err error) {
	g.data = f.Data
	if g.db, g.keyring, err = openData(ctx, f, replica, g.log); err != nil {
		return err
	}
	if g.disk, err = media.OpenDisk(f.Data, 0); err != nil {
		return err
	}
	m.Disk = g.disk
	if g.pipeline, err = media.New(ctx, m); err != nil {
		return err
	}
	g.staging = media.NewStaging(g.disk)
	g.blobs = media.NewBlobs(g.disk, g.staging)
	g.events = &gateway.Events{Store: g.db, Clock: gateway.SystemClock}
	g.assets = &gateway.Assets{
		Store: g.db, Clock: gateway.SystemClock, Staging: g.staging, Blobs: g.blobs, Pipeline: g.pipeline, Events: g.events,
		Settled: map[string]func(context.Context, gateway.Asset) error{},
	}
	return nil
}

// Drop folders of the embedded platform lie in the data folder.
const (
	dropRoot   = "dropfolders"
	dropFolder = "incoming" // the one that every account begins with
)

// embed makes the embedded platform with its public address.
func (g *ground) embed(baseURL string) (*platform.Platform, error) {
	root := filepath.Join(g.data, dropRoot)
	if err := os.MkdirAll(filepath.Join(root, dropFolder), 0o755); err != nil {
		return nil, err
	}
	p := platform.New(platform.Config{
		BaseURL: baseURL, Records: g.db, Staging: g.staging, Blobs: g.blobs, Assets: g.assets,
		Sealer: g.keyring, Clock: gateway.SystemClock, Log: g.log, DropRoot: root,
	})
	g.assets.Settled[gateway.OwnerKalturaEntry] = p.AssetChanged
	return p, nil
}

// watch looks into the embedded platform's drop folders until ctx ends.
func (g *ground) watch(ctx context.Context, p *platform.Platform) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := p.Watch(ctx); err != nil && ctx.Err() == nil {
			g.log.Warn("drop folders", "error", err)
		}
	}
}

// close lets go of everything, last opened first.
func (g *ground) close() {
	if g.disk != nil {
		_ = g.disk.Close()
	}
	if g.db != nil {
		if err := g.db.Close(); err != nil {
			g.log.Error("closing the database", "error", err)
		}
	}
}

// front is an HTTP server with the limits that every listener has.
func (g *ground) front(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

// listen opens a TCP address and says what to do when somebody else has it.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, gateway.E(gateway.Conflict, "port_taken", "Another program already listens on "+addr+".").
			Next("Stop it, or name another address with --addr; port 0 takes a free one.")
	}
	return l, err
}
