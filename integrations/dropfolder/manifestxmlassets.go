package dropfolder

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"isthmus/gateway"
)

// xmlAction reads the action of contentAssets and its likes; "" = none. It comes first.
func (d *itemDraft) xmlAction(n *xmlNode, allowed ...string) string {
	action := ""
	d.xmlAttrs(n)
	for i, k := range n.kids {
		if k.name != "action" || k.space != "" {
			continue
		}
		at := k.spot()
		if i > 0 {
			d.fault(at, "element_out_of_order", fmt.Sprintf("The element <action> must be the first in <%s>.", n.raw), "Put it first, once.")
			continue
		}
		d.xmlAttrs(k)
		v, ok := d.xmlText(k)
		if !ok {
			continue
		}
		if v = strings.TrimSpace(v); slices.Contains(allowed, v) {
			action = v
		} else {
			d.notAllowed(at, v, strings.Join(allowed, " or "))
		}
	}
	return action
}

// xmlEach gives the elements of one name in a list with an action.
func (d *itemDraft) xmlEach(n *xmlNode, name string, each func(k *xmlNode, at spot)) {
	d.xmlKids(n, func(k *xmlNode, at spot) {
		switch k.name {
		case "action":
		case name:
			each(k, at)
		default:
			d.fault(at, "element_unexpected", fmt.Sprintf("The element %s must not stand in <%s>, which holds <%s> only.", at.label, n.raw, name), "Remove it, or correct its name; letter case counts.")
		}
	})
}

func (d *itemDraft) xmlContents(n *xmlNode, _ spot) {
	d.contentAction = d.xmlAction(n, "update", "replace")
	d.xmlEach(n, "content", func(k *xmlNode, at spot) {
		var c gateway.ManifestContent
		d.xmlAttrs(k, "flavorParamsId", "flavorParams", "assetId")
		xmlSet(d, k, &c, contentFields, "flavorParamsId", "flavor_id")
		xmlSet(d, k, &c, contentFields, "flavorParams", "flavor")
		xmlSet(d, k, &c, contentFields, "assetId", "asset")
		c.Tags = d.xmlAsset(k, func(field string, at spot, v string) { setText(d, &c, contentFields[field], at, v) })
		d.content(at, c)
	})
	replace := d.contentAction != "update" && len(d.item.Contents) > 0
	d.replace = &replace
}

func (d *itemDraft) xmlThumbnails(n *xmlNode, at spot) {
	action := d.xmlAction(n, "update", "replace")
	if d.contentAction != "" && action != "" && action != d.contentAction {
		d.fault(at, "actions_differ", "The action of <thumbnails> is another than that of <contentAssets>.", "Make both the same.")
	}
	d.xmlEach(n, "thumbnail", func(k *xmlNode, at spot) {
		var t gateway.ManifestThumbnail
		d.xmlAttrs(k, "assetId", "isDefault", "thumbParamsId", "thumbParams")
		xmlSet(d, k, &t, thumbnailFields, "assetId", "asset")
		xmlSet(d, k, &t, thumbnailFields, "isDefault", "default")
		xmlSet(d, k, &t, thumbnailFields, "thumbParamsId", "params_id")
		xmlSet(d, k, &t, thumbnailFields, "thumbParams", "params")
		t.Tags = d.xmlAsset(k, func(field string, at spot, v string) { setText(d, &t, thumbnailFields[field], at, v) })
		d.thumbnail(at, t)
	})
}

// xmlSet sets a field by an attribute.
func xmlSet[T any](d *itemDraft, n *xmlNode, t *T, fields map[string]scalar[T], name, field string) {
	if v, at, ok := n.attr(name); ok {
		setText(d, t, fields[field], at, v)
	}
}

