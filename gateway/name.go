package gateway

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// maxName is the longest file name in bytes, after Unicode composition (NFC), so that the same name
// typed on a Mac (decomposed) and elsewhere has the same limit.
const maxName = 1024

// checkName takes any name a person can give a file. It is kept as it is: files are stored under
// ids, so a name is never a path and nothing in it is dangerous except what no text may hold.
func checkName(name string) error {
	switch {
	case name == "":
		return E(Invalid, "name_empty", "The file has no name.").Next("Give the file a name.").At("/name")
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return E(Invalid, "name_invalid", "The file's name is not valid text.").
			Next("Send the name as UTF-8 without NUL characters.").At("/name")
	case len(norm.NFC.String(name)) > maxName:
		return E(Invalid, "name_too_long", "The file's name is longer than 1024 bytes.").
			Next("Shorten the name.").At("/name")
	}
	return nil
}

// unseen are characters that change how other text looks or cannot be seen at all. The joiners
// U+200C and U+200D stay: Persian, Indic scripts and emoji need them.
func unseen(r rune) bool {
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r) ||
		r == '\u200b' || r == '\u2060' || r == '\ufeff' || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
}

// cleanText makes one tidy line of what people typed: composed, without control and bidi characters.
func cleanText(s string) string {
	out, _, err := transform.String(transform.Chain(
		runes.ReplaceIllFormed(),
		runes.Map(func(r rune) rune {
			if r == '\t' || r == '\n' || r == '\r' {
				return ' '
			}
			return r
		}),
		runes.Remove(runes.Predicate(unseen)), norm.NFC), s)
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(out), " ")
}

// ending gives the file name ending in lower case without its dot, "" when there is none. Endings are
// short and ASCII; what follows the dot in "Dr. Who" is none.
func ending(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || i == len(name)-1 || len(name)-i > 11 {
		return ""
	}
	for _, c := range []byte(name[i+1:]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return ""
		}
	}
	return strings.ToLower(name[i+1:])
}

// titleOf makes the entry's name from the one asked for or else from the file's.
func titleOf(title, name string) string {
	if t := cleanText(title); t != "" {
		return t
	}
	if e := ending(name); e != "" {
		name = name[:len(name)-len(e)-1]
	}
	if t := cleanText(name); t != "" {
		return t
	}
	return "Untitled"
}

// cleanTags tidies tags and drops empty and repeated ones. Kaltura keeps tags in one text with
// commas between, so a comma cannot be part of one.
func cleanTags(tags []string) ([]string, error) {
	const most, longest = 100, 200
	out := make([]string, 0, len(tags))
	seen := map[string]bool{}
	for _, t := range tags {
		for part := range strings.SplitSeq(t, ",") {
			part = cleanText(part)
			if part == "" || seen[part] {
				continue
			}
			if len(part) > longest {
				return nil, E(Invalid, "tag_too_long", "A tag is longer than 200 bytes.").Next("Shorten the tag.").At("/tags")
			}
			seen[part] = true
			out = append(out, part)
		}
	}
	if len(out) > most {
		return nil, E(Invalid, "too_many_tags", "There are more than 100 tags.").Next("Use at most 100 tags.").At("/tags")
	}
	return out, nil
}
