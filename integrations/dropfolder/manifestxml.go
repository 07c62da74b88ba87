package dropfolder

import (
	"fmt"
	"slices"
	"strings"

	"isthmus/gateway"
)

// xmlPlace is where an element may stand in an item, by Kaltura's schema: elements come in the order of their ranks,
// and of each rank there is one. field is the scalar that it sets, read what else takes it.
type xmlPlace struct {
	rank  int
	field string
	read  func(d *itemDraft, n *xmlNode, at spot)
}

// The ranks that are more than a number.
const (
	rankIdentity   = 2
	rankExtensions = 23
)

var xmlPlaces map[string]xmlPlace

func init() {
	refused := xmlPlace{rank: rankExtensions, read: (*itemDraft).xmlUnsupported}
	xmlPlaces = map[string]xmlPlace{
		"action":               {1, "action", nil},
		"type":                 {rankIdentity, "", (*itemDraft).xmlType},
		"licenseType":          {rankIdentity, "", (*itemDraft).xmlLicense},
		"entryId":              {rankIdentity, "entry_id", nil},
		"referenceId":          {rankIdentity, "reference_id", nil},
		"parentReferenceId":    {rankIdentity, "parent_reference_id", nil},
		"userId":               {3, "user_id", nil},
		"entitledUsersEdit":    {4, "", func(d *itemDraft, n *xmlNode, at spot) { d.xmlPeople(n, at, &d.item.CanEdit) }},
		"entitledUsersPublish": {5, "", func(d *itemDraft, n *xmlNode, at spot) { d.xmlPeople(n, at, &d.item.CanPublish) }},
		"entitledUsersView":    {6, "", func(d *itemDraft, n *xmlNode, at spot) { d.xmlPeople(n, at, &d.item.CanView) }},
		"name":                 {7, "name", nil},
		"description":          {8, "description", nil},
		"keepManualThumbnails": {9, "keep_manual_thumbnails", nil},
		"tags": {10, "", func(d *itemDraft, n *xmlNode, at spot) {
			tags := d.tags(at, d.xmlList(n, "tag"))
			d.item.Tags = &tags
		}},
		"categories":          {11, "", (*itemDraft).xmlCategories},
		"partnerData":         {12, "partner_data", nil},
		"partnerSortData":     {13, "partner_sort_data", nil},
		"accessControlId":     {14, "access_control_id", nil},
		"accessControl":       {14, "access_control", nil},
		"conversionProfileId": {15, "conversion_profile_id", nil},
		"conversionProfile":   {15, "conversion_profile", nil},
		"startDate":           {16, "start_at", nil},
		"endDate":             {17, "end_at", nil},
		"templateEntryId":     {18, "template_entry_id", nil},
		"templateEntry":       {18, "", (*itemDraft).xmlUnsupported},
		"media":               {19, "", (*itemDraft).xmlMedia},
		"mix":                 {19, "", (*itemDraft).xmlUnsupported},
		"playlist":            {19, "", (*itemDraft).xmlUnsupported},
		"data":                {19, "", (*itemDraft).xmlUnsupported},
		"liveStream":          {19, "", (*itemDraft).xmlUnsupported},
		"document":            {19, "", (*itemDraft).xmlUnsupported},
		"msDuration":          {20, "duration_ms", nil},
		"contentAssets":       {21, "", (*itemDraft).xmlContents},
		"thumbnails":          {22, "", (*itemDraft).xmlThumbnails},
		"customDataItems":     {rankExtensions, "", (*itemDraft).xmlCustom},
	}
	for _, name := range []string{
		"subTitles", "subTitle", "scenes", "attachments", "attachment", "distributions", "distribution", "widevineAssets",
		"widevineAsset", "pluginReplacementOptions", "customData", "crossKalturaDistribution", "item-extension",
	} {
		xmlPlaces[name] = refused
	}
}

