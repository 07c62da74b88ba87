package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// How items are run.
const (
	itemsAtOnce  = 4                // of a manifest; a hub has as many manifests at work as Lanes gives it places
	itemsTurn    = 10 * time.Minute // after it others of the hub have their turn
	itemLease    = 30 * time.Second // until an item of a process that was killed is taken up again
	itemHold     = 10 * time.Second
	itemPause    = 30 * time.Second // while the folder stands still
	mostTries    = 8                // of an item that fails for no reason that is known
	itemPatience = 24 * time.Hour   // with an address that does not answer, and with an entry that is being converted
)

// RunItems runs the items of a manifest whose time has come (task RunDropItems), some at once, and ends the manifest when all are
// done. It may be killed anywhere and run again; an item is one run's at a time, also across replicas.
func (s *DropFolders) RunItems(ctx context.Context, fileID string) error {
	f, err := s.Store.DropFiles().Get(ctx, AnyHub, fileID)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil || f.State != DropProcessing {
		return err
	}
	folder, err := s.Store.DropFolders().Get(ctx, Scope(f.HubID), f.FolderID)
	if err != nil {
		return err
	}
	if folder.PausedAt != nil && folder.DeletedAt == nil {
		return &Snooze{itemPause}
	}
	leave, err := s.Lanes.enter(QueuePlatform, f.HubID)
	if err != nil {
		return err
	}
	defer leave()
	if !s.items.enter(fileID) {
		return &Snooze{time.Second}
	}
	defer s.items.leave(fileID)
	h, err := s.hand(ctx, folder)
	if err != nil {
		if ctx.Err() != nil || CodeOf(err) == Internal {
			return err
		}
		if folder.DeletedAt != nil && !passes(err) { // nobody will mend that any more
			return s.quarantine(ctx, f.ID, -1, "folder.deleted", AsError(err))
		}
		slog.InfoContext(ctx, "manifest waits", "file", f.ID, "error", err) // the folder itself says why it stands still
		return &Snooze{max(itemPause, AsError(err).Retry)}
	}
	r := &itemRun{s: s, folder: folder, f: f, h: h, slots: make(chan struct{}, itemsAtOnce)}
	if err := r.all(ctx); err != nil {
		return err
	}
	return r.next(ctx)
}

// itemRun is one run of a manifest's items.
type itemRun struct {
	s      *DropFolders
	folder DropFolder
	f      DropFile
	h      hand
	slots  chan struct{}
}

// all runs what is due until nothing is, or the turn is over.
func (r *itemRun) all(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ended := time.Now().Add(itemsTurn)
	told, looked := time.Now(), time.Time{}
	for ctx.Err() == nil {
		if time.Since(looked) > 200*time.Millisecond {
			looked = time.Now()
			if err := r.watch(ctx); err != nil {
				return err
			}
		}
		var rows []DropItem
		if free := cap(r.slots) - len(r.slots); free > 0 && time.Now().Before(ended) {
			var err error
			if rows, err = r.claim(ctx, free); err != nil {
				return err
			}
		}
		for _, row := range rows {
			r.slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-r.slots }()
				r.one(ctx, row)
			})
		}
		if time.Since(told) > time.Second {
			told = time.Now()
			if err := r.count(ctx); err != nil {
				return err
			}
		}
		if len(rows) > 0 && len(r.slots) < cap(r.slots) {
			continue
		}
		if len(r.slots) == 0 && len(rows) == 0 {
			return nil
		}
		r.breathe(ctx)
	}
	return ctx.Err()
}

// breathe waits until an item is done, or for a moment.
func (r *itemRun) breathe(ctx context.Context) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	if len(r.slots) < cap(r.slots) { // some are free: nothing else was due a moment ago
		t.Reset(50 * time.Millisecond)
	}
	select {
	case r.slots <- struct{}{}: // one was done
		<-r.slots
		if len(r.slots) > 0 {
			sleep(ctx, 2*time.Millisecond)
		}
	case <-t.C:
	case <-ctx.Done():
	}
}

