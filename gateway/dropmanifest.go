package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Limits of manifests.
const (
	maxManifest   = 64 << 20 // bytes
	manifestBatch = 100      // items written with one transaction
	mostNamed     = 20       // names of missing files that a text has
	defaultWait   = 24 * time.Hour
)

// Why a manifest, or a file that one names, is in quarantine.
const (
	reasonOrphan     = "orphan_manifest" // files that it names did not come
	reasonNoManifest = "no_manifest"     // no manifest named the file
	reasonNoItems    = "manifest_empty"
)

// runManifest takes a whole manifest further: it is read, waits for the files that it names, and its items are run.
// It may be killed anywhere and run again.
func (s *DropFolders) runManifest(ctx context.Context, f DropFile) error {
	folder, err := s.Store.DropFolders().Get(ctx, Scope(f.HubID), f.FolderID)
	if err != nil {
		return err
	}
	switch f.State {
	case DropPending:
		bad, err := s.readManifest(ctx, folder, f)
		if err != nil {
			return err
		}
		if bad != nil {
			return s.refuseManifest(ctx, f, bad)
		}
		return s.gather(ctx, folder, f)
	case DropWaiting:
		return s.gather(ctx, folder, f)
	case DropProcessing:
		return s.Store.Tx(ctx, func(tx Tx) error { return tx.Enqueue(ctx, RunDropItems{FileID: f.ID}, IfIdle()) })
	}
	return nil
}

// arrived wakes the manifest that waits for a file. f is whole.
func (s *DropFolders) arrived(ctx context.Context, tx Tx, f DropFile) error {
	if f.LeadID == "" || f.LeadID == f.ID {
		return nil
	}
	lead, err := tx.DropFiles().Get(ctx, Scope(f.HubID), f.LeadID)
	switch {
	case CodeOf(err) == NotFound:
		return nil
	case err != nil:
		return err
	case lead.resumes(): // it came after all, or is tried again
		return s.move(ctx, tx, &lead, DropPending, "file.arrived", system(f.HubID), f.Name+" is here.")
	case lead.State == DropPending, lead.State == DropWaiting:
		return tx.Enqueue(ctx, HandleDropFile{FileID: lead.ID})
	}
	return nil
}

// manifestReader writes what a manifest says, some items at a time.
type manifestReader struct {
	ctx    context.Context
	s      *DropFolders
	folder DropFolder
	f      DropFile
	batch  []DropItem
	names  [][]itemName // of batch
	items  int64
	bad    *Error // the document itself is refused
}

// itemName is a file that an item names.
type itemName struct {
	name, key string
	content   bool  // whose bytes become an entry's; a picture may serve several
	sole      bool  // the one content of an item that may add an entry
	size      int64 // that it is said to have; 0 = not said
}

// readManifest writes a manifest's items as rows, again too: those that are there stay as they are. bad says why
// the document is refused.
func (s *DropFolders) readManifest(ctx context.Context, folder DropFolder, f DropFile) (bad *Error, _ error) {
	if f.Size > maxManifest {
		return E(TooLarge, reasonTooLarge, fmt.Sprintf("The manifest has %d bytes; at most %d are taken.", f.Size, maxManifest)).
			Next("Split it into several."), nil
	}
	format := s.Manifests.Format(f.Name)
	if format == "" {
		return E(Invalid, reasonMalformed, "The file is no manifest by its name.").Next("Let its name end in .xml, .json or .csv."), nil
	}
	in, done, err := s.openManifest(ctx, folder, f)
	if err != nil {
		return nil, err
	}
	if err := s.Store.DropItems().Again(ctx, f.ID); err != nil { // what failed is tried again
		_ = done(ctx) // the first error counts
		return nil, err
	}
	r := &manifestReader{ctx: ctx, s: s, folder: folder, f: f}
	err = s.Manifests.Read(ctx, format, io.LimitReader(in, maxManifest+1), r)
	if cerr := done(ctx); err == nil {
		err = cerr
	}
	if err == nil && r.bad == nil {
		err = r.flush()
	}
	switch {
	case err != nil:
		return nil, err
	case r.bad != nil:
		return r.bad, nil
	case r.items == 0:
		return E(Invalid, reasonNoItems, "The manifest has no items.").Next("Add at least one item to it."), nil
	}
	return nil, nil
}

