package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	scanLease  = 2 * time.Minute // prolonged while a look goes on; one that lost it writes nothing
	scanPage   = 200             // files of one transaction
	settleTime = 10 * time.Second
	unseenTime = time.Minute // for which a file whose rename nobody saw must not change
	doubtTime  = time.Hour   // after it people are told that nothing says that a file is whole
)

// RunScan looks at what lies in a folder (task ScanDropFolder). One replica at a time does; who does so twice finds
// nothing to do the second time.
func (s *DropFolders) RunScan(ctx context.Context, id string) error {
	f, err := s.Store.DropFolders().Get(ctx, AnyHub, id)
	if err != nil {
		return ignoreNotFound(err)
	}
	if f.Source == DropUploads || f.DeletedAt != nil || f.PausedAt != nil || s.Sources == nil {
		return nil
	}
	leave, err := s.Lanes.enter(QueueDrop, f.HubID)
	if err != nil {
		return err
	}
	defer leave()
	now := s.Clock()
	f.ScanBy = s.Replica + "/" + NewID("scn") // a look that was overtaken is no other of the same replica
	if mine, err := s.Store.DropFolders().Claim(ctx, id, f.ScanBy, now, now.Add(scanLease)); err != nil || !mine {
		return err
	}
	began := time.Now()
	l, err := s.look(ctx, f)
	if err == nil {
		l.claim = f.ScanBy
		stop := every(ctx, scanLease/4, func(ctx context.Context) bool { return l.hold(ctx, s.Store) == nil })
		err = l.all(ctx)
		stop()
		_ = l.src.Close() // only read
	}
	return s.looked(context.WithoutCancel(ctx), f, l, err, time.Since(began), ctx.Err() != nil)
}

// looked writes down how a look went.
func (s *DropFolders) looked(ctx context.Context, f DropFolder, l *dropLook, err error, took time.Duration, stopped bool) error {
	now := s.Clock()
	pause := max(f.scanPause(), 10*took)
	h := DropHealth{LastAt: &now, OKAt: f.Health.OKAt, Files: f.Health.Files, TookMS: took.Milliseconds()}
	if l != nil {
		if err == nil {
			h.Files = int64(len(l.seen))
		}
		if l.full && err == nil {
			err = E(Conflict, "folder_full", "The folder has more open files than it may have; the others wait where they are.").
				Next("Wait until some are done, look at those that wait or are in quarantine, or raise the folder's limit.")
		}
		if l.odd > maxOdd && err == nil {
			err = E(Conflict, "odd_names", fmt.Sprintf("%d files have names that cannot be taken, or that others have; %d of them are listed.", l.odd, maxOdd)).
				Next("Rename or remove them; all others go on.")
		}
		if st := f.Complete.StableS; st > 0 && l.unsure > 0 {
			pause = min(pause, max(time.Second, time.Duration(st)*time.Second/2))
		}
	}
	switch {
	case stopped:
		h, pause = f.Health, 0
	case err == nil:
		h.OKAt = &now
	default:
		e := AsError(err)
		if e.Code == Internal {
			slog.WarnContext(ctx, "drop folder: a look failed", "folder", f.ID, "error", err)
		}
		h.Code, h.Text, h.NextStep, h.Since = reasonOf(e), e.Message, e.NextStep, &now
		if f.Health.Code == h.Code && f.Health.Since != nil {
			h.Since = f.Health.Since
		}
	}
	if _, serr := s.scanned(ctx, f, h, now.Add(pause)); serr != nil {
		return ignoreNotFound(serr)
	}
	if now, gerr := s.Store.DropFolders().Get(ctx, AnyHub, f.ID); gerr == nil && now.ScanBy == "" && now.ScanAt != nil && !now.ScanAt.After(s.Clock()) {
		return s.Store.Tx(ctx, func(tx Tx) error { return tx.Enqueue(ctx, ScanDropFolder{FolderID: f.ID}) })
	}
	return nil
}

