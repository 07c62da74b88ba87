package dropfolder

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"isthmus/gateway"
)

const (
	maxCategories = 32
	maxContents   = 100 // of an item, and thumbnails, and custom metadata
	maxListed     = 1000
)

// itemDraft is an item that is being read.
type itemDraft struct {
	doc           *manifestReading
	item          gateway.ManifestItem
	at            spot
	faults        int
	typed         bool // XML: it has a <type>
	replace       *bool
	contentAction string // XML: of contentAssets, as written
	ends          spot   // of the end date
	places        []spot // of the contents
}

// existing stands in a list of people for those that are there.
const existing = "{existing_value}"

// people takes a list of users who may do something.
func (d *itemDraft) people(at spot, values []string, set **[]string) {
	list := d.list(at, values, 100, false)
	for _, v := range list {
		if v != existing {
			continue
		}
		if len(list) > 1 {
			d.fault(at, "value_not_allowed", at.label+" names users beside "+existing+".", "Name all users, or only "+existing+".")
		}
		return
	}
	*set = &list
}

// list takes a list of texts: trimmed, without empty ones and doubles. Kaltura keeps tags and categories with commas
// between them, so that a comma in one makes two of it.
func (d *itemDraft) list(at spot, values []string, most int, commas bool) []string {
	list := []string{}
	seen := map[string]bool{}
	add := func(v string) {
		v = strings.TrimFunc(v, unicode.IsSpace)
		if n := utf8.RuneCountInString(v); n > most {
			d.fault(at, "value_too_long", fmt.Sprintf("%s holds a value of %d characters; %d is the most.", at.label, n, most), "Shorten it.")
			return
		}
		if strings.ContainsFunc(v, unicode.IsControl) {
			d.fault(at, "value_not_allowed", at.label+" holds a value of several lines.", "Remove line ends and tabs from it.")
			return
		}
		if v != "" && !seen[v] {
			seen[v] = true
			list = append(list, v)
		}
	}
	for _, v := range values {
		if !commas {
			add(v)
			continue
		}
		for part := range strings.SplitSeq(v, ",") {
			add(part)
		}
	}
	if len(list) > maxListed {
		d.fault(at, "list_too_long", fmt.Sprintf("%s has %d values; %d is the most.", at.label, len(list), maxListed), "Leave some out.")
	}
	return list
}

func (d *itemDraft) tags(at spot, values []string) []string { return d.list(at, values, 256, true) }

