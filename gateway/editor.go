package gateway

import (
	"context"
	"io"
	"time"
)

// EntryChange is what becomes of an entry. Nil and zero fields leave it as it is.
type EntryChange struct {
	Name, Description, UserID, ReferenceID, PartnerData *string
	Tags                                                *[]string
	Categories                                          *[]string // full names; missing ones are made; the entry is in these only then
	CategoryIDs                                         *[]int64
	CanEdit, CanPublish, CanView                        *[]string
	PartnerSortData                                     *int64
	AccessControl, ConversionProfile                    ManifestRef
	TemplateEntryID                                     string // only when an entry is made
	ParentReferenceID                                   string
	StartAt, EndAt                                      *time.Time
	CustomData                                          []ManifestCustom
}

// Editor is a platform whose entries can be changed in all that manifests say. What does not resolve (a profile, a
// category id, an access control) is Invalid with a reason, before anything was changed. All is idempotent.
//
// What a connection is limited to holds here as well: with a category, entries outside are NotFound, categories
// outside are Invalid, an entry never leaves the hub's own category, and its other categories outside stay as they
// are. A conversion profile counts for entries without content only; what was converted stays until it is replaced.
type Editor interface {
	// Make makes an entry without content, found again by the reference id: c.ReferenceID is not looked at, Edit sets
	// it once the id was written down.
	Make(ctx context.Context, actor Actor, referenceID string, t MediaType, c EntryChange) (Media, error)
	Edit(ctx context.Context, actor Actor, id string, c EntryChange) (Media, error)
	// Check says what of a change would not resolve, without changing anything.
	Check(ctx context.Context, actor Actor, c EntryChange) error
	// FindAll gives the entries with a reference id in whatever state, oldest first, 10 at most.
	FindAll(ctx context.Context, actor Actor, referenceID string) ([]Media, error)
	// SetThumbnail gives an entry a picture of size bytes and makes it the default when asked to.
	SetThumbnail(ctx context.Context, actor Actor, id string, r io.Reader, size int64, isDefault bool) error
}

// Replacer is an Ingest whose bytes can become the content of an entry that exists.
type Replacer interface {
	// Replace gives the entry the bytes as its new content, which the conversion profile is for; none = the entry's. With
	// a flavour only that rendition is made or replaced. Repeating it after a lost answer is harmless. The old content may play until the new one is converted: Get says
	// in Media.Replacing how far that is. Unavailable with reason "replacing" while the entry is given other content.
	Replace(ctx context.Context, entryID string, flavor, profile ManifestRef) (Media, error)
}
