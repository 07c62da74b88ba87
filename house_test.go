package isthmus_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayImport says which of our packages each of our packages may import. What is not listed is
// forbidden; test files are exempt. "*" = all.
var mayImport = map[string][]string{
	"gateway":                       {},
	"gateway/gatewaytest":           {"gateway"},
	"media":                         {"gateway"},
	"media/mediatest":               {"gateway", "media"},
	"secrets":                       {"gateway"},
	"outbound":                      {"gateway"},
	"jobs":                          {"gateway"},
	"transfer":                      {"transfer/rate", "transfer/udp", "transfer/wire"},
	"transfer/lab":                  {},
	"transfer/lab/bench":            {"transfer", "transfer/lab", "transfer/rate"},
	"transfer/lab/emulate":          {"transfer/lab"},
	"transfer/rate":                 {},
	"transfer/udp":                  {},
	"transfer/wire":                 {},
	"transfer/sim":                  {"transfer/rate"},
	"openapi":                       {},
	"docs":                          {"gateway"},
	"web":                           {},
	"migrations":                    {},
	"store":                         {"gateway", "migrations", "integrations/kaltura/platform"},
	"store/storetest":               {"gateway", "store"},
	"api":                           {"gateway", "openapi", "secrets"},
	"integrations":                  {"gateway", "integrations/*"},
	"integrations/kaltura":          {"gateway"},
	"integrations/spaces":           {"gateway"},
	"integrations/spaces/demo":      {"gateway"},
	"integrations/dropfolder":       {"gateway"},
	"integrations/platformtest":     {"gateway"},
	"integrations/kaltura/platform": {"gateway", "integrations/kaltura", "secrets"},
	"cmd/isthmus":                   {"*"},
	"cmd/isthmusctl":                {"transfer", "transfer/rate", "openapi"},
}

// homes lists the only packages that may import a big library, so that it can be replaced in one place.
var homes = map[string][]string{
	"github.com/uptrace/bun":      {"store", "migrations"},
	"github.com/riverqueue/river": {"jobs", "store", "store/storetest"},
	"github.com/labstack/echo":    {"api"},
	"github.com/quic-go/quic-go":  {"transfer", "transfer/lab/bench", "cmd/isthmus"},
	"github.com/tink-crypto":      {"secrets"},
	"github.com/golang-jwt":       {"secrets"},
	"github.com/zitadel/oidc":     {"api", "integrations/spaces", "integrations/spaces/demo"},
	"github.com/tus/tusd":         {"api"},
	"code.dny.dev/ssrf":           {"outbound"},
	"github.com/yuin/goldmark":    {"docs"},
	"modernc.org/sqlite":          {"store"},
	"github.com/jackc/pgx":        {"store", "store/storetest"},
	"github.com/Eyevinn/mp4ff":    {"media", "media/mediatest"},
	"github.com/fsnotify":         {"integrations/dropfolder"},
	"github.com/aws":              {"integrations/dropfolder"},
}

type goPackage struct {
	ImportPath, Dir       string
	Imports, TestGoFiles  []string
	GoFiles, XTestGoFiles []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles,TestGoFiles,XTestGoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestImportRules(t *testing.T) {
	for _, p := range packages(t) {
		name, ours := strings.CutPrefix(p.ImportPath, "isthmus/")
		if !ours || len(p.GoFiles) == 0 {
			continue
		}
		allowed, listed := mayImport[name]
		if !listed {
			t.Errorf("%s is not in the table of import rules: add it there and to the README's layout", name)
			continue
		}
		for _, imp := range p.Imports {
			if target, own := strings.CutPrefix(imp, "isthmus/"); own && !matches(allowed, target) {
				t.Errorf("%s must not import %s", name, target)
			}
			for library, rooms := range homes {
				if strings.HasPrefix(imp, library) && !slices.Contains(rooms, name) {
					t.Errorf("%s imports %s, whose home is %v", name, imp, rooms)
				}
			}
			std := !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") && !strings.HasPrefix(imp, "isthmus")
			if strings.HasPrefix(name, "gateway") && !std && !strings.HasPrefix(imp, "isthmus/") && !strings.HasPrefix(imp, "golang.org/x/text/") {
				t.Errorf("%s imports %s: the domain knows the standard library and golang.org/x/text only", name, imp)
			}
		}
	}
}

func matches(allowed []string, target string) bool {
	for _, a := range allowed {
		prefix, wild := strings.CutSuffix(a, "*")
		if a == target || wild && strings.HasPrefix(target, prefix) {
			return true
		}
	}
	return false
}

func TestEveryPackageIntroducesItself(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 || p.ImportPath == "isthmus" {
			continue
		}
		if _, err := os.Stat(filepath.Join(p.Dir, "doc.go")); err != nil {
			t.Errorf("%s has no doc.go", p.ImportPath)
		}
	}
}
