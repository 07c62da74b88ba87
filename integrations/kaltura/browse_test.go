package kaltura

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"isthmus/gateway"
)

// library answers media.list the way a Kaltura index does: at most 500 a page, nothing beyond
// 10 000, and no order within one second (it differs from call to call).
func (w *wire) library(entries []map[string]any) {
	w.onFunc("media.list", func(rw http.ResponseWriter, c call) {
		f := c.params["filter"].(map[string]any)
		pager := c.params["pager"].(map[string]any)
		size, index := min(int(pager["pageSize"].(float64)), 500), int(pager["pageIndex"].(float64))
		if (index-1)*size >= 10000 {
			writeJSON(rw, map[string]any{"code": codeTooMany, "message": "x", "objectType": "KalturaAPIException", "args": []any{}})
			return
		}
		key := strings.TrimLeft(f["orderBy"].(string), "+-")
		var hits []map[string]any
		for _, e := range entries {
			at := float64(e["createdAt"].(int))
			if ge, ok := f["createdAtGreaterThanOrEqual"].(float64); ok && at < ge {
				continue
			}
			if le, ok := f["createdAtLessThanOrEqual"].(float64); ok && at > le {
				continue
			}
			if u, ok := f["userIdEqual"].(string); ok && e["userId"] != u {
				continue
			}
			hits = append(hits, e)
		}
		rand.Shuffle(len(hits), func(i, j int) { hits[i], hits[j] = hits[j], hits[i] })
		slices.SortStableFunc(hits, func(a, b map[string]any) int {
			n := 0
			if x, ok := a[key].(int); ok {
				n = x - b[key].(int)
			} else {
				n = strings.Compare(a[key].(string), b[key].(string))
			}
			if strings.HasPrefix(f["orderBy"].(string), "-") {
				return -n
			}
			return n
		})
		total := len(hits)
		from := min((index-1)*size, total)
		writeJSON(rw, map[string]any{"totalCount": total, "objects": hits[from:min(from+size, total)], "objectType": "KalturaMediaListResponse"})
	})
}

const epoch = 1795286000

func made(n int, second func(int) int) []map[string]any {
	out := make([]map[string]any, n)
	for i := range out {
		owner := "alice"
		if i%3 == 0 {
			owner = "bob"
		}
		tags := ""
		switch i % 5 {
		case 0:
			tags = "360, lecture"
		case 1:
			tags = "my 360 tour" // Kaltura's tagsLike finds this one as well
		}
		out[i] = map[string]any{
			"id": fmt.Sprintf("0_%08d", (i*7919)%1000003), "name": fmt.Sprintf("clip %06d", i), "userId": owner,
			"tags": tags, "status": 2, "mediaType": 1, "createdAt": epoch + second(i), "duration": 1,
		}
	}
	return out
}

// walk reads a whole query and fails on repeats.
func walk(t testing.TB, p *Platform, q gateway.Query) []gateway.Media {
	t.Helper()
	var all []gateway.Media
	seen := map[string]bool{}
	for pages := 0; ; pages++ {
		page, err := p.Browse(t.Context(), alice, q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) > max(q.Limit, 1) {
			t.Fatalf("%d entries on a page of %d", len(page.Items), q.Limit)
		}
		for _, m := range page.Items {
			if seen[m.ID] {
				t.Fatalf("%s came twice", m.ID)
			}
			seen[m.ID] = true
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		if pages > 100000 {
			t.Fatal("no end")
		}
		q.Cursor = page.Next
	}
}

func TestBrowseGivesEveryEntryOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 100).Draw(rt, "limit")
		n := rapid.IntRange(0, min(600, 12*limit)).Draw(rt, "n")
		seconds := rapid.IntRange(1, 60).Draw(rt, "seconds")
		entries := made(n, func(i int) int { return (i * 31) % seconds })
		w := newWire(t)
		defer w.Close()
		w.library(entries)
		q := gateway.Query{
			Limit: limit,
			Sort:  rapid.SampledFrom([]gateway.Sort{gateway.SortNewest, gateway.SortOldest}).Draw(rt, "sort"),
		}
		if rapid.Bool().Draw(rt, "own") {
			q.OwnerID = "alice"
		}
		if rapid.Bool().Draw(rt, "filter360") {
			only := rapid.Bool().Draw(rt, "only360")
			q.Only360 = &only
		}
		if rapid.Bool().Draw(rt, "dates") {
			q.CreatedAfter = time.Unix(epoch+int64(seconds/4), 0)
			q.CreatedBefore = time.Unix(epoch+int64(3*seconds/4), 0)
		}
		var want []string
		for _, e := range entries {
			at := time.Unix(int64(e["createdAt"].(int)), 0)
			is360 := e["tags"] == "360, lecture"
			if q.OwnerID != "" && e["userId"] != q.OwnerID || q.Only360 != nil && is360 != *q.Only360 ||
				!q.CreatedAfter.IsZero() && (at.Before(q.CreatedAfter) || at.After(q.CreatedBefore)) {
				continue
			}
			want = append(want, e["id"].(string))
		}
		got := walk(t, w.platform(), q)
		if !slices.IsSortedFunc(got, func(a, b gateway.Media) int {
			if q.Sort == gateway.SortOldest {
				return a.CreatedAt.Compare(b.CreatedAt)
			}
			return b.CreatedAt.Compare(a.CreatedAt)
		}) {
			rt.Fatal("out of order")
		}
		ids := make([]string, len(got))
		for i, m := range got {
			ids[i] = m.ID
		}
		slices.Sort(ids)
		slices.Sort(want)
		if !slices.Equal(ids, want) {
			rt.Fatalf("%d entries, want %d", len(ids), len(want))
		}
	})
}

