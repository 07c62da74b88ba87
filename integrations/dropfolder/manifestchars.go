package dropfolder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"isthmus/gateway"
)

// eof is the character after the last one.
const eof rune = -1

// charReader gives the characters of a document one by one and knows where they stand. It holds 32 KiB of it. A line
// ends with LF, CRLF or CR, and is given as LF. Everything that no document may hold ends the reading here.
type charReader struct {
	ctx        context.Context
	r          io.Reader
	buf        []byte
	pos, end   int
	total      int64 // bytes taken from r
	done       bool
	err        error // of r, told when all before it was read
	codec      codec
	table      *charmap.Charmap
	sawCR      bool
	line, col  int64 // of the character that comes next
	peeked     rune
	hasPeeked  bool
	itemBytes  int64 // taken since refill
	itemParts  int
	itemTags   int64 // bytes of its metadata's tags as written anew
	begunLine  int64 // where the budget began
	begunCol   int64
	afterFirst bool // the beginning of the document was looked at
}

type codec int

const (
	codecUTF8 codec = iota
	codecASCII
	codecUTF16LE
	codecUTF16BE
	codecTable
)

func newCharReader(ctx context.Context, r io.Reader) *charReader {
	return &charReader{ctx: ctx, r: r, buf: make([]byte, 32<<10), line: 1, col: 1, begunLine: 1, begunCol: 1}
}

func (c *charReader) here(label string) spot { return spot{c.line, c.col, label} }

func (c *charReader) fatal(rule, text, fix string) {
	panic(&manifestHalt{fault: &gateway.ManifestFault{Line: c.line, Column: c.col, Rule: rule, Text: text, Fix: fix, Fatal: true}})
}

// refill begins the budget of the next item.
func (c *charReader) refill(at spot) {
	c.itemBytes, c.itemParts, c.itemTags, c.begunLine, c.begunCol = 0, 0, 0, at.line, at.col
}

// part takes one element, value or cell from the budget.
func (c *charReader) part() {
	if c.itemParts++; c.itemParts > maxItemParts {
		c.line, c.col = c.begunLine, c.begunCol
		c.fatal("item_too_many_parts", fmt.Sprintf("One item has more than %d parts.", maxItemParts), "Split the item, or leave out what is not needed.")
	}
}

// tag takes a tag of metadata that is written anew from the budget. It may grow by quotes and by namespaces that were
// declared outside of it, but not to any length.
func (c *charReader) tag(n int) {
	if c.itemTags += int64(n); c.itemTags > min(maxItemBytes, maxTagGrowth*c.itemBytes) {
		c.fatal("item_too_large", "Custom metadata grows too much when its namespaces are written out.", "Declare the namespaces on the first element of the metadata, and shorten them.")
	}
}

// fill makes at least n bytes readable, or all that are left.
func (c *charReader) fill(n int) {
	for c.end-c.pos < n && !c.done {
		if err := c.ctx.Err(); err != nil {
			panic(&manifestHalt{err: err})
		}
		copy(c.buf, c.buf[c.pos:c.end])
		c.end, c.pos = c.end-c.pos, 0
		got, err := c.r.Read(c.buf[c.end:])
		c.end += got
		if c.total += int64(got); c.total > MaxManifestBytes {
			c.fatal("document_too_large", fmt.Sprintf("The document is larger than %d MiB.", MaxManifestBytes>>20), "Split it into several files.")
		}
		switch {
		case errors.Is(err, io.EOF):
			c.done = true
		case err != nil:
			c.done, c.err = true, err
		}
	}
}

// over ends the reading when it is r that could not go on.
func (c *charReader) over() {
	if c.err != nil {
		panic(&manifestHalt{err: c.err})
	}
}

// look finds out how the document is written by its first bytes.
func (c *charReader) look() {
	c.afterFirst = true
	c.fill(4)
	b := c.buf[c.pos:c.end]
	switch {
	case bytes.HasPrefix(b, []byte{0, 0, 0xFE, 0xFF}), bytes.HasPrefix(b, []byte{0xFF, 0xFE, 0, 0}):
		c.fatal("encoding_unknown", "The document is written in UTF-32.", "Save it as UTF-8.")
	case bytes.HasPrefix(b, []byte{0xEF, 0xBB, 0xBF}):
		c.pos += 3
	case bytes.HasPrefix(b, []byte{0xFF, 0xFE}):
		c.pos, c.codec = c.pos+2, codecUTF16LE
	case bytes.HasPrefix(b, []byte{0xFE, 0xFF}):
		c.pos, c.codec = c.pos+2, codecUTF16BE
	case len(b) >= 4 && b[0] != 0 && b[1] == 0 && b[2] != 0 && b[3] == 0:
		c.codec = codecUTF16LE
	case len(b) >= 4 && b[0] == 0 && b[1] != 0 && b[2] == 0 && b[3] != 0:
		c.codec = codecUTF16BE
	}
	c.fill(1)
	if c.pos == c.end {
		c.over()
		c.fatal("document_empty", "The document is empty.", "Send a manifest with at least one item.")
	}
}

