package gateway

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Library imports entries into the hub and plays them. Use by pointer; safe for concurrent use.
type Library struct {
	Store   Store
	Clock   Clock
	Catalog *Catalog
	Tickets Tickets
	Assets  *Assets
	Events  *Events
	Lanes   *Lanes // one for all services; nil = no limits

	Uploads     *Uploads // carries own items to Kaltura
	Fetcher     Fetcher
	Sealer      Sealer
	BaseURL     string        // as clients see this server
	MaxSize     int64         // bytes of one fetched file; 0 = no limit
	RemovalLife time.Duration // how long removals are told; 0 = 90 days

	mu      sync.Mutex
	running map[string]bool // imports running in this process, by item
}

// playLife is how long an address of our own files works: a long film with a pause.
const playLife = 6 * time.Hour

// Import asks for an entry. The same entry by the same importer in the same kind gives the same
// item (created = false), also after a failure, when it is tried again.
func (s *Library) Import(ctx context.Context, a Actor, entryID string, kind ItemKind, rendition string) (_ LibraryItem, _ Job, created bool, _ error) {
	if err := needScope(a, ScopeMediaImport); err != nil {
		return LibraryItem{}, Job{}, false, err
	}
	if kind != ItemLink && kind != ItemCopy {
		return LibraryItem{}, Job{}, false, E(Invalid, "kind_invalid", "The kind of an import is link or copy.").Next("Choose one of them.").At("/kind")
	}
	m, _, err := s.Catalog.Get(ctx, a, entryID)
	asked := err == nil
	if passes(err) { // an entry of the last good page: the import waits for the platform
		if shown, known := s.Catalog.Recall(ctx, a, entryID); known && (rendition == "" || rendition == RenditionOriginal) {
			m, err = shown, nil
		}
	}
	if err != nil {
		return LibraryItem{}, Job{}, false, err
	}
	o, err := s.Catalog.Integrations.OpenFor(ctx, a.HubID, true)
	if err != nil {
		return LibraryItem{}, Job{}, false, err
	}
	if m.Status == MediaFailed {
		return LibraryItem{}, Job{}, false, E(Conflict, "entry_failed", "The media platform could not convert this entry.").
			Next("Upload the file again in another format.")
	}
	if rendition, err = chooseRendition(m, kind, rendition); err != nil {
		return LibraryItem{}, Job{}, false, err
	}
	want := LibraryItem{
		Row: Row{HubID: a.HubID}, Source: SourceKaltura, ParticipantID: a.ParticipantID, IntegrationID: o.Integration.ID, EntryID: m.ID, Kind: kind,
		RenditionID: rendition, Name: m.Name, Type: m.Type, Is360: m.Is360(), DurationMS: m.DurationMS, ThumbVersion: m.ThumbVersion,
	}
	if a.Machine() {
		want.ClientID = a.ClientID
	}
	var it LibraryItem
	var job Job
	var oldAsset string
	err = retryConflict(func() error { // two imports of one entry at once: the second finds the first
		return s.Store.Tx(ctx, func(tx Tx) error {
			var err error
			it, job, oldAsset, created, err = s.ask(ctx, tx, a, want, asked && m.Status == MediaReady)
			return err
		})
	})
	if err != nil {
		return LibraryItem{}, Job{}, false, err
	}
	if asked && it.SourceLostAt != nil {
		if it, err = s.back(ctx, it); err != nil {
			return LibraryItem{}, Job{}, false, err
		}
	}
	if err = s.Assets.Remove(ctx, oldAsset); err != nil { // Sweep finds it without its item
		slog.WarnContext(ctx, "bytes of a failed import left for the sweep", "asset", oldAsset, "error", err)
	}
	return it, job, created, nil
}

