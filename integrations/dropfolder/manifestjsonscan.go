package dropfolder

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonValue is a value of an item. The item's budget bounds how many there are.
type jsonValue struct {
	kind      jsonKind
	key       string // of a member of an object
	keyAt     spot
	text      string // of a string or number, or a word
	cut       bool   // the text is longer than may be held
	kids      []*jsonValue
	line, col int64
}

type jsonKind int

const (
	jsonNull jsonKind = iota
	jsonBool
	jsonNumber
	jsonString
	jsonArray
	jsonObject
)

func (k jsonKind) String() string {
	return [...]string{"null", "true or false", "a number", "a string", "an array", "an object"}[k]
}

// jsonParser takes JSON apart, character by character.
type jsonParser struct {
	m     *manifestReading
	in    *charReader
	buf   []byte
	keys  map[string]string
	depth int
}

func newJSONParser(m *manifestReading) *jsonParser {
	return &jsonParser{m: m, in: m.in, keys: map[string]string{}}
}

func (p *jsonParser) broken(at spot, text string) {
	p.m.fatal(at, "not_well_formed", text, "Correct the JSON; an editor that knows JSON shows where it breaks.")
}

// peek gives the first character that is no blank.
func (p *jsonParser) peek() rune {
	for {
		switch r := p.in.peek(); r {
		case ' ', '\t', '\n':
			p.in.next()
		default:
			return r
		}
	}
}

func (p *jsonParser) enter() {
	if p.depth++; p.depth > MaxManifestDepth {
		p.m.fatal(p.in.here(""), "depth_exceeded", fmt.Sprintf("Values are nested more than %d deep.", MaxManifestDepth), "Write a manifest as it is described.")
	}
}

// members calls each for the members of an object whose brace was not taken yet; each takes the value.
func (p *jsonParser) members(each func(key string, at spot)) {
	p.enter()
	p.in.next()
	for first := true; ; first = false {
		r := p.peek()
		at := p.in.here("")
		if r == '}' && first {
			break
		}
		if !first {
			if r == '}' {
				break
			}
			p.comma(r, at, "}")
			r = p.peek()
			at = p.in.here("")
		}
		if r != '"' {
			p.broken(at, "Here a key in double quotes is expected.")
		}
		key, cut := p.quoted(maxNameBytes)
		if cut {
			p.m.fatal(at, "name_too_long", fmt.Sprintf("A key is longer than %d characters.", maxNameBytes), "Use the names of the fields.")
		}
		if p.peek() != ':' {
			p.broken(p.in.here(""), "After a key a “:” is expected.")
		}
		p.in.next()
		each(key, at)
	}
	p.in.next()
	p.depth--
}

// elements calls each before the elements of an array whose bracket was not taken yet; each takes the value.
func (p *jsonParser) elements(each func()) {
	p.enter()
	p.in.next()
	for first := true; ; first = false {
		r := p.peek()
		if r == ']' {
			break
		}
		if !first {
			p.comma(r, p.in.here(""), "]")
			if p.peek() == ']' {
				p.broken(p.in.here(""), "After a comma a value is expected.")
			}
		}
		each()
	}
	p.in.next()
	p.depth--
}

func (p *jsonParser) comma(r rune, at spot, closing string) {
	if r == eof {
		p.broken(at, "The document ends before it is complete.")
	}
	if r != ',' {
		p.broken(at, "Here a comma or “"+closing+"” is expected.")
	}
	p.in.next()
}

// value reads a value whole.
func (p *jsonParser) value() *jsonValue {
	p.in.part()
	r := p.peek()
	v := &jsonValue{line: p.in.line, col: p.in.col}
	switch {
	case r == '{':
		v.kind = jsonObject
		p.members(func(key string, at spot) {
			kid := p.value()
			kid.key, kid.keyAt = key, at
			kid.keyAt.label = strconv.Quote(key)
			v.kids = append(v.kids, kid)
		})
	case r == '[':
		v.kind = jsonArray
		p.elements(func() { v.kids = append(v.kids, p.value()) })
	case r == '"':
		v.kind = jsonString
		v.text, v.cut = p.quoted(maxTextChars)
	case r == '-' || r >= '0' && r <= '9':
		v.kind, v.text = jsonNumber, p.number()
	case r >= 'a' && r <= 'z':
		at := p.in.here("")
		word := p.bare(8, func(r rune) bool { return r >= 'a' && r <= 'z' })
		switch word {
		case "null":
		case "true", "false":
			v.kind, v.text = jsonBool, word
		default:
			p.broken(at, "Here a value is expected; texts stand in double quotes.")
		}
	case r == eof:
		p.broken(p.in.here(""), "The document ends before it is complete.")
	default:
		p.broken(p.in.here(""), "Here a value is expected; texts stand in double quotes.")
	}
	return v
}

