package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// The pattern names two folders by a wildcard, because a pattern that matches nothing stops the
// build and dist is absent until the front end was built.
//
//go:embed all:[dp][il][sa][tc]*
var files embed.FS

// Built tells whether this binary holds the real front end rather than the placeholder page.
func Built() bool {
	_, err := fs.Stat(files, "dist/index.html")
	return err == nil
}

// Picker gives the page that other sites show in a frame; nil when the front end was not built.
func Picker() []byte {
	page, err := files.ReadFile("dist/picker.html")
	if err != nil {
		return nil
	}
	return page
}

// asset is one file ready to be sent. Files are few and small, so they are prepared once.
type asset struct {
	body, gzip []byte
	mime, etag string
	immutable  bool
	shared     bool // loaded by other sites
}

// Handler serves the front end for GET and HEAD: files of the build under their names (those below
// /assets/ have a hash in their name and may be cached for ever), and index.html for every other
// path without a file ending, because pages are addresses of the application. Files below /embed/ are
// for other sites. Unknown files are 404, and so is the picker's page: who may frame it is the API's to say.
func Handler() http.Handler {
	root := "placeholder"
	if Built() {
		root = "dist"
	}
	sub, err := fs.Sub(files, root)
	if err != nil {
		panic(err) // the name is a constant
	}
	return newHandler(sub)
}

func newHandler(root fs.FS) http.Handler {
	assets := map[string]asset{}
	_ = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && name != "." && name[0] == '.' {
			return fs.SkipDir // Vite's notes about the build
		}
		if err != nil || d.IsDir() || name[0] == '.' || strings.HasSuffix(name, ".gz") || name == "picker.html" {
			return err
		}
		body, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		zipped, _ := fs.ReadFile(root, name+".gz")
		sum := sha256.Sum256(body)
		assets["/"+name] = asset{
			body: body, gzip: zipped, mime: mimeOf(name), etag: hex.EncodeToString(sum[:12]),
			immutable: strings.HasPrefix(name, "assets/"),
			shared:    strings.HasPrefix(name, "embed/"),
		}
		return nil
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		a, ok := assets[path.Clean(r.URL.Path)]
		if !ok {
			if path.Ext(r.URL.Path) != "" {
				http.NotFound(w, r)
				return
			}
			a = assets["/index.html"]
		}
		a.serve(w, r)
	})
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.mime)
	h.Set("X-Content-Type-Options", "nosniff")
	switch {
	case a.immutable:
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	case a.shared: // keeps its name for ever: new contents arrive within minutes
		h.Set("Cache-Control", "public, max-age=300")
		h.Set("Access-Control-Allow-Origin", "*") // holds nothing of anybody
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	default:
		h.Set("Cache-Control", "no-cache")
	}
	body, etag := a.body, a.etag
	if a.gzip != nil {
		h.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			body, etag = a.gzip, etag+"-gz"
			h.Set("Content-Encoding", "gzip")
		}
	}
	etag = `"` + etag + `"`
	h.Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body)
}

func matches(ifNoneMatch, etag string) bool {
	for part := range strings.SplitSeq(ifNoneMatch, ",") {
		if p := strings.TrimPrefix(strings.TrimSpace(part), "W/"); p == etag || p == "*" {
			return true
		}
	}
	return false
}

func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return strings.ReplaceAll(q, " ", "") != "q=0"
		}
	}
	return false
}

// mimeOf does not ask the machine's tables for the endings that matter: they differ between machines.
func mimeOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json":
		return "application/json"
	case ".wasm":
		return "application/wasm"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}
