package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"isthmus/api"
	"isthmus/docs"
	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/integrations/dropfolder"
	"isthmus/integrations/kaltura/platform"
	"isthmus/integrations/spaces"
	"isthmus/jobs"
	"isthmus/media"
	"isthmus/openapi"
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
	providers    *gateway.IdentityProviders
	people       *gateway.People
	verifier     *spaces.Verifier
	access       *gateway.Access
	operators    *gateway.Operators
	integrations *gateway.Integrations
	uploads      *gateway.Uploads
	drops        *gateway.DropFolders
	transfers    *gateway.Transfers
	relay        *gateway.Relay
	limits       *gateway.Limits
	fast         *fastPath // nil: off
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
	s.providers = &gateway.IdentityProviders{Store: s.db, Clock: clock, Sealer: s.keyring, Events: events}
	s.hubs = &gateway.Hubs{Store: s.db, Clock: clock, Events: events, Providers: s.providers}
	s.access = &gateway.Access{Store: s.db, Clock: clock, Providers: s.providers}
	oauth := &gateway.OAuth{Store: s.db, Clock: clock, Hubs: s.hubs, Attempts: &gateway.Attempts{Clock: clock}}
	s.operators = &gateway.Operators{Store: s.db, Clock: clock}

	inProcess := map[string]http.Handler{}
	if cfg.Demo {
		if s.kaltura, err = s.embed(cfg.BaseURL + "/kaltura"); err != nil {
			return nil, err
		}
		inProcess[cfg.BaseURL+"/kaltura"] = s.kaltura
	}
	guard := outbound.Options{AllowNetworks: cfg.AllowNetworks}
	s.verifier = &spaces.Verifier{Providers: s.providers, HTTP: outbound.New(guard), Local: map[string]*http.Client{}, Clock: clock}
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
	library.Fetcher, library.Sealer, library.BaseURL, library.MaxSize = outbound.NewSource(guard), s.keyring, cfg.BaseURL, cfg.MaxUpload
	lanes := &gateway.Lanes{}
	library.Lanes, s.integrations.Lanes, mappings.Lanes = lanes, lanes, lanes
	audits := &gateway.Audits{Store: s.db, Clock: clock, Keep: cfg.AuditKeep, Log: log}
	s.relay = &gateway.Relay{Store: s.db, Staging: staging, Integrations: s.integrations, Mappings: mappings, Events: events}
	s.uploads = &gateway.Uploads{
		Store: s.db, Clock: clock, Staging: staging, Pipeline: s.pipeline, Integrations: s.integrations, Mappings: mappings,
		Events: events, Relay: s.relay, Lanes: lanes, Replica: s.db.Replica(), Life: uploadLife, MaxSize: cfg.MaxUpload,
	}
	library.Uploads, s.uploads.Blobs = s.uploads, blobs
	s.transfers = &gateway.Transfers{
		Store: s.db, Clock: clock, Uploads: s.uploads, Hubs: s.hubs, Events: events, Tickets: tickets, Replica: s.db.Replica(),
		Alone: !s.db.Shared(), TicketLife: cfg.TicketLife,
	}
	s.uploads.Meter = s.transfers.Meter
	if s.drops, err = s.newDropFolders(mappings, lanes); err != nil {
		return nil, err
	}
	s.uploads.Folders = s.drops
	if s.fast, err = newFastPath(cfg, s.metrics, s.uploads, s.transfers, log); err != nil {
		return nil, err
	}
	s.integrations.Recovered = s.relay.Wake
	assets.Settled[gateway.OwnerLibraryItem] = library.AssetChanged
	receivers := outbound.NewPoster(outbound.Options{AllowNetworks: cfg.AllowWebhookNetworks})
	webhooks := &gateway.Webhooks{Store: s.db, Clock: clock, Sealer: s.keyring, Events: events, Poster: receivers, Replica: s.db.Replica()}
	jobRows := &gateway.Jobs{Store: s.db, Clock: clock, Events: events, Assets: assets}
	spherical := &gateway.Spherical{Catalog: catalog}
	s.people = &gateway.People{Store: s.db, Clock: clock, Events: events, Uploads: s.uploads, Library: library}
	tasks := jobs.Services{
		People: s.people, Mappings: mappings, Folders: s.drops,
		Uploads: s.uploads, Library: library, Assets: assets, Integrations: s.integrations, Jobs: jobRows, Webhooks: webhooks, Spherical: spherical,
	}
	once := &gateway.Idempotency{Store: s.db, Clock: clock, Sealer: s.keyring, Replica: s.db.Replica()}
	s.limits = &gateway.Limits{Store: s.db, Clock: clock}
	tasks.Sweeps = append(tasks.Sweeps, library.SweepChanges, mappings.Sweep, audits.Sweep, webhooks.Sweep, once.Sweep, s.limits.Sweep)
	tasks.Sweeps = append(tasks.Sweeps, s.people.Sweep, s.drops.Sweep)
	if s.kaltura != nil {
		tasks.Sweeps = append(tasks.Sweeps, s.kaltura.Sweep)
	}
	tokens, err := api.NewTokens(ctx, s.db, s.keyring, cfg.BaseURL, clock)
	if err != nil {
		return nil, err
	}
	tasks.Sweeps = append(tasks.Sweeps, oauth.Sweep, tokens.RotateIfDue)
	s.jobs, err = s.db.Runner(jobs.New(tasks), store.JobsOptions{
		Queues: map[string]int{gateway.QueueMedia: cfg.MediaWorkers}, Periodic: jobs.Schedule(), OnError: jobs.LogErrors(log),
	})
	if err != nil {
		return nil, err
	}
	guides := sync.OnceValues(func() (http.Handler, error) { return docs.New(cfg.BaseURL, openapi.YAML) })
	s.api, err = api.New(api.Config{
		BaseURL: cfg.BaseURL, Tokens: tokens, Identities: s.verifier, Tickets: tickets, Protocol: s.verifier, Blobs: blobs, Web: web.Handler(), Picker: web.Picker(), Docs: guides, DropSchema: dropfolder.Schema, Log: log,
		Limits: api.RateLimits{Client: s.cfg.RateClient, User: s.cfg.RateUser, Hub: s.cfg.RateHub},
		Ready:  s.ready, PlaybackHosts: cfg.PlaybackHosts, TrustProxies: cfg.proxies(),
		Services: api.Services{
			Hubs: s.hubs, Providers: s.providers, People: s.people, Operators: s.operators, Clients: &gateway.Clients{Store: s.db, Clock: clock}, Access: s.access, OAuth: oauth,
			Integrations: s.integrations, Mappings: mappings, Audits: audits, Catalog: catalog, Library: library,
			Uploads: s.uploads, Transfers: s.transfers, Jobs: jobRows, Events: events, Webhooks: webhooks, Spherical: spherical, DropFolders: s.drops, Idempotency: once, Limits: s.limits,
		},
	})
	if err != nil {
		return nil, err
	}
	return s, s.openSignIn(ctx)
}

