package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// deletePause is how long an entry that a manifest deletes can still be kept.
const deletePause = 10 * time.Minute

// itemWork is one item being run.
type itemWork struct {
	*itemRun
	item  DropItem
	said  ManifestItem
	doing string // the reason of a failure now that has none of its own
}

func (w *itemWork) read(raw Secret) error { return json.Unmarshal([]byte(raw.Reveal()), &w.said) }

// run takes the item as far as it gets: to the entry that is being converted, or, of a deletion, to its end.
func (w *itemWork) run(ctx context.Context) error {
	if w.item.Step == stepNone || w.item.step().name == stepCertain {
		if err := w.check(ctx); err != nil {
			return err
		}
	}
	if w.item.Action == ManifestDelete {
		return w.remove(ctx)
	}
	w.doing = reasonAdd
	if err := w.entry(ctx); err != nil {
		return err
	}
	w.doing = reasonContent
	for i := w.item.step().done(stepContent); i < len(w.said.Contents); i++ {
		if err := w.fill(ctx, i, w.said.Contents[i]); err != nil {
			return err
		}
	}
	w.doing = reasonUpdate
	for i := w.item.step().done(stepThumbnail); i < len(w.said.Thumbnails); i++ {
		if err := w.picture(ctx, i, w.said.Thumbnails[i]); err != nil {
			return err
		}
	}
	if w.item.Step == stepEdited {
		return w.ready(ctx)
	}
	change, err := w.change(ctx)
	if err != nil {
		return err
	}
	if _, err := w.h.editor.Edit(ctx, w.h.actor, w.item.EntryID, change); err != nil {
		return w.heard(ctx, err)
	}
	if len(w.said.Contents) == 0 { // there is nothing to wait for
		w.item.Step = stepEdited
		return w.ready(ctx)
	}
	return w.save(ctx, func(tx Tx, it *DropItem) error {
		it.Step, it.State, it.TryAt = stepEdited, ItemConverting, nil
		it.Reason, it.Text, it.NextStep = "", "", ""
		return w.files(ctx, tx, w.said, func(f *DropFile) error {
			if f.State != DropImporting {
				return nil
			}
			f.EntryID = it.EntryID
			return w.s.move(ctx, tx, f, DropProcessing, "item.edited", system(f.HubID), fmt.Sprintf("Item %d of %s: the entry has its content.", it.Number, w.f.Name))
		})
	})
}

// heard tells the connection what the platform said.
func (w *itemWork) heard(ctx context.Context, err error) error {
	w.s.Integrations.Heard(ctx, w.h.Integration, err)
	return err
}

// check decides what is done, and makes sure that it can be: nothing is made before all bytes are here and are what
// they were said to be.
func (w *itemWork) check(ctx context.Context) error {
	action, m, err := w.h.plan(ctx, w.said, w.item.ID)
	if err != nil {
		return w.heard(ctx, err)
	}
	if action == ManifestDelete {
		at := w.s.Clock().Add(deletePause)
		return w.save(ctx, func(_ Tx, it *DropItem) error {
			it.Action, it.EntryID, it.Step = action, m.ID, itemStep{stepDue, at.Unix()}.String()
			it.Reason, it.Text, it.NextStep = "deletion_due", m.Name+" is deleted at "+at.Format(time.RFC3339)+".", "Undo it until then if it is to stay."
			return nil
		})
	}
	if described, err := w.describes(ctx, action, m); err != nil {
		return err
	} else if described.ID != "" {
		action, m = ManifestUpdate, described
	}
	if action == ManifestAdd && w.said.UserID == "" {
		if err := w.h.allowed(w.folder.Origin.UserID, "folder"); err != nil {
			return err
		}
	}
	for _, c := range w.said.Contents {
		if _, err := c.into(m); err != nil {
			return err
		}
	}
	all := len(w.said.Contents) + len(w.said.Thumbnails)
	for n := w.item.step().done(stepCertain); n < all; n++ {
		if err := w.part(ctx, n); err != nil {
			return err
		}
		if n == all-1 {
			break
		}
		// Written down: the next one's bytes may lie with another replica, which goes on from here.
		if err := w.save(ctx, func(tx Tx, it *DropItem) error {
			it.Step = itemStep{stepCertain, int64(n + 1)}.String()
			return w.takes(ctx, tx, n+1)
		}); err != nil {
			return err
		}
	}
	return w.save(ctx, func(tx Tx, it *DropItem) error {
		if action == ManifestAdd && w.said.Action == "" && w.said.ReferenceID != "" { // because no entry has it
			if err := w.s.makes(ctx, tx, w.h.Integration, w.said.ReferenceID, it.ID); err != nil {
				return err
			}
		}
		it.Action, it.EntryID, it.Step = action, m.ID, stepChecked
		return w.takes(ctx, tx, all)
	})
}