// dropLook is one look at a folder, or at some of its names.
type dropLook struct {
	s        *DropFolders
	f        DropFolder
	claim    string // of the look at the whole folder
	rules    *dropRules
	src      DropSource
	seen     []DropEntry
	markers  map[string]time.Time  // name of the file that a marker is about: when the marker was written
	moved    map[string]string     // name of a new file: id of the row that it had under its former name
	finished map[string]bool       // names that were given by a rename from an unfinished one
	owner    map[string]string     // of twins: key to the name that has it
	before   map[string]*DropKnown // the rows as they were before the look, by key
	counted  bool                  // room is known:
	files    int64
	bytes    int64
	full     bool
	odd      int // files with names that cannot be taken
	unsure   int // files that are not known to be whole
}

func (s *DropFolders) look(ctx context.Context, f DropFolder) (*dropLook, error) {
	rules, err := rulesOf(f)
	if err != nil {
		return nil, err
	}
	secret, err := s.secret(f)
	if err != nil {
		return nil, err
	}
	src, err := s.Sources.Open(ctx, f, secret)
	if err != nil {
		return nil, err
	}
	return &dropLook{
		s: s, f: f, rules: rules, src: src, markers: map[string]time.Time{}, moved: map[string]string{}, finished: map[string]bool{},
		owner: map[string]string{},
	}, nil
}

// all compares everything that is there with the rows.
func (l *dropLook) all(ctx context.Context) error {
	known, err := l.s.Store.DropFiles().Known(ctx, l.f.ID)
	if err != nil {
		return err
	}
	byKey := make(map[string]*DropKnown, len(known))
	listed := 0 // with names that cannot be taken
	for i := range known {
		byKey[known[i].NameKey] = &known[i]
		if isOdd(known[i].NameKey) {
			listed++
		}
	}
	l.before = byKey
	scanErr := l.src.Scan(ctx, func(e DropEntry) error {
		l.seen = append(l.seen, e.checked())
		return nil
	})
	l.choose(l.seen, func(key, name string) bool { k := byKey[key]; return k != nil && k.Name == name })
	there := make(map[string]bool, len(l.seen))
	var news []DropEntry
	for _, e := range l.seen {
		key := l.key(e)
		there[key] = true
		k := byKey[key]
		if k == nil && e.Odd == "" {
			if why := l.rules.left(e.Name, l.manifest(e)); why != "" && why != leftWriting {
				continue
			}
		}
		if isOdd(key) {
			if l.odd++; k == nil {
				if listed++; listed > maxOdd {
					continue // those that are listed tell enough
				}
			}
		}
		if k != nil && k.Identity == e.Identity && k.Name == e.Name && (!unsettled(k.State) || l.undecided(*k, e)) {
			continue
		}
		news = append(news, e)
	}
	var lost []DropKnown
	for _, k := range known {
		if !there[k.NameKey] && k.State != DropParsed && !uploaded(k.Identity) {
			lost = append(lost, k)
		}
	}
	l.renames(news, byKey, lost)
	for page := range slices.Chunk(news, scanPage) {
		if err := l.page(ctx, page); err != nil {
			return err
		}
	}
	if scanErr != nil {
		return scanErr
	}
	// One empty listing proves nothing: the disk may not be mounted. The second one in a row is believed.
	if h := l.f.Health; len(l.seen) == 0 && (h.Files > 0 || h.Code != "" || h.LastAt == nil) {
		return nil
	}
	return l.gone(ctx, lost)
}

// hold prolongs the claim, or tells that another look has the folder by now.
func (l *dropLook) hold(ctx context.Context, t Tables) error {
	if l.claim == "" {
		return nil
	}
	return t.DropFolders().Hold(ctx, l.f.ID, l.claim, l.s.Clock().Add(scanLease))
}

