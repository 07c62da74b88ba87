package dropfolder

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"isthmus/gateway"
)

// readJSON reads {"items": […]} or the array alone.
func readJSON(m *manifestReading) {
	p := newJSONParser(m)
	items := 0
	each := func() {
		r := p.peek()
		at := m.in.here("")
		if r != '{' && r != eof {
			m.fatal(at, "item_unexpected", "An item must be an object.", "Write the item in braces.")
		}
		items++
		d := m.begin(at)
		d.fromJSON(p.value())
		m.end(d)
	}
	switch r := p.peek(); r {
	case '[':
		p.elements(each)
	case '{':
		found := false
		p.members(func(key string, at spot) {
			if key != "items" || found {
				m.fatal(at, "field_unexpected", fmt.Sprintf("The document has no field %s here.", shown(key)), "Write {\"items\": […]}.")
			}
			found = true
			if p.peek() != '[' {
				m.fatal(m.in.here(""), "item_unexpected", "The items must be an array.", "Write {\"items\": […]}.")
			}
			p.elements(each)
		})
	case eof:
		p.broken(m.in.here(""), "The document has no value.")
	default:
		m.fatal(m.in.here(""), "root_unexpected", "The document is neither an object nor an array.", "Write {\"items\": […]}.")
	}
	if items == 0 {
		m.fatal(spot{line: 1, col: 1}, "item_missing", "The document has no item.", "Add an item to \"items\".")
	}
	if p.peek() != eof {
		m.fatal(m.in.here(""), "content_after_root", "Something follows after the document's value.", "Remove it.")
	}
}

// jsonLists are the fields of an item that are lists of texts.
var jsonLists = map[string]func(d *itemDraft, at spot, values []string){
	"tags": func(d *itemDraft, at spot, values []string) {
		tags := d.tags(at, values)
		d.item.Tags = &tags
	},
	"categories":   (*itemDraft).categories,
	"category_ids": (*itemDraft).categoryIDs,
	"can_edit":     func(d *itemDraft, at spot, values []string) { d.people(at, values, &d.item.CanEdit) },
	"can_publish":  func(d *itemDraft, at spot, values []string) { d.people(at, values, &d.item.CanPublish) },
	"can_view":     func(d *itemDraft, at spot, values []string) { d.people(at, values, &d.item.CanView) },
}

// jsonRefs are the fields that name a thing by number or name. The number's field has "_id" behind it.
var jsonRefs = []string{"access_control", "conversion_profile"}

func (v *jsonValue) spot(label string) spot { return spot{v.line, v.col, label} }

func (d *itemDraft) fromJSON(v *jsonValue) {
	v.each(d, func(k *jsonValue, at spot) {
		if list, ok := jsonLists[k.key]; ok {
			if values, ok := d.jsonTexts(k, at, k.key == "category_ids"); ok {
				list(d, at, values)
			}
			return
		}
		if slices.Contains(jsonRefs, k.key) {
			jsonRef(d, d, itemFields, k, at)
			return
		}
		if f, ok := itemFields[k.key]; ok && !strings.HasSuffix(k.key, "_id") || ok && !slices.Contains(jsonRefs, strings.TrimSuffix(k.key, "_id")) {
			if k.key == "end_at" {
				d.ends = at
			}
			jsonScalar(d, d, f, k, at)
			return
		}
		switch k.key {
		case "contents":
			d.jsonObjects(k, at, func(k *jsonValue, at spot) {
				var c gateway.ManifestContent
				jsonFields(d, &c, contentFields, k, "flavor", &c.Tags)
				d.content(at, c)
			})
		case "thumbnails":
			d.jsonObjects(k, at, func(k *jsonValue, at spot) {
				var t gateway.ManifestThumbnail
				jsonFields(d, &t, thumbnailFields, k, "params", &t.Tags)
				d.thumbnail(at, t)
			})
		case "custom_data":
			d.jsonObjects(k, at, func(k *jsonValue, at spot) {
				var c gateway.ManifestCustom
				faults := d.faults
				jsonFields(d, &c, customFields, k, "profile", nil)
				if d.faults == faults {
					d.custom(at, c)
				}
			})
		default:
			d.unknownField(k.keyAt)
		}
	})
}

func (d *itemDraft) unknownField(at spot) {
	d.fault(at, "field_unexpected", fmt.Sprintf("There is no field %s here.", at.label), "Remove it, or correct its name.")
}