// takes begins the import of the files of an item's first n contents: from now on nothing replaces them.
func (w *itemWork) takes(ctx context.Context, tx Tx, n int) error {
	first := ManifestItem{Contents: w.said.Contents[:min(n, len(w.said.Contents))]}
	return w.files(ctx, tx, first, func(f *DropFile) error {
		if f.State != DropWaiting && f.State != DropPending {
			return nil
		}
		return w.s.move(ctx, tx, f, DropImporting, "item.started", system(f.HubID), fmt.Sprintf("Item %d of %s takes it.", w.item.Number, w.f.Name))
	})
}

// part makes certain of the nth of an item's contents and pictures.
func (w *itemWork) part(ctx context.Context, n int) error {
	if n >= len(w.said.Contents) {
		i := n - len(w.said.Contents)
		return w.certain(ctx, "thumbnail", i, w.said.Thumbnails[i].ManifestResource)
	}
	c := w.said.Contents[n]
	if err := w.certain(ctx, "content", n, c.ManifestResource); err != nil || c.Token == "" {
		return err
	}
	_, _, err := w.ingest(ctx, n, c) // is the token known to the platform?
	return w.heard(ctx, err)
}

// entry makes the entry of an item that adds one. It is known by the item's id until that of the entry is written
// down; while the platform's index may not show one that an earlier run made, none is made again.
func (w *itemWork) entry(ctx context.Context) error {
	if w.item.EntryID != "" {
		if w.item.Step == stepChecked {
			return w.save(ctx, func(_ Tx, it *DropItem) error { it.Step = stepMade; return nil })
		}
		return nil
	}
	var made Media
	if st := w.item.step(); st.name == stepMaking {
		found, err := w.h.editor.FindAll(ctx, w.h.actor, w.item.ID)
		if err != nil {
			return w.heard(ctx, err)
		}
		if len(found) > 0 {
			made = found[0]
		} else if wait := time.Unix(st.n, 0).Add(indexLag).Sub(w.s.Clock()); wait > 0 {
			return &Snooze{wait}
		}
	}
	if made.ID == "" {
		since := w.s.Clock().Unix()
		if err := w.save(ctx, func(_ Tx, it *DropItem) error { it.Step = itemStep{stepMaking, since}.String(); return nil }); err != nil {
			return err
		}
	}
	change, err := w.change(ctx)
	if err != nil {
		return err
	}
	made, err = w.h.editor.Make(ctx, w.h.actor, w.item.ID, w.said.mediaType(), change)
	if err != nil {
		return w.heard(ctx, err)
	}
	// The entry is there: a stop of the process now would only mean to find it again.
	return w.save(context.WithoutCancel(ctx), func(_ Tx, it *DropItem) error {
		it.Step, it.EntryID = stepMade, made.ID
		return nil
	})
}

// change is what the item says of its entry. A file that says that it is spherical is tagged so.
func (w *itemWork) change(ctx context.Context) (EntryChange, error) {
	c := w.said.change()
	if w.item.Action == ManifestAdd {
		if c.Name == nil {
			name := w.said.title()
			for _, x := range w.said.Contents {
				if n := x.fileName(); n != "" && w.said.ReferenceID == "" {
					name = titleOf("", n)
					break
				}
			}
			c.Name = &name
		}
		if c.ConversionProfile.Zero() && w.folder.Origin.ConversionProfileID != 0 {
			c.ConversionProfile.ID = w.folder.Origin.ConversionProfileID
		}
		if c.UserID == nil && w.folder.Origin.UserID != "" {
			c.UserID = &w.folder.Origin.UserID
		}
		if c.Tags == nil && len(w.folder.Origin.Tags) > 0 {
			tags := slices.Clone(w.folder.Origin.Tags)
			c.Tags = &tags
		}
		if c.Categories == nil && c.CategoryIDs == nil && w.folder.Origin.Category != "" {
			c.Categories = &[]string{w.folder.Origin.Category}
		}
		for i, x := range w.said.Contents {
			if !x.Flavor.Zero() || x.Token != "" {
				continue
			}
			u, err := w.carried(ctx, "content", i, x.ManifestResource)
			if ignoreNotFound(err) != nil {
				return c, err
			}
			var said []string
			if c.Tags != nil {
				said = *c.Tags
			}
			u.Tags = said
			if tags := entryTags(u); len(tags) > len(said) {
				c.Tags = &tags
			}
		}
	}
	return c, nil
}

