package gateway

import (
	"context"
	"path"
	"slices"
	"strings"
)

// What a look makes of names: markers, twins, odd ones, and those that were changed.

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

func isOdd(key string) bool { return strings.Contains(key, oddMark) }

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

func twinError() *Error {
	return E(Conflict, reasonTwin, "Another file has the same name, written with other characters.").Next("Rename one of the two.")
}
