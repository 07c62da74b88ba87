package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hanging makes requests wait until the connection ends, and counts those that wait now.
type hanging struct{ now atomic.Int64 }

func (g *hanging) on(match func(*exchange) bool) fault {
	return func(x *exchange) bool {
		if !match(x) {
			return false
		}
		g.now.Add(1)
		defer g.now.Add(-1)
		<-x.r.Context().Done()
		return true
	}
}

func isOp(ops ...string) func(*exchange) bool {
	return func(x *exchange) bool { return slices.Contains(ops, x.op) }
}

// TestBulkheads: one hub's Kaltura that hangs does not hold up another hub. Patience is endless here,
// so what waits for a sick Kaltura waits until the end of the test; that healthy work gets done is
// the proof, however long it takes.
func TestBulkheads(t *testing.T) {
	if testing.Short() {
		t.Skip("starts whole servers")
	}
	t.Parallel()
	openInternalSink(t)
	w := newFaultWorld(t, 8, noEnd)
	entry := w.seedPicture(t)
	healthy := w.hub(t)
	const each = 12 // more than all the places a hub has
	sick := []struct {
		name  string
		match func(*exchange) bool
	}{
		{"everything", func(*exchange) bool { return true }},
		{"chunks", isOp("uploadtoken.upload")},
		{"the new entry", isOp("media.get", "flavorasset.getbyentryid")},
		{"downloads", func(x *exchange) bool { return x.op == "" }},
	}
	type work struct {
		hub     *faultHub
		id      string
		content []byte
	}
	var waiting []work
	var imports []string
	var gauges []*hanging
	var last *faultHub
	for _, s := range sick {
		h, g := w.hub(t), &hanging{}
		gauges = append(gauges, g)
		h.page(t, "")
		h.proxy.set(g.on(s.match))
		if s.name == "downloads" {
			last = h
			for i := range each {
				var in libraryImport // as many imports as can wait; the same entry gives the same item, so a copy and a link
				kind := []string{"copy", "link"}[i%2]
				if status, body := h.do(t, http.MethodPost, "/library", map[string]any{"entry_id": entry, "kind": kind}, &in); status >= 300 {
					t.Fatalf("%d %s", status, body)
				}
				imports = append(imports, in.Item.ID)
			}
			continue
		}
		for range each {
			content := w.picture(32, 32)
			up := h.begin(t, content, len(content))
			h.finish(t, up, content)
			waiting = append(waiting, work{h, up.ID, content})
		}
	}
	for i, g := range gauges {
		await(t, "calls that hang: "+sick[i].name, func() error {
			if g.now.Load() == 0 {
				return fmt.Errorf("none")
			}
			return nil
		})
	}
	// People of the sick hub click, too.
	for range 40 {
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, w.demo.BaseURL+"/v1/hubs/"+waiting[0].hub.id+"/media?source=kaltura&q=x", nil)
			req.Header.Set("Authorization", "Bearer "+waiting[0].hub.bearer)
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		}()
	}

	const healthyWork = 10
	for range healthyWork {
		content := w.picture(32, 32)
		up := healthy.begin(t, content, len(content))
		healthy.finish(t, up, content)
		healthy.arrived(t, up.ID, content)
		await(t, "the healthy upload to be ready", func() error {
			if got := healthy.upload(t, up.ID); got.State != "ready" {
				return errState(got.State)
			}
			return nil
		})
		if p, why := healthy.page(t, ""); p.Stale || why.Code != "" {
			t.Errorf("a healthy page: %+v", why)
		}
	}
	var in libraryImport
	healthy.do(t, http.MethodPost, "/library", map[string]any{"entry_id": entry, "kind": "copy"}, &in)
	await(t, "the healthy import", func() error {
		if _, body := healthy.do(t, http.MethodGet, "/library/"+in.Item.ID, nil, &in.Item); in.Item.State != "ready" {
			return fmt.Errorf("%s", body)
		}
		return nil
	})
	for i, g := range gauges {
		if g.now.Load() == 0 {
			t.Errorf("nothing hung any more (%s): the test proves nothing", sick[i].name)
		}
	}
	done := 0
	for _, u := range waiting[:2*each] {
		if u.hub.upload(t, u.id).EntryID != "" {
			done++
		}
	}
	if done > 0 {
		t.Errorf("%d uploads of the sick hubs were done", done)
	}

	// The end of the bad day: connections break, and everything that waited goes on.
	began := time.Now()
	for _, h := range []*faultHub{waiting[0].hub, waiting[each].hub, waiting[2*each].hub, last} {
		h.proxy.set(nil)
		h.proxy.down()
		h.proxy.up()
	}
	for _, u := range waiting {
		u.hub.arrived(t, u.id, u.content)
	}
	for _, id := range imports {
		await(t, "an import", func() error {
			var item struct{ State string }
			if _, body := last.do(t, http.MethodGet, "/library/"+id, nil, &item); item.State != "ready" {
				return fmt.Errorf("%s", body)
			}
			return nil
		})
	}
	reportFault(faultRow{"M30", fmt.Sprintf("four hubs' Kaltura hang for ever with %d uploads and imports; another hub works", len(waiting)+len(imports)), "the other hub: nothing; all its uploads and imports done", "nothing", time.Since(began)})
	w.kill()
	w.check()
}