// claim makes items that are due this run's. None when the folder was paused or deleted meanwhile: the next run heeds that.
func (r *itemRun) claim(ctx context.Context, n int) (rows []DropItem, err error) {
	if n <= 0 {
		return nil, nil
	}
	err = retryConflict(func() error {
		return r.s.Store.Tx(ctx, func(tx Tx) error {
			rows = nil
			folder, err := tx.DropFolders().Get(ctx, AnyHub, r.folder.ID)
			if err != nil || folder.DeletedAt == nil && folder.PausedAt != nil || folder.DeletedAt != nil && r.folder.DeletedAt == nil {
				return err
			}
			now := r.s.Clock()
			due, err := tx.DropItems().Ready(ctx, r.f.ID, now, n)
			if err != nil || len(due) == 0 {
				return err
			}
			until := now.Add(itemLease)
			for i := range due {
				due[i].State, due[i].TryAt = ItemRunning, &until
				due[i].Attempt++
				if err := tx.DropItems().Update(ctx, &due[i]); err != nil {
					return err
				}
			}
			rows = due
			return nil
		})
	})
	return rows, err
}

// one runs an item and writes down what came of it.
func (r *itemRun) one(ctx context.Context, row DropItem) {
	w := &itemWork{itemRun: r, item: row}
	err := w.guarded(ctx)
	if err == nil {
		return
	}
	// What is known now is written down although the process stops.
	if serr := w.settle(context.WithoutCancel(ctx), err, ctx.Err() != nil); serr != nil && !IsReason(serr, "changed_meanwhile") {
		slog.WarnContext(ctx, "item of a manifest", "item", row.ID, "error", errors.Join(err, serr))
	}
}

// guarded runs the item while its lease is held; nothing that goes wrong with one may end the process.
func (w *itemWork) guarded(ctx context.Context) (err error) {
	if w.folder.DeletedAt != nil && (w.item.Step == stepNone || w.item.step().name == stepDue) {
		return E(Conflict, "folder_deleted", "The folder was deleted before the item began.").Next("Send the manifest to another folder.")
	}
	ctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	defer w.hold(ctx, lose)()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), errItemLost) {
			err = errItemLost
		}
	}()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	raw, err := w.s.Sealer.Open(Sealed(w.item.Data), itemPlace(w.item.ID))
	if err != nil {
		return err
	}
	if err = w.read(raw); err != nil {
		return err
	}
	return w.run(ctx)
}

// errItemLost ends an item that is another run's, or may be soon.
var errItemLost = E(Conflict, "changed_meanwhile", "Another run has the item.")

// hold renews the item's lease until stop is called. It calls lose when another run has the item, and in time before
// one can have it: whatever is being sent to the platform then is not sent twice.
func (w *itemWork) hold(ctx context.Context, lose context.CancelCauseFunc) (stop func()) {
	id, attempt, until := w.item.ID, w.item.Attempt, w.s.Clock().Add(itemLease)
	if w.item.TryAt != nil {
		until = *w.item.TryAt
	}
	return every(ctx, itemHold, func(ctx context.Context) bool {
		try, cancel := context.WithTimeout(ctx, itemHold)
		defer cancel()
		next := w.s.Clock().Add(itemLease)
		err := w.s.Store.DropItems().Hold(try, id, attempt, next)
		switch {
		case err == nil:
			until = next
		case CodeOf(err) == NotFound, until.Sub(w.s.Clock()) <= itemHold:
			lose(errItemLost)
			return false
		}
		return true
	})
}

// settle writes down why an item did not get further: final refusals fail it, all else is tried again.
func (w *itemWork) settle(ctx context.Context, err error, stopped bool) error {
	e := AsError(err)
	now := w.s.Clock()
	var z *Snooze
	switch {
	case IsReason(err, "changed_meanwhile"): // another run has it
		return nil
	case stopped:
		return w.later(ctx, now, nil)
	case errors.As(err, &z):
		return w.later(ctx, now.Add(z.After), nil)
	case IsReason(err, "changed_while_read"), e.Code == Conflict && e.Reason == "file_gone": // its folder looks again
		return w.later(ctx, now.Add(itemPause), e)
	case IsReason(err, "quota_exceeded"), passes(err) && (!IsReason(err, reasonFetch) || now.Sub(w.item.CreatedAt) < itemPatience):
		return w.later(ctx, now.Add(max(e.Retry, jitter(grown(now.Sub(w.item.UpdatedAt)+time.Duration(w.item.Attempt)*time.Second, time.Second, 5*time.Minute)))), e)
	case e.Code == Internal && (w.item.Attempt < mostTries || now.Sub(w.item.CreatedAt) < time.Hour):
		slog.WarnContext(ctx, "item of a manifest", "item", w.item.ID, "error", err)
		return w.later(ctx, now.Add(jitter(time.Second<<min(w.item.Attempt, 8))), nil)
	}
	return w.refuse(ctx, blamed(e, w.doing))
}

