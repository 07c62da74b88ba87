//go:build ignore

// Writes errors.md: every error that the sources can answer with, with its message and next step.
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Sources of what the REST API answers. The embedded platform speaks Kaltura's errors, the commands print theirs.
var rooms = []string{"gateway", "api", "store", "media", "outbound", "secrets", "integrations", "jobs"}

var skipped = []string{"testdata", "platform", "platformtest", "gatewaytest", "storetest", "mediatest", "demo"}

// statuses by kind; api/docs_test.go compares them with what is sent.
var statuses = map[string]int{
	"Invalid": 400, "Unauthenticated": 401, "Forbidden": 403, "NotFound": 404, "Conflict": 409, "TooLarge": 413,
	"Precondition": 409, "RateLimited": 429, "Unavailable": 503, "Internal": 500,
}

var exceptions = map[string]int{
	"method_not_allowed": 405, "unsupported_media_type": 415, "idempotency_key_reused": 422, "if_match_required": 428,
	"stale": 412, "tus_version": 412, "events_gone": 410, "setup_code_expired": 410, "setup_done": 410,
}

type saying struct{ message, next string }

type problem struct {
	slug    string
	kinds   []string
	sayings []saying
}

func main() {
	root := ".."
	consts := map[string]map[string]string{} // by folder, then name
	files := map[string][]*ast.File{}
	fset := token.NewFileSet()
	for _, room := range rooms {
		err := filepath.WalkDir(filepath.Join(root, room), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				if slices.Contains(skipped, d.Name()) {
					return fs.SkipDir
				}
				return nil
			}
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".gen.go") {
				return nil
			}
			f, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				return err
			}
			dir := filepath.Dir(path)
			files[dir] = append(files[dir], f)
			if consts[dir] == nil {
				consts[dir] = map[string]string{}
			}
			for _, decl := range f.Decls {
				g, ok := decl.(*ast.GenDecl)
				if !ok || g.Tok != token.CONST {
					continue
				}
				for _, spec := range g.Specs {
					v := spec.(*ast.ValueSpec)
					for i, name := range v.Names {
						if i < len(v.Values) {
							if lit, ok := v.Values[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
								consts[dir][name.Name], _ = strconv.Unquote(lit.Value)
							}
						}
					}
				}
			}
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	found := map[string]*problem{}
	for dir, list := range files {
		r := reader{consts: consts[dir], gateway: consts[filepath.Join(root, "gateway")], domain: filepath.Base(dir) == "gateway", seen: map[*ast.CallExpr]bool{}, found: found}
		for _, f := range list {
			ast.Inspect(f, r.visit)
		}
	}
	var all []*problem
	for _, p := range found {
		slices.Sort(p.kinds)
		p.kinds = slices.Compact(p.kinds)
		slices.SortFunc(p.sayings, func(a, b saying) int { return cmp.Or(cmp.Compare(a.message, b.message), cmp.Compare(a.next, b.next)) })
		p.sayings = slices.Compact(p.sayings)
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *problem) int { return cmp.Compare(a.slug, b.slug) })

	var b bytes.Buffer
	b.WriteString(`<!-- Written by gen_errors.go from the sources. Do not edit. -->

# Errors

Every error is a problem (RFC 9457, ` + "`application/problem+json`" + `). Branch on ` + "`code`" + `, which never changes its meaning;
show ` + "`detail`" + ` and ` + "`next_step`" + ` to the person; quote ` + "`trace_id`" + ` when you report one. When ` + "`retryable`" + ` is true the same
request may succeed later: wait for ` + "`Retry-After`" + ` seconds first. ` + "`errors`" + ` points to the offending inputs by JSON pointer.
An answer that you do not know counts as one of its status.

The token endpoint alone answers as RFC 6749 says, with ` + "`error` and `error_description`" + `.

There are ` + strconv.Itoa(len(all)) + ` codes. “…” stands for what differs from case to case.

`)
	for _, p := range all {
		var status []string
		for _, k := range p.kinds {
			n := statuses[k]
			if e, ok := exceptions[p.slug]; ok {
				n = e
			}
			status = append(status, strconv.Itoa(n))
		}
		slices.Sort(status)
		fmt.Fprintf(&b, "## %s\n\nStatus %s.\n\n", p.slug, strings.Join(slices.Compact(status), " or "))
		for _, s := range p.sayings {
			fmt.Fprintf(&b, "- %s", s.message)
			if s.next != "" {
				fmt.Fprintf(&b, " *%s*", strings.ReplaceAll(s.next, "*", `\*`))
			}
			b.WriteString("\n")
		}
		b.WriteString("\n")
	}
	if err := os.WriteFile("errors.md", append(bytes.TrimSpace(b.Bytes()), '\n'), 0o644); err != nil {
		log.Fatal(err)
	}
}

