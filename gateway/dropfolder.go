package gateway

import (
	"context"
	"io"
	"strings"
	"time"
)

// DropSourceKind is how files come into a folder.
type DropSourceKind string

// The ways in. Uploads may be sent to folders of every kind; the others are looked at, too.
const (
	DropUploads   DropSourceKind = "uploads"
	DropDirectory DropSourceKind = "directory" // below the server's drop root; what an SFTP server writes into
	DropBucket    DropSourceKind = "bucket"    // a prefix in an S3 bucket
)

// DropHandler is what a folder's files are.
type DropHandler string

// The handlers. A file that is a manifest by its name describes others; each other file is media.
const (
	HandleContent DropHandler = "content" // media only; manifests are refused
	HandleXML     DropHandler = "xml"     // only what manifests name
	HandleBoth    DropHandler = "both"    // what no manifest names becomes an entry by itself
)

// DropMatch is what becomes of a file whose reference id an entry may have already; Kaltura's contentMatchPolicy.
type DropMatch string

// The policies.
const (
	MatchAdd    DropMatch = "add"           // a new entry, always
	MatchOrAdd  DropMatch = "match_or_add"  // new content of the entry with the reference id, else a new entry
	MatchOrWait DropMatch = "match_or_wait" // new content of the entry, else wait until there is one
)

// DropDelete is when a file goes from its folder after its entry was made.
type DropDelete string

// The policies. Only verified files of directories and buckets are ever deleted; with DropKeepAll by hand only.
const (
	DeleteManually  DropDelete = "manual"
	DeleteWhenReady DropDelete = "when_ready" // the entry plays and its size was verified: never after the import alone
	DeleteAfterDays DropDelete = "after_days" // DeleteDays after it was ready
)

// DropComplete is how a file of a directory or bucket says that it is whole. Any of the chosen is enough, and so is a
// manifest that names it with the size that it has. A bucket's objects are always whole.
type DropComplete struct {
	Marker  string `json:"marker,omitempty"`   // ending of an empty file beside it, as ".done": clip.mp4.done
	Rename  string `json:"rename,omitempty"`   // pattern of names that are still written, as "*.part"; any rename away from it is the end
	StableS int64  `json:"stable_s,omitempty"` // seconds without a change of size and time: a guess, so opt-in; 0 = never
}

// DropOrigin says whose and where the entries of a folder's files are.
type DropOrigin struct {
	UserID              string   `json:"user_id,omitempty"`        // user on the platform; "" = who made the folder
	UserFromPath        bool     `json:"user_from_path,omitempty"` // the first folder of the path names the user
	Tags                []string `json:"tags,omitempty"`
	TagsFromPath        bool     `json:"tags_from_path,omitempty"`        // each folder of the path is a tag
	Category            string   `json:"category,omitempty"`              // full name, "a>b"
	CategoryFromPath    bool     `json:"category_from_path,omitempty"`    // the folders of the path are categories below Category
	ConversionProfileID int64    `json:"conversion_profile_id,omitempty"` // 0 = the account's default
}

// DropFolder is a place whose finished files become entries by themselves.
type DropFolder struct {
	Row
	ParticipantID string     `bun:"participant_id"` // who made it and answers for what it does
	ClientID      string     `bun:"client_id"`      // or the app that made it
	IntegrationID string     `bun:"integration_id"`
	Name          string     `bun:"name"`
	NameKey       string     `bun:"name_key"` // of Name, whatever its case; unique among a hub's live folders
	Description   string     `bun:"description"`
	PausedAt      *time.Time `bun:"paused_at"`
	DeletedAt     *time.Time `bun:"deleted_at"` // soft: its files are settled first

	Source   DropSourceKind    `bun:"source"`
	Path     string            `bun:"path"`     // of a directory: relative to the drop root; of a bucket: prefix
	Bucket   DropBucketAddress `bun:"bucket"`   // stored as JSON
	Secret   Sealed            `bun:"secret"`   // of a bucket's key
	Complete DropComplete      `bun:"complete"` // stored as JSON

	Handler   DropHandler `bun:"handler"`
	Patterns  []string    `bun:"patterns"` // stored as JSON; shell patterns of names to take; none = all
	Ignore    []string    `bun:"ignore"`   // stored as JSON; patterns of names to leave alone
	Match     DropMatch   `bun:"match"`
	Slug      string      `bun:"slug"`       // expression with (?P<referenceId>…), (?P<userId>…), (?P<flavorName>…); "" = the name without its ending
	Origin    DropOrigin  `bun:"origin"`     // stored as JSON
	WaitHours int64       `bun:"wait_hours"` // how long a file waits for others before it is quarantined

	Delete     DropDelete `bun:"delete_policy"`
	DeleteDays int64      `bun:"delete_days"`
	MaxFiles   int64      `bun:"max_files"` // open files; 0 = the hub's limit
	MaxBytes   int64      `bun:"max_bytes"` // bytes of open files; 0 = no limit

	Policy  TransferPolicy `bun:"policy"`   // of transfers into it whose sender says none; "" = the hub's
	RateBPS int64          `bun:"rate_bps"` // of each transfer into it at most; 0 = no limit
	AppID   string         `bun:"app_id"`   // machine client made by Activate, which may only send into it

	Health DropHealth `bun:"health"`  // stored as JSON. Own setter: health, scan_at, scan_by, wake
	ScanAt *time.Time `bun:"scan_at"` // when it is looked at next; while it is, until when ScanBy has it
	ScanBy string     `bun:"scan_by"` // replica that looks; "" = none
	Wake   bool       `bun:"wake"`    // something happened while it was looked at: look again at once
}