func (d *itemDraft) categories(at spot, values []string) {
	list := []string{}
	for _, v := range d.list(at, values, 490, true) {
		parts := strings.Split(v, ">")
		for j := range parts {
			if parts[j] = strings.TrimSpace(parts[j]); parts[j] == "" {
				d.fault(at, "category_invalid", fmt.Sprintf("%s holds a path with an empty part: %s.", at.label, shown(v)), "Write the full name, as in “Spaces>Course 101”.")
				return
			}
		}
		if v = strings.Join(parts, ">"); !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	d.listFits(at, len(list))
	d.item.Categories = &list
}

func (d *itemDraft) categoryIDs(at spot, values []string) {
	list := []int64{}
	for _, v := range values {
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err != nil || n < 1 || n > math.MaxInt32 {
			d.fault(at, "number_invalid", fmt.Sprintf("%s holds what is no id of a category: %s.", at.label, shown(v)), "Write the number of the category.")
			return
		}
		list = append(list, n)
	}
	d.listFits(at, len(list))
	d.item.CategoryIDs = &list
}

func (d *itemDraft) listFits(at spot, n int) {
	if n > maxCategories {
		d.fault(at, "categories_too_many", fmt.Sprintf("There are %d categories; %d is the most.", n, maxCategories), "Leave some out.")
	}
}

// room tells whether one more content, thumbnail or metadata may be added.
func (d *itemDraft) room(at spot, n int) bool {
	if n < maxContents {
		return true
	}
	d.fault(at, "list_too_long", fmt.Sprintf("There are more than %d of these: %s.", maxContents, at.label), "Leave some out.")
	return false
}

func (d *itemDraft) content(at spot, c gateway.ManifestContent) {
	d.resource(at, c.ManifestResource)
	d.oneName(at, c.Flavor)
	if d.room(at, len(d.item.Contents)) {
		d.item.Contents, d.places = append(d.item.Contents, c), append(d.places, at)
	}
}

func (d *itemDraft) thumbnail(at spot, t gateway.ManifestThumbnail) {
	d.resource(at, t.ManifestResource)
	d.oneName(at, t.Params)
	if d.room(at, len(d.item.Thumbnails)) {
		d.item.Thumbnails = append(d.item.Thumbnails, t)
	}
}

func (d *itemDraft) custom(at spot, c gateway.ManifestCustom) {
	if c.Profile.Zero() {
		d.fault(at, "profile_missing", at.label+" names no profile of metadata.", "Name the profile by its number or its system name.")
	}
	d.oneName(at, c.Profile)
	if c.XML == "" && c.Action != "delete" {
		d.fault(at, "custom_xml_missing", at.label+" holds no metadata.", "Give the metadata as XML, or use the action delete.")
	}
	if d.room(at, len(d.item.CustomData)) {
		d.item.CustomData = append(d.item.CustomData, c)
	}
}

func (d *itemDraft) resource(at spot, r gateway.ManifestResource) {
	if d.faults > 0 {
		return // a resource with a fault would be told as missing, too
	}
	n := 0
	for _, v := range []string{r.File, r.URL, r.Token, r.EntryID, r.AssetID} {
		if v != "" {
			n++
		}
	}
	switch {
	case n == 0:
		d.fault(at, "resource_missing", at.label+" does not say where its bytes are.", "Name a file of the folder, an address, an upload token, an entry or an asset.")
	case n > 1:
		d.fault(at, "resource_repeated", at.label+" says in several ways where its bytes are.", "Name one of file, address, upload token, entry and asset.")
	}
}

// oneName refuses a thing that is named by its number and by its name.
func (d *itemDraft) oneName(at spot, r gateway.ManifestRef) {
	if r.ID != 0 && r.Name != "" {
		d.fault(at, "reference_repeated", "Of "+at.label+" the number and the name are given.", "Give one of them.")
	}
}

// finish checks what no field alone can say.
func (d *itemDraft) finish() {
	i := &d.item
	if d.faults > 0 {
		return // what follows might come of these
	}
	named := i.EntryID != "" || i.ReferenceID != ""
	at := d.at
	at.label = fmt.Sprintf("item %d", i.Number)
	d.oneName(spot{at.line, at.col, "the access control"}, i.AccessControl)
	d.oneName(spot{at.line, at.col, "the conversion profile"}, i.ConversionProfile)
	switch i.Action {
	case gateway.ManifestAdd:
		if i.EntryID != "" {
			d.fault(at, "action_conflict", "An entry to be added has an id already.", "Use the action update, or leave the entry's id out.")
		}
	case gateway.ManifestUpdate, gateway.ManifestDelete:
		if !named {
			d.fault(at, "identity_missing", fmt.Sprintf("The action %s names no entry.", i.Action), "Name the entry by its id or its reference id.")
		}
	}
	adds := i.Action == gateway.ManifestAdd || i.Action == "" && !named
	switch {
	case !adds:
	case d.doc.format != gateway.ManifestXML:
		if i.Name == nil && !named && len(i.Contents) == 0 {
			d.fault(at, "item_empty", "The item names neither an entry nor a file.", "Give it a name or content, or remove it.")
		}
	case !d.typed:
		d.fault(at, "type_missing", "An entry to be added has no <type>.", "Add <type>1</type>, and <media> with its <mediaType>.")
	}
	if i.Categories != nil && i.CategoryIDs != nil {
		d.fault(at, "reference_repeated", "Categories are named by their names and by their numbers.", "Name them by one of these.")
	}
	if i.StartAt != nil && i.EndAt != nil && i.EndAt.Before(*i.StartAt) {
		d.fault(d.ends, "dates_reversed", "The end is before the start.", "Correct one of the dates.")
	}
	d.renditions()
	i.Replace = len(i.Contents) > 0
	if d.replace != nil {
		i.Replace = *d.replace
	}
}

// renditions refuses two contents for the same place.
func (d *itemDraft) renditions() {
	type place struct {
		flavor gateway.ManifestRef
		asset  string
	}
	seen := map[place]bool{}
	for n, c := range d.item.Contents {
		p := place{c.Flavor, c.Asset}
		if seen[p] {
			d.fault(d.places[n], "content_repeated", "Two contents are for the same rendition.", "Say of each which flavour or asset it is; only one may be the source.")
		}
		seen[p] = true
	}
}
