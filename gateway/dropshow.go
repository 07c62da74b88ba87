package gateway

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"unicode/utf8"
)

// maxSource is how much of a manifest is shown.
const maxSource = 1 << 20

// DropManifestSource is a manifest as it was sent.
type DropManifestSource struct {
	Format    ManifestFormat
	Text      string // UTF-8; what is no text becomes U+FFFD
	Truncated bool
}

// Source gives a manifest as it was sent, to those who may change folders: addresses in it may hold secrets. NotFound
// for what is no manifest, Precondition when its bytes are not here any more.
func (s *DropFolders) Source(ctx context.Context, a Actor, fileID string) (out DropManifestSource, _ error) {
	f, err := s.writable(ctx, a, fileID)
	if err != nil {
		return out, err
	}
	if !f.Manifest {
		return out, E(NotFound, "no_manifest_file", "This file is no manifest.").Next("Choose a file that describes others.")
	}
	folder, err := s.Store.DropFolders().Get(ctx, Scope(f.HubID), f.FolderID)
	if err != nil {
		return out, err
	}
	gone := E(Precondition, "manifest_gone", "The bytes of this manifest are not here any more.").Next("Send it again to look at it.")
	if f.UploadID == "" {
		return out, gone
	}
	r, end, err := s.openManifest(ctx, folder, f)
	if CodeOf(err) == NotFound {
		return out, gone.Because(err)
	}
	if _, elsewhere := errors.AsType[*Snooze](err); elsewhere {
		return out, E(Unavailable, "other_replica", "The manifest's bytes lie with another replica of this server.").Next("Try again in a moment.")
	}
	if err != nil {
		return out, err
	}
	defer func() { _ = end(context.WithoutCancel(ctx)) }()
	raw, err := io.ReadAll(io.LimitReader(r, maxSource+1))
	if err != nil {
		return out, err
	}
	if out.Truncated = len(raw) > maxSource; out.Truncated {
		raw = raw[:maxSource]
	}
	out.Format = s.Manifests.Format(f.Name)
	text := make([]rune, 0, len(raw))
	for len(raw) > 0 {
		r, n := utf8.DecodeRune(raw)
		text, raw = append(text, r), raw[n:]
	}
	out.Text = string(text)
	return out, nil
}

// FolderNames gives the names of the folders of files, by id; of those that were removed, too.
func (s *DropFolders) FolderNames(ctx context.Context, a Actor, files []DropFile) (map[string]string, error) {
	names := map[string]string{}
	for _, f := range files {
		if _, known := names[f.FolderID]; known {
			continue
		}
		row, err := s.Store.DropFolders().Get(ctx, Scope(a.HubID), f.FolderID)
		if err = ignoreNotFound(err); err != nil {
			return nil, err
		}
		names[f.FolderID] = row.Name
	}
	return names, nil
}

// Received gives how many bytes have come of those files that are being received or fetched, by file id.
func (s *DropFolders) Received(ctx context.Context, a Actor, files []DropFile) (map[string]int64, error) {
	by := map[string]string{}
	for _, f := range files {
		if f.UploadID != "" && (f.State == DropUploading || f.State == DropImporting) {
			by[f.UploadID] = f.ID
		}
	}
	if len(by) == 0 {
		return nil, nil
	}
	all, err := s.Store.Uploads().Named(ctx, Scope(a.HubID), slices.Collect(maps.Keys(by)))
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, u := range all {
		if u.State == UploadReceiving {
			s.Uploads.freshen(ctx, &u)
			out[by[u.ID]] = u.Received
		}
	}
	return out, nil
}

// Who names those who did what a timeline tells, by DropChange.By; who was erased is missing.
func (s *DropFolders) Who(ctx context.Context, a Actor, changes []DropChange) (map[string]AuditName, error) {
	subjects := make([]string, len(changes))
	for i, c := range changes {
		subjects[i] = c.By
	}
	return actorNames(ctx, s.Store, a.HubID, subjects)
}

