package gateway

import "time"

// JobState is how far a piece of long work is.
type JobState string

// The states.
const (
	JobQueued    JobState = "queued"
	JobRunning   JobState = "running"
	JobWaiting   JobState = "waiting" // for the platform, or to be tried again
	JobDone      JobState = "done"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
)

// JobMark360 and JobUnmark360 are the kinds of runs that tag entries and take tags back.
const (
	JobMark360   = "mark_360"
	JobUnmark360 = "unmark_360"
)

// Job is long work that somebody asked for and can watch and cancel at /v1/hubs/{hub}/jobs/{id}.
// It may be carried by several tasks, one after the other.
type Job struct {
	Row
	ParticipantID   string     `bun:"participant_id"`
	ClientID        string     `bun:"client_id"`
	Kind            string     `bun:"kind"`    // "import", "upload", JobMark360, JobUnmark360
	Subject         string     `bun:"subject"` // id of the library item, upload or integration
	State           JobState   `bun:"state"`
	Progress        float64    `bun:"progress"`
	Attempt         int64      `bun:"attempt"`
	NextTryAt       *time.Time `bun:"next_try_at"`
	CancelRequested bool       `bun:"cancel_requested"` // looked at by the running worker several times a second
	ErrorCode       string     `bun:"error_code"`
	ErrorText       string     `bun:"error_text"`
}

// Task is the arguments of one queued piece of work. Kinds are permanent names: rows with them
// outlive the binary. Arguments hold ids only, never secrets.
type Task interface{ Kind() string }

// The tasks.
type (
	// IngestUpload checks a finished upload, completes the relay and makes the entry.
	IngestUpload struct {
		UploadID string `json:"upload_id"`
	}
	// WatchUpload waits until the platform says the entry is ready.
	WatchUpload struct {
		UploadID string `json:"upload_id"`
	}
	// ImportItem copies an entry into the library.
	ImportItem struct {
		ItemID string `json:"item_id"`
	}
	// InspectAsset looks into an asset, then queues PackageAsset.
	InspectAsset struct {
		AssetID string `json:"asset_id"`
	}
	// PackageAsset makes an asset playable, then queues LadderAsset for video.
	PackageAsset struct {
		AssetID string `json:"asset_id"`
	}
	// LadderAsset adds the lower rungs.
	LadderAsset struct {
		AssetID string `json:"asset_id"`
	}
	// SettleAsset tells an asset's owner that its state changed.
	SettleAsset struct {
		AssetID string `json:"asset_id"`
	}
	// AbandonIngest deletes what was sent of an upload that will not be finished.
	AbandonIngest struct {
		UploadID string `json:"upload_id"`
	}
	// TrimAsset removes generations of a package that nobody plays any more.
	TrimAsset struct {
		AssetID string `json:"asset_id"`
	}
	// Sweep expires uploads, invites and sessions and removes what nobody refers to.
	Sweep struct{}
	// ProbeIntegrations checks the health of connections.
	ProbeIntegrations struct{}
	// KeepAlive queues what is due of connections: full diagnoses, reconciliation, looks for 360°.
	KeepAlive struct{}
	// DiagnoseIntegration diagnoses a connection, privilege by privilege.
	DiagnoseIntegration struct {
		IntegrationID string `json:"integration_id"`
	}
	// ReconcileLibrary asks whether the sources of items and uploads are still there.
	ReconcileLibrary struct {
		IntegrationID string `json:"integration_id"`
	}
	// LookAtEntry does so for one entry, at once.
	LookAtEntry struct {
		IntegrationID string `json:"integration_id"`
		EntryID       string `json:"entry_id"`
	}
	// ScanSpherical looks for entries that look spherical and lack the tag.
	ScanSpherical struct {
		IntegrationID string `json:"integration_id"`
	}
	// MarkSpherical tags the entries of a run, or takes the tags back.
	MarkSpherical struct {
		JobID string `json:"job_id"`
	}
	// RunMapping does the work of a dry run or a merge of mappings.
	RunMapping struct {
		JobID string `json:"job_id"`
	}
	// ProbeIntegration asks one connection that does not work again and again; ChangeID is the row of
	// the history that it is to end.
	ProbeIntegration struct {
		IntegrationID string `json:"integration_id"`
		ChangeID      string `json:"change_id"`
	}
	// ErasePerson forgets a participant.
	ErasePerson struct {
		ErasureID string `json:"erasure_id"`
	}
	// DeliverWebhook sends an event to one endpoint.
	DeliverWebhook struct {
		DeliveryID string `json:"delivery_id"`
	}
	// ScanDropFolder looks at what lies in a drop folder.
	ScanDropFolder struct {
		FolderID string `json:"folder_id"`
	}
	// FeedDropFolder gives files of a folder that are whole their turn, as many as may be at work at once.
	FeedDropFolder struct {
		FolderID string `json:"folder_id"`
	}
	// HandleDropFile takes a file of a drop folder as far as it gets.
	HandleDropFile struct {
		FileID string `json:"file_id"`
	}
	// RunDropItems does what the items of a manifest say, some at once.
	RunDropItems struct {
		FileID string `json:"file_id"`
	}
	// TendDropFolders queues what is due of drop folders: looks, waits that are over, deletions.
	TendDropFolders struct{}
	// ResumeWaiting takes up what waits for a connection that works again.
	ResumeWaiting struct {
		IntegrationID string `json:"integration_id"`
	}
)

