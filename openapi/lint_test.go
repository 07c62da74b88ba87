package openapi_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"isthmus/openapi"
)

var (
	camel  = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
	pascal = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	snake  = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
)

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// The rules of the description itself; what it says of the server is tested in api.
func TestDescriptionIsWellFormed(t *testing.T) {
	doc := load(t)
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Errorf("not valid OpenAPI: %v", err)
	}
	tags := map[string]bool{}
	for _, tag := range doc.Tags {
		tags[tag.Name] = true
	}
	ids := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		if !strings.HasPrefix(path, "/v1/") {
			t.Errorf("%s is of no version", path)
		}
		if path != strings.TrimSuffix(path, "/") {
			t.Errorf("%s ends with a slash", path)
		}
		for method, op := range item.Operations() {
			where := method + " " + path
			switch {
			case !camel.MatchString(op.OperationID):
				t.Errorf("%s: operationId %q is not camelCase", where, op.OperationID)
			case ids[op.OperationID]:
				t.Errorf("%s: operationId %q is used twice", where, op.OperationID)
			}
			ids[op.OperationID] = true
			if len(op.Tags) != 1 || !tags[op.Tags[0]] {
				t.Errorf("%s: tags %v, want one that is declared", where, op.Tags)
			}
			if strings.HasSuffix(op.Summary, ".") {
				t.Errorf("%s: the summary is a title and has no full stop", where)
			}
			if op.Responses.Value("default") == nil {
				t.Errorf("%s: no problem is described", where)
			}
			if !slices.ContainsFunc(sortedKeys(op.Responses.Map()), func(s string) bool { return s[0] == '2' }) {
				t.Errorf("%s: no success is described", where)
			}
			if method == "GET" && op.RequestBody != nil {
				t.Errorf("%s: a GET with a body", where)
			}
			for _, name := range regexp.MustCompile(`\{([^}]+)\}`).FindAllStringSubmatch(path, -1) {
				if item.Parameters.GetByInAndName("path", name[1]) == nil && op.Parameters.GetByInAndName("path", name[1]) == nil {
					t.Errorf("%s: {%s} is not described", where, name[1])
				}
			}
			for _, p := range op.Parameters {
				if v := p.Value; v.In == "query" && !snake.MatchString(v.Name) {
					t.Errorf("%s: parameter %q is not snake_case", where, v.Name)
				}
			}
		}
	}
	for name, s := range doc.Components.Schemas {
		if !pascal.MatchString(name) {
			t.Errorf("schema %q is not PascalCase", name)
		}
		if s.Ref != "" || s.Value == nil {
			continue
		}
		for field := range s.Value.Properties {
			if !snake.MatchString(field) {
				t.Errorf("%s.%s is not snake_case", name, field)
			}
		}
		for _, field := range s.Value.Required {
			if s.Value.Properties[field] == nil && len(s.Value.AllOf) == 0 {
				t.Errorf("%s requires %q, which it does not have", name, field)
			}
		}
	}
}

// What clients send is bounded: a text without a length is a way to fill memory.
func TestParametersAreBounded(t *testing.T) {
	doc := load(t)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for _, p := range append(slices.Clone(item.Parameters), op.Parameters...) {
				s := p.Value.Schema.Value
				if s.Type.Is("array") {
					if s.MaxItems == nil {
						t.Errorf("%s %s: list %q has no maxItems", method, path, p.Value.Name)
					}
					s = s.Items.Value
				}
				if s.Type.Is("string") && s.MaxLength == nil && len(s.Enum) == 0 && s.Format == "" && s.Pattern == "" {
					t.Errorf("%s %s: parameter %q has no maxLength", method, path, p.Value.Name)
				}
			}
		}
	}
}

func TestJSONSaysTheSame(t *testing.T) {
	body, err := openapi.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(body) {
		t.Fatal("no JSON")
	}
	again, err := openapi3.NewLoader().LoadFromData(body)
	if err != nil {
		t.Fatal(err)
	}
	doc := load(t)
	if a, b := len(again.Paths.Map()), len(doc.Paths.Map()); a != b || a == 0 {
		t.Errorf("%d paths in JSON, %d in YAML", a, b)
	}
	if a, b := len(again.Components.Schemas), len(doc.Components.Schemas); a != b || a == 0 {
		t.Errorf("%d schemas in JSON, %d in YAML", a, b)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