// remote opens the hub's own drop folders on its platform, in the name of the hub's account.
func (s *DropFolders) remote(ctx context.Context, a Actor) (RemoteDropFolders, error) {
	only, err := s.dropReader(ctx, a)
	if err != nil {
		return nil, err
	}
	none := E(NotFound, "no_remote_drop_folders", "This hub's platform has no drop folders to show.").Next("Use the drop folders of the hub.")
	if only != "" {
		return nil, none
	}
	o, err := s.Integrations.OpenFor(ctx, a.HubID, true)
	if err != nil {
		return nil, err
	}
	r, ok := o.Platform.(RemoteDropFolders)
	// They are the whole account's: a hub that sees a part of it does not see them.
	if !ok || o.Integration.CategoryID != 0 || o.Integration.Visibility != VisibilityShared {
		return nil, none
	}
	return r, nil
}

// RemoteFolders lists the drop folders that the platform keeps itself. NotFound when it has none to show.
func (s *DropFolders) RemoteFolders(ctx context.Context, a Actor, cursor string) ([]RemoteDropFolder, string, error) {
	r, err := s.remote(ctx, a)
	if err != nil {
		return nil, "", err
	}
	return r.DropFolders(ctx, cursor)
}

// RemoteFiles lists the files of such a folder; failed: only those that were not taken.
func (s *DropFolders) RemoteFiles(ctx context.Context, a Actor, folderID string, failed bool, cursor string) ([]RemoteDropFile, string, error) {
	r, err := s.remote(ctx, a)
	if err != nil {
		return nil, "", err
	}
	return r.DropFiles(ctx, folderID, failed, cursor)
}

// RemoteManifests lists the XML that the platform read from such folders.
func (s *DropFolders) RemoteManifests(ctx context.Context, a Actor, cursor string) ([]RemoteManifest, string, error) {
	r, err := s.remote(ctx, a)
	if err != nil {
		return nil, "", err
	}
	return r.DropManifests(ctx, cursor)
}

// ChangeRemoteFile has the platform try a file of such a folder again, leave it alone or delete it.
func (s *DropFolders) ChangeRemoteFile(ctx context.Context, a Actor, folderID, fileID string, act DropAction) (RemoteDropFile, error) {
	if err := dropWriter(a); err != nil {
		return RemoteDropFile{}, err
	}
	r, err := s.remote(ctx, a)
	if err != nil {
		return RemoteDropFile{}, err
	}
	f, err := r.DropFile(ctx, folderID, fileID)
	if CodeOf(err) == NotFound {
		err = noSuchDropFile()
	}
	if err != nil {
		return f, err
	}
	if !slices.Contains(f.Actions(), act) {
		return f, E(Conflict, "not_now", "This cannot be done with the file as it is in Kaltura.").Next("Load the list again and look at its state.")
	}
	if f, err = r.ChangeDropFile(ctx, fileID, act); err != nil {
		return f, err
	}
	return f, s.Store.Tx(context.WithoutCancel(ctx), func(tx Tx) error {
		return audit(ctx, tx, a, "drop_file.remote", f.ID, map[string]any{"name": f.Name, "folder": f.FolderID, "act": act})
	})
}

// DropOptions is what a server offers for drop folders.
type DropOptions struct {
	Sources  []DropSourceKind // that the actor may make
	MaxOpen  int64            // files of a hub that are at work or wait
	Document int64            // bytes of a manifest
}

// Options says what the actor may make here.
func (s *DropFolders) Options(ctx context.Context, a Actor) (DropOptions, error) {
	if _, err := s.dropReader(ctx, a); err != nil {
		return DropOptions{}, err
	}
	o := DropOptions{Sources: []DropSourceKind{}, MaxOpen: maxDropOpen, Document: maxManifest}
	if dropWriter(a) == nil {
		o.Sources = append(o.Sources, DropUploads)
		if s.Sources != nil && dropPlacer(a) == nil {
			o.Sources = append(o.Sources, DropBucket)
			if s.Directories {
				o.Sources = append(o.Sources, DropDirectory)
			}
		}
	}
	return o, nil
}
