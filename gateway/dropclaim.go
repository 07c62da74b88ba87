package gateway

import (
	"path"
	"slices"
	"strings"
)

// claim makes the files that items name the manifest's. An item that names one that it cannot have fails.
func (r *manifestReader) claim(tx Tx, rows []DropItem) error {
	var keys []string
	for _, names := range r.names {
		for _, n := range names {
			keys = append(keys, n.key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	there := map[string]*DropFile{}
	for part := range slices.Chunk(keys, 200) {
		files, err := tx.DropFiles().OfNames(r.ctx, r.folder.ID, part)
		if err != nil {
			return err
		}
		for i := range files {
			there[files[i].NameKey] = &files[i]
		}
	}
	finished, err := tx.DropItems().OfFile(r.ctx, r.f.ID, []DropItemState{ItemFinished}, rows[0].Number-1, len(rows))
	if err != nil {
		return err
	}
	done := map[int64]bool{} // in an earlier run; a file that has the name by now is another
	for _, it := range finished {
		done[it.Number] = true
	}
	for i := range rows {
		if rows[i].State == ItemRefused || done[rows[i].Number] {
			continue
		}
		var no *Error
		for _, n := range r.names[i] {
			if no = r.mayTake(tx, there[n.key], n, rows[i].ID); no != nil {
				break
			}
		}
		if no != nil {
			rows[i].State, rows[i].Data = ItemRefused, nil
			rows[i].Reason, rows[i].Text, rows[i].NextStep = reasonOf(no), no.Message, no.NextStep
			continue
		}
		for _, n := range r.names[i] {
			f, err := r.take(tx, there[n.key], n, rows[i].ID)
			if err != nil {
				return err
			}
			there[n.key] = f
		}
	}
	return nil
}

// mayTake says why an item cannot have a file.
func (r *manifestReader) mayTake(tx Tx, f *DropFile, n itemName, item string) *Error {
	switch {
	case f == nil:
		return nil
	case f.ID == r.f.ID || f.Manifest:
		return E(Invalid, "file_is_manifest", n.name+" is a manifest and cannot be content.").Next("Name a media file.")
	case f.LeadID == r.f.ID:
		if n.content && f.ItemID != "" && f.ItemID != item {
			return E(Conflict, "file_named_twice", n.name+" is the content of another item of this manifest.").
				Next("Give each item a file of its own; an item can name another entry as its source.")
		}
		return nil
	case n.sole && f.byItself(): // the item describes its entry when that is ready
		return nil
	case f.State == DropReady || f.State == DropDue: // else its bytes, which still lie there, would be taken once more
		return errFileUsed(*f)
	case f.LeadID != "" && !f.State.Over():
		lead, err := tx.DropFiles().Get(r.ctx, Scope(f.HubID), f.LeadID)
		if err == nil && !lead.State.Over() && !lead.Superseded {
			return E(Conflict, "file_claimed", n.name+" is named by "+lead.Name+", which came first.").
				Next("Send the file under another name, or wait until that manifest is done and send the file again.")
		}
		if err != nil && CodeOf(err) != NotFound {
			return AsError(err)
		}
	}
	if f.State.Busy() {
		return E(Conflict, "file_busy", n.name+" is already becoming an entry by itself.").
			Next("Describe the entry when it is ready, by its id %s; or send the file again.", f.EntryID)
	}
	return nil
}

func errFileUsed(f DropFile) *Error {
	return E(Conflict, "file_used", f.Name+" was used already"+ofEntry(f.EntryID)+".").
		Next("Send the file again, then try this manifest again. To change an entry that is there, name it by its id.")
}

func ofEntry(id string) string {
	if id == "" {
		return ""
	}
	return ", for the entry " + id
}

// take makes a file the manifest's; one that is not there is expected.
func (r *manifestReader) take(tx Tx, f *DropFile, n itemName, item string) (*DropFile, error) {
	if !n.content {
		item = ""
	}
	if f != nil && n.sole && f.byItself() {
		return f, nil
	}
	if f != nil && f.LeadID == r.f.ID && !f.State.Over() {
		if item == "" || f.ItemID == item {
			return f, nil
		}
		f.ItemID, f.NamedSize = item, n.size
		return f, tx.DropFiles().Update(r.ctx, f)
	}
	if f != nil && f.State.Over() && !f.retakable() {
		if f.LeadID == r.f.ID && (f.State == DropReady || f.State == DropDue) { // it served an earlier run
			return f, nil
		}
		if err := r.s.supersede(r.ctx, tx, f); err != nil {
			return nil, err
		}
		f = nil
	}
	if f == nil {
		f = &DropFile{
			Row: Row{ID: NewID("dfi"), HubID: r.f.HubID}, FolderID: r.folder.ID, Name: n.name, NameKey: n.key, LeadID: r.f.ID, ItemID: item,
			NamedSize: n.size,
		}
		return f, r.s.expect(r.ctx, tx, f, r.f)
	}
	f.LeadID, f.NamedSize = r.f.ID, n.size
	if item != "" {
		f.ItemID = item
	}
	switch f.State {
	case DropPending: // its bytes are fetched, then it waits for us
	case DropNoMatch, DropQuarantined, DropWaiting:
		f.TryAt = nil
		to := DropPending
		if f.UploadID != "" { // they are here
			to, f.WaitingFor = DropWaiting, []string{r.f.Name}
		}
		if f.State != to {
			return f, r.s.move(r.ctx, tx, f, to, "manifest", system(f.HubID), r.f.Name+" describes it.")
		}
	}
	return f, tx.DropFiles().Update(r.ctx, f)
}

// retakable tells whether a file in quarantine is whole and only lacked its manifest, or failed with it.
func (f DropFile) retakable() bool {
	if f.State != DropQuarantined || f.WholeAt == nil {
		return false
	}
	switch f.Reason {
	case reasonTwin, reasonEmpty, reasonNotAccepted, reasonUnreadable, reasonFetch:
		return false
	}
	return true
}

// beside gives the path of a file that is named relative to another one's folder.
func (f DropFile) beside(name string) (string, error) {
	p := path.Join(path.Dir(f.Name), strings.ReplaceAll(name, `\`, "/"))
	if name == "" || path.IsAbs(name) || p == ".." || strings.HasPrefix(p, "../") || strings.ContainsRune(p, 0) {
		return "", E(Invalid, "file_outside", "The name leads out of the drop folder.").Next("Name a file beside the manifest, or below.")
	}
	return p, nil
}