// Kind names the task for ever.
func (IngestUpload) Kind() string        { return "ingest_upload" }
func (WatchUpload) Kind() string         { return "watch_upload" }
func (ImportItem) Kind() string          { return "import_item" }
func (InspectAsset) Kind() string        { return "inspect_asset" }
func (PackageAsset) Kind() string        { return "package_asset" }
func (LadderAsset) Kind() string         { return "ladder_asset" }
func (SettleAsset) Kind() string         { return "settle_asset" }
func (TrimAsset) Kind() string           { return "trim_asset" }
func (AbandonIngest) Kind() string       { return "abandon_ingest" }
func (Sweep) Kind() string               { return "sweep" }
func (ProbeIntegrations) Kind() string   { return "probe_integrations" }
func (KeepAlive) Kind() string           { return "keep_alive" }
func (DiagnoseIntegration) Kind() string { return "diagnose_integration" }
func (ReconcileLibrary) Kind() string    { return "reconcile_library" }
func (LookAtEntry) Kind() string         { return "look_at_entry" }
func (ScanSpherical) Kind() string       { return "scan_spherical" }
func (MarkSpherical) Kind() string       { return "mark_spherical" }
func (RunMapping) Kind() string          { return "run_mapping" }
func (ProbeIntegration) Kind() string    { return "probe_integration" }
func (ErasePerson) Kind() string         { return "erase_person" }
func (DeliverWebhook) Kind() string      { return "deliver_webhook" }
func (ResumeWaiting) Kind() string       { return "resume_waiting" }
func (ScanDropFolder) Kind() string      { return "scan_drop_folder" }
func (FeedDropFolder) Kind() string      { return "feed_drop_folder" }
func (HandleDropFile) Kind() string      { return "handle_drop_file" }
func (RunDropItems) Kind() string        { return "run_drop_items" }
func (TendDropFolders) Kind() string     { return "tend_drop_folders" }

// Queues keep short work from waiting behind long work.
const (
	QueueDefault = "default"
	QueueMedia   = "media"  // ffmpeg until something plays: few at a time
	QueueLadder  = "ladder" // ffmpeg for better renditions, minutes long: must not keep the next upload from playing
	QueueWatch   = "watch"  // waiting for a platform: many at a time
	// QueuePlatform has work that waits for a platform's answers most of the time: many at a time, so
	// that those which wait for a dead one (see Lanes) leave room for the others.
	QueuePlatform = "platform"
	QueueDrop     = "drop"    // looking at directories and buckets, of which some hang
	QueueWebhook  = "webhook" // waiting for receivers, of which some are always dead
)

// QueueOf tells in which queue a kind of task waits. Store.Enqueue obeys it. A process that was
// killed leaves its tasks marked as running: when a replica starts, those that it held itself become
// available at once (nobody else can be running them).
func QueueOf(kind string) string {
	switch kind {
	case InspectAsset{}.Kind(), PackageAsset{}.Kind():
		return QueueMedia
	case LadderAsset{}.Kind():
		return QueueLadder
	case WatchUpload{}.Kind(), ProbeIntegration{}.Kind(): // a dead server holds a probe for a minute
		return QueueWatch
	case DeliverWebhook{}.Kind():
		return QueueWebhook
	case ScanDropFolder{}.Kind():
		return QueueDrop
	case IngestUpload{}.Kind(), ImportItem{}.Kind(), AbandonIngest{}.Kind(), DiagnoseIntegration{}.Kind(), ReconcileLibrary{}.Kind(),
		LookAtEntry{}.Kind(), ScanSpherical{}.Kind(), MarkSpherical{}.Kind(), RunMapping{}.Kind(),
		HandleDropFile{}.Kind(), FeedDropFolder{}.Kind(), RunDropItems{}.Kind():
		return QueuePlatform
	}
	return QueueDefault
}