// openManifest opens a manifest where its bytes are. done closes it, and says so when the file was changed meanwhile.
func (s *DropFolders) openManifest(ctx context.Context, _ DropFolder, f DropFile) (io.Reader, func(context.Context) error, error) {
	u, err := s.Store.Uploads().Get(ctx, AnyHub, f.UploadID)
	if err != nil {
		return nil, nil, err
	}
	gone := E(NotFound, reasonUnreadable, "The manifest's bytes are no longer here.").Next("Send the manifest again.")
	if u.State == UploadCancelled || u.State == UploadExpired { // what is left of them is being removed
		return nil, nil, gone
	}
	if u.Replica != s.Uploads.Replica { // the bytes lie with another process, which will draw this task too
		return nil, nil, &Snooze{time.Second}
	}
	file, err := s.Uploads.Staging.Open(ctx, u.ID)
	if CodeOf(err) == NotFound {
		return nil, nil, gone
	}
	if err != nil {
		return nil, nil, err
	}
	return io.NewSectionReader(file, 0, u.Size), func(context.Context) error { return file.Close() }, nil
}

// Fault implements ManifestVisitor: an item with a fault fails, the others go on; a fault of the document refuses it.
func (r *manifestReader) Fault(x ManifestFault) error {
	if x.Fatal || x.Item == 0 {
		r.bad = E(Invalid, reasonMalformed, fmt.Sprintf("Line %d, column %d: %s", x.Line, x.Column, x.Text)).Next("%s", x.Fix)
		if x.Fatal {
			return nil
		}
		return errRead
	}
	if n := len(r.batch); n > 0 && r.batch[n-1].Number == x.Item { // a second fault of the same item
		if last := &r.batch[n-1]; len(last.Text) < 2000 {
			last.Text += fmt.Sprintf(" Line %d, column %d: %s", x.Line, x.Column, x.Text)
		}
		return nil
	}
	return r.add(DropItem{
		Number: x.Item, Line: x.Line, State: ItemRefused, Title: fmt.Sprintf("Item %d", x.Item),
		Reason: x.Rule, Text: fmt.Sprintf("Line %d, column %d: %s", x.Line, x.Column, x.Text), NextStep: x.Fix,
	}, nil)
}

// errRead ends the reading of a document that is refused.
var errRead = E(Invalid, reasonMalformed, "The manifest is refused.")

// Item implements ManifestVisitor.
func (r *manifestReader) Item(it ManifestItem) error {
	row := DropItem{
		Number: it.Number, Line: it.Line, State: ItemQueued, Action: it.Action, Title: it.title(),
		ReferenceID: cutText(it.ReferenceID, 2048), EntryID: it.EntryID, // longer ones the platform refuses, and no index holds
	}
	var names []itemName
	refuse := func(e *Error) {
		row.State, row.Reason, row.Text, row.NextStep = ItemRefused, reasonOf(e), e.Message, e.NextStep
	}
	if err := r.s.accepted(r.f.HubID, it); err != nil { // its files are not the manifest's then
		refuse(AsError(err))
	}
	for name, content := range it.files() {
		n, err := r.f.beside(name)
		if err != nil {
			refuse(AsError(err))
			break
		}
		names = append(names, itemName{n, dropKey(n), content, content && it.sole() == name, it.sizeOf(name)})
	}
	if row.State == ItemQueued {
		raw, err := json.Marshal(it)
		if err != nil {
			return err
		}
		sealed, err := r.s.Sealer.Seal(Secret(raw), itemPlace(itemID(r.f.ID, it.Number)))
		if err != nil {
			return err
		}
		row.Data = sealed
	}
	return r.add(row, names)
}

func (r *manifestReader) add(row DropItem, names []itemName) error {
	row.Row = Row{ID: itemID(r.f.ID, row.Number), HubID: r.f.HubID}
	row.FolderID, row.FileID = r.f.FolderID, r.f.ID
	r.batch, r.names = append(r.batch, row), append(r.names, names)
	r.items++
	if len(r.batch) < manifestBatch {
		return nil
	}
	return r.flush()
}

// itemID is the id of an item, the same whenever its manifest is read.
func itemID(fileID string, number int64) string {
	return fmt.Sprintf("dit_%s_%07d", strings.TrimPrefix(fileID, "dfi_"), number)
}

// itemPlace is where an item's data are sealed: addresses in them may hold secrets.
func itemPlace(id string) string { return "drop_items.data/" + id }

