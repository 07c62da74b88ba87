package docs

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"isthmus/gateway"
	"isthmus/openapi"
)

const base = "https://media.example.com"

var built = sync.OnceValues(func() (*Site, error) { return New(base, openapi.YAML) })

func site(t *testing.T) *Site {
	t.Helper()
	s, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(s *Site, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

var (
	links   = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	anchors = regexp.MustCompile(`id="([^"]*)"`)
)

// Every link between pages leads somewhere, to the very heading; nothing is loaded from elsewhere and
// nothing runs or is styled inline, which our content policy would refuse.
func TestPages(t *testing.T) {
	s := site(t)
	ids := map[string]map[string]bool{}
	for path, p := range s.pages {
		ids[path] = map[string]bool{}
		for _, m := range anchors.FindAllStringSubmatch(string(p.body), -1) {
			if ids[path][m[1]] {
				t.Errorf("%s: two elements with the id %q", path, m[1])
			}
			ids[path][m[1]] = true
		}
	}
	ours := map[string]bool{"/openapi.yaml": true, "/openapi.json": true, "/favicon.svg": true}
	for path, p := range s.pages {
		text := string(p.body)
		if strings.HasSuffix(path, ".css") {
			if strings.Contains(text, "url(") || strings.Contains(text, "@import") {
				t.Errorf("%s loads something", path)
			}
			continue
		}
		if strings.Contains(text, "<script") || strings.Contains(text, "<style") || strings.Contains(text, " style=") || strings.Contains(text, "<!-- raw HTML omitted -->") {
			t.Errorf("%s holds what our content policy refuses, or lost raw HTML", path)
		}
		if strings.Contains(text, exampleURL) {
			t.Errorf("%s names the example server", path)
		}
		if strings.Count(text, "<h1") != 1 {
			t.Errorf("%s has %d first headings", path, strings.Count(text, "<h1"))
		}
		for _, m := range links.FindAllStringSubmatch(text, -1) {
			to, fragment, _ := strings.Cut(m[1], "#")
			if to == "" {
				to = path
			}
			switch {
			case strings.HasPrefix(to, "https://"), ours[to], strings.HasPrefix(to, "/.well-known/"):
			case ids[to] == nil:
				t.Errorf("%s: link to %s, where nothing is", path, m[1])
			case fragment != "" && !ids[to][fragment]:
				t.Errorf("%s: link to %s, which has no such heading", path, m[1])
			}
		}
	}
}

func TestServing(t *testing.T) {
	s := site(t)
	first := get(s, "/docs/quickstart/")
	if first.Code != http.StatusOK || first.Header().Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(first.Body.String(), base) {
		t.Errorf("quickstart: %d %v", first.Code, first.Header())
	}
	if again := get(s, "/docs/quickstart", "If-None-Match", first.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("unchanged page: %d, %d bytes", again.Code, again.Body.Len())
	}
	if w := get(s, "/docs/../go.mod"); w.Code != http.StatusNotFound {
		t.Errorf("outside: %d", w.Code)
	}
	if w := get(s, "/docs/nothing"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `href="/docs"`) {
		t.Errorf("unknown page: %d", w.Code)
	}
}

// Each operation, each kind of event and each guide has its place.
func TestNothingIsForgotten(t *testing.T) {
	s := site(t)
	var all strings.Builder
	for path, p := range s.pages {
		if strings.HasPrefix(path, "/docs/api") {
			all.Write(p.body)
		}
	}
	for _, m := range regexp.MustCompile(`operationId: (\w+)`).FindAllStringSubmatch(string(openapi.YAML), -1) {
		if !strings.Contains(all.String(), `id="`+m[1]+`"`) {
			t.Errorf("the reference lacks %s", m[1])
		}
	}
	events := string(s.pages["/docs/events"].body)
	for _, e := range gateway.EventTypes {
		if !strings.Contains(events, `id="`+e.Type+`"`) {
			t.Errorf("the catalogue lacks %s", e.Type)
		}
	}
	if len(gateway.EventTypes) == 0 {
		t.Error("there are no events")
	}
	shown := map[string]bool{}
	for _, g := range guides {
		shown[g.file] = true
	}
	// Explanations of the project's own, for those who work on it.
	internal := map[string]bool{"faults.md": true}
	names, err := fs.Glob(files, "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !shown[name] && !internal[name] {
			t.Errorf("%s is in no navigation", name)
		}
	}
}
