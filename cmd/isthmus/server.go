package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"isthmus/api"
	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/integrations/kaltura/platform"
	"isthmus/integrations/spaces"
	"isthmus/jobs"
	"isthmus/media"
	"isthmus/outbound"
	"isthmus/secrets"
	"isthmus/store"
	"isthmus/web"
)

// server is everything that runs in one process, joined.
type server struct {
	ground
	cfg     serveCommand
	metrics *metrics
	local   *http.Client // reaches the embedded platform and the demo identity provider in this process

	hubs         *gateway.Hubs
	access       *gateway.Access
	integrations *gateway.Integrations
	uploads      *gateway.Uploads
	relay        *gateway.Relay
	kaltura      *platform.Platform
	api          *api.Server
	jobs         *store.JobRunner
	demo         demoFile
}

const (
	uploadLife   = 30 * 24 * time.Hour
	staleAfter   = 24 * time.Hour
	stopPatience = 12 * time.Second
)

// open builds the server in the order in which things need each other. On an error it closes what it opened.
func open(ctx context.Context, cfg serveCommand, log *slog.Logger) (_ *server, err error) {
	s := &server{ground: ground{log: log}, cfg: cfg, metrics: newMetrics()}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := s.ground.open(ctx, cfg.dataFlags, cfg.Replica, media.Options{Encodes: cfg.MediaWorkers, Unsafe: cfg.UnsafeMedia}); err != nil {
		return nil, err
	}
	s.metrics.disk(s.disk.Free)
	clock, staging, blobs, events, assets := gateway.SystemClock, s.staging, s.blobs, s.events, s.assets
	tickets, err := secrets.NewTickets(s.keyring, cfg.BaseURL, clock)
	if err != nil {
		return nil, err
	}
	s.hubs = &gateway.Hubs{Store: s.db, Clock: clock}
	s.access = &gateway.Access{Store: s.db, Clock: clock}

	inProcess := map[string]http.Handler{}
	if cfg.Demo {
		if s.kaltura, err = s.embed(cfg.BaseURL + "/kaltura"); err != nil {
			return nil, err
		}
		inProcess[cfg.BaseURL+"/kaltura"] = s.kaltura
	}
	guard := outbound.Options{AllowNetworks: cfg.AllowNetworks}
	platforms := guard
	platforms.ResponseHeader = cfg.Patience * 5 / 2 // Kaltura's final upload chunk may take 45 s
	s.integrations = &gateway.Integrations{
		Store: s.db, Clock: clock, Sealer: s.keyring, Events: events, Grace: cfg.Grace,
		Platforms: integrations.New(integrations.Options{
			Outbound: outbound.New(platforms), Local: inProcess, CheckURL: guard.ServiceURL, Log: log, Clock: clock, Patience: cfg.Patience,
		}),
	}
	mappings := &gateway.Mappings{Store: s.db, Clock: clock, Integrations: s.integrations, Events: events}
	catalog := &gateway.Catalog{
		Integrations: s.integrations, Mappings: mappings, Clock: clock, StaleAfter: staleAfter,
		Refused: func(d gateway.Decision) { s.metrics.refused.WithLabelValues(d.Reason).Inc() },
	}
	library := &gateway.Library{Store: s.db, Clock: clock, Catalog: catalog, Tickets: tickets, Assets: assets, Events: events}
	lanes := &gateway.Lanes{}
	library.Lanes, s.integrations.Lanes = lanes, lanes
	s.relay = &gateway.Relay{Store: s.db, Staging: staging, Integrations: s.integrations, Mappings: mappings, Events: events}
	s.uploads = &gateway.Uploads{
		Store: s.db, Clock: clock, Staging: staging, Pipeline: s.pipeline, Integrations: s.integrations, Mappings: mappings,
		Events: events, Relay: s.relay, Lanes: lanes, Replica: s.db.Replica(), Life: uploadLife, MaxSize: cfg.MaxUpload,
	}
	s.integrations.Recovered = s.relay.Wake
	assets.Settled[gateway.OwnerLibraryItem] = library.AssetChanged
	receivers := outbound.NewPoster(outbound.Options{AllowNetworks: cfg.AllowWebhookNetworks})
	webhooks := &gateway.Webhooks{Store: s.db, Clock: clock, Sealer: s.keyring, Events: events, Poster: receivers}
	jobRows := &gateway.Jobs{Store: s.db, Clock: clock, Events: events, Assets: assets}
	spherical := &gateway.Spherical{Catalog: catalog}
	tasks := jobs.Services{
		Uploads: s.uploads, Library: library, Assets: assets, Integrations: s.integrations, Jobs: jobRows, Webhooks: webhooks, Spherical: spherical,
	}
	tasks.Sweeps = append(tasks.Sweeps, webhooks.Sweep)
	if s.kaltura != nil {
		tasks.Sweeps = append(tasks.Sweeps, s.kaltura.Sweep)
	}
	s.jobs, err = s.db.Runner(jobs.New(tasks), store.JobsOptions{
		Queues: map[string]int{gateway.QueueMedia: cfg.MediaWorkers}, Periodic: jobs.Schedule(), OnError: jobs.LogErrors(log),
	})
	if err != nil {
		return nil, err
	}
	tokens, err := api.NewTokens(ctx, s.db, s.keyring, cfg.BaseURL, clock)
	if err != nil {
		return nil, err
	}
	s.api, err = api.New(api.Config{
		BaseURL: cfg.BaseURL, Tokens: tokens, Tickets: tickets, Blobs: blobs, Web: web.Handler(), Log: log,
		Ready: s.ready, PlaybackHosts: cfg.PlaybackHosts, TrustProxies: cfg.proxies(),
		Services: api.Services{
			Hubs: s.hubs, Access: s.access, Integrations: s.integrations, Mappings: mappings, Catalog: catalog, Library: library,
			Uploads: s.uploads, Jobs: jobRows, Events: events, Webhooks: webhooks, Spherical: spherical,
		},
	})
	if err != nil {
		return nil, err
	}
	return s, s.openSignIn(ctx, guard)
}

