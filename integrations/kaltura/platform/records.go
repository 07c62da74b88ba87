package platform

import (
	"context"
	"time"

	"isthmus/gateway"
)

// Records is where the platform keeps its rows. store implements it on the same database and in
// the same transactions as the gateway's own tables. Safe for concurrent use.
type Records interface {
	// Kaltura gives the tables outside of a transaction.
	Kaltura() Tables
	// KalturaTx runs f in one transaction, as gateway.Store.Tx does.
	KalturaTx(ctx context.Context, f func(Tx) error) error
}

// Tx is a running transaction over the platform's tables and the gateway's: an entry, its asset
// and the task that packages it commit together.
type Tx interface {
	gateway.Tx
	Kaltura() Tables
}

// Tables are the platform's nouns.
type Tables interface {
	Accounts() Table[AccountRow]
	Users() Table[User]
	Sessions() Table[Session]
	AppTokens() Table[AppToken]
	UploadTokens() Table[UploadToken]
	Entries() Table[Entry]
	Flavors() Table[Flavor]
	AccessControls() Table[AccessControl]
	DropFolders() Table[DropFolder]
	DropFolderFiles() Table[DropFolderFile]
	Jobs() Table[Job]
	Categories() Table[Category]
	CategoryEntries() Table[CategoryEntry]
	CategoryUsers() Table[CategoryUser]
	Captions() Table[Caption]
	Thumbs() Table[Thumb]
	MetadataProfiles() Table[MetadataProfile]
	Metadata() Table[Metadata]
}

// Table are the operations of one noun. Rows belong to a partner; partner 0 stands for any, for
// addresses that name no partner that could be trusted. Errors are as of gateway.Rows: NotFound,
// Conflict on a duplicate, Conflict "changed_meanwhile" when the version moved on.
type Table[T any] interface {
	Get(ctx context.Context, partner int64, id string) (T, error)
	Insert(ctx context.Context, row *T) error
	Update(ctx context.Context, row *T) error
	Delete(ctx context.Context, partner int64, id string) error
	Find(ctx context.Context, f Find) ([]T, error)
	Count(ctx context.Context, f Find) (int, error)
}

// Find asks for rows of a partner. Limit 0 means all of them. Rows with equal order keys come in
// the order of their ids, so that pages neither repeat nor lose a row.
type Find struct {
	Partner int64
	Where   Cond
	Order   []Order
	Limit   int
	Offset  int
}

// Order is a column to sort by.
type Order struct {
	Column string
	Desc   bool
}

// Op says how a condition compares.
type Op string

// The comparisons. Contains looks for Text in a column, taking it literally.
const (
	OpAll      Op = "all" // every one of Of holds; also the zero Cond: no restriction
	OpAny      Op = "any" // at least one of Of holds; none of an empty list
	OpNot      Op = "not" // Of[0] does not hold
	OpIn       Op = "in"  // column equals one of Values; none of an empty list
	OpAtLeast  Op = ">="
	OpAtMost   Op = "<="
	OpContains Op = "contains"
	OpPrefix   Op = "prefix" // ignoring case
)

// Cond is a condition on rows. Columns are those of the record types; store refuses others.
type Cond struct {
	Op     Op
	Column string
	Values []any
	Text   string
	Of     []Cond
}

func all(of ...Cond) Cond            { return Cond{Op: OpAll, Of: of} }
func anyOf(of ...Cond) Cond          { return Cond{Op: OpAny, Of: of} }
func not(c Cond) Cond                { return Cond{Op: OpNot, Of: []Cond{c}} }
func contains(column, s string) Cond { return Cond{Op: OpContains, Column: column, Text: s} }
func prefix(column, s string) Cond   { return Cond{Op: OpPrefix, Column: column, Text: s} }

func in[T any](column string, values ...T) Cond {
	c := Cond{Op: OpIn, Column: column}
	for _, v := range values {
		c.Values = append(c.Values, v)
	}
	return c
}