// memory: servers that answer every call with as much as we take.
func (w *faultWorld) memory(t *testing.T) {
	large := `{"totalCount":1,"objects":[{"id":"0_aaaaaaaa","objectType":"KalturaMediaEntry","name":"` + strings.Repeat("x", 39<<20/10) + `"}]}`
	var hubs []*faultHub
	for range 2 {
		h := w.hub(t)
		h.page(t, "")
		h.proxy.set(func(x *exchange) bool {
			if x.op != "media.list" {
				return false
			}
			x.say(http.StatusOK, "application/json", large)
			return true
		})
		hubs = append(hubs, h)
	}
	before := w.peakRSS()
	var wg sync.WaitGroup
	for _, h := range hubs {
		for i := range 16 {
			wg.Go(func() { h.page(t, fmt.Sprintf("&q=w%d", i)) })
		}
	}
	wg.Wait()
	grown := (w.peakRSS() - before) >> 20
	t.Logf("32 answers of 4 MB at once: peak memory grew by %d MiB to %d MiB", grown, w.peakRSS()>>20)
	if grown > 256 && !underRace {
		t.Errorf("memory grew by %d MiB", grown)
	}
	reportFault(faultRow{"T33", "two servers answer 32 calls at once with 4 MB each", "the page, later", fmt.Sprintf("nothing; memory grew by %d MiB", grown), 0})
}

// BenchmarkSickNeighbour reports what a hub feels of a neighbour whose Kaltura hangs: the ratio of
// its pages' median and 99th percentile and of its uploads per second, with the neighbour sick
// and well, its people clicking and uploading both times.
func BenchmarkSickNeighbour(b *testing.B) {
	w := newFaultWorld(b, 4, "30s")
	healthy, neighbour := w.hub(b), w.hub(b)
	pages := func() (out []time.Duration) {
		for range 300 {
			at := time.Now()
			if p, why := healthy.page(b, ""); p.Stale || why.Code != "" {
				b.Fatalf("%+v", why)
			}
			out = append(out, time.Since(at))
		}
		slices.Sort(out)
		return out
	}
	uploads := func() float64 {
		at := time.Now()
		const n = 20
		for range n {
			content := w.picture(32, 32)
			up := healthy.begin(b, content, len(content))
			healthy.finish(b, up, content)
			await(b, "the entry", func() error {
				if healthy.upload(b, up.ID).EntryID == "" {
					return errState("on its way")
				}
				return nil
			})
		}
		return n / time.Since(at).Seconds()
	}
	// besides measures while the neighbour has 20 uploads and 16 people who click, so that only the sickness differs.
	besides := func() ([]time.Duration, float64) {
		for range 20 {
			content := w.picture(32, 32)
			neighbour.finish(b, neighbour.begin(b, content, len(content)), content)
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		defer wg.Wait()
		defer close(stop)
		for range 16 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond): // a person
						neighbour.page(b, "&q=x")
					}
				}
			})
		}
		return pages(), uploads()
	}
	for b.Loop() {
		pages() // warm
		wellPages, wellUploads := besides()
		g := &hanging{}
		neighbour.proxy.set(g.on(func(*exchange) bool { return true }))
		sickPages, sickUploads := besides()
		neighbour.proxy.set(nil)
		neighbour.proxy.down()
		neighbour.proxy.up()
		n := len(wellPages)
		b.ReportMetric(wellPages[n/2].Seconds()*1000, "ms/page-well")
		b.ReportMetric(sickPages[n/2].Seconds()*1000, "ms/page-sick")
		b.ReportMetric(sickPages[n/2].Seconds()/wellPages[n/2].Seconds(), "x/page-median")
		b.ReportMetric(sickPages[n*99/100].Seconds()/wellPages[n*99/100].Seconds(), "x/page-p99")
		b.ReportMetric(sickUploads/wellUploads, "x/uploads-per-s")
	}
}