// readXML reads Kaltura's ingestion XML. What is wrong around the items refuses the document, what is wrong within one
// refuses that item.
func readXML(m *manifestReading) {
	p := newXMLParser(m)
	kind, root := p.token(false)
	if kind != xmlStart {
		p.broken(m.in.here(""), "The document has no element.")
	}
	if root.name != "mrss" || root.space != "" {
		m.fatal(root.spot(), "root_unexpected", fmt.Sprintf("The document is <%s>, not <mrss> without a namespace.", root.raw), "Begin with <mrss><channel><item>, as in the samples.")
	}
	for i := range root.attrs {
		a := &root.attrs[i]
		if at := (spot{line: a.line, col: a.col}); a.prefix == "" && a.name == "version" {
			if whole, part, _ := strings.Cut(a.value, "."); strings.Trim(whole+part, "0123456789") != "" || whole+part == "" {
				m.fatal(at, "value_not_allowed", "The attribute version is no decimal number.", "Leave it out, or write 1.0.")
			}
		} else if a.space != spaceXSI {
			m.fatal(at, "attribute_unexpected", "The element <mrss> has no attribute "+a.raw+".", "Remove it.")
		}
	}
	channels, session := 0, false
	p.frame(root, func(n *xmlNode) {
		switch {
		case n.name == "ks" && !session && channels == 0:
			session = true
			p.tree(n) // a key session is of no use here, and is shown nowhere
		case n.name == "channel":
			channels++
			items := 0
			p.frame(n, func(n *xmlNode) {
				if n.name != "item" {
					m.fatal(n.spot(), "element_unexpected", fmt.Sprintf("The element <%s> must not stand in <channel>.", n.raw), "A channel holds items only.")
				}
				items++
				p.item(n)
			})
			if items == 0 {
				m.fatal(n.spot(), "item_missing", "The channel has no item.", "Add an item, or remove the channel.")
			}
			if len(n.attrs) > 0 && n.attrs[0].space != spaceXSI {
				m.fatal(n.spot(), "attribute_unexpected", "The element <channel> has no attribute "+n.attrs[0].raw+".", "Remove it.")
			}
		default:
			m.fatal(n.spot(), "element_unexpected", fmt.Sprintf("The element <%s> must not stand here in <mrss>.", n.raw), "Write channels only; put items into a channel.")
		}
	})
	if channels == 0 {
		m.fatal(root.spot(), "channel_missing", "The document has no <channel>.", "Put the items into <channel>.")
	}
	p.over = true
	if kind, n := p.token(false); kind == xmlStart {
		m.fatal(n.spot(), "content_after_root", "A second element follows after </mrss>.", "Remove it; a document has one <mrss>.")
	}
}

// frame gives each element within one that holds elements only.
func (p *xmlParser) frame(of *xmlNode, each func(*xmlNode)) {
	if of.empty {
		p.close(of)
		return
	}
	for {
		switch kind, n := p.token(false); kind {
		case xmlEOF:
			p.unclosed()
		case xmlEnd:
			return
		case xmlStart:
			if n.space != "" {
				p.m.fatal(n.spot(), "namespace_unexpected", fmt.Sprintf("The element <%s> is of another namespace.", n.raw), "Remove the namespace; the schema has none.")
			}
			each(n)
		}
	}
}

func (n *xmlNode) spot() spot {
	label := "<" + n.raw + ">"
	return spot{n.line, n.col, label}
}

