package docs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// reference is openapi.yaml as it is shown.
type reference struct {
	Description, Version string
	Tags                 []*tag
}

type tag struct {
	Name, Description string
	Operations        []operation
}

// Title is the tag as a heading.
func (t *tag) Title() string {
	return strings.ToUpper(t.Name[:1]) + strings.ReplaceAll(t.Name[1:], "-", " ")
}

type operation struct {
	ID, Method, Path, Summary, Description string
	Public, Deprecated                     bool
	Scopes                                 []string
	Parameters                             []field
	Body                                   *body
	Answers                                []answer
}

type field struct {
	Name, Type, Description, Values string
	Required                        bool
}

type body struct {
	Type, Example string
	Required      bool
	Fields        []field
}

type answer struct {
	Status, Description, Type string
	Fields                    []field
	Example                   *example
}

type example struct{ Status, Text string }

// methods in the order in which a resource is explained.
var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}

func readReference(spec []byte) (*reference, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	ref := &reference{Description: doc.Info.Description, Version: doc.Info.Version}
	tags := map[string]*tag{}
	named := func(name string) *tag {
		if tags[name] == nil {
			tags[name] = &tag{Name: name}
			ref.Tags = append(ref.Tags, tags[name])
		}
		return tags[name]
	}
	for _, t := range doc.Tags {
		named(t.Name).Description = t.Description
	}
	for _, path := range doc.Paths.InMatchingOrder() {
		item := doc.Paths.Value(path)
		for _, method := range methods {
			op := item.GetOperation(method)
			if op == nil {
				continue
			}
			name := "other"
			if len(op.Tags) > 0 {
				name = op.Tags[0]
			}
			t := named(name)
			t.Operations = append(t.Operations, readOperation(doc, item, method, path, op))
		}
	}
	ref.Tags = slices.DeleteFunc(ref.Tags, func(t *tag) bool { return len(t.Operations) == 0 })
	for _, t := range ref.Tags {
		slices.SortStableFunc(t.Operations, func(a, b operation) int { return cmp.Compare(a.Path, b.Path) })
	}
	return ref, nil
}

func readOperation(doc *openapi3.T, item *openapi3.PathItem, method, path string, op *openapi3.Operation) operation {
	out := operation{
		ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Description: op.Description, Deprecated: op.Deprecated,
	}
	if out.Summary == "" {
		out.Summary = op.OperationID
	}
	security := doc.Security
	if op.Security != nil {
		security = *op.Security
	}
	out.Public = len(security) == 0
	for _, s := range security {
		out.Scopes = append(out.Scopes, s["bearer"]...)
	}
	for _, list := range []openapi3.Parameters{item.Parameters, op.Parameters} {
		for _, p := range list {
			v := p.Value
			f := fieldOf(v.Name, v.Schema, v.Required)
			f.Type += ", " + v.In
			if v.Description != "" {
				f.Description = v.Description
			}
			out.Parameters = append(out.Parameters, f)
		}
	}
	if op.RequestBody != nil {
		for _, mime := range sortedKeys(op.RequestBody.Value.Content) {
			m := op.RequestBody.Value.Content[mime]
			out.Body = &body{Type: mime, Required: op.RequestBody.Value.Required, Fields: fieldsOf(m.Schema), Example: exampleOf(m)}
		}
	}
	for _, status := range sortedKeys(op.Responses.Map()) {
		r := op.Responses.Value(status).Value
		a := answer{Status: status}
		if status == "default" {
			a.Status = "otherwise"
		}
		if r.Description != nil {
			a.Description = *r.Description
		}
		for _, mime := range sortedKeys(r.Content) {
			m := r.Content[mime]
			a.Type, a.Fields = mime, fieldsOf(m.Schema)
			if text := exampleOf(m); text != "" {
				a.Example = &example{a.Status, text}
			}
		}
		out.Answers = append(out.Answers, a)
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// fieldsOf lists the fields of an object, or of the objects of a list.
func fieldsOf(ref *openapi3.SchemaRef) []field {
	if ref == nil || ref.Value == nil {
		return nil
	}
	s := ref.Value
	if s.Items != nil && len(s.Properties) == 0 {
		return fieldsOf(s.Items)
	}
	var out []field
	for _, part := range s.AllOf {
		out = append(out, fieldsOf(part)...)
	}
	names := sortedKeys(s.Properties)
	slices.SortStableFunc(names, func(a, b string) int { // what must be there comes first
		ra, rb := slices.Contains(s.Required, a), slices.Contains(s.Required, b)
		switch {
		case ra == rb:
			return 0
		case ra:
			return -1
		}
		return 1
	})
	for _, name := range names {
		out = append(out, fieldOf(name, s.Properties[name], slices.Contains(s.Required, name)))
	}
	return out
}

func fieldOf(name string, ref *openapi3.SchemaRef, required bool) field {
	f := field{Name: name, Required: required, Type: typeOf(ref)}
	if ref == nil || ref.Value == nil {
		return f
	}
	s := ref.Value
	f.Description = s.Description
	enum := s.Enum
	if s.Items != nil && s.Items.Value != nil {
		enum = s.Items.Value.Enum
	}
	values := make([]string, len(enum))
	for i, v := range enum {
		values[i] = fmt.Sprint(v)
	}
	f.Values = strings.Join(values, ", ")
	return f
}

func typeOf(ref *openapi3.SchemaRef) string {
	if ref == nil || ref.Value == nil {
		return "any"
	}
	s := ref.Value
	name := ""
	if i := strings.LastIndex(ref.Ref, "/"); i >= 0 {
		name = ref.Ref[i+1:]
	}
	kinds := s.Type.Slice()
	switch {
	case s.Type.Includes("array"):
		return "list of " + typeOf(s.Items)
	case s.Format != "":
		return s.Format
	case s.Type.Includes("object") && name != "", len(kinds) == 0 && name != "":
		return name
	case len(kinds) > 0:
		return strings.Join(kinds, " or ")
	}
	return "any"
}

// exampleOf gives the example of a body, or else that of its schema.
func exampleOf(m *openapi3.MediaType) string {
	v := m.Example
	for _, name := range sortedKeys(m.Examples) {
		if v == nil && m.Examples[name].Value != nil {
			v = m.Examples[name].Value.Value
		}
	}
	if v == nil && m.Schema != nil && m.Schema.Value != nil {
		v = m.Schema.Value.Example
	}
	if v == nil {
		return ""
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return ""
	}
	return string(b)
}

func (r *reference) index(t *template.Template) (template.HTML, error) { return execute(t, "index", r) }

func (t *tag) render(tmpl *template.Template) (template.HTML, error) { return execute(tmpl, "tag", t) }

func execute(t *template.Template, name string, data any) (template.HTML, error) {
	var b bytes.Buffer
	err := t.ExecuteTemplate(&b, name, data)
	return template.HTML(b.String()), err // escaped by the template
}