// overtaken tells that a row is not what it was before the look: what was seen may be older than what it says.
func (l *dropLook) overtaken(row DropFile, key string) bool {
	if l.before == nil {
		return false
	}
	k := l.before[key]
	return k == nil && row.State.Live() || k != nil && (k.ID != row.ID || k.Version != row.Version)
}

// unseen tells whether a file got its name by a rename that nobody saw: in a folder whose files are renamed when they are
// whole, its inode changed after its last write, and nothing since.
func (l *dropLook) unseen(e DropEntry, since time.Time) bool {
	return l.f.Complete.Rename != "" && e.Moved && !l.rules.isWriting(e.Name) && l.s.Clock().Sub(since) >= unseenTime
}

// doubtful tells whether people are to be told that a file lies there and nothing says that it is whole.
func (l *dropLook) doubtful(state DropState, reason, name string, since time.Time) bool {
	return (state == DropDetected || state == DropUploading) && reason == "" && !l.rules.isWriting(name) && l.s.Clock().Sub(since) >= doubtTime
}

// unsettled are the states in which an unchanged file may have become whole.
func unsettled(s DropState) bool { return s == DropDetected || s == DropUploading || s == DropParsed }

// undecided tells, without a look at its row, that an unchanged file cannot have become whole.
func (l *dropLook) undecided(k DropKnown, e DropEntry) bool {
	c := l.f.Complete
	_, marked := l.markers[e.Name]
	if k.State == DropParsed || marked || e.Whole || k.NamedSize > 0 && k.NamedSize == e.Size || c == (DropComplete{}) || k.SizeSetAt == nil ||
		l.unseen(e, *k.SizeSetAt) || l.doubtful(k.State, k.Reason, k.Name, *k.SizeSetAt) ||
		c.StableS > 0 && l.s.Clock().Sub(*k.SizeSetAt) >= time.Duration(c.StableS)*time.Second {
		return false
	}
	l.unsure++
	return true
}

// uploaded tells whether an identity is of a file that was sent to us.
func uploaded(identity string) bool { return strings.HasPrefix(identity, uploadIdentity) }

const uploadIdentity = "upload:"

// choose finds markers, and twins: of several names with one key the one that is known has it, else the first.
func (l *dropLook) choose(entries []DropEntry, known func(key, name string) bool) {
	first := make(map[string]string, len(entries))
	for _, e := range entries {
		if e.Odd != "" {
			continue
		}
		if of := l.rules.marks(e.Name); of != "" {
			l.markers[of] = e.ModifiedAt
		}
		key := dropKey(e.Name)
		other, twin := first[key]
		if !twin {
			first[key] = e.Name
			continue
		}
		owner := min(other, e.Name)
		if now, decided := l.owner[key]; decided {
			owner = min(now, e.Name)
			if known(key, now) {
				owner = now
			}
		}
		for _, name := range []string{other, e.Name} {
			if known(key, name) {
				owner = name
			}
		}
		l.owner[key] = owner
	}
}

// key is by which a file that is there is found among the rows. A twin and what cannot be taken have keys of their own.
func (l *dropLook) key(e DropEntry) string {
	if e.Odd != "" {
		return oddMark + e.Name
	}
	key := dropKey(e.Name)
	if owner, twins := l.owner[key]; twins && owner != e.Name {
		return key + oddMark + e.Name
	}
	return key
}

// checked marks a name that no upload could have, as one with a line break in it. A Mac has those for icons of folders.
func (e DropEntry) checked() DropEntry {
	if e.Odd == "" && checkDropName(e.Name) != nil && path.Base(e.Name) != "Icon\r" {
		e.Odd = DropOddPath
	}
	return e
}

// oddMark is in the keys of files whose names cannot be taken, before the name, or that another one has, between its key
// and the name. No path holds it.
const oddMark = "//"

func isOdd(key string) bool  { return strings.Contains(key, oddMark) }
func isTwin(key string) bool { return isOdd(key) && !strings.HasPrefix(key, oddMark) }