// each gives the members of an object that say something, each key once.
func (v *jsonValue) each(d *itemDraft, each func(k *jsonValue, at spot)) {
	seen := map[string]bool{}
	for _, k := range v.kids {
		if seen[k.key] {
			d.fault(k.keyAt, "field_repeated", fmt.Sprintf("The field %s stands twice.", k.keyAt.label), "Leave one of them.")
			continue
		}
		seen[k.key] = true
		if k.kind != jsonNull {
			each(k, k.spot(k.keyAt.label))
		}
	}
}

func (d *itemDraft) wrongKind(at spot, wants string, v *jsonValue) {
	d.fault(at, "value_type", fmt.Sprintf("%s must be %s, not %s.", at.label, wants, v.kind), "Write it so.")
}

// jsonFields reads an object of scalars, one reference and tags.
func jsonFields[T any](d *itemDraft, t *T, fields map[string]scalar[T], v *jsonValue, ref string, tags *[]string) {
	v.each(d, func(k *jsonValue, at spot) {
		f, known := fields[k.key]
		switch {
		case k.key == ref:
			jsonRef(d, t, fields, k, at)
		case k.key == "tags" && tags != nil:
			if values, ok := d.jsonTexts(k, at, false); ok {
				*tags = d.tags(at, values)
			}
		case known && k.key != ref+"_id":
			jsonScalar(d, t, f, k, at)
		default:
			d.unknownField(k.keyAt)
		}
	})
}

func jsonScalar[T any](d *itemDraft, t *T, f scalar[T], v *jsonValue, at spot) {
	wants := jsonString
	switch {
	case f.num != nil:
		wants = jsonNumber
	case f.flag != nil:
		wants = jsonBool
	}
	switch {
	case v.kind != wants:
		d.wrongKind(at, wants.String(), v)
	case v.cut:
		d.fault(at, "value_too_long", fmt.Sprintf("%s has more than %d characters.", at.label, maxTextChars), "Shorten it.")
	default:
		setText(d, t, f, at, v.text)
	}
}

// jsonRef reads a number, a name, or an object with "id" or "name".
func jsonRef[T any](d *itemDraft, t *T, fields map[string]scalar[T], v *jsonValue, at spot) {
	id, name := fields[v.key+"_id"], fields[v.key]
	switch v.kind {
	case jsonNumber:
		jsonScalar(d, t, id, v, at)
	case jsonString:
		jsonScalar(d, t, name, v, at)
	case jsonObject:
		if len(v.kids) == 0 {
			d.fault(at, "value_empty", at.label+" is empty.", "Give its number or its name, or leave it out.")
		}
		v.each(d, func(k *jsonValue, at spot) {
			switch k.key {
			case "id":
				jsonScalar(d, t, id, k, at)
			case "name":
				jsonScalar(d, t, name, k, at)
			default:
				d.unknownField(k.keyAt)
			}
		})
	default:
		d.wrongKind(at, "a number, a name or an object of these", v)
	}
}

// jsonTexts reads an array of strings, or of numbers.
func (d *itemDraft) jsonTexts(v *jsonValue, at spot, numbers bool) ([]string, bool) {
	if v.kind != jsonArray {
		d.wrongKind(at, jsonArray.String(), v)
		return nil, false
	}
	wants := jsonString
	if numbers {
		wants = jsonNumber
	}
	list := make([]string, 0, len(v.kids))
	for i, k := range v.kids {
		at := k.spot(fmt.Sprintf("%s[%d]", at.label, i))
		switch {
		case k.kind != wants:
			d.wrongKind(at, wants.String(), k)
			return nil, false
		case k.cut:
			d.fault(at, "value_too_long", fmt.Sprintf("%s has more than %d characters.", at.label, maxTextChars), "Shorten it.")
			return nil, false
		}
		list = append(list, k.text)
	}
	return list, true
}

func (d *itemDraft) jsonObjects(v *jsonValue, at spot, each func(k *jsonValue, at spot)) {
	if v.kind != jsonArray {
		d.wrongKind(at, "an array of objects", v)
		return
	}
	for i, k := range v.kids {
		at := k.spot(v.key + "[" + strconv.Itoa(i) + "]")
		if k.kind != jsonObject {
			d.wrongKind(at, jsonObject.String(), k)
			continue
		}
		each(k, at)
	}
}
