package dropfolder

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// xmlNode is an element of an item, or a piece of text in it (name ""). Only what an item holds is ever made into
// nodes, so the item's budget bounds them.
type xmlNode struct {
	name, prefix, space string
	raw                 string // prefix and name as written
	attrs               []xmlAttr
	bindings            []xmlBinding // declared here
	kids                []*xmlNode
	text                string
	cut                 bool // the text is longer than may be held
	empty               bool // <name/>
	bound               int  // namespaces in scope before it
	line, col           int64
}

type xmlAttr struct {
	name, prefix, space, raw, value string
	cut                             bool
	line, col                       int64
}

type xmlBinding struct{ prefix, space string }

const (
	spaceXML      = "http://www.w3.org/XML/1998/namespace"
	spaceXSI      = "http://www.w3.org/2001/XMLSchema-instance"
	spaceXInclude = "http://www.w3.org/2001/XInclude"
)

type xmlToken int

const (
	xmlEOF xmlToken = iota
	xmlStart
	xmlEnd
	xmlText
)

// xmlParser takes XML apart, character by character. It knows neither document types nor entities beyond the five of
// XML itself, and reads nothing but its input.
type xmlParser struct {
	m     *manifestReading
	in    *charReader
	buf   []byte
	chars int
	cut   bool
	names map[string]string
	scope []xmlBinding
	open  []*xmlNode
	blank int  // blank text counts: within custom metadata
	tag   bool // the "<" of a tag was taken already
	begun bool // something but the XML declaration was read
	over  bool // the root was closed
	at    spot
}

func newXMLParser(m *manifestReading) *xmlParser {
	return &xmlParser{m: m, in: m.in, names: map[string]string{}}
}

func (p *xmlParser) broken(at spot, text string) {
	p.m.fatal(at, "not_well_formed", text, "Correct the XML; an editor that knows XML shows where it breaks.")
}

// token gives the next tag or text. With texts false, text between tags may only be blank, and is not given.
func (p *xmlParser) token(texts bool) (xmlToken, *xmlNode) {
	p.buf, p.chars, p.cut = p.buf[:0], 0, false
	from := p.in.here("")
	for {
		if p.tag {
			p.tag = false
			if p.in.peek() == '/' {
				p.in.next()
				return xmlEnd, p.endTag()
			}
			return xmlStart, p.startTag()
		}
		r := p.in.peek()
		if r == eof {
			return xmlEOF, nil
		}
		if r != '<' {
			if !p.begun && !xmlSpace(r) {
				p.broken(p.in.here(""), "The document does not begin with a tag.")
			}
			p.begun = true
			p.characters(texts)
			continue
		}
		p.at = p.in.here("")
		p.in.next()
		switch p.in.peek() {
		case '!':
			p.begun = true
			p.in.next()
			p.declaration(texts)
		case '?':
			p.in.next()
			p.instruction()
			p.begun = true
		default:
			p.begun = true
			p.tag = true
			if len(p.buf) > 0 || p.cut {
				return xmlText, &xmlNode{text: string(p.buf), cut: p.cut, line: from.line, col: from.col}
			}
		}
	}
}

func (p *xmlParser) keep(r rune) {
	if p.chars++; p.chars > maxTextChars {
		p.cut = true
		return
	}
	p.buf = utf8.AppendRune(p.buf, r)
}

// characters takes text up to the next "<".
func (p *xmlParser) characters(texts bool) {
	closing := 0
	for {
		r := p.in.peek()
		if r == '<' || r == eof {
			return
		}
		at := p.in.here("")
		if closing >= 2 && r == '>' {
			p.broken(at, "“]]>” must not stand in text.")
		}
		if r == ']' {
			closing++
		} else {
			closing = 0
		}
		p.in.next()
		if r == '&' {
			r = p.reference(at)
		} else if !texts && xmlSpace(r) {
			continue
		}
		if !texts {
			p.stray(at)
		}
		p.keep(r)
	}
}

func (p *xmlParser) stray(at spot) {
	if p.over {
		p.m.fatal(at, "content_after_root", "Text follows after the last element.", "Remove it, or make it a comment.")
	}
	p.m.fatal(at, "text_unexpected", "Text must not stand here, between the elements.", "Remove it, or make it a comment.")
}

