package integrations_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/store/storetest"
)

// breaking lets calls of one action fail: the n-th has its answer lost after the platform did what
// was asked, or never reaches the platform.
type breaking struct {
	http.Handler
	mu     sync.Mutex
	op     string
	nth    int
	before bool
	hits   atomic.Int64
}

func (b *breaking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	hit := false
	if b.op != "" && strings.HasSuffix(strings.ToLower(r.URL.Path), b.op) {
		b.nth--
		hit = b.nth == 0
	}
	before := b.before
	b.mu.Unlock()
	if hit {
		b.hits.Add(1)
		if !before {
			b.Handler.ServeHTTP(discard{http.Header{}}, r)
		}
		panic(http.ErrAbortHandler)
	}
	b.Handler.ServeHTTP(w, r)
}

func (b *breaking) arm(op string, nth int, before bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.op, b.nth, b.before = op, nth, before
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// TestLostAnswers: whichever call's answer gets lost, repeating what the relay repeats makes one
// entry with the right bytes.
func TestLostAnswers(t *testing.T) {
	e := newEmbedded(t, storetest.SQLite(t))
	a := e.token(map[string]any{"sessionPrivileges": "list:*,sview:*"})
	b := &breaking{Handler: e.handler}
	_, picture := clips(t)
	data, err := os.ReadFile(picture)
	must(t, err)
	n := 0
	for _, op := range []string{
		"uploadtoken/action/add", "uploadtoken/action/upload", "uploadtoken/action/get", "media/action/list", "service/multirequest",
		"apptoken/action/startsession",
	} {
		for nth := 1; nth <= 6; nth++ {
			for _, before := range []bool{false, true} {
				n++
				hits := b.hits.Load()
				b.arm(op, nth, before)
				open := func() gateway.Platform { // every attempt is a process of its own
					p, err := integrations.New(integrations.Options{Local: map[string]http.Handler{serviceURL: b}, Log: slog.New(slog.DiscardHandler)}).Open(a)
					must(t, err)
					return p
				}
				m := gateway.NewMedia{ReferenceID: gateway.NewID("upl"), Name: "n", FileName: "n.jpg", Size: int64(len(data)), Type: gateway.Image}
				got := relay(t, open, m, data)
				b.arm("", 0, false)
				if nth > 1 && b.hits.Load() == hits {
					break // there is no such call
				}
				found := e.api(e.adminKS(), "media.list", map[string]any{"filter": map[string]any{"referenceIdEqual": m.ReferenceID, "statusIn": "-2,-1,0,1,2,4,7"}})
				if found["totalCount"] != 1.0 {
					t.Fatalf("%s #%d (before %v): %v entries", op, nth, before, found["totalCount"])
				}
				body, err := e.open(a).Open(t.Context(), alice, got.ID, gateway.RenditionOriginal, gateway.Range{End: -1})
				must(t, err)
				back, err := io.ReadAll(body)
				_ = body.Close()
				if err != nil || !bytes.Equal(back, data) {
					t.Errorf("%s #%d (before %v): %d bytes instead of %d", op, nth, before, len(back), len(data))
				}
			}
		}
	}
	if hits := b.hits.Load(); hits < 20 {
		t.Errorf("only %d of %d runs broke anything", hits, n)
	}
	if s := e.log.String(); strings.Contains(s, "djJ8") {
		t.Error("a KS in the log")
	}
}

// lagging is an index: what was added is not listed for some time.
type lagging struct {
	http.Handler
	left atomic.Int64 // lists by reference id that still find nothing
}

func (l *lagging) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/media/action/list") {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte("referenceIdEqual")) && l.left.Add(-1) >= 0 {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"totalCount":0,"objects":[],"objectType":"KalturaMediaListResponse"}`)
			return
		}
	}
	l.Handler.ServeHTTP(w, r)
}

// TestLostAnswersWhileTheIndexLags: an entry whose answer was lost and that no list shows yet is not
// made again, by whichever process.
func TestLostAnswersWhileTheIndexLags(t *testing.T) {
	e := newEmbedded(t, storetest.SQLite(t))
	a := e.token(map[string]any{"sessionPrivileges": "list:*,sview:*"})
	a.CategoryID = e.category("hub", 0)
	_, picture := clips(t)
	data, err := os.ReadFile(picture)
	must(t, err)
	b := &breaking{Handler: e.handler}
	l := &lagging{Handler: b}
	open := func() gateway.Platform {
		p, err := integrations.New(integrations.Options{Local: map[string]http.Handler{serviceURL: l}, Log: slog.New(slog.DiscardHandler)}).Open(a)
		must(t, err)
		return p
	}
	waited := 0
	for round := range 12 {
		m := gateway.NewMedia{ReferenceID: gateway.NewID("upl"), Name: "n", FileName: "n.jpg", Size: int64(len(data)), Type: gateway.Image}
		in, err := open().Create(t.Context(), alice, m)
		must(t, err)
		must(t, in.WriteAt(t.Context(), 0, m.Size, bytes.NewReader(data)))
		m.Handle = in.Handle()
		b.arm("service/multirequest", 1, round%3 == 2)
		l.left.Store(int64(1 + round%4))
		var got gateway.Media
		for range 20 {
			again, err := open().Create(t.Context(), alice, m)
			must(t, err)
			if got, err = again.Finish(t.Context(), m); !passing(t, err) {
				break
			}
			if gateway.IsReason(err, "entry_not_listed") {
				waited++
			}
		}
		b.arm("", 0, false)
		l.left.Store(0)
		found := e.api(e.adminKS(), "media.list", map[string]any{"filter": map[string]any{"referenceIdEqual": m.ReferenceID, "statusIn": "-2,-1,0,1,2,4,7"}})
		if found["totalCount"] != 1.0 || got.ID == "" {
			t.Fatalf("round %d: %v entries", round, found["totalCount"])
		}
		if now, err := e.open(a).Get(t.Context(), alice, got.ID); err != nil || now.CategoryID != a.CategoryID {
			t.Errorf("round %d: in category %d, %v", round, now.CategoryID, err)
		}
	}
	if waited == 0 {
		t.Error("the index never lagged at the wrong moment: nothing was tried")
	}
}

