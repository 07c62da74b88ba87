package gateway

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"
)

const (
	maxDropFolders  = 200     // of a hub
	maxDropOpen     = 300_000 // files of a hub that are at work or wait
	maxOdd          = 1000    // files of a folder that are listed although their names cannot be taken
	dropScanPause   = 15 * time.Second
	dropScanPauseS3 = time.Minute
)

// folder gives a live folder of the actor's hub.
func (s *DropFolders) folder(ctx context.Context, t Tables, a Actor, id string) (DropFolder, error) {
	f, err := t.DropFolders().Get(ctx, Scope(a.HubID), id)
	if CodeOf(err) == NotFound || err == nil && f.DeletedAt != nil {
		return DropFolder{}, noSuchFolder()
	}
	return f, err
}

// Create makes a folder. Of a directory that is not there the directory is made.
func (s *DropFolders) Create(ctx context.Context, a Actor, d DropFolderDraft) (DropFolder, error) {
	f, err := s.draft(ctx, a, d)
	if err != nil {
		return DropFolder{}, err
	}
	err = s.Store.Tx(ctx, func(tx Tx) error {
		row := f // Tx may run this again
		if err := s.insert(ctx, tx, a, &row); err != nil {
			return err
		}
		f = row
		return answered(ctx, tx, row)
	})
	return f, err
}

// draft checks a new folder, outside of any transaction, and makes its directory.
func (s *DropFolders) draft(ctx context.Context, a Actor, d DropFolderDraft) (DropFolder, error) {
	if err := dropWriter(a); err != nil {
		return DropFolder{}, err
	}
	if d.placed() {
		if err := dropPlacer(a); err != nil {
			return DropFolder{}, err
		}
	}
	f := newDropFolder()
	f.Row = Row{ID: NewID("dfo"), HubID: a.HubID}
	f.by(a)
	if err := d.apply(&f, true); err != nil {
		return DropFolder{}, err
	}
	o, err := s.Uploads.admit(ctx, a)
	if err != nil {
		return DropFolder{}, err
	}
	if err := s.ownUser(ctx, a, o, f); err != nil {
		return DropFolder{}, err
	}
	f.IntegrationID = o.Integration.ID
	if f.Source != DropUploads {
		now := s.Clock()
		f.ScanAt = &now
	}
	return f, s.prepare(ctx, s.Store, &f, d)
}

// prepare seals the key, and has the place looked at and its directory made.
func (s *DropFolders) prepare(ctx context.Context, t Tables, f *DropFolder, d DropFolderDraft) error {
	if f.Source == DropUploads {
		return nil
	}
	if s.Sources == nil {
		return E(Precondition, "sources_off", "This server looks at no directories and buckets.").Next("Choose uploads, or ask the operator.").At("/source")
	}
	others, err := t.DropFolders().Places(ctx, f.Source)
	if err == nil {
		err = apart(*f, others)
	}
	if err != nil {
		return err
	}
	secret, err := s.secret(*f)
	if d.Secret != nil {
		secret, err = *d.Secret, nil
		f.Secret = nil
		if secret != "" {
			if f.Secret, err = s.Sealer.Seal(secret, f.Place()); err != nil {
				return AsError(err)
			}
		}
	}
	if err != nil {
		return err
	}
	if err := s.Sources.Make(ctx, *f); err != nil {
		return err
	}
	src, err := s.Sources.Open(ctx, *f, secret)
	if err != nil {
		return err
	}
	return src.Close()
}

// secret opens the key of a folder's bucket; "" when it has none.
func (s *DropFolders) secret(f DropFolder) (Secret, error) {
	if len(f.Secret) == 0 {
		return "", nil
	}
	secret, err := s.Sealer.Open(f.Secret, f.Place())
	if err != nil {
		return "", E(Internal, "bucket_secret_unreadable", "The saved key of the bucket cannot be opened with this server's key.").
			Next("Paste the bucket's secret again in the folder's settings.").Because(err)
	}
	return secret, nil
}