// xmlAsset reads what content and thumbnails have alike: tags, then a resource.
func (d *itemDraft) xmlAsset(n *xmlNode, set func(field string, at spot, v string)) (tags []string) {
	resource, stage := "", 0
	d.xmlKids(n, func(k *xmlNode, at spot) {
		attr := func(name, field string, more ...string) {
			d.xmlAttrs(k, append(more, name)...)
			v, at, ok := k.attr(name)
			if !ok {
				d.fault(at, "attribute_missing", fmt.Sprintf("The attribute %s of %s is missing.", name, at.label), "Add it.")
				return
			}
			set(field, at, v)
		}
		if k.name == "tags" {
			if stage > 0 {
				d.fault(at, "element_out_of_order", fmt.Sprintf("The element <tags> must be the first in <%s>.", n.raw), "Put it first, once.")
			} else {
				tags = d.tags(at, d.xmlList(k, "tag"))
			}
			stage = 1
			return
		}
		if resource != "" && k.name != "streams" {
			d.fault(at, "element_unexpected", fmt.Sprintf("The element %s must not stand after <%s>.", at.label, resource), "Name one resource; further ones need a <content> of their own.")
			return
		}
		switch k.name {
		case "dropFolderFileContentResource":
			attr("filePath", "file", "dropFolderFileId")
			d.xmlChecks(k, set)
		case "urlContentResource":
			attr("url", "url")
			d.xmlKids(k, func(_ *xmlNode, at spot) { d.xmlNoKids(k, at) })
		case "uploadedFileTokenResource":
			attr("token", "token")
			d.xmlKids(k, func(_ *xmlNode, at spot) { d.xmlNoKids(k, at) })
		case "assetContentResource":
			attr("assetId", "asset_id")
			d.xmlKids(k, func(_ *xmlNode, at spot) { d.xmlNoKids(k, at) })
		case "entryContentResource":
			attr("entryId", "entry_id")
			d.xmlKids(k, func(f *xmlNode, at spot) {
				if v, ok := d.xmlText(f); ok && (f.name != "flavorParamsId" || strings.TrimSpace(v) != "0") {
					d.fault(at, "element_not_supported", "Only the source of another entry can be taken.", "Leave it out.")
				}
			})
		case "serverFileContentResource", "sshUrlContentResource", "remoteStorageContentResource", "remoteStorageContentResources", "assetInfo", "streams":
			d.fault(at, "element_not_supported", fmt.Sprintf("The element %s is Kaltura's, but is not carried out here.", at.label), "Put the file into the folder and name it by <dropFolderFileContentResource>, or offer it by https and name it by <urlContentResource>.")
		default:
			d.fault(at, "element_unexpected", fmt.Sprintf("The element %s must not stand in <%s>.", at.label, n.raw), "Remove it, or correct its name; letter case counts.")
			return
		}
		resource, stage = k.name, 1
	})
	return tags
}

func (d *itemDraft) xmlNoKids(n *xmlNode, at spot) {
	d.fault(at, "element_unexpected", fmt.Sprintf("The element %s must not stand in <%s>, which holds nothing.", at.label, n.raw), "Remove it.")
}

// xmlChecks reads the size or the checksum of a file: one of them, as the schema has it.
func (d *itemDraft) xmlChecks(n *xmlNode, set func(field string, at spot, v string)) {
	some := false
	d.xmlKids(n, func(k *xmlNode, at spot) {
		if k.name != "fileSize" && k.name != "fileChecksum" || some {
			d.fault(at, "element_unexpected", fmt.Sprintf("The element %s must not stand here in <%s>.", at.label, n.raw), "Write one <fileSize> or one <fileChecksum>.")
			return
		}
		some = true
		field := "size"
		if k.name == "fileChecksum" {
			d.xmlAttrs(k, "type")
			kind, where, ok := k.attr("type")
			switch {
			case !ok:
				kind = "md5"
			case kind != "md5" && kind != "sha1" && kind != "sha256":
				d.notAllowed(where, kind, "md5, sha1 or sha256")
				return
			}
			field = kind
		} else {
			d.xmlAttrs(k)
		}
		if v, ok := d.xmlText(k); ok {
			set(field, at, v)
			if strings.TrimSpace(v) == "" && field == "size" {
				d.fault(at, "value_empty", at.label+" is empty.", "Give it a value, or leave it out.")
			}
		}
	})
}

func (d *itemDraft) xmlCustom(n *xmlNode, _ spot) {
	d.xmlAction(n, "update", "replace")
	d.xmlEach(n, "customData", func(k *xmlNode, at spot) {
		var c gateway.ManifestCustom
		d.xmlAttrs(k, "metadataProfile", "metadataProfileId", "metadataId")
		xmlSet(d, k, &c, customFields, "metadataProfileId", "profile_id")
		xmlSet(d, k, &c, customFields, "metadataProfile", "profile")
		faults := d.faults
		rank := 0
		d.xmlKids(k, func(k *xmlNode, at spot) {
			next := map[string]int{"action": 1, "xslt": 2, "xmlData": 3}[k.name]
			switch {
			case next == 0:
				d.fault(at, "element_unexpected", fmt.Sprintf("The element %s must not stand in <customData>.", at.label), "Put the metadata into <xmlData>.")
				return
			case next <= rank:
				d.fault(at, "element_out_of_order", fmt.Sprintf("The element %s stands twice or too late.", at.label), "Write <action>, then <xmlData>, once each.")
				return
			}
			rank = next
			d.xmlAttrs(k)
			switch k.name {
			case "action":
				if v, ok := d.xmlText(k); ok {
					setText(d, &c, customFields["action"], at, v)
				}
			case "xslt":
				d.fault(at, "element_not_supported", "Custom metadata is not transformed by XSLT here.", "Write the metadata as it shall be, in <xmlData>.")
			case "xmlData":
				c.XML = d.xmlMetadata(k)
			}
		})
		if d.faults == faults {
			d.custom(at, c)
		}
	})
}

