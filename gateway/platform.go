package gateway

import (
	"context"
	"io"
	"time"
)

// Platform is one connected account on a media platform. Every method returns *Error: NotFound,
// Forbidden, Unavailable (worth repeating), Precondition with reason "credentials_invalid" (only a
// new credential helps) or Invalid. Implementations are safe for concurrent use and do not decide
// visibility: Actor.PlatformUserID and Query.OwnerID tell them for whom to ask.
type Platform interface {
	// Browse gives one page. Idempotent.
	Browse(ctx context.Context, actor Actor, q Query) (Page, error)
	// Get gives one entry with its renditions. Idempotent.
	Get(ctx context.Context, actor Actor, id string) (Media, error)
	// Open streams a rendition from rng.Start. A reader that fails midway may be opened again at a
	// later start. The reader is Sized when the platform told the whole length (Rendition.Size is
	// often rounded).
	Open(ctx context.Context, actor Actor, id, rendition string, rng Range) (io.ReadCloser, error)
	// Create begins, or with NewMedia.Handle resumes, sending a file. No entry exists before Finish.
	Create(ctx context.Context, actor Actor, m NewMedia) (Ingest, error)
}

// Sized is a reader that knows how long the whole rendition is, in bytes, whatever part is read; -1 = unknown.
type Sized interface{ Size() int64 }

// Ingest is one file on its way to a platform. Not safe for concurrent use except WriteAt, which
// may run in parallel for disjoint ranges.
type Ingest interface {
	// Handle identifies the ingest durably; NewMedia.Handle resumes it after a crash.
	Handle() string
	// WriteAt sends size bytes of r at offset. Repeating the same range is harmless. NotFound with
	// reason "ingest_gone" means the platform forgot the handle: begin again.
	WriteAt(ctx context.Context, offset, size int64, r io.Reader) error
	// Finish makes the entry exactly once, found again by reference id, and attaches the content.
	Finish(ctx context.Context, m NewMedia) (Media, error)
	// Abandon forgets what was sent. Harmless when already gone.
	Abandon(ctx context.Context) error
}

// Player is a platform that can play its entries.
type Player interface {
	// Playback gives addresses for one viewer, valid for minutes.
	Playback(ctx context.Context, actor Actor, m Media) (Playback, error)
	// Thumbnail streams a picture of at most the given width with its content type.
	Thumbnail(ctx context.Context, actor Actor, m Media, width int) (io.ReadCloser, string, error)
}

// Captioner is a platform that has text tracks.
type Captioner interface {
	// Caption gives one as WebVTT. NotFound when it is gone, Invalid when it cannot be read.
	Caption(ctx context.Context, actor Actor, c Caption) ([]byte, error)
}

// Tagger is a platform whose entries' tags can be changed. AddTag keeps the others and is idempotent.
type Tagger interface {
	AddTag(ctx context.Context, actor Actor, id, tag string) (Media, error)
	// RemoveTag takes one tag away and keeps the others. Idempotent.
	RemoveTag(ctx context.Context, actor Actor, id, tag string) (Media, error)
}

// PlatformUser is a user account on a platform.
type PlatformUser struct {
	ID, Email, FirstName, LastName string
	Active                         bool
}

// Provisioner is a platform on which users can be found and made.
type Provisioner interface {
	// User gives the user with an id. NotFound when there is none.
	User(ctx context.Context, id string) (PlatformUser, error)
	// FindUsers gives the active users whose e-mail equals the given one, ignoring case; exact, none or several.
	FindUsers(ctx context.Context, email string) ([]PlatformUser, error)
	// CreateUser makes a user who cannot log in; if one with this id exists it is returned with created = false.
	CreateUser(ctx context.Context, u PlatformUser) (user PlatformUser, created bool, err error)
}

// Prober is a platform that can diagnose its credential. An answer with failed checks is not an error.
type Prober interface {
	Probe(ctx context.Context, want Visibility) (Diagnosis, error)
}

// Pinger is a platform that can be asked cheaply whether it answers and takes the credential. It is
// asked also while a breaker keeps other calls from it. Unavailable, or Precondition with reason
// "credentials_invalid".
type Pinger interface {
	Ping(ctx context.Context) error
}

// Remover is a platform whose entries can be deleted. Harmless when already gone.
type Remover interface {
	Remove(ctx context.Context, actor Actor, id string) error
}

// Finder is a platform on which an entry can be found by the reference id that it was made with.
type Finder interface {
	// Find gives the entry in whatever state. NotFound when there is none, or none yet: a platform's
	// index may lag by seconds.
	Find(ctx context.Context, actor Actor, referenceID string) (Media, error)
}

// Looker is a platform that can be asked about many entries at once, whoever owns them.
type Looker interface {
	// Look gives those of the entries (100 ids at most) that it lists, in whatever state and in no
	// order. One that is missing may only not be listed, or not yet: ask Get before believing that it
	// is gone.
	Look(ctx context.Context, ids []string) ([]Media, error)
}

// Reowner is a platform whose entries can be given to another user. It needs an administrator's
// right: Forbidden without.
type Reowner interface {
	// OwnedBy gives a page of the ids of the entries that a user owns, in whatever state, and how many
	// there are; cursor "" = the first page, next "" = the last. New entries may be listed late.
	OwnedBy(ctx context.Context, userID, cursor string) (ids []string, next string, total int, err error)
	// Reown gives an entry of one user to another, who must exist. Harmless when it is the other's
	// already. Conflict with reason "owner_changed" when it belongs to somebody else by now.
	Reown(ctx context.Context, id, from, to string) error
}

// Account is an integration with its secret in clear, for the adapter only.
type Account struct {
	// SavedAt says when these values were saved; zero for a trial of values that are not. Of the saved
	// accounts of one integration the newest takes over from those still in use.
	SavedAt       time.Time
	IntegrationID string
	HubID         string
	Platform      string
	ServiceURL    string
	PartnerID     int64
	AppTokenID    string
	AppToken      Secret
	HashType      string
	MatchBy       MatchBy

	CategoryID          int64 // Browse lists this category and those below it; 0 = the whole account
	Entitlement         Entitlement
	PrivacyContext      string
	ConversionProfileID int64  // 0 = the account's default
	PlayerTokenID       string // "" = AppToken plays too
	PlayerToken         Secret
	PlayerHashType      string
}

// Platforms opens accounts. Equal accounts share sessions, breakers and connections, so Open is
// cheap and may be called for each request. Invalid with a reason when the account cannot be
// right (address not allowed, unknown platform). Safe for concurrent use.
type Platforms interface {
	Open(a Account) (Platform, error)
}
