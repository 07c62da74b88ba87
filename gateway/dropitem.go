package gateway

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
)

// DropFetcher gets the files that manifests name by their address. Safe for concurrent use.
type DropFetcher interface {
	// Check gives an address's normal form, or Invalid when it may not be called.
	Check(url string) (string, error)
	// Fetch streams a file from start on; mark is "". Invalid, NotFound, Forbidden and TooLarge are final, Unavailable is worth
	// repeating.
	Fetch(ctx context.Context, url string, start int64, mark string) (Fetched, error)
}

// itemStep is how far an item is: everything up to it is done, and is written down. It is stored as "name" or
// "name:number".
type itemStep struct {
	name string
	n    int64
}

// The steps, in order.
const (
	stepNone      = ""
	stepCertain   = "certain"   // the bytes of its first n contents and pictures are with some replica, and as they were said to be
	stepChecked   = "checked"   // all are, and what is to be done is decided
	stepMaking    = "making"    // since the Unix second n an entry may have been made
	stepMade      = "made"      // the entry exists
	stepContent   = "content"   // n contents are in
	stepThumbnail = "thumbnail" // and n pictures
	stepEdited    = "edited"    // and all it says about the entry
	stepDue       = "due"       // of a deletion: it is done at the Unix second n
	stepDeleting  = "deleting"  // since then the entry may be gone: nothing can be undone
)

var stepOrder = []string{stepNone, stepCertain, stepChecked, stepMaking, stepMade, stepContent, stepThumbnail, stepEdited}

func (it DropItem) step() itemStep {
	name, number, _ := strings.Cut(it.Step, ":")
	n, _ := strconv.ParseInt(number, 10, 64) // ours; 0 where there is none
	return itemStep{name, n}
}

func (st itemStep) String() string {
	switch st.name {
	case stepCertain, stepMaking, stepContent, stepThumbnail, stepDue:
		return st.name + ":" + strconv.FormatInt(st.n, 10)
	}
	return st.name
}

// past tells whether a step, as a whole, lies behind.
func (st itemStep) past(name string) bool {
	return slices.Index(stepOrder, st.name) > slices.Index(stepOrder, name)
}

// done is how many of what a step counts are done.
func (st itemStep) done(name string) int {
	if st.name == name {
		return int(st.n)
	}
	if st.past(name) {
		return 1 << 30
	}
	return 0
}

// title is what people know an item by.
func (it ManifestItem) title() string {
	var name string
	if it.Name != nil {
		name = *it.Name
	}
	return cutText(cmp.Or(name, it.ReferenceID, it.EntryID, fmt.Sprintf("Item %d", it.Number)), 256)
}

// cutText cuts a text to n bytes, between characters.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// files gives the names of the folder's files that an item names; content tells contents from pictures.
func (it ManifestItem) files() iter.Seq2[string, bool] {
	return func(yield func(string, bool) bool) {
		for _, c := range it.Contents {
			if c.File != "" && !yield(c.File, true) {
				return
			}
		}
		for _, t := range it.Thumbnails {
			if t.File != "" && !yield(t.File, false) {
				return
			}
		}
	}
}

// sizeOf is how many bytes an item says that a file has; 0 = it does not say.
func (it ManifestItem) sizeOf(file string) int64 {
	for _, c := range it.Contents {
		if c.File == file {
			return c.Size
		}
	}
	for _, t := range it.Thumbnails {
		if t.File == file {
			return t.Size
		}
	}
	return 0
}

// mediaType is what kind of entry an item makes: as it says, else by the name of its content.
func (it ManifestItem) mediaType() MediaType {
	if it.Type != "" {
		return it.Type
	}
	for _, c := range it.Contents {
		if t := typeOf(c.fileName(), ""); t == Video || t == Image || t == Audio {
			return t
		}
	}
	return ""
}

// fileName is what the bytes of a resource are called.
func (r ManifestResource) fileName() string {
	switch {
	case r.File != "":
		return path.Base(strings.ReplaceAll(r.File, `\`, "/"))
	case r.URL != "":
		return registered{Registration: Registration{URL: r.URL}}.fileName()
	}
	return ""
}

// change is what an item says about its entry.
func (it ManifestItem) change() EntryChange {
	c := EntryChange{
		Name: it.Name, Description: it.Description, PartnerData: it.PartnerData, Tags: it.Tags, Categories: it.Categories, CategoryIDs: it.CategoryIDs,
		CanEdit: it.CanEdit, CanPublish: it.CanPublish, CanView: it.CanView, PartnerSortData: it.PartnerSortData,
		AccessControl: it.AccessControl, ConversionProfile: it.ConversionProfile, TemplateEntryID: it.TemplateEntryID,
		ParentReferenceID: it.ParentReferenceID, StartAt: it.StartAt, EndAt: it.EndAt, CustomData: it.CustomData,
	}
	if it.UserID != "" {
		c.UserID = &it.UserID
	}
	if it.ReferenceID != "" {
		c.ReferenceID = &it.ReferenceID
	}
	return c
}
