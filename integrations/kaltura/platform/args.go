package platform

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// args are request parameters as a tree of map[string]any, []any, string, json.Number and bool.
// The readers convert as PHP does, because clients count on it: "abc" is the number 0.
type args map[string]any

// maxRelativeTime is the largest time value that is read as an offset from now: ten years.
const maxRelativeTime = 315360000

// has tells whether a parameter was sent with a value. A JSON null counts as absent.
func (a args) has(name string) bool { return a[name] != nil }

// str gives a parameter as text, "" when absent.
func (a args) str(name string) string { return text(a[name]) }

// text gives a scalar as text.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "1"
		}
	}
	return ""
}

// num gives a parameter as a number, 0 when it is none.
func (a args) num(name string) int64 { return number(a[name]) }

// number reads the leading integer of a scalar.
func number(v any) int64 {
	s := strings.TrimSpace(text(v))
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	n, _ := strconv.ParseInt(s[:end], 10, 64)
	return n
}

// numOr gives a parameter as a number or the default when absent.
func (a args) numOr(name string, d int64) int64 {
	if !a.has(name) || a.str(name) == "" {
		return d
	}
	return a.num(name)
}

// flag gives a boolean or the default when absent. Words count: "false" in any case is false.
func (a args) flag(name string, d bool) bool {
	if !a.has(name) {
		return d
	}
	s := a.str(name)
	return s != "" && s != "0" && !strings.EqualFold(s, "false")
}

// tree gives an object parameter; nil when absent.
func (a args) tree(name string) args {
	switch v := a[name].(type) {
	case map[string]any:
		return v
	case args:
		return v
	}
	return nil
}

// items gives an array parameter, sent as a JSON array or as numbered members.
func (a args) items(name string) []args {
	var out []args
	switch v := a[name].(type) {
	case []any:
		for _, e := range v {
			if m, ok := e.(map[string]any); ok {
				out = append(out, m)
			}
		}
	case map[string]any:
		for i := 0; ; i++ {
			m, ok := v[strconv.Itoa(i)].(map[string]any)
			if !ok {
				break
			}
			out = append(out, m)
		}
	}
	return out
}

// change reports what an update does to a field: its new text, and whether it was sent at all.
// name__null clears.
func (a args) change(name string) (value string, sent bool) {
	if _, ok := a[name+"__null"]; ok {
		return "", true
	}
	return a.str(name), a.has(name)
}

// when reads a time parameter: unix seconds, small magnitudes are relative to now.
func (a args) when(name string, now time.Time) int64 {
	n := a.num(name)
	if n >= -maxRelativeTime && n <= maxRelativeTime {
		return now.Unix() + n
	}
	return n
}

// words splits a comma list.
func words(s string) []string {
	var out []string
	for w := range strings.SplitSeq(s, ",") {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

// put stores a value under a colon-separated name, as forms send nested objects.
func put(tree map[string]any, name string, value any) {
	for {
		head, rest, nested := strings.Cut(name, ":")
		if !nested {
			tree[head] = value
			return
		}
		next, ok := tree[head].(map[string]any)
		if !ok {
			next = map[string]any{}
			tree[head] = next
		}
		if rest == "-" {
			return // "a:-=" is an empty array
		}
		tree, name = next, rest
	}
}

// merge lays over onto base, nested maps member by member.
func merge(base, over map[string]any) {
	for k, v := range over {
		if sub, ok := v.(map[string]any); ok {
			if have, ok := base[k].(map[string]any); ok {
				merge(have, sub)
				continue
			}
		}
		base[k] = v
	}
}