// xmlMetadata writes the one element of xmlData anew.
func (d *itemDraft) xmlMetadata(n *xmlNode) string {
	var found *xmlNode
	for _, k := range n.kids {
		switch {
		case k.name == "" && strings.TrimSpace(k.text) == "":
		case k.name == "" || found != nil:
			d.fault(spot{line: k.line, col: k.col}, "element_unexpected", "<xmlData> holds more than one element.", "Put the metadata into one element.")
			return ""
		case k.space != "":
			d.fault(k.spot(), "namespace_unexpected", "The element of <xmlData> is of a namespace.", "Remove the namespace.")
			return ""
		default:
			found = k
		}
	}
	if found == nil {
		return ""
	}
	if long := found.long(); long != nil {
		d.fault(long.spot(), "value_too_long", fmt.Sprintf("A text in custom metadata has more than %d characters.", maxTextChars), "Shorten it.")
		return ""
	}
	var out strings.Builder
	found.write(d.doc.in, &out, nil)
	return out.String()
}

// long finds a text that was too long to be held.
func (n *xmlNode) long() *xmlNode {
	for _, a := range n.attrs {
		if a.cut {
			return n
		}
	}
	for _, k := range n.kids {
		if k.cut {
			return n
		}
		if l := k.long(); l != nil {
			return l
		}
	}
	return nil
}

// write writes an element with all that it needs to stand alone.
func (n *xmlNode) write(in *charReader, out *strings.Builder, scope []xmlBinding) {
	before := out.Len()
	scope = scope[:len(scope):len(scope)]
	declare := func(prefix, space string) {
		if prefix == "xml" {
			return
		}
		have := ""
		for _, b := range scope {
			if b.prefix == prefix {
				have = b.space
			}
		}
		if have == space {
			return
		}
		scope = append(scope, xmlBinding{prefix, space})
		name := "xmlns"
		if prefix != "" {
			name += ":" + prefix
		}
		fmt.Fprintf(out, ` %s="%s"`, name, xmlQuoted.Replace(space))
	}
	out.WriteString("<" + n.raw)
	for _, b := range n.bindings { // where they stood: its kids need not repeat them
		declare(b.prefix, b.space)
	}
	declare(n.prefix, n.space)
	for _, a := range n.attrs {
		if a.prefix != "" {
			declare(a.prefix, a.space)
		}
		fmt.Fprintf(out, ` %s="%s"`, a.raw, xmlQuoted.Replace(a.value))
	}
	in.tag(out.Len() - before)
	if len(n.kids) == 0 {
		out.WriteString("/>")
		return
	}
	out.WriteString(">")
	for _, k := range n.kids {
		if k.name == "" {
			_, _ = xmlEscaped.WriteString(out, k.text)
			continue
		}
		k.write(in, out, scope)
	}
	out.WriteString("</" + n.raw + ">")
}

var (
	xmlEscaped = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;")
	xmlQuoted  = strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;", "\n", "&#10;", "\t", "&#9;", "\r", "&#13;")
)

// fragment reads custom metadata that is not part of a document: one element without a namespace, and all in it,
// written anew. The second is what is wrong with it.
func fragment(ctx context.Context, xml string) (written string, broken *gateway.ManifestFault) {
	defer func() {
		switch h := recover().(type) {
		case nil:
		case *manifestHalt:
			if h.fault == nil {
				panic(h)
			}
			broken = h.fault
		default:
			panic(h)
		}
	}()
	m := &manifestReading{in: newCharReader(ctx, strings.NewReader(xml)), format: gateway.ManifestXML}
	p := newXMLParser(m)
	kind, n := p.token(false)
	if kind != xmlStart {
		p.broken(m.in.here(""), "It has no element.")
	}
	p.blank++
	p.tree(n)
	if n.space != "" {
		m.fatal(n.spot(), "namespace_unexpected", "Its element is of a namespace.", "Remove the namespace.")
	}
	p.over = true
	if kind, k := p.token(false); kind == xmlStart {
		m.fatal(k.spot(), "content_after_root", "It has more than one element.", "Put it into one element.")
	}
	if n.long() != nil {
		m.fatal(n.spot(), "value_too_long", fmt.Sprintf("A text in it has more than %d characters.", maxTextChars), "Shorten it.")
	}
	var out strings.Builder
	n.write(m.in, &out, nil)
	return out.String(), nil
}