// item reads an item whole and gives it.
func (p *xmlParser) item(n *xmlNode) {
	d := p.m.begin(n.spot())
	p.tree(n)
	d.xmlAttrs(n)
	rank, before := 0, ""
	seen := map[string]bool{}
	identities := 0
	d.xmlKids(n, func(k *xmlNode, at spot) {
		place, known := xmlPlaces[k.name]
		switch {
		case !known:
			d.fault(at, "element_unexpected", fmt.Sprintf("The element %s must not stand in an item.", at.label), "Remove it, or correct its name; letter case counts.")
			return
		case place.rank < rank:
			d.fault(at, "element_out_of_order", fmt.Sprintf("The element %s must stand before <%s>.", at.label, before), "Put the elements in the order of the schema.")
			return
		case seen[k.name] && place.rank < rankExtensions:
			d.fault(at, "element_repeated", fmt.Sprintf("The element %s stands twice.", at.label), "Leave one of them.")
			return
		case place.rank == rank && rank != rankIdentity && rank != rankExtensions:
			d.fault(at, "element_repeated", fmt.Sprintf("The elements <%s> and %s exclude each other.", before, at.label), "Leave one of them.")
			return
		case k.name == "licenseType" && before != "type":
			d.fault(at, "element_out_of_order", "The element <licenseType> must follow <type>.", "Put it right after <type>.")
			return
		}
		if place.rank == rankIdentity && k.name != "licenseType" {
			if identities++; identities > 2 {
				d.fault(at, "identity_too_many", "An item has two of <type>, <entryId>, <referenceId> and <parentReferenceId> at most.", "Leave the others out.")
				return
			}
		}
		rank, before, seen[k.name] = place.rank, k.name, true
		if place.read != nil {
			place.read(d, k, at)
			return
		}
		if k.name == "endDate" {
			d.ends = at
		}
		d.xmlAttrs(k)
		if v, ok := d.xmlText(k); ok {
			setText(d, d, itemFields[place.field], at, v)
		}
	})
	p.m.end(d)
}

// xmlKids gives the elements of an element that holds elements only.
func (d *itemDraft) xmlKids(n *xmlNode, each func(k *xmlNode, at spot)) {
	for _, k := range n.kids {
		at := k.spot()
		switch {
		case k.name == "":
			d.fault(spot{line: k.line, col: k.col}, "text_unexpected", fmt.Sprintf("Text must not stand in <%s>, between the elements.", n.raw), "Remove it, or make it a comment.")
		case k.space != "":
			d.fault(at, "namespace_unexpected", fmt.Sprintf("The element %s is of another namespace.", at.label), "Remove the namespace; the schema has none.")
		default:
			each(k, at)
		}
	}
}

// xmlText gives the text of an element that holds nothing else.
func (d *itemDraft) xmlText(n *xmlNode) (string, bool) {
	text := ""
	for _, k := range n.kids {
		switch {
		case k.name != "":
			d.fault(k.spot(), "element_unexpected", fmt.Sprintf("The element <%s> must not stand in <%s>, which holds text only.", k.raw, n.raw), "Remove it; write &lt; for the character.")
			return "", false
		case k.cut:
			d.fault(n.spot(), "value_too_long", fmt.Sprintf("<%s> has more than %d characters.", n.raw, maxTextChars), "Shorten it.")
			return "", false
		}
		text += k.text
	}
	return text, true
}

// xmlAttrs refuses the attributes that an element must not have.
func (d *itemDraft) xmlAttrs(n *xmlNode, allowed ...string) {
	for _, a := range n.attrs {
		at := spot{a.line, a.col, fmt.Sprintf("%s of <%s>", a.raw, n.raw)}
		switch {
		case a.cut:
			d.fault(at, "value_too_long", fmt.Sprintf("%s has more than %d characters.", at.label, maxTextChars), "Shorten it.")
		case a.space == spaceXSI, a.prefix == "" && slices.Contains(allowed, a.name):
		default:
			d.fault(at, "attribute_unexpected", fmt.Sprintf("The element <%s> has no attribute %s.", n.raw, a.raw), "Remove it, or correct its name; letter case counts.")
		}
	}
}

func (n *xmlNode) attr(name string) (string, spot, bool) {
	for _, a := range n.attrs {
		if a.prefix == "" && a.name == name {
			return a.value, spot{a.line, a.col, fmt.Sprintf("%s of <%s>", a.raw, n.raw)}, true
		}
	}
	return "", n.spot(), false
}

