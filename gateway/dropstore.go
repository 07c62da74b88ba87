package gateway

import (
	"context"
	"time"
)

// DropFolderTable holds drop folders. Own setter: health, scan_at, scan_by, wake. Insert and Update answer
// Conflict when a live folder of the hub has the name.
type DropFolderTable interface {
	Rows[DropFolder]
	// List gives those that are not deleted, newest first; text searches name, description and path.
	List(ctx context.Context, s Scope, text string, w Slice) ([]DropFolder, error)
	// Lock gives a row, deleted or not, and keeps others from locking it until the transaction ends.
	Lock(ctx context.Context, id string) (DropFolder, error)
	// Places gives the live folders of all hubs that look at places of a kind. In a transaction nobody else asks
	// until it ends.
	Places(ctx context.Context, kind DropSourceKind) ([]DropFolder, error)
	// ByName gives the hub's live folder with a name key. NotFound when there is none.
	ByName(ctx context.Context, hubID, nameKey string) (DropFolder, error)
	// ByApp gives the folder, deleted or not, that is all a machine client may send to. NotFound when it is not limited so.
	ByApp(ctx context.Context, clientID string) (DropFolder, error)

	// Claim has a replica look at a folder until a time. False when another one does, or it is deleted or paused, or
	// its time has not come.
	Claim(ctx context.Context, id, replica string, now, until time.Time) (bool, error)
	// Hold prolongs a claim. Conflict when the replica no longer has the folder.
	Hold(ctx context.Context, id, replica string, until time.Time) error
	// Scanned ends a look: the health, and when to look next (at once when it was woken meanwhile). False when the
	// replica no longer had the folder; nothing is written then.
	Scanned(ctx context.Context, id, replica string, h DropHealth, next, now time.Time) (bool, error)
	// SetWake has a folder looked at no later than at; one that is being looked at is looked at again.
	SetWake(ctx context.Context, id string, at time.Time) error
	// DueScans gives the live directories and buckets of all hubs whose time has come, longest due first.
	DueScans(ctx context.Context, now time.Time, n int) ([]DropFolder, error)
	// Deleted gives the deleted folders of all hubs that still have files that are not over.
	Deleted(ctx context.Context, n int) ([]DropFolder, error)
}

// DropKnown is what a scan compares: a file that is live.
type DropKnown struct {
	ID         string     `bun:"id"`
	Version    int64      `bun:"version"`
	Reason     string     `bun:"reason"`
	Name       string     `bun:"name"`
	NameKey    string     `bun:"name_key"`
	Size       int64      `bun:"size"`
	ModifiedAt *time.Time `bun:"modified_at"`
	Identity   string     `bun:"identity"`
	State      DropState  `bun:"state"`
	SizeSetAt  *time.Time `bun:"size_set_at"`
	WholeAt    *time.Time `bun:"whole_at"`
	UploadID   string     `bun:"upload_id"`
	NamedSize  int64      `bun:"named_size"`
}

// DropOrder is how a listing of files is ordered.
type DropOrder string

// The orders; each has the id as its second key.
const (
	DropNewest   DropOrder = ""         // first seen last
	DropOldest   DropOrder = "oldest"   // first seen first
	DropByName   DropOrder = "name"     // by code points
	DropLargest  DropOrder = "largest"  // by size
	DropSmallest DropOrder = "smallest" // by size
	DropLatest   DropOrder = "latest"   // changed last
)

// DropFileFilter limits a listing of files; empty fields do not.
type DropFileFilter struct {
	FolderID   string
	Text       string // part of name, reference id, entry id or reason
	States     []DropState
	Reason     string
	Ending     string    // file name ending without dot, lower case
	Manifests  *bool     // only manifests, or only others
	From, To   time.Time // first seen: from this on, before that
	LeadID     string
	EntryID    string
	Superseded bool // those, too, whose name a newer file has
	IDs        []string
	Order      DropOrder
}

// DropCount is how many files are in a state, their bytes, and the one that came first.
type DropCount struct {
	Files, Bytes int64
	OldestID     string // known of FolderCounts only
}

