package gateway

import (
	"context"
	"crypto/md5"  //nolint:gosec // what manifests say
	"crypto/sha1" //nolint:gosec // what manifests say
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"
)

// files calls f with each file of the folder that is the item's own content, of what is said.
func (w *itemWork) files(ctx context.Context, tx Tx, said ManifestItem, f func(*DropFile) error) error {
	for name, content := range said.files() {
		if !content {
			continue
		}
		row, err := w.file(ctx, tx, name)
		if CodeOf(err) == NotFound {
			continue
		}
		if err != nil {
			return err
		}
		if row.ItemID != w.item.ID {
			continue
		}
		if err := f(&row); err != nil {
			return err
		}
	}
	return nil
}

// file gives the file of the folder that the manifest means by a name. NotFound when it is another's by now.
func (w *itemWork) file(ctx context.Context, t Tables, name string) (DropFile, error) {
	n, err := w.f.beside(name)
	if err != nil {
		return DropFile{}, err
	}
	row, err := t.DropFiles().ByKey(ctx, w.f.FolderID, dropKey(n))
	if CodeOf(err) == NotFound || err == nil && row.LeadID != w.f.ID {
		return DropFile{}, E(NotFound, "file_gone", n+" is not in the folder any more, or belongs to another manifest.").Next("Send the file again, then try again.")
	}
	return row, err
}

// itemUpload is the id of the upload that carries bytes fetched for an item: the same in every run.
func itemUpload(itemID, kind string, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d", itemID, kind, i))
	return "upl_" + idEncoding.EncodeToString(sum[:16])
}

// certain brings the bytes of a resource here, as they were said to be.
func (w *itemWork) certain(ctx context.Context, kind string, i int, r ManifestResource) error {
	if r.Token != "" { // nothing is said of its bytes, see possible
		return nil
	}
	u, err := w.bytes(ctx, kind, i, r)
	if err != nil || kind == "thumbnail" {
		return err
	}
	in, err := w.inspect(ctx, u)
	if types := w.s.accepts(w.f.HubID).Types; err == nil && r.URL != "" && in.Type != "" && len(types) > 0 && !slices.Contains(types, in.Type) {
		err = E(Invalid, reasonNotAccepted, "The file at the address is of a kind that is not accepted: "+string(in.Type)+".").Next("Name another file.")
	}
	return err
}

// proved refuses bytes that are not what was said of them.
func (w *itemWork) proved(ctx context.Context, kind string, u Upload, r ManifestResource) error {
	if err := w.compare(ctx, u, r); err != nil || kind != "thumbnail" {
		return err
	}
	return w.isPicture(ctx, u, r)
}

// isPicture refuses a thumbnail that is none before anything is made.
func (w *itemWork) isPicture(ctx context.Context, u Upload, r ManifestResource) error {
	f, err := w.s.Uploads.Staging.Open(ctx, u.ID)
	if err != nil {
		return err
	}
	head := make([]byte, 12)
	n, err := f.ReadAt(head, 0)
	if cerr := f.Close(); err == nil || err == io.EOF {
		err = cerr
	}
	if err != nil {
		return err
	}
	head = head[:n]
	for _, magic := range []string{"\xff\xd8\xff", "\x89PNG\r\n", "GIF8", "BM", "RIFF"} {
		if strings.HasPrefix(string(head), magic) && (magic != "RIFF" || strings.HasSuffix(string(head), "WEBP")) {
			return nil
		}
	}
	return E(Invalid, "thumbnail_no_picture", cutText(r.fileName(), 200)+" is no picture.").Next("Name a JPEG or PNG file as the thumbnail.")
}

// inspect looks into the bytes, once.
func (w *itemWork) inspect(ctx context.Context, u Upload) (Inspection, error) {
	if u.Inspection.Type != "" || w.s.Uploads.Pipeline == nil {
		return u.Inspection, nil
	}
	in, err := w.s.Uploads.Pipeline.Inspect(ctx, Source{Staged: u.ID}, u.Name)
	if err != nil {
		return in, err
	}
	_, err = w.s.Uploads.change(ctx, u.ID, func(_ Tx, u *Upload) error { u.Inspection = in; return nil })
	return in, err
}

