package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	watchAgain  = 15 * time.Second       // how often the folders to be watched are looked up
	watchSettle = 200 * time.Millisecond // changes that come together are looked at together
	watchMost   = 500                    // names that are looked at one by one; more are left to a scan
)

// Watch watches the directories of all folders until ctx ends, so that a file is taken soon after it is whole. It is of
// use only: what it misses the scan finds. Each replica watches; which of them acts first is no matter.
func (s *DropFolders) Watch(ctx context.Context) {
	if s.Sources == nil {
		return
	}
	running := map[string]*watching{}
	var all sync.WaitGroup
	defer all.Wait()
	tick := time.NewTicker(watchAgain)
	defer tick.Stop()
	for {
		s.watchAll(ctx, running, &all)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// watching is the watch of one folder.
type watching struct {
	version int64
	cancel  context.CancelFunc
	done    chan struct{}
}

func (s *DropFolders) watchAll(ctx context.Context, running map[string]*watching, all *sync.WaitGroup) {
	folders, err := s.Store.DropFolders().Places(ctx, DropDirectory)
	if err != nil {
		if ctx.Err() == nil {
			slog.WarnContext(ctx, "drop folders: cannot read which are to be watched", "error", err)
		}
		return
	}
	wanted := map[string]bool{}
	for _, f := range folders {
		if f.PausedAt != nil {
			continue
		}
		wanted[f.ID] = true
		w := running[f.ID]
		if w != nil {
			select {
			case <-w.done: // its directory went away, or cannot be watched: again
			default:
				if w.version == f.Version {
					continue
				}
				w.cancel()
				<-w.done
			}
		}
		inner, cancel := context.WithCancel(ctx)
		w = &watching{f.Version, cancel, make(chan struct{})}
		running[f.ID] = w
		all.Go(func() {
			defer close(w.done)
			defer cancel()
			s.watchOne(inner, f)
		})
	}
	for id, w := range running {
		if !wanted[id] {
			w.cancel()
			delete(running, id)
		}
	}
}

// watchOne looks at what changes in a folder.
func (s *DropFolders) watchOne(ctx context.Context, f DropFolder) {
	l, err := s.look(ctx, f)
	if err != nil {
		return // the scan says so
	}
	defer func() { _ = l.src.Close() }()
	ctx, stop := context.WithCancel(ctx)
	var mu sync.Mutex
	names := map[string]string{} // changed, with the name before
	wake := make(chan struct{}, 1)
	changed := func(name, from string) {
		mu.Lock()
		if from != "" || names[name] == "" {
			names[name] = from
		}
		mu.Unlock()
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	var taker sync.WaitGroup
	defer taker.Wait()
	defer stop()
	taker.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-wake:
			}
			if !sleep(ctx, watchSettle) {
				return
			}
			mu.Lock()
			now := names
			names = map[string]string{}
			mu.Unlock()
			if err := s.glance(ctx, f.ID, now); err != nil && ctx.Err() == nil {
				slog.InfoContext(ctx, "drop folder: a change is left to the scan", "folder", f.ID, "error", err)
				_ = s.wakeScan(ctx, f.ID)
			}
		}
	})
	if err := l.src.Watch(ctx, changed); err != nil && ctx.Err() == nil {
		slog.InfoContext(ctx, "drop folder: cannot be watched", "folder", f.ID, "error", err)
		return // it is watched again soon; the scan finds what is missed
	}
	if ctx.Err() == nil { // there is nothing to watch
		<-ctx.Done()
	}
}

// wakeScan has a folder looked at as a whole, soon.
func (s *DropFolders) wakeScan(ctx context.Context, id string) error {
	now := s.Clock()
	return s.Store.Tx(ctx, func(tx Tx) error {
		if err := tx.DropFolders().SetWake(ctx, id, now); err != nil {
			return err
		}
		return tx.Enqueue(ctx, ScanDropFolder{FolderID: id})
	})
}

// glance looks at some names of a folder; names gives to each the one that it had before.
func (s *DropFolders) glance(ctx context.Context, id string, names map[string]string) error {
	f, err := s.Store.DropFolders().Get(ctx, AnyHub, id)
	if err != nil || f.PausedAt != nil || f.DeletedAt != nil {
		return ignoreNotFound(err)
	}
	if _, all := names[""]; all || len(names) > watchMost {
		return s.wakeScan(ctx, id)
	}
	l, err := s.look(ctx, f)
	if err != nil {
		return err
	}
	defer func() { _ = l.src.Close() }() // only read
	return l.some(ctx, names)
}

// some compares some files with their rows.
func (l *dropLook) some(ctx context.Context, names map[string]string) error {
	var entries []DropEntry
	var keys []string
	look := func(name string) error {
		e, err := l.src.Stat(ctx, name)
		if err == nil {
			entries = append(entries, e.checked())
		}
		return ignoreNotFound(err)
	}
	asked := map[string]bool{}
	for name, from := range names {
		if of := l.rules.marks(name); of != "" { // the file that it is about is looked at instead
			name, from = of, ""
		}
		if from != "" {
			keys = append(keys, dropKey(from))
		}
		keys = append(keys, dropKey(name))
		if asked[name] {
			continue
		}
		asked[name] = true
		if err := look(name); err != nil {
			return err
		}
		if m := l.f.Complete.Marker; m != "" {
			if e, err := l.src.Stat(ctx, name+m); err == nil {
				l.markers[name] = e.ModifiedAt
			}
		}
	}
	rows, err := l.s.Store.DropFiles().OfNames(ctx, l.f.ID, keys)
	if err != nil {
		return err
	}
	byKey := map[string]*DropKnown{}
	var lost []DropKnown
	for _, r := range rows {
		k := DropKnown{ID: r.ID, Name: r.Name, NameKey: r.NameKey, Identity: r.Identity, State: r.State}
		byKey[r.NameKey] = &k
		if _, err := l.src.Stat(ctx, r.Name); CodeOf(err) == NotFound && r.State != DropParsed && !uploaded(r.Identity) && r.State.Live() {
			lost = append(lost, k)
		}
	}
	for _, e := range entries { // which of two twins is the first is for a scan to say
		if k := byKey[dropKey(e.Name)]; k != nil && k.Name != e.Name {
			return l.s.wakeScan(ctx, l.f.ID)
		}
	}
	l.choose(entries, func(key, name string) bool { k := byKey[key]; return k != nil && k.Name == name })
	l.renames(entries, byKey, lost)
	for name, from := range names {
		if from != "" && l.rules.isWriting(from) && !l.rules.isWriting(name) {
			l.finished[name] = true
		}
	}
	if err := l.page(ctx, entries); err != nil {
		return err
	}
	return l.gone(ctx, lost)
}
