package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// badAnswer is a way in which a Kaltura server can be ill, and the reasons that people may be told.
type badAnswer struct {
	row, name string
	reasons   string // separated by spaces
	f         fault
}

func onAPI(f func(*exchange)) fault {
	return func(x *exchange) bool {
		if x.op == "" {
			return false
		}
		f(x)
		return true
	}
}

func status(code int, header ...string) fault {
	return onAPI(func(x *exchange) {
		for i := 0; i+1 < len(header); i += 2 {
			x.Header().Set(header[i], header[i+1])
		}
		x.say(code, "text/html", "<h1>oops</h1>")
	})
}

func says(kind, body string) fault {
	return onAPI(func(x *exchange) { x.say(http.StatusOK, kind, body) })
}

// endless writes the same again and again until the other side has enough, 100 MB at most.
func endless(x *exchange, begin, again string) {
	x.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(x, begin)
	block := strings.Repeat(again, 1+(64<<10)/len(again))
	for n := 0; n < 100<<20; n += len(block) {
		if _, err := io.WriteString(x, block); err != nil {
			return
		}
	}
}

var badAnswers = []badAnswer{
	{row: "M29", name: "HTTP 500", reasons: "kaltura_down", f: status(500)},
	{row: "M29", name: "HTTP 502", reasons: "kaltura_down", f: status(502)},
	{row: "M29", name: "HTTP 503", reasons: "kaltura_down", f: status(503)},
	{row: "M29", name: "HTTP 504", reasons: "kaltura_down", f: status(504)},
	{row: "M30", name: "HTTP 429, Retry-After in seconds", reasons: "kaltura_busy", f: status(429, "Retry-After", "3")},
	{row: "M30", name: "HTTP 429, Retry-After as a date", reasons: "kaltura_busy", f: onAPI(func(x *exchange) {
		x.Header().Set("Retry-After", time.Now().Add(3*time.Second).UTC().Format(http.TimeFormat))
		x.say(429, "text/plain", "slow down")
	})},
	{row: "M31", name: "hangs before the headers", reasons: "kaltura_slow", f: onAPI(func(x *exchange) { <-x.r.Context().Done() })},
	{row: "M31", name: "hangs after the headers", reasons: "kaltura_slow", f: onAPI(func(x *exchange) { x.WriteHeader(200); x.hang() })},
	{row: "M31", name: "one byte a second", reasons: "kaltura_slow", f: onAPI(func(x *exchange) {
		for b := range bytes.SplitSeq([]byte(`{"totalCount":1}`), nil) {
			if _, err := x.Write(b); err != nil {
				return
			}
			_ = http.NewResponseController(x).Flush()
			select {
			case <-time.After(time.Second):
			case <-x.r.Context().Done():
				return
			}
		}
	})},
	{row: "M32", name: "half JSON", reasons: "kaltura_garbled", f: says("application/json", `{"totalCount":5,"objects":[{"id":"0_`)},
	{row: "M32", name: "nothing", reasons: "kaltura_garbled", f: says("application/json", "")},
	{row: "M32", name: "HTML page", reasons: "not_kaltura", f: says("text/html", "<!doctype html><title>Welcome</title>")},
	{row: "M32", name: "XML", reasons: "not_kaltura", f: says("text/xml", `<?xml version="1.0"?><xml><result><objectType>KalturaMediaListResponse</objectType></result></xml>`)},
	{row: "M32", name: "HTTP 200 with an internal error", reasons: "kaltura_failing", f: onAPI(func(x *exchange) { x.exception("INTERNAL_SERVERL_ERROR", nil) })},
	{row: "M32", name: "HTTP 200 with ACTION_BLOCKED", reasons: "kaltura_busy", f: onAPI(func(x *exchange) { x.exception("ACTION_BLOCKED", nil) })},
	{row: "M32", name: "body shorter than Content-Length", reasons: "kaltura_down kaltura_garbled", f: onAPI(func(x *exchange) {
		x.Header().Set("Content-Length", "5000")
		_, _ = io.WriteString(x, `{"totalCount":0,"objects":[]}`)
		x.cut()
	})},
	{row: "M32", name: "Content-Length shorter than the body", reasons: "kaltura_garbled kaltura_down", f: onAPI(func(x *exchange) {
		x.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(x, `{"totalCount":0,"objects":[]}`)
	})},
	{row: "M32", name: "chunked body without an end", reasons: "kaltura_slow", f: onAPI(func(x *exchange) {
		_, _ = io.WriteString(x, `{"totalCount":0,"objects":[]}`)
		x.hang()
	})},
	{row: "M32", name: "connection reset before the answer", reasons: "kaltura_down", f: onAPI(func(x *exchange) { x.cut() })},
	{row: "T33", name: "list of 100 MB", reasons: "answer_too_large", f: onAPI(func(x *exchange) {
		endless(x, `{"totalCount":1,"objects":[`, `{"id":"0_aaaaaaaa","name":"`+strings.Repeat("x", 500)+`"},`)
	})},
	{row: "T33", name: "3 MB that would be a gigabyte when decoded", reasons: "answer_too_large", f: onAPI(func(x *exchange) {
		_, _ = io.WriteString(x, `{"objects":[`+strings.Repeat("{},", 1_000_000)+`{}]}`)
	})},
	{row: "T33", name: "JSON nested 100 000 deep", reasons: "answer_too_large kaltura_garbled", f: says("application/json", strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000))},
	{row: "T33", name: "gzip bomb", reasons: "answer_too_large", f: onAPI(func(x *exchange) {
		x.Header().Set("Content-Encoding", "gzip")
		_, _ = x.Write(gzipBomb())
	})},
	{row: "T33", name: "redirect to an internal host", reasons: "not_kaltura", f: onAPI(func(x *exchange) {
		http.Redirect(x, x.r, internalSink.url, http.StatusTemporaryRedirect)
	})},
	{row: "T33", name: "HTTP 404 from something else", reasons: "not_kaltura", f: status(404)},
	{row: "T33", name: "wrong shapes", reasons: "kaltura_garbled", f: says("application/json", `{"ks":{"a":1},"objects":{"a":1},"id":[1],"totalCount":"many"}`)},
}

