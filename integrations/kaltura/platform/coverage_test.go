package platform

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated part of docs/sandbox.md anew")

// TestDocumented compares the services, actions and fields that docs/sandbox.md names with the
// dispatch table and with the members that the views set.
func TestDocumented(t *testing.T) {
	const file = "../../../docs/sandbox.md"
	begin, end := []byte("<!-- generated: services -->\n"), []byte("<!-- end of the generated part -->")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := bytes.Cut(text, begin)
	old, tail, ok2 := bytes.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/sandbox.md has lost the marks of its generated part")
	}
	fresh := []byte(documentedActions() + documentedFields(t))
	if bytes.Equal(old, fresh) {
		return
	}
	if !*update {
		t.Fatalf("docs/sandbox.md is out of date: go test ./integrations/kaltura/platform -run %s -update", t.Name())
	}
	if err := os.WriteFile(file, slices.Concat(head, begin, fresh, end, tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// documentedActions is the dispatch table as a list of services.
func documentedActions() string {
	p := New(Config{})
	services := map[string][]*action{}
	for _, a := range p.actions {
		services[a.service] = append(services[a.service], a)
	}
	marks := map[int]string{anybody: "⁰", anySession: "", userSession: "ᵘ", adminOnly: "ᵃ", operatorOnly: "ᵒ", consoleOnly: "ᶜ"}
	var b strings.Builder
	b.WriteString("\n| service | actions |\n|---|---|\n")
	fmt.Fprintf(&b, "| `multirequest` | up to %d calls with references to earlier results |\n", maxBatch)
	for _, s := range slices.Sorted(maps.Keys(services)) {
		slices.SortFunc(services[s], func(a, b *action) int { return strings.Compare(a.name, b.name) })
		var names []string
		for _, a := range services[s] {
			names = append(names, "`"+a.name+"`"+marks[a.who])
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", s, strings.Join(names, " "))
	}
	b.WriteString("\n⁰ also without a session · ᵘ not with a widget session · ᵃ administrators' sessions · ᵒ the operator's · ᶜ the operator's console\n")
	return b.String()
}

// documentedFields reads from the source which members every class of answer has, and which filter
// fields every listing looks at.
func documentedFields(t *testing.T) string {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	classes, filters := map[string]map[string]bool{}, map[string]map[string]bool{}
	calls := map[string][]string{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				fields(fn.Body, classes)
				calls[fn.Name.Name] = filterFields(fn, filters)
			}
		}
	}
	for _, p := range stockParams { // these are data, not code
		if classes[p.view.class] == nil {
			classes[p.view.class] = map[string]bool{}
		}
		for _, m := range p.view.members {
			classes[p.view.class][m.name] = true
		}
	}
	var b strings.Builder
	b.WriteString("\n| listing | filter fields |\n|---|---|\n")
	p := New(Config{})
	for _, key := range slices.Sorted(maps.Keys(p.actions)) {
		a := p.actions[key]
		if a.name != "list" {
			continue
		}
		name := runtime.FuncForPC(reflect.ValueOf(a.run).Pointer()).Name()
		name = name[strings.LastIndex(name, ".")+1:]
		all := map[string]bool{}
		for _, fn := range append(calls[name], name) {
			maps.Copy(all, filters[fn])
		}
		maps.DeleteFunc(all, func(name string, _ bool) bool { return covered(all, name) })
		fmt.Fprintf(&b, "| `%s.%s` | %s |\n", a.service, a.name, cmp.Or(strings.Join(slices.Sorted(maps.Keys(all)), ", "), "none"))
	}
	b.WriteString("\n`x =` stands for xEqual, xNotEqual, xIn, xNotIn; `x ≥` for xGreaterThanOrEqual and xLessThanOrEqual\n")
	b.WriteString("\n| class | fields in answers |\n|---|---|\n")
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", class, strings.Join(slices.Sorted(maps.Keys(classes[class])), ", "))
	}
	return b.String()
}

// filterFields notes the filter fields that a function reads and gives the methods that it calls. A
// filter is called f everywhere.
func filterFields(fn *ast.FuncDecl, filters map[string]map[string]bool) (calls []string) {
	found := map[string]bool{}
	filters[fn.Name.Name] = found
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		on, _ := method.X.(*ast.Ident)
		signs := map[string]string{"equals": " =", "numbers": " = ≥", "times": " ≥"}[method.Sel.Name]
		tree, _ := method.X.(*ast.CallExpr)
		switch {
		case on != nil && on.Name == "c" && signs != "":
			for i := 2; i+1 < len(call.Args); i += 2 {
				found[literal(call.Args[i])+signs] = true
			}
		case on != nil && on.Name == "c":
			calls = append(calls, method.Sel.Name)
		case on != nil && on.Name == "f", tree != nil && len(tree.Args) == 1 && literal(tree.Args[0]) == "filter":
			if len(call.Args) > 0 && literal(call.Args[0]) != "" {
				found[literal(call.Args[0])] = true
			}
		}
		return true
	})
	return calls
}

// covered tells whether a general note stands for a filter field already.
func covered(all map[string]bool, name string) bool {
	for _, suffix := range []string{"NotEqual", "Equal", "NotIn", "In"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && (all[base+" ="] || all[base+" = ≥"]) {
			return true
		}
	}
	return false
}

// fields finds the members set on objects of a function: by chains that begin with newObject("C"), or
// by way of a variable that holds one.
func fields(body *ast.BlockStmt, classes map[string]map[string]bool) {
	vars := map[string]string{}
	ast.Inspect(body, func(n ast.Node) bool {
		if as, ok := n.(*ast.AssignStmt); ok && len(as.Lhs) == len(as.Rhs) {
			for i, left := range as.Lhs {
				if name, ok := left.(*ast.Ident); ok {
					if class := classOf(as.Rhs[i], vars); class != "" {
						vars[name.Name] = class
					}
				}
			}
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || method.Sel.Name != "set" && method.Sel.Name != "null" {
			return true
		}
		class := classOf(method.X, vars)
		if class == "" {
			return true
		}
		names := call.Args
		if method.Sel.Name == "set" {
			names = call.Args[:1]
		}
		for _, arg := range names {
			if name := literal(arg); name != "" {
				if classes[class] == nil {
					classes[class] = map[string]bool{}
				}
				classes[class][name] = true
			}
		}
		return true
	})
}

// classOf gives the class of the object that an expression of chained calls gives.
func classOf(e ast.Expr, vars map[string]string) string {
	switch e := e.(type) {
	case *ast.Ident:
		return vars[e.Name]
	case *ast.CallExpr:
		switch f := e.Fun.(type) {
		case *ast.Ident:
			if f.Name == "newObject" {
				return literal(e.Args[0])
			}
		case *ast.SelectorExpr:
			if f.Sel.Name == "set" || f.Sel.Name == "null" {
				return classOf(f.X, vars)
			}
		}
	}
	return ""
}

func literal(e ast.Expr) string {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		s, _ := strconv.Unquote(l.Value) // the compiler has read it already
		return s
	}
	return ""
}
