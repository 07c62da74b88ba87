package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/store/storetest"
)

// BenchmarkAuthenticatedList reports requests per second and the 99th percentile of a page of the
// library, asked for with an access token by 16 clients at once: on SQLite, and on Postgres with one
// server and with two that share it. All of them share this machine with the clients.
func BenchmarkAuthenticatedList(b *testing.B) {
	free := func(s *process) {
		s.args = append(s.args, "--rate-client=-1", "--rate-user=-1", "--rate-hub=-1")
	}
	b.Run("sqlite/1", func(b *testing.B) { list(b, newServer(b, "", free)) })
	b.Run("postgres/1", func(b *testing.B) { list(b, newServer(b, storetest.Postgres(b), free)) })
	b.Run("postgres/2", func(b *testing.B) {
		one := newServer(b, storetest.Postgres(b), free)
		one.eventually("the demo media", one.idle) // which the other takes over
		list(b, one, replicaOf(b, one))
	})
}

// replicaOf starts a second server on the same database, with the keys of the first.
func replicaOf(b *testing.B, one *process) *process {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	two := &process{t: b, dir: b.TempDir(), addr: l.Addr().String(), dsn: one.dsn, demo: one.demo}
	_ = l.Close()
	two.args = append(slices.Clone(one.args), "--base-url", one.demo.BaseURL)
	if two.log, err = os.Create(filepath.Join(two.dir, "server.log")); err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(two.dir, "data"), 0o700); err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"keyring.json", "demo.json", "demo-media.done"} {
		content, err := os.ReadFile(filepath.Join(one.dir, "data", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(two.dir, "data", name), content, 0o600)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(two.kill)
	two.start()
	return two
}

func list(b *testing.B, servers ...*process) {
	one := servers[0]
	one.eventually("the demo media", one.idle)
	c := one.client()
	hub := "/v1/hubs/" + one.demo.HubID
	var media struct{ Items []struct{ ID string } }
	c.get(hub+"/media?limit=30", &media)
	for _, m := range media.Items {
		c.call(http.MethodPost, hub+"/library", map[string]any{"entry_id": m.ID, "kind": "link"}, nil)
	}
	const clients = 16
	pool := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	ask := func(i int) error {
		s := servers[i%len(servers)]
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+s.addr+hub+"/library?limit=30", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+c.bearer)
		resp, err := pool.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s %v", resp.Status, err)
		}
		return nil
	}
	for i := range 4 * clients { // connections and caches
		if err := ask(i); err != nil {
			b.Fatal(err)
		}
	}
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	begun := time.Now()
	for range clients {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				at := time.Now()
				if err := ask(i); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(at)
			}
		})
	}
	wg.Wait()
	all := time.Since(begun)
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/all.Seconds(), "requests/s")
	b.ReportMetric(took[b.N*99/100].Seconds()*1000, "ms/p99")
	b.ReportMetric(median(took).Seconds()*1000, "ms/median")
}
