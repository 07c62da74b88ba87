package gateway

import (
	"context"
	"time"
)

// keepFailed is how long what a manifest says of an item that failed is kept to be tried again. It may hold addresses
// with secrets, and names of people.
const keepFailed = 30 * 24 * time.Hour

// resumes tells whether a manifest in quarantine goes on when one of its files comes, or is tried again.
func (f DropFile) resumes() bool {
	return f.State == DropQuarantined && !f.Superseded && (f.Reason == reasonOrphan || f.Reason == reasonItems)
}

// leads tells whether a manifest goes on, or will when one of its files comes.
func (f DropFile) leads() bool { return !f.Superseded && (!f.State.Over() || f.resumes()) }

// inherit makes a file that was sent again its manifest's, which waits for it or failed with the older one. What has
// served its manifest is done with it.
func (s *DropFolders) inherit(ctx context.Context, tx Tx, f *DropFile, old DropFile) error {
	if old.LeadID == "" || old.ReadyAt != nil || f.Manifest {
		return nil
	}
	lead, err := tx.DropFiles().Get(ctx, Scope(old.HubID), old.LeadID)
	if err == nil && lead.leads() {
		f.LeadID, f.ItemID, f.NamedSize = old.LeadID, old.ItemID, old.NamedSize
	}
	return ignoreNotFound(err)
}

// stopped tells whether a manifest does nothing more by itself, so that it has no claim to files.
func (f DropFile) stopped() bool {
	switch f.State {
	case DropQuarantined, DropIgnored, DropGone, DropDeleted:
		return true
	}
	return f.Superseded
}

// refuseManifest ends a manifest that cannot be read, with all that was written of it.
func (s *DropFolders) refuseManifest(ctx context.Context, f DropFile, why *Error) error {
	if err := s.Store.DropItems().DeleteOf(ctx, f.ID); err != nil {
		return err
	}
	_, err := s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
		if !f.State.mayBecome(DropQuarantined) {
			return errUnchanged
		}
		f.Items, f.ItemsDone, f.ItemsFailed = 0, 0, 0
		return s.aside(ctx, tx, f, "manifest.refused", why)
	})
	return err
}

// orphan ends a manifest whose files did not come in time.
func (s *DropFolders) orphan(ctx context.Context, f DropFile, missing []string, n int64) error {
	why := E(NotFound, reasonOrphan, "Files that the manifest names did not come in time: "+listed20(missing, n)+".").
		Next("Send them: the manifest goes on by itself then. One that lies there is not known to be whole: the folder's settings say how it can be. Or correct the manifest and send it again.")
	_, err := s.changeFile(ctx, f.ID, func(tx Tx, f *DropFile) error {
		if f.State != DropWaiting {
			return errUnchanged
		}
		return s.aside(ctx, tx, f, "wait.over", why)
	})
	return err
}

// release settles the files of a manifest that stopped, some at a time. Those that wait for one in quarantine are
// quarantined with it and are taken again when it is; of one that is no more they are decided anew, as if it had never
// named them. What failed with its item has its own reason, and stays.
func (s *DropFolders) release(ctx context.Context, f DropFile) error {
	if f.State == DropQuarantined && f.Reason == reasonItems && !f.Superseded { // to be tried again; pictures wait for that
		return nil
	}
	states := []DropState{DropWaiting, DropNoMatch}
	if !f.resumes() { // else what comes wakes it
		states = append(states, DropPending, DropParsed, DropDetected, DropUploading, DropImporting, DropProcessing)
	}
	for _, state := range states {
		filter := DropFileFilter{LeadID: f.ID, States: []DropState{state}, Order: DropOldest}
		for {
			rows, err := s.Store.DropFiles().List(ctx, Scope(f.HubID), filter, Slice{Limit: 100})
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				break
			}
			again := false
			err = retryConflict(func() error {
				return s.Store.Tx(ctx, func(tx Tx) error {
					lead, err := tx.DropFiles().Get(ctx, Scope(f.HubID), f.ID)
					if again = err == nil && !lead.stopped(); err != nil || again {
						return err
					}
					for _, r := range rows {
						row, err := tx.DropFiles().Get(ctx, Scope(f.HubID), r.ID)
						if err == nil && row.State == state && row.LeadID == f.ID {
							err = s.free(ctx, tx, &row, lead)
						}
						if err != nil {
							return err
						}
					}
					return nil
				})
			})
			if err != nil || again {
				return err
			}
		}
	}
	if f.State == DropQuarantined && !f.Superseded {
		return nil
	}
	return s.Store.DropItems().Forget(ctx, f.ID)
}

// free settles one file of a manifest that stopped.
func (s *DropFolders) free(ctx context.Context, tx Tx, f *DropFile, lead DropFile) error {
	text := "Its manifest " + lead.Name + " does not go on."
	waits := f.State == DropWaiting || f.State == DropPending || f.State == DropNoMatch
	if f.State.Busy() || waits && lead.State == DropQuarantined && !lead.Superseded {
		return s.aside(ctx, tx, f, "manifest", E(Invalid, lead.Reason, text+" "+lead.Text).Next("%s", lead.NextStep))
	}
	f.LeadID, f.ItemID = "", ""
	switch f.State {
	case DropParsed:
		return s.move(ctx, tx, f, DropGone, "manifest", system(f.HubID), text)
	case DropWaiting, DropNoMatch:
		f.TryAt = nil
		return s.move(ctx, tx, f, DropPending, "manifest", system(f.HubID), text)
	}
	return tx.DropFiles().Update(ctx, f)
}

// unnamed ends a file in a folder of manifests that none named in time.
func (s *DropFolders) unnamed(ctx context.Context, id string) error {
	_, err := s.changeFile(ctx, id, func(tx Tx, f *DropFile) error {
		if f.State != DropWaiting || f.LeadID != "" || f.Manifest || f.TryAt == nil || s.Clock().Before(*f.TryAt) {
			return errUnchanged
		}
		return s.aside(ctx, tx, f, "wait.over", E(NotFound, reasonNoManifest, "No manifest named this file in time.").
			Next("Send a manifest that names it: it is taken then. Or take it by itself."))
	})
	return err
}