// later puts an item off.
func (w *itemWork) later(ctx context.Context, at time.Time, why *Error) error {
	return w.save(ctx, func(tx Tx, it *DropItem) error {
		it.State, it.TryAt = ItemQueued, &at
		if why != nil && why.Reason == "quota_exceeded" && !it.step().past(stepCertain) {
			it.Step = stepNone // all is looked at again
			if err := w.giveWay(ctx, tx); err != nil {
				return err
			}
		}
		if it.Step == stepEdited && len(w.said.Contents) > 0 {
			it.State = ItemConverting
		}
		if why != nil {
			it.Reason, it.Text, it.NextStep = reasonOf(why), why.Message, why.NextStep
		}
		return nil
	})
}

// refuse fails an item, and puts the files that it named into quarantine with it.
func (w *itemWork) refuse(ctx context.Context, why *Error) error {
	return w.save(ctx, func(tx Tx, it *DropItem) error {
		it.State, it.TryAt = ItemRefused, nil
		it.Reason, it.Text, it.NextStep = reasonOf(why), why.Message, why.NextStep
		switch st := it.step(); {
		case it.Action == ManifestAdd && (IsReason(why, "entry_gone") || IsReason(why, "entry_not_found")): // tried again, it is made anew
			it.Step, it.EntryID = stepNone, ""
		case st.past(stepMade): // tried again, the content is given again
			it.Step = stepMade
		case st.name == stepCertain, st.name == stepChecked, st.name == stepDue, st.name == stepDeleting: // tried again, all is looked at again
			it.Step = stepNone
		}
		return w.files(ctx, tx, w.said, func(f *DropFile) error {
			if f.State != DropWaiting && f.State != DropImporting && f.State != DropProcessing && f.State != DropPending {
				return nil
			}
			no := E(why.Code, why.Reason, fmt.Sprintf("Item %d of %s: %s", it.Number, w.f.Name, why.Message)).Next("%s", why.NextStep)
			no.Reason = reasonOf(why)
			return w.s.aside(ctx, tx, f, "item.failed", no)
		})
	})
}

// save writes the item if it is still this run's.
func (w *itemWork) save(ctx context.Context, f func(Tx, *DropItem) error) error {
	row := w.item
	err := w.s.Store.Tx(ctx, func(tx Tx) error {
		row = w.item // Tx may run this again
		until := w.s.Clock().Add(itemLease)
		row.TryAt = &until
		if err := f(tx, &row); err != nil {
			return err
		}
		return tx.DropItems().Update(ctx, &row)
	})
	if err == nil {
		w.item = row
	}
	return err
}