// ask finds the item or makes it, with a job, in one transaction.
func (s *Library) ask(ctx context.Context, tx Tx, a Actor, want LibraryItem, ready bool) (it LibraryItem, job Job, oldAsset string, created bool, err error) {
	it, err = tx.Library().Find(ctx, want)
	switch {
	case CodeOf(err) == NotFound:
		it, created = want, true
		it.ID = NewID("lib")
	case err != nil:
		return it, job, "", false, err
	case it.State != ItemFailed && it.State != ItemCancelled:
		if it.JobID != "" {
			job, err = tx.Jobs().Get(ctx, Scope(it.HubID), it.JobID)
		}
		return it, job, "", false, err
	default: // tried again
		oldAsset, it.AssetID, it.RenditionID = it.AssetID, "", want.RenditionID
		it.ErrorCode, it.ErrorText, it.NextStep = "", "", ""
	}
	job = Job{
		Row: Row{ID: NewID("job"), HubID: it.HubID}, ParticipantID: it.ParticipantID, ClientID: it.ClientID,
		Kind: "import", Subject: it.ID, State: JobQueued,
	}
	it.JobID, it.State = job.ID, ItemPending
	typ := "import.requested"
	if it.Kind == ItemLink && ready { // nothing to wait for
		it.State, job.State, job.Progress = ItemReady, JobDone, 1
		typ = "import.ready"
	} else if err = tx.Enqueue(ctx, ImportItem{ItemID: it.ID}); err != nil {
		return it, job, "", false, err
	}
	if err = tx.Jobs().Insert(ctx, &job); err != nil {
		return it, job, "", false, err
	}
	if created {
		err = tx.Library().Insert(ctx, &it)
	} else {
		err = tx.Library().Update(ctx, &it)
	}
	if err != nil {
		return it, job, "", false, err
	}
	if err = audit(ctx, tx, a, "library.import", it.ID, itemFacts(it)); err != nil {
		return it, job, "", false, err
	}
	return it, job, oldAsset, created, s.tell(ctx, tx, it, job, typ)
}

func chooseRendition(m Media, kind ItemKind, rendition string) (string, error) {
	if kind == ItemLink {
		return "", nil
	}
	if rendition == "" || rendition == RenditionOriginal {
		return RenditionOriginal, nil
	}
	for _, r := range m.Renditions {
		if r.ID == rendition {
			return rendition, nil
		}
	}
	return "", E(Invalid, "rendition_unknown", "The entry has no such rendition.").
		Next("Choose one of the entry's renditions, or %q.", RenditionOriginal).At("/rendition")
}

// List gives items the actor may see, newest first.
func (s *Library) List(ctx context.Context, a Actor, text string, types []MediaType, w Slice) ([]LibraryItem, error) {
	list, err := s.Store.Library().List(ctx, a, text, types, w)
	if err != nil {
		return nil, err
	}
	out := make([]LibraryItem, 0, len(list))
	for _, it := range list {
		if DecideItem(a, it).Allowed {
			out = append(out, it)
		}
	}
	return out, nil
}

func itemNotFound() error {
	return E(NotFound, "", "There is no such item in the library.").Next("Check the id; it may have been removed.")
}

// Get gives an item the actor may see, NotFound otherwise.
func (s *Library) Get(ctx context.Context, a Actor, id string) (LibraryItem, error) {
	it, err := s.Store.Library().Get(ctx, Scope(a.HubID), id)
	if CodeOf(err) == NotFound || err == nil && !DecideItem(a, it).Allowed {
		return LibraryItem{}, itemNotFound()
	}
	return it, err
}

// own gives an item that the actor may change: the importer or an admin.
func (s *Library) own(ctx context.Context, a Actor, id string) (LibraryItem, error) {
	it, err := s.Store.Library().Get(ctx, Scope(a.HubID), id)
	if CodeOf(err) == NotFound {
		return LibraryItem{}, itemNotFound()
	}
	if err != nil {
		return LibraryItem{}, err
	}
	if !owns(a, it.ParticipantID, it.ClientID) {
		if DecideItem(a, it).Allowed {
			return LibraryItem{}, E(Forbidden, "not_importer", "Only the person who imported the item or a hub admin may do this.").
				Next("Ask one of them.")
		}
		return LibraryItem{}, itemNotFound()
	}
	return it, nil
}

// Remove deletes an item and, for a copy, its bytes; the entry on the platform stays.
func (s *Library) Remove(ctx context.Context, a Actor, id string) error {
	return s.remove(ctx, a, id, false)
}

// RemoveWithEntry also deletes the entry in Kaltura that an own item was sent to: only whoever sent it
// or an admin may. An entry that an item was imported from is never deleted.
func (s *Library) RemoveWithEntry(ctx context.Context, a Actor, id string) error {
	return s.remove(ctx, a, id, true)
}

