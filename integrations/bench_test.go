package integrations_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/store/storetest"
)

// counting counts the sessions that are started, over a real socket.
type counting struct {
	http.Handler
	started atomic.Int64
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/startSession") {
		c.started.Add(1)
	}
	c.Handler.ServeHTTP(w, r)
}

// stocked is an account with entries behind a socket.
func stocked(b *testing.B, entries int) (gateway.Platform, *counting, []string) {
	b.Helper()
	e := newEmbedded(b, storetest.SQLite(b))
	ks := e.adminKS()
	var ids []string
	for i := range entries {
		ids = append(ids, e.api(ks, "media.add", map[string]any{"entry": map[string]any{
			"objectType": "KalturaMediaEntry", "mediaType": 1, "name": fmt.Sprintf("Lecture %d", i),
			"description": strings.Repeat("What this lecture is about. ", 10), "tags": "360, physics, term 2", "userId": alice.PlatformUserID,
		}})["id"].(string))
	}
	c := &counting{Handler: http.StripPrefix("/kaltura", e.handler)}
	srv := httptest.NewServer(c)
	b.Cleanup(srv.Close)
	a := e.token(map[string]any{"sessionPrivileges": "list:*,sview:*"})
	a.ServiceURL = srv.URL + "/kaltura"
	p, err := integrations.New(integrations.Options{
		Outbound: srv.Client(), CheckURL: func(s string) (string, error) { return s, nil },
	}).Open(a)
	must(b, err)
	return p, c, ids
}

// BenchmarkMediaList lists 30 entries through the client from the embedded platform over a socket:
// time and allocations are of both sides.
func BenchmarkMediaList(b *testing.B) {
	p, _, _ := stocked(b, 60)
	b.ReportAllocs()
	for b.Loop() {
		if page, err := p.Browse(b.Context(), alice, gateway.Query{Limit: 30}); err != nil || len(page.Items) != 30 {
			b.Fatal(len(page.Items), err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lists/s")
}

// BenchmarkSessions makes 1 000 requests of 20 people: pages, entries, their own media. The goal is
// at most one session for each person as long as a KS lives.
func BenchmarkSessions(b *testing.B) {
	p, c, ids := stocked(b, 60)
	const people, requests = 20, 1000
	for i := 0; b.Loop(); i++ {
		for n := range requests {
			a := alice
			a.PlatformUserID = fmt.Sprintf("person%d@school.example", n%people)
			var err error
			switch n % 3 {
			case 0:
				_, err = p.Browse(b.Context(), a, gateway.Query{Limit: 30})
			case 1:
				_, err = p.Browse(b.Context(), a, gateway.Query{Limit: 30, OwnerID: a.PlatformUserID})
			default:
				_, err = p.Get(b.Context(), a, ids[n%len(ids)])
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(c.started.Load()), "sessions/run") // however many thousands: a KS outlives the run
	b.ReportMetric(people, "people")
}
