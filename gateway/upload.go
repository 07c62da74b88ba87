package gateway

import "time"

// UploadState is how far an upload is.
type UploadState string

// The states. Only an explicit finish leads out of receiving towards ready.
const (
	UploadReceiving  UploadState = "receiving"
	UploadHeld       UploadState = "held"       // finished here; waits for what its drop folder decides
	UploadIngesting  UploadState = "ingesting"  // finished here; being checked and handed to the platform
	UploadProcessing UploadState = "processing" // the entry exists; the platform makes it playable
	UploadReady      UploadState = "ready"
	UploadFailed     UploadState = "failed"
	UploadCancelled  UploadState = "cancelled"
	UploadExpired    UploadState = "expired"
)

// Done tells whether nothing more will happen by itself.
func (s UploadState) Done() bool {
	return s == UploadReady || s == UploadFailed || s == UploadCancelled || s == UploadExpired
}

// clear forgets what went wrong or was waited for.
func (u *Upload) clear() {
	u.ErrorCode, u.ErrorText, u.NextStep, u.WaitingSince = "", "", "", nil
}

// Where a file goes.
const (
	TargetKaltura = ""
	TargetLibrary = "library" // to wait here until the spaces platform registers it
)

// Upload is one file on its way in, whatever the path.
type Upload struct {
	Row
	ParticipantID string      `bun:"participant_id"`
	ClientID      string      `bun:"client_id"`
	IntegrationID string      `bun:"integration_id"`
	Name          string      `bun:"name"`  // as the person named the file, any Unicode
	Title         string      `bun:"title"` // name of the entry; default: Name without its ending
	Description   string      `bun:"description"`
	Tags          []string    `bun:"tags"` // stored as JSON
	ContentType   string      `bun:"content_type"`
	Size          int64       `bun:"size"`
	Target        string      `bun:"target"`
	TransferID    string      `bun:"transfer_id"`  // the batch that it is sent with, if any
	Device        string      `bun:"-"`            // where that is sent from; set by Uploads.Get and List
	FolderID      string      `bun:"folder_id"`    // the drop folder that it is for, if any
	DropFileID    string      `bun:"drop_file_id"` // the file of that folder whose bytes it carries
	Replaces      string      `bun:"replaces"`     // entry that gets the bytes as its new content; "" = a new entry
	Flavor        string      `bun:"flavor"`       // rendition of it that they are; "" = all of it
	ProfileID     int64       `bun:"profile_id"`   // conversion profile of a new entry; 0 = the connection's
	ItemID        string      `bun:"item_id"`      // own library item that it became (TargetLibrary) or carries to Kaltura
	Fingerprint   string      `bun:"fingerprint"`  // client's own mark of the file, to find it again on another device
	State         UploadState `bun:"state"`
	Received      int64       `bun:"received"` // contiguous durable bytes when last looked at; Staging is the truth
	SHA256        string      `bun:"sha256"`   // set at finish
	Replica       string      `bun:"replica"`  // where its staged bytes lie
	RelayHandle   string      `bun:"relay_handle"`
	RelaySent     Ranges      `bun:"relay_sent"` // stored as JSON; what the platform acknowledged
	EntryID       string      `bun:"entry_id"`
	Inspection    Inspection  `bun:"inspection"` // stored as JSON
	Progress      float64     `bun:"progress"`   // 0..1 of the current state
	ErrorCode     string      `bun:"error_code"`
	ErrorText     string      `bun:"error_text"`
	NextStep      string      `bun:"next_step"`
	WaitingSince  *time.Time  `bun:"waiting_since"` // for what ErrorCode says, until it is worth another try
	LastTryAt     *time.Time  `bun:"last_try_at"`
	NextTryAt     *time.Time  `bun:"next_try_at"`
	ExpiresAt     time.Time   `bun:"expires_at"`
	FinishedAt    *time.Time  `bun:"finished_at"`

	EntryLostAt    *time.Time `bun:"entry_lost_at"`    // since when the entry is known to be gone
	EntryMissingAt *time.Time `bun:"entry_missing_at"` // since when it is not listed, without being known to be gone
}
