package dropfolder_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/integrations/dropfolder"
	"isthmus/outbound"
)

// place is a folder's place with a way to put files there that does not go through the source.
type place struct {
	source gateway.DropSource
	put    func(name, content string)
	gone   func() // takes the whole place away
}

// hub is whose folders are looked at.
const hub = "hub_1"

func directoryPlace(t *testing.T) place {
	root := t.TempDir()
	s := dropfolder.New(dropfolder.Options{Root: root})
	f := gateway.DropFolder{Row: gateway.Row{HubID: hub}, Source: gateway.DropDirectory, Path: "in/video"}
	if err := s.Make(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	at := s.Place(f)
	return place{
		source: open(t, s, f, ""),
		put:    func(name, content string) { write(t, filepath.Join(at, name), content) },
		gone: func() {
			if err := os.RemoveAll(at); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func open(t *testing.T, s *dropfolder.Sources, f gateway.DropFolder, secret gateway.Secret) gateway.DropSource {
	t.Helper()
	d, err := s.Open(t.Context(), f, secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func write(t *testing.T, at, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// store is an S3 server of the test's own.
type s3store struct {
	*s3mem.Backend
	*httptest.Server
}

func newStore(t *testing.T) s3store {
	t.Helper()
	b := s3mem.New()
	if err := b.CreateBucket("drops"); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(gofakes3.New(b).Server())
	t.Cleanup(srv.Close)
	return s3store{b, srv}
}

func (s s3store) put(t *testing.T, key, content string) {
	t.Helper()
	now := map[string]string{"Last-Modified": time.Now().UTC().Format(http.TimeFormat)}
	if _, err := s.PutObject("drops", key, now, strings.NewReader(content), int64(len(content)), nil); err != nil {
		t.Fatal(err)
	}
}

// insideSources may call the test's own server.
func insideSources() *dropfolder.Sources { return bucketSources(netip.MustParsePrefix("127.0.0.0/8")) }

func bucketSources(networks ...netip.Prefix) *dropfolder.Sources {
	guard := outbound.Options{AllowNetworks: networks}
	return dropfolder.New(dropfolder.Options{Client: outbound.New(guard), CheckURL: guard.ServiceURL, Log: slog.New(slog.DiscardHandler)})
}

func bucketFolder(endpoint string) gateway.DropFolder {
	return gateway.DropFolder{
		Row: gateway.Row{HubID: hub}, Source: gateway.DropBucket, Path: "in/video",
		Bucket: gateway.DropBucketAddress{Endpoint: endpoint, Name: "drops", KeyID: "AKID", PathStyle: true},
	}
}

func bucketPlace(t *testing.T) place {
	s := newStore(t)
	return place{
		source: open(t, insideSources(), bucketFolder(s.URL), "secret"),
		put:    func(name, content string) { s.put(t, "in/video/"+name, content) },
		gone: func() {
			if err := s.ForceDeleteBucket("drops"); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func list(t *testing.T, s gateway.DropSource) map[string]gateway.DropEntry {
	t.Helper()
	all := map[string]gateway.DropEntry{}
	if err := s.Scan(t.Context(), func(e gateway.DropEntry) error {
		if _, twice := all[e.Name]; twice {
			t.Errorf("%s was given twice", e.Name)
		}
		all[e.Name] = e
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func names(all map[string]gateway.DropEntry) []string {
	var n []string
	for name := range all {
		n = append(n, name)
	}
	slices.Sort(n)
	return n
}

// TestEveryPlace is what places of every kind have in common.
func TestEveryPlace(t *testing.T) {
	for kind, make := range map[string]func(*testing.T) place{"directory": directoryPlace, "bucket": bucketPlace} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			t.Run("Files", func(t *testing.T) { placeGivesFiles(t, make(t)) })
			t.Run("Reading", func(t *testing.T) { placeReads(t, make(t)) })
			t.Run("Removal", func(t *testing.T) { placeRemoves(t, make(t)) })
			t.Run("Gone", func(t *testing.T) { placeIsGone(t, make(t)) })
		})
	}
}

func placeGivesFiles(t *testing.T, p place) {
	if all := list(t, p.source); len(all) != 0 {
		t.Error(all)
	}
	want := []string{"a b+c%2F.mp4", "a.mp4", "empty.mp4", "sub/deeper/ü.mov", "sub/x.xml"}
	for _, name := range want {
		if name == "empty.mp4" {
			p.put(name, "")
			continue
		}
		p.put(name, "content of "+name)
	}
	all := list(t, p.source)
	if !slices.Equal(names(all), want) {
		t.Fatalf("%q", names(all))
	}
	for name, e := range all {
		got, err := p.source.Stat(t.Context(), name)
		if err != nil || got.Identity != e.Identity || got.Size != e.Size || got.Name != name || !got.ModifiedAt.Equal(e.ModifiedAt) || got.Whole != e.Whole {
			t.Errorf("%+v is not %+v: %v", got, e, err)
		}
		if size := int64(len("content of " + name)); name != "empty.mp4" && e.Size != size || e.Identity == "" || e.Odd != "" {
			t.Errorf("%+v", e)
		}
	}
	p.put("a.mp4", "another one")
	now, err := p.source.Stat(t.Context(), "a.mp4")
	if err != nil || now.Identity == all["a.mp4"].Identity || gateway.SameDropContent(now.Identity, all["a.mp4"].Identity) {
		t.Errorf("%+v is still %+v: %v", now, all["a.mp4"], err)
	}
	for _, name := range []string{"", ".", "..", "../video/a.mp4", "/a.mp4", "sub", "sub/", "sub//x.xml", "b.mp4", "a.mp4/b", "a\x00", "\xff", strings.Repeat("x", 2000)} {
		_, err := p.source.Stat(t.Context(), name)
		gatewaytest.Want(t, err, gateway.NotFound, "file_missing")
		gatewaytest.Explained(t, err)
		_, err = p.source.Open(t.Context(), name)
		gatewaytest.Want(t, err, gateway.NotFound, "file_missing")
	}
	enough := errors.New("enough")
	seen := 0
	if err := p.source.Scan(t.Context(), func(gateway.DropEntry) error { seen++; return enough }); !errors.Is(err, enough) || seen != 1 {
		t.Error(seen, err)
	}
}

func placeReads(t *testing.T, p place) {
	content := strings.Repeat("0123456789", 20_000)
	p.put("a.mp4", content)
	p.put("empty.mp4", "")
	r, err := p.source.Open(t.Context(), "a.mp4")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if e, err := p.source.Stat(t.Context(), "a.mp4"); err != nil || e != r.Entry() {
		t.Errorf("%+v is not %+v: %v", r.Entry(), e, err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != content {
		t.Error(len(got), err)
	}
	for _, c := range []struct {
		at, want int64
		n        int
		err      error
	}{{0, 10, 10, nil}, {199_995, 5, 5, nil}, {199_995, 10, 5, io.EOF}, {200_000, 1, 0, io.EOF}, {300_000, 1, 0, io.EOF}, {7, 0, 0, nil}} {
		b := bytes.Repeat([]byte{'x'}, int(c.want))
		if n, err := r.ReadAt(b, c.at); n != c.n || err != c.err || n > 0 && string(b[:n]) != content[c.at:c.at+int64(n)] {
			t.Errorf("%+v: %d %v %q", c, n, err, b)
		}
	}
	nothing, err := p.source.Open(t.Context(), "empty.mp4")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(nothing); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
	if err := nothing.Close(); err != nil {
		t.Error(err)
	}
}

func placeRemoves(t *testing.T, p place) {
	p.put("sub/a.mp4", "first")
	p.put("sub/b.mp4", "stays")
	first, err := p.source.Stat(t.Context(), "sub/a.mp4")
	if err != nil {
		t.Fatal(err)
	}
	p.put("sub/a.mp4", "second, longer")
	err = p.source.Remove(t.Context(), "sub/a.mp4", first.Identity)
	gatewaytest.Want(t, err, gateway.Conflict, "file_changed")
	gatewaytest.Explained(t, err)
	second, err := p.source.Stat(t.Context(), "sub/a.mp4")
	if err != nil {
		t.Fatal("the file that changed is no longer there:", err)
	}
	for range 2 { // the second time it is gone
		if err := p.source.Remove(t.Context(), "sub/a.mp4", second.Identity); err != nil {
			t.Error(err)
		}
	}
	if got := names(list(t, p.source)); !slices.Equal(got, []string{"sub/b.mp4"}) {
		t.Errorf("%q", got)
	}
	if err := p.source.Remove(t.Context(), "../x", "y"); err != nil {
		t.Error("harmless:", err)
	}
}

// placeIsGone: a place that is not there says nothing of its files.
func placeIsGone(t *testing.T, p place) {
	p.put("a.mp4", "content")
	p.gone()
	calls := map[string]error{
		"scan":   p.source.Scan(t.Context(), func(gateway.DropEntry) error { return nil }),
		"remove": p.source.Remove(t.Context(), "a.mp4", "x"),
	}
	_, calls["stat"] = p.source.Stat(t.Context(), "a.mp4")
	_, calls["open"] = p.source.Open(t.Context(), "a.mp4")
	for call, err := range calls {
		e := gateway.AsError(err)
		if e == nil || e.Code != gateway.Unavailable || e.Reason != "directory_missing" && e.Reason != "bucket_missing" {
			t.Errorf("%s: %v", call, err)
		}
		gatewaytest.Explained(t, err)
	}
}
