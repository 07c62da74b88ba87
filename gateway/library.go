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

// LibraryItem is what somebody imported. It is visible to its importer; Shared makes it visible to
// the hub. Unique by hub, importer, integration, entry and kind.
type LibraryItem struct {
	Row
	ParticipantID string    `bun:"participant_id"` // importer; empty when a machine client imported for the hub
	ClientID      string    `bun:"client_id"`
	IntegrationID string    `bun:"integration_id"`
	EntryID       string    `bun:"entry_id"`
	Kind          ItemKind  `bun:"kind"`
	RenditionID   string    `bun:"rendition_id"`
	Name          string    `bun:"name"`
	Type          MediaType `bun:"type"`
	Is360         bool      `bun:"is_360"`
	DurationMS    int64     `bun:"duration_ms"`
	State         ItemState `bun:"state"`
	Shared        bool      `bun:"shared"`
	AssetID       string    `bun:"asset_id"` // of a copy
	JobID         string    `bun:"job_id"`   // of the latest import
	ErrorCode     string    `bun:"error_code"`
	ErrorText     string    `bun:"error_text"`
	NextStep      string    `bun:"next_step"`

	ThumbVersion    string     `bun:"thumb_version"`     // of the entry's picture
	SourceLostAt    *time.Time `bun:"source_lost_at"`    // since when the entry is known to be gone
	SourceMissingAt *time.Time `bun:"source_missing_at"` // since when it is not listed, without being known to be gone
}