// declaration takes a comment, a CDATA section or refuses a document type.
func (p *xmlParser) declaration(texts bool) {
	switch p.in.peek() {
	case '-':
		p.literal("--")
		for dashes := 0; ; {
			r := p.must("A comment does not end.")
			if dashes >= 2 {
				if r == '>' {
					return
				}
				p.broken(p.at, "“--” must not stand in a comment.")
			}
			if r == '-' {
				dashes++
			} else {
				dashes = 0
			}
		}
	case '[':
		if !texts {
			p.stray(p.at)
		}
		p.literal("[CDATA[")
		for closing := 0; ; {
			r := p.must("A CDATA section does not end.")
			if r == '>' && closing >= 2 {
				return
			}
			if r == ']' {
				if closing == 2 {
					p.keep(']')
				} else {
					closing++
				}
				continue
			}
			for ; closing > 0; closing-- {
				p.keep(']')
			}
			p.keep(r)
		}
	}
	if p.word(16) == "DOCTYPE" {
		p.m.fatal(p.at, "doctype_refused", "A document type (DOCTYPE) is not allowed.", "Remove the DOCTYPE; write out what its entities stand for.")
	}
	p.broken(p.at, "“<!” begins neither a comment nor a CDATA section.")
}

// word takes letters, some at most.
func (p *xmlParser) word(most int) string {
	var b []byte
	for r := p.in.peek(); len(b) < most && (r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'); r = p.in.peek() {
		b = append(b, byte(p.in.next()))
	}
	return string(b)
}

func (p *xmlParser) literal(s string) {
	for _, want := range s {
		if p.in.next() != want {
			p.broken(p.at, "“<!” begins neither a comment nor a CDATA section.")
		}
	}
}

func (p *xmlParser) must(text string) rune {
	r := p.in.next()
	if r == eof {
		p.broken(p.at, text)
	}
	return r
}

// instruction takes a processing instruction, which means nothing here, or the XML declaration.
func (p *xmlParser) instruction() {
	const endless = "A processing instruction does not end."
	target, _, _ := p.name("a processing instruction")
	if strings.EqualFold(target, "xml") {
		if p.begun || target != "xml" {
			p.broken(p.at, "The XML declaration must be the very beginning of the document.")
		}
		p.xmlDeclaration()
		p.buf = p.buf[:0]
		return
	}
	for last := rune(0); ; {
		r := p.must(endless)
		if last == '?' && r == '>' {
			return
		}
		last = r
	}
}

func (p *xmlParser) xmlDeclaration() {
	encoding := ""
	order := []string{"version", "encoding", "standalone"}
	for i := 0; ; i++ {
		spaced := p.spaces()
		if p.in.peek() == '?' {
			p.in.next()
			if p.in.next() != '>' || i == 0 {
				p.broken(p.at, "The XML declaration is not complete.")
			}
			break
		}
		at := p.in.here("")
		name, _, _ := p.name("the XML declaration")
		if !spaced || !slices.Contains(order, name) || i == 0 && name != "version" {
			p.broken(at, "The XML declaration must be version, encoding and standalone, in this order.")
		}
		order = order[slices.Index(order, name)+1:]
		v, _ := p.attrValue(name)
		switch {
		case name == "version" && v != "1.0":
			p.m.fatal(at, "xml_version", "The XML version "+shown(v)+" is not known here.", "Write XML 1.0.")
		case name == "encoding":
			encoding = v
		case name == "standalone" && v != "yes" && v != "no":
			p.broken(at, "standalone is neither yes nor no.")
		}
	}
	if encoding != "" {
		p.in.declare(encoding)
	}
}

func (p *xmlParser) spaces() bool {
	some := false
	for xmlSpace(p.in.peek()) {
		p.in.next()
		some = true
	}
	return some
}

