package gateway

import "time"

// MediaType is the kind of a media item.
type MediaType string

// The media types.
const (
	Video MediaType = "video"
	Image MediaType = "image"
	Audio MediaType = "audio"
	Other MediaType = "other"
)

// MediaStatus is how far a media item is, in our words.
type MediaStatus string

// The statuses.
const (
	MediaUploading  MediaStatus = "uploading" // known, content not there yet
	MediaProcessing MediaStatus = "processing"
	MediaReady      MediaStatus = "ready"
	MediaFailed     MediaStatus = "failed"
)

// Tag360 is Kaltura's only mark of spherical media.
const Tag360 = "360"

// Media is one entry on a platform.
type Media struct {
	ID           string
	Name         string
	Description  string
	Type         MediaType
	Status       MediaStatus
	OwnerID      string // platform user id
	Tags         []string
	DurationMS   int64
	Width        int
	Height       int
	ReferenceID  string
	CreatedAt    time.Time
	UpdatedAt    time.Time
	ThumbVersion string      // changes when the thumbnail does
	Renditions   []Rendition // filled by Get only
	Captions     []Caption   // filled by Get only

	// CategoryID is Account.CategoryID when the platform says that the entry lies in it or below.
	CategoryID int64

	// Replacing is how far other content is that is to take the place of the one that plays:
	// MediaProcessing or MediaFailed; "" = there is none.
	Replacing MediaStatus
}

// Is360 tells whether the media is marked as spherical: the tag itself, not a tag that contains it.
func (m Media) Is360() bool {
	for _, t := range m.Tags {
		if t == Tag360 {
			return true
		}
	}
	return false
}

// Rendition is one encoding of a media item. ID is the platform's own.
type Rendition struct {
	ID        string
	Label     string
	Original  bool
	FlavorID  int64 // flavour parameters that it was made by; 0 = none
	Container string
	Width     int
	Height    int
	Bitrate   int   // bit/s
	Size      int64 // bytes, 0 = unknown
	Ready     bool
}

// RenditionOriginal asks for the file as it was uploaded, or the best there is.
const RenditionOriginal = "original"

// Sort is an order of results. A leading "-" means descending.
type Sort string

// The orders.
const (
	SortNewest  Sort = "-created"
	SortOldest  Sort = "created"
	SortName    Sort = "name"
	SortLongest Sort = "-duration"
	SortUpdated Sort = "-updated"
)

// Query asks for a page of media. Zero values mean "no restriction".
type Query struct {
	Text          string
	Types         []MediaType
	Only360       *bool
	Mine          bool     // only what the actor owns; Catalog turns it into OwnerID
	OwnerID       string   // platform user id; set by Catalog when visibility is own
	Tags          []string // all of them
	Statuses      []MediaStatus
	CreatedAfter  time.Time
	CreatedBefore time.Time
	Sort          Sort
	Limit         int    // 1..100
	Cursor        string // opaque, from Page.Next of the same query
}

// Page is one page of media. Next is empty on the last.
type Page struct {
	Items []Media
	Next  string
	Total int       // -1 = unknown
	AsOf  time.Time // when the platform said so
	Stale bool      // served from cache because the platform did not answer

	Decisions []Decision // why each of Items is shown, in their order; set by Catalog
}

// Range is a half-open byte range [Start, End). End < 0 means "to the end".
type Range struct{ Start, End int64 }

// Playback is how one viewer plays one item. Addresses are short-lived and may hold a playback
// KS: they are given to the viewer and never logged.
type Playback struct {
	DASH        string
	HLS         string
	Progressive string
	Image       string // full picture of an image
	Waveform    string // JSON of peaks, for audio
	Thumbnail   string
	Captions    []Caption
	ExpiresAt   time.Time
}

// Caption is a text track. ID is the platform's own.
type Caption struct {
	ID       string
	Language string // RFC 5646, "und" = not told
	Label    string
	Format   string // as the platform keeps it: "srt", "dfxp" or "webvtt"; Captioner gives WebVTT of each
	Default  bool
}

// NewMedia describes an entry to be made.
type NewMedia struct {
	ReferenceID string // ours, unique: finds the entry again after a lost answer
	Handle      string // durable handle of an earlier Ingest to resume; empty = begin
	Name        string
	Description string
	FileName    string
	Size        int64
	Type        MediaType
	Tags        []string
	ProfileID   int64 // conversion profile; 0 = the account's
}