// by makes an actor the one in whose name a folder acts.
func (f *DropFolder) by(a Actor) {
	f.ParticipantID, f.ClientID = a.ParticipantID, ""
	if a.Machine() {
		f.ClientID = a.ClientID
	}
}

func (s *DropFolders) insert(ctx context.Context, tx Tx, a Actor, f *DropFolder) error {
	have, err := tx.DropFolders().List(ctx, Scope(a.HubID), "", Slice{Limit: maxDropFolders})
	if err != nil {
		return err
	}
	if len(have) >= maxDropFolders {
		return E(Conflict, "too_many_folders", "The hub has 200 drop folders already.").Next("Remove one that is no longer used.")
	}
	if err := s.alone(ctx, tx, *f); err != nil {
		return err
	}
	if err := tx.DropFolders().Insert(ctx, f); err != nil {
		return nameTaken(err, f.Name)
	}
	return s.settle(ctx, tx, a, *f, "drop_folder.create", "drop_folder.created")
}

// alone refuses what overlaps; nobody else decides that meanwhile.
func (s *DropFolders) alone(ctx context.Context, tx Tx, f DropFolder) error {
	if f.Source == DropUploads {
		return nil
	}
	others, err := tx.DropFolders().Places(ctx, f.Source)
	if err != nil {
		return err
	}
	return apart(f, others)
}

// nameTaken tells a name that is used from other conflicts.
func nameTaken(err error, name string) error {
	if !IsReason(err, "already_exists") {
		return err
	}
	return E(Conflict, "name_taken", "There is a drop folder “"+name+"” already.").Next("Choose another name.").At("/name")
}

// begin says what became of a folder and has it looked at.
func (s *DropFolders) begin(ctx context.Context, tx Tx, f DropFolder, typ string) error {
	if err := s.say(ctx, tx, f, typ); err != nil {
		return err
	}
	if f.Source == DropUploads || f.PausedAt != nil || f.DeletedAt != nil {
		return nil
	}
	if err := tx.DropFolders().SetWake(ctx, f.ID, s.Clock()); err != nil {
		return err
	}
	return tx.Enqueue(ctx, ScanDropFolder{FolderID: f.ID})
}

// say tells the hub's content admins.
func (s *DropFolders) say(ctx context.Context, tx Tx, f DropFolder, typ string) error {
	return s.Events.Append(ctx, tx, f.HubID, AudienceContent, typ, f.ID, f.news())
}

func (f DropFolder) news() DropFolderNews {
	n := DropFolderNews{ID: f.ID, Name: f.Name, Source: f.Source, Paused: f.PausedAt != nil}
	if f.Health.Code != "" {
		n.Problem = &Problem{f.Health.Code, f.Health.Text, f.Health.NextStep}
	}
	return n
}

func (f DropFolder) auditData() map[string]any {
	return map[string]any{
		"name": f.Name, "source": f.Source, "path": f.Path, "bucket": f.Bucket.Name, "handler": f.Handler, "match": f.Match, "delete": f.Delete,
	}
}

