package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"isthmus/api"
	"isthmus/gateway"
	"isthmus/openapi"
)

type specOperation struct {
	id, method, path, scope string
	inHub, public           bool
}

// operations reads what openapi.yaml promises.
func operations(t testing.TB) []specOperation {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		t.Fatal(err)
	}
	var out []specOperation
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			o := specOperation{id: op.OperationID, method: method, path: path, inHub: strings.Contains(path, "{hub}") || op.OperationID == "streamEvents"}
			if op.Security != nil {
				o.public = len(*op.Security) == 0
				for _, s := range *op.Security {
					for _, scope := range s["bearer"] {
						o.scope = scope
					}
				}
			}
			out = append(out, o)
		}
	}
	return out
}

func TestSpecIsValid(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestSpecRoutesAndPolicies compares the three lists of operations: the description, the routes
// and the policies. Whatever is in one must be in all, with the same scope.
func TestSpecRoutesAndPolicies(t *testing.T) {
	r := newRig(t)
	routes := map[string]bool{}
	for _, route := range r.api.Routes() {
		if strings.HasPrefix(route.Path, "/v1/") && route.Method != "echo_route_not_found" {
			routes[route.Method+" "+route.Path] = true
		}
	}
	policies := api.Policies()
	for _, op := range operations(t) {
		key := op.method + " " + strings.NewReplacer("{", ":", "}", "").Replace(op.path)
		if !routes[key] {
			t.Errorf("%s has no route", key)
		}
		delete(routes, key)
		p, ok := policies[op.id]
		if !ok {
			t.Errorf("%s has no policy", op.id)
		}
		delete(policies, op.id)
		if p.Scope != op.scope || p.Public != op.public || p.InHub != op.inHub || p.Admin != forAdmins(op.scope) && !p.Operator {
			t.Errorf("%s: policy %+v, described as %+v", op.id, p, op)
		}
	}
	for key := range routes {
		t.Errorf("route %s is not described", key)
	}
	for id := range policies {
		t.Errorf("policy of %s, which is not described", id)
	}
}

// forAdmins tells which scopes are for what only admins may do.
func forAdmins(scope string) bool {
	return strings.HasSuffix(scope, ":admin") || scope == gateway.ScopeAuditRead
}

// The words for what holds a transfer back are the same in the API and behind it.
func TestLimitersAreTheSame(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, w := range doc.Components.Schemas["TransferLive"].Value.Properties["limited_by"].Value.Enum {
		words = append(words, w.(string))
	}
	if !slices.Equal(words, gateway.Limiters) {
		t.Errorf("%v in the API, %v behind it", words, gateway.Limiters)
	}
}