// flush writes the batch and takes the files that it names, in one transaction.
func (r *manifestReader) flush() error {
	if len(r.batch) == 0 {
		return nil
	}
	err := retryConflict(func() error {
		return r.s.Store.Tx(r.ctx, func(tx Tx) error {
			now, err := tx.DropFiles().Get(r.ctx, Scope(r.f.HubID), r.f.ID)
			if err == nil && (now.Superseded || now.State != DropPending) { // it takes no files any more
				err = &Snooze{time.Second}
			}
			if err != nil {
				return err
			}
			rows := slices.Clone(r.batch) // Tx may run this again
			if err := r.claim(tx, rows); err != nil {
				return err
			}
			return tx.DropItems().InsertAll(r.ctx, rows)
		})
	})
	r.batch, r.names = r.batch[:0], r.names[:0]
	return err
}

// gather waits for the files that a manifest names; when all are here its items are run.
func (s *DropFolders) gather(ctx context.Context, folder DropFolder, f DropFile) error {
	missing, n, err := s.missing(ctx, f)
	if err != nil {
		return err
	}
	if n == 0 {
		counts, err := s.Store.DropItems().Counts(ctx, f.ID)
		if err != nil {
			return err
		}
		_, err = s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
			if f.State != DropPending && f.State != DropWaiting {
				return errUnchanged
			}
			f.Items, f.ItemsDone, f.ItemsFailed = tally(counts)
			if err := tx.Enqueue(ctx, RunDropItems{FileID: f.ID}); err != nil {
				return err
			}
			return s.move(ctx, tx, f, DropProcessing, "manifest.complete", system(f.HubID), fmt.Sprintf("All files are here; to be run: %s.", itemsOf(f.Items)))
		})
		return err
	}
	now := s.Clock()
	if f.State == DropWaiting && f.TryAt != nil && !now.Before(*f.TryAt) {
		return s.orphan(ctx, f, missing, n)
	}
	_, err = s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
		if f.State != DropPending && f.State != DropWaiting || f.State == DropWaiting && slices.Equal(f.WaitingFor, missing) {
			return errUnchanged
		}
		f.WaitingFor = missing
		if f.State == DropWaiting {
			return tx.DropFiles().Update(ctx, f)
		}
		until := now.Add(folder.patience())
		f.TryAt = &until
		return s.move(ctx, tx, f, DropWaiting, "manifest.incomplete", system(f.HubID), "It waits for "+listed20(missing, n)+".")
	})
	return err
}

// patience is how long a file waits for others.
func (f DropFolder) patience() time.Duration {
	if f.WaitHours <= 0 {
		return defaultWait
	}
	return time.Duration(f.WaitHours) * time.Hour
}

// missing gives the first names that a manifest waits for, and how many there are.
func (s *DropFolders) missing(ctx context.Context, f DropFile) ([]string, int64, error) {
	filter := DropFileFilter{LeadID: f.ID, States: []DropState{DropParsed, DropDetected, DropUploading, DropPending, DropGone}, Order: DropByName}
	rows, err := s.Store.DropFiles().List(ctx, Scope(f.HubID), filter, Slice{Limit: mostNamed})
	if err != nil || len(rows) == 0 {
		return nil, 0, err
	}
	counts, err := s.Store.DropFiles().Counts(ctx, Scope(f.HubID), filter)
	if err != nil {
		return nil, 0, err
	}
	var names []string
	var n int64
	for _, r := range rows {
		names = append(names, r.Name)
	}
	for _, c := range counts {
		n += c.Files
	}
	return names, max(n, int64(len(names))), nil
}

// listed20 names files in a sentence.
func listed20(names []string, n int64) string {
	text := strings.Join(names, ", ")
	if more := n - int64(len(names)); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// expect writes down a file that a manifest names and that is not there yet.
func (s *DropFolders) expect(ctx context.Context, tx Tx, f *DropFile, manifest DropFile) error {
	f.State = DropParsed
	if err := tx.DropFiles().Insert(ctx, f); err != nil {
		return err
	}
	c := dropChange(*f, "manifest", system(f.HubID).Subject(), manifest.Name+" names it.", s.Clock())
	return tx.DropChanges().Insert(ctx, &c)
}

// tally gives how many items there are, are done and failed.
func tally(counts map[DropItemState]int64) (all, done, failed int64) {
	for _, n := range counts {
		all += n
	}
	return all, counts[ItemFinished], counts[ItemRefused]
}
