package gateway

import (
	"context"
	"errors"
	"slices"
)

// Export sends an own item to Kaltura through the pipeline of uploads, in the name of whoever asks:
// the entry is theirs, or nobody's when a machine client asks. An item is sent once (created = false
// afterwards); one that failed is tried again, one whose entry is gone or lies in another account is sent anew.
func (s *Library) Export(ctx context.Context, a Actor, id string) (it LibraryItem, u Upload, created bool, err error) {
	if err = needScope(a, ScopeUploadsWrite); err != nil {
		return it, u, false, err
	}
	if it, err = s.Get(ctx, a, id); err != nil {
		return it, u, false, err
	}
	switch {
	case it.Source != SourceSpaces:
		return it, u, false, E(Conflict, "from_kaltura", "This item comes from Kaltura, so it is there already.").Next("Look for it in Kaltura.")
	case it.State != ItemReady:
		return it, u, false, E(Conflict, "not_ready", "The item's file is not here yet.").Next("Wait until it can be played.")
	}
	as, err := s.Assets.Get(ctx, it.AssetID)
	if err != nil {
		return it, u, false, err
	}
	o, err := s.Uploads.admit(ctx, a)
	if err != nil {
		return it, u, false, err
	}
	retry := false
	err = retryConflict(func() error { // twice at once: the second finds the first's upload
		return s.Store.Tx(ctx, func(tx Tx) error {
			var err error
			it, u, created, retry, err = s.export(ctx, tx, a, id, as, o.Integration.ID)
			return err
		})
	})
	if err != nil || !retry {
		return it, u, created, err
	}
	if u, err = s.Uploads.Retry(ctx, a, u.ID); err != nil {
		return it, u, false, err
	}
	it, err = s.Get(ctx, a, id)
	return it, u, true, err
}

func (s *Library) export(ctx context.Context, tx Tx, a Actor, id string, as Asset, integrationID string) (it LibraryItem, u Upload, created, retry bool, err error) {
	if it, err = tx.Library().Get(ctx, Scope(a.HubID), id); err != nil {
		return it, u, false, false, err
	}
	if it.Export.UploadID != "" {
		u, err = tx.Uploads().Get(ctx, Scope(a.HubID), it.Export.UploadID)
		if err != nil && CodeOf(err) != NotFound {
			return it, u, false, false, err
		}
		if err == nil && u.IntegrationID == integrationID && u.EntryLostAt == nil {
			switch {
			case !u.State.Done() || u.State == UploadReady:
				return it, u, false, false, nil
			case u.State == UploadFailed && u.EntryID == "" && owns(a, u.ParticipantID, u.ClientID):
				return it, u, false, true, nil
			}
		}
	}
	now := s.Clock()
	tags := slices.Clone(it.Tags)
	if it.Is360 && !slices.Contains(tags, Tag360) {
		tags = append(tags, Tag360)
	}
	name := as.FileName
	if typeOf(name, "") == Other {
		name = it.Name + "." + as.Inspection.Container
	}
	u = Upload{
		Row: Row{ID: NewID("upl"), HubID: a.HubID}, ParticipantID: a.ParticipantID, IntegrationID: integrationID,
		Name: name, Title: it.Name, Tags: tags, ContentType: as.Inspection.MIME, Size: as.Size, SHA256: as.SHA256, ItemID: it.ID,
		State: UploadIngesting, Replica: s.Uploads.Replica, Inspection: as.Inspection, FinishedAt: &now, ExpiresAt: now.Add(s.Uploads.Life),
	}
	if a.Machine() {
		u.ClientID = a.ClientID
	}
	if err = s.Uploads.reserve(ctx, tx, u); err != nil {
		return it, u, false, false, err
	}
	if err = tx.Uploads().Insert(ctx, &u); err != nil {
		return it, u, false, false, err
	}
	it.Export = exportOf(u)
	if err = tx.Library().Update(ctx, &it); err != nil {
		return it, u, false, false, err
	}
	if err = audit(ctx, tx, a, "library.export", it.ID, map[string]any{"upload_id": u.ID}); err != nil {
		return it, u, false, false, err
	}
	if err = tx.Enqueue(ctx, IngestUpload{UploadID: u.ID}); err != nil {
		return it, u, false, false, err
	}
	return it, u, true, false, s.Uploads.tell(ctx, tx, u, "upload.finished")
}

// exportOf is what an item tells of the upload that carries it to Kaltura.
func exportOf(u Upload) ItemExport {
	e := ItemExport{UploadID: u.ID, State: u.State, EntryID: u.EntryID, Lost: u.EntryLostAt != nil}
	if u.ErrorCode != "" {
		e.Problem = &Problem{u.ErrorCode, u.ErrorText, u.NextStep}
	}
	return e
}

