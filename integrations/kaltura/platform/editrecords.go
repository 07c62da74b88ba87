package platform

// Thumb is a picture of an entry that was put there by hand. An entry without one shows the picture of
// its package.
type Thumb struct {
	Row
	EntryID     string `bun:"entry_id"`
	Status      int64  `bun:"status"`
	Tags        string `bun:"tags"`
	Description string `bun:"description"`
	Params      int64  `bun:"params"`
	Blob        string `bun:"blob"` // "" = no content yet
	Size        int64  `bun:"size"` // bytes
	Width       int64  `bun:"width"`
	Height      int64  `bun:"height"`
	FileExt     string `bun:"file_ext"`
}

// Status of a thumb.
const (
	thumbQueued = 0
	thumbReady  = 2
)

// MetadataProfile says which custom metadata objects of a type may have. Its ID is its number as text.
type MetadataProfile struct {
	Row
	Number      int64  `bun:"number"`
	ObjectType  string `bun:"object_type"`
	Name        string `bun:"name"`
	SystemName  string `bun:"system_name"`
	Description string `bun:"description"`
	XSD         string `bun:"xsd"`
}

// Metadata are the custom metadata of one object by one profile. Its ID is its number as text.
type Metadata struct {
	Row
	Number     int64  `bun:"number"`
	Profile    int64  `bun:"profile"`
	ObjectType string `bun:"object_type"`
	ObjectID   string `bun:"object_id"`
	XML        string `bun:"xml"`
	Deleted    int64  `bun:"deleted"` // 0, or the row's own number
}

// metadataOfEntry is the object type of entries.
const metadataOfEntry = "1"