// renames finds rows whose file has another name now, so that its content is not taken a second time.
func (l *dropLook) renames(news []DropEntry, byKey map[string]*DropKnown, lost []DropKnown) {
	if len(lost) == 0 || len(news) == 0 {
		return
	}
	byFile := make(map[string]DropKnown, len(lost))
	for _, k := range lost {
		if file, _, ok := strings.Cut(k.Identity, "/"); ok {
			byFile[file] = k
		}
	}
	for _, e := range news {
		file, _, ok := strings.Cut(e.Identity, "/")
		k, was := byFile[file]
		if !ok || !was || byKey[l.key(e)] != nil && !l.rules.isWriting(k.Name) {
			continue
		}
		// An inode is used again for another file: the content is the one that was seen, or no write came after the rename.
		if SameDropContent(k.Identity, e.Identity) || l.rules.isWriting(k.Name) && e.Moved {
			delete(byFile, file) // else each of two names of one file would have the row
			l.moved[e.Name] = k.ID
			l.finished[e.Name] = l.rules.isWriting(k.Name) && !l.rules.isWriting(e.Name)
		}
	}
}

// page compares some files with their rows, in one transaction.
func (l *dropLook) page(ctx context.Context, page []DropEntry) error {
	before := *l
	return retryConflict(func() error {
		return l.s.Store.Tx(ctx, func(tx Tx) error {
			l.counted, l.files, l.bytes, l.unsure = before.counted, before.files, before.bytes, before.unsure // it may be the second try
			if err := l.hold(ctx, tx); err != nil {
				return err
			}
			return l.compare(ctx, tx, page)
		})
	})
}

func (l *dropLook) compare(ctx context.Context, tx Tx, page []DropEntry) error {
	keys := make([]string, len(page))
	for i, e := range page {
		keys[i] = l.key(e)
	}
	rows, err := tx.DropFiles().OfNames(ctx, l.f.ID, keys)
	if err != nil {
		return err
	}
	byKey := make(map[string]*DropFile, len(rows))
	for i := range rows {
		byKey[rows[i].NameKey] = &rows[i]
	}
	var fresh []DropFile
	for i, e := range page {
		row := byKey[keys[i]]
		if id := l.moved[e.Name]; id != "" {
			if done, err := l.rename(ctx, tx, e, keys[i], id, row); err != nil {
				return err
			} else if done {
				continue
			}
		}
		if row != nil {
			if l.overtaken(*row, keys[i]) {
				continue
			}
			again, err := l.known(ctx, tx, row, e)
			if err != nil {
				return err
			}
			if !again {
				continue
			}
		}
		if n, take := l.fresh(e, keys[i]); take {
			if row != nil {
				if err := l.s.inherit(ctx, tx, &n, *row); err != nil {
					return err
				}
			}
			fresh = append(fresh, n)
		}
	}
	return l.insert(ctx, tx, fresh)
}

// rename gives a row its file's new name. One that was unfinished by its name is whole now.
func (l *dropLook) rename(ctx context.Context, tx Tx, e DropEntry, key, id string, there *DropFile) (bool, error) {
	row, err := tx.DropFiles().Get(ctx, AnyHub, id)
	if err != nil || row.Superseded || row.State.Busy() {
		return err == nil && row.State.Busy(), ignoreNotFound(err)
	}
	if there != nil && there.ID != id {
		if !there.State.Over() && !unsettled(there.State) {
			return true, nil // it has the name until it is done
		}
		if err := l.s.supersede(ctx, tx, there); err != nil {
			return false, err
		}
	}
	row.Name, row.NameKey, row.Manifest = e.Name, key, l.manifest(e)
	if there != nil && there.ID != id {
		if err := l.s.inherit(ctx, tx, &row, *there); err != nil {
			return false, err
		}
	}
	l.note(&row, e)
	if l.finished[e.Name] && unsettled(row.State) {
		return true, l.s.move(ctx, tx, &row, DropPending, "scan.renamed", system(l.f.HubID), "It got its final name.")
	}
	if row.State == DropQuarantined && slices.Contains(nameReasons, row.Reason) { // it was renamed, as it was told to be
		return true, l.s.again(ctx, tx, &row, "scan.renamed", system(l.f.HubID), "It has another name now.")
	}
	return true, tx.DropFiles().Update(ctx, &row)
}

