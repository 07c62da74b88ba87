package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"isthmus/openapi"
)

// contract is openapi.yaml, for checking what the server answers.
type contract struct {
	doc    *openapi3.T
	routes []contractRoute
}

type contractRoute struct {
	*routers.Route
	steps []string
}

var loadContract = sync.OnceValues(func() (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		return nil, err
	}
	c := &contract{doc: doc}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			c.routes = append(c.routes, contractRoute{
				&routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}, strings.Split(path, "/"),
			})
		}
	}
	return c, nil
})

// find gives the operation that a request is for; one with fewer parameters wins.
func (c *contract) find(r *http.Request) (found *routers.Route, params map[string]string) {
	steps := strings.Split(r.URL.Path, "/")
	for _, route := range c.routes {
		if route.Method != r.Method || len(route.steps) != len(steps) {
			continue
		}
		these, fits := map[string]string{}, true
		for i, s := range route.steps {
			if name, ok := strings.CutPrefix(s, "{"); ok {
				these[strings.TrimSuffix(name, "}")] = steps[i]
			} else if s != steps[i] {
				fits = false
			}
		}
		if fits && (found == nil || len(these) < len(params)) {
			found, params = route.Route, these
		}
	}
	return found, params
}

// kept checks an answer against openapi.yaml: its status, header fields and body have to be described.
// Streams and answers without a body (304) have no content to check.
func kept(t testing.TB, req *http.Request, resp *http.Response, body []byte) {
	t.Helper()
	if !strings.HasPrefix(req.URL.Path, "/v1/") || resp.StatusCode == http.StatusNotModified || req.Method == http.MethodHead {
		return
	}
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	route, params := c.find(req)
	if route == nil {
		return // a problem of its own: no route, no method
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		in.Options.ExcludeResponseBody = true
	}
	if err := openapi3filter.ValidateResponse(context.Background(), in); err != nil {
		t.Errorf("%s %s: the answer %d is not as openapi.yaml says: %v\n%s", req.Method, route.Path, resp.StatusCode, err, body)
	}
	for _, field := range []string{"traceparent", "X-Request-Id", "Cache-Control"} {
		if resp.Header.Get(field) == "" {
			t.Errorf("%s %s: no %s", req.Method, route.Path, field)
		}
	}
}

// eachContent goes through the bodies of all operations that people read about.
func eachContent(t *testing.T, look func(doc *openapi3.T, op, where string, media *openapi3.MediaType)) {
	t.Helper()
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.routes {
		if r.Operation.RequestBody != nil {
			for kind, media := range r.Operation.RequestBody.Value.Content {
				if strings.Contains(kind, "json") {
					look(c.doc, r.Operation.OperationID, "request", media)
				}
			}
		}
		for status, resp := range r.Operation.Responses.Map() {
			if !strings.HasPrefix(status, "2") {
				continue // Problem has its example, which is the same for all
			}
			for kind, media := range resp.Value.Content {
				if strings.Contains(kind, "json") {
					look(c.doc, r.Operation.OperationID, "answer "+status, media)
				}
			}
		}
	}
}

// exampleOf gives the example of a body: its own, that of its schema, or one put together from the
// examples of what is in it.
func exampleOf(media *openapi3.MediaType) (any, bool) {
	if media.Example != nil {
		return media.Example, true
	}
	for _, e := range media.Examples {
		return e.Value.Value, true
	}
	return sample(media.Schema, 0)
}

// sample gives a schema's example, or one put together from those of its parts; false when one is
// missing that cannot be guessed.
func sample(ref *openapi3.SchemaRef, depth int) (any, bool) {
	if ref == nil || ref.Value == nil || depth > 6 {
		return nil, false
	}
	s := ref.Value
	if s.Example != nil {
		return s.Example, true
	}
	if s.Type.Is("array") && s.Items != nil {
		one, ok := sample(s.Items, depth+1)
		return []any{one}, ok
	}
	if s.Type.Is("object") && len(s.Properties) > 0 && ref.Ref != "" && depth == 0 {
		out := map[string]any{}
		for name, p := range s.Properties {
			v, ok := sample(p, depth+1)
			if ok {
				out[name] = v
				continue
			}
			for _, r := range s.Required {
				if r == name {
					if v, ok = plain(name, p.Value); !ok {
						return nil, false
					}
					out[name] = v
				}
			}
		}
		return out, true
	}
	return nil, false
}

// plain is a value of a page's own fields, such as its cursor.
func plain(name string, s *openapi3.Schema) (any, bool) {
	switch {
	case name == "next" || name == "cursor":
		return "YTE6bGliXzAx", true
	case s.Type.Is("boolean"):
		return false, true
	case s.Type.Is("array"):
		return []any{}, true
	case s.Format == "date-time":
		return "2026-11-21T10:00:00Z", true
	}
	return nil, false
}

// Every operation has an example of what is sent and of what is answered, and all fit their schemas.
func TestExamples(t *testing.T) {
	eachContent(t, func(doc *openapi3.T, op, where string, media *openapi3.MediaType) {
		example, ok := exampleOf(media)
		if !ok {
			t.Errorf("%s: no example of the %s", op, where)
			return
		}
		raw, err := json.Marshal(example)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		if err := doc.ValidateSchemaJSON(media.Schema.Value, v, openapi3.MultiErrors()); err != nil {
			t.Errorf("%s: the example of the %s does not fit: %v", op, where, err)
		}
	})
}
