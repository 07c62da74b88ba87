package dropfolder_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/integrations/dropfolder"
	"isthmus/outbound"
)

func TestBucketAddresses(t *testing.T) {
	t.Parallel()
	outside := bucketSources()
	for _, c := range []struct {
		change        func(*gateway.DropFolder)
		reason, field string
	}{
		{func(f *gateway.DropFolder) { f.Bucket.Name = "s3://drops" }, "bucket_name", "/bucket/name"},
		{func(f *gateway.DropFolder) { f.Bucket.Name = "a/../b" }, "bucket_name", "/bucket/name"},
		{func(f *gateway.DropFolder) { f.Bucket.Name = "" }, "bucket_name", "/bucket/name"},
		{func(f *gateway.DropFolder) { f.Path = "a/../b" }, "bucket_prefix", "/path"},
		{func(f *gateway.DropFolder) { f.Path = "a//b" }, "bucket_prefix", "/path"},
		{func(f *gateway.DropFolder) { f.Bucket.Endpoint = "" }, "bucket_region", "/bucket/region"},
		{func(f *gateway.DropFolder) { f.Bucket.Region = "eu.evil.example/" }, "bucket_region", "/bucket/region"},
		{func(f *gateway.DropFolder) { f.Bucket.KeyID = "" }, "bucket_key", "/bucket/key_id"},
		{func(f *gateway.DropFolder) { f.Bucket.Endpoint = "http://s3.example.org" }, "service_url_not_https", "/bucket/endpoint"},
		{func(f *gateway.DropFolder) { f.Bucket.Endpoint = "https://169.254.169.254" }, "service_url_internal", "/bucket/endpoint"},
		{func(f *gateway.DropFolder) { f.Bucket.Endpoint = "https://localhost" }, "service_url_internal", "/bucket/endpoint"},
		{func(f *gateway.DropFolder) { f.Bucket.Endpoint = "https://u:p@s3.example.org" }, "service_url_userinfo", "/bucket/endpoint"},
	} {
		f := bucketFolder("https://s3.example.org")
		c.change(&f)
		_, err := outside.Open(t.Context(), f, "secret")
		gatewaytest.Want(t, err, gateway.Invalid, c.reason)
		gatewaytest.Explained(t, err)
		if e := gateway.AsError(err); e.Field != c.field {
			t.Errorf("%s is at %s", c.reason, e.Field)
		}
	}
}

// TestInternalNetworksAreNotCalled: a name that leads inside is stopped by the dialer.
func TestInternalNetworksAreNotCalled(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	t.Cleanup(srv.Close)
	port := srv.URL[strings.LastIndex(srv.URL, ":"):]
	// Another network is allowed: names are then only checked when they are dialled.
	s := bucketSources(netip.MustParsePrefix("10.99.0.0/16"))
	source := open(t, s, bucketFolder("https://localhost"+port), "secret")
	err := source.Scan(t.Context(), func(gateway.DropEntry) error { return nil })
	if !gateway.IsReason(err, "service_url_port") && !gateway.IsReason(err, "service_url_internal") || calls.Load() != 0 {
		t.Error(calls.Load(), err)
	}
	gatewaytest.Explained(t, err)
}

// answers is a store that always answers the same.
func answers(t *testing.T, status int, body string, header ...string) gateway.DropSource {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return open(t, insideSources(), bucketFolder(srv.URL), "topsecretkey")
}

func fault(code string) string {
	return "<Error><Code>" + code + "</Code><Message>topsecretkey AKID</Message></Error>"
}

func TestBucketErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status   int
		body     string
		code     gateway.Code
		reason   string
		nextStep string
	}{
		{404, fault("NoSuchBucket"), gateway.Unavailable, "bucket_missing", "endpoint"},
		{403, fault("AccessDenied"), gateway.Unavailable, "bucket_denied", "s3:ListBucket"},
		{403, "", gateway.Unavailable, "bucket_denied", "s3:ListBucket"},
		{403, fault("InvalidAccessKeyId"), gateway.Unavailable, "bucket_key_refused", "key"},
		{403, fault("SignatureDoesNotMatch"), gateway.Unavailable, "bucket_key_refused", "key"},
		{403, fault("RequestTimeTooSkewed"), gateway.Unavailable, "bucket_clock", "clock"},
		{301, fault("PermanentRedirect"), gateway.Unavailable, "bucket_elsewhere", "eu-west-3"},
		{400, fault("Whatever"), gateway.Unavailable, "bucket_broken", ""},
		{200, "<html>Welcome to the hotel</html>", gateway.Unavailable, "bucket_no_store", "endpoint"},
		{200, "", gateway.Unavailable, "bucket_no_store", "endpoint"},
	} {
		t.Run(fmt.Sprint(c.status, c.reason), func(t *testing.T) {
			t.Parallel()
			s := answers(t, c.status, c.body, "X-Amz-Bucket-Region", "eu-west-3")
			err := s.Scan(t.Context(), func(gateway.DropEntry) error { return nil })
			e := gateway.AsError(err)
			if e == nil || e.Code != c.code || !strings.HasPrefix(e.Reason, c.reason) || !strings.Contains(e.NextStep, c.nextStep) {
				t.Errorf("%v, next: %s", err, e.NextStep)
			}
			gatewaytest.Explained(t, err)
			if strings.Contains(err.Error(), "topsecretkey") || strings.Contains(err.Error(), "AKID") {
				t.Error("the store's words are passed on:", err)
			}
		})
	}
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	err := open(t, insideSources(), bucketFolder(down.URL), "topsecretkey").Scan(t.Context(), func(gateway.DropEntry) error { return nil })
	gatewaytest.Want(t, err, gateway.Unavailable, "bucket_unreachable")
	gatewaytest.Explained(t, err)
}

// TestAnObjectThatChangesWhileItIsRead is never a mixture.
func TestAnObjectThatChangesWhileItIsRead(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	s := open(t, insideSources(), bucketFolder(store.URL), "secret")
	store.put(t, "in/video/a.mp4", strings.Repeat("old", 1000))
	r, err := s.Open(t.Context(), "a.mp4")
	must(t, err)
	defer func() { _ = r.Close() }()
	b := make([]byte, 10)
	if _, err := r.ReadAt(b, 3); err != nil || string(b) != "oldoldoldo" {
		t.Errorf("%q %v", b, err)
	}
	store.put(t, "in/video/a.mp4", strings.Repeat("new", 1000))
	_, err = r.ReadAt(b, 3)
	gatewaytest.Want(t, err, gateway.Conflict, "file_changed")
	_, err = io.ReadAll(r)
	gatewaytest.Want(t, err, gateway.Conflict, "file_changed")
	gatewaytest.Explained(t, err)
}

// TestReadingGoesOnWhereAConnectionBroke, and ends when nothing comes any more.
func TestReadingGoesOnWhereAConnectionBroke(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("0123456789abcdef", 4096)
	var gets, dead atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			return
		}
		if r.Header.Get("If-Match") != `"v1"` {
			t.Error("without condition:", r.Header)
		}
		gets.Add(1)
		var from int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)-from))
		w.WriteHeader(http.StatusPartialContent)
		if dead.Load() == 0 {
			_, _ = io.WriteString(w, content[from:min(from+20_000, len(content))]) // less than promised
		}
		if from+20_000 < len(content) || dead.Load() != 0 {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(srv.Close)
	s := open(t, insideSources(), bucketFolder(srv.URL), "secret")
	r, err := s.Open(t.Context(), "a.mp4")
	must(t, err)
	got, err := io.ReadAll(r)
	if err != nil || sha256.Sum256(got) != sha256.Sum256([]byte(content)) || gets.Load() < 4 {
		t.Error(len(got), gets.Load(), err)
	}
	must(t, r.Close())
	dead.Store(1)
	r, err = s.Open(t.Context(), "a.mp4")
	must(t, err)
	_, err = io.ReadAll(r)
	gatewaytest.Want(t, err, gateway.Unavailable, "bucket_unreachable")
	must(t, r.Close())
}

// TestManyObjects come in pages, with keys that are no paths told apart.
func TestManyObjects(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	for i := range 2100 {
		store.put(t, fmt.Sprintf("in/video/%04d.mp4", i), "x")
	}
	store.put(t, "in/video2/other.mp4", "x")
	store.put(t, "in/video/folder/", "")
	for _, key := range []string{"a//b.mp4", "../a.mp4", "/a.mp4", "./a.mp4", "b/", strings.Repeat("l", 1001)} {
		store.put(t, "in/video/"+key, "x")
	}
	s := open(t, insideSources(), bucketFolder(store.URL), "secret")
	plain, odd := 0, map[string]int{}
	for name, e := range list(t, s) {
		if e.Odd != "" {
			odd[e.Odd]++
			_, err := s.Open(t.Context(), name)
			gatewaytest.Want(t, err, gateway.NotFound, "file_missing")
			continue
		}
		plain++
		if !e.Whole {
			t.Errorf("%+v", e)
		}
	}
	if plain != 2100 || odd[gateway.DropOddPath] != 5 || odd[gateway.DropOddLong] != 1 {
		t.Error(plain, odd)
	}
}