// nameReasons are those for which another name helps.
var nameReasons = []string{reasonSlug, reasonFlavor, reasonNotAccepted, reasonTwin, DropOddNotUTF8, DropOddLong}

// note writes down how a file is seen.
func (l *dropLook) note(f *DropFile, e DropEntry) {
	if !SameDropContent(f.Identity, e.Identity) || f.SizeSetAt == nil {
		now := l.s.Clock()
		f.SizeSetAt = &now
		if f.Reason == reasonUnfinished {
			f.Reason, f.Text, f.NextStep = "", "", ""
		}
	}
	at := e.ModifiedAt
	f.Size, f.ModifiedAt, f.Identity = e.Size, &at, e.Identity
}

// known compares a file with its row; again tells that it is to be taken as a new file.
func (l *dropLook) known(ctx context.Context, tx Tx, f *DropFile, e DropEntry) (again bool, _ error) {
	same := SameDropContent(f.Identity, e.Identity)
	by := system(l.f.HubID)
	switch {
	case f.State.Busy():
		return false, nil // its end decides
	case uploaded(f.Identity) && !f.State.Over():
		return false, nil
	case unsettled(f.State):
		was := f.State
		l.note(f, e)
		switch whole, cause := l.whole(e, f); {
		case whole:
			return false, l.s.move(ctx, tx, f, DropPending, cause, by, "")
		case was == DropParsed:
			return false, l.s.move(ctx, tx, f, DropDetected, "scan", by, "")
		case !same && was == DropDetected:
			return false, l.s.move(ctx, tx, f, DropUploading, "scan.changed", by, "It is still being written.")
		case !same:
			return false, tx.DropFiles().Update(ctx, f)
		case f.SizeSetAt != nil && l.doubtful(f.State, f.Reason, f.Name, *f.SizeSetAt):
			return false, l.doubt(ctx, tx, f)
		}
		return false, nil
	case same && f.State == DropGone:
		l.note(f, e)
		return false, l.back(ctx, tx, f)
	case same && f.State == DropDeleted && f.ModifiedAt != nil && e.ModifiedAt.After(*f.ModifiedAt): // an object that was put there anew
		return true, l.s.supersede(ctx, tx, f)
	case same:
		return false, nil
	case isOdd(f.NameKey) && (f.State == DropQuarantined || f.State == DropIgnored): // whatever is in it, it is not taken
		l.note(f, e)
		return false, tx.DropFiles().Update(ctx, f)
	case f.State == DropDue && unsettled(f.FormerState) && SameDropFile(f.Identity, e.Identity):
		l.note(f, e) // somebody deletes it, and it goes on growing
		return false, tx.DropFiles().Update(ctx, f)
	case f.State.Over() || f.State == DropDue:
		return true, l.s.supersede(ctx, tx, f)
	}
	if f.Manifest { // its items are of what it was: what it is now is another manifest
		if err := l.s.move(ctx, tx, f, DropGone, "scan.changed", by, "It was replaced before it was run."); err != nil {
			return false, err
		}
		return true, l.s.supersede(ctx, tx, f)
	}
	// Changed before its turn came.
	l.note(f, e)
	if err := l.s.letGo(ctx, tx, f.UploadID); err != nil { // what was read of it is of another content
		return false, err
	}
	f.UploadID, f.SHA256 = "", ""
	return false, l.s.move(ctx, tx, f, DropDetected, "scan.changed", by, "It changed after it was taken for whole.")
}