// watch looks at the entries that are being converted, many with one question.
func (r *itemRun) watch(ctx context.Context) error {
	looker, ok := r.h.Platform.(Looker)
	for ctx.Err() == nil {
		now := r.s.Clock()
		rows, err := r.s.Store.DropItems().Converting(ctx, r.f.ID, now, 100)
		if err != nil || len(rows) == 0 {
			return err
		}
		state := map[string]MediaStatus{}
		if ok {
			ids := make([]string, len(rows))
			for i, it := range rows {
				ids[i] = it.EntryID
			}
			list, err := looker.Look(ctx, ids)
			r.s.Integrations.Heard(ctx, r.h.Integration, err)
			if err != nil && !passes(err) {
				return err
			}
			for _, m := range list {
				state[m.ID] = m.Status
			}
		}
		var later []string
		var next time.Time
		for _, it := range rows {
			age := now.Sub(it.UpdatedAt)
			if st, known := state[it.EntryID]; (known && st != MediaReady && st != MediaFailed || !known && ok && age < indexLag) && age < itemPatience {
				later = append(later, it.ID)
				if at := now.Add(grown(age, 250*time.Millisecond, 30*time.Second)); next.IsZero() || at.Before(next) {
					next = at
				}
				continue
			}
			w := &itemWork{itemRun: r, item: it}
			err := w.ready(ctx)
			if err == nil {
				continue
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := w.settle(ctx, err, false); err != nil && !IsReason(err, "changed_meanwhile") {
				return err
			}
		}
		if err := r.s.Store.DropItems().Later(ctx, later, next); err != nil {
			return err
		}
		if len(rows) < 100 {
			return nil
		}
	}
	return ctx.Err()
}

// count notes how many items are done.
func (r *itemRun) count(ctx context.Context) error {
	counts, err := r.s.Store.DropItems().Counts(ctx, r.f.ID)
	if err != nil {
		return err
	}
	all, done, failed := tally(counts)
	f, err := r.s.changeFile(ctx, r.f.ID, func(tx Tx, f *DropFile) error {
		if f.State != DropProcessing || f.Items == all && f.ItemsDone == done && f.ItemsFailed == failed {
			return errUnchanged
		}
		f.Items, f.ItemsDone, f.ItemsFailed = all, done, failed
		return tx.DropFiles().Update(ctx, f)
	})
	if err == nil {
		r.s.Events.Progress(f.HubID, AudienceContent, "drop_file.progress", f.ID, f.News())
	}
	return err
}

// next ends the manifest, or says when its items go on.
func (r *itemRun) next(ctx context.Context) error {
	counts, err := r.s.Store.DropItems().Counts(ctx, r.f.ID)
	if err != nil {
		return err
	}
	all, done, failed := tally(counts)
	if all == done+failed {
		return r.end(ctx, all, done, failed)
	}
	if err := r.count(ctx); err != nil {
		return err
	}
	at, err := r.s.Store.DropItems().Next(ctx, r.f.ID)
	if err != nil {
		return err
	}
	pause := 250 * time.Millisecond
	if at != nil {
		pause = min(max(pause, at.Sub(r.s.Clock())), itemPause)
	}
	return &Snooze{pause}
}

// itemsOf counts items in words.
func itemsOf(n int64) string {
	if n == 1 {
		return "1 item"
	}
	return fmt.Sprintf("%d items", n)
}

// end settles a manifest all of whose items are.
func (r *itemRun) end(ctx context.Context, all, done, failed int64) error {
	for after := ""; failed == 0; { // pictures, which several items may have named, also such as are tried again
		rows, err := r.s.Store.DropFiles().List(ctx, Scope(r.f.HubID), DropFileFilter{
			LeadID: r.f.ID, States: []DropState{DropWaiting, DropPending}, Order: DropOldest,
		}, Slice{After: after, Limit: 100})
		if err != nil {
			return err
		}
		for _, row := range rows {
			after = row.ID
			if err := r.s.used(ctx, row.ID, ""); err != nil {
				return err
			}
		}
		if len(rows) < 100 {
			break
		}
	}
	f, err := r.s.changeFile(ctx, r.f.ID, func(tx Tx, f *DropFile) error {
		if f.State != DropProcessing {
			return errUnchanged
		}
		f.Items, f.ItemsDone, f.ItemsFailed = all, done, failed
		if failed > 0 {
			return r.s.aside(ctx, tx, f, "items.failed", E(Invalid, reasonItems, fmt.Sprintf("%d of %s failed.", failed, itemsOf(all))).
				Next("Look at what each item says; then try again: what is done stays as it is. Or send the failed items in a new manifest."))
		}
		return r.s.ready(ctx, tx, f, "items.done", fmt.Sprintf("Done: %s.", itemsOf(done)))
	})
	if err != nil || f.State != DropReady { // one in quarantine is looked at and tried again
		return err
	}
	return r.s.usedUp(ctx, f.UploadID, "")
}
