package gateway

import "time"

// ItemKind says where a library item's bytes live.
type ItemKind string

// The kinds.
const (
	ItemLink ItemKind = "link" // streams from the platform
	ItemCopy ItemKind = "copy" // bytes live with us
)

// ItemState is how far an import is.
type ItemState string

// The states.
const (
	ItemPending    ItemState = "pending"
	ItemImporting  ItemState = "importing"
	ItemProcessing ItemState = "processing"
	ItemReady      ItemState = "ready"
	ItemFailed     ItemState = "failed"
	ItemCancelled  ItemState = "cancelled"
)

// ItemSource says where a library item comes from.
type ItemSource string

// The sources.
const (
	SourceKaltura ItemSource = "kaltura" // imported by somebody
	SourceSpaces  ItemSource = "spaces"  // the spaces platform's own, always a copy
)

// LibraryItem is what somebody imported, or what the spaces platform registered. It is visible to its
// importer or owner; Shared makes it visible to the hub. Unique by hub, importer, integration, entry
// and kind, or by hub, client and external id.
type LibraryItem struct {
	Row
	Source        ItemSource `bun:"source"`
	ParticipantID string     `bun:"participant_id"` // importer or owner; empty when it is the hub's
	ClientID      string     `bun:"client_id"`      // that imported for the hub or registered
	ExternalID    string     `bun:"external_id"`    // the registering client's own name for it; for nobody else's eyes
	IntegrationID string     `bun:"integration_id"`
	EntryID       string     `bun:"entry_id"`
	Kind          ItemKind   `bun:"kind"`
	RenditionID   string     `bun:"rendition_id"`
	Name          string     `bun:"name"`
	Type          MediaType  `bun:"type"`
	Is360         bool       `bun:"is_360"`
	DurationMS    int64      `bun:"duration_ms"`
	State         ItemState  `bun:"state"`
	Shared        bool       `bun:"shared"`
	AssetID       string     `bun:"asset_id"` // of a copy
	JobID         string     `bun:"job_id"`   // of the latest import
	ErrorCode     string     `bun:"error_code"`
	ErrorText     string     `bun:"error_text"`
	NextStep      string     `bun:"next_step"`

	Tags        []string   `bun:"tags"`         // stored as JSON; of registered media
	Detected360 bool       `bun:"detected_360"` // the file itself says so, whatever the client said
	ContentKey  string     `bun:"content_key"`  // see contentMarks
	UploadID    string     `bun:"upload_id"`    // that the bytes of registered media came by
	SourceURL   Sealed     `bun:"source_url"`   // or the address, until they are here: it may be a secret
	SourceMark  string     `bun:"source_mark"`  // own setter; what the bytes at the address are known by
	Export      ItemExport `bun:"export"`       // stored as JSON

	ThumbVersion    string     `bun:"thumb_version"`     // of the entry's picture
	SourceLostAt    *time.Time `bun:"source_lost_at"`    // since when the entry is known to be gone
	SourceMissingAt *time.Time `bun:"source_missing_at"` // since when it is not listed, without being known to be gone
}

// Place is where the source's address is sealed.
func (it LibraryItem) Place() string { return "library_items.source_url/" + it.ID }

// ItemExport is what became of sending an own item to Kaltura. It follows the upload that carries it.
type ItemExport struct {
	UploadID string      `json:"upload_id,omitempty"` // empty = never sent
	State    UploadState `json:"state,omitempty"`
	EntryID  string      `json:"entry_id,omitempty"`
	Lost     bool        `json:"lost,omitempty"` // the entry was removed in Kaltura
	Problem  *Problem    `json:"problem,omitempty"`
}
