package platform_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"isthmus/integrations/kaltura/platform"
)

// volatile members differ in every run: only their type is compared.
var volatile = map[string]bool{
	"id": true, "ks": true, "token": true, "createdAt": true, "updatedAt": true, "statusUpdatedAt": true, "deletedAt": true,
	"expiry": true, "executionTime": true, "bitrate": true, "size": true, "sizeInBytes": true, "flavorIds": true,
	"flavorParamsIds": true, "codecs": true, "defConversionProfileType": true, "batchJobId": true,
	"msDuration": true, // of another clip; the whole seconds are compared
}

// perAccount lists say how many objects the whole account had, or are stock data of an installation:
// only the form of the answer is compared.
var perAccount = map[string]bool{
	"session/ks-v1-client-made-user-admin-secret": true, "session/urirestrict-matching-uri": true,
	"partner/conversionProfile-list": true, "partner/flavorParams-list": true, "partner/category-list": true,
	"partner/get": true, "partner/getInfo": true, "partner/getSecrets": true, "flavorasset/getFlavorAssetsWithParams": true,
	"flavorasset/list-by-entry": true, // the ladder has another number of rungs; getByEntryId compares them one by one
}

// comparison collects differences between a recorded answer and ours.
type comparison struct {
	r        *replayer
	compared int
	loose    bool // compare names and types, not values
	problems []string
}

func (c *comparison) differ(at, format string, a ...any) {
	c.problems = append(c.problems, at+": "+fmt.Sprintf(format, a...))
}

func (r *replayer) compare(tr transcript, res *http.Response, got string) []string {
	c := &comparison{r: r, loose: perAccount[tr.Name] || r.remote() && ownRows.MatchString(tr.Name)}
	defer func() {
		r.read.fields += c.compared
		r.read.missed = append(r.read.missed, c.problems...)
	}()
	c.compared++
	if res.StatusCode != tr.Response.Status {
		c.differ("status", "%d, recorded %d", res.StatusCode, tr.Response.Status)
	}
	for _, name := range []string{"Content-Type", "Cache-Control", "X-Kaltura", "X-Kaltura-App", "Location", "Access-Control-Allow-Origin", "Content-Disposition"} {
		want := header(tr.Response.Headers, name)
		if want == "" || name == "X-Kaltura" && !strings.HasPrefix(want, "error") {
			continue
		}
		c.compared++
		if have := res.Header.Get(name); c.normal(have) != c.normal(r.plain(want)) && !(name == "Location" && sameAddress(c.normal(have), c.normal(r.plain(want)))) {
			c.differ(name, "%q, recorded %q", have, want)
		}
	}
	if tr.Response.Body == nil {
		return c.problems // a picture or a piece of a film
	}
	c.body(header(tr.Response.Headers, "Content-Type"), *tr.Response.Body, got)
	return c.problems
}

// body compares in the format of the answer.
func (c *comparison) body(kind, want, got string) {
	switch {
	case strings.TrimSpace(want) == "" || strings.TrimSpace(got) == "":
		if strings.TrimSpace(want) != strings.TrimSpace(got) {
			c.differ("body", "%q, recorded %q", short(got), short(want))
		}
	case strings.HasPrefix(want, "#EXTM3U"):
		c.playlist(got)
	case strings.HasPrefix(want, "cb("):
		trim := func(s string) string { return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "cb("), ")") }
		c.body("application/json", trim(want), trim(got))
	case strings.HasPrefix(kind, "application/json"):
		c.json(want, got)
	case strings.Contains(kind, "xml"), strings.HasPrefix(want, "<?xml") && strings.HasPrefix(kind, "text/html"):
		if strings.HasPrefix(want, "<?xml") != strings.HasPrefix(got, "<?xml") {
			c.differ("body", "XML declaration, recorded %q", short(want))
		}
		w, err := parseXML(want)
		g, err2 := parseXML(got)
		if err != nil || err2 != nil {
			c.differ("body", "no XML: %v %v %s", err, err2, short(got))
			return
		}
		c.element("xml", w, g)
	case strings.HasPrefix(kind, "text/html"):
		w, _, ok := parsePHP(want)
		g, _, ok2 := parsePHP(got)
		if !ok || !ok2 {
			c.differ("body", "no PHP: %s", short(got))
			return
		}
		c.value("", "", w, g)
	case strings.HasPrefix(kind, "text/plain"):
		if want != got {
			c.differ("body", "%q, recorded %q", short(got), short(want))
		}
	default:
		c.differ("body", "cannot compare %s", kind)
	}
}