// Update changes a folder; version is the one it was read with (else Precondition). What is at work goes on as it began. When
// the folder's maker is gone, it acts in the actor's name from now on.
func (s *DropFolders) Update(ctx context.Context, a Actor, id string, version int64, d DropFolderDraft) (DropFolder, error) {
	if err := dropWriter(a); err != nil {
		return DropFolder{}, err
	}
	f, err := s.folder(ctx, s.Store, a, id)
	if err != nil {
		return DropFolder{}, err
	}
	if f.Version != version {
		return DropFolder{}, stale()
	}
	before := f
	if err := d.apply(&f, false); err != nil {
		return DropFolder{}, err
	}
	if d.moves(before, f) {
		if err := dropPlacer(a); err != nil {
			return DropFolder{}, err
		}
		if err := s.prepare(ctx, s.Store, &f, d); err != nil {
			return DropFolder{}, err
		}
	}
	o, err := s.Integrations.OpenFor(ctx, a.HubID, true)
	if err != nil {
		return DropFolder{}, err
	}
	by, err := s.heir(ctx, s.Store, a, f, o.Integration)
	if err == nil && dropPlacer(a) != nil {
		err = a.speaksFor(by, o.Integration)
	}
	if err == nil {
		err = s.ownUser(ctx, by, o, f)
	}
	if err != nil {
		return DropFolder{}, err
	}
	f.IntegrationID = o.Integration.ID
	err = s.Store.Tx(ctx, func(tx Tx) error {
		row := f
		by, err := s.heir(ctx, tx, a, row, o.Integration)
		if err != nil {
			return err
		}
		row.by(by)
		if err := s.alone(ctx, tx, row); err != nil {
			return err
		}
		if err := tx.DropFolders().Update(ctx, &row); IsReason(err, "changed_meanwhile") {
			return stale()
		} else if err != nil {
			return nameTaken(err, row.Name)
		}
		f = row
		return s.settle(ctx, tx, a, row, "drop_folder.change", "drop_folder.changed")
	})
	if err != nil {
		return DropFolder{}, err
	}
	return f, nil
}

// Get gives a folder.
func (s *DropFolders) Get(ctx context.Context, a Actor, id string) (DropFolderView, error) {
	only, err := s.dropReader(ctx, a)
	if err != nil {
		return DropFolderView{}, err
	}
	f, err := s.folder(ctx, s.Store, a, id)
	if err == nil && only != "" && f.ID != only {
		err = noSuchFolder()
	}
	if err != nil {
		return DropFolderView{}, err
	}
	all, err := s.views(ctx, []DropFolder{f})
	if err != nil {
		return DropFolderView{}, err
	}
	return all[0], nil
}

// List gives the hub's folders, newest first; text searches name, description and path.
func (s *DropFolders) List(ctx context.Context, a Actor, text string, w Slice) ([]DropFolderView, error) {
	only, err := s.dropReader(ctx, a)
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.DropFolders().List(ctx, Scope(a.HubID), text, w)
	if err != nil {
		return nil, err
	}
	if only != "" {
		rows = slices.DeleteFunc(rows, func(f DropFolder) bool { return f.ID != only })
	}
	return s.views(ctx, rows)
}

func (s *DropFolders) views(ctx context.Context, rows []DropFolder) ([]DropFolderView, error) {
	ids := make([]string, len(rows))
	for i, f := range rows {
		ids[i] = f.ID
	}
	counts, err := s.Store.DropFiles().FolderCounts(ctx, ids)
	if err != nil {
		return nil, err
	}
	behind, err := s.behind(ctx, counts)
	if err != nil {
		return nil, err
	}
	out := make([]DropFolderView, len(rows))
	for i, f := range rows {
		out[i] = DropFolderView{DropFolder: f, Counts: counts[f.ID], Behind: behind[f.ID]}
		if err := s.stopped(ctx, f); err != nil {
			e := AsError(err)
			if e.Code == Internal || e.Code == Unavailable {
				return nil, err
			}
			out[i].Stop = &Problem{cmp.Or(e.Reason, string(e.Code)), e.Message, e.NextStep}
		}
	}
	return out, nil
}

// behind gives, by folder, when the oldest of its files came that something still happens to.
func (s *DropFolders) behind(ctx context.Context, counts map[string]map[DropState]DropCount) (map[string]*time.Time, error) {
	var ids []string
	for _, states := range counts {
		oldest := ""
		for state, n := range states {
			if !state.Over() && state != DropDue && (oldest == "" || n.OldestID < oldest) {
				oldest = n.OldestID
			}
		}
		if oldest != "" {
			ids = append(ids, oldest)
		}
	}
	files, err := s.Store.DropFiles().Named(ctx, AnyHub, ids)
	out := map[string]*time.Time{}
	for _, f := range files {
		out[f.FolderID] = &f.CreatedAt
	}
	return out, err
}