func (e ItemExport) same(o ItemExport) bool {
	a, b := e.Problem, o.Problem
	e.Problem, o.Problem = nil, nil
	return e == o && (a == nil && b == nil || a != nil && b != nil && *a == *b)
}

// fromItem tells whether an upload carries an own item to Kaltura.
func (u Upload) fromItem() bool { return u.ItemID != "" && u.Target == TargetKaltura }

// noteExport lets the item follow the upload that carries it, in the same transaction.
func (s *Uploads) noteExport(ctx context.Context, tx Tx, u Upload) error {
	if !u.fromItem() {
		return nil
	}
	it, err := tx.Library().Get(ctx, AnyHub, u.ItemID)
	if CodeOf(err) == NotFound {
		return nil // removed since; the entry stays
	}
	e := exportOf(u)
	if err != nil || it.Export.UploadID != u.ID || it.Export.same(e) {
		return err
	}
	it.Export = e
	if err = tx.Library().Update(ctx, &it); err != nil || u.State != UploadReady || e.Lost {
		return err
	}
	return s.Events.Append(ctx, tx, it.HubID, it.audience(), "library.item_exported", it.ID, it.News(Job{Row: Row{ID: it.JobID}, State: JobDone, Progress: 1}))
}

// stageItem copies the bytes of an own item to where the relay and the ingest take them from, going
// on after the durable bytes of an earlier run.
func (s *Uploads) stageItem(ctx context.Context, u Upload) error {
	if err := s.Staging.Create(ctx, u.ID, u.Size); err != nil {
		return err
	}
	d, err := s.Staging.Durable(ctx, u.ID)
	if err != nil || d.Covers(0, u.Size) {
		return err
	}
	it, err := s.Store.Library().Get(ctx, Scope(u.HubID), u.ItemID)
	if err == nil && it.AssetID == "" {
		err = itemNotFound()
	}
	if CodeOf(err) == NotFound {
		return E(NotFound, "item_gone", "The item was removed from the library before its file was sent.").Next("Nothing can be done; register it again if it is still wanted.")
	}
	if err != nil {
		return err
	}
	start := d.Prefix()
	r, _, err := s.Blobs.Open(ctx, originalKey(it.AssetID), Range{start, -1})
	if err != nil {
		return err
	}
	stop := every(ctx, lookEvery, func(context.Context) bool {
		s.Relay.Poke(u.ID) // sends what is there already
		return true
	})
	_, err = s.Staging.WriteAt(ctx, u.ID, start, &stoppable{ctx, r})
	stop()
	return errors.Join(err, r.Close())
}

// admit tells whether the actor may send files to Kaltura now, and opens the account.
func (s *Uploads) admit(ctx context.Context, a Actor) (Opened, error) {
	o, err := s.Integrations.OpenFor(ctx, a.HubID, true)
	if err != nil {
		return o, err
	}
	if a.Machine() && o.Integration.Visibility == VisibilityOwn {
		return o, E(Forbidden, "machine_own", "The hub shows each person only their own media, and this client acts for no person.").
			Next("Exchange the client's token for one that acts for a person.")
	}
	return o, s.mapped(ctx, a, o)
}

// stopExport stops sending an item that is removed, and with entry set has the entry deleted that it
// became. Without it what is in Kaltura stays.
func (s *Library) stopExport(ctx context.Context, tx Tx, a Actor, it LibraryItem, entry bool) error {
	if it.Export.UploadID == "" {
		return nil
	}
	u, err := tx.Uploads().Get(ctx, Scope(it.HubID), it.Export.UploadID)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	sent := u.EntryID != ""
	if sent && entry && !owns(a, u.ParticipantID, u.ClientID) {
		return E(Forbidden, "not_exporter", "Only whoever sent the item to Kaltura or a hub admin may have its entry deleted.").
			Next("Remove the item without its entry, or ask one of them.")
	}
	if u.State == UploadCancelled || u.State == UploadExpired || sent && !entry || u.State == UploadFailed && !sent {
		return nil
	}
	u.State = UploadCancelled
	u.clear()
	if err = tx.Uploads().Update(ctx, &u); err != nil {
		return err
	}
	if sent {
		if err = audit(ctx, tx, a, "library.remove_entry", it.ID, map[string]any{"entry_id": u.EntryID}); err != nil {
			return err
		}
	}
	if err = tx.Enqueue(ctx, AbandonIngest{UploadID: u.ID}); err != nil {
		return err
	}
	return s.Uploads.tell(ctx, tx, u, "upload.cancelled")
}
