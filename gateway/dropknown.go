package gateway

import (
	"context"
	"time"
)

// dropRecent is for how long what was made here is looked up here: well beyond what a platform's index lags behind.
const dropRecent = 10 * indexLag

// known gives the entries that files and items of the hub made or changed not long ago and that may have a reference
// id, oldest first: the platform's index may not show them yet. making tells whether one is about to be made. But
// leaves out who asks.
func (s *DropFolders) known(ctx context.Context, t Tables, hubID, referenceID, but string) (ids []string, making bool, _ error) {
	since := s.Clock().Add(-dropRecent)
	items, err := t.DropItems().OfReference(ctx, hubID, referenceID, since)
	if err != nil {
		return nil, false, err
	}
	files, err := t.DropFiles().OfReference(ctx, hubID, referenceID, since)
	if err != nil {
		return nil, false, err
	}
	for _, it := range items {
		st := it.step()
		if it.ID == but || it.Action == ManifestDelete || st.name == stepNone || st.name == stepCertain {
			continue
		}
		if it.EntryID != "" {
			ids = append(ids, it.EntryID)
		}
		if it.Action == ManifestAdd && st.name != stepEdited && (it.State == ItemQueued || it.State == ItemRunning) {
			making = true
		}
	}
	for _, f := range files {
		if f.ID == but || f.LeadID != "" {
			continue
		}
		if f.EntryID != "" {
			ids = append(ids, f.EntryID)
		}
		making = making || f.State.Busy() // until it is ready: an entry gets one content at a time
	}
	return ids, making, nil
}

// referred gives the entries with a reference id that the hand may touch, oldest first. Unavailable while another file
// or item of the hub is making one.
func (h hand) referred(ctx context.Context, referenceID, but string) ([]Media, error) {
	all, err := h.editor.FindAll(ctx, h.actor, referenceID)
	if err != nil {
		return nil, err
	}
	made, making, err := h.s.known(ctx, h.s.Store, h.actor.HubID, referenceID, but)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, m := range all {
		ids = append(ids, m.ID)
	}
	var out []Media
	seen := map[string]bool{}
	for _, id := range append(ids, made...) {
		if seen[id] {
			continue
		}
		seen[id] = true
		m, err := h.entry(ctx, id)
		switch {
		case IsReason(err, "entry_not_found"):
		case err != nil:
			return nil, err
		case m.ReferenceID == referenceID: // the index may also show what an entry had before
			out = append(out, m)
		}
	}
	if len(out) == 0 && making {
		return nil, errMaking(referenceID)
	}
	return out, nil
}

// mayTouch refuses for now an entry that a manifest is about to delete: what is done to it would go with it. An item waits
// also for those before it in its manifest. by is the id of its row, "" when it is a file that asks.
func (h hand) mayTouch(ctx context.Context, m Media, it ManifestItem, by string) error {
	items, err := h.s.Store.DropItems().OfEntry(ctx, h.actor.HubID, m.ID)
	if err != nil {
		return err
	}
	for _, x := range items {
		st := x.step()
		switch {
		case x.ID == by:
		case itemID(x.FileID, it.Number) == by && x.Number < it.Number:
			return E(Unavailable, "entry_busy", "An item before this one is not done with the entry.").Next("It goes on by itself then.").After(time.Second)
		case it.Action != ManifestDelete && (st.name == stepDue || st.name == stepDeleting):
			return E(Unavailable, "entry_busy", "A manifest is about to delete the entry "+cutText(m.ID, 64)+".").
				Next("It goes on by itself when that is done; or undo the deletion at the manifest's item.").After(time.Second)
		}
	}
	return nil
}

func errMaking(referenceID string) error {
	return E(Unavailable, "reference_busy", "The entry with the reference id "+cutText(referenceID, 200)+" is being made, or given content.").
		Next("It goes on by itself then.").After(time.Second)
}

// makes lets one file or item at a time begin to make an entry with a reference id: the others find its entry then.
func (s *DropFolders) makes(ctx context.Context, tx Tx, in Integration, referenceID, but string) error {
	if _, err := tx.Integrations().Lock(ctx, in.ID); err != nil {
		return err
	}
	if _, making, err := s.known(ctx, tx, in.HubID, referenceID, but); err != nil || !making {
		return err
	}
	return errMaking(referenceID)
}