// Row is what every record has. The key is Partner and ID together.
type Row struct {
	Partner   int64     `bun:"partner_id,pk"`
	ID        string    `bun:"id,pk"`
	Version   int64     `bun:"version"`
	CreatedAt time.Time `bun:"created_at"`
	UpdatedAt time.Time `bun:"updated_at"`
}

// AccountRow is one account ("partner"). Its ID is the partner id as text. Secrets are sealed.
type AccountRow struct {
	Row
	HubID       string         `bun:"hub_id"`
	Name        string         `bun:"name"`
	AdminEmail  string         `bun:"admin_email"`
	AdminSecret gateway.Sealed `bun:"admin_secret"`
	UserSecret  gateway.Sealed `bun:"user_secret"`
	Entitlement bool           `bun:"entitlement"` // enforced unless a session says otherwise
}

// Status of a user.
const (
	userBlocked = 0
	userActive  = 1
	userDeleted = 2
)

// User is a user of an account.
type User struct {
	Row
	Email           string            `bun:"email"`
	FirstName       string            `bun:"first_name"`
	LastName        string            `bun:"last_name"`
	ScreenName      string            `bun:"screen_name"`
	Status          int64             `bun:"status"`
	IsAdmin         bool              `bun:"is_admin"`
	IsGuest         bool              `bun:"is_guest"`
	IsOwner         bool              `bun:"is_owner"` // of the account
	LoginEnabled    bool              `bun:"login_enabled"`
	Password        []byte            `bun:"password"` // salted, stretched
	Profile         map[string]string `bun:"profile"`  // country, city, tags and the like; stored as JSON
	StatusUpdatedAt time.Time         `bun:"status_updated_at"`
	DeletedAt       *time.Time        `bun:"deleted_at"`
}

// Session remembers what must be known of sessions that were ended or counted. ID is the hash of
// a KS, or "sessionid:" and the name of a group.
type Session struct {
	Row
	Uses      int64      `bun:"uses"`
	EndedAt   *time.Time `bun:"ended_at"`
	ExpiresAt time.Time  `bun:"expires_at"` // when the row may be forgotten
}

// Status of an app token.
const (
	appTokenDisabled = 1
	appTokenActive   = 2
)

// AppToken is an app token.
type AppToken struct {
	Row
	Token             gateway.Sealed `bun:"token"`
	Status            int64          `bun:"status"`
	Expiry            *int64         `bun:"expiry"` // unix seconds
	SessionType       *int64         `bun:"session_type"`
	SessionUserID     *string        `bun:"session_user_id"`
	SessionDuration   int64          `bun:"session_duration"`
	SessionPrivileges *string        `bun:"session_privileges"`
	HashType          string         `bun:"hash_type"`
	Description       *string        `bun:"description"`
}

// Status of an upload token.
const (
	tokenPending = 0
	tokenPartial = 1
	tokenFull    = 2
	tokenClosed  = 3
)

// UploadToken is a file on its way in. Its bytes lie in staging under its id.
type UploadToken struct {
	Row
	UserID       string  `bun:"user_id"`
	Status       int64   `bun:"status"`
	FileName     *string `bun:"file_name"`
	FileSize     *int64  `bun:"file_size"` // as announced; not binding
	Uploaded     *int64  `bun:"uploaded"`  // contiguous bytes as shown
	AutoFinalize bool    `bun:"auto_finalize"`
	EntryID      string  `bun:"entry_id"` // entry that waits for it, or got it
	AssetID      string  `bun:"asset_id"` // chosen before the bytes are published, so that a crash in between is repaired by a repeat
}

// Status of an entry.
const (
	entryErrorImporting  = -2
	entryErrorConverting = -1
	entryImport          = 0
	entryPreconvert      = 1
	entryReady           = 2
	entryNoContent       = 7
)