// into says which rendition of an entry a content is for; zero = its source.
func (c ManifestContent) into(m Media) (ManifestRef, error) {
	if c.Asset == "" {
		return c.Flavor, nil
	}
	for _, r := range m.Renditions {
		if r.ID == c.Asset {
			return ManifestRef{ID: r.FlavorID}, nil
		}
	}
	return ManifestRef{}, E(NotFound, "asset_not_found", "The entry has no asset "+cutText(c.Asset, 64)+".").Next("Check the asset's id, or name the flavour instead.")
}

// fill gives the entry a content.
func (w *itemWork) fill(ctx context.Context, i int, c ManifestContent) error {
	if c.Asset != "" {
		m, err := w.h.entry(ctx, w.item.EntryID)
		if err != nil {
			return w.heard(ctx, err)
		}
		if c.Flavor, err = c.into(m); err != nil {
			return err
		}
	}
	ing, u, err := w.ingest(ctx, i, c)
	if err != nil {
		return w.heard(ctx, err)
	}
	for try := 0; ; try++ {
		replacer, ok := ing.(Replacer)
		if !ok {
			return notOffered()
		}
		_, err = replacer.Replace(ctx, w.item.EntryID, c.Flavor, w.said.ConversionProfile)
		if !IsReason(err, "ingest_gone") || u.ID == "" || try == 3 {
			break
		}
		if err = w.s.Uploads.Relay.Forget(ctx, u.ID); err != nil {
			return err
		}
		if ing, err = w.s.Uploads.Relay.Complete(ctx, u); err != nil {
			return w.heard(ctx, err)
		}
	}
	if err != nil {
		return w.heard(ctx, err)
	}
	return w.save(context.WithoutCancel(ctx), func(_ Tx, it *DropItem) error {
		it.Step = itemStep{stepContent, int64(i + 1)}.String()
		return nil
	})
}

// ingest gives the bytes of a content as the platform has them; of an upload token of the platform's own no upload.
func (w *itemWork) ingest(ctx context.Context, i int, c ManifestContent) (Ingest, Upload, error) {
	if c.Token != "" {
		ing, err := w.h.Platform.Create(ctx, w.h.actor, NewMedia{ReferenceID: w.item.ID, Handle: c.Token, Size: c.Size, Type: w.said.mediaType(), Name: w.said.title()})
		if IsReason(err, "ingest_gone") || CodeOf(err) == NotFound {
			err = E(NotFound, "token_gone", "The platform does not know the upload token, or has forgotten it.").Next("Upload the file again and name the new token.")
		}
		return ing, Upload{}, err
	}
	u, err := w.bytes(ctx, "content", i, c.ManifestResource)
	if err != nil {
		return nil, u, err
	}
	ing, err := w.s.Uploads.Relay.Complete(ctx, u)
	return ing, u, err
}

// picture gives the entry a thumbnail.
func (w *itemWork) picture(ctx context.Context, i int, t ManifestThumbnail) error {
	u, err := w.bytes(ctx, "thumbnail", i, t.ManifestResource)
	if err != nil {
		return err
	}
	file, err := w.s.Uploads.Staging.Open(ctx, u.ID)
	if err != nil {
		return err
	}
	err = w.h.editor.SetThumbnail(ctx, w.h.actor, w.item.EntryID, io.NewSectionReader(file, 0, u.Size), u.Size, t.Default)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return w.heard(ctx, err)
	}
	return w.save(ctx, func(_ Tx, it *DropItem) error {
		it.Step = itemStep{stepThumbnail, int64(i + 1)}.String()
		return nil
	})
}

// ready ends an item whose entry plays; before that it says when to look again.
func (w *itemWork) ready(ctx context.Context) error {
	if len(w.said.Contents) == 0 && w.said.Number == 0 { // not read yet
		raw, err := w.s.Sealer.Open(Sealed(w.item.Data), itemPlace(w.item.ID))
		if err != nil {
			return err
		}
		if err := w.read(raw); err != nil {
			return err
		}
	}
	if len(w.said.Contents) > 0 {
		m, err := w.h.Platform.Get(ctx, w.h.actor, w.item.EntryID)
		_ = w.heard(ctx, err) // looked at below
		switch {
		case CodeOf(err) == NotFound:
			return E(NotFound, "entry_gone", "The entry was deleted in the media platform before it was ready.").Next("Try again if it is still wanted.")
		case err != nil:
			return err
		case m.Status == MediaFailed || m.Replacing == MediaFailed:
			return E(Invalid, reasonConversion, "The media platform could not convert the content.").
				Next("Check that the file plays on your computer; then send it again, perhaps in another format.")
		case m.Status != MediaReady || m.Replacing != "":
			return &Snooze{grown(w.s.Clock().Sub(w.item.UpdatedAt), 250*time.Millisecond, 30*time.Second)}
		}
		if err := w.verified(ctx, m); err != nil {
			return err
		}
	}
	var over []string
	err := w.save(ctx, func(tx Tx, it *DropItem) error {
		over = nil
		it.State, it.TryAt, it.Data = ItemFinished, nil, nil
		it.Reason, it.Text, it.NextStep = "", "", ""
		return w.files(ctx, tx, w.said, func(f *DropFile) error {
			over = append(over, f.UploadID)
			if f.State != DropProcessing && f.State != DropImporting && f.State != DropWaiting { // it waits when the item is tried again
				return nil
			}
			f.EntryID = it.EntryID
			return w.s.ready(ctx, tx, f, "item.done", fmt.Sprintf("Item %d of %s is done.", it.Number, w.f.Name))
		})
	})
	if err != nil {
		return err
	}
	for i, c := range w.said.Contents {
		if c.URL != "" || c.EntryID != "" {
			over = append(over, itemUpload(w.item.ID, "content", i))
		}
	}
	for i, t := range w.said.Thumbnails {
		if t.URL != "" || t.EntryID != "" {
			over = append(over, itemUpload(w.item.ID, "thumbnail", i))
		}
	}
	for _, id := range over {
		if err := w.s.usedUp(ctx, id, w.item.EntryID); err != nil {
			return err
		}
	}
	return nil
}