// name takes a name: as it is written, its prefix and what follows it.
func (p *xmlParser) name(of string) (raw, prefix, local string) {
	var own [maxNameBytes]byte
	b := own[:0]
	at := p.in.here("")
	for {
		r := p.in.peek()
		if !xmlNameChar(r, len(b) == 0) {
			break
		}
		if b = utf8.AppendRune(b, r); len(b) > maxNameBytes {
			p.m.fatal(at, "name_too_long", fmt.Sprintf("A name is longer than %d bytes.", maxNameBytes), "Use the names of the schema.")
		}
		p.in.next()
	}
	if len(b) == 0 {
		p.broken(at, "Here the name of "+of+" is expected.")
	}
	raw, ok := p.names[string(b)]
	if !ok {
		raw = string(b)
		if len(p.names) < 512 {
			p.names[raw] = raw
		}
	}
	prefix, local, found := strings.Cut(raw, ":")
	if !found {
		return raw, "", raw
	}
	if prefix == "" || local == "" || strings.Contains(local, ":") {
		p.broken(at, "A colon must stand between a prefix and a name.")
	}
	return raw, prefix, local
}

func (p *xmlParser) attrValue(name string) (value string, cut bool) {
	p.spaces()
	at := p.in.here("")
	if p.in.next() != '=' {
		p.broken(at, "After the attribute "+name+" a “=” is expected.")
	}
	p.spaces()
	at = p.in.here("")
	quote := p.in.next()
	if quote != '"' && quote != '\'' {
		p.broken(at, "The value of "+name+" must stand in quotes.")
	}
	p.buf, p.chars, p.cut = p.buf[:0], 0, false
	for {
		here := p.in.here("")
		r := p.in.next()
		switch {
		case r == eof:
			p.broken(at, "The value of "+name+" does not end.")
		case r == quote:
			return string(p.buf), p.cut
		case r == '<':
			p.broken(here, "“<” must not stand in the value of an attribute; write &lt;.")
		case r == '&':
			r = p.reference(here)
		case r == '\n' || r == '\t':
			r = ' '
		}
		p.keep(r)
	}
}

func (p *xmlParser) reference(at spot) rune {
	if p.in.peek() == '#' {
		p.in.next()
		base := 10
		if p.in.peek() == 'x' {
			p.in.next()
			base = 16
		}
		var digits []byte
		for r := p.in.next(); r != ';'; r = p.in.next() {
			if digits = append(digits, byte(r)); r > 'f' || r < '0' || len(digits) > 16 {
				p.broken(at, "A character reference is not complete.")
			}
		}
		n, err := strconv.ParseInt(string(digits), base, 32)
		if errors.Is(err, strconv.ErrSyntax) {
			p.broken(at, "A character reference is not complete.")
		}
		r := rune(n)
		if err != nil || n > utf8.MaxRune || !utf8.ValidRune(r) || r == 0xFFFE || r == 0xFFFF || r < ' ' && r != '\t' && r != '\n' && r != '\r' {
			p.m.fatal(at, "character_refused", "A character reference names a character that must not stand in XML.", "Remove it.")
		}
		return r
	}
	name := p.word(8)
	if p.in.peek() == ';' {
		p.in.next()
		switch name {
		case "lt":
			return '<'
		case "gt":
			return '>'
		case "amp":
			return '&'
		case "apos":
			return '\''
		case "quot":
			return '"'
		}
		p.m.fatal(at, "entity_refused", "The entity &"+name+"; is not known; only lt, gt, amp, apos and quot are.", "Write the character itself.")
	}
	p.broken(at, "“&” begins a reference, which is not complete; write &amp; for the character.")
	return 0
}

func xmlSpace(r rune) bool { return r == ' ' || r == '\n' || r == '\t' || r == '\r' }

// xmlNameChar is a character of a name by XML 1.0.
func xmlNameChar(r rune, first bool) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_', r == ':':
		return true
	case r >= '0' && r <= '9', r == '-', r == '.', r == 0xB7, r >= 0x300 && r <= 0x36F, r == 0x203F, r == 0x2040:
		return !first
	case r < 0xC0, r == 0xD7, r == 0xF7, r == 0x37E:
		return false
	case r <= 0x1FFF, r == 0x200C, r == 0x200D, r >= 0x2070 && r <= 0x218F, r >= 0x2C00 && r <= 0x2FEF,
		r >= 0x3001 && r <= 0xD7FF, r >= 0xF900 && r <= 0xFDCF, r >= 0xFDF0 && r <= 0xFFFD, r >= 0x10000 && r <= 0xEFFFF:
		return true
	}
	return false
}