// Media types of Kaltura.
const (
	mediaVideo = 1
	mediaImage = 2
	mediaAudio = 5
)

// Entry is one media entry. The Terms columns hold normalised words between blanks, for search.
type Entry struct {
	Row
	UserID            string       `bun:"user_id"`
	CreatorID         string       `bun:"creator_id"`
	Name              string       `bun:"name"`
	Description       string       `bun:"description"`
	Tags              string       `bun:"tags"`
	AdminTags         string       `bun:"admin_tags"`
	Status            int64        `bun:"status"`
	MediaType         int64        `bun:"media_type"`
	Type              int64        `bun:"type"`
	SourceType        string       `bun:"source_type"`
	ReferenceID       string       `bun:"reference_id"`
	PartnerData       string       `bun:"partner_data"`
	AccessControl     int64        `bun:"access_control"`
	ConversionProfile int64        `bun:"conversion_profile"` // 0 = not chosen yet
	DurationMS        int64        `bun:"duration_ms"`
	Width             int64        `bun:"width"`
	Height            int64        `bun:"height"`
	FlavorParams      string       `bun:"flavor_params"`
	ThumbVersion      int64        `bun:"thumb_version"`
	AssetID           string       `bun:"asset_id"`
	Generations       []Generation `bun:"generations"` // published packages, newest last; stored as JSON
	TermsName         string       `bun:"terms_name"`
	TermsTags         string       `bun:"terms_tags"`
	TermsDescription  string       `bun:"terms_description"`
	TermsAll          string       `bun:"terms_all"`
	Categories        string       `bun:"categories"`   // full names, comma list
	CategoryIDs       string       `bun:"category_ids"` // ids with those of the parents, between blanks: " 1>2 7 "
	StartAt           int64        `bun:"start_at"`     // unix seconds, 0 = not set
	EndAt             int64        `bun:"end_at"`
	SortValue         int64        `bun:"sort_value"`
	CanEdit           string       `bun:"can_edit"` // users between commas: ",a,b,"; "" = none
	CanPublish        string       `bun:"can_publish"`
	CanView           string       `bun:"can_view"`
	ParentID          string       `bun:"parent_id"`
	TemplateID        string       `bun:"template_id"`
	ThumbID           string       `bun:"thumb_id"` // the default picture; "" = that of the package
}

// Generation names the manifests of one published package, so that an address handed out keeps
// meaning the package it was made for.
type Generation struct {
	DASH string `json:"dash"`
	HLS  string `json:"hls"`
}

// Status of a flavor.
const (
	flavorError  = -1
	flavorQueued = 0
	flavorReady  = 2
)

// Flavor is one encoding of an entry: the original or a rung of the ladder.
type Flavor struct {
	Row
	EntryID   string  `bun:"entry_id"`
	Params    int64   `bun:"params"` // flavorParamsId, 0 = source
	Status    int64   `bun:"status"`
	Blob      string  `bun:"blob"`
	Size      int64   `bun:"size"` // bytes
	Width     int64   `bun:"width"`
	Height    int64   `bun:"height"`
	Bitrate   int64   `bun:"bitrate"` // kbit/s
	FrameRate float64 `bun:"frame_rate"`
	FileExt   string  `bun:"file_ext"`
	Container string  `bun:"container"`
	Codec     string  `bun:"codec"`
	Codecs    string  `bun:"codecs"` // RFC 6381, for HLS
	Tags      string  `bun:"tags"`
	Given     bool    `bun:"given"` // uploaded as it is: no package takes its place
}

// AccessControl is an access control profile. Its ID is a number as text.
type AccessControl struct {
	Row
	Name          string `bun:"name"`
	SystemName    string `bun:"system_name"`
	Description   string `bun:"description"`
	IsDefault     bool   `bun:"is_default"`
	SessionNeeded bool   `bun:"session_needed"` // KalturaSessionRestriction
}
