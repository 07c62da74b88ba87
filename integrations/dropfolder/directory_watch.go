package dropfolder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"isthmus/gateway"
)

const (
	maxWatched  = 8000                  // directories of a folder; in more of them the scan finds what changed
	gather      = 50 * time.Millisecond // a file that is written makes many events: they are told together
	maxGathered = 1000                  // more names at once ask for a scan
	lookAgain   = 15 * time.Second      // whether the directory is still the one that is watched
)

// Watch implements gateway.DropSource. It ends with Unavailable when the directory goes away.
func (d *directory) Watch(ctx context.Context, changed func(name, renamedFrom string)) error {
	fd, err := d.open()
	if err != nil {
		return err
	}
	var first unix.Stat_t
	err = unix.Fstat(fd, &first)
	_ = unix.Close(fd)
	if err != nil {
		return d.away(err)
	}
	fsw, err := fsnotify.NewWatcher()
	if err != nil {
		d.log.Warn("a directory is not watched, only scanned: the system has no more watches", "directory", d.shown, "error", err)
		return nil
	}
	w := &watch{d: d, fs: fsw, root: filepath.Join(d.root, filepath.FromSlash(d.below)), first: first, tell: changed, at: map[string]bool{}}
	err = w.run(ctx)
	return errors.Join(err, fsw.Close())
}

// watch is one recursive watch. Everything happens in run's goroutine.
type watch struct {
	d     *directory
	fs    *fsnotify.Watcher
	root  string
	first unix.Stat_t     // the directory that is watched
	at    map[string]bool // watched directories, "" = the folder itself
	full  bool            // some could not be watched
	tell  func(name, renamedFrom string)
	news  []renamed
	all   bool // the news are too many
}

type renamed struct{ name, from string }

func (w *watch) run(ctx context.Context) error {
	if err := w.add("", "", false); err != nil {
		return w.d.away(err)
	}
	w.tell("", "") // what came before the watch stood
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	bell := time.NewTimer(gather)
	bell.Stop()
	defer bell.Stop()
	for {
		waiting := len(w.news) > 0 || w.all
		select {
		case <-ctx.Done():
			return nil
		case <-bell.C:
			w.flush()
			continue
		case <-look.C:
			if err := w.same(); err != nil {
				return err
			}
			continue
		case e, open := <-w.fs.Events:
			if !open {
				return nil
			}
			if err := w.event(e); err != nil {
				return err
			}
		case err, open := <-w.fs.Errors:
			if !open {
				return nil
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				w.d.log.Warn("watching a directory", "directory", w.d.shown, "error", err)
			}
			w.all = true
		}
		if !waiting && (len(w.news) > 0 || w.all) {
			bell.Reset(gather)
		}
	}
}

// same ends the watch when its directory is no longer the folder's: removed and made again, or mounted over.
func (w *watch) same() error {
	fd, err := w.d.open()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil {
		return w.d.away(err)
	}
	if now.Dev != w.first.Dev || now.Ino != w.first.Ino {
		return w.d.away(unix.ESTALE)
	}
	return nil
}

func (w *watch) event(e fsnotify.Event) error {
	if e.Name == w.root {
		if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
			return w.d.away(fs.ErrNotExist)
		}
		return nil
	}
	name, ok := w.name(e.Name)
	if !ok {
		return nil
	}
	from, _ := w.name(renamedFrom(e))
	if e.Has(fsnotify.Rename) || e.Has(fsnotify.Remove) {
		w.drop(name)
	}
	if e.Has(fsnotify.Create) && w.isFolder(name) {
		w.drop(from) // the kernel watches on under the old name
		w.drop(name)
		err := w.add(name, from, true)
		if vanished(err) {
			return nil
		}
		return err
	}
	w.note(name, from)
	return nil
}

// add watches a directory and those below. The files that are in it already are told when tell says so: they may have
// come before the watch. from is the name the directory had.
func (w *watch) add(name, from string, tell bool) error {
	if w.full = w.full || len(w.at) >= maxWatched; w.full || strings.Count(name, "/") >= maxDepth-1 {
		w.all = true
		return nil
	}
	if err := w.fs.Add(filepath.Join(w.root, filepath.FromSlash(name))); err != nil {
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EMFILE) {
			w.full = true
			w.d.log.Warn("some directories are not watched, only scanned: the system has no more watches", "directory", w.d.shown, "error", err)
			return nil
		}
		return err
	}
	w.at[name] = true
	dir, err := w.open(name)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only read
	for {
		names, err := dir.Readdirnames(batch)
		if len(names) == 0 {
			return nil // what cannot be read the scan says
		}
		for _, base := range names {
			st, serr := statAt(int(dir.Fd()), base)
			if serr != nil || ours(base) {
				continue
			}
			child, childFrom := join(name, base), ""
			if from != "" {
				childFrom = join(from, base)
			}
			switch {
			case isFolder(st):
				if err := w.add(child, childFrom, tell); err != nil && !vanished(err) && !errors.Is(err, fs.ErrPermission) {
					return err
				}
			case tell && regular(st):
				w.note(child, childFrom)
			}
		}
		if err != nil {
			return nil
		}
	}
}

// drop ends the watches of a directory that went away or was moved.
func (w *watch) drop(name string) {
	if name == "" || !w.at[name] {
		return
	}
	for at := range w.at {
		if at == name || strings.HasPrefix(at, name+"/") {
			_ = w.fs.Remove(filepath.Join(w.root, filepath.FromSlash(at))) // often it is gone by itself
			delete(w.at, at)
		}
	}
}

func (w *watch) open(name string) (*os.File, error) {
	fd, err := w.d.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	if name == "" {
		name = "."
	}
	dir, err := openBelow(fd, name)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(dir), "folder"), nil
}

func (w *watch) isFolder(name string) bool {
	dir, err := w.open(name)
	if err == nil {
		_ = dir.Close()
	}
	return err == nil
}

// name makes a name within the folder of a full one; false for what is never taken.
func (w *watch) name(full string) (string, bool) {
	rel, below := strings.CutPrefix(full, w.root+string(filepath.Separator))
	rel = filepath.ToSlash(rel)
	return rel, below && oddName(rel) == "" && !ours(filepath.Base(rel))
}

func (w *watch) note(name, from string) {
	if n := len(w.news); n > 0 && w.news[n-1] == (renamed{name, from}) {
		return
	}
	if len(w.news) >= maxGathered {
		w.all = true
		return
	}
	w.news = append(w.news, renamed{name, from})
}

// flush tells what was gathered, a name once for each that it had before.
func (w *watch) flush() {
	news, all := w.news, w.all
	w.news, w.all = nil, false
	if all {
		w.tell("", "")
		return
	}
	told := map[renamed]bool{}
	for _, n := range news {
		if !told[n] {
			told[n] = true
			w.tell(n.name, n.from)
		}
	}
}

func join(dir, base string) string {
	if dir == "" {
		return base
	}
	return dir + "/" + base
}

// renamedFrom is what an event knows of the former name. The library pairs the kernel's cookies, but shows the result
// in its text only.
func renamedFrom(e fsnotify.Event) string {
	quoted, found := strings.CutPrefix(e.String(), fmt.Sprintf("%-13s %q ← ", e.Op.String(), e.Name))
	if !found {
		return ""
	}
	from, err := strconv.Unquote(quoted)
	if err != nil {
		return ""
	}
	return from
}

var _ gateway.DropSource = (*directory)(nil)
