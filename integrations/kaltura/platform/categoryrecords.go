package platform

// Who sees a category's entries when entitlement is enforced.
const (
	privacyAll           = 1
	privacyAuthenticated = 2
	privacyMembers       = 3
)

// Category is a category. Its ID is its number as text.
type Category struct {
	Row
	Number         int64  `bun:"number"`
	Parent         int64  `bun:"parent"` // 0 = none
	Name           string `bun:"name"`
	FullName       string `bun:"full_name"` // names from the root on, between >
	FullIDs        string `bun:"full_ids"`  // numbers from the root on, between >
	Description    string `bun:"description"`
	Tags           string `bun:"tags"`
	ReferenceID    string `bun:"reference_id"`
	Owner          string `bun:"owner"`
	Privacy        int64  `bun:"privacy"`
	PrivacyContext string `bun:"privacy_context"` // comma list; children have it from their parents
}

// CategoryEntry says that an entry is in a category. Its ID is both ids.
type CategoryEntry struct {
	Row
	Category int64  `bun:"category"`
	EntryID  string `bun:"entry_id"`
	FullIDs  string `bun:"full_ids"` // of the category
	UserID   string `bun:"user_id"`  // who put it there
}

// CategoryUser is a member of a category. Its ID is category and user.
type CategoryUser struct {
	Row
	Category   int64  `bun:"category"`
	UserID     string `bun:"user_id"`
	Permission int64  `bun:"permission"` // 0 manager, 1 moderator, 2 contributor, 3 member
}

// Caption is the captions of an entry in one language.
type Caption struct {
	Row
	EntryID   string `bun:"entry_id"`
	Language  string `bun:"language"` // Kaltura's English name
	Label     string `bun:"label"`
	Format    string `bun:"format"` // 1 SRT, 2 DFXP, 3 WebVTT
	IsDefault bool   `bun:"is_default"`
	Status    int64  `bun:"status"`
	FileExt   string `bun:"file_ext"`
	Content   string `bun:"content"`
}