// xmlList gives the texts of elements of one name.
func (d *itemDraft) xmlList(n *xmlNode, name string) []string {
	list := []string{}
	d.xmlAttrs(n)
	d.xmlKids(n, func(k *xmlNode, at spot) {
		if k.name != name {
			d.fault(at, "element_unexpected", fmt.Sprintf("The element %s must not stand in <%s>, which holds <%s> only.", at.label, n.raw, name), "Remove it, or correct its name; letter case counts.")
			return
		}
		d.xmlAttrs(k)
		if v, ok := d.xmlText(k); ok {
			list = append(list, v)
		}
	})
	return list
}

func (d *itemDraft) xmlPeople(n *xmlNode, at spot, set **[]string) {
	if len(n.kids) == 1 && strings.TrimSpace(n.kids[0].text) == existing {
		d.xmlAttrs(n)
		return
	}
	d.people(at, d.xmlList(n, "user"), set)
}

func (d *itemDraft) xmlCategories(n *xmlNode, at spot) {
	if len(n.kids) > 0 && n.kids[0].name == "categoryId" {
		d.categoryIDs(at, d.xmlList(n, "categoryId"))
		return
	}
	d.categories(at, d.xmlList(n, "category"))
}

// xmlUnsupported refuses what would be lost, and lets pass what holds nothing.
func (d *itemDraft) xmlUnsupported(n *xmlNode, at spot) {
	lost := len(n.attrs) > 0
	for _, k := range n.kids {
		lost = lost || k.name != "action"
	}
	if lost {
		d.fault(at, "element_not_supported", fmt.Sprintf("The element %s is Kaltura's, but is not carried out here.", at.label), "Leave it out of the item, and add what it says in Kaltura afterwards.")
	}
}

func (d *itemDraft) xmlType(n *xmlNode, at spot) {
	d.xmlAttrs(n)
	v, ok := d.xmlText(n)
	if !ok {
		return
	}
	d.typed = true
	switch v = strings.TrimSpace(v); v {
	case "1", "-1":
	case "2", "5", "6", "7", "8", "10", "externalMedia.externalMedia", "conference.CONFERENCE_ENTRY_SERVER":
		d.fault(at, "type_not_supported", "Entries of the type "+v+" are not made here.", "Use the type 1, media.")
	default:
		d.notAllowed(at, v, "the number of a type of entry, 1 for media")
	}
}

func (d *itemDraft) xmlLicense(n *xmlNode, at spot) {
	d.xmlAttrs(n)
	v, ok := d.xmlText(n)
	if !ok {
		return
	}
	var none struct{}
	setText(d, &none, scalar[struct{}]{blank: blankRefused, low: -1, high: 15, num: func(_ *struct{}, v int64) {
		if v > 0 {
			d.fault(at, "element_not_supported", "A licence is not set here.", "Leave <licenseType> out, and set it in Kaltura afterwards.")
		}
	}}, at, v)
}

func (d *itemDraft) xmlMedia(n *xmlNode, at spot) {
	d.xmlAttrs(n)
	found := false
	d.xmlKids(n, func(k *xmlNode, at spot) {
		switch {
		case k.name != "mediaType":
			d.fault(at, "element_not_supported", fmt.Sprintf("The element %s is not carried out in <media>.", at.label), "Leave it out.")
			return
		case found:
			d.fault(at, "element_repeated", "The element <mediaType> stands twice.", "Leave one of them.")
			return
		}
		found = true
		d.xmlAttrs(k)
		v, ok := d.xmlText(k)
		if !ok {
			return
		}
		switch v = strings.TrimSpace(v); v {
		case "1":
			d.item.Type = gateway.Video
		case "2":
			d.item.Type = gateway.Image
		case "5":
			d.item.Type = gateway.Audio
		case "201", "202", "203", "204":
			d.fault(at, "type_not_supported", "Live streams are not made here.", "Use 1 (video), 2 (image) or 5 (audio).")
		default:
			d.notAllowed(at, v, "1 (video), 2 (image) or 5 (audio)")
		}
	})
	if !found {
		d.fault(at, "element_missing", "<media> has no <mediaType>.", "Add <mediaType>1</mediaType>, or 2 for images, 5 for audio.")
	}
}