func (s *Library) remove(ctx context.Context, a Actor, id string, entry bool) error {
	if err := needScope(a, ScopeLibraryWrite); err != nil {
		return err
	}
	it, err := s.own(ctx, a, id)
	if err != nil {
		return err
	}
	err = retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			var err error
			if it, err = tx.Library().Get(ctx, Scope(a.HubID), id); err != nil {
				return err
			}
			if err = tx.Library().Delete(ctx, Scope(a.HubID), id); err != nil {
				return err
			}
			job, err := tx.Jobs().Get(ctx, AnyHub, it.JobID)
			if err == nil && !job.over() {
				job.State = JobCancelled
				err = tx.Jobs().Update(ctx, &job)
			}
			if err != nil && CodeOf(err) != NotFound {
				return err
			}
			if err = audit(ctx, tx, a, "library.remove", it.ID, itemFacts(it)); err != nil {
				return err
			}
			if err = s.stopExport(ctx, tx, a, it, entry); err != nil {
				return err
			}
			return s.Events.Append(ctx, tx, it.HubID, it.audience(), "library.item_removed", it.ID, GoneNews{it.ID})
		})
	})
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if err = s.Assets.Staging.Remove(ctx, it.JobID); err != nil {
		return err
	}
	// Also of bytes that were published but have no row yet; after a crash here Sweep finds the rest.
	return s.Assets.Remove(ctx, cmp.Or(it.AssetID, assetIDOf(it.JobID)))
}

// Playback plays an item: a link through the platform (visibility is asked again), a copy from our
// own files as relative addresses below /play/{ticket}/.
func (s *Library) Playback(ctx context.Context, a Actor, id string) (LibraryItem, Playback, error) {
	it, err := s.Get(ctx, a, id)
	if err != nil {
		return LibraryItem{}, Playback{}, err
	}
	if it.State != ItemReady {
		return it, Playback{}, E(Conflict, "not_ready", "The item cannot be played yet.").Next("Wait until its import is done.")
	}
	if it.Kind == ItemLink {
		if err = s.sameAccount(ctx, it); err != nil {
			return it, Playback{}, err
		}
		_, p, err := s.Catalog.Playback(ctx, a, it.EntryID)
		switch lost := it.Lost(); {
		case lost != nil && err == nil:
			it, err = s.back(ctx, it)
		case lost != nil:
			err = E(NotFound, lost.Code, lost.Message).Next("%s", lost.NextStep).Because(err)
		case CodeOf(err) == NotFound:
			s.lookSoon(ctx, it) // gone since
		}
		return it, p, err
	}
	as, err := s.Assets.Get(ctx, it.AssetID)
	if err != nil {
		return it, Playback{}, err
	}
	pkg := as.Package
	ticket, err := s.Tickets.Issue(TicketPlay, it.HubID+"/"+a.Subject()+"/"+it.ID+"/"+pkg.Dir, playLife)
	if err != nil {
		return it, Playback{}, err
	}
	url := func(key string) string {
		if len(key) <= len(pkg.Dir) || key[:len(pkg.Dir)] != pkg.Dir {
			return ""
		}
		return "/play/" + ticket + "/" + strings.TrimPrefix(key[len(pkg.Dir):], "/")
	}
	p := Playback{DASH: url(pkg.DASH), HLS: url(pkg.HLS), Image: url(pkg.Image), ExpiresAt: s.Clock().Add(playLife)}
	if len(pkg.Renditions) > 0 {
		p.Progressive = url(pkg.Renditions[0].Key)
	}
	if len(pkg.Thumbnails) > 0 {
		p.Thumbnail = url(nearest(pkg.Thumbnails, 640).Key)
	}
	return it, p, nil
}

// sameAccount refuses an item whose account is no longer the hub's: an entry of the same id in
// another account is another entry.
func (s *Library) sameAccount(ctx context.Context, it LibraryItem) error {
	in, err := s.Catalog.Integrations.saved(ctx, it.HubID)
	if err == nil && in.ID != it.IntegrationID {
		err = E(Forbidden, "integration_changed", "This item belongs to a Kaltura account that the hub is no longer connected to.").
			Next("Import it again from the account that is connected now, or ask an administrator to connect the former one.")
	}
	return err
}

// Plays tells whether the actor may (still) play the files of a copy below dir. NotFound otherwise.
func (s *Library) Plays(ctx context.Context, a Actor, id, dir string) error {
	it, err := s.Get(ctx, a, id)
	if err == nil && (it.AssetID == "" || !strings.HasPrefix(dir, assetDir(it.AssetID))) {
		err = itemNotFound() // imported anew since
	}
	return err
}

