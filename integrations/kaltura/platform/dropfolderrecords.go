package platform

import "time"

// Status of a drop folder.
const (
	folderDisabled = 0
	folderEnabled  = 1
	folderDeleted  = 2
)

// Handlers of a drop folder's files.
const (
	handlerContent = "1"
	handlerXML     = "dropFolderXmlBulkUpload.XML"
)

// When files of a drop folder are deleted.
const (
	deleteByHand = 1
	deleteAuto   = 2
)

// What the content handler does with a file whose name gives a reference id.
const (
	matchAddNew     = 1
	matchOrAddNew   = 2
	matchOrKeepBack = 3
)

// DropFolder is a folder whose files become entries. Its ID is its number as text.
type DropFolder struct {
	Row
	Number         int64      `bun:"number"`
	Name           string     `bun:"name"`
	Description    string     `bun:"description"`
	Type           int64      `bun:"type"` // 1 = a local folder, the only kind that is watched
	Status         int64      `bun:"status"`
	DC             int64      `bun:"dc"`
	Path           string     `bun:"path"` // below Config.DropRoot
	Profile        int64      `bun:"profile"`
	CheckInterval  int64      `bun:"check_interval"` // seconds for which a size must not change
	DeletePolicy   int64      `bun:"delete_policy"`
	Handler        string     `bun:"handler"`
	MatchPolicy    int64      `bun:"match_policy"` // content handler only
	SlugRegex      string     `bun:"slug_regex"`   // content handler only
	Patterns       string     `bun:"patterns"`
	IgnorePatterns string     `bun:"ignore_patterns"`
	Tags           string     `bun:"tags"`
	LastAccessedAt *time.Time `bun:"last_accessed_at"`
}

// Status of a drop folder file.
const (
	fileUploading     = 1
	filePending       = 2
	fileWaiting       = 3
	fileHandled       = 4
	fileIgnored       = 5
	fileDeleted       = 6
	filePurged        = 7
	fileNoMatch       = 8
	fileErrorHandling = 9
	fileErrorDeleting = 10
	fileProcessing    = 13
	fileParsed        = 14
	fileDetected      = 15
)

// DropFolderFile is a file seen in a drop folder, or one that an XML file asks for.
type DropFolderFile struct {
	Row
	Number        int64      `bun:"number"`
	Folder        int64      `bun:"folder"`
	FileName      string     `bun:"file_name"`
	FileSize      int64      `bun:"file_size"`
	SizeSetAt     time.Time  `bun:"size_set_at"`
	Status        int64      `bun:"status"`
	Type          int64      `bun:"type"` // of the folder; 0 while only an XML file speaks of it
	ParsedSlug    string     `bun:"parsed_slug"`
	ParsedFlavor  string     `bun:"parsed_flavor"`
	ParsedUser    string     `bun:"parsed_user"`
	Lead          int64      `bun:"lead"`    // the row that owns the work; 0 = none
	Deleted       int64      `bun:"deleted"` // 0, or the row's own number once purged
	EntryID       string     `bun:"entry_id"`
	ErrorCode     string     `bun:"error_code"`
	ErrorText     string     `bun:"error_text"`
	ModifiedAt    int64      `bun:"modified_at"` // unix seconds, of the file; 0 = unknown
	UploadBeganAt *time.Time `bun:"upload_began_at"`
	UploadEndedAt *time.Time `bun:"upload_ended_at"`
	Job           int64      `bun:"job"` // 0 = none
}

// Kinds of jobs.
const (
	jobContent = "content"
	jobXML     = "dropFolderXmlBulkUpload.DROP_FOLDER_XML"
)

// Status of a job.
const (
	jobPending    = 0
	jobFinished   = 5
	jobFailed     = 6
	jobAlmostDone = 8
	jobPartly     = 12
)

// Job is the work on one XML file, or on the content of one drop folder file.
type Job struct {
	Row
	Number      int64       `bun:"number"`
	Kind        string      `bun:"kind"`
	Folder      int64       `bun:"folder"`
	Lead        int64       `bun:"lead"` // the drop folder file
	FileName    string      `bun:"file_name"`
	Status      int64       `bun:"status"`
	Message     string      `bun:"message"`     // the last one, also of success
	Description string      `bun:"description"` // all of them
	Objects     int64       `bun:"objects"`
	Input       []byte      `bun:"input"`   // the XML file
	Results     []JobResult `bun:"results"` // stored as JSON
	Log         string      `bun:"log"`
}

// JobResult is what became of one item of an XML file.
type JobResult struct {
	Action  string `json:"action"`
	EntryID string `json:"entry_id,omitempty"`
	File    string `json:"file,omitempty"` // in the folder
	Error   string `json:"error,omitempty"`
}