type reader struct {
	consts, gateway map[string]string
	domain          bool
	seen            map[*ast.CallExpr]bool
	found           map[string]*problem
}

// visit takes E(kind, slug, message) with the Next that follows it, wherever it stands.
func (r *reader) visit(n ast.Node) bool {
	outer, ok := n.(*ast.CallExpr)
	if !ok {
		return true
	}
	next := ""
	call := outer
	for {
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			break
		}
		inner, ok := sel.X.(*ast.CallExpr)
		if !ok {
			break
		}
		if sel.Sel.Name == "Next" && len(call.Args) > 0 && next == "" {
			next = formatted(r.text(call.Args[0]), call.Args[1:])
		}
		call = inner
	}
	if r.seen[call] || !r.makesError(call.Fun) || len(call.Args) != 3 {
		return true
	}
	r.seen[call] = true
	kind := name(call.Args[0])
	if _, known := statuses[kind]; !known {
		return true
	}
	slug := r.text(call.Args[1])
	if slug == "" {
		slug = map[string]string{"NotFound": "not_found", "TooLarge": "too_large", "RateLimited": "rate_limited"}[kind]
		if slug == "" {
			slug = strings.ToLower(kind)
		}
	}
	if strings.Contains(slug, "…") {
		return true
	}
	p := r.found[slug]
	if p == nil {
		p = &problem{slug: slug}
		r.found[slug] = p
	}
	p.kinds = append(p.kinds, kind)
	if message := r.text(call.Args[2]); message != "" {
		p.sayings = append(p.sayings, saying{message, next})
	}
	return true
}

func (r *reader) makesError(fun ast.Expr) bool {
	switch f := fun.(type) {
	case *ast.Ident:
		return r.domain && f.Name == "E"
	case *ast.SelectorExpr:
		x, ok := f.X.(*ast.Ident)
		return ok && x.Name == "gateway" && f.Sel.Name == "E"
	}
	return false
}

// text reads a string of literals and constants; anything else in it becomes "…".
func (r *reader) text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		if err != nil {
			return "…"
		}
		return s
	case *ast.Ident:
		if s, ok := r.consts[e.Name]; ok {
			return s
		}
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok && x.Name == "gateway" {
			if s, ok := r.gateway[e.Sel.Name]; ok {
				return s
			}
		}
	case *ast.BinaryExpr:
		return r.text(e.X) + r.text(e.Y)
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" && len(e.Args) > 0 {
			return formatted(r.text(e.Args[0]), e.Args[1:])
		}
	}
	return "…"
}

// formatted puts "…" for every verb of a format.
func formatted(format string, args []ast.Expr) string {
	if len(args) == 0 {
		return format
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		for i < len(format) && strings.ContainsRune("+-# 0123456789.[]", rune(format[i])) {
			i++
		}
		if i < len(format) && format[i] == '%' {
			b.WriteByte('%')
		} else {
			b.WriteString("…")
		}
	}
	return b.String()
}

func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