// compare refuses bytes that are not what the manifest says they are.
func (w *itemWork) compare(ctx context.Context, u Upload, r ManifestResource) error {
	name := cutText(r.fileName(), 200)
	if r.Size > 0 && r.Size != u.Size {
		return errWrongSize(name, u.Size, r.Size)
	}
	sums := []struct {
		name, said string
		make       func() hash.Hash
	}{{"MD5", r.MD5, md5.New}, {"SHA-1", r.SHA1, sha1.New}, {"SHA-256", r.SHA256, sha256.New}}
	for _, x := range sums {
		if x.said == "" {
			continue
		}
		have, err := w.sum(ctx, u, x.make())
		if err != nil {
			return err
		}
		if !strings.EqualFold(have, x.said) {
			return errWrongSum(name, x.name)
		}
	}
	return nil
}

func errWrongSize(name string, has, said int64) *Error {
	return E(Invalid, reasonWrongSize, fmt.Sprintf("%s has %d bytes; the manifest says %d.", name, has, said)).
		Next("Send the right file, or correct the size in the manifest.")
}

func errWrongSum(name, kind string) *Error {
	return E(Invalid, reasonWrongSum, fmt.Sprintf("%s has another %s than the manifest says.", name, kind)).
		Next("Send the right file, or correct the checksum in the manifest.")
}