// TestTwoProcessesFinish: a queue that takes one process for dead lets another finish too. Neither
// sees the other's entry in the index; one of them stays, with the content.
func TestTwoProcessesFinish(t *testing.T) {
	e := newEmbedded(t, storetest.SQLite(t))
	a := e.token(map[string]any{"sessionPrivileges": "list:*,sview:*"})
	_, picture := clips(t)
	data, err := os.ReadFile(picture)
	must(t, err)
	l := &lagging{Handler: e.handler}
	for range 8 {
		m := gateway.NewMedia{ReferenceID: gateway.NewID("upl"), Name: "n", FileName: "n.jpg", Size: int64(len(data)), Type: gateway.Image}
		open := func() gateway.Ingest {
			p, err := integrations.New(integrations.Options{Local: map[string]http.Handler{serviceURL: l}, Log: slog.New(slog.DiscardHandler)}).Open(a)
			must(t, err)
			in, err := p.Create(t.Context(), alice, m)
			must(t, err)
			return in
		}
		in := open()
		must(t, in.WriteAt(t.Context(), 0, m.Size, bytes.NewReader(data)))
		m.Handle = in.Handle()
		l.left.Store(6)
		var wg sync.WaitGroup
		ids := make([]string, 4)
		for i := range ids {
			in := open()
			wg.Go(func() {
				for range 20 {
					got, err := in.Finish(t.Context(), m)
					if !passing(t, err) {
						ids[i] = got.ID
						return
					}
				}
			})
		}
		wg.Wait()
		l.left.Store(0)
		found := e.api(e.adminKS(), "media.list", map[string]any{"filter": map[string]any{"referenceIdEqual": m.ReferenceID, "statusIn": "-2,-1,0,1,2,4,7"}})
		if n := len(slices.Compact(slices.Sorted(slices.Values(ids)))); n != 1 || ids[0] == "" || found["totalCount"] != 1.0 {
			t.Fatalf("%v; %v entries in the account", ids, found["totalCount"])
		}
	}
}

// relay does what gateway.Relay does: sends pieces in parallel, remembers what was acknowledged, goes
// on after errors that pass and begins again when the platform has forgotten the ingest.
func relay(t *testing.T, open func() gateway.Platform, m gateway.NewMedia, data []byte) gateway.Media {
	t.Helper()
	var sent gateway.Ranges
	var mu sync.Mutex
	ctx := t.Context()
	for range 12 {
		in, err := open().Create(ctx, alice, m)
		if gateway.IsReason(err, "ingest_gone") {
			m.Handle, sent = "", nil
			continue
		}
		if passing(t, err) {
			continue
		}
		m.Handle = in.Handle()
		var todo gateway.Ranges
		step := int64(len(data)/4 + 1)
		for _, r := range sent.Missing(int64(len(data))) {
			for at := r.Start; at < r.End; at += step {
				todo = append(todo, gateway.Range{Start: at, End: min(at+step, r.End)})
			}
		}
		slices.Reverse(todo)
		var wg sync.WaitGroup
		for _, r := range todo {
			wg.Go(func() {
				// A plain reader: the adapter cannot repeat it by itself.
				err := in.WriteAt(ctx, r.Start, r.End-r.Start, io.MultiReader(bytes.NewReader(data[r.Start:r.End])))
				mu.Lock()
				defer mu.Unlock()
				if gateway.IsReason(err, "ingest_gone") {
					m.Handle = ""
				} else if !passing(t, err) {
					sent = sent.Add(r.Start, r.End)
				}
			})
		}
		wg.Wait()
		if m.Handle == "" {
			sent = nil
			continue
		}
		if sent.Total() < int64(len(data)) {
			continue
		}
		got, err := in.Finish(ctx, m)
		if gateway.IsReason(err, "ingest_gone") {
			m.Handle, sent = "", nil
			continue
		}
		if !passing(t, err) {
			return got
		}
	}
	t.Fatal("no end")
	return gateway.Media{}
}

func passing(t *testing.T, err error) bool {
	t.Helper()
	if err != nil && gateway.CodeOf(err) != gateway.Unavailable {
		t.Fatal(err)
	}
	return err != nil
}

// TestSessionsEndUnderWay: an administrator deletes the token's sessions, then the token.
func TestSessionsEndUnderWay(t *testing.T) {
	e := newEmbedded(t, storetest.SQLite(t))
	a := e.token(map[string]any{"sessionPrivileges": "list:*"})
	p := e.open(a)
	if _, err := p.Browse(t.Context(), alice, gateway.Query{}); err != nil {
		t.Fatal(err)
	}
	e.api(e.adminKS(), "appToken.delete", map[string]any{"id": a.AppTokenID})
	_, err := p.Browse(context.Background(), alice, gateway.Query{})
	if !gateway.IsReason(err, "credentials_invalid") || gateway.CodeOf(err) != gateway.Precondition {
		t.Errorf("%v", err)
	}
}
