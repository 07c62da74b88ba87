package gateway

import "context"

// Reconcile queues the task of every unfinished row that has none (part of task Sweep). A task is
// queued in the transaction that makes it necessary, so none should ever be lost; if one is, by a
// restored backup or an operator's hand, nobody's upload or import stays busy for ever.
func (s *Jobs) Reconcile(ctx context.Context) error {
	if err := reconcile(ctx, s.Store, func(w Slice) ([]Upload, error) {
		return s.Store.Uploads().List(ctx, AnyHub, "", "", []UploadState{UploadIngesting, UploadProcessing}, w)
	}, func(u Upload) (string, Task) {
		if u.State == UploadIngesting {
			return u.ID, IngestUpload{UploadID: u.ID}
		}
		return u.ID, WatchUpload{UploadID: u.ID}
	}); err != nil {
		return err
	}
	if err := reconcile(ctx, s.Store, func(w Slice) ([]LibraryItem, error) {
		return s.Store.Library().InStates(ctx, []ItemState{ItemPending, ItemImporting}, w)
	}, func(it LibraryItem) (string, Task) { return it.ID, ImportItem{ItemID: it.ID} }); err != nil {
		return err
	}
	// A copy that waits for its asset hears of it by SettleAsset, also when that was said and lost.
	if err := reconcile(ctx, s.Store, func(w Slice) ([]LibraryItem, error) {
		return s.Store.Library().InStates(ctx, []ItemState{ItemProcessing}, w)
	}, func(it LibraryItem) (string, Task) { return it.ID, SettleAsset{AssetID: it.AssetID} }); err != nil {
		return err
	}
	if err := reconcile(ctx, s.Store, func(w Slice) ([]WebhookDelivery, error) { return s.Store.Deliveries().Unfinished(ctx, w) }, func(d WebhookDelivery) (string, Task) {
		return d.ID, DeliverWebhook{DeliveryID: d.ID}
	}); err != nil {
		return err
	}
	if err := reconcile(ctx, s.Store, func(w Slice) ([]Job, error) { return s.Store.Jobs().Marking(ctx, w) }, func(j Job) (string, Task) { return j.ID, MarkSpherical{j.ID} }); err != nil {
		return err
	}
	return reconcile(ctx, s.Store, func(w Slice) ([]Asset, error) {
		return s.Store.Assets().InStates(ctx, []AssetState{AssetInspecting, AssetPackaging, AssetPlayable}, w)
	}, func(as Asset) (string, Task) {
		switch as.State {
		case AssetInspecting:
			return as.ID, InspectAsset{AssetID: as.ID}
		case AssetPackaging:
			return as.ID, PackageAsset{AssetID: as.ID}
		}
		return as.ID, LadderAsset{AssetID: as.ID}
	})
}

// reconcile walks all rows of a listing and queues their tasks.
func reconcile[T any](ctx context.Context, st Store, list func(Slice) ([]T, error), task func(T) (id string, _ Task)) error {
	for w := (Slice{Limit: 200}); ; {
		rows, err := list(w)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			if err = st.Tx(ctx, func(tx Tx) error {
				for _, r := range rows {
					id, t := task(r)
					w.After = id
					if err := tx.Enqueue(ctx, t, IfIdle()); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return err
			}
		}
		if len(rows) < w.Limit {
			return nil
		}
	}
}
