package main

import (
	"context"
	"os"
	"path/filepath"

	"isthmus/gateway"
	"isthmus/integrations/dropfolder"
	"isthmus/outbound"
)

// dropOff is the --drop-root of a server that looks at no directories.
const dropOff = "off"

// dropPlace gives the directory below which hubs' drop folders lie; "" = none.
func (c *serveCommand) dropPlace() string {
	switch c.DropRoot {
	case "":
		return filepath.Join(c.Data, "drop")
	case dropOff:
		return ""
	}
	return c.DropRoot
}

// newDropFolders joins drop folders and what they look at. What the other services are is filled in by open.
func (s *server) newDropFolders(mappings *gateway.Mappings, lanes *gateway.Lanes) (*gateway.DropFolders, error) {
	root := s.cfg.dropPlace()
	if root != "" {
		if err := os.MkdirAll(root, 0o770); err != nil {
			return nil, gateway.E(gateway.Invalid, "drop_root", "The directory of drop folders cannot be made.").
				Next("Name one that the server may write to with --drop-root, or give it off.").Because(err)
		}
	}
	buckets := outbound.Options{AllowNetworks: s.cfg.AllowBucketNetworks}
	return &gateway.DropFolders{
		Store: s.db, Clock: gateway.SystemClock, Manifests: dropfolder.Manifests{}, Uploads: s.uploads, Integrations: s.integrations,
		Mappings: mappings, Events: s.events, Lanes: lanes, Sealer: s.keyring, Replica: s.db.Replica(), Directories: root != "",
		Sources: dropfolder.New(dropfolder.Options{
			Root: root, Client: outbound.New(buckets), CheckURL: buckets.ServiceURL, Log: s.log,
		}),
		// An address in a manifest is called with the rules of one that is registered for the library.
		Fetcher: outbound.NewSource(outbound.Options{AllowNetworks: s.cfg.AllowNetworks}),
	}, nil
}

// demoDrop makes the demo's drop folder unless it was made: a directory of the connected hub.
func (s *server) demoDrop(ctx context.Context, d *demoFile, path string) error {
	if d.DropFolder.ID != "" || s.cfg.dropPlace() == "" {
		return nil
	}
	admin, err := s.demoAdmin(ctx, *d)
	if err != nil {
		return err
	}
	name, source, at := "Demo", gateway.DropDirectory, "demo"
	text := "Copy media into its directory: what was not changed for five seconds becomes an entry."
	// Nobody who tries a demo wants to learn about markers first.
	complete, handler := gateway.DropComplete{StableS: 5, Rename: "*.part"}, gateway.HandleBoth
	f, err := s.drops.Create(ctx, admin, gateway.DropFolderDraft{
		Name: &name, Description: &text, Source: &source, Path: &at, Complete: &complete, Handler: &handler,
	})
	if gateway.IsReason(err, "name_taken") || gateway.IsReason(err, "place_taken") { // a start that was killed before the file was written
		f, err = s.demoDropFolder(ctx, d.HubID, name)
	}
	if err != nil || f.ID == "" {
		return err
	}
	d.DropFolder = dropFile{ID: f.ID, Path: s.drops.Sources.Place(f)}
	return d.write(path)
}

// demoDropFolder finds what a start that was killed has made.
func (s *server) demoDropFolder(ctx context.Context, hub, name string) (gateway.DropFolder, error) {
	all, err := s.db.DropFolders().List(ctx, gateway.Scope(hub), name, gateway.Slice{Limit: 100})
	for _, f := range all {
		if f.Name == name {
			return f, err
		}
	}
	return gateway.DropFolder{}, err
}

// demoAdmin is the admin of the connected hub.
func (s *server) demoAdmin(ctx context.Context, d demoFile) (gateway.Actor, error) {
	belongings, err := s.hubs.SignIn(ctx, d.identity(s.demoIssuer(), d.People[0]))
	for _, b := range belongings {
		if b.Hub.ID == d.HubID {
			return gateway.Actor{
				HubID: b.Hub.ID, ParticipantID: b.Participant.ID, Role: b.Participant.Role,
				Email: b.Participant.Email, EmailVerified: true, Name: b.Participant.Name,
			}, err
		}
	}
	return gateway.Actor{}, err
}
