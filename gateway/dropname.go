package gateway

// DropReading is what the name and the path of a file say of it.
type DropReading struct {
	ReferenceID string
	Flavor      string   // rendition, as the folder's expression names it
	UserID      string   // on the platform; "" = the folder's
	Tags        []string // the folder's and those of the path
	Category    string   // full name, "a>b"
}