// DropFileTable holds the files of drop folders. A live file is one that is not superseded.
type DropFileTable interface {
	Rows[DropFile]
	// InsertAll is Insert for many rows. Those whose name a live file has are left out: the ones that went in are given.
	InsertAll(ctx context.Context, rows []DropFile) ([]DropFile, error)
	// Known gives all live files of a folder that are neither deleted nor gone, in no order.
	Known(ctx context.Context, folderID string) ([]DropKnown, error)
	// Former gives the newest file that was superseded under a name and has a digest; NotFound when there is none.
	Former(ctx context.Context, folderID, nameKey, sha256 string) (DropFile, error)
	// ByKey gives the live file with a name; NotFound when there is none.
	ByKey(ctx context.Context, folderID, nameKey string) (DropFile, error)
	// ByUpload gives the file that an upload carries; NotFound when there is none.
	ByUpload(ctx context.Context, uploadID string) (DropFile, error)
	// Named gives those of the ids that are in the scope.
	Named(ctx context.Context, s Scope, ids []string) ([]DropFile, error)
	// OfReference gives a hub's files with a reference id that changed since a time, or are importing or processing.
	OfReference(ctx context.Context, hubID, referenceID string, since time.Time) ([]DropFile, error)
	// OfNames gives the live files of a folder with one of the name keys.
	OfNames(ctx context.Context, folderID string, keys []string) ([]DropFile, error)
	// List gives a listing; Slice.After is a DropFile.Cursor of the filter's order.
	List(ctx context.Context, s Scope, f DropFileFilter, w Slice) ([]DropFile, error)
	// Counts counts a listing by state.
	Counts(ctx context.Context, s Scope, f DropFileFilter) (map[DropState]DropCount, error)
	// FolderCounts counts the live files of folders by state.
	FolderCounts(ctx context.Context, folderIDs []string) (map[string]map[DropState]DropCount, error)
	// OfFolder gives the live files of a folder in any of the states after an id, oldest first.
	OfFolder(ctx context.Context, folderID string, states []DropState, after string, n int) ([]DropFile, error)
	// Due gives files of all hubs whose TryAt or DeleteAt has come, id, hub, folder and state of each: the longest due
	// of each folder first, then the second of each, so that no folder's many hide another's. Those that wait in a
	// folder that is paused or deleted are left out.
	Due(ctx context.Context, now time.Time, n int) ([]DropFile, error)
	// Later moves TryAt of files that are importing or processing, whatever the version.
	Later(ctx context.Context, ids []string, at time.Time) error
	// Turn gives the pending files of a folder whose TryAt is not set or has come, oldest first.
	Turn(ctx context.Context, folderID string, now time.Time, n int) ([]DropFile, error)
	// AtWork counts the files of a hub, and of one of its folders, that are importing by themselves, not as a manifest's.
	AtWork(ctx context.Context, hubID, folderID string) (hub, folder int64, _ error)
	// Pending gives the ids of the folders of all hubs that have pending files.
	Pending(ctx context.Context) ([]string, error)
	// Reasons counts a listing by reason, those with one.
	Reasons(ctx context.Context, s Scope, f DropFileFilter) (map[string]int64, error)
	// OthersWithEntry counts the live files, other than one, that are the same entry.
	OthersWithEntry(ctx context.Context, s Scope, entryID, butID string) (int64, error)
}

// DropChangeTable holds the timelines of files.
type DropChangeTable interface {
	Rows[DropChange]
	// InsertAll is Insert for many rows.
	InsertAll(ctx context.Context, rows []DropChange) error
	// OfFile gives a file's timeline, oldest first, after an id.
	OfFile(ctx context.Context, fileID string, w Slice) ([]DropChange, error)
	// Trim deletes the changes from before a time of files that are superseded or deleted, n at most, and tells how many.
	Trim(ctx context.Context, before time.Time, n int) (int64, error)
}

// DropItemTable holds the items of manifests.
type DropItemTable interface {
	Rows[DropItem]
	// InsertAll is Insert for many rows. An item whose number its manifest has already is left out.
	InsertAll(ctx context.Context, rows []DropItem) error
	// OfFile gives a manifest's items in any of the states (all when none given) by number, those after a number.
	OfFile(ctx context.Context, fileID string, states []DropItemState, after int64, n int) ([]DropItem, error)
	// Counts counts a manifest's items by state.
	Counts(ctx context.Context, fileID string) (map[DropItemState]int64, error)
	// Due gives items of all hubs whose TryAt has come, longest due first.
	Due(ctx context.Context, now time.Time, n int) ([]DropItem, error)
	// DeleteOf deletes a manifest's items.
	DeleteOf(ctx context.Context, fileID string) error
	// Ready gives a manifest's queued and running items whose TryAt is not set or has come, by number. Those of one
	// reference id or entry are in order: none before the one before it is done with the entry.
	Ready(ctx context.Context, fileID string, now time.Time, n int) ([]DropItem, error)
	// Converting gives those whose entries are being converted and whose TryAt is not set or has come, by number.
	Converting(ctx context.Context, fileID string, now time.Time, n int) ([]DropItem, error)
	// OfReference gives a hub's items with a reference id that changed since a time, without their data.
	OfReference(ctx context.Context, hubID, referenceID string, since time.Time) ([]DropItem, error)
	// OfEntry gives a hub's queued and running items that name an entry, without their data.
	OfEntry(ctx context.Context, hubID, entryID string) ([]DropItem, error)
	// Next tells when the first of a manifest's items that are not over is to be looked at; nil = now, or never.
	Next(ctx context.Context, fileID string) (*time.Time, error)
	// Hold moves TryAt of an item that an attempt runs, whatever the version; NotFound when it no longer does.
	Hold(ctx context.Context, id string, attempt int64, until time.Time) error
	// Later moves TryAt of items whose entries are being converted, whatever the version.
	Later(ctx context.Context, ids []string, at time.Time) error
	// Again queues a manifest's failed items once more. Those that have no data are deleted, to be read anew, but for
	// those that may have made an entry: they stay failed.
	Again(ctx context.Context, fileID string) error
	// Forget ends what a manifest that is no more did not finish: items that never began are deleted, the others failed;
	// none has data after it.
	Forget(ctx context.Context, fileID string) error
	// ForgetFailed deletes the data of items that failed before a time, n at most.
	ForgetFailed(ctx context.Context, before time.Time, n int) error
}
