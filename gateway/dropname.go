package gateway

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// What patterns and expressions may be: enough for any real folder, too little to hold anybody up.
const (
	maxDropPatterns = 50
	maxDropPattern  = 200 // bytes
	maxDropSlug     = 500 // bytes
	maxReference    = 512 // runes
	maxPlatformUser = 100 // runes
	maxCategoryName = 60  // runes of one level
)

// dropKey is what a name is compared by: one composed on a Mac is the same as one typed elsewhere.
func dropKey(name string) string { return norm.NFC.String(name) }

// checkDropName takes the name of a file within a folder: a path of any text, of which no step leads out.
func checkDropName(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(name) > MaxDropName || strings.Count(name, "/") > maxDropDepth {
		return E(Invalid, "name_too_long", "The file's path within the folder is too long or too deep.").
			Next("Use at most %d bytes and %d folders.", MaxDropName, maxDropDepth).At("/name")
	}
	for step := range strings.SplitSeq(name, "/") {
		if step == "" || step == "." || step == ".." || strings.ContainsFunc(step, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return E(Invalid, "name_no_path", "The file's name is no path within the folder.").
				Next("Write it like 2026/clip.mp4: no slash at either end, no empty steps, no dots for a folder above.").At("/name")
		}
	}
	return nil
}

// maxDropDepth is how many folders lie between a drop folder and its deepest file.
const maxDropDepth = 32

// dropPattern is a shell pattern. Without a slash it is about the last part of a path, else about all of it, where **
// stands for any number of folders. Upper and lower case are the same.
type dropPattern struct {
	steps []string
	whole bool
}

func parsePattern(text string) (p dropPattern, why string) {
	switch {
	case text == "":
		return p, "is empty"
	case len(text) > maxDropPattern:
		return p, "is longer than 200 bytes"
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return p, "has characters that no name has"
	}
	text = strings.ToLower(norm.NFC.String(text))
	p.whole = strings.Contains(text, "/")
	for step := range strings.SplitSeq(strings.TrimPrefix(text, "/"), "/") {
		if _, err := path.Match(step, ""); err != nil {
			return p, "has a bracket or backslash without its other half"
		}
		switch {
		case step == "":
			return p, "has an empty step"
		case step == "**" && len(p.steps) > 0 && p.steps[len(p.steps)-1] == "**": // says it twice
		default:
			p.steps = append(p.steps, step)
		}
	}
	return p, ""
}

// fits takes a name as foldName gives it. The time it takes grows with pattern times name, never faster.
func (p dropPattern) fits(steps []string) bool {
	if !p.whole {
		ok, _ := path.Match(p.steps[0], steps[len(steps)-1])
		return ok
	}
	// can[j]: what was looked at of the pattern fits the first j steps.
	can := make([]bool, len(steps)+1)
	can[0] = true
	for _, want := range p.steps {
		next := make([]bool, len(steps)+1)
		for j := range next {
			switch {
			case want == "**":
				next[j] = can[j] || j > 0 && next[j-1]
			case j > 0 && can[j-1]:
				next[j], _ = path.Match(want, steps[j-1])
			}
		}
		can = next
	}
	return can[len(steps)]
}

func foldName(name string) []string {
	return strings.Split(strings.ToLower(norm.NFC.String(name)), "/")
}

func checkPatterns(texts []string, at string) ([]string, error) {
	if len(texts) > maxDropPatterns {
		return nil, E(Invalid, "too_many_patterns", "There are more than 50 patterns.").Next("Use fewer, such as *.mp4.").At(at)
	}
	out := []string{}
	for i, t := range texts {
		t = strings.TrimSpace(t)
		if _, why := parsePattern(t); why != "" {
			return nil, below(E(Invalid, "pattern_invalid", "A pattern "+why+".").Next("Use patterns such as *.mp4, clip-?.mov, [ab]*.wav or news/**/*.mp4."), at+"/%d", i)
		}
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out, nil
}

// The groups of a folder's expression.
const (
	slugReference = "referenceId"
	slugFlavor    = "flavorName"
	slugUser      = "userId"
)

// parseSlug takes an expression as Kaltura's slugRegex has it, with PHP's delimiters, or without any. Go's expressions take time
// in proportion to the text, whatever they are.
func parseSlug(text string) (*regexp.Regexp, error) {
	bad := func(reason, message, next string) error {
		return E(Invalid, reason, message).Next("%s", next).At("/slug")
	}
	if len(text) > maxDropSlug || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, bad("slug_too_long", "The expression is longer than 500 bytes or no text.", "Shorten it.")
	}
	body, flags, why := phpExpression(text)
	if why != "" {
		return nil, bad("slug_invalid", "The expression "+why+".", `Write it like /(?P<referenceId>.+)\.\w{3,}/i, or without slashes.`)
	}
	re, err := regexp.Compile(flags + quotedGroups.ReplaceAllString(body, "(?P<$1>"))
	if err != nil {
		if unsupported.MatchString(body) {
			return nil, bad("slug_unsupported", "The expression looks ahead or behind, or back at what it found, which is not supported here.",
				"Write it with plain groups, such as (?P<referenceId>[^_]+)_.*")
		}
		return nil, bad("slug_invalid", "The expression cannot be read.", `Check its brackets; write it like (?P<referenceId>.+)\.\w{3,}`)
	}
	names := re.SubexpNames()
	for i, n := range names {
		if n != "" && slices.Contains(names[:i], n) {
			return nil, bad("slug_group_twice", "The expression names a group twice.", "Name each group once.")
		}
	}
	if !slices.Contains(names, slugReference) {
		return nil, bad("slug_no_reference", "The expression does not say which part of the name is the reference id.", "Put (?P<referenceId>…) around that part.")
	}
	return re, nil
}

