package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
)

func site() http.Handler {
	return newHandler(fstest.MapFS{
		"index.html":          {Data: []byte("<!doctype html>page")},
		"index.html.gz":       {Data: []byte("zipped page")},
		"favicon.svg":         {Data: []byte("<svg/>")},
		"assets/main-abc.js":  {Data: []byte("code")},
		"embed/v1.js":         {Data: []byte("shared code")},
		"picker.html":         {Data: []byte("<!doctype html>picker")},
		".vite/manifest.json": {Data: []byte("{}")},
	})
}

func get(t *testing.T, method, path string, header map[string]string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	site().ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(body)
}

func TestHandler(t *testing.T) {
	for _, c := range []struct {
		path, cache, mime, body string
		status                  int
	}{
		{"/", "no-cache", "text/html; charset=utf-8", "<!doctype html>page", 200},
		{"/hubs/hub_1/library", "no-cache", "text/html; charset=utf-8", "<!doctype html>page", 200},
		{"/connect/abc", "no-cache", "text/html; charset=utf-8", "<!doctype html>page", 200},
		{"/favicon.svg", "no-cache", "image/svg+xml", "<svg/>", 200},
		{"/assets/main-abc.js", "public, max-age=31536000, immutable", "text/javascript; charset=utf-8", "code", 200},
		{"/assets/main-old.js", "", "text/plain; charset=utf-8", "404 page not found\n", 404},
		{"/embed/v1.js", "public, max-age=300", "text/javascript; charset=utf-8", "shared code", 200},
		{"/picker.html", "", "text/plain; charset=utf-8", "404 page not found\n", 404},
		{"/.vite/manifest.json", "", "text/plain; charset=utf-8", "404 page not found\n", 404},
		{"/../embed.go", "", "text/plain; charset=utf-8", "404 page not found\n", 404},
	} {
		a, body := get(t, http.MethodGet, c.path, nil)
		if a.StatusCode != c.status || body != c.body || a.Header.Get("Content-Type") != c.mime || a.Header.Get("Cache-Control") != c.cache {
			t.Errorf("%s: %d %q %q %q", c.path, a.StatusCode, body, a.Header.Get("Content-Type"), a.Header.Get("Cache-Control"))
		}
	}
}

// Only the script for other sites may be read by them.
func TestOnlyTheEmbedScriptIsShared(t *testing.T) {
	for path, shared := range map[string]bool{"/embed/v1.js": true, "/assets/main-abc.js": false, "/": false} {
		a, _ := get(t, http.MethodGet, path, map[string]string{"Origin": "https://spaces.example.org"})
		if (a.Header.Get("Access-Control-Allow-Origin") == "*") != shared || (a.Header.Get("Cross-Origin-Resource-Policy") == "cross-origin") != shared {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
}

func TestCompressedWhereAccepted(t *testing.T) {
	for accept, want := range map[string]string{"gzip, br": "zipped page", "br, gzip;q=0": "<!doctype html>page", "": "<!doctype html>page"} {
		a, body := get(t, http.MethodGet, "/", map[string]string{"Accept-Encoding": accept})
		if body != want || (a.Header.Get("Content-Encoding") == "gzip") != (want == "zipped page") {
			t.Errorf("Accept-Encoding %q: %q, %q", accept, body, a.Header.Get("Content-Encoding"))
		}
		if a.Header.Get("Vary") != "Accept-Encoding" {
			t.Error("caches must know that the answer depends on Accept-Encoding")
		}
	}
}

func TestUnchangedIsNotSentAgain(t *testing.T) {
	first, _ := get(t, http.MethodGet, "/", nil)
	again, body := get(t, http.MethodGet, "/", map[string]string{"If-None-Match": first.Header.Get("ETag")})
	if again.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("%d %q", again.StatusCode, body)
	}
	zipped, _ := get(t, http.MethodGet, "/", map[string]string{"If-None-Match": first.Header.Get("ETag"), "Accept-Encoding": "gzip"})
	if zipped.StatusCode != http.StatusOK {
		t.Error("the compressed form has an ETag of its own")
	}
}

func TestMethods(t *testing.T) {
	if a, body := get(t, http.MethodHead, "/", nil); a.StatusCode != 200 || body != "" || a.Header.Get("Content-Length") != "19" {
		t.Errorf("HEAD: %d %q %q", a.StatusCode, body, a.Header.Get("Content-Length"))
	}
	if a, _ := get(t, http.MethodPost, "/", nil); a.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", a.StatusCode)
	}
}

func TestEmbedded(t *testing.T) {
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusOK || w.Body.Len() == 0 {
		t.Fatalf("the page of this binary: %d, %d bytes", w.Code, w.Body.Len())
	}
}
