package gateway

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of a dry run.
const (
	previewItems   = 200
	previewFaults  = 1000
	previewFiles   = 1000 // names of missing files, and warnings
	previewAtOnce  = 8    // questions to the platform
	previewWait    = 20 * time.Second
	previewQueuing = 10 * time.Second

	previewSeatsHub = 2
	previewSeatsAll = 4
)

// previewSeats are the places of dry runs in this process: some of each hub, so that one whose senders are slow keeps
// nobody else waiting, and some of all hubs together, which are left while a sender is waited for. The zero value is ready.
type previewSeats struct {
	mu   sync.Mutex
	all  chan struct{}
	hubs map[string]chan struct{}
}

func (p *previewSeats) of(hubID string) (hub, all chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hubs == nil {
		p.all, p.hubs = make(chan struct{}, previewSeatsAll), map[string]chan struct{}{}
	}
	if p.hubs[hubID] == nil {
		p.hubs[hubID] = make(chan struct{}, previewSeatsHub)
	}
	return p.hubs[hubID], p.all
}

// seat takes a place within a time.
func seat(ctx context.Context, places chan struct{}) (leave func(), _ error) {
	queue := time.NewTimer(previewQueuing)
	defer queue.Stop()
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-queue.C:
		return nil, E(RateLimited, "validations_busy", "Too many manifests are being looked at.").Next("Try again in a moment.").After(5 * time.Second)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// standing leaves its place while it waits for bytes, and counts them.
type standing struct {
	r      io.Reader
	n      int64
	places chan struct{}
}

func (s *standing) Read(p []byte) (int, error) {
	<-s.places
	n, err := s.r.Read(p)
	s.places <- struct{}{}
	s.n += int64(n)
	return n, err
}

// DropPreview is what a manifest would do. It is right when there are no Faults.
type DropPreview struct {
	Format    ManifestFormat
	Total     int64                    // items that are right
	Actions   map[ManifestAction]int64 // how many of which; "" = whether an entry has the reference id is looked at when it is run
	Items     []DropPreviewItem        // the first of them
	Truncated bool                     // there are more
	Missing   []string                 // files that are not in the folder, the first by place in the manifest
	Warnings  []ManifestFault          // what would hold an item up
	Faults    []ManifestFault
	More      bool // there are more faults or warnings than these
}

// DropPreviewItem is an item and what it would do.
type DropPreviewItem struct {
	ManifestItem
	Does   string   // for people
	Lost   []string // names of library items that would no longer play
	hidden bool     // the entry is one that the folder may touch, but not who asks
}

// Validate says what a manifest would do in a folder ("" = in none), without changing anything. Faults of the document are
// part of the answer, no error. TooLarge beyond 64 MiB; RateLimited while too many run.
func (s *DropFolders) Validate(ctx context.Context, a Actor, folderID string, format ManifestFormat, r io.Reader) (DropPreview, error) {
	only, err := s.dropReader(ctx, a)
	if err != nil {
		return DropPreview{}, err
	}
	if only != "" && folderID == "" {
		return DropPreview{}, E(Forbidden, "folder_only", "This app may only ask of its own drop folder.").Next("Name the folder %s.", only)
	}
	var folder *DropFolder
	if folderID != "" {
		f, err := s.folder(ctx, s.Store, a, folderID)
		if err == nil && only != "" && only != f.ID {
			err = noSuchFolder()
		}
		if err != nil {
			return DropPreview{}, err
		}
		folder = &f
	}
	hub, all := s.previews.of(a.HubID)
	for _, places := range []chan struct{}{hub, all} {
		leave, err := seat(ctx, places)
		if err != nil {
			return DropPreview{}, err
		}
		defer leave()
	}
	p := &previewer{ctx: ctx, s: s, hubID: a.HubID, folder: folder, p: DropPreview{Format: format, Actions: map[ManifestAction]int64{}}}
	if folder != nil && folder.Handler == HandleContent {
		e := errManifestNotTaken()
		p.p.Faults = append(p.p.Faults, ManifestFault{Line: 1, Column: 1, Rule: e.Reason, Text: e.Message, Fix: e.NextStep})
	}
	in := &standing{r: r, places: all}
	err = s.Manifests.Read(ctx, format, io.LimitReader(in, maxManifest+1), p)
	if in.n > maxManifest {
		return DropPreview{}, E(TooLarge, reasonTooLarge, "The manifest has more than 64 MiB.").Next("Split it into several.")
	}
	if err == nil {
		err = p.look()
	}
	if err != nil && err != errEnough {
		return DropPreview{}, err
	}
	if err := p.foresee(ctx, a, only != ""); err != nil {
		return DropPreview{}, err
	}
	return p.p, nil
}

// errEnough ends the reading of a document that has more faults than anybody reads.
var errEnough = E(Invalid, "enough", "There are too many faults.")

// previewer collects what a dry run tells.
type previewer struct {
	ctx    context.Context
	s      *DropFolders
	hubID  string
	folder *DropFolder
	p      DropPreview
	names  []namedAt // whose files are looked up next
}

type namedAt struct {
	name, key string
	sole      bool // see itemName
	at        ManifestFault
}

// Fault implements ManifestVisitor.
func (p *previewer) Fault(x ManifestFault) error {
	if len(p.p.Faults) == previewFaults {
		p.p.More = true
		return errEnough
	}
	p.p.Faults = append(p.p.Faults, x)
	return nil
}

// Item implements ManifestVisitor.
func (p *previewer) Item(it ManifestItem) error {
	at := ManifestFault{Line: it.Line, Column: it.Column, Item: it.Number}
	if err := p.s.possible(p.hubID, it); err != nil {
		return p.Fault(at.because(AsError(err)))
	}
	p.p.Total++
	for i := range it.CustomData { // of which only is asked whether it says something
		if c := &it.CustomData[i]; c.XML != "" {
			c.XML = "<m/>"
		}
	}
	if len(p.p.Items) < previewItems {
		p.p.Items = append(p.p.Items, DropPreviewItem{ManifestItem: it})
	} else {
		p.p.Truncated = true
		p.p.Actions[it.decided()]++
	}
	if what := it.unused(); len(what) > 0 {
		p.warn(at, "without_effect", "Taken as Kaltura takes it, but without effect here: "+strings.Join(what, ", ")+".", "Nothing to do if the entry may be without it; else set it in Kaltura.")
	}
	for name := range it.files() {
		n, err := DropFile{}.beside(name)
		if err != nil {
			if err := p.Fault(at.because(AsError(err))); err != nil {
				return err
			}
			continue
		}
		if p.folder != nil {
			p.names = append(p.names, namedAt{n, dropKey(n), it.sole() == name, at})
		}
	}
	if len(p.names) < 200 {
		return nil
	}
	return p.look()
}

// because gives the fault the words of an error.
func (x ManifestFault) because(e *Error) ManifestFault {
	x.Rule, x.Text, x.Fix = reasonOf(e), e.Message, e.NextStep
	return x
}

// unused names what is read because Kaltura's manifests have it, and is not carried out.
func (it ManifestItem) unused() (what []string) {
	if it.DurationMS != nil {
		what = append(what, "the duration")
	}
	if it.KeepManualThumbnails {
		what = append(what, "to keep pictures set by hand")
	}
	tags, source := false, false
	for _, c := range it.Contents {
		source = source || c.Flavor.Zero() && c.Asset == ""
	}
	if it.decided() == ManifestUpdate {
		if it.TemplateEntryID != "" {
			what = append(what, "the template of an entry that exists")
		}
		if !it.ConversionProfile.Zero() && !source {
			what = append(what, "the conversion profile, as there is no new content")
		}
	}
	for _, c := range it.Contents {
		tags = tags || len(c.Tags) > 0
		if it.Replace && (!c.Flavor.Zero() || c.Asset != "") {
			what = append(what, "to replace renditions that are not named")
			break
		}
	}
	kind, asset := false, false
	for _, t := range it.Thumbnails {
		tags, kind, asset = tags || len(t.Tags) > 0, kind || !t.Params.Zero(), asset || t.Asset != ""
	}
	if tags {
		what = append(what, "tags of assets")
	}
	if kind {
		what = append(what, "the kind of a picture")
	}
	if asset {
		what = append(what, "which picture is replaced (it is added)")
	}
	return what
}

// decided is the action of an item as far as it says so itself.
func (it ManifestItem) decided() ManifestAction {
	switch {
	case it.Action != "":
		return it.Action
	case it.EntryID != "":
		return ManifestUpdate
	case it.ReferenceID == "":
		return ManifestAdd
	}
	return ""
}

func (p *previewer) warn(x ManifestFault, rule, text, fix string) {
	if len(p.p.Warnings) == previewFiles {
		p.p.More = true
		return
	}
	x.Rule, x.Text, x.Fix = rule, text, fix
	p.p.Warnings = append(p.p.Warnings, x)
}

// look finds out which of the files are in the folder.
func (p *previewer) look() error {
	if len(p.names) == 0 {
		return nil
	}
	for part := range slices.Chunk(p.names, 200) {
		keys := make([]string, len(part))
		for i, n := range part {
			keys[i] = n.key
		}
		rows, err := p.s.Store.DropFiles().OfNames(p.ctx, p.folder.ID, keys)
		if err != nil {
			return err
		}
		there := map[string]DropFile{}
		for _, f := range rows {
			there[f.NameKey] = f
		}
		for _, n := range part {
			f, ok := there[n.key]
			switch {
			case !ok || f.State == DropGone || f.State == DropDeleted || f.State == DropParsed:
				if !slices.Contains(p.p.Missing, n.name) && len(p.p.Missing) < previewFiles {
					p.p.Missing = append(p.p.Missing, n.name)
				}
				p.warn(n.at, "file_missing", n.name+" is not in the folder yet.", "Send it: the manifest waits for it.")
			case n.sole && f.byItself(): // the item describes its entry
			case f.State == DropReady || f.State == DropDue:
				p.warn(n.at, "file_used", n.name+" was used already, for the entry "+f.EntryID+".", "Send the file again before the manifest: no file is taken twice.")
			case f.Manifest:
				p.warn(n.at, "file_is_manifest", n.name+" is a manifest.", "Name a media file.")
			case f.LeadID != "" && !f.State.Over():
				p.warn(n.at, "file_claimed", n.name+" is named by another manifest.", "Send it under another name, or wait until that manifest is done.")
			case f.State.Busy():
				p.warn(n.at, "file_busy", n.name+" is already becoming an entry by itself.", "Send it again.")
			}
		}
	}
	p.names = p.names[:0]
	return nil
}

// foresee asks the platform what the first items would do. What cannot be asked now stays open.
// An app that may only send into the folder is told no names.
func (p *previewer) foresee(ctx context.Context, a Actor, hide bool) error {
	ask, cancel := context.WithTimeout(ctx, previewWait)
	defer cancel()
	h, own, err := p.hands(ask, a)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		e := AsError(err)
		if e.Code == Internal {
			return err
		}
		p.warn(ManifestFault{Line: 1, Column: 1}, reasonOf(e), e.Message, e.NextStep)
	}
	told := make([]error, len(p.p.Items))
	if err == nil {
		var wg sync.WaitGroup
		slots := make(chan struct{}, previewAtOnce)
		for i := range p.p.Items {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				told[i] = p.p.Items[i].foresee(ask, h, own, hide)
			})
		}
		wg.Wait()
	}
	kept := p.p.Items[:0]
	for i, err := range told {
		it := p.p.Items[i]
		if it.Does == "" {
			it.Does = it.words("")
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		at := ManifestFault{Line: it.Line, Column: it.Column, Item: it.Number}
		switch e := AsError(err); {
		case err == nil:
		case passes(err) || ask.Err() != nil:
			p.warn(at, reasonOf(e), "Whether this can be done could not be asked: "+e.Message, "Look again in a moment.")
		case e.Code == NotFound, e.Code == Conflict, strings.HasSuffix(e.Reason, "_unknown"): // it may be there when the manifest is run
			p.warn(at, reasonOf(e), e.Message, e.NextStep)
		default:
			p.p.Total--
			if err := p.Fault(at.because(e)); err != nil {
				return err
			}
			continue
		}
		p.p.Actions[it.decided()]++
		kept = append(kept, it)
	}
	p.p.Items = kept
	return p.cascade(ctx, h)
}

