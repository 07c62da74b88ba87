package gateway

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Every action that is audited has its words.
func TestAuditedActionsHaveWords(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	action := regexp.MustCompile(`^[a-z_]+\.[a-z_0-9]+$`)
	found := map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok || len(c.Args) != 6 {
				return true
			}
			if name, ok := c.Fun.(*ast.Ident); !ok || name.Name != "audit" {
				return true
			}
			if lit, ok := c.Args[3].(*ast.BasicLit); ok {
				s, _ := strconv.Unquote(lit.Value)
				if found[s] = true; auditWords[s] == "" {
					t.Errorf("%s: %q has no words in auditWords", f.Name(), s)
				}
			}
			return true
		})
	}
	if len(found) < 40 {
		t.Errorf("only %d actions were found: does this test still read the right calls?", len(found))
	}
	for a, words := range auditWords {
		if !action.MatchString(a) || words == "" || strings.HasSuffix(words, ".") {
			t.Errorf("%q: %q", a, words)
		}
	}
}

func TestAuditTexts(t *testing.T) {
	for _, c := range []struct{ action, data, want string }{
		{"integration.visibility", `{"from":"own","to":"shared"}`, "changed what people see from “own” to “shared”"},
		{"integration.disconnect", `{"partner_id":12345678901234567}`, "disconnected Kaltura account 12345678901234567"},
		{"integration.spherical", `{"allowed":true}`, "switched the search for untagged 360° media: on"},
		{"mapping.linked", `{"from":"","to":"u"}`, "linked a person to the Kaltura user u (before: –)"},
		{"mapping.linked", `{"to":{"a":1}}`, "linked a person to the Kaltura user – (before: –)"},
		{"webhook.create", `null`, "added a webhook to –"},
		{"webhook.create", ``, "added a webhook to –"},
		{"some.new_thing", `{}`, "some: new thing"},
		{"odd", `{}`, "odd: "},
	} {
		if got := (AuditRecord{Action: c.action, Data: json.RawMessage(c.data)}).Text(); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.action, c.data, got, c.want)
		}
	}
}

// What is hashed is unambiguous: moving a letter from one field to the next makes another digest.
func TestAuditDigest(t *testing.T) {
	a := AuditRecord{Actor: "ab", ClientID: "c"}
	b := AuditRecord{Actor: "a", ClientID: "bc"}
	again := a
	if a.Digest() == b.Digest() || a.Digest() != again.Digest() || len(a.Digest()) != 64 {
		t.Error(a.Digest(), b.Digest())
	}
}
