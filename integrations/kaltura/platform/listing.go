package platform

import (
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Limits of a listing.
const (
	defaultPage = 30
	maxPage     = 500
	maxMatches  = 10000 // an offset from here on is refused
)

// window reads the pager: a size of 0, below it or no number at all lists everything.
func (c *call) window() (limit, offset int) {
	pager := c.args.tree("pager")
	size := pager.numOr("pageSize", defaultPage)
	page := max(pager.numOr("pageIndex", 1), 1)
	if size <= 0 {
		return 0, 0
	}
	size = min(size, maxPage)
	return int(size), int(min((page-1)*size, 1<<40))
}

// find runs a listing with the filter's order and the pager. sortable maps Kaltura's order keys to
// columns; an unknown key is ignored.
func find[T any](c *call, t Table[T], where []Cond, sortable map[string]string, order ...Order) (rows []T, total int, err error) {
	limit, offset := c.window()
	if key := c.args.tree("filter").str("orderBy"); len(key) > 1 {
		if column := sortable[key[1:]]; column != "" && (key[0] == '+' || key[0] == '-' || key[0] == ' ') {
			order = []Order{{Column: column, Desc: key[0] == '-'}}
		}
	}
	f := Find{Partner: c.partner(), Where: all(where...), Order: order, Limit: limit, Offset: offset}
	if total, err = t.Count(c, f); err != nil || total <= offset {
		return nil, total, err
	}
	rows, err = t.Find(c, f)
	return rows, total, err
}

// equals adds conditions for <field>Equal, In, NotIn and NotEqual of text fields. names are pairs
// of Kaltura's field and our column.
func (c *call) equals(where []Cond, f args, names ...string) []Cond {
	for i := 0; i < len(names); i += 2 {
		field, column := names[i], names[i+1]
		if f.has(field + "Equal") {
			where = append(where, in(column, f.str(field+"Equal")))
		}
		if f.has(field + "NotEqual") {
			where = append(where, not(in(column, f.str(field+"NotEqual"))))
		}
		if f.has(field + "In") {
			where = append(where, in(column, words(f.str(field+"In"))...))
		}
		if f.has(field + "NotIn") {
			where = append(where, not(in(column, words(f.str(field+"NotIn"))...)))
		}
	}
	return where
}

// numbers adds the same conditions for numeric fields, and ranges.
func (c *call) numbers(where []Cond, f args, names ...string) []Cond {
	ints := func(s string) []int64 {
		var out []int64
		for _, w := range words(s) {
			out = append(out, number(w))
		}
		return out
	}
	for i := 0; i < len(names); i += 2 {
		field, column := names[i], names[i+1]
		if f.has(field + "Equal") {
			where = append(where, in(column, f.num(field+"Equal")))
		}
		if f.has(field + "NotEqual") {
			where = append(where, not(in(column, f.num(field+"NotEqual"))))
		}
		if f.has(field + "In") {
			where = append(where, in(column, ints(f.str(field+"In"))...))
		}
		if f.has(field + "NotIn") {
			where = append(where, not(in(column, ints(f.str(field+"NotIn"))...)))
		}
		if f.has(field + "GreaterThanOrEqual") {
			where = append(where, Cond{Op: OpAtLeast, Column: column, Values: []any{f.num(field + "GreaterThanOrEqual")}})
		}
		if f.has(field + "LessThanOrEqual") {
			where = append(where, Cond{Op: OpAtMost, Column: column, Values: []any{f.num(field + "LessThanOrEqual")}})
		}
	}
	return where
}

// times adds ranges of time fields, in whole seconds as Kaltura keeps them.
func (c *call) times(where []Cond, f args, names ...string) []Cond {
	for i := 0; i < len(names); i += 2 {
		field, column := names[i], names[i+1]
		if f.has(field + "GreaterThanOrEqual") {
			at := time.Unix(f.when(field+"GreaterThanOrEqual", c.now), 0).UTC()
			where = append(where, Cond{Op: OpAtLeast, Column: column, Values: []any{at}})
		}
		if f.has(field + "LessThanOrEqual") {
			at := time.Unix(f.when(field+"LessThanOrEqual", c.now)+1, 0).Add(-time.Microsecond).UTC()
			where = append(where, Cond{Op: OpAtMost, Column: column, Values: []any{at}})
		}
	}
	return where
}

// terms splits text into normalised words: case and accents folded. A hyphen or underscore belongs
// to a word, so that the tag "set-1" is one.
func terms(s string) []string {
	folded := make([]rune, 0, len(s))
	for _, r := range norm.NFKD.String(strings.ToLower(s)) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case unicode.IsLetter(r), unicode.IsNumber(r), r == '-', r == '_':
			folded = append(folded, unicode.ToLower(r))
		default:
			folded = append(folded, ' ')
		}
	}
	return strings.Fields(string(folded))
}

// indexed gives the form in which words are stored: between blanks, with a bar between pieces, so
// that a phrase never reaches from one tag into the next.
func indexed(pieces ...string) string {
	var b strings.Builder
	b.WriteString(" ")
	for _, p := range pieces {
		for _, t := range terms(p) {
			b.WriteString(t + " ")
		}
		b.WriteString("| ")
	}
	return b.String()
}

// like wants all words of the text in one of the columns each, in any order. A word that ends in a
// star and has three letters before it is a prefix.
func like(text string, columns ...string) Cond {
	var conds []Cond
	for raw := range strings.FieldsSeq(text) {
		conds = append(conds, word(raw, columns))
	}
	return all(conds...)
}

func word(raw string, columns []string) Cond {
	ts := terms(raw)
	if len(ts) == 0 {
		return all()
	}
	open := strings.HasSuffix(raw, "*") && len([]rune(ts[len(ts)-1])) >= 3
	return phrase(ts, open, columns)
}

// phrase wants words one after the other in one of the columns.
func phrase(ts []string, open bool, columns []string) Cond {
	needle := " " + strings.Join(ts, " ")
	if !open {
		needle += " "
	}
	var cols []Cond
	for _, col := range columns {
		cols = append(cols, contains(col, needle))
	}
	return anyOf(cols...)
}

// multi reads a comma list of which one or all must be found; a value with blanks is a phrase.
func multi(list string, every bool, columns ...string) Cond {
	var conds []Cond
	for _, w := range words(list) {
		ts := terms(w)
		if len(ts) == 0 {
			continue
		}
		conds = append(conds, phrase(ts, strings.HasSuffix(w, "*") && len([]rune(ts[len(ts)-1])) >= 3, columns))
	}
	if every {
		return all(conds...)
	}
	return anyOf(conds...)
}

// free reads a free text: a comma separates alternatives, quotes hold a phrase, a leading ! negates,
// otherwise every word must be found.
func free(text string, column string) Cond {
	var alternatives []Cond
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		bare, negated := strings.CutPrefix(part, "!")
		var cond Cond
		if len(bare) > 1 && strings.HasPrefix(bare, `"`) && strings.HasSuffix(bare, `"`) {
			cond = phrase(terms(bare), false, []string{column})
		} else {
			cond = like(bare, column)
		}
		if negated {
			cond = not(cond)
		}
		alternatives = append(alternatives, cond)
	}
	if len(alternatives) == 0 {
		return all()
	}
	return anyOf(alternatives...)
}
