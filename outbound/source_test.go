package outbound

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"isthmus/gateway"
)

// A source that falls silent in the middle of a file is given up, so that it cannot hold a worker for hours.
func TestSilentSource(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write(append([]byte{0, 0, 0, 24, 'f', 't', 'y', 'p', 'i', 's', 'o', 'm'}, make([]byte, 5000)...))
		_ = http.NewResponseController(w).Flush()
		<-release
	}))
	defer s.Close()
	defer close(release)
	source := NewSource(Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Silence: time.Second})
	f, err := source.Fetch(t.Context(), s.URL+"/film.mp4", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Body.Close()
	n, err := io.Copy(io.Discard, f.Body)
	if n != 5012 || gateway.CodeOf(err) != gateway.Unavailable || !gateway.IsReason(err, "source_silent") {
		t.Fatal(n, err)
	}
}
