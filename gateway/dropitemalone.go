package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// sole gives the file that would become the entry of an item: its one content, for the source.
func (it ManifestItem) sole() string {
	if len(it.Contents) != 1 || it.EntryID != "" || it.Action == ManifestUpdate || it.Action == ManifestDelete {
		return ""
	}
	c := it.Contents[0]
	if !c.Flavor.Zero() || c.Asset != "" {
		return ""
	}
	return c.File
}

// byItself tells whether a file became an entry without a manifest, or is about to.
func (f DropFile) byItself() bool {
	return f.LeadID == "" && !f.Manifest && (f.State.Busy() || f.State == DropReady || f.State == DropDue && f.FormerState == "")
}

// describes makes an item whose file became an entry by itself, before the manifest came, one that updates that entry. It gives
// the entry then; none when the item is to be carried out as it is.
func (w *itemWork) describes(ctx context.Context, action ManifestAction, m Media) (Media, error) {
	name := w.said.sole()
	if name == "" {
		return Media{}, nil
	}
	n, err := w.f.beside(name)
	if err != nil {
		return Media{}, err
	}
	f, err := w.s.Store.DropFiles().ByKey(ctx, w.f.FolderID, dropKey(n))
	if err != nil {
		return Media{}, ignoreNotFound(err)
	}
	mine := f.LeadID == w.f.ID && f.ItemID == w.item.ID && (f.State == DropReady || f.State == DropDue) // read anew
	switch {
	case !mine && !f.byItself():
		return Media{}, nil
	case f.State.Busy():
		return Media{}, &Snooze{5 * time.Second}
	}
	used := errFileUsed(f)
	u, err := w.s.Store.Uploads().Get(ctx, AnyHub, f.UploadID)
	switch {
	case CodeOf(err) == NotFound, err == nil && u.EntryID != f.EntryID: // it had the same bytes as one before, whose entry that is
		return Media{}, used
	case err != nil:
		return Media{}, err
	case m.ID != f.EntryID && (action != ManifestAdd || u.Replaces != ""): // the entry was there before the file, or is to be another
		return Media{}, used
	}
	c := w.said.Contents[0]
	switch {
	case c.Size > 0 && c.Size != f.Size:
		return Media{}, errWrongSize(f.Name, f.Size, c.Size)
	case c.SHA256 != "" && !strings.EqualFold(c.SHA256, f.SHA256):
		return Media{}, errWrongSum(f.Name, "SHA-256")
	case c.MD5 != "" || c.SHA1 != "":
		return Media{}, E(Conflict, "file_used", used.Message+" Its bytes are not here any more to be compared with the checksum.").Next("%s", used.NextStep)
	}
	said := w.said
	said.Action, said.EntryID, said.Contents = ManifestUpdate, f.EntryID, nil
	_, m, err = w.h.plan(ctx, said, w.item.ID)
	if IsReason(err, "entry_not_found") {
		return m, used
	}
	if err != nil {
		return m, w.heard(ctx, err)
	}
	raw, err := json.Marshal(said)
	if err != nil {
		return m, err
	}
	sealed, err := w.s.Sealer.Seal(Secret(raw), itemPlace(w.item.ID))
	if err != nil {
		return m, err
	}
	err = w.save(ctx, func(tx Tx, it *DropItem) error {
		row, err := tx.DropFiles().Get(ctx, AnyHub, f.ID)
		if err != nil {
			return err
		}
		if row.Version != f.Version {
			return &Snooze{time.Second} // something happened: look again
		}
		row.LeadID, row.ItemID = w.f.ID, it.ID
		if err := tx.DropFiles().Update(ctx, &row); err != nil {
			return err
		}
		it.Action, it.EntryID, it.Data = ManifestUpdate, f.EntryID, sealed
		line := dropChange(row, "manifest", system(row.HubID).Subject(), fmt.Sprintf("Item %d of %s describes its entry.", it.Number, w.f.Name), w.s.Clock())
		return tx.DropChanges().Insert(ctx, &line)
	})
	if err == nil {
		w.said = said
	}
	return m, err
}
