package dropfolder

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

func (p *xmlParser) startTag() *xmlNode {
	n := &xmlNode{line: p.at.line, col: p.at.col, bound: len(p.scope)}
	if p.in.part(); len(p.open) == MaxManifestDepth {
		p.m.fatal(p.at, "depth_exceeded", fmt.Sprintf("Elements are nested more than %d deep.", MaxManifestDepth), "Write a manifest as the schema describes it.")
	}
	n.raw, n.prefix, n.name = p.name("an element")
	for {
		spaced := p.spaces()
		at := p.in.here("")
		switch p.in.peek() {
		case '>':
			p.in.next()
		case '/':
			p.in.next()
			if p.in.next() != '>' {
				p.broken(at, "After “/” a “>” is expected.")
			}
			n.empty = true
		case eof:
			p.broken(p.at, "The tag <"+n.raw+"> does not end.")
		default:
			if !spaced {
				p.broken(at, "Between the attributes of <"+n.raw+"> blanks are expected.")
			}
			p.attribute(n)
			continue
		}
		p.resolve(n)
		p.open = append(p.open, n)
		return n
	}
}

func (p *xmlParser) attribute(n *xmlNode) {
	at := p.in.here("")
	if len(n.attrs)+len(p.scope)-n.bound == maxAttributes {
		p.m.fatal(at, "attributes_too_many", fmt.Sprintf("The element <%s> has more than %d attributes.", n.raw, maxAttributes), "Write a manifest as the schema describes it.")
	}
	a := xmlAttr{line: at.line, col: at.col}
	a.raw, a.prefix, a.name = p.name("an attribute")
	a.value, a.cut = p.attrValue(a.raw)
	if (a.raw == "xmlns" || a.prefix == "xmlns") && (a.cut || utf8.RuneCountInString(a.value) > maxSpaceChars) {
		p.m.fatal(at, "name_too_long", fmt.Sprintf("A namespace is longer than %d characters.", maxSpaceChars), "Write a manifest as the schema describes it.")
	}
	switch {
	case a.raw == "xmlns":
		p.bind(n, at, "", a.value)
	case a.prefix == "xmlns":
		if a.value == "" || a.name == "xmlns" || a.name == "xml" && a.value != spaceXML {
			p.broken(at, "The prefix "+a.name+" must not be bound so.")
		}
		p.bind(n, at, a.name, a.value)
	default:
		for _, other := range n.attrs {
			if other.raw == a.raw {
				p.broken(at, "The attribute "+a.raw+" stands twice.")
			}
		}
		n.attrs = append(n.attrs, a)
	}
}

func (p *xmlParser) bind(n *xmlNode, at spot, prefix, space string) {
	for _, b := range p.scope[n.bound:] {
		if b.prefix == prefix {
			p.broken(at, "A namespace is declared twice.")
		}
	}
	if p.scope = append(p.scope, xmlBinding{prefix, space}); len(p.scope) > maxNamespaces {
		p.m.fatal(at, "namespaces_too_many", fmt.Sprintf("More than %d namespaces are declared at once.", maxNamespaces), "Write a manifest as the schema describes it.")
	}
}

func (p *xmlParser) space(prefix string) (string, bool) {
	for i := len(p.scope) - 1; i >= 0; i-- {
		if p.scope[i].prefix == prefix {
			return p.scope[i].space, true
		}
	}
	switch prefix {
	case "":
		return "", true
	case "xml":
		return spaceXML, true
	}
	return "", false
}

// resolve finds the namespaces of an element and of its attributes.
func (p *xmlParser) resolve(n *xmlNode) {
	n.bindings = slices.Clone(p.scope[n.bound:])
	var ok bool
	if n.space, ok = p.space(n.prefix); !ok {
		p.broken(p.at, "The prefix "+n.prefix+" is not declared.")
	}
	if n.space == spaceXInclude {
		p.m.fatal(p.at, "xinclude_refused", "XInclude is not allowed: a manifest includes nothing.", "Write out what was to be included.")
	}
	for i := range n.attrs {
		a := &n.attrs[i]
		if a.prefix == "" {
			continue
		}
		if a.space, ok = p.space(a.prefix); !ok {
			p.broken(spot{line: a.line, col: a.col}, "The prefix "+a.prefix+" is not declared.")
		}
		for _, other := range n.attrs[:i] {
			if other.space == a.space && other.name == a.name {
				p.broken(spot{line: a.line, col: a.col}, "The attribute "+a.raw+" stands twice.")
			}
		}
	}
}

func (p *xmlParser) endTag() *xmlNode {
	raw, _, _ := p.name("an element")
	p.spaces()
	at := p.in.here("")
	if p.in.next() != '>' {
		p.broken(at, "The closing tag </"+raw+"> does not end.")
	}
	if len(p.open) == 0 {
		p.broken(p.at, "The closing tag </"+raw+"> closes nothing.")
	}
	n := p.open[len(p.open)-1]
	if n.raw != raw {
		p.broken(p.at, fmt.Sprintf("Here </%s> is expected, for <%s> of line %d, not </%s>.", n.raw, n.raw, n.line, raw))
	}
	p.close(n)
	return n
}

func (p *xmlParser) close(n *xmlNode) {
	p.open, p.scope = p.open[:len(p.open)-1], p.scope[:n.bound]
}

// tree reads the rest of an element.
func (p *xmlParser) tree(n *xmlNode) {
	if n.empty {
		p.close(n)
		return
	}
	if n.name == "xmlData" {
		p.blank++
		defer func() { p.blank-- }()
	}
	for {
		switch kind, k := p.token(true); kind {
		case xmlEOF:
			p.unclosed()
		case xmlEnd:
			return
		case xmlStart:
			p.tree(k)
			n.kids = append(n.kids, k)
		case xmlText:
			if p.blank > 0 || k.cut || strings.TrimSpace(k.text) != "" {
				p.in.part()
				n.kids = append(n.kids, k)
			}
		}
	}
}

func (p *xmlParser) unclosed() {
	n := p.open[len(p.open)-1]
	p.broken(p.in.here(""), fmt.Sprintf("The document ends before <%s> of line %d does.", n.raw, n.line))
}