// openData opens the database and the keys; without its key file a database with sealed rows is refused.
func openData(ctx context.Context, f dataFlags, replica string, log *slog.Logger) (*store.DB, *secrets.Keyring, error) {
	return openStore(ctx, store.Options{DSN: f.DB, DataDir: f.Data, Replica: replica, Log: log})
}

// openBeside is openData for commands that may run while a server has the data folder.
func openBeside(ctx context.Context, f dataFlags) (*store.DB, error) {
	db, _, err := openStore(ctx, store.Options{DSN: f.DB, DataDir: f.Data, Beside: true, Log: newLogger(slog.LevelWarn)})
	return db, err
}

func openStore(ctx context.Context, o store.Options) (*store.DB, *secrets.Keyring, error) {
	db, err := store.Open(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := db.HasSealed(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	keyring, err := secrets.OpenKeyring(o.DataDir, !sealed)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	if err := db.SealAudits(ctx, keyring); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, keyring, nil
}

// openSignIn mounts the sign-in and, in a demo, the embedded platform and the demo identity provider.
func (s *server) openSignIn(ctx context.Context) error {
	if s.cfg.OIDCIssuer != "" {
		p := gateway.OpenedProvider{IdentityProvider: gateway.IdentityProvider{
			Row: gateway.Row{ID: gateway.ProviderIDFlags}, Issuer: s.cfg.OIDCIssuer, ClientID: s.cfg.OIDCClientID, Source: gateway.ProviderFlags,
			Name: s.cfg.OIDCName,
		}}
		var err error
		if p.Secret, err = secretFile(s.cfg.OIDCClientSecret); err != nil {
			return err
		}
		if p.Webhook, err = secretFile(s.cfg.OIDCWebhookSecret); err != nil {
			return err
		}
		if err := s.providers.Fix(p); err != nil {
			return err
		}
	}
	if s.cfg.Demo {
		if err := s.openDemo(ctx); err != nil {
			return err
		}
	}
	if err := (&gateway.Clients{Store: s.db, Clock: gateway.SystemClock}).EnsureBuiltIn(ctx); err != nil {
		return err
	}
	signIn, err := spaces.New(spaces.Config{
		BaseURL: s.cfg.BaseURL, Verifier: s.verifier, People: s.people, SignIn: s.api.SignIn, SignOut: s.api.SignOut, Log: s.log,
	})
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
	h["fast_path"] = s.fast.health()
	return h
}

// run serves until ctx ends, then stops within 15 s: uploads break off at a durable offset and resume.
func (s *server) run(ctx context.Context) error {
	listener, err := listen(s.cfg.Addr)
	if err != nil {
		return err
	}
	handler := s.metrics.front(s.api)
	if err := s.fast.listen(s.cfg, listener.Addr(), handler); err != nil {
		return errors.Join(err, listener.Close())
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
	defer s.transfers.Close()
	relayed := make(chan error, 1)
	go func() { relayed <- s.relay.Run(working, s.db.Replica()) }()
	var watching sync.WaitGroup
	watching.Go(func() { s.drops.Watch(working) })
	defer watching.Wait()
	defer stopWork()
	if s.cfg.Demo && s.cfg.DemoMedia {
		go func() {
			if err := s.seedMedia(working, s.demo); err != nil && working.Err() == nil {
				s.log.Warn("demo media", "error", err)
			}
		}()
	}
	front := s.front(handler)
	front.RegisterOnShutdown(s.api.Close)
	served := make(chan error, 1)
	go func() { served <- front.Serve(listener) }()
	received := make(chan error, 1)
	go func() { received <- s.fast.run(ctx) }()
	s.log.Info("serving", "addr", listener.Addr().String(), "base_url", s.cfg.BaseURL)

	select {
	case err := <-served:
		return err
	case err := <-relayed:
		return fmt.Errorf("relay: %w", err)
	case err := <-received:
		if ctx.Err() == nil {
			return fmt.Errorf("fast path: %w", err)
		}
		received <- err
	case <-ctx.Done():
	}
	s.log.Info("stopping")
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	stopWork()
	if err := front.Shutdown(patience); err != nil {
		_ = front.Close() // a client that sends slowly: what it sent is durable
	}
	select {
	case err := <-received: // all that came is on disk
		if err != nil {
			s.log.Error("fast path", "error", err)
		}
	case <-patience.Done():
	}
	return errors.Join(s.limits.Close(patience), s.jobs.Stop(patience))
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
