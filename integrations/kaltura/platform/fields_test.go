package platform_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"isthmus/integrations/kaltura/platform"
)

// The replay is judged at two levels.
//
// Fields that clients read must all be right. They are everything that was recorded (status, headers
// that matter, names, types, presence, order and values of all members) except the values, never the
// presence or type, of what no client can count on: see volatile, perAccount and array in
// compare_test.go, each with its reason.
//
// Every recorded field is counted as well, values and all, and at least 97 in 100 must be right.
// There nothing is left out: a flavor that our ladder does not have is a miss of all its fields, and
// so is a bit rate that another encoder made. Only what differs between any two runs of the recorded
// server itself (ids, times, sessions, hosts and the texts they stand in) is compared by its form.
const wantedShare = 0.97

// tally counts fields.
type tally struct {
	fields int
	missed []string
}

func (t *tally) share() float64 { return 1 - float64(len(t.missed))/float64(max(t.fields, 1)) }

func (t *tally) String() string {
	return fmt.Sprintf("%d of %d (%.2f %%)", t.fields-len(t.missed), t.fields, 100*t.share())
}

// strict compares every recorded field of an answer.
type strict struct {
	*comparison
	*tally
	scenario string
}

func (s *strict) miss(at string, got, want any) {
	s.missed = append(s.missed, fmt.Sprintf("%s %s: %v, recorded %v", s.scenario, at, got, want))
}

// ownHeaders have another value in each answer of the recorded server: only their presence counts.
var ownHeaders = map[string]bool{
	"X-Kaltura-Session": true, // a random number and the time
	"X-Me":              true, // the host
	"Content-Length":    true, // follows from ids, hosts and times
}

// every counts all recorded fields of one answer.
func (r *replayer) every(t *tally, tr transcript, res *http.Response, got string) {
	s := &strict{comparison: &comparison{r: r}, tally: t, scenario: tr.Name}
	s.leaf("status", "", float64(tr.Response.Status), float64(res.StatusCode))
	for name, want := range tr.Response.Headers {
		have := any(nil)
		if v := res.Header.Values(name); len(v) > 0 {
			have = v[0]
		}
		if have != nil && (ownHeaders[http.CanonicalHeaderKey(name)] || strings.HasPrefix(want, "cache")) {
			have = want // the name of a cache line is the server's own
		}
		if have == nil && want == "" {
			have = want // a header without a value says nothing
		}
		s.leaf("header "+name, "", any(want), have)
	}
	if tr.Response.Body == nil {
		return
	}
	want := *tr.Response.Body
	w, ok := tree(header(tr.Response.Headers, "Content-Type"), want)
	g, ok2 := tree(header(tr.Response.Headers, "Content-Type"), got)
	if !ok || !ok2 {
		s.leaf("body", "", want, got)
		return
	}
	s.walk("", "", w, g)
}

// tree reads an answer of any form.
func tree(kind, body string) (any, bool) {
	body = strings.TrimSpace(body)
	var v any
	switch {
	case strings.HasPrefix(body, "cb("):
		return tree("application/json", strings.TrimRight(strings.TrimPrefix(body, "cb("), ");"))
	case strings.HasPrefix(body, "#EXTM3U"):
		var lines []any
		for line := range strings.Lines(body) {
			lines = append(lines, strings.TrimSpace(line))
		}
		return lines, true
	case strings.HasPrefix(body, "<") && kind != "text/plain;charset=UTF-8":
		e, err := parseXML(body)
		return e.tree(), err == nil
	case strings.HasPrefix(kind, "application/json"):
		return v, json.Unmarshal([]byte(body), &v) == nil
	}
	v, rest, ok := parsePHP(body)
	return v, ok && rest == ""
}

// tree gives an element in the form of JSON.
func (e element) tree() any {
	if len(e.children) == 0 {
		return strings.TrimSpace(e.text)
	}
	if !slices.ContainsFunc(e.children, func(c element) bool { return c.name != "item" }) {
		var out []any
		for _, c := range e.children {
			out = append(out, c.tree())
		}
		return out
	}
	out := map[string]any{}
	for _, c := range e.children {
		name := c.name
		for i := 2; out[name] != nil; i++ {
			name = c.name + strconv.Itoa(i)
		}
		out[name] = c.tree()
	}
	if text := strings.TrimSpace(e.text); text != "" {
		out["text()"] = text
	}
	return out
}

func (s *strict) walk(at, key string, want, got any) {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		if g == nil {
			s.fields++
			s.miss(at, kindOf(got), "object")
		}
		for name, v := range w {
			s.walk(at+"."+name, name, v, g[name])
		}
		for name, v := range g {
			if _, ok := w[name]; !ok {
				s.fields++
				s.miss(at+"."+name, v, "nothing")
			}
		}
	case []any:
		g, _ := got.([]any)
		s.leaf(at+" length", "", float64(len(w)), float64(len(g)))
		used := map[int]bool{}
		for i, v := range w {
			j := i
			if name := keyOf(v); name != "" {
				if found := slices.IndexFunc(g, func(o any) bool { return keyOf(o) == name }); found >= 0 && !used[found] {
					j = found
				} else if strings.HasPrefix(name, "params") || strings.HasPrefix(name, "height") {
					j = len(g) // a flavor that is not there is not another one
				}
			}
			used[j] = true
			var o any
			if j < len(g) {
				o = g[j]
			}
			s.walk(fmt.Sprintf("%s[%d]", at, i), key, v, o)
		}
	default:
		s.leaf(at, key, want, got)
	}
}

// leaf compares one value.
func (s *strict) leaf(at, key string, want, got any) {
	s.fields++
	if kindOf(want) != kindOf(got) || want != got && !s.byNature(key, want, got) {
		s.miss(at, got, want)
	}
}

var httpDate = regexp.MustCompile(`^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} 20[2-9]\d [\d:]{8} GMT$`)

var digits = regexp.MustCompile(`^\d{10}$`)

// byNature tells whether two values differ only as any two runs do.
func (s *strict) byNature(key string, want, got any) bool {
	if key == "executionTime" || s.clock(want, got) {
		return true
	}
	if _, isNumber := want.(float64); isNumber {
		if key == "id" || key == "batchJobId" { // of what the replay makes
			return true
		}
		return numberOf[key] != "" && s.r.number(numberOf[key], want) == got
	}
	w, ok := want.(string)
	g, ok2 := got.(string)
	if !ok || !ok2 {
		return false
	}
	if user, kind, privileges, _, ok := platform.SessionOf(w, adminSecret); ok {
		u, k, p, _, ok := platform.SessionOf(g, s.r.secret)
		return ok && u == user && k == kind && p == s.r.plain(privileges)
	}
	if key == "token" && len(w) == len(g) || idShape.MatchString(w) && idShape.MatchString(g) ||
		digits.MatchString(w) && digits.MatchString(g) || dateTime.MatchString(w) && dateTime.MatchString(g) ||
		httpDate.MatchString(w) && httpDate.MatchString(g) {
		return true
	}
	w = s.r.numbered(w)
	if s.normal(s.r.translate(w, 0)) == s.normal(g) {
		return true
	}
	wl, gl := strings.Split(w, ","), strings.Split(g, ",")
	return len(wl) == len(gl) && !slices.ContainsFunc(append(wl, gl...), func(id string) bool { return !idShape.MatchString(id) })
}