func stillPaused() *Error { return E(Conflict, "paused", "The folder is paused.").Next("Resume it.") }

// stopped says why nothing goes on in a folder, nil when it does.
func (s *DropFolders) stopped(ctx context.Context, f DropFolder) error {
	if f.DeletedAt != nil {
		return noSuchFolder()
	}
	if f.PausedAt != nil {
		return stillPaused()
	}
	by, err := s.maker(ctx, s.Store, f)
	if err != nil {
		return err
	}
	if _, err := s.Integrations.gate(ctx, f.HubID, true); err != nil {
		return err
	}
	in, err := s.Integrations.saved(ctx, f.HubID)
	if err == nil {
		err = by.handles(in)
	}
	if err == nil {
		err = f.goesTo(in)
	}
	return err
}

// Pause has nothing new begin in a folder; what is at work is finished. Repeating it is harmless.
func (s *DropFolders) Pause(ctx context.Context, a Actor, id string) (DropFolder, error) {
	return s.changeFolder(ctx, a, id, func(tx Tx, f *DropFolder) error {
		if f.PausedAt != nil {
			return errUnchanged
		}
		now := s.Clock()
		f.PausedAt = &now
		return s.settle(ctx, tx, a, *f, "drop_folder.pause", "drop_folder.paused")
	})
}

// Resume has a folder go on.
func (s *DropFolders) Resume(ctx context.Context, a Actor, id string) (DropFolder, error) {
	return s.changeFolder(ctx, a, id, func(tx Tx, f *DropFolder) error {
		if f.PausedAt == nil {
			return errUnchanged
		}
		f.PausedAt = nil
		yes := true // manifests whose files came meanwhile
		waiting, err := tx.DropFiles().List(ctx, Scope(f.HubID), DropFileFilter{FolderID: f.ID, Manifests: &yes, States: []DropState{DropWaiting}}, Slice{Limit: 500})
		if err != nil {
			return err
		}
		for _, m := range waiting {
			if err := tx.Enqueue(ctx, HandleDropFile{FileID: m.ID}); err != nil {
				return err
			}
		}
		if err := tx.Enqueue(ctx, TendDropFolders{}); err != nil {
			return err
		}
		return s.settle(ctx, tx, a, *f, "drop_folder.resume", "drop_folder.resumed")
	})
}

// Delete removes a folder. Its files stay where they are, and their entries, too; what is at work is finished. Its credential
// stops working at once. version is the one it was read with, 0 = whichever.
func (s *DropFolders) Delete(ctx context.Context, a Actor, id string, version int64) error {
	_, err := s.changeFolder(ctx, a, id, func(tx Tx, f *DropFolder) error {
		if version != 0 && f.Version != version {
			return stale()
		}
		now := s.Clock()
		f.DeletedAt = &now
		if f.AppID != "" {
			if err := tx.Clients().Delete(ctx, Scope(f.HubID), f.AppID); err != nil {
				return err
			}
		}
		if err := tx.Enqueue(ctx, TendDropFolders{}); err != nil {
			return err
		}
		return s.settle(ctx, tx, a, *f, "drop_folder.delete", "drop_folder.deleted")
	})
	return err
}

// Scan has a folder looked at now.
func (s *DropFolders) Scan(ctx context.Context, a Actor, id string) (DropFolder, error) {
	if err := dropWriter(a); err != nil {
		return DropFolder{}, err
	}
	var f DropFolder
	err := s.Store.Tx(ctx, func(tx Tx) (err error) {
		if f, err = s.folder(ctx, tx, a, id); err != nil {
			return err
		}
		if f.Source == DropUploads {
			return E(Conflict, "nothing_to_scan", "A folder of uploads is not looked at: its files say themselves that they are there.").Next("Nothing to do.")
		}
		if f.PausedAt != nil {
			return stillPaused()
		}
		if err := tx.DropFolders().SetWake(ctx, id, s.Clock()); err != nil {
			return err
		}
		if err := tx.Enqueue(ctx, ScanDropFolder{FolderID: id}); err != nil {
			return err
		}
		return answered(ctx, tx, f)
	})
	return f, err
}