func (w *itemWork) sum(ctx context.Context, u Upload, h hash.Hash) (string, error) {
	f, err := w.s.Uploads.Staging.Open(ctx, u.ID)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(h, &stoppable{ctx, io.NopCloser(io.NewSectionReader(f, 0, u.Size))})
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// carried gives the upload that carries the bytes of a resource, with whichever replica they lie.
func (w *itemWork) carried(ctx context.Context, kind string, i int, r ManifestResource) (Upload, error) {
	id := itemUpload(w.item.ID, kind, i)
	if r.File != "" {
		f, err := w.file(ctx, w.s.Store, r.File)
		if err != nil {
			return Upload{}, err
		}
		id = f.UploadID
	}
	return w.s.Store.Uploads().Get(ctx, Scope(w.f.HubID), id)
}

// bytes gives the upload that carries the bytes of a resource, after fetching them if need be. It lies with this process, and
// what was fetched is what was said of it.
func (w *itemWork) bytes(ctx context.Context, kind string, i int, r ManifestResource) (Upload, error) {
	id := itemUpload(w.item.ID, kind, i)
	unproved := !w.item.step().past(stepCertain)
	if r.File != "" {
		f, err := w.file(ctx, w.s.Store, r.File)
		if err != nil {
			return Upload{}, err
		}
		switch f.State {
		case DropParsed, DropDetected, DropUploading, DropGone, DropDeleted: // changed after all were here
			if w.s.Clock().Sub(w.item.CreatedAt) > w.folder.patience() {
				return Upload{}, E(NotFound, "file_gone", f.Name+" is not in the folder any more.").Next("Send the file again, then try again.")
			}
			return Upload{}, &Snooze{itemPause}
		}
		if id, err = w.s.staged(ctx, w.folder, f); err != nil {
			return Upload{}, err
		}
		unproved = unproved || id != f.UploadID || !f.State.Busy() // it may have been fetched again since
	}
	u, err := w.s.Store.Uploads().Get(ctx, Scope(w.f.HubID), id)
	adrift := CodeOf(err) == NotFound
	if err == nil && r.File == "" {
		adrift, err = w.adrift(ctx, u)
	}
	switch {
	case adrift && r.File == "":
		return w.fetch(ctx, kind, id, r)
	case err != nil:
		return u, err
	case u.Replica != w.s.Uploads.Replica: // the bytes lie with another process, which will draw this task too
		return u, &Snooze{time.Second}
	case unproved:
		return u, w.proved(ctx, kind, u, r)
	}
	return u, nil
}

// adrift tells whether bytes that were fetched are gone, or lie with a replica that does not come back.
func (w *itemWork) adrift(ctx context.Context, u Upload) (bool, error) {
	switch {
	case u.State != UploadHeld:
		return true, nil
	case u.Replica != w.s.Uploads.Replica:
		return w.s.gone(ctx, u.Replica)
	}
	d, err := w.s.Uploads.Staging.Durable(ctx, u.ID)
	if CodeOf(err) == NotFound {
		return true, nil
	}
	return err == nil && !d.Covers(0, u.Size), err
}

// fetch brings bytes from an address or another entry into an upload, in place of one that is adrift. Their room is reserved
// before the first comes, and given back when not all come or they are not what was said of them.
func (w *itemWork) fetch(ctx context.Context, kind, id string, r ManifestResource) (Upload, error) {
	if !w.s.Uploads.enter(id) { // what an earlier run fetched is being removed
		return Upload{}, &Snooze{time.Second}
	}
	defer w.s.Uploads.leave(id)
	open, err := w.source(ctx, r)
	if err != nil {
		return Upload{}, err
	}
	body, size, name, err := open(ctx)
	if err != nil {
		return Upload{}, err
	}
	u := Upload{
		Row: Row{ID: id, HubID: w.f.HubID}, IntegrationID: w.h.Integration.ID, FolderID: w.folder.ID, Name: name, Title: w.said.title(), Size: max(size, 0),
		State: UploadReceiving, Replica: w.s.Uploads.Replica, ExpiresAt: w.s.Clock().Add(itemPatience),
	}
	if err := w.reserve(ctx, &u, size); err != nil {
		return u, errors.Join(err, body.Close())
	}
	err = w.s.Uploads.Staging.Remove(ctx, id) // of an earlier run: it may have been another file
	if err == nil {
		err = w.s.Uploads.Relay.Forget(ctx, id) // it may have begun to send that on after a crash; now it finds no more of it
	}
	if err == nil {
		u.Size, err = w.take(ctx, id, body, size)
	}
	if err = errors.Join(err, body.Close()); err == nil {
		err = w.proved(ctx, kind, u, r)
	}
	if err == nil {
		err = w.keep(ctx, &u)
	}
	if err != nil {
		err = errors.Join(err, w.giveBack(context.WithoutCancel(ctx), id))
	}
	return u, err
}

// reserve makes the row of what is to be fetched; -1 = nobody knows yet how much it is.
func (w *itemWork) reserve(ctx context.Context, u *Upload, size int64) error {
	if most := w.s.Uploads.MaxSize; most > 0 && size > most {
		return errSourceTooLarge(most)
	}
	return w.s.Store.Tx(ctx, func(tx Tx) error {
		// Tx may run this again.
		row := *u
		if err := tx.Uploads().Delete(ctx, AnyHub, row.ID); err != nil { // adrift
			return err
		}
		if err := w.s.Uploads.quota(ctx, tx, row.HubID, row.Size, ""); err != nil {
			return err
		}
		if err := tx.Uploads().Insert(ctx, &row); err != nil {
			return err
		}
		*u = row
		return nil
	})
}

// keep writes down that all bytes are here.
func (w *itemWork) keep(ctx context.Context, u *Upload) error {
	sum, err := w.s.Uploads.Staging.Sum(ctx, u.ID, u.Size)
	if err != nil {
		return err
	}
	return w.s.Store.Tx(ctx, func(tx Tx) error {
		row, err := tx.Uploads().Get(ctx, AnyHub, u.ID)
		switch {
		case err != nil:
			return err
		case row.State != UploadReceiving || row.Replica != u.Replica: // cancelled meanwhile, or another run has it
			return &Snooze{time.Second}
		}
		if err := w.s.Uploads.quota(ctx, tx, row.HubID, u.Size-row.Size, ""); err != nil {
			return err
		}
		now := w.s.Clock()
		row.State, row.Size, row.SHA256, row.FinishedAt, row.ExpiresAt = UploadHeld, u.Size, sum, &now, now.Add(w.s.Uploads.Life)
		if err := tx.Uploads().Update(ctx, &row); err != nil {
			return err
		}
		*u = row
		return nil
	})
}

// giveBack undoes reserve and take.
func (w *itemWork) giveBack(ctx context.Context, id string) error {
	err := w.s.Store.Tx(ctx, func(tx Tx) error {
		row, err := tx.Uploads().Get(ctx, AnyHub, id)
		if err != nil || row.State != UploadReceiving || row.Replica != w.s.Uploads.Replica {
			return ignoreNotFound(err)
		}
		return tx.Uploads().Delete(ctx, AnyHub, id)
	})
	return errors.Join(err, w.s.Uploads.Staging.Remove(ctx, id))
}

// take stages what a body gives, and tells how much that was.
func (w *itemWork) take(ctx context.Context, id string, body io.ReadCloser, size int64) (int64, error) {
	most, staging := w.s.Uploads.MaxSize, w.s.Uploads.Staging
	if size >= 0 {
		if err := staging.Room(ctx, size); err != nil {
			return 0, err
		}
	}
	if err := staging.Create(ctx, id, size); err != nil {
		return 0, err
	}
	n, err := staging.WriteAt(ctx, id, 0, &stoppable{ctx, &capped{ReadCloser: body, most: most}})
	switch {
	case IsReason(err, "source_too_large"):
		return n, errSourceTooLarge(most)
	case CodeOf(err) == TooLarge:
		return n, E(Unavailable, reasonFetch, "The file changed while it was fetched.").Next("It is fetched anew by itself.")
	case err != nil:
		return n, err
	case size >= 0 && n != size:
		return n, E(Unavailable, reasonFetch, fmt.Sprintf("Only %d of %d bytes came.", n, size)).Next("It is fetched anew by itself.")
	case n == 0:
		return n, E(Invalid, reasonEmpty, "The file at the address is empty.").Next("Name a file that has content.")
	}
	return n, nil
}

type opened func(context.Context) (body io.ReadCloser, size int64, name string, _ error)

// source says where the bytes of a resource come from. Errors name no address: it may hold a secret.
func (w *itemWork) source(ctx context.Context, r ManifestResource) (opened, error) {
	switch {
	case r.URL != "":
		if err := w.s.address(r); err != nil {
			return nil, err
		}
		return func(ctx context.Context) (io.ReadCloser, int64, string, error) {
			f, err := w.s.Fetcher.Fetch(ctx, r.URL, 0, "")
			if err != nil {
				if passes(err) {
					return nil, 0, "", E(Unavailable, reasonFetch, "The address of "+cutText(r.fileName(), 200)+" does not answer.").
						Next("It is tried again by itself for a day.").Because(err).After(AsError(err).Retry)
				}
				return nil, 0, "", err
			}
			return f.Body, f.Size, r.fileName(), nil
		}, nil
	case r.EntryID != "":
		m, err := w.h.entry(ctx, r.EntryID)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (io.ReadCloser, int64, string, error) {
			body, err := w.h.Platform.Open(ctx, w.h.actor, m.ID, RenditionOriginal, Range{0, -1})
			if err != nil {
				return nil, 0, "", err
			}
			size := int64(-1)
			if sized, ok := body.(Sized); ok {
				size = sized.Size()
			}
			name := m.Name
			for _, x := range m.Renditions {
				if x.Original && x.Container != "" && ending(name) == "" {
					name += "." + x.Container
				}
			}
			return body, size, name, nil
		}, nil
	}
	return nil, E(Invalid, "resource_missing", "The item does not say where the bytes are.").Next("Name a file, an address, an upload token or an entry.")
}

// giveWay lets go of what was fetched for an item that has no room for the rest: items that each hold a part of the room
// would wait for each other for ever.
func (w *itemWork) giveWay(ctx context.Context, tx Tx) error {
	for i := range w.said.Contents {
		if err := w.s.letGo(ctx, tx, itemUpload(w.item.ID, "content", i)); err != nil {
			return err
		}
	}
	for i := range w.said.Thumbnails {
		if err := w.s.letGo(ctx, tx, itemUpload(w.item.ID, "thumbnail", i)); err != nil {
			return err
		}
	}
	return w.files(ctx, tx, w.said, func(f *DropFile) error {
		if uploaded(f.Identity) { // it lies nowhere else
			return nil
		}
		return w.s.letGo(ctx, tx, f.UploadID)
	})
}

// capped ends a body that grows too large.
type capped struct {
	io.ReadCloser
	at, most int64
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.at += int64(n); c.most > 0 && c.at > c.most {
		return n, errSourceTooLarge(c.most)
	}
	return n, err
}

// used ends a file that served its manifest.
func (s *DropFolders) used(ctx context.Context, fileID, entryID string) error {
	f, err := s.changeFile(ctx, fileID, func(tx Tx, f *DropFile) error {
		if f.State != DropWaiting && f.State != DropPending {
			return errUnchanged
		}
		if entryID != "" {
			f.EntryID = entryID
		}
		return s.ready(ctx, tx, f, "manifest.done", "Its manifest is done.")
	})
	if err != nil {
		return err
	}
	return s.usedUp(ctx, f.UploadID, entryID)
}

// usedUp lets go of staged bytes that were handed over.
func (s *DropFolders) usedUp(ctx context.Context, uploadID, entryID string) error {
	if uploadID == "" {
		return nil
	}
	u, err := s.Uploads.change(ctx, uploadID, func(tx Tx, u *Upload) error {
		if u.State != UploadHeld {
			return errUnchanged
		}
		u.State, u.Progress, u.EntryID = UploadReady, 1, entryID
		u.clear()
		return s.Uploads.tell(ctx, tx, *u, "upload.ready")
	})
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil || u.Replica != s.Uploads.Replica {
		return err // its own replica sweeps
	}
	return s.Uploads.Staging.Remove(ctx, u.ID)
}
