package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"isthmus/gateway"
	"isthmus/openapi"
)

// operation is one of openapi.yaml with where it is.
type operation struct {
	method, path string
	item         *openapi3.PathItem
	*openapi3.Operation
}

// spec is the whole of openapi.yaml, which is read once.
type spec struct {
	doc *openapi3.T
	ops []operation
}

var loadSpec = sync.OnceValues(func() (*spec, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	var ops []operation
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			ops = append(ops, operation{method, path, item, op})
		}
	}
	return &spec{doc, ops}, nil
})

// validate checks a request against the description, so that handlers see nothing else. Values of
// the request never appear in the answer: they may be secrets.
func validate(doc *openapi3.T, op operation) echo.MiddlewareFunc {
	values := maxValues
	if op.batch() {
		values = maxBatchValues
	}
	options := &openapi3filter.Options{
		MultiError: !op.batch(), AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		SkipSettingDefaults: true, KeepValidatedValue: false, ExcludeRequestBody: op.stream(),
	}
	route := &routers.Route{Spec: doc, Path: op.path, PathItem: op.item, Method: op.method, Operation: op.Operation}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if op.stream() {
				if err := acceptAny(r, op.RequestBody.Value); err != nil {
					return err
				}
			} else if op.RequestBody != nil && op.RequestBody.Value.Content["*/*"] == nil {
				if err := acceptJSON(r, op.RequestBody.Value, values); err != nil {
					return err
				}
			}
			params := map[string]string{}
			for i, name := range c.ParamNames() {
				params[name] = c.ParamValues()[i]
			}
			err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
				Request: r, PathParams: params, Route: route, Options: options, QueryParams: r.URL.Query(),
			})
			if err != nil {
				return refusal(err)
			}
			return next(c)
		}
	}
}

// acceptJSON lets a plain JSON body stand for the more exact content type that an operation names.
func acceptJSON(r *http.Request, body *openapi3.RequestBody, values int) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || (kind != "application/json" && kind != "application/merge-patch+json") {
		return gateway.E(gateway.Invalid, reasonMediaType, "The body must be JSON.").Next("Send it as application/json.")
	}
	for want := range body.Content {
		r.Header.Set("Content-Type", want)
	}
	raw, err := io.ReadAll(r.Body) // limited where it came in
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	if !utf8.Valid(raw) { // else decoding would change it without a word
		return gateway.E(gateway.Invalid, reasonBody, "The body is not UTF-8 text.").Next("Encode it as UTF-8, as JSON wants it.")
	}
	if !modest(raw, values) {
		return gateway.E(gateway.Invalid, reasonBody, "The body is nested too deep or has too many values.").
			Next("/openapi.yaml describes the request.")
	}
	for _, media := range body.Content {
		d := json.NewDecoder(bytes.NewReader(raw))
		if at, err := oddName(d, media.Schema, ""); err != nil && at != "" {
			return gateway.E(gateway.Invalid, reasonBody, "This name is there twice, or is written otherwise than it should be.").At(at).
				Next("Name each field once, exactly as /openapi.yaml has it.")
		}
	}
	return nil
}

var errOddName = errors.New("odd name")

// oddName finds a name that is twice in one object, or that differs from one of the description in upper
// and lower case alone. Decoding takes the last of such values, so that another one than was validated
// would count. Any other mistake is found later.
func oddName(d *json.Decoder, schema *openapi3.SchemaRef, at string) (string, error) {
	t, err := d.Token()
	if err != nil {
		return "", err
	}
	switch t {
	case json.Delim('{'):
		seen := map[string]bool{}
		for d.More() {
			t, err := d.Token()
			name, ok := t.(string)
			if err != nil || !ok {
				return "", err
			}
			known := properties(schema)
			where := at + pointer([]string{name})
			if seen[name] || known[name] == nil && slices.ContainsFunc(slices.Collect(maps.Keys(known)), func(k string) bool { return strings.EqualFold(k, name) }) {
				return where, errOddName
			}
			seen[name] = true
			if where, err = oddName(d, known[name], where); err != nil {
				return where, err
			}
		}
	case json.Delim('['):
		var items *openapi3.SchemaRef
		if schema != nil && schema.Value != nil {
			items = schema.Value.Items
		}
		for i := 0; d.More(); i++ {
			if where, err := oddName(d, items, at+"/"+strconv.Itoa(i)); err != nil {
				return where, err
			}
		}
	default:
		return "", nil
	}
	_, err = d.Token() // the end
	return "", err
}

// properties are the fields that an object of a schema can have, by name.
func properties(schema *openapi3.SchemaRef) map[string]*openapi3.SchemaRef {
	out := map[string]*openapi3.SchemaRef{}
	if schema == nil || schema.Value == nil {
		return out
	}
	for _, parts := range []openapi3.SchemaRefs{schema.Value.AllOf, schema.Value.OneOf, schema.Value.AnyOf} {
		for _, part := range parts {
			maps.Copy(out, properties(part))
		}
	}
	maps.Copy(out, schema.Value.Properties)
	return out
}

// No request needs more. Validating takes time that grows with depth times size, and every wrong
// value makes an error, so that small bodies could keep a core busy for seconds.
const maxDepth, maxValues = 16, 1000

// maxBatchValues is for ten thousand files with what is usually said of one; only the first wrong value makes an error.
const maxBatchValues = 200_000