func TestBrowseWalksPastTenThousand(t *testing.T) {
	const n = 12_345
	w := newWire(t)
	w.library(made(n, func(i int) int { return i / 700 })) // 700 in each second: more than one page of Kaltura's
	if got := walk(t, w.platform(), gateway.Query{Limit: 100}); len(got) != n {
		t.Errorf("%d of %d", len(got), n)
	}
}

func TestBrowseWhileEntriesAreAdded(t *testing.T) {
	entries := made(300, func(i int) int { return i / 4 })
	w := newWire(t)
	w.library(entries)
	p := w.platform()
	q := gateway.Query{Limit: 50}
	page, err := p.Browse(t.Context(), alice, q)
	if err != nil || page.Total != 300 {
		t.Fatal(page.Total, err)
	}
	newer := made(400, func(int) int { return 1000 })[300:]
	w.library(append(newer, entries...))
	q.Cursor = page.Next
	rest := walk(t, p, q)
	if len(page.Items)+len(rest) != 300 {
		t.Errorf("%d + %d entries", len(page.Items), len(rest))
	}
}

func TestBrowseByNameCountsPagesAndSaysWhereItEnds(t *testing.T) {
	w := newWire(t)
	w.library(made(450, func(i int) int { return i }))
	got := walk(t, w.platform(), gateway.Query{Limit: 33, Sort: gateway.SortName})
	if len(got) != 450 || got[0].Name != "clip 000000" || got[449].Name != "clip 000449" {
		t.Errorf("%d entries", len(got))
	}
	w.library(made(10_100, func(i int) int { return i }))
	p := w.platform()
	q := gateway.Query{Limit: 100, Sort: gateway.SortName}
	for {
		page, err := p.Browse(t.Context(), alice, q)
		if err != nil {
			if !gateway.IsReason(err, "too_many_results") {
				t.Error(err)
			}
			return
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			t.Fatal("the end was not told")
		}
	}
}

func TestCursorBelongsToItsQuery(t *testing.T) {
	w := newWire(t)
	w.library(made(50, func(i int) int { return i }))
	p := w.platform()
	page, err := p.Browse(t.Context(), alice, gateway.Query{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []gateway.Query{
		{Limit: 10, Cursor: page.Next, OwnerID: "bob"},
		{Limit: 10, Cursor: page.Next, Text: "x"},
		{Limit: 10, Cursor: "rubbish"},
		{Limit: 10, Cursor: page.Next[1:]},
	} {
		if _, err := p.Browse(t.Context(), alice, q); !gateway.IsReason(err, "cursor_invalid") {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if _, err := p.Browse(t.Context(), alice, gateway.Query{Limit: 20, Cursor: page.Next}); err != nil {
		t.Errorf("another page size: %v", err)
	}
}

func TestFilterInKalturasWords(t *testing.T) {
	yes := true
	w := newWire(t)
	w.on("media.list", "medialist/pager-page-4-size-2-past-end")
	_, err := w.platform().Browse(t.Context(), alice, gateway.Query{
		Text: `bio "logy", !x (ab) 3*`, Types: []gateway.MediaType{gateway.Video, gateway.Audio}, Only360: &yes, OwnerID: "alice",
		Tags: []string{"week-1"}, Statuses: []gateway.MediaStatus{gateway.MediaReady}, CreatedAfter: time.Unix(10, 0), Sort: gateway.SortUpdated,
	})
	if err != nil {
		t.Fatal(err)
	}
	f := w.last("media.list").params["filter"].(map[string]any)
	for k, want := range map[string]any{
		"freeText": "bio* logy* x ab 3", "mediaTypeIn": "1,5", "tagsMultiLikeAnd": "week-1,360", "userIdEqual": "alice",
		"statusIn": "2", "orderBy": "-updatedAt", "createdAtGreaterThanOrEqual": float64(minTime + 1),
	} {
		if f[k] != want {
			t.Errorf("%s = %v, want %v", k, f[k], want)
		}
	}
	page, err := w.platform().Browse(t.Context(), alice, gateway.Query{Text: "?!"})
	if err != nil || len(page.Items) != 0 {
		t.Errorf("a text without letters finds %v, %v", page.Items, err)
	}
}

func TestWholeAccountNeedsARightToSeeIt(t *testing.T) {
	for name, c := range map[string]struct {
		privileges string
		kind       int
		want       string
	}{
		"list:* in user sessions":  {"list:*", typeUser, userKS},
		"admin sessions":           {"sview:*", -1, adminKS},
		"neither":                  {"editplaylist:*", typeUser, userKS}, // contains list:* as text, which is not the privilege
		"an admin token by itself": {"", typeAdmin, adminKS},
	} {
		w := newWire(t)
		w.onFunc("apptoken.startSession", func(rw http.ResponseWriter, cl call) { w.session(rw, cl, c.privileges, c.kind) })
		w.library(nil)
		if _, err := w.platform().Browse(t.Context(), alice, gateway.Query{}); err != nil {
			t.Fatal(err)
		}
		if ks := w.last("media.list").params["ks"]; ks != c.want {
			t.Errorf("%s: listed with %v", name, ks)
		}
	}
}