// hands are whoever the manifest would be run for, and who asks. Where each may see only their own, these may differ.
func (p *previewer) hands(ctx context.Context, a Actor) (h, own hand, err error) {
	own, err = p.s.handOf(ctx, a)
	if p.folder == nil {
		return own, own, err
	}
	if err != nil && !IsReason(err, "machine_own") { // an app may ask of a folder, and is told no names
		return h, own, err
	}
	h, err = p.s.hand(ctx, *p.folder)
	return h, own, err
}

// foresee decides what an item would do in h's name, for the eyes of own.
func (it *DropPreviewItem) foresee(ctx context.Context, h, own hand, hide bool) error {
	action, m, err := h.plan(ctx, it.ManifestItem, "")
	if err != nil {
		return err
	}
	it.Action = action
	it.hidden = hide && m.ID != ""
	if !it.hidden && m.ID != "" && h.Integration.Visibility == VisibilityOwn && own.actor.Subject() != h.actor.Subject() {
		if own.Platform == nil {
			it.hidden = true
		} else if _, err := own.entry(ctx, m.ID); IsReason(err, "entry_not_found") {
			it.hidden = true
		} else if err != nil {
			return err
		}
	}
	if it.hidden {
		it.Does = it.words("an entry")
		return nil
	}
	it.EntryID = m.ID
	it.Does = it.words(m.Name)
	return nil
}