// batch tells whether an operation takes a long list in one body.
func (op operation) batch() bool { return op.OperationID == "createTransfer" }

// stream tells whether an operation reads its body as it comes, whatever its size: what is in it is the
// handler's business.
func (op operation) stream() bool { return op.OperationID == "validateDropManifest" }

// acceptAny lets a body through that is of one of the described types.
func acceptAny(r *http.Request, body *openapi3.RequestBody) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && body.Content[kind] != nil {
		return nil
	}
	kinds := slices.Sorted(maps.Keys(body.Content))
	return gateway.E(gateway.Invalid, reasonMediaType, "The body is of a type that is not understood here.").
		Next("Send one of these, and say which as Content-Type: %s.", strings.Join(kinds, ", "))
}

// modest tells whether a JSON text stays within the limits; whether it is JSON is seen later.
func modest(raw []byte, most int) bool {
	depth, values, quoted := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			values++
		case c == '}' || c == ']':
			depth--
		case c == ',':
			values++
		}
		if depth > maxDepth || values > most {
			return false
		}
	}
	return true
}

// refusal turns the validator's errors into ours, with one element per offending input.
func refusal(err error) error {
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return tooBig
	}
	var fields []openapi.FieldError
	reason, message := reasonParameter, "A parameter is not as it should be."
	var walk func(error)
	walk = func(err error) {
		var many openapi3.MultiError
		var re *openapi3filter.RequestError
		switch {
		case errors.As(err, &re) && re.Parameter != nil:
			fields = append(fields, openapi.FieldError{Pointer: re.Parameter.Name, Detail: explain(re.Err, re.Reason)})
		case errors.As(err, &re):
			reason, message = reasonBody, "The body is not as it should be."
			fields = append(fields, bodyFields(re)...)
		case errors.As(err, &many):
			for _, e := range many {
				walk(e)
			}
		}
	}
	var many openapi3.MultiError
	if errors.As(err, &many) {
		for _, e := range many {
			walk(e)
		}
	} else {
		walk(err)
	}
	e := gateway.E(gateway.Invalid, reason, message).Next("See errors for what is wrong where; /openapi.yaml describes the request.").Because(errors.New("does not match openapi.yaml"))
	if len(fields) == 0 {
		return e
	}
	return &failure{e, fields}
}

func bodyFields(re *openapi3filter.RequestError) []openapi.FieldError {
	if leaves := schemaLeaves(re.Err); len(leaves) > 0 {
		return leaves
	}
	return []openapi.FieldError{{Pointer: "", Detail: "This is not valid JSON, or there is none."}}
}

// schemaLeaves finds what is wrong in the end: the library wraps it in what contains it. It has two
// validators, the older one for schemas that refer to others.
func schemaLeaves(err error) []openapi.FieldError {
	var out []openapi.FieldError
	switch e := err.(type) {
	case nil:
	case openapi3.MultiError:
		for _, one := range e {
			out = append(out, schemaLeaves(one)...)
		}
	case *jsonschema.ValidationError:
		if len(e.Causes) == 0 {
			return []openapi.FieldError{{Pointer: pointer(e.InstanceLocation), Detail: schemaText(e)}}
		}
		for _, c := range e.Causes {
			out = append(out, schemaLeaves(c)...)
		}
	case *openapi3.SchemaError:
		if out = schemaLeaves(e.Unwrap()); len(out) == 0 {
			out = []openapi.FieldError{{Pointer: pointer(e.JSONPointer()), Detail: olderText(e)}}
		}
	default:
		out = schemaLeaves(errors.Unwrap(err))
	}
	return out
}

// olderText is schemaText for the older validator, whose own words leave the value out except for formats.
func olderText(e *openapi3.SchemaError) string {
	if e.SchemaField == "format" && e.Schema != nil {
		return "It must be a " + e.Schema.Format + "."
	}
	return e.Reason
}

func explain(err error, fallback string) string {
	if leaves := schemaLeaves(err); len(leaves) > 0 {
		return leaves[0].Detail
	}
	if fallback == "" {
		fallback = "It is missing or has the wrong form."
	}
	return fallback
}

var english = message.NewPrinter(language.English)

// schemaText says what a value should be like. The library's own words for these kinds repeat the value.
func schemaText(v *jsonschema.ValidationError) string {
	switch k := v.ErrorKind.(type) {
	case *kind.Pattern:
		return "It must match " + k.Want + "."
	case *kind.Format:
		return "It must be a " + k.Want + "."
	}
	return v.ErrorKind.LocalizedString(english)
}

func pointer(path []string) string {
	var b strings.Builder
	for _, p := range path {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(p))
	}
	return b.String()
}

// binder decodes bodies strictly: one JSON value with known fields only. Parameters are the
// generated code's business.
type binder struct{}

func (binder) Bind(into any, c echo.Context) error {
	d := json.NewDecoder(c.Request().Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return gateway.E(gateway.Invalid, reasonBody, "The body has a field that is not known here: "+name+".").Next("Remove it, or check its spelling.")
		}
		e := gateway.E(gateway.Invalid, reasonBody, "The body is not the JSON expected here.").Next("/openapi.yaml describes it.")
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			e = e.At(pointer(strings.Split(wrong.Field, ".")))
			e.Message = "This value has another form than expected, or is too large."
		}
		return e
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return gateway.E(gateway.Invalid, reasonBody, "There is more than one JSON value in the body.").Next("Send one object.")
	}
	return nil
}
