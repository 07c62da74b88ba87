package dropfolder

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"isthmus/gateway"
)

// csvListMark stands between the values of a list in one cell.
const csvListMark = "|"

// maxColumns of a CSV manifest.
const maxColumns = 128

// csvColumn is what a column sets.
type csvColumn struct {
	name string
	set  func(row *csvRow, at spot, v string)
}

// csvRow is one item with the parts that several columns fill.
type csvRow struct {
	d          *itemDraft
	contents   [csvParts]csvPart[gateway.ManifestContent]
	thumbnails [csvParts]csvPart[gateway.ManifestThumbnail]
	customs    [csvParts]csvPart[gateway.ManifestCustom]
}

// csvParts is how many contents, thumbnails and metadata a row may have: "file" is the first, "file_2" the second.
const csvParts = 9

type csvPart[T any] struct {
	said bool
	at   spot
	v    T
}

func (p *csvPart[T]) say(at spot) *T {
	if !p.said {
		p.said, p.at = true, at
	}
	return &p.v
}

// csvContent, csvThumbnail and csvCustom are the columns of the parts and the fields they set.
var (
	csvContent = map[string]string{
		"file": "file", "url": "url", "token": "token", "source_entry_id": "entry_id", "source_asset_id": "asset_id", "size": "size",
		"md5": "md5", "sha1": "sha1", "sha256": "sha256", "flavor_id": "flavor_id", "flavor": "flavor", "asset": "asset",
	}
	csvThumbnail = map[string]string{
		"thumbnail_file": "file", "thumbnail_url": "url", "thumbnail_token": "token", "thumbnail_entry_id": "entry_id",
		"thumbnail_asset_id": "asset_id", "thumbnail_size": "size", "thumbnail_md5": "md5", "thumbnail_sha1": "sha1",
		"thumbnail_sha256": "sha256", "thumbnail_default": "default", "thumbnail_params_id": "params_id",
		"thumbnail_params": "params", "thumbnail_asset": "asset",
	}
	csvCustom = map[string]string{
		"custom_profile_id": "profile_id", "custom_profile": "profile", "custom_action": "action", "custom_xml": "xml",
	}
)

// csvColumnOf tells what the column of a name sets; false = nothing.
func csvColumnOf(name string) (csvColumn, bool) {
	c := csvColumn{name: name}
	if list, ok := jsonLists[name]; ok {
		c.set = func(row *csvRow, at spot, v string) { list(row.d, at, strings.Split(v, csvListMark)) }
		return c, true
	}
	if f, ok := itemFields[name]; ok {
		c.set = func(row *csvRow, at spot, v string) {
			if name == "end_at" {
				row.d.ends = at
			}
			setText(row.d, row.d, f, at, v)
		}
		return c, true
	}
	base, n := name, 0
	if i := len(name) - 2; i > 0 && name[i] == '_' && name[i+1] >= '2' && name[i+1] <= '0'+csvParts {
		base, n = name[:i], int(name[i+1]-'1')
	}
	if base == "content_tags" {
		c.set = func(row *csvRow, at spot, v string) {
			row.contents[n].say(at).Tags = row.d.tags(at, strings.Split(v, csvListMark))
		}
		return c, true
	}
	if base == "thumbnail_tags" {
		c.set = func(row *csvRow, at spot, v string) {
			row.thumbnails[n].say(at).Tags = row.d.tags(at, strings.Split(v, csvListMark))
		}
		return c, true
	}
	if f, ok := csvContent[base]; ok {
		c.set = func(row *csvRow, at spot, v string) { setText(row.d, row.contents[n].say(at), contentFields[f], at, v) }
		return c, true
	}
	if f, ok := csvThumbnail[base]; ok {
		c.set = func(row *csvRow, at spot, v string) {
			setText(row.d, row.thumbnails[n].say(at), thumbnailFields[f], at, v)
		}
		return c, true
	}
	if f, ok := csvCustom[base]; ok {
		c.set = func(row *csvRow, at spot, v string) { setText(row.d, row.customs[n].say(at), customFields[f], at, v) }
		return c, true
	}
	return c, false
}

// csvScanner reads cells by RFC 4180.
type csvScanner struct {
	m         *manifestReading
	in        *charReader
	separator rune
	buf       []byte
}

