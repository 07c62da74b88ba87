package gateway_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/constant"
	"go/parser"
	gotoken "go/token"
	"go/types"
	"os"
	"slices"
	"strings"
	"testing"

	"isthmus/gateway"
)

// What can be asked for is exactly what is appended somewhere, read from the sources: a type that is
// passed on through parameters and variables is followed to the texts that it can be.
func TestEventTypesAreThoseThatHappen(t *testing.T) {
	f := follow(t)
	var sink *types.Func
	for _, o := range f.info.Defs {
		if fn, ok := o.(*types.Func); ok && strings.HasSuffix(fn.FullName(), ".Events).Append") {
			sink = fn
		}
	}
	if sink == nil {
		t.Fatal("Events.Append is gone")
	}
	f.calls(sink, 4)
	got := slices.Compact(slices.Sorted(slices.Values(f.found)))
	var want []string
	for _, e := range gateway.EventTypes {
		want = append(want, e.Type)
		if example, err := json.Marshal(e.Example); e.Title == "" || !strings.HasSuffix(e.Description, ".") || err != nil || example[0] != '{' {
			t.Errorf("%s is not explained: %+v %v", e.Type, e, err)
		}
	}
	if !slices.IsSorted(want) {
		t.Error("the catalogue is not in order")
	}
	for _, typ := range got {
		if !slices.Contains(want, typ) {
			t.Errorf("%q happens and cannot be asked for", typ)
		}
	}
	for _, typ := range want {
		if !slices.Contains(got, typ) {
			t.Errorf("%q can be asked for and never happens", typ)
		}
	}
}

type follower struct {
	t     *testing.T
	fset  *gotoken.FileSet
	files []*ast.File
	info  *types.Info
	done  map[visit]bool
	found []string
}

type visit struct {
	variable types.Object
	prefix   string
}

type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.New("not needed") }

func follow(t *testing.T) *follower {
	t.Helper()
	f := &follower{t: t, fset: gotoken.NewFileSet(), done: map[visit]bool{}, info: &types.Info{
		Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}, Types: map[ast.Expr]types.TypeAndValue{},
	}}
	list, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if name := e.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			file, err := parser.ParseFile(f.fset, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			f.files = append(f.files, file)
		}
	}
	// Other packages' types stay unknown, which is no matter here.
	conf := types.Config{Importer: noImports{}, Error: func(error) {}}
	_, _ = conf.Check("gateway", f.fset, f.files, f.info)
	return f
}

func (f *follower) each(look func(ast.Node)) {
	for _, file := range f.files {
		ast.Inspect(file, func(n ast.Node) bool { look(n); return true })
	}
}

// calls follows an argument of all calls of a function.
func (f *follower) calls(fn types.Object, arg int) {
	f.each(func(n ast.Node) {
		if c, ok := n.(*ast.CallExpr); ok && fn != nil && f.callee(c) == fn {
			f.value(c.Args[arg], "")
		}
	})
}

// value adds the texts that an expression can be, after a prefix.
func (f *follower) value(e ast.Expr, prefix string) {
	if v := f.info.Types[e].Value; v != nil && v.Kind() == constant.String {
		if s := prefix + constant.StringVal(v); constant.StringVal(v) != "" {
			f.found = append(f.found, s)
		}
		return
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		if v := f.info.Types[e.X].Value; v != nil && e.Op == gotoken.ADD {
			f.value(e.Y, prefix+constant.StringVal(v))
			return
		}
	case *ast.Ident:
		f.variable(f.info.Uses[e], prefix)
		return
	}
	f.t.Errorf("%s: it cannot be told which event this is", f.fset.Position(e.Pos()))
}

// result follows one of the results of a call.
func (f *follower) result(e ast.Expr, i int, prefix string) {
	c, _ := e.(*ast.CallExpr)
	known := false
	f.each(func(n ast.Node) {
		fn, ok := n.(*ast.FuncDecl)
		if !ok || c == nil || f.info.Defs[fn.Name] != f.callee(c) {
			return
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			if r, ok := n.(*ast.ReturnStmt); ok && i < len(r.Results) {
				known = true
				f.value(r.Results[i], prefix)
			}
			return true
		})
	})
	if !known {
		f.t.Errorf("%s: it cannot be told which event this is", f.fset.Position(e.Pos()))
	}
}

// callee gives the function that a call names.
func (f *follower) callee(c *ast.CallExpr) types.Object {
	switch fn := c.Fun.(type) {
	case *ast.Ident:
		return f.info.Uses[fn]
	case *ast.SelectorExpr:
		return f.info.Uses[fn.Sel]
	}
	return nil
}

// variable follows what a variable is set to, and for a parameter what callers give.
func (f *follower) variable(o types.Object, prefix string) {
	if o == nil || f.done[visit{o, prefix}] {
		return
	}
	f.done[visit{o, prefix}] = true
	known := false
	f.each(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.FuncDecl:
			i := 0
			for _, field := range n.Type.Params.List {
				for _, name := range field.Names {
					if f.info.Defs[name] == o {
						known = true
						f.calls(f.info.Defs[n.Name], i)
					}
					i++
				}
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				id, ok := left.(*ast.Ident)
				if !ok || f.info.Defs[id] != o && f.info.Uses[id] != o {
					continue
				}
				known = true
				if len(n.Rhs) == len(n.Lhs) {
					f.value(n.Rhs[i], prefix)
				} else {
					f.result(n.Rhs[0], i, prefix)
				}
			}
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if f.info.Defs[name] == o {
					known = true
					if i < len(n.Values) {
						f.value(n.Values[i], prefix)
					}
				}
			}
		}
	})
	if !known {
		f.t.Errorf("%s: it cannot be told which event %s is", f.fset.Position(o.Pos()), o.Name())
	}
}
