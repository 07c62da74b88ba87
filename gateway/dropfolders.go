package gateway

import (
	"sync"
	"time"
)

// DropFolders keeps drop folders: places whose finished files become entries by themselves. Use by pointer; safe
// for concurrent use.
type DropFolders struct {
	Store        Store
	Clock        Clock
	Sources      DropSources // nil: this server looks at no directories and buckets
	Directories  bool        // directories can be folders: Sources has a root for them
	Manifests    Manifests
	Fetcher      DropFetcher // nil: manifests cannot name addresses
	Uploads      *Uploads
	Integrations *Integrations
	Mappings     *Mappings
	Events       *Events
	Lanes        *Lanes // one for all services; nil = no limits
	Sealer       Sealer
	Replica      string

	previews previewSeats

	items itemRuns
	files itemRuns // runs of RunFile
	bytes itemRuns // files that are fetched

	silent struct { // replicas that give no sign of life, see gone
		sync.Mutex
		since map[string]time.Time
	}
}

// DropFolderNews is what events say about a folder.
type DropFolderNews struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	Source  DropSourceKind `json:"source"`
	Paused  bool           `json:"paused"`
	Problem *Problem       `json:"error,omitempty"` // why it cannot be looked at
}

// DropFolderView is a folder with what is known of its files.
type DropFolderView struct {
	DropFolder
	Counts map[DropState]DropCount // of live files
	Behind *time.Time              // when the oldest file came that is not done yet; nil = none
	Stop   *Problem                // why nothing goes on: paused, its maker is gone, not connected; nil = it does
}

// DropFolderDraft is what is said of a folder. Nil stays as it is; of a new one it is the default.
type DropFolderDraft struct {
	Name, Description *string
	Source            *DropSourceKind // only of a new one
	Path              *string
	Bucket            *DropBucketAddress
	Secret            *Secret // of the bucket's key; write-only
	Complete          *DropComplete
	Handler           *DropHandler
	Patterns, Ignore  *[]string
	Match             *DropMatch
	Slug              *string
	Origin            *DropOrigin
	WaitHours         *int64
	Delete            *DropDelete
	DeleteDays        *int64
	MaxFiles          *int64
	MaxBytes          *int64
	Policy            *TransferPolicy
	RateBPS           *int64
}

// DropTest is what came of trying a folder's settings.
type DropTest struct {
	OK       bool
	Checks   []DropCheck
	Examples []DropExample // what some of the files there would become
}

// DropCheck is one thing that was tried.
type DropCheck struct {
	Name, Text, Fix string
	OK              bool
}

// DropExample is what would become of a file by its name.
type DropExample struct {
	Name    string
	Size    int64
	Taken   bool
	Why     string // not taken: a slug
	Reading DropReading
}

// DropActivation is a folder that is ready to be sent to.
type DropActivation struct {
	Folder  DropFolder
	Client  Client // may only send into the folder
	Secret  Secret // shown this once; "" when the client was there already
	Created bool   // the folder is new
}

// DropFilesPage is a window of a listing.
type DropFilesPage struct {
	Files []DropFile
	Next  string // cursor; "" = the end
}

// DropResult is what came of an action on one file.
type DropResult struct {
	FileID string
	File   DropFile // when Error is nil
	Error  *Error
}

// DropDeletePlan says what deleting a file would do.
type DropDeletePlan struct {
	File       DropFile
	Source     bool     // the file goes from its directory or bucket
	Entry      string   // id of the entry that can go, too; "" = none
	EntryTitle string   // as the platform has it; "" = not asked or not there
	Others     int64    // other files of drop folders that are the same entry
	Items      int64    // items of the library that link to the entry and would no longer play
	Copies     int64    // items of the library that have their own bytes and stay
	Blocked    *Problem // why it cannot be deleted now
	Until      time.Time
}

// DropBulk names the files of an action: ids, or all that a filter gives.
type DropBulk struct {
	Action    DropAction
	IDs       []string
	Filter    *DropFileFilter
	After     string // with a filter: DropBulkDone.Next of the call before
	EntryID   string // ActMatch, of one file
	ProfileID int64  // ActReprocess
	Keep      *bool  // ActKeep; nil = keep
	Entries   bool   // ActDelete: the entries, too
}

// DropBulkDone is what came of it. With a filter a call does a part; Next goes on, "" = all was done.
type DropBulkDone struct {
	Results []DropResult
	Next    string
}

// DropAction is what is done with files.
type DropAction string

// The actions.
const (
	ActRetry     DropAction = "retry"
	ActReprocess DropAction = "reprocess"
	ActMatch     DropAction = "match"
	ActTake      DropAction = "take"
	ActKeep      DropAction = "keep"
	ActIgnore    DropAction = "ignore"
	ActDelete    DropAction = "delete"
	ActUndo      DropAction = "undo"
)