// cell reads a cell: its text, and whether it is the last one of its row.
func (c *csvScanner) cell() (v string, at spot, cut, last bool) {
	at = c.in.here("")
	c.buf = c.buf[:0]
	chars := 0
	keep := func(r rune) {
		if chars++; chars > maxTextChars {
			cut = true
			return
		}
		c.buf = utf8.AppendRune(c.buf, r)
	}
	quoted := c.in.peek() == '"'
	if quoted {
		c.in.next()
		for {
			r := c.in.next()
			if r == eof {
				c.m.fatal(at, "not_well_formed", "A cell in quotes does not end.", "Close the quotes; a quote within is written twice.")
			}
			if r == '"' {
				if c.in.peek() != '"' {
					break
				}
				c.in.next()
			}
			keep(r)
		}
	}
	for {
		r := c.in.peek()
		switch {
		case r == eof || r == '\n':
			return string(c.buf), at, cut, true
		case r == c.separator || c.separator == 0 && (r == ',' || r == ';' || r == '\t'):
			c.separator = r
			c.in.next()
			return string(c.buf), at, cut, false
		case quoted:
			c.m.fatal(c.in.here(""), "not_well_formed", "After the closing quote of a cell something follows.", "Write a quote within a cell twice.")
		case r == '"':
			c.m.fatal(c.in.here(""), "not_well_formed", "A quote stands within a cell that is not in quotes.", "Put the cell into quotes and write the quote twice.")
		}
		keep(c.in.next())
	}
}

// readCSV reads a header with the names of the columns, then a row for each item. Comma, semicolon or tab stands
// between the cells: the first of these in the header.
func readCSV(m *manifestReading) {
	c := &csvScanner{m: m, in: m.in}
	columns := c.header()
	row := new(csvRow)
	for {
		r := m.in.peek()
		if r == eof {
			break
		}
		if r == '\n' {
			m.in.next()
			continue
		}
		c.row(columns, row)
	}
	if m.items == 0 {
		m.fatal(m.in.here(""), "item_missing", "After the header there is no row.", "Add a row for each item.")
	}
}

func (c *csvScanner) header() []csvColumn {
	var columns []csvColumn
	seen := map[string]bool{}
	for {
		v, at, cut, last := c.cell()
		name := strings.ToLower(strings.TrimSpace(v))
		column, ok := csvColumnOf(name)
		switch {
		case cut || len(name) > maxNameBytes:
			c.m.fatal(at, "name_too_long", fmt.Sprintf("The name of a column is longer than %d bytes.", maxNameBytes), "Use the names of the fields.")
		case !ok:
			c.m.fatal(at, "column_unexpected", fmt.Sprintf("There is no column %s.", shown(name)), "The first row names the columns. Remove it, or correct its name.")
		case seen[name]:
			c.m.fatal(at, "column_repeated", fmt.Sprintf("The column %s stands twice.", shown(name)), "Leave one of them.")
		case len(columns) == maxColumns:
			c.m.fatal(at, "columns_too_many", fmt.Sprintf("There are more than %d columns.", maxColumns), "Leave some out.")
		}
		seen[name] = true
		columns = append(columns, column)
		if last {
			c.in.next()
			return columns
		}
	}
}

// row reads a row into one that is used again and again. A row of empty cells is none.
func (c *csvScanner) row(columns []csvColumn, row *csvRow) {
	from := c.in.here("")
	if row.d != nil {
		*row = csvRow{}
	}
	for n, last := 0, false; !last; n++ {
		var v string
		var at spot
		var cut bool
		v, at, cut, last = c.cell()
		if !cut && strings.TrimSpace(v) == "" {
			continue
		}
		if row.d == nil {
			row.d = c.m.begin(from)
		}
		c.in.part()
		switch {
		case n >= len(columns):
			row.d.fault(at, "cells_too_many", fmt.Sprintf("The row has more cells than the header has columns, %d.", len(columns)), "Put cells that hold the separator into quotes.")
		case cut:
			row.d.fault(at, "value_too_long", fmt.Sprintf("The column %s has more than %d characters.", columns[n].name, maxTextChars), "Shorten it.")
		default:
			at.label = "column " + columns[n].name
			columns[n].set(row, at, v)
		}
	}
	c.in.next()
	d := row.d
	if d == nil {
		return
	}
	for i := range row.contents {
		if p := &row.contents[i]; p.said {
			d.content(p.at, p.v)
		}
	}
	for i := range row.thumbnails {
		if p := &row.thumbnails[i]; p.said {
			d.thumbnail(p.at, p.v)
		}
	}
	for i, faults := 0, d.faults; i < csvParts && faults == 0; i++ {
		if p := &row.customs[i]; p.said {
			d.custom(p.at, p.v)
		}
	}
	c.m.end(d)
}