// gzipBomb is 100 MB of blanks in 100 kB.
func gzipBomb() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	blank := bytes.Repeat([]byte(" "), 1<<20)
	for range 100 {
		_, _ = z.Write(blank)
	}
	_ = z.Close()
	return b.Bytes()
}

// badAnswers drives every row for a user who browses and for an upload that was under way when the
// fault began: the user keeps the earlier page and is told why there is no newer one, the upload is
// accepted, waits, and goes on by itself.
func (w *faultWorld) badAnswers(t *testing.T) {
	for _, a := range badAnswers {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			h := w.hub(t)
			content := w.picture(96, 64)
			first, why := h.page(t, "")
			if why.Code != "" {
				t.Fatalf("a healthy hub: %+v", why)
			}
			up := h.begin(t, content, len(content)/2)
			h.proxy.set(a.f)

			earlier, why := h.page(t, "")
			if !earlier.Stale || len(earlier.Items) != len(first.Items) {
				t.Errorf("the earlier page is gone: stale %v, %d items, %+v", earlier.Stale, len(earlier.Items), why)
			}
			reasons := strings.Fields(a.reasons)
			await(t, "a reason of "+a.reasons, func() error {
				if _, why = h.page(t, "&q=unseen"); !slices.Contains(reasons, why.Code) {
					return fmt.Errorf("told %+v", why)
				}
				return nil
			})
			h.send(t, up, int64(len(content)/2), content[len(content)/2:])
			h.finish(t, up, content)
			await(t, "the upload to say that it waits", func() error {
				if got := h.upload(t, up.ID); got.Error == nil || !slices.Contains(reasons, got.Error.Code) {
					return fmt.Errorf("%s %+v", got.State, got.Error)
				}
				return nil
			})

			h.proxy.set(nil)
			recovery := h.recovered(t, up.ID)
			h.arrived(t, up.ID, content)
			reportFault(faultRow{a.row, a.name, "the earlier page with its age; " + why.Code + ": “" + why.words() + "”; the upload accepted and waiting", "nothing; 1 entry, same bytes", recovery})
		})
	}
}

func (p faultProblem) words() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

// recovered measures from now until pages are fresh and the upload is handed over.
func (h *faultHub) recovered(t testing.TB, uploadID string) time.Duration {
	t.Helper()
	began := time.Now()
	await(t, "a fresh page and the entry", func() error {
		if p, why := h.page(t, ""); why.Code != "" || p.Stale {
			return fmt.Errorf("stale %v %+v", p.Stale, why)
		}
		if up := h.upload(t, uploadID); up.EntryID == "" {
			return fmt.Errorf("%s %+v", up.State, up.Error)
		}
		return nil
	})
	return time.Since(began)
}