// nearest gives the smallest thumbnail that is at least as wide, else the widest.
func nearest(list []Thumbnail, width int) Thumbnail {
	best := list[0]
	for _, t := range list[1:] {
		switch {
		case best.Width < width && t.Width > best.Width, t.Width >= width && t.Width < best.Width:
			best = t
		}
	}
	return best
}

// Thumbnail streams an item's picture with its content type: a copy's own, else the entry's from the
// platform (visibility is asked again).
func (s *Library) Thumbnail(ctx context.Context, a Actor, id string, width int) (io.ReadCloser, string, error) {
	it, err := s.Get(ctx, a, id)
	if err != nil {
		return nil, "", err
	}
	as, err := s.Assets.Get(ctx, it.AssetID)
	switch {
	case err == nil && len(as.Package.Thumbnails) > 0:
		r, _, err := s.Assets.Blobs.Open(ctx, nearest(as.Package.Thumbnails, width).Key, Range{0, -1})
		return r, "image/jpeg", err
	case err != nil && CodeOf(err) != NotFound:
		return nil, "", err
	case it.Source == SourceSpaces:
		return nil, "", E(NotFound, "no_thumbnail", "This item has no picture.").Next("Show its name instead.")
	}
	if err = s.sameAccount(ctx, it); err != nil {
		return nil, "", err
	}
	return s.Catalog.Thumbnail(ctx, a, it.EntryID, width)
}

// Caption gives a text track of a linked entry as WebVTT (visibility is asked again).
func (s *Library) Caption(ctx context.Context, a Actor, id, caption string) ([]byte, error) {
	it, err := s.Get(ctx, a, id)
	if err == nil && it.Source == SourceSpaces {
		err = E(NotFound, "no_caption", "This item has no captions.").Next("Load the item again.")
	}
	if err == nil {
		err = s.sameAccount(ctx, it)
	}
	if err != nil {
		return nil, err
	}
	return s.Catalog.Caption(ctx, a, it.EntryID, caption)
}

// itemFacts is what the audit log keeps of an item.
func itemFacts(it LibraryItem) map[string]any {
	if it.Source == SourceSpaces {
		return map[string]any{"source": it.Source, "external_id": it.ExternalID, "name": it.Name, "owner": it.ParticipantID, "shared": it.Shared}
	}
	return map[string]any{"entry_id": it.EntryID, "kind": it.Kind}
}

func (s *Library) change(ctx context.Context, id string, f func(Tx, *LibraryItem) error) (LibraryItem, error) {
	return changeRow(ctx, s.Store, func(t Tables) Rows[LibraryItem] { return t.Library() }, AnyHub, id, f)
}

// ItemNews is what events say about a library item.
type ItemNews struct {
	ID       string    `json:"id"`
	EntryID  string    `json:"entry_id"`
	Kind     ItemKind  `json:"kind"`
	Name     string    `json:"name"`
	Type     MediaType `json:"type"`
	Is360    bool      `json:"is_360"`
	State    ItemState `json:"state"`
	JobID    string    `json:"job_id"`
	JobState JobState  `json:"job_state"`
	Progress float64   `json:"progress"`
	Problem  *Problem  `json:"error,omitempty"`
}

// News gives what events say, with the job that carries the import.
func (it LibraryItem) News(j Job) ItemNews {
	n := ItemNews{it.ID, it.EntryID, it.Kind, it.Name, it.Type, it.Is360, it.State, j.ID, j.State, j.Progress, nil}
	if it.ErrorCode != "" {
		n.Problem = &Problem{it.ErrorCode, it.ErrorText, it.NextStep}
	}
	return n
}

// audience is who hears of an item: those whom DecideItem shows it.
func (it LibraryItem) audience() string {
	if it.Shared {
		return ""
	}
	return audienceOf(it.ParticipantID, it.ClientID)
}

// tell writes the event of an item for those who may see the item.
func (s *Library) tell(ctx context.Context, tx Tx, it LibraryItem, j Job, typ string) error {
	if err := s.Events.Append(ctx, tx, it.HubID, it.audience(), typ, it.ID, it.News(j)); err != nil || typ != "import.ready" || it.Source != SourceKaltura {
		return err
	}
	// Imports are the spaces platform's to take over.
	return s.Events.Append(ctx, tx, it.HubID, it.audience(), "library.item_imported", it.ID, s.announcement(ctx, tx, it, j))
}
