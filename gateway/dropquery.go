package gateway

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Cursor is where a listing of an order goes on after the file.
func (f DropFile) Cursor(o DropOrder) string {
	switch o {
	case DropByName:
		return f.ID + "~" + f.Name
	case DropLargest, DropSmallest:
		return f.ID + "~" + strconv.FormatInt(f.Size, 10)
	case DropLatest:
		return f.ID + "~" + f.UpdatedAt.UTC().Format(time.RFC3339Nano)
	}
	return f.ID
}

// DropStates are all states of files, in the order in which a file passes through them.
var DropStates = []DropState{
	DropDetected, DropUploading, DropParsed, DropPending, DropWaiting, DropNoMatch, DropImporting, DropProcessing,
	DropReady, DropDue, DropDeleted, DropGone, DropIgnored, DropQuarantined,
}

var dropOrders = []DropOrder{DropNewest, DropOldest, DropByName, DropLargest, DropSmallest, DropLatest}

// check refuses a filter that means nothing.
func (x DropFileFilter) check() error {
	if !slices.Contains(dropOrders, x.Order) {
		return E(Invalid, "order_unknown", "There is no such order.").Next("Choose newest, oldest, latest, name, largest or smallest.").At("/order")
	}
	for _, s := range x.States {
		if !slices.Contains(DropStates, s) {
			return E(Invalid, "state_unknown", "There is no such state.").Next("Choose some of the states of files.").At("/states")
		}
	}
	for _, text := range []string{x.Text, x.Reason, x.Ending, x.FolderID, x.LeadID, x.EntryID} {
		if utf8.RuneCountInString(text) > 200 || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return E(Invalid, "text_too_long", "What is searched for is longer than 200 characters, or no text.").Next("Shorten it.").At("/q")
		}
	}
	if !x.From.IsZero() && !x.To.IsZero() && !x.From.Before(x.To) {
		return E(Invalid, "range_empty", "The time ends before it begins.").Next("Swap the two times.").At("/to")
	}
	return nil
}

// limited makes a filter show what the actor may see.
func (s *DropFolders) limited(ctx context.Context, a Actor, x DropFileFilter) (_ DropFileFilter, nothing bool, _ error) {
	only, err := s.dropReader(ctx, a)
	if err != nil {
		return x, false, err
	}
	if err := x.check(); err != nil {
		return x, false, err
	}
	x.Ending = strings.ToLower(strings.TrimPrefix(x.Ending, "."))
	if only != "" {
		nothing = x.FolderID != "" && x.FolderID != only
		x.FolderID = only
	}
	return x, nothing, nil
}

// Files lists files of the hub's folders.
func (s *DropFolders) Files(ctx context.Context, a Actor, x DropFileFilter, w Slice) (DropFilesPage, error) {
	x, nothing, err := s.limited(ctx, a, x)
	if err != nil || nothing {
		return DropFilesPage{Files: []DropFile{}}, err
	}
	n := int(orDefault(w.Limit, 100))
	w.Limit = min(n, 499) + 1
	rows, err := s.Store.DropFiles().List(ctx, Scope(a.HubID), x, w)
	if err != nil {
		return DropFilesPage{}, err
	}
	p := DropFilesPage{Files: rows}
	if len(rows) == w.Limit {
		p.Files = rows[:len(rows)-1]
		p.Next = p.Files[len(p.Files)-1].Cursor(x.Order)
	}
	return p, nil
}

// Counts counts the files of a listing by state.
func (s *DropFolders) Counts(ctx context.Context, a Actor, x DropFileFilter) (map[DropState]DropCount, error) {
	x, nothing, err := s.limited(ctx, a, x)
	if err != nil || nothing {
		return map[DropState]DropCount{}, err
	}
	return s.Store.DropFiles().Counts(ctx, Scope(a.HubID), x)
}

// Reasons counts the files of a listing by reason.
func (s *DropFolders) Reasons(ctx context.Context, a Actor, x DropFileFilter) (map[string]int64, error) {
	x, nothing, err := s.limited(ctx, a, x)
	if err != nil || nothing {
		return map[string]int64{}, err
	}
	return s.Store.DropFiles().Reasons(ctx, Scope(a.HubID), x)
}

func noSuchDropFile() *Error {
	return E(NotFound, "drop_file_not_found", "There is no such file in a drop folder.").Next("Check the id, or look at the list of files.")
}

// File gives one file.
func (s *DropFolders) File(ctx context.Context, a Actor, id string) (DropFile, error) {
	only, err := s.dropReader(ctx, a)
	if err != nil {
		return DropFile{}, err
	}
	f, err := s.Store.DropFiles().Get(ctx, Scope(a.HubID), id)
	if CodeOf(err) == NotFound || err == nil && only != "" && f.FolderID != only {
		return DropFile{}, noSuchDropFile()
	}
	return f, err
}

// Timeline gives what happened to a file, oldest first.
func (s *DropFolders) Timeline(ctx context.Context, a Actor, fileID string, w Slice) ([]DropChange, error) {
	if _, err := s.File(ctx, a, fileID); err != nil {
		return nil, err
	}
	return s.Store.DropChanges().OfFile(ctx, fileID, w)
}

// Items gives the items of a manifest after a number, in the manifest's order; no states are all.
func (s *DropFolders) Items(ctx context.Context, a Actor, fileID string, states []DropItemState, after int64, n int) ([]DropItem, error) {
	if _, err := s.File(ctx, a, fileID); err != nil {
		return nil, err
	}
	return s.Store.DropItems().OfFile(ctx, fileID, states, after, n)
}
