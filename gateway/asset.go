package gateway

import (
	"context"
	"io"
	"time"
)

// AssetState is how far the media pipeline is with an asset.
type AssetState string

// The states, in order. Playable means that something plays and better renditions follow.
const (
	AssetInspecting AssetState = "inspecting"
	AssetPackaging  AssetState = "packaging"
	AssetPlayable   AssetState = "playable"
	AssetReady      AssetState = "ready"
	AssetFailed     AssetState = "failed"
)

// Plays tells whether an asset in this state can be played.
func (s AssetState) Plays() bool { return s == AssetPlayable || s == AssetReady }

// Asset is bytes that we keep, with what was made from them.
type Asset struct {
	Row
	OwnerKind  string     `bun:"owner_kind"` // OwnerKalturaEntry or OwnerLibraryItem
	OwnerID    string     `bun:"owner_id"`
	State      AssetState `bun:"state"`
	FileName   string     `bun:"file_name"`
	Original   string     `bun:"original"` // blob key of the bytes as they came
	Size       int64      `bun:"size"`
	SHA256     string     `bun:"sha256"`
	Inspection Inspection `bun:"inspection"` // stored as JSON; zero until inspected
	Package    Package    `bun:"package"`    // stored as JSON; zero until playable
	Progress   float64    `bun:"progress"`   // 0..1 of the current step
	Attempt    int64      `bun:"attempt"`    // fencing number: a worker's outputs go to a folder named after it
	ErrorCode  string     `bun:"error_code"` // stable slug, e.g. "truncated"
	ErrorText  string     `bun:"error_text"`
}

// Owners of assets.
const (
	OwnerKalturaEntry = "kaltura_entry"
	OwnerLibraryItem  = "library_item"
)

// Projection says how a picture is to be shown.
type Projection string

// The projections.
const (
	Flat                Projection = ""
	Equirectangular     Projection = "equirectangular"
	HalfEquirectangular Projection = "half_equirectangular"
	Cubemap             Projection = "cubemap"
)

// Inspection is what a look inside a file found.
type Inspection struct {
	Type       MediaType  `json:"type"`
	MIME       string     `json:"mime"`
	Container  string     `json:"container"` // "mp4", "webm", "jpeg", …
	DurationMS int64      `json:"duration_ms"`
	Width      int        `json:"width"` // as shown, after rotation
	Height     int        `json:"height"`
	FrameRate  float64    `json:"frame_rate"`
	VideoCodec string     `json:"video_codec"`
	AudioCodec string     `json:"audio_codec"`
	Bitrate    int64      `json:"bitrate"` // bit/s of the whole file
	Projection Projection `json:"projection"`
	Stereo     string     `json:"stereo"`      // "", "mono", "top_bottom", "left_right"
	Evidence   string     `json:"evidence"`    // why we hold it to be spherical, in words
	Suggest360 bool       `json:"suggest_360"` // a 2:1 picture without metadata: a hint, never a tag
	CopyVideo  bool       `json:"copy_video"`  // codecs allow repackaging without encoding
	CopyAudio  bool       `json:"copy_audio"`
}

// Is360 tells whether metadata (not just the shape) says the media is spherical.
func (i Inspection) Is360() bool { return i.Projection != Flat }

// Package is what the pipeline published for playing. Keys are blob keys.
type Package struct {
	Dir        string              `json:"dir"` // blob key prefix of this generation
	DASH       string              `json:"dash,omitempty"`
	HLS        string              `json:"hls,omitempty"`
	Image      string              `json:"image,omitempty"`
	Waveform   string              `json:"waveform,omitempty"` // JSON of peaks, for audio
	Thumbnails []Thumbnail         `json:"thumbnails,omitempty"`
	Renditions []PackagedRendition `json:"renditions,omitempty"` // top rung first
}

// Thumbnail is one poster picture (JPEG).
type Thumbnail struct {
	Key           string `json:"key"`
	Width, Height int
}

// PackagedRendition is one rung of the ladder as a plain MP4 of its own and as part of DASH and HLS.
type PackagedRendition struct {
	Name    string `json:"name"` // "source", "720p", …
	Key     string `json:"key"`  // progressive MP4 (or audio, or picture)
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Bitrate int64  `json:"bitrate"`
	Size    int64  `json:"size"`
	Codecs  string `json:"codecs"`
}

