package gateway

import "context"

// Library imports entries into the hub and plays them.
type Library struct {
	Store   Store
	Clock   Clock
	Catalog *Catalog
	Tickets Tickets
	Assets  *Assets
	Events  *Events
}

// Import asks for an entry. The same entry by the same importer in the same kind gives the same
// item (created = false), also after a failure, when it is tried again.
func (s *Library) Import(ctx context.Context, a Actor, entryID string, kind ItemKind, rendition string) (_ LibraryItem, _ Job, created bool, _ error) {
	panic("todo")
}

// List gives items the actor may see, newest first.
func (s *Library) List(ctx context.Context, a Actor, text string, types []MediaType, w Slice) ([]LibraryItem, error) {
	panic("todo")
}

// Get gives an item the actor may see, NotFound otherwise.
func (s *Library) Get(ctx context.Context, a Actor, id string) (LibraryItem, error) { panic("todo") }

// Share makes an item visible to the hub or takes that back: the importer or an admin, audited.
func (s *Library) Share(ctx context.Context, a Actor, id string, version int64, shared bool) (LibraryItem, error) {
	panic("todo")
}

// Remove deletes an item and, for a copy, its bytes; the entry on the platform stays.
func (s *Library) Remove(ctx context.Context, a Actor, id string) error { panic("todo") }

// Playback plays an item: a link through the platform (visibility is asked again), a copy from our
// own files as relative addresses below /play/{ticket}/.
func (s *Library) Playback(ctx context.Context, a Actor, id string) (LibraryItem, Playback, error) {
	panic("todo")
}

// RunImport copies the bytes of an item, resuming where it was (task ImportItem).
func (s *Library) RunImport(ctx context.Context, itemID string) error { panic("todo") }

// AssetChanged follows the state of a copy's asset.
func (s *Library) AssetChanged(ctx context.Context, as Asset) error { panic("todo") }
