package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
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