// Staging keeps files that are still arriving, on local disk. What WriteAt has returned or Commit has
// confirmed is on disk (fsync) and survives a power cut. Safe for concurrent use; writes to one id at
// overlapping ranges are the caller's to exclude.
type Staging interface {
	// Create reserves an id. Conflict when it exists with another size; harmless when equal. Size -1
	// means that nobody knows it yet (Kaltura's upload tokens): the file grows with what is written.
	Create(ctx context.Context, id string, size int64) error
	// Prepare is Create for an id that may be forgotten in a crash, until bytes of it are durable.
	Prepare(ctx context.Context, id string, size int64) error
	// Room refuses with Unavailable, reason "disk_full", when so many bytes do not fit on the disk now.
	Room(ctx context.Context, size int64) error
	// WriteAt stores what r gives at offset and returns how many bytes are durable, also when it
	// fails. It makes bytes durable as it goes, so a long body advances Durable step by step.
	// TooLarge beyond the size, Unavailable with reason "disk_full" when the disk is.
	WriteAt(ctx context.Context, id string, offset int64, r io.Reader) (int64, error)
	// Put stores p at offset, in any order, again too. Nobody may count on it before a Commit that is called
	// afterwards. TooLarge beyond the size, Unavailable with reason "disk_full" when the disk is.
	Put(ctx context.Context, id string, p []byte, offset int64) error
	// Commit makes durable what Put took before the call. After an error everything that was put since
	// the last Commit without one counts as never put: Durable says what is left.
	Commit(ctx context.Context, id string) error
	// Durable gives the ranges on disk, merged and sorted. NotFound for an unknown id.
	Durable(ctx context.Context, id string) (Ranges, error)
	// Open reads a file whether complete or not.
	Open(ctx context.Context, id string) (StagedFile, error)
	// Sum gives the SHA-256 (hex) of the first size bytes. It is kept up to date as bytes come, so
	// that it is quick at the end; after a restart it reads the file again.
	Sum(ctx context.Context, id string, size int64) (string, error)
	// Remove forgets the id and its bytes. Harmless when unknown.
	Remove(ctx context.Context, id string) error
	// Stale lists ids with the prefix whose last change was before a time, for the sweep.
	Stale(ctx context.Context, prefix string, before time.Time) ([]string, error)
}

// StagedFile reads a staged file.
type StagedFile interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Blobs keeps finished files under keys. A key, once there, is whole and durable and never changes.
// Safe for concurrent use.
type Blobs interface {
	// Adopt publishes a complete staged file (of unknown size: one without gaps) under key (fsync,
	// rename, fsync) and removes it from staging. Harmless when the key is already there.
	Adopt(ctx context.Context, stagedID, key string) error
	// Open reads a range. NotFound when absent.
	Open(ctx context.Context, key string, rng Range) (io.ReadCloser, BlobInfo, error)
	// Stat tells size and time without opening. NotFound when absent.
	Stat(ctx context.Context, key string) (BlobInfo, error)
	// Folders names the folders directly below a prefix (with its trailing slash) to which nothing
	// was added since a time, for the sweep.
	Folders(ctx context.Context, prefix string, before time.Time) ([]string, error)
	// Remove deletes the key or, with a trailing slash, everything below it.
	Remove(ctx context.Context, key string) error
}

// BlobInfo describes a blob.
type BlobInfo struct {
	Size    int64
	ModTime time.Time
}

// Source names bytes for the pipeline: a staged file or a blob.
type Source struct{ Staged, Blob string }

// Progress reports 0..1 of a step. It is called often and must return quickly.
type Progress func(float64)

// Pipeline looks into media and makes it playable. Every run of ffmpeg is sandboxed. A refusal
// (unknown type, truncated, too large a picture, no playable stream) is *Error Invalid with a
// stable reason and is final; anything else may be tried again. Outputs appear under
// dir (a blob key prefix) by rename, whole or not at all, so running twice is harmless.
// Safe for concurrent use.
type Pipeline interface {
	// Inspect sniffs, probes and looks for spherical metadata.
	Inspect(ctx context.Context, src Source, fileName string) (Inspection, error)
	// Package makes the quickest playable form: repackaged without encoding when codecs allow, else
	// a first encoded rung; thumbnails; for images and audio everything.
	Package(ctx context.Context, src Source, in Inspection, dir string, p Progress) (Package, error)
	// Ladder adds the lower rungs to a packaged video and publishes the whole as a new generation in dir.
	Ladder(ctx context.Context, src Source, in Inspection, have Package, dir string, p Progress) (Package, error)
}