// Place is where the bucket's key is sealed.
func (f DropFolder) Place() string { return "drop_folders.secret/" + f.ID }

// DropBucketAddress is a place in an S3-compatible store.
type DropBucketAddress struct {
	Endpoint  string `json:"endpoint,omitempty"` // https address; "" = Amazon's of the region
	Region    string `json:"region,omitempty"`
	Name      string `json:"name,omitempty"`
	KeyID     string `json:"key_id,omitempty"`
	PathStyle bool   `json:"path_style,omitempty"`
}

// DropHealth is how looking at a folder goes.
type DropHealth struct {
	LastAt   *time.Time `json:"last_at,omitempty"` // last look
	OKAt     *time.Time `json:"ok_at,omitempty"`   // last that worked
	Files    int64      `json:"files"`             // seen then
	TookMS   int64      `json:"took_ms"`
	Code     string     `json:"code,omitempty"` // "" = it worked
	Text     string     `json:"text,omitempty"`
	NextStep string     `json:"next_step,omitempty"`
	Since    *time.Time `json:"since,omitempty"` // since when it does not work
}

// DropState is how far a file is.
type DropState string

// The states.
const (
	DropDetected    DropState = "detected"     // seen; not known to be whole
	DropUploading   DropState = "uploading"    // being sent to us, or being written
	DropPending     DropState = "pending"      // whole; its turn comes
	DropWaiting     DropState = "waiting"      // for what WaitingFor names
	DropNoMatch     DropState = "no_match"     // waits for an entry with its reference id
	DropParsed      DropState = "parsed"       // named by a manifest, not here yet
	DropImporting   DropState = "importing"    // its bytes are taken and handed to the platform
	DropProcessing  DropState = "processing"   // the entry exists and is being converted; of a manifest: its items run
	DropReady       DropState = "ready"        // done
	DropDue         DropState = "deletion_due" // done, and will be deleted at DeleteAt
	DropDeleted     DropState = "deleted"      // by us
	DropGone        DropState = "gone"         // removed by others (Kaltura: purged)
	DropIgnored     DropState = "ignored"
	DropQuarantined DropState = "quarantined" // Reason says why
)

// Over tells whether nothing more will happen by itself.
func (s DropState) Over() bool {
	switch s {
	case DropReady, DropDeleted, DropGone, DropIgnored, DropQuarantined:
		return true
	}
	return false
}

// DropFile is one file of a folder, or a name that a manifest expects there.
type DropFile struct {
	Row
	FolderID    string     `bun:"folder_id"`
	Name        string     `bun:"name"`     // path within the folder, "/" between, as the source spells it
	NameKey     string     `bun:"name_key"` // NFC of Name, by which twins are found; unique among live rows of a folder
	Size        int64      `bun:"size"`
	ModifiedAt  *time.Time `bun:"modified_at"`
	Identity    string     `bun:"identity"` // what the source knows the content by: inode and times, ETag, upload id
	Manifest    bool       `bun:"manifest"` // describes others
	State       DropState  `bun:"state"`
	FormerState DropState  `bun:"former_state"` // before it was to be deleted by hand, or gone: what an undo, or the file's return, brings back
	Superseded  bool       `bun:"superseded"`   // a newer file has its name; unique key: folder, name_key, live rows
	ByHand      bool       `bun:"by_hand"`      // somebody took it as whole, and by itself: it waits for no manifest
	Alone       bool       `bun:"alone"`        // somebody wants an entry of its own of it: it waits for none
	SizeSetAt   *time.Time `bun:"size_set_at"`  // when size and time last changed
	WholeAt     *time.Time `bun:"whole_at"`     // when it was known to be whole
	WaitingFor  []string   `bun:"waiting_for"`  // stored as JSON; names of files, or "entry:REFERENCE"
	LeadID      string     `bun:"lead_id"`      // the manifest that it belongs to
	ItemID      string     `bun:"item_id"`      // the item of it whose content it is
	NamedSize   int64      `bun:"named_size"`   // bytes that the manifest says it has; 0 = it does not say
	ReferenceID string     `bun:"reference_id"` // parsed of the name
	Flavor      string     `bun:"flavor"`
	UserID      string     `bun:"user_id"`
	ProfileID   int64      `bun:"profile_id"` // reprocess with another; 0 = the folder's
	UploadID    string     `bun:"upload_id"`  // that carries its bytes
	EntryID     string     `bun:"entry_id"`
	SHA256      string     `bun:"sha256"`
	Attempt     int64      `bun:"attempt"` // fencing number of the run at work
	Reason      string     `bun:"reason"`  // stable slug
	Text        string     `bun:"text"`
	NextStep    string     `bun:"next_step"`
	Kept        bool       `bun:"kept"`         // never deleted by itself
	DeleteEntry bool       `bun:"delete_entry"` // when it is deleted by hand: its entry goes, too
	Deleting    bool       `bun:"deleting"`     // it is being done: nobody takes it back any more
	ReadyAt     *time.Time `bun:"ready_at"`
	DeleteAt    *time.Time `bun:"delete_at"`
	TryAt       *time.Time `bun:"try_at"` // looked at again then
	Items       int64      `bun:"items"`  // of a manifest: how many, and how many of them are done and failed
	ItemsDone   int64      `bun:"items_done"`
	ItemsFailed int64      `bun:"items_failed"`
}