func (p *jsonParser) bare(most int, fits func(rune) bool) string {
	p.buf = p.buf[:0]
	at := p.in.here("")
	for fits(p.in.peek()) {
		if len(p.buf) == most {
			p.broken(at, "A number or a word is too long.")
		}
		p.buf = append(p.buf, byte(p.in.next()))
	}
	return string(p.buf)
}

func (p *jsonParser) number() string {
	at := p.in.here("")
	s := p.bare(64, func(r rune) bool {
		return r >= '0' && r <= '9' || r == '-' || r == '+' || r == '.' || r == 'e' || r == 'E'
	})
	if !jsonNumberForm(s) {
		p.broken(at, "This is no number of JSON: "+shown(s)+".")
	}
	return s
}

// jsonNumberForm is -?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?
func jsonNumberForm(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	if s != "" && s[0] == '-' {
		s = s[1:]
	}
	if s != "" && s[0] == '0' {
		s = s[1:]
	} else if !digits() {
		return false
	}
	if s != "" && s[0] == '.' {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		if s = s[1:]; s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}

// quoted reads a string, of which it holds most characters at most.
func (p *jsonParser) quoted(most int) (text string, cut bool) {
	start := p.in.here("")
	p.in.next()
	p.buf = p.buf[:0]
	for n := 0; ; n++ {
		at := p.in.here("")
		r := p.in.next()
		switch r {
		case eof:
			p.broken(start, "A string does not end.")
		case '"':
			if most == maxNameBytes {
				return p.interned(), cut
			}
			return string(p.buf), cut
		case '\\':
			r = p.escape(at)
		case '\n', '\t':
			p.broken(at, "A line end or tab must not stand in a string; write \\n or \\t.")
		}
		if n >= most {
			cut = true
			continue
		}
		p.buf = utf8.AppendRune(p.buf, r)
	}
}

func (p *jsonParser) interned() string {
	k, ok := p.keys[string(p.buf)]
	if !ok {
		k = string(p.buf)
		if len(p.keys) < 512 {
			p.keys[k] = k
		}
	}
	return k
}

func (p *jsonParser) escape(at spot) rune {
	switch r := p.in.next(); r {
	case '"', '\\', '/':
		return r
	case 'b', 'f':
		return ' '
	case 'n', 'r':
		return '\n'
	case 't':
		return '\t'
	case 'u':
		r := p.hex(at)
		if utf16.IsSurrogate(r) {
			if p.in.next() != '\\' || p.in.next() != 'u' {
				p.broken(at, "Half of a pair of surrogates stands alone.")
			}
			if r = utf16.DecodeRune(r, p.hex(at)); r == utf8.RuneError {
				p.broken(at, "Half of a pair of surrogates stands alone.")
			}
		}
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			p.m.fatal(at, "character_refused", fmt.Sprintf("The character U+%04X must not stand in a manifest.", r), "Remove it.")
		}
		return r
	}
	p.broken(at, "This is no escape of JSON.")
	return 0
}

func (p *jsonParser) hex(at spot) rune {
	n := rune(0)
	for range 4 {
		r := p.in.next()
		switch {
		case r >= '0' && r <= '9':
			r -= '0'
		case r >= 'a' && r <= 'f':
			r -= 'a' - 10
		case r >= 'A' && r <= 'F':
			r -= 'A' - 10
		default:
			p.broken(at, "After \\u four hexadecimal digits are expected.")
		}
		n = n<<4 | r
	}
	return n
}