var (
	quotedGroups = regexp.MustCompile(`\(\?'([A-Za-z_][A-Za-z0-9_]*)'`)                       // PHP's third way to name a group
	unsupported  = regexp.MustCompile(`\(\?(?:[=!>|]|<[=!]|R|\d|P[=>])|\\[1-9gkKR]|[*+?}]\+`) // what Go's expressions lack
)

// phpExpression takes off delimiters and turns flags into Go's.
func phpExpression(text string) (body, flags, why string) {
	if text == "" {
		return "", "", "is empty"
	}
	open := text[0]
	end, paired := map[byte]byte{'(': ')', '[': ']', '{': '}', '<': '>'}[open]
	switch {
	case paired && open != '{' && open != '<': // as PHP's delimiters these are rare, as a beginning of an expression usual
		return text, "", ""
	case paired:
	case strings.IndexByte("/#~!@%|,;:`'\"=+&_-", open) >= 0:
		end = open
	default:
		return text, "", ""
	}
	last := strings.LastIndexByte(text, end)
	if last == 0 {
		return "", "", "begins with a delimiter that is not closed"
	}
	body = strings.ReplaceAll(text[1:last], `\`+string(end), escaped(end))
	if body == "" {
		return "", "", "is empty"
	}
	var keep []byte
	for _, f := range []byte(text[last+1:]) {
		switch f {
		case 'i', 's', 'm', 'U':
			keep = append(keep, f)
		case 'u', 'D', 'S', 'J': // as Go does anyhow, or of no consequence
		case 'A':
			body = `\A(?:` + body + `)`
		default:
			return "", "", "has the flag " + string(rune(f)) + ", which is not supported here"
		}
	}
	if len(keep) > 0 {
		flags = "(?" + string(keep) + ")"
	}
	return body, flags, ""
}

// escaped is how a delimiter that stood escaped in the expression is written without delimiters.
func escaped(delimiter byte) string { return regexp.QuoteMeta(string(delimiter)) }

// DropReading is what the name and the path of a file say of it.
type DropReading struct {
	ReferenceID string
	Flavor      string   // rendition, as the folder's expression names it
	UserID      string   // on the platform; "" = nobody's
	UserNamed   bool     // by the path or the name, else it is the folder's
	Tags        []string // the folder's and those of the path
	Category    string   // full name, "a>b"
}

// dropRules are a folder's rules about names, ready for use. Safe for concurrent use.
type dropRules struct {
	folder           DropFolder
	patterns, ignore []dropPattern
	writing          *dropPattern
	slug             *regexp.Regexp
}

// rulesOf gives a folder's rules. Invalid when they were saved by a version that took more.
func rulesOf(f DropFolder) (*dropRules, error) {
	r := &dropRules{folder: f}
	for _, c := range []struct {
		texts []string
		into  *[]dropPattern
		at    string
	}{{f.Patterns, &r.patterns, "/patterns"}, {f.Ignore, &r.ignore, "/ignore"}} {
		for i, t := range c.texts {
			p, why := parsePattern(t)
			if why != "" {
				return nil, below(E(Invalid, "pattern_invalid", "A pattern "+why+".").Next("Change it in the folder's settings."), c.at+"/%d", i)
			}
			*c.into = append(*c.into, p)
		}
	}
	if f.Complete.Rename != "" {
		p, why := parsePattern(f.Complete.Rename)
		if why != "" {
			return nil, E(Invalid, "pattern_invalid", "The pattern of unfinished names "+why+".").Next("Change it in the folder's settings.").At("/complete/rename")
		}
		r.writing = &p
	}
	if f.Slug != "" {
		var err error
		if r.slug, err = parseSlug(f.Slug); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Why a file is left alone.
const (
	leftHidden  = "hidden"       // begins with a dot, or belongs to an operating system
	leftWriting = "unfinished"   // by its name it is still written
	leftMarker  = "marker"       // says of another file that it is whole
	leftIgnored = "ignored"      // by a pattern of the folder
	leftOther   = "not_wanted"   // no pattern of the folder fits
	leftNoPath  = "name_no_path" // leads out of the folder
)

// debris is what operating systems leave in folders.
var debris = []string{"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "lost+found"}

// left says why a file is left alone; "" = it is taken. manifest: by its name it is one, which the patterns of media do not concern.
func (r *dropRules) left(name string, manifest bool) string {
	if checkDropName(name) != nil {
		return leftNoPath
	}
	steps := foldName(name)
	fits := func(p dropPattern) bool { return p.fits(steps) }
	for _, s := range steps {
		if s[0] == '.' || strings.HasPrefix(s, "~$") || slices.Contains(debris, s) {
			return leftHidden
		}
	}
	switch {
	case r.writing != nil && fits(*r.writing):
		return leftWriting
	case r.folder.Complete.Marker != "" && strings.HasSuffix(steps[len(steps)-1], strings.ToLower(r.folder.Complete.Marker)):
		return leftMarker
	case slices.ContainsFunc(r.ignore, fits):
		return leftIgnored
	case !manifest && len(r.patterns) > 0 && !slices.ContainsFunc(r.patterns, fits):
		return leftOther
	}
	return ""
}

// marks gives the name of the file that a marker is about; "" when the name is no marker.
func (r *dropRules) marks(marker string) string {
	m := r.folder.Complete.Marker
	if m == "" || len(marker) <= len(m) || !strings.EqualFold(marker[len(marker)-len(m):], m) || strings.HasSuffix(marker[:len(marker)-len(m)], "/") {
		return ""
	}
	return marker[:len(marker)-len(m)]
}

// isWriting tells whether a name says that the file is still written.
func (r *dropRules) isWriting(name string) bool {
	return r.writing != nil && r.writing.fits(foldName(name))
}

// read says what a name and its path mean. Invalid with reason "slug_no_match" when the folder's expression does not fit.
func (r *dropRules) read(name string) (DropReading, error) {
	o := r.folder.Origin
	dirs, base := strings.Split(dropKey(name), "/"), ""
	dirs, base = dirs[:len(dirs)-1], dirs[len(dirs)-1]
	out := DropReading{ReferenceID: strings.TrimSuffix(base, path.Ext(base)), UserID: o.UserID, Category: o.Category}
	if e := ending(base); e == "" || out.ReferenceID == "" {
		out.ReferenceID = base // what follows the dot in "Dr. Who" is no ending
	}
	if r.slug != nil {
		found := r.slug.FindStringSubmatch(base)
		if found == nil {
			return out, E(Invalid, reasonSlug, "The name does not fit the folder's expression.").Next("Rename the file, or change the expression in the folder's settings.")
		}
		group := func(g string) string {
			if i := r.slug.SubexpIndex(g); i >= 0 {
				return found[i]
			}
			return ""
		}
		out.ReferenceID, out.Flavor = group(slugReference), group(slugFlavor)
		if user := group(slugUser); user != "" {
			out.UserID, out.UserNamed = user, true
		}
	}
	if o.UserFromPath && len(dirs) > 0 {
		out.UserID, out.UserNamed, dirs = dirs[0], true, dirs[1:]
	}
	out.ReferenceID, out.UserID = cutRunes(cleanText(out.ReferenceID), maxReference), cutRunes(cleanText(out.UserID), maxPlatformUser)
	out.Flavor = cleanText(out.Flavor)
	if out.ReferenceID == "" {
		return out, E(Invalid, reasonSlug, "The name gives no reference id.").Next("Rename the file, or change the expression in the folder's settings.")
	}
	tags := slices.Clone(o.Tags)
	for _, d := range dirs {
		if o.TagsFromPath {
			tags = append(tags, cutRunes(d, 50)) // 200 bytes at most
		}
		// What parts the levels of a category's full name cannot be part of one.
		if level := cutRunes(cleanText(strings.ReplaceAll(d, ">", "-")), maxCategoryName); o.CategoryFromPath && level != "" {
			out.Category = strings.TrimPrefix(out.Category+">"+level, ">")
		}
	}
	var err error
	out.Tags, err = cleanTags(tags)
	return out, err
}

// cutRunes cuts a text to n characters.
func cutRunes(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:n]))
}