func short(s string) string { return s[:min(len(s), 300)] }

func (c *comparison) json(want, got string) {
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		c.differ("body", "recording: %v", err)
		return
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		c.differ("body", "no JSON: %v: %s", err, short(got))
		return
	}
	if strings.Contains(want, `\/`) != strings.Contains(got, `\/`) && !c.loose {
		c.differ("body", "slashes are not escaped as recorded: %s", short(got))
	}
	c.value("", "", w, g)
}

func (c *comparison) playlist(got string) {
	lines := strings.Split(strings.TrimSpace(got), "\n")
	variants := 0
	for _, line := range lines {
		if !strings.HasPrefix(line, "#") && line != "" {
			variants++
			if !strings.HasPrefix(line, c.r.url+"/hls/p/102/sp/10200/serveFlavor/entryId/") {
				c.differ("playlist", "variant %q", line)
			}
		}
	}
	if lines[0] != "#EXTM3U" || variants == 0 {
		c.differ("playlist", "%q", short(got))
	}
}

var (
	hosts    = regexp.MustCompile(`https?:(\\?/\\?/)kaltura\.example`)
	versions = regexp.MustCompile(`/(version|v|ev)/\d+`)
	protocol = regexp.MustCompile(`/protocol/https?`)
	assets   = regexp.MustCompile(`/(flavorId|flavorIds)/[^/]+`)
	dateTime = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`)
	madeName = regexp.MustCompile(`102_1\d{9}`)
)

// normal takes out what differs between two installations.
func (c *comparison) normal(s string) string {
	s = hosts.ReplaceAllString(s, "HOST")
	s = strings.ReplaceAll(s, c.r.url, "HOST")
	s = strings.Replace(s, "/tmp/kaltura/", "/opt/kaltura/", 1) // both stand for the recorded server's own folders
	s = versions.ReplaceAllString(s, "/$1/N")
	s = protocol.ReplaceAllString(s, "/protocol/P")
	s = assets.ReplaceAllString(s, "/$1/F")
	return madeName.ReplaceAllString(s, "102_T")
}

// sameAddress allows another number of flavors, which ends in .urlset or does not.
func sameAddress(a, b string) bool {
	return strings.ReplaceAll(a, ".urlset", "") == strings.ReplaceAll(b, ".urlset", "")
}

var idShape = regexp.MustCompile(`^(0_[0-9a-z]{8}|0_[0-9a-f]{32}|[A-Za-z0-9_=-]{60,})$`)

// learn remembers which of our values stands for a recorded one.
func (c *comparison) learn(theirs, ours any) {
	w, ok := theirs.(string)
	g, ok2 := ours.(string)
	if ok && ok2 && idShape.MatchString(w) && w != g {
		if _, have := c.r.alias[w]; !have {
			c.r.alias[w] = g
		}
	}
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "bool"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

// value compares one value at a place; key is the name of the member that holds it.
func (c *comparison) value(at, key string, want, got any) {
	c.compared++
	if kindOf(want) != kindOf(got) {
		c.differ(at, "%s %v, recorded %s %v", kindOf(got), got, kindOf(want), want)
		return
	}
	switch w := want.(type) {
	case map[string]any:
		c.object(at, w, got.(map[string]any))
	case []any:
		c.array(at, key, w, got.([]any))
	case string:
		c.text(at, key, w, got.(string))
	default:
		if class := numberOf[key]; class != "" {
			want = c.r.number(class, want)
		}
		if !volatile[key] && !c.loose && want != got && !c.clock(want, got) {
			c.differ(at, "%v, recorded %v", got, want)
		}
	}
}

// clock tells whether both are times of now.
func (c *comparison) clock(want, got any) bool {
	w, ok := want.(float64)
	g, ok2 := got.(float64)
	return ok && ok2 && w > 1.7e9 && g > 1.7e9
}

func (c *comparison) text(at, key, want, got string) {
	c.learn(want, got)
	want = c.r.numbered(want)
	if user, kind, privileges, _, ok := platform.SessionOf(want, adminSecret); ok && want != "" {
		u, k, p, _, ok := platform.SessionOf(got, c.r.secret)
		if !ok || u != user || k != kind || p != c.r.plain(privileges) {
			c.differ(at, "session of %q type %d %q, recorded %q %d %q", u, k, p, user, kind, c.r.plain(privileges))
		}
		return
	}
	if volatile[key] || c.loose {
		return
	}
	if n, err := strconv.ParseInt(want, 10, 64); err == nil && n > 1.7e9 {
		if g, err := strconv.ParseInt(got, 10, 64); err == nil && g > 1.7e9 {
			return
		}
	}
	if dateTime.MatchString(want) && dateTime.MatchString(got) {
		return
	}
	w := c.normal(c.r.translate(want, 0))
	if g := c.normal(got); w != g && !(strings.Contains(w, "HOST/") && sameAddress(w, g)) {
		c.differ(at, "%q, recorded %q", g, w)
	}
}

func (c *comparison) object(at string, want, got map[string]any) {
	// Ids of app tokens are learned with their secrets, for later proofs.
	if got["objectType"] == "KalturaAppToken" {
		c.r.tokens[got["id"].(string)], c.r.hashes[got["id"].(string)] = got["token"].(string), got["hashType"].(string)
	}
	c.learn(want["id"], got["id"])
	if want["objectType"] == "KalturaFlavorAsset" && want["description"] != "" {
		want["description"] = got["description"] // remarks of the recorded encoder
	}
	if want["objectType"] == "KalturaFlavorAsset" && want["flavorParamsId"] == 4.0 {
		want["width"], want["height"] = got["width"], got["height"] // our ladder has no rung of 540 lines; 480 stand for it
	}
	c.r.learnNumber(want, got)
	for name, w := range want {
		g, ok := got[name]
		if !ok {
			c.differ(at+"."+name, "missing")
			continue
		}
		c.value(at+"."+name, name, w, g)
	}
	for name := range got {
		if name == "lastAccessedAt" && c.r.remote() {
			continue // its watcher is at work all the time
		}
		if _, ok := want[name]; !ok {
			c.differ(at+"."+name, "not in the recording: %v", got[name])
		}
	}
}

// keyOf names an element of a list, so that lists in no particular order can be aligned.
func keyOf(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return ""
	}
	if m["objectType"] == "KalturaFlavorAsset" {
		return fmt.Sprint("params", m["flavorParamsId"])
	}
	if m["objectType"] == "KalturaFlavorAssetWithParams" {
		return fmt.Sprint("with", m["flavorParams"].(map[string]any)["id"])
	}
	if m["objectType"] == "KalturaFlavorParams" {
		return fmt.Sprint("params", m["id"])
	}
	if m["ext"] != nil {
		return fmt.Sprint("height", m["height"])
	}
	if name, ok := m["screenName"].(string); ok {
		return name
	}
	name, _ := m["name"].(string)
	return madeName.ReplaceAllString(name, "102_T")
}

// array compares lists. Renditions are another ladder than the recorded one: those that both have
// are compared. Elements of an unordered list are found by name; when a page shows another one of
// them, its form is compared.
func (c *comparison) array(at, key string, want, got []any) {
	ladder := false
	for _, v := range append(slices.Clone(want), got...) {
		if m, ok := v.(map[string]any); ok && (strings.HasPrefix(fmt.Sprint(m["objectType"]), "KalturaFlavor") || m["ext"] != nil) {
			ladder = true
		}
	}
	if len(want) != len(got) && !(ladder && len(got) > 0) && !c.loose || len(want) > 0 && len(got) == 0 && !c.loose {
		c.differ(at, "%d elements, recorded %d", len(got), len(want))
		return
	}
	for i, g := range got {
		place := fmt.Sprintf("%s[%d]", at, i)
		j := i
		if name := keyOf(g); name != "" && (key == "objects" || ladder) {
			j = slices.IndexFunc(want, func(w any) bool { return keyOf(w) == name })
			if j < 0 && (ladder || c.loose) {
				continue
			}
			if j < 0 { // another page of the same set
				was := c.loose
				c.loose = true
				c.value(place, "", want[min(i, len(want)-1)], g)
				c.loose = was
				continue
			}
		}
		if j < len(want) {
			c.value(place, key, want[j], g)
		}
	}
}

// element is a parsed XML element.
type element struct {
	name     string
	text     string
	children []element
}

func parseXML(s string) (element, error) {
	d := xml.NewDecoder(strings.NewReader(s))
	stack := []element{{}}
	for {
		t, err := d.Token()
		if err == io.EOF {
			return stack[0], nil
		}
		if err != nil {
			return element{}, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			stack = append(stack, element{name: t.Name.Local})
			for _, a := range t.Attr {
				if a.Name.Local != "xmlns" {
					stack[len(stack)-1].children = append(stack[len(stack)-1].children, element{name: "@" + a.Name.Local, text: a.Value})
				}
			}
		case xml.CharData:
			stack[len(stack)-1].text += string(t)
		case xml.EndElement:
			last := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			stack[len(stack)-1].children = append(stack[len(stack)-1].children, last)
		}
	}
}

func (c *comparison) element(at string, want, got element) {
	names := func(e element) []string {
		var out []string
		for _, ch := range e.children {
			out = append(out, ch.name)
		}
		return out
	}
	if w, g := names(want), names(got); !slices.Equal(w, g) {
		c.differ(at, "elements %v, recorded %v", g, w)
		return
	}
	if was, name := c.loose, func(e element) string {
		for _, ch := range e.children {
			if ch.name == "name" {
				return madeName.ReplaceAllString(ch.text, "102_T")
			}
		}
		return ""
	}; want.name == "item" && name(want) != name(got) {
		c.loose = true // another page of the same set
		defer func() { c.loose = was }()
	}
	for i := range want.children {
		c.element(at+"."+want.children[i].name, want.children[i], got.children[i])
	}
	if c.compared++; len(want.children) == 0 && want.name != "executionTime" && want.name != "@bitrate" {
		c.text(at, want.name, strings.TrimSpace(want.text), strings.TrimSpace(got.text))
	}
}

// parsePHP reads PHP's serialisation format as JSON would be read: objects get their objectType.
func parsePHP(s string) (v any, rest string, ok bool) {
	head, tail, found := strings.Cut(s, ":")
	if strings.HasPrefix(s, "N;") {
		return nil, s[2:], true
	}
	if !found {
		return nil, s, false
	}
	switch head {
	case "i", "d", "b":
		text, rest, ok := strings.Cut(tail, ";")
		n, err := strconv.ParseFloat(text, 64)
		if head == "b" {
			return n == 1, rest, ok
		}
		return n, rest, ok && err == nil
	case "s":
		size, after, ok := strings.Cut(tail, ":")
		n, err := strconv.Atoi(size)
		if !ok || err != nil || len(after) < n+3 {
			return nil, s, false
		}
		return after[1 : n+1], after[n+3:], true
	case "a", "O":
		out := map[string]any{}
		if head == "O" {
			_, after, _ := strings.Cut(tail, `:"`)
			class, after, ok := strings.Cut(after, `":`)
			if !ok {
				return nil, s, false
			}
			out["objectType"], tail = class, after
		}
		size, rest, ok := strings.Cut(tail, ":{")
		n, err := strconv.Atoi(size)
		if !ok || err != nil {
			return nil, s, false
		}
		list := []any{}
		isList := head == "a"
		for i := range n {
			k, r, ok := parsePHP(rest)
			if !ok {
				return nil, s, false
			}
			val, r, ok := parsePHP(r)
			if !ok {
				return nil, s, false
			}
			rest = r
			out[fmt.Sprint(k)] = val
			list = append(list, val)
			isList = isList && k == float64(i)
		}
		rest = strings.TrimPrefix(rest, "}")
		if isList {
			return list, rest, true
		}
		return out, rest, true
	}
	return nil, s, false
}