// doubt says of a file that stays as it is what is missing.
func (l *dropLook) doubt(ctx context.Context, tx Tx, f *DropFile) error {
	f.Reason, f.Text = reasonUnfinished, "Nothing says that the file is whole."
	f.NextStep = "Have its sender say so as the folder has it, by a marker or a rename; or take it by hand if you know that it is whole."
	if err := tx.DropFiles().Update(ctx, f); err != nil {
		return err
	}
	c := dropChange(*f, "scan", system(f.HubID).Subject(), "", l.s.Clock())
	return tx.DropChanges().Insert(ctx, &c)
}

// back makes a file that was gone what it was before: what was left alone, or is a twin, is not taken now.
func (l *dropLook) back(ctx context.Context, tx Tx, f *DropFile) error {
	by, was := system(f.HubID), f.FormerState
	f.FormerState = ""
	switch {
	case isTwin(f.NameKey):
		return l.s.aside(ctx, tx, f, "scan.back", twinError())
	case was == DropIgnored:
		return l.s.move(ctx, tx, f, DropIgnored, "scan.back", by, "It is there again.")
	case f.ReadyAt == nil:
		return l.s.move(ctx, tx, f, DropDetected, "scan.back", by, "It is there again.")
	}
	if err := l.s.move(ctx, tx, f, DropReady, "scan.back", by, "It is there again."); err != nil {
		return err
	}
	return l.s.plan(ctx, tx, l.f, f)
}

func twinError() *Error {
	return E(Conflict, reasonTwin, "Another file has the same name, written with other characters.").Next("Rename one of the two.")
}

func (l *dropLook) manifest(e DropEntry) bool {
	return l.s.Manifests != nil && e.Odd == "" && l.s.Manifests.Format(e.Name) != ""
}

// whole tells whether a file is known to be complete, and by what. row is nil of one that is seen for the first time.
func (l *dropLook) whole(e DropEntry, row *DropFile) (bool, string) {
	if l.rules.isWriting(e.Name) {
		return false, ""
	}
	c := l.f.Complete
	if marker, marked := l.markers[e.Name]; marked && !marker.Before(e.ModifiedAt) {
		return true, "scan.marker" // a marker that is older than the content was for another content
	}
	if e.Whole {
		return true, "scan.whole"
	}
	if l.finished[e.Name] {
		return true, "scan.renamed"
	}
	if row != nil && row.SizeSetAt != nil {
		still := l.s.Clock().Sub(*row.SizeSetAt)
		switch {
		case l.unseen(e, *row.SizeSetAt):
			return true, "scan.renamed"
		case c.StableS > 0 && still >= time.Duration(c.StableS)*time.Second:
			return true, "scan.stable"
		case c == DropComplete{} && row.Manifest && l.s.Manifests.Format(e.Name) != ManifestCSV && still >= settleTime:
			return true, "scan.manifest" // one that is cut off cannot be read, and is refused whole; of CSV it could
		case row.LeadID != "" && row.NamedSize > 0 && row.NamedSize == e.Size && still >= settleTime:
			return true, "scan.named" // it has what its manifest says
		}
	}
	l.unsure++
	return false, ""
}

// fresh makes the row of a file that is seen for the first time; take is false of one that is left alone.
func (l *dropLook) fresh(e DropEntry, key string) (_ DropFile, take bool) {
	manifest := l.manifest(e)
	f := DropFile{
		Row: Row{ID: NewID("dfi"), HubID: l.f.HubID}, FolderID: l.f.ID, Name: e.Name, NameKey: key, Manifest: manifest, State: DropDetected,
	}
	l.note(&f, e)
	if e.Odd != "" {
		f.State, f.Reason = DropQuarantined, e.Odd
		f.Text, f.NextStep = "The file's name cannot be taken.", "Rename it: valid text, and not too long or too deep."
		return f, true
	}
	switch l.rules.left(e.Name, manifest) {
	case "":
	case leftWriting:
		f.State = DropUploading
		return f, true
	default:
		return f, false
	}
	if isTwin(key) {
		e := twinError()
		f.State, f.Reason, f.Text, f.NextStep = DropQuarantined, e.Reason, e.Message, e.NextStep
	}
	return f, true
}