// DropChange is one line of a file's timeline.
type DropChange struct {
	Row
	FolderID string    `bun:"folder_id"`
	FileID   string    `bun:"file_id"`
	State    DropState `bun:"state"`
	Cause    string    `bun:"cause"` // slug: "scan", "upload.finished", "retry", …
	Text     string    `bun:"text"`  // for people
	By       string    `bun:"by"`    // actor's subject
	At       time.Time `bun:"at"`
}

// DropItem is one item of a manifest.
type DropItem struct {
	Row
	FolderID    string         `bun:"folder_id"`
	FileID      string         `bun:"file_id"` // the manifest
	Number      int64          `bun:"number"`  // from 1
	Line        int64          `bun:"line"`
	State       DropItemState  `bun:"state"`
	Action      ManifestAction `bun:"action"` // what was done, once decided
	Title       string         `bun:"title"`  // for people: name or id
	ReferenceID string         `bun:"reference_id"`
	EntryID     string         `bun:"entry_id"`
	Step        string         `bun:"step"` // last step done, so that a crash repeats none that must not be
	Data        []byte         `bun:"data"` // the ManifestItem as JSON until it is done
	Reason      string         `bun:"reason"`
	Text        string         `bun:"text"`
	NextStep    string         `bun:"next_step"`
	Attempt     int64          `bun:"attempt"`
	TryAt       *time.Time     `bun:"try_at"`
}

// DropItemState is how far an item is.
type DropItemState string

// The states.
const (
	ItemQueued     DropItemState = "queued"
	ItemRunning    DropItemState = "running"
	ItemConverting DropItemState = "processing" // the entry exists and is being converted
	ItemFinished   DropItemState = "done"
	ItemRefused    DropItemState = "failed"
)

// DropSource is where a folder's files lie. Names are paths within the folder with "/" between. Safe for
// concurrent use. Unavailable when the place itself is not there or does not answer, which says nothing of the files.
type DropSource interface {
	// Scan calls each with every regular file, in no order, until it gives an error. Entries that are no regular files,
	// links included, are never given. After an error of its own what was given is right but not everything: nothing
	// that is missing may be taken for removed.
	Scan(ctx context.Context, each func(DropEntry) error) error
	// Stat gives one file. NotFound when it is not there or is no regular file.
	Stat(ctx context.Context, name string) (DropEntry, error)
	// Open reads a file, following no link. The reader gives what is there when it is read: compare Stat afterwards.
	Open(ctx context.Context, name string) (DropReader, error)
	// Remove deletes a file if it still has the identity. Conflict with reason "file_changed" when it has another;
	// harmless when it is gone.
	Remove(ctx context.Context, name, identity string) error
	// Watch calls changed soon after something under a name changed (best effort, the scan finds the rest) until ctx
	// ends. A source that cannot watch returns at once with nil. renamedFrom is the name a file had before, if known.
	// Name "" asks for a scan: more changed than can be told one by one.
	Watch(ctx context.Context, changed func(name, renamedFrom string)) error
	// Close lets go of what is held.
	Close() error
}

// DropEntry is a file as its source shows it.
type DropEntry struct {
	Name       string
	Size       int64
	ModifiedAt time.Time
	Identity   string // differs when the content was replaced or changed; of a directory also when only mode or name did
	Whole      bool   // the source knows that it is complete (objects of a bucket)
	Moved      bool   // something, but not its content, changed after its last write, as a rename does
	Odd        string // slug of DropOdd…, why it is never taken; "" = it may be. Name is then for people only
}