// openData opens the database and the keys; without its key file a database with sealed rows is refused.
func openData(ctx context.Context, f dataFlags, replica string, log *slog.Logger) (*store.DB, *secrets.Keyring, error) {
	db, err := store.Open(ctx, store.Options{DSN: f.DB, DataDir: f.Data, Replica: replica, Log: log})
	if err != nil {
		return nil, nil, err
	}
	sealed, err := db.HasSealed(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	keyring, err := secrets.OpenKeyring(f.Data, !sealed)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, keyring, nil
}

// openSignIn mounts the sign-in and, in a demo, the embedded platform and the demo identity provider.
func (s *server) openSignIn(ctx context.Context, guard outbound.Options) error {
	secret, err := s.cfg.oidcSecret()
	if err != nil {
		return err
	}
	sign := spaces.Config{
		BaseURL: s.cfg.BaseURL, Issuer: s.cfg.OIDCIssuer, ClientID: s.cfg.OIDCClientID, ClientSecret: secret,
		HTTP: outbound.New(guard), SignIn: s.api.SignIn, SignOut: s.api.SignOut, Log: s.log,
	}
	if s.cfg.Demo {
		if err := s.openDemo(ctx, &sign); err != nil {
			return err
		}
	}
	signIn, err := spaces.New(sign)
	if err != nil {
		return err
	}
	s.api.Mount("/auth/", signIn)
	return nil
}

// ready is what /readyz asks.
func (s *server) ready(ctx context.Context) error { return s.db.Ping(ctx) }

// health is the detail that only the admin listener shows.
func (s *server) health(ctx context.Context) map[string]any {
	h := map[string]any{"database": "ok", "media": s.pipeline.Health(), "web": web.Built()}
	if err := s.db.Ping(ctx); err != nil {
		h["database"] = err.Error()
	}
	if free, err := s.disk.Free(); err == nil {
		h["disk_free_bytes"] = free
	}
	return h
}

// run serves until ctx ends, then stops within 15 s: uploads break off at a durable offset and resume.
func (s *server) run(ctx context.Context) error {
	listener, err := listen(s.cfg.Addr)
	if err != nil {
		return err
	}
	if err := serveAdmin(ctx, s.cfg.AdminAddr, s.metrics, s.health, s.log); err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := s.jobs.Start(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	if s.kaltura != nil {
		if err := s.kaltura.Sweep(ctx); err != nil { // what a crash left behind
			return errors.Join(err, listener.Close())
		}
		go s.watch(ctx, s.kaltura)
	}
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	relayed := make(chan error, 1)
	go func() { relayed <- s.relay.Run(working, s.db.Replica()) }()
	if s.cfg.Demo {
		go func() {
			if err := s.seedMedia(working, s.demo); err != nil && working.Err() == nil {
				s.log.Warn("demo media", "error", err)
			}
		}()
	}
	front := s.front(s.metrics.front(s.api))
	front.RegisterOnShutdown(s.api.Close)
	served := make(chan error, 1)
	go func() { served <- front.Serve(listener) }()
	s.log.Info("serving", "addr", listener.Addr().String(), "base_url", s.cfg.BaseURL)

	select {
	case err := <-served:
		return err
	case err := <-relayed:
		return fmt.Errorf("relay: %w", err)
	case <-ctx.Done():
	}
	s.log.Info("stopping")
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	stopWork()
	if err := front.Shutdown(patience); err != nil {
		_ = front.Close() // a client that sends slowly: what it sent is durable
	}
	return s.jobs.Stop(patience)
}

// Run is `isthmus serve`.
func (c *serveCommand) Run(ctx context.Context) error {
	log := newLogger(c.LogLevel)
	s, err := open(ctx, *c, log)
	if err != nil {
		return err
	}
	defer s.close()
	return s.run(ctx)
}