// insert writes new rows with their first lines, and tells once that there are some.
func (l *dropLook) insert(ctx context.Context, tx Tx, fresh []DropFile) error {
	if len(fresh) == 0 {
		return nil
	}
	if !l.counted { // once: counting takes long where there are many
		var err error
		if l.files, l.bytes, err = l.s.room(ctx, tx, l.f); err != nil {
			return err
		}
		l.counted = true
	}
	kept := fresh[:0:0]
	for _, f := range fresh {
		if f.State != DropQuarantined {
			if l.files <= 0 || f.Size > l.bytes {
				l.full = true
				continue
			}
			l.files, l.bytes = l.files-1, l.bytes-f.Size
		}
		kept = append(kept, f)
	}
	pending := false
	whole := map[string]string{}
	for i := range kept {
		if kept[i].State != DropDetected {
			continue
		}
		e := DropEntry{Name: kept[i].Name, Identity: kept[i].Identity, ModifiedAt: *kept[i].ModifiedAt, Size: kept[i].Size, Whole: l.f.Source == DropBucket}
		if ok, cause := l.whole(e, nil); ok {
			at := l.s.Clock()
			kept[i].State, kept[i].WholeAt, pending = DropPending, &at, true
			whole[kept[i].ID] = cause
		}
	}
	in, err := tx.DropFiles().InsertAll(ctx, kept)
	if err != nil || len(in) == 0 {
		return err
	}
	at := l.s.Clock()
	lines := make([]DropChange, 0, len(in))
	for _, f := range in {
		cause := "scan"
		if c := whole[f.ID]; c != "" {
			cause = c
		}
		lines = append(lines, dropChange(f, cause, system(f.HubID).Subject(), "", at))
	}
	if err := tx.DropChanges().InsertAll(ctx, lines); err != nil {
		return err
	}
	if pending {
		if err := tx.Enqueue(ctx, FeedDropFolder{FolderID: l.f.ID}); err != nil {
			return err
		}
	}
	return l.s.Events.Append(ctx, tx, l.f.HubID, AudienceContent, "drop_folder.scanned", l.f.ID, l.f.news())
}

// gone settles rows whose file was not seen, after asking for each of them by name.
func (l *dropLook) gone(ctx context.Context, lost []DropKnown) error {
	renamed := slices.Collect(maps.Values(l.moved))
	slices.Sort(renamed)
	for _, k := range lost {
		if k.State.Busy() {
			continue
		}
		if _, moved := slices.BinarySearch(renamed, k.ID); moved {
			continue
		}
		if !strings.HasPrefix(k.NameKey, oddMark) { // else the name is for people only
			_, err := l.src.Stat(ctx, k.Name)
			if err == nil && isTwin(k.NameKey) { // the other one is gone: it has the name, and a row, of its own now
				if _, err := l.s.changeFile(ctx, k.ID, func(tx Tx, f *DropFile) error {
					if f.Superseded || f.Identity != k.Identity {
						return errUnchanged
					}
					return l.s.supersede(ctx, tx, f)
				}); ignoreNotFound(err) != nil {
					return err
				}
			}
			if err == nil || CodeOf(err) != NotFound {
				continue
			}
		}
		if _, err := l.s.changeFile(ctx, k.ID, func(tx Tx, f *DropFile) error {
			if f.Superseded || f.Deleting || f.State.Busy() || f.Identity != k.Identity || !f.State.mayBecome(DropGone) {
				return errUnchanged
			}
			return l.s.move(ctx, tx, f, DropGone, "scan.gone", system(f.HubID), "It was removed from the folder.")
		}); err != nil {
			return ignoreNotFound(err)
		}
	}
	return nil
}