// verified compares the size of the source on the platform with that of the bytes before these are let go.
func (w *itemWork) verified(ctx context.Context, m Media) error {
	for i, c := range w.said.Contents {
		if !c.Flavor.Zero() || c.Token != "" {
			continue
		}
		u, err := w.carried(ctx, "content", i, c.ManifestResource)
		if err != nil {
			return ignoreNotFound(err) // there is nothing left to let go
		}
		if err := verify(u, m); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes the entry of an item once its time has come, unless it was undone or the entry is busy.
func (w *itemWork) remove(ctx context.Context) error {
	if st := w.item.step(); st.name == stepDue {
		if wait := time.Unix(st.n, 0).Sub(w.s.Clock()); wait > 0 {
			return &Snooze{wait}
		}
	}
	m, err := w.h.entry(ctx, w.item.EntryID)
	switch {
	case IsReason(err, "entry_not_found"): // by an earlier run, or somebody else
	case err != nil:
		return w.heard(ctx, err)
	case m.Status == MediaProcessing || m.Replacing == MediaProcessing:
		if w.s.Clock().Sub(w.item.CreatedAt) > itemPatience {
			return E(Conflict, "entry_busy", "The entry is still being converted.").Next("Delete it when it is ready.")
		}
		return &Snooze{itemPause}
	default:
		remover, ok := w.h.Platform.(Remover)
		if !ok {
			return notOffered()
		}
		// Written down first: an undo that came before wins here, one that comes after is told that it is too late.
		if err := w.save(ctx, func(_ Tx, it *DropItem) error { it.Step = stepDeleting; return nil }); err != nil {
			return err
		}
		if err := remover.Remove(ctx, w.h.actor, w.item.EntryID); err != nil {
			return w.heard(ctx, err)
		}
	}
	return w.save(context.WithoutCancel(ctx), func(tx Tx, it *DropItem) error {
		it.State, it.TryAt, it.Data = ItemFinished, nil, nil
		it.Reason, it.Text, it.NextStep = "", "", ""
		return audit(ctx, tx, w.h.actor, "dropfolder.entry_deleted", it.EntryID, map[string]any{"folder_id": it.FolderID, "file_id": it.FileID, "item": it.Number})
	})
}

// UndoItem keeps an entry that a manifest is about to delete. Conflict when its deletion has begun.
func (s *DropFolders) UndoItem(ctx context.Context, a Actor, itemID string) (DropItem, error) {
	if err := dropWriter(a); err != nil {
		return DropItem{}, err
	}
	return changeRow(ctx, s.Store, func(t Tables) Rows[DropItem] { return t.DropItems() }, Scope(a.HubID), itemID, func(tx Tx, it *DropItem) error {
		if it.step().name != stepDue || it.State != ItemQueued && it.State != ItemRunning {
			return E(Conflict, "item_not_due", "This item does not delete anything any more.").Next("Load the list again.")
		}
		folder, err := tx.DropFolders().Get(ctx, AnyHub, it.FolderID)
		if err == nil {
			err = s.theirs(ctx, tx, a, folder)
		}
		if err != nil {
			return err
		}
		it.State, it.TryAt, it.Data = ItemFinished, nil, nil // as somebody wanted: nothing is to be tried again
		it.Reason, it.Text, it.NextStep = "deletion_undone", "The deletion was undone.", "Nothing is to be done."
		return audit(ctx, tx, a, "dropfolder.undo_item", it.EntryID, map[string]any{"folder_id": it.FolderID, "file_id": it.FileID, "item": it.Number})
	})
}