// settle writes what was done with a folder into the audit log, and tells it.
func (s *DropFolders) settle(ctx context.Context, tx Tx, a Actor, f DropFolder, action, typ string) error {
	if err := audit(ctx, tx, a, action, f.ID, f.auditData()); err != nil {
		return err
	}
	return s.begin(ctx, tx, f, typ)
}

// changeFolder runs f on a live folder and saves what it made of it.
func (s *DropFolders) changeFolder(ctx context.Context, a Actor, id string, f func(Tx, *DropFolder) error) (DropFolder, error) {
	if err := dropWriter(a); err != nil {
		return DropFolder{}, err
	}
	out, err := changeRow(ctx, s.Store, func(t Tables) Rows[DropFolder] { return t.DropFolders() }, Scope(a.HubID), id, func(tx Tx, row *DropFolder) error {
		if row.DeletedAt != nil {
			return noSuchFolder()
		}
		if err := s.theirs(ctx, tx, a, *row); err != nil {
			return err
		}
		return f(tx, row)
	})
	if CodeOf(err) == NotFound {
		err = noSuchFolder()
	}
	return out, err
}

// scanned writes down how a look at a folder went and when to look next, and tells when it begins to fail or works again.
// False when another replica has the folder by now.
func (s *DropFolders) scanned(ctx context.Context, f DropFolder, h DropHealth, next time.Time) (mine bool, _ error) {
	err := s.Store.Tx(ctx, func(tx Tx) (err error) {
		before, err := tx.DropFolders().Get(ctx, Scope(f.HubID), f.ID)
		if err != nil {
			return err
		}
		if mine, err = tx.DropFolders().Scanned(ctx, f.ID, f.ScanBy, h, next, s.Clock()); err != nil || !mine || before.Health.Code == h.Code {
			return err
		}
		f.Health = h
		return s.say(ctx, tx, f, "drop_folder.health")
	})
	return mine, err
}

// scanPause is how long after a look the next one comes when nothing wakes it.
func (f DropFolder) scanPause() time.Duration {
	if f.Source == DropBucket {
		return dropScanPauseS3
	}
	return dropScanPause
}

// openStates are those of files that are not over.
var openStates = []DropState{DropDetected, DropUploading, DropPending, DropWaiting, DropNoMatch, DropParsed, DropImporting, DropProcessing}

// room tells how many more files and bytes a folder may have open, by its own limits and its hub's. Zero is none.
func (s *DropFolders) room(ctx context.Context, t Tables, f DropFolder) (files, bytes int64, _ error) {
	sum := func(x DropFileFilter) (n DropCount, _ error) {
		x.States = openStates
		counts, err := t.DropFiles().Counts(ctx, Scope(f.HubID), x)
		for _, c := range counts {
			n.Files, n.Bytes = n.Files+c.Files, n.Bytes+c.Bytes
		}
		return n, err
	}
	hub, err := sum(DropFileFilter{})
	if err != nil {
		return 0, 0, err
	}
	files, bytes = maxDropOpen-hub.Files, math.MaxInt64
	if f.MaxFiles > 0 || f.MaxBytes > 0 {
		mine, err := sum(DropFileFilter{FolderID: f.ID})
		if err != nil {
			return 0, 0, err
		}
		if f.MaxFiles > 0 {
			files = min(files, f.MaxFiles-mine.Files)
		}
		if f.MaxBytes > 0 {
			bytes = f.MaxBytes - mine.Bytes
		}
	}
	return max(0, files), max(0, bytes), nil
}