// oddAnswer is something that a real server says now and then, with which everything goes on.
type oddAnswer struct {
	name   string
	change func(map[string]any)
	saw    string
}

var oddAnswers = []oddAnswer{
	{"numbers as strings", func(m map[string]any) {
		for k, v := range m {
			if n, ok := v.(json.Number); ok {
				m[k] = n.String()
			}
		}
	}, "the same page"},
	{"nulls in every optional member", func(m map[string]any) {
		for _, k := range []string{"name", "description", "tags", "userId", "duration", "msDuration", "thumbnailUrl", "createdAt", "width", "partnerData"} {
			if _, ok := m[k]; ok {
				m[k] = nil
			}
		}
	}, "the entries without these details"},
	{"entries with null, repeated and hostile ids", func(m map[string]any) {
		if list, ok := m["objects"].([]any); ok && len(list) > 0 {
			bad := func(id any) any {
				c := map[string]any{}
				for k, v := range list[0].(map[string]any) {
					c[k] = v
				}
				c["id"] = id
				return c
			}
			m["objects"] = append(list, list[0], bad(nil), bad("../../api"), bad("<script>alert(1)</script>"))
		}
	}, "each entry once, no others"},
	{"unknown enum values", func(m map[string]any) {
		if _, ok := m["mediaType"]; ok {
			m["conversionQuality"], m["moderationStatus"], m["licenseType"] = "77", "88", 99
		}
	}, "the same page"},
	{"negative sizes and lengths", func(m map[string]any) {
		for _, k := range []string{"size", "sizeInBytes", "duration", "msDuration", "width", "height", "bitrate", "totalCount"} {
			if _, ok := m[k]; ok {
				m[k] = -5
			}
		}
	}, "the entries without these details"},
	{"timestamps far in the future", func(m map[string]any) {
		for _, k := range []string{"createdAt", "updatedAt"} {
			if _, ok := m[k]; ok {
				m[k] = 99999999999999
			}
		}
	}, "the entries without these details"},
	{"addresses of internal hosts", func(m map[string]any) {
		for k, v := range m {
			if s, ok := v.(string); ok && strings.HasPrefix(s, "http") {
				m[k] = internalSink.url + "/x"
			}
			if strings.HasSuffix(strings.ToLower(k), "url") {
				m[k] = internalSink.url + "/x"
			}
		}
	}, "the page without these addresses"},
}

// oddAnswers drives answers that must be taken as they are: pages stay, an upload passes.
func (w *faultWorld) oddAnswers(t *testing.T) {
	for _, a := range oddAnswers {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			h := w.hub(t)
			h.proxy.set(func(x *exchange) bool {
				x.Header().Set("Set-Cookie", "session=theirs; Path=/")
				return x.mutate(func(v any) any { return each(v, a.change) })
			})
			content := w.picture(96, 64)
			up := h.begin(t, content, len(content))
			h.finish(t, up, content)
			h.arrived(t, up.ID, content)
			await(t, "a page with the new entry", func() error {
				p, why := h.page(t, "&sort=name")
				if why.Code != "" {
					t.Fatalf("told %+v", why)
				}
				q, why := h.page(t, "")
				if why.Code != "" {
					t.Fatalf("told %+v", why)
				}
				if len(p.Items) == 0 || len(q.Items) == 0 {
					return fmt.Errorf("no items")
				}
				seen := map[string]bool{}
				for _, m := range p.Items {
					if m.ID == "" || strings.ContainsAny(m.ID, "/<") || seen[m.ID] || m.DurationMS < 0 {
						t.Errorf("an odd entry reached the user: %+v", m)
					}
					seen[m.ID] = true
				}
				return nil
			})
			id := h.upload(t, up.ID).EntryID
			for _, path := range []string{"/media/" + id, "/media/" + id + "/playback", "/media?source=kaltura"} {
				if _, body := h.do(t, http.MethodGet, path, nil, nil); bytes.Contains(body, []byte(internalSink.host)) {
					t.Errorf("%s shows an internal address: %s", path, body)
				}
			}
			if h.proxy.cookie {
				t.Error("a cookie was kept and sent back")
			}
			reportFault(faultRow{"T33", a.name + ", with Set-Cookie", a.saw, "nothing", 0})
		})
	}
}
