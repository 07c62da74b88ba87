package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// move is the one place that changes the state of a file: it checks that the step is allowed, writes the row with all
// that the caller changed in it, adds a line to its timeline, tells the hub's content admins and queues what follows.
// All of it is in tx. Cause is a slug; text is for people and may be empty.
func (s *DropFolders) move(ctx context.Context, tx Tx, f *DropFile, to DropState, cause string, by Actor, text string) error {
	from := f.State
	if !from.mayBecome(to) {
		return E(Conflict, "step_not_allowed", fmt.Sprintf("A file that is %s cannot become %s.", from, to)).
			Next("Look at its state; try again when it has changed.")
	}
	f.State = to
	if to != DropQuarantined && to != DropDue {
		f.Reason, f.Text, f.NextStep = "", "", ""
	}
	if to != DropWaiting && to != DropNoMatch {
		f.WaitingFor = nil
	}
	if from.Busy() || to != DropWaiting && to != DropNoMatch && to != DropPending {
		f.TryAt = nil
	}
	if to != DropDue {
		f.DeleteAt, f.Deleting = nil, false
	}
	if to == DropGone && (from != DropDue || f.FormerState == "") {
		f.FormerState = from
	}
	now := s.Clock()
	if to.Busy() && (f.LeadID == "" || f.Manifest) { // should its task be lost; an item's files are looked after by its manifest
		at := now.Add(lookAfter)
		f.TryAt = &at
	}
	switch to {
	case DropPending:
		if f.WholeAt == nil {
			f.WholeAt = &now
		}
	case DropDetected, DropUploading:
		f.WholeAt = nil
	case DropReady:
		if f.ReadyAt == nil {
			f.ReadyAt = &now
		}
	}
	if err := tx.DropFiles().Update(ctx, f); err != nil {
		return err
	}
	c := dropChange(*f, cause, by.Subject(), text, now)
	if err := tx.DropChanges().Insert(ctx, &c); err != nil {
		return err
	}
	if err := s.follow(ctx, tx, *f, from, cause); err != nil {
		return err
	}
	typ := "drop_file.changed"
	switch to {
	case DropReady:
		typ = "drop_file.ready"
	case DropQuarantined:
		typ = "drop_file.quarantined"
	case DropDeleted:
		typ = "drop_file.deleted"
	}
	return s.Events.Append(ctx, tx, f.HubID, AudienceContent, typ, f.ID, f.News())
}

// follow queues what a step has as its consequence: one that is whole gets its turn, one that is done makes room for
// the next, a manifest hears of the files that it names, and what was sent of a file that is gone is let go.
func (s *DropFolders) follow(ctx context.Context, tx Tx, f DropFile, from DropState, cause string) error {
	whole := f.State == DropPending && (f.TryAt == nil || !f.TryAt.After(s.Clock()))
	if whole || from == DropImporting || from == DropPending && f.State != DropImporting {
		if err := tx.Enqueue(ctx, FeedDropFolder{FolderID: f.FolderID}); err != nil {
			return err
		}
	}
	if f.Manifest && f.stopped() {
		if err := tx.Enqueue(ctx, HandleDropFile{FileID: f.ID}); err != nil { // its files hear of it
			return err
		}
	}
	switch f.State {
	case DropPending:
		if from != DropImporting {
			return s.arrived(ctx, tx, f)
		}
	case DropQuarantined, DropIgnored: // fetched again when somebody has it tried again
		if !uploaded(f.Identity) && !f.Manifest {
			return s.letGo(ctx, tx, f.UploadID)
		}
	case DropGone, DropDeleted:
		if !strings.HasPrefix(cause, "upload.") { // else its upload ended and is being written
			if err := s.letGo(ctx, tx, f.UploadID); err != nil {
				return err
			}
		}
		if f.LeadID != "" && f.LeadID != f.ID {
			return tx.Enqueue(ctx, HandleDropFile{FileID: f.LeadID})
		}
	}
	return nil
}

func dropChange(f DropFile, cause, by, text string, at time.Time) DropChange {
	if text == "" {
		text = f.Text
	}
	return DropChange{
		Row: Row{ID: NewID("dch"), HubID: f.HubID}, FolderID: f.FolderID, FileID: f.ID, State: f.State, Cause: cause, By: by,
		Text: cutText(text, 1000), At: at,
	}
}

// DropFileNews is what events say about a file.
type DropFileNews struct {
	ID          string    `json:"id"`
	FolderID    string    `json:"folder_id"`
	Name        string    `json:"name"`
	State       DropState `json:"state"`
	Size        int64     `json:"size"`
	Manifest    bool      `json:"manifest"`
	WaitingFor  []string  `json:"waiting_for,omitempty"`
	EntryID     string    `json:"entry_id,omitempty"`
	Items       int64     `json:"items,omitempty"`
	ItemsDone   int64     `json:"items_done,omitempty"`
	ItemsFailed int64     `json:"items_failed,omitempty"`
	Problem     *Problem  `json:"error,omitempty"`
}

// News gives what events say.
func (f DropFile) News() DropFileNews {
	n := DropFileNews{
		ID: f.ID, FolderID: f.FolderID, Name: f.Name, State: f.State, Size: f.Size, Manifest: f.Manifest, WaitingFor: f.WaitingFor,
		EntryID: f.EntryID, Items: f.Items, ItemsDone: f.ItemsDone, ItemsFailed: f.ItemsFailed,
	}
	if len(n.WaitingFor) > 20 {
		n.WaitingFor = n.WaitingFor[:20]
	}
	if f.Reason != "" {
		n.Problem = &Problem{f.Reason, f.Text, f.NextStep}
	}
	return n
}

// system is who does what nobody asked for.
func system(hubID string) Actor { return Actor{HubID: hubID} }

// changeFile reads a file, changes and writes it in one transaction; f moves it, or gives errUnchanged.
func (s *DropFolders) changeFile(ctx context.Context, id string, f func(Tx, *DropFile) error) (DropFile, error) {
	var out DropFile
	var err error
	for range 8 {
		err = s.Store.Tx(ctx, func(tx Tx) error {
			row, err := tx.DropFiles().Get(ctx, AnyHub, id)
			if err != nil {
				return err
			}
			err = f(tx, &row)
			out = row
			return err
		})
		if IsReason(err, "unchanged") {
			return out, nil
		}
		if !IsReason(err, "changed_meanwhile") {
			break
		}
	}
	return out, err
}

// quarantine puts a file aside with a reason and what to do. Harmless when that is not possible any more, or when a look
// found meanwhile that the file changed or is gone: the reason is of what it was.
func (s *DropFolders) quarantine(ctx context.Context, id string, attempt int64, cause string, e *Error) error {
	_, err := s.changeFile(ctx, id, func(tx Tx, f *DropFile) error {
		if attempt >= 0 && f.Attempt != attempt || unsettled(f.State) || !f.State.Live() || !f.State.mayBecome(DropQuarantined) {
			return errUnchanged
		}
		return s.aside(ctx, tx, f, cause, e)
	})
	return err
}

// aside is quarantine for a row that is at hand.
func (s *DropFolders) aside(ctx context.Context, tx Tx, f *DropFile, cause string, e *Error) error {
	f.Reason, f.Text, f.NextStep = reasonOf(e), e.Message, e.NextStep
	return s.move(ctx, tx, f, DropQuarantined, cause, system(f.HubID), "")
}
