package gateway

import (
	"context"
	"io"
	"time"
)

// ManifestFormat is how a manifest is written.
type ManifestFormat string

// The formats.
const (
	ManifestXML  ManifestFormat = "xml"
	ManifestJSON ManifestFormat = "json"
	ManifestCSV  ManifestFormat = "csv"
)

// ManifestAction is what an item asks for. Empty: update when it names an entry id, or a reference id that an entry
// has; else add.
type ManifestAction string

// The actions.
const (
	ManifestAdd    ManifestAction = "add"
	ManifestUpdate ManifestAction = "update"
	ManifestDelete ManifestAction = "delete"
)

// ManifestRef names a thing of the platform by its number or by its system name.
type ManifestRef struct {
	ID   int64  `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// Zero tells whether nothing is named.
func (r ManifestRef) Zero() bool { return r == ManifestRef{} }

// ManifestItem is one item: an entry to be made, changed or deleted. Nil and empty fields say nothing, and change
// nothing of an entry that exists.
type ManifestItem struct {
	Number int64 `json:"number"` // from 1
	Line   int64 `json:"line"`
	Column int64 `json:"column"`

	Action            ManifestAction `json:"action,omitempty"`
	EntryID           string         `json:"entry_id,omitempty"`
	ReferenceID       string         `json:"reference_id,omitempty"`
	ParentReferenceID string         `json:"parent_reference_id,omitempty"`
	Type              MediaType      `json:"type,omitempty"` // video, image or audio
	UserID            string         `json:"user_id,omitempty"`
	CanEdit           *[]string      `json:"can_edit,omitempty"`    // users
	CanPublish        *[]string      `json:"can_publish,omitempty"` // users
	CanView           *[]string      `json:"can_view,omitempty"`    // users
	Name              *string        `json:"name,omitempty"`
	Description       *string        `json:"description,omitempty"`
	Tags              *[]string      `json:"tags,omitempty"`
	Categories        *[]string      `json:"categories,omitempty"` // full names, "a>b"; missing ones are made
	CategoryIDs       *[]int64       `json:"category_ids,omitempty"`
	PartnerData       *string        `json:"partner_data,omitempty"`
	PartnerSortData   *int64         `json:"partner_sort_data,omitempty"`
	AccessControl     ManifestRef    `json:"access_control,omitzero"`
	ConversionProfile ManifestRef    `json:"conversion_profile,omitzero"`
	TemplateEntryID   string         `json:"template_entry_id,omitempty"`
	StartAt           *time.Time     `json:"start_at,omitempty"`
	EndAt             *time.Time     `json:"end_at,omitempty"`
	DurationMS        *int64         `json:"duration_ms,omitempty"`

	KeepManualThumbnails bool                `json:"keep_manual_thumbnails,omitempty"`
	Replace              bool                `json:"replace,omitempty"` // of an update: all content is replaced, not only the assets named
	Contents             []ManifestContent   `json:"contents,omitempty"`
	Thumbnails           []ManifestThumbnail `json:"thumbnails,omitempty"`
	CustomData           []ManifestCustom    `json:"custom_data,omitempty"`
}

// ManifestResource is where bytes are: exactly one of File, URL, Token, EntryID and AssetID.
type ManifestResource struct {
	File    string `json:"file,omitempty"`     // name in the folder
	URL     string `json:"url,omitempty"`      // http or https; a secret may be part of it: never logged
	Token   string `json:"token,omitempty"`    // an upload token of the platform
	EntryID string `json:"entry_id,omitempty"` // the source of another entry
	AssetID string `json:"asset_id,omitempty"`
	Size    int64  `json:"size,omitempty"`   // said; 0 = not
	MD5     string `json:"md5,omitempty"`    // said, lower-case hex
	SHA1    string `json:"sha1,omitempty"`   // said
	SHA256  string `json:"sha256,omitempty"` // said
}

// ManifestContent is the content of an entry, or of one of its renditions.
type ManifestContent struct {
	ManifestResource
	Flavor ManifestRef `json:"flavor,omitzero"` // flavour parameters; zero = the source
	Asset  string      `json:"asset,omitempty"` // asset to be updated
	Tags   []string    `json:"tags,omitempty"`
}

// ManifestThumbnail is a picture of an entry.
type ManifestThumbnail struct {
	ManifestResource
	Default bool        `json:"default,omitempty"`
	Params  ManifestRef `json:"params,omitzero"`
	Asset   string      `json:"asset,omitempty"`
	Tags    []string    `json:"tags,omitempty"`
}

// ManifestCustom is custom metadata, passed through as it is.
type ManifestCustom struct {
	Profile ManifestRef `json:"profile"`
	Action  string      `json:"action,omitempty"` // replace (default), transformXslt is refused, delete
	XML     string      `json:"xml"`
}

// ManifestFault is what is wrong with a manifest, and where. Line and Column count from 1, columns in characters.
type ManifestFault struct {
	Line   int64  `json:"line"`
	Column int64  `json:"column"`
	Item   int64  `json:"item,omitempty"` // 0 = the document itself
	Rule   string `json:"rule"`           // stable slug, e.g. "element_unexpected"
	Text   string `json:"text"`
	Fix    string `json:"fix"`
	Fatal  bool   `json:"fatal"` // nothing after it can be read; the document is refused whole
}

// ManifestVisitor takes what a manifest says, one item after the other. An item with faults is not given; its faults
// are. An error of either ends the reading and is given back.
type ManifestVisitor interface {
	Item(ManifestItem) error
	Fault(ManifestFault) error
}

// Manifests reads manifests as streams, with bounded memory. A document that cannot be read further is told by a Fatal
// fault, and nil is returned; the error is of reading r or of the visitor. Safe for concurrent use.
type Manifests interface {
	// Format tells which manifest a name means; "" = none.
	Format(name string) ManifestFormat
	Read(ctx context.Context, format ManifestFormat, r io.Reader, v ManifestVisitor) error
}