// declare takes the encoding that an XML declaration names. What was read so far is the same in all of them.
func (c *charReader) declare(name string) {
	wide := c.codec == codecUTF16LE || c.codec == codecUTF16BE
	upper := strings.ToUpper(name)
	if wide != strings.HasPrefix(upper, "UTF-16") {
		c.fatal("encoding_mismatch", "The XML declaration names another encoding than the document is written in.", "Save the document as UTF-8 and declare UTF-8.")
	}
	switch upper {
	case "UTF-8", "UTF8", "UTF-16", "UTF-16LE", "UTF-16BE":
	case "US-ASCII", "ASCII":
		c.codec = codecASCII
	case "ISO-8859-1", "LATIN1", "LATIN-1":
		c.codec, c.table = codecTable, charmap.ISO8859_1
	case "ISO-8859-15":
		c.codec, c.table = codecTable, charmap.ISO8859_15
	case "WINDOWS-1252", "CP1252":
		c.codec, c.table = codecTable, charmap.Windows1252
	default:
		c.fatal("encoding_unknown", "The XML declaration names the encoding "+shown(name)+", which is not known here.", "Save the document as UTF-8 and declare UTF-8.")
	}
}

// peek gives the next character and leaves it.
func (c *charReader) peek() rune {
	if c.plain() {
		return rune(c.buf[c.pos])
	}
	if !c.hasPeeked {
		c.peeked, c.hasPeeked = c.decode(), true
	}
	return c.peeked
}

// next gives the next character.
func (c *charReader) next() rune {
	if c.plain() {
		r := rune(c.buf[c.pos])
		c.pos++
		c.col++
		c.itemBytes++
		c.sawCR = false
		return r
	}
	r := c.peek()
	c.hasPeeked = false
	switch r {
	case eof:
	case '\n':
		c.line, c.col = c.line+1, 1
	default:
		c.col++
	}
	return r
}

// plain tells that the next character is a visible one of ASCII, as most are, with which nothing can be wrong.
func (c *charReader) plain() bool {
	if c.hasPeeked || c.pos == c.end || c.codec != codecUTF8 || !c.afterFirst || c.itemBytes >= maxItemBytes {
		return false
	}
	b := c.buf[c.pos]
	return b >= ' ' && b < utf8.RuneSelf
}

func (c *charReader) decode() rune {
	r, n := c.char()
	if r == '\n' && c.sawCR {
		c.itemBytes += int64(n)
		c.sawCR = false
		return c.decode()
	}
	c.sawCR = r == '\r'
	if c.itemBytes += int64(n); c.itemBytes > maxItemBytes {
		c.line, c.col = c.begunLine, c.begunCol
		c.fatal("item_too_large", fmt.Sprintf("One item, or what stands between two items, is larger than %d KiB.", maxItemBytes>>10), "Split the item, or leave out what is not needed.")
	}
	switch {
	case c.sawCR:
		return '\n'
	case r >= 0 && r < ' ' && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF:
		c.fatal("character_refused", fmt.Sprintf("The character U+%04X must not stand in a manifest.", r), "Remove it; it is not visible in most editors.")
	}
	return r
}

// char gives the next character as it is written, and how many bytes it took.
func (c *charReader) char() (rune, int) {
	if !c.afterFirst {
		c.look()
	}
	if c.end-c.pos < utf8.UTFMax {
		c.fill(utf8.UTFMax)
	}
	if c.pos == c.end {
		c.over()
		return eof, 0
	}
	b := c.buf[c.pos]
	switch c.codec {
	case codecTable:
		c.pos++
		r := c.table.DecodeByte(b)
		if r == utf8.RuneError {
			c.badEncoding()
		}
		return r, 1
	case codecUTF16LE, codecUTF16BE:
		return c.wide()
	}
	if b < utf8.RuneSelf {
		c.pos++
		return rune(b), 1
	}
	r, n := utf8.DecodeRune(c.buf[c.pos:c.end])
	if r == utf8.RuneError && n <= 1 {
		c.over()
	}
	if r == utf8.RuneError && n <= 1 || c.codec == codecASCII {
		c.badEncoding()
	}
	c.pos += n
	return r, n
}

func (c *charReader) wide() (rune, int) {
	unit := func(at int) (rune, bool) {
		if c.end-c.pos < at+2 {
			c.over()
			return 0, false
		}
		a, b := rune(c.buf[c.pos+at]), rune(c.buf[c.pos+at+1])
		if c.codec == codecUTF16LE {
			a, b = b, a
		}
		return a<<8 | b, true
	}
	r, ok := unit(0)
	if !ok {
		c.badEncoding()
	}
	if !utf16.IsSurrogate(r) {
		c.pos += 2
		return r, 2
	}
	low, ok := unit(2)
	r = utf16.DecodeRune(r, low)
	if !ok || r == utf8.RuneError {
		c.badEncoding()
	}
	c.pos += 4
	return r, 4
}

func (c *charReader) badEncoding() {
	c.fatal("encoding_invalid", "The bytes here are not text in the document's encoding.", "Save the document as UTF-8; in XML, declare the encoding that it is written in.")
}
