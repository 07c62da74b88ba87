package docs

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

//go:generate go run gen_errors.go

//go:embed *.md style.css page.html reference.html
var files embed.FS

// exampleURL stands for the server's own address in the guides.
const exampleURL = "https://isthmus.example.org"

// guide is a page written by hand, in the order of the navigation.
type guide struct{ slug, title, file string }

var guides = []guide{
	{"", "Overview", "index.md"},
	{"quickstart", "Quickstart", "quickstart.md"},
	{"authentication", "Authentication", "authentication.md"},
	{"picker", "Embeddable picker", "picker.md"},
	{"webhooks", "Webhooks", "webhooks.md"},
	{"transfer", "Fast path", "transfer.md"},
	{"drop-folders", "Drop folders", "drop-folders.md"},
	{"isthmusctl", "Command line", "isthmusctl.md"},
	{"agent", "Agent", "agent.md"},
	{"manifests", "Manifests", "manifests.md"},
	{"sdks", "Client libraries", "sdks.md"},
	{"sandbox", "Kaltura sandbox", "sandbox.md"},
	{"errors", "Errors", "errors.md"},
	{"changelog", "Changelog", "changelog.md"},
	{"deprecation", "Deprecation policy", "deprecation.md"},
}

// link is an entry of the navigation.
type link struct {
	Path, Title string
	Current     bool
	Parts       []link
}

// page is what the template shows.
type page struct {
	Title, BaseURL string
	Nav            []link
	Body           template.HTML
}

type rendered struct {
	body []byte
	mime string
	etag string
}

// Site serves the documentation. It is safe for concurrent use.
type Site struct {
	pages   map[string]rendered
	missing []byte
}

// New renders all pages for a server at baseURL, such as "https://isthmus.example.org", from its
// OpenAPI description.
func New(baseURL string, spec []byte) (*Site, error) {
	tmpl, err := template.ParseFS(files, "page.html", "reference.html")
	if err != nil {
		return nil, err
	}
	ref, err := readReference(bytes.ReplaceAll(spec, []byte(exampleURL), []byte(baseURL)))
	if err != nil {
		return nil, err
	}
	bodies := map[string]template.HTML{}
	titles := map[string]string{}
	var order []string
	add := func(slug, title string, body template.HTML) {
		bodies[slug], titles[slug] = body, title
		order = append(order, slug)
	}
	for _, g := range guides {
		text, err := files.ReadFile(g.file)
		if err != nil {
			return nil, err
		}
		body, err := markdown(bytes.ReplaceAll(text, []byte(exampleURL), []byte(baseURL)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g.file, err)
		}
		add(g.slug, g.title, body)
		if g.slug == "webhooks" {
			add("events", "Events", eventCatalogue(baseURL))
		}
		if g.slug == "sdks" {
			index, err := ref.index(tmpl)
			if err != nil {
				return nil, err
			}
			add("api", "API reference", index)
			for _, t := range ref.Tags {
				body, err := t.render(tmpl)
				if err != nil {
					return nil, err
				}
				add("api/"+t.Name, t.Title(), body)
			}
		}
	}
	s := &Site{pages: map[string]rendered{}}
	shown := func(slug, title string, body template.HTML) ([]byte, error) {
		var nav []link
		for _, o := range order {
			l := link{Path: path(o), Title: titles[o], Current: o == slug}
			if strings.HasPrefix(o, "api/") {
				parent := &nav[len(nav)-1]
				if slug == "api" || strings.HasPrefix(slug, "api/") {
					parent.Parts = append(parent.Parts, l)
				}
				continue
			}
			nav = append(nav, l)
		}
		var b bytes.Buffer
		err := tmpl.ExecuteTemplate(&b, "page.html", page{Title: title, BaseURL: baseURL, Nav: nav, Body: body})
		return b.Bytes(), err
	}
	for _, slug := range order {
		html, err := shown(slug, titles[slug], bodies[slug])
		if err != nil {
			return nil, err
		}
		s.put(path(slug), "text/html; charset=utf-8", html)
	}
	style, err := files.ReadFile("style.css")
	if err != nil {
		return nil, err
	}
	s.put("/docs/style.css", "text/css; charset=utf-8", style)
	s.missing, err = shown("404", "Not found", `<h1>Not found</h1><p>There is no such page. Choose one from the list.</p>`)
	return s, err
}

func path(slug string) string { return strings.TrimSuffix("/docs/"+slug, "/") }

func (s *Site) put(path, mime string, body []byte) {
	sum := sha256.Sum256(body)
	s.pages[path] = rendered{body, mime, `"` + hex.EncodeToString(sum[:12]) + `"`}
}

// ServeHTTP answers GET and HEAD below /docs.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := s.pages[strings.TrimSuffix(r.URL.Path, "/")]
	h := w.Header()
	if !ok {
		h.Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write(s.missing)
		return
	}
	h.Set("Content-Type", p.mime)
	h.Set("ETag", p.etag)
	if strings.Contains(r.Header.Get("If-None-Match"), p.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(p.body)
	}
}