// TestAnswersThatDoNotEnd are given up, by their size or by their time.
func TestAnswersThatDoNotEnd(t *testing.T) {
	t.Parallel()
	guard := outbound.Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for name, c := range map[string]struct {
		status     int
		head, more string
		most       time.Duration
		reason     string
	}{
		"error":            {500, "<Error>", strings.Repeat(" ", 64<<10), 0, "bucket_no_store"},
		"listing":          {200, "<ListBucketResult><Name>drops</Name>", strings.Repeat("<Contents><Key>in/video/a</Key></Contents>", 1000), 0, "bucket_no_store"},
		"trickling error":  {400, "<Error>", "", 100 * time.Millisecond, "bucket_"},
		"trickling answer": {200, "<ListBucketResult><Name>drops</Name>", "", 100 * time.Millisecond, "bucket_"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls, sent atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.head)
				_ = http.NewResponseController(w).Flush()
				if c.more == "" {
					<-r.Context().Done()
					return
				}
				for sent.Load() < 512<<20 { // the end of a test that fails
					n, err := io.WriteString(w, c.more)
					if sent.Add(int64(n)); err != nil {
						return
					}
				}
			}))
			t.Cleanup(srv.Close)
			s := open(t, dropfolder.New(dropfolder.Options{Client: outbound.New(guard), CheckURL: guard.ServiceURL, Answer: c.most}), bucketFolder(srv.URL), "secret")
			err := s.Scan(t.Context(), func(gateway.DropEntry) error { return nil })
			if e := gateway.AsError(err); e == nil || e.Code != gateway.Unavailable || !strings.HasPrefix(e.Reason, c.reason) {
				t.Errorf("%v", err)
			}
			gatewaytest.Explained(t, err)
			if sent.Load() > calls.Load()*(32<<20) { // with what the connection holds
				t.Errorf("%d bytes were taken in %d calls", sent.Load(), calls.Load())
			}
		})
	}
}

// What a look holds of a listing is bounded: names and identities together, and each identity.
func TestListingThatIsTooLarge(t *testing.T) {
	t.Parallel()
	guard := outbound.Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for reason, c := range map[string]struct {
		etag string
		most int64 // pages
	}{
		"bucket_no_store": {strings.Repeat("e", 300), 1},
		"bucket_too_full": {"e1", 1000},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					w.Header().Set("Etag", `"`+c.etag+`"`)
					return
				}
				n := calls.Add(1)
				_, _ = fmt.Fprintf(w, "<ListBucketResult><Name>drops</Name><IsTruncated>%v</IsTruncated><NextContinuationToken>%d</NextContinuationToken>"+
					"<Contents><Key>in/video/%04d%s.mp4</Key><Size>1</Size><ETag>%s</ETag></Contents></ListBucketResult>", n < 1000, n, n, strings.Repeat("n", 96), c.etag)
			}))
			t.Cleanup(srv.Close)
			s := open(t, dropfolder.New(dropfolder.Options{Client: outbound.New(guard), CheckURL: guard.ServiceURL, Listing: 5000}), bucketFolder(srv.URL), "secret")
			n := 0
			err := s.Scan(t.Context(), func(gateway.DropEntry) error { n++; return nil })
			if !gateway.IsReason(err, reason) || n > 50 || calls.Load() > c.most {
				t.Error(n, calls.Load(), err)
			}
			gatewaytest.Explained(t, err)
			if _, err := s.Stat(t.Context(), "a.mp4"); (err == nil) != (len(c.etag) < 256) {
				t.Error(err)
			}
		})
	}
}

// A listing of ever more pages with next to nothing in them is given up.
func TestListingThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	guard := outbound.Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	var calls atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := calls.Add(1)
		_, _ = fmt.Fprintf(w, "<ListBucketResult><Name>drops</Name><IsTruncated>%v</IsTruncated><NextContinuationToken>%d</NextContinuationToken>"+
			"<Contents><Key>in/video/%d.mp4</Key><Size>1</Size></Contents></ListBucketResult>", n < 5000, n, n)
	}))
	t.Cleanup(srv.Close)
	s := open(t, dropfolder.New(dropfolder.Options{Client: outbound.New(guard), CheckURL: guard.ServiceURL}), bucketFolder(srv.URL), "secret")
	err := s.Scan(t.Context(), func(gateway.DropEntry) error { return nil })
	gatewaytest.Want(t, err, gateway.Unavailable, "bucket_listing")
	if n := calls.Load(); n > 1100 {
		t.Error(n, "pages")
	}
}