// Why a file is never taken as long as it lies where it lies.
const (
	DropOddNotUTF8 = "name_not_utf8" // the name has bytes that are no text
	DropOddLong    = "name_too_long" // more than MaxDropName bytes
	DropOddDeep    = "too_deep"      // a directory below too many others: nothing in it is looked at
	DropOddPath    = "name_no_path"  // an object whose key is no path: "a//b", "../a", "/a"
)

// MaxDropName is how long a name may be, in bytes, folders included.
const MaxDropName = 1000

// SameDropFile tells whether two identities are of one file, whatever became of its name, size and times: how a
// rename is seen between scans. Only directories know; false for everything else.
func SameDropFile(a, b string) bool {
	ka, _, oka := strings.Cut(a, "/")
	kb, _, okb := strings.Cut(b, "/")
	return oka && okb && ka == kb && ka != ""
}

// SameDropContent tells whether two identities are of the same content as far as the source can tell. They may
// differ when only owner, mode, links or name changed, which is no reason to take a file again.
func SameDropContent(a, b string) bool {
	if a == b {
		return true
	}
	i, j := strings.LastIndexByte(a, '/'), strings.LastIndexByte(b, '/')
	return SameDropFile(a, b) && a[:i] == b[:j]
}

// DropReader is an open file: the entry it was when it was opened, and its bytes.
type DropReader interface {
	io.Reader
	io.ReaderAt
	io.Closer
	Entry() DropEntry
}

// DropSources opens the places of folders. A hub's directories all lie below one of its own, so that no hub can
// name another's.
type DropSources interface {
	// Open gives a folder's place. Invalid with a Field when its address cannot be right, Unavailable when a directory
	// is not there. A bucket is not asked before its first use. secret is the bucket's key in clear.
	Open(ctx context.Context, f DropFolder, secret Secret) (DropSource, error)
	// Make makes the directory of a new folder, harmless when it is there; a bucket must be there already. Only when
	// somebody makes or changes a folder: a directory that vanished later is a disk that is not mounted.
	Make(ctx context.Context, f DropFolder) error
	// Place says to people who may run the folder where files are to be put.
	Place(f DropFolder) string
}

// RemoteDropFolder is a drop folder that the platform keeps itself.
type RemoteDropFolder struct {
	ID, Name, Description, Path, Kind string
	Enabled                           bool
	Error                             string
	CheckedAt                         *time.Time
}

// RemoteDropFile is a file of it, with the platform's own state and code beside ours.
type RemoteDropFile struct {
	ID, FolderID, Name            string
	Size                          int64
	State                         DropState
	Status                        int64 // Kaltura's
	ErrorCode, ErrorText, EntryID string
	CreatedAt, UpdatedAt          time.Time
}

// Actions are what can be done with the file there now: nothing while it is at work, or when it is gone.
func (f RemoteDropFile) Actions() []DropAction {
	switch f.State {
	case DropQuarantined, DropNoMatch:
		return []DropAction{ActRetry, ActIgnore, ActDelete}
	case DropIgnored:
		return []DropAction{ActRetry, ActDelete}
	case DropDetected, DropWaiting:
		return []DropAction{ActIgnore, ActDelete}
	case DropReady:
		return []DropAction{ActDelete}
	}
	return nil
}

// RemoteManifest is an XML that the platform read from such a folder. When it failed, its file's row is gone soon, and this is
// what tells why.
type RemoteManifest struct {
	ID, Name  string
	State     DropState // parsed, processing, ready, ignored or quarantined
	Status    int64     // Kaltura's
	Text      string    // what went wrong, in the platform's own words
	Items     int64     // that were made or changed; 0 = not known
	CreatedAt time.Time
}

// RemoteDropFolders is a platform that has drop folders of its own. Forbidden when the credential may not see them.
type RemoteDropFolders interface {
	DropFolders(ctx context.Context, cursor string) (folders []RemoteDropFolder, next string, _ error)
	// DropFiles lists a folder's files, the newest first; failed: only those that were not taken.
	DropFiles(ctx context.Context, folderID string, failed bool, cursor string) (files []RemoteDropFile, next string, _ error)
	// DropManifests lists what the platform read of XML from all its folders, the newest first.
	DropManifests(ctx context.Context, cursor string) (manifests []RemoteManifest, next string, _ error)
	// DropFile gives a file of a folder. NotFound when it is not there.
	DropFile(ctx context.Context, folderID, fileID string) (RemoteDropFile, error)
	// ChangeDropFile has a file tried again, left alone or deleted by the platform. Forbidden when the credential may not.
	ChangeDropFile(ctx context.Context, fileID string, act DropAction) (RemoteDropFile, error)
}