// words say what an item does.
func (it *DropPreviewItem) words(entry string) string {
	name := it.title()
	if entry == "" {
		entry = name
	}
	with := ""
	switch n := len(it.Contents); {
	case n == 1:
		with = " and gives it new content"
	case n > 1:
		with = fmt.Sprintf(" and gives it %d contents", n)
	}
	switch it.decided() {
	case ManifestAdd:
		if len(it.Contents) == 0 {
			return "Makes " + name + ", without content."
		}
		return "Makes " + name + "."
	case ManifestUpdate:
		return "Changes " + entry + with + "."
	case ManifestDelete:
		return "Deletes " + entry + "."
	}
	return "Changes the entry with the reference id " + it.ReferenceID + ", or makes " + name + "."
}

// cascade names what would no longer play when entries are deleted.
func (p *previewer) cascade(ctx context.Context, h hand) error {
	if h.Platform == nil {
		return nil
	}
	at := map[string]int{}
	var ids []string
	for i, it := range p.p.Items {
		if it.Action == ManifestDelete && it.EntryID != "" && !it.hidden {
			at[it.EntryID] = i
			ids = append(ids, it.EntryID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := p.s.Store.Library().OfEntries(ctx, h.Integration.ID, ids, Slice{Limit: 500})
	if err != nil {
		return err
	}
	for _, row := range rows {
		it := &p.p.Items[at[row.EntryID]]
		if row.Kind == ItemLink {
			it.Lost = append(it.Lost, row.Name)
		}
	}
	for i := range p.p.Items {
		if it := &p.p.Items[i]; len(it.Lost) > 0 {
			names := it.Lost
			more := ""
			if len(names) > 5 {
				names, more = names[:5], fmt.Sprintf(" and %d more", len(it.Lost)-5)
			}
			it.Does += " In the library this will no longer play: " + strings.Join(names, ", ") + more + "."
			p.warn(ManifestFault{Line: it.Line, Column: it.Column, Item: it.Number}, "links_lost", fmt.Sprintf("%d items of the library link to the entry and will no longer play.", len(it.Lost)),
				"Remove them from the library first if nobody needs them.")
		}
	}
	return nil
}
