package platform

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// errBatchLost means that the original would have crashed: HTTP 500 and no body.
var errBatchLost = errors.New("platform: reference to a member of a scalar")

// shared are the top-level parameters that every request of a batch inherits.
var shared = []string{"ks", "partnerId", "p", "clientTag", "apiVersion", "language"}

const maxBatch = 100

// batch runs a multirequest: requests in order, each able to refer to the results of earlier ones.
func (p *Platform) batch(q *request, m *marks) (any, error) {
	index := 1
	if q.params.tree("0") != nil {
		index = 0
	}
	results := []any{}
	for ; len(results) < maxBatch; index++ {
		key := strconv.Itoa(index)
		sub := q.params.tree(key)
		if sub == nil || sub.str("service") == "" || sub.str("action") == "" {
			break
		}
		for _, name := range shared {
			if _, have := sub[name]; !have && q.params.has(name) {
				sub[name] = q.params[name]
			}
		}
		resolved, err := resolve(map[string]any(sub), results)
		if err != nil {
			return nil, err
		}
		files := map[string]*upload{}
		for name, u := range q.file {
			if rest, ok := strings.CutPrefix(name, key+":"); ok {
				files[rest] = u
			}
		}
		// Headers speak of single calls only.
		result, err := p.call(q, resolved.(map[string]any), files, &marks{})
		if err != nil {
			result = p.fault(q.http.Context(), err)
		}
		results = append(results, result)
	}
	m.bare = false
	return results, nil
}

var reference = regexp.MustCompile(`\{(\d+):result((?::[^{}:]+)*)\}`)

// resolve replaces references in every text of a request. The number is the one-based position of
// the request; one to a later request stays as it is, one to nothing becomes empty.
func resolve(v any, results []any) (any, error) {
	switch v := v.(type) {
	case string:
		if !strings.Contains(v, ":result") {
			return v, nil
		}
		var lost error
		out := reference.ReplaceAllStringFunc(v, func(ref string) string {
			m := reference.FindStringSubmatch(ref)
			n, err := strconv.Atoi(m[1])
			if err != nil || n < 1 || n > len(results) {
				return ref
			}
			value, err := dig(results[n-1], strings.Split(strings.TrimPrefix(m[2], ":"), ":"))
			if err != nil {
				lost = err
			}
			return value
		})
		return out, lost
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			r, err := resolve(e, results)
			if err != nil {
				return nil, err
			}
			out[k] = r
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			r, err := resolve(e, results)
			if err != nil {
				return nil, err
			}
			out[i] = r
		}
		return out, nil
	}
	return v, nil
}

// dig follows a path into a result and gives the scalar there as text.
func dig(v any, path []string) (string, error) {
	for i, step := range path {
		if step == "" {
			continue
		}
		switch at := v.(type) {
		case *object:
			v = at.get(step)
		case []any:
			if step == "_all" {
				var out strings.Builder
				for _, e := range at {
					s, err := dig(e, path[i+1:])
					if err != nil {
						return "", err
					}
					out.WriteString(s + ",") // the trailing comma is the original's
				}
				return out.String(), nil
			}
			n, err := strconv.Atoi(step)
			if err != nil || n < 0 || n >= len(at) {
				return "", nil
			}
			v = at[n]
		case *fault, nil:
			return "", nil
		default:
			return "", errBatchLost
		}
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case bool:
		if v {
			return "1", nil
		}
	}
	return "", nil
}
