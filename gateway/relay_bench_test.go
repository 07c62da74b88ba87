package gateway_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/store/storetest"
)

// The links: toxiproxy delays, and what a client sends is held to the line's rate. The proxy's own
// bandwidth is one for each connection, which would make a line of three connections three lines.
const (
	clientLine = 200e6 / 8 // byte/s
	cloudLine  = 1e9 / 8   // between us and Kaltura
	clientRTT  = 20 * time.Millisecond
	cloudRTT   = 40 * time.Millisecond
)

// line is a way to a handler with a rate that all its connections share.
type line struct {
	*http.Client
	transport *http.Transport
}

// newLine serves h behind a delay; whatever host is asked for is reached there.
func newLine(b *testing.B, h http.Handler, bytesPerSecond float64, rtt time.Duration) *line {
	b.Helper()
	srv := httptest.NewServer(h)
	b.Cleanup(srv.Close)
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	proxy := toxiproxy.NewProxy(api, "line", "127.0.0.1:0", srv.Listener.Addr().String())
	if err := proxy.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(proxy.Stop)
	for _, stream := range []string{"upstream", "downstream"} {
		toxic := fmt.Sprintf(`{"name":"%s","type":"latency","stream":"%s","attributes":{"latency":%d}}`, stream, stream, rtt.Milliseconds()/2)
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			b.Fatal(err)
		}
	}
	limit := rate.NewLimiter(rate.Limit(bytesPerSecond), 256<<10)
	t := &http.Transport{MaxIdleConnsPerHost: 16, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", proxy.Listen)
		return &paced{c, limit}, err
	}}
	b.Cleanup(t.CloseIdleConnections)
	return &line{&http.Client{Transport: t}, t}
}

type paced struct {
	net.Conn
	limit *rate.Limiter
}

func (p *paced) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		part := b[:min(len(b), 64<<10)]
		if err = p.limit.WaitN(context.Background(), len(part)); err != nil {
			return n, err
		}
		var m int
		m, err = p.Conn.Write(part)
		n, b = n+m, b[m:]
	}
	return n, err
}

// far is a site whose platform lies beyond a line, and a video of the size that is measured.
type far struct {
	*live
	file string
	size int64
	sum  string
}

func newFar(b *testing.B, size int64) *far {
	b.Helper()
	f := &far{live: newLive(b, storetest.SQLite(b)), size: size, file: filepath.Join(b.TempDir(), "big.mp4")}
	cloud := newLine(b, http.StripPrefix("/kaltura", f.platform), cloudLine, cloudRTT)
	f.ins.Platforms = integrations.New(integrations.Options{
		Outbound: cloud.Client, CheckURL: func(s string) (string, error) { return s, nil },
	})
	// A real clip, made large by a box that players skip.
	video := flatClip(b)
	out, err := os.Create(f.file)
	if err != nil {
		b.Fatal(err)
	}
	h := sha256.New()
	w := io.MultiWriter(out, h)
	fill := size - int64(len(video))
	box := binary.BigEndian.AppendUint32(nil, 1)
	box = binary.BigEndian.AppendUint64(append(box, "free"...), uint64(fill))
	_, _ = w.Write(video)
	_, _ = w.Write(box)
	if _, err = io.CopyN(w, rand.NewChaCha8([32]byte{1}), fill-int64(len(box))); err != nil {
		b.Fatal(err)
	}
	if err := out.Close(); err != nil {
		b.Fatal(err)
	}
	f.sum = hex.EncodeToString(h.Sum(nil))
	return f
}

func (f *far) open(b *testing.B) *os.File {
	b.Helper()
	file, err := os.Open(f.file)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = file.Close() })
	return file
}

func benchSize(unit int64, standard float64) int64 {
	if n, err := strconv.ParseFloat(os.Getenv("ISTHMUS_BENCH_GIB"), 64); err == nil {
		standard = n
	}
	return int64(standard * float64(unit))
}

// BenchmarkRelayChunks sends staged bytes on to a platform that is 40 ms and 1 Gbit/s away, for each
// size and number of chunks under way: the choice of Relay's defaults rests on it.
func BenchmarkRelayChunks(b *testing.B) {
	size := benchSize(1<<30, 0.125)
	for _, chunk := range []int64{2 << 20, 4 << 20, 8 << 20, 16 << 20, 32 << 20} {
		for _, parallel := range []int{1, 2, 3, 4, 6} {
			b.Run(fmt.Sprintf("chunk=%dMiB/parallel=%d", chunk>>20, parallel), func(b *testing.B) {
				f := newFar(b, size)
				f.relay.ChunkSize, f.relay.Parallel = chunk, parallel
				file := f.open(b)
				var spent time.Duration
				for b.Loop() {
					u, err := f.uploads.Create(b.Context(), f.house.Ada, gateway.NewUpload{Name: "big.mp4", Size: size})
					if err != nil {
						b.Fatal(err)
					}
					if _, err = f.uploads.Write(b.Context(), f.house.Ada, u.ID, 0, io.NewSectionReader(file, 0, size)); err != nil {
						b.Fatal(err)
					}
					if u, err = f.db.Uploads().Get(b.Context(), gateway.AnyHub, u.ID); err != nil {
						b.Fatal(err)
					}
					began := time.Now()
					if _, err = f.relay.Complete(b.Context(), u); err != nil {
						b.Fatal(err)
					}
					spent += time.Since(began)
				}
				b.ReportMetric(float64(size)*8/1e6*float64(b.N)/spent.Seconds(), "Mbit/s")
			})
		}
	}
}

// BenchmarkRelay uploads ISTHMUS_BENCH_GIB GiB (default 1) from a client on a 200 Mbit/s line: through
// the gateway until the entry has its content, and straight to the platform, in turns. The goal for
// their ratio is at most 1.10.
func BenchmarkRelay(b *testing.B) {
	f := newFar(b, benchSize(1<<30, 1))
	f.relay.ChunkSize = 0
	f.work()
	near := newLine(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		offset, _ := strconv.ParseInt(r.Header.Get("Upload-Offset"), 10, 64)
		if _, err := f.uploads.Write(r.Context(), f.house.Ada, r.URL.Path[1:], offset, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}), clientLine, clientRTT)
	direct := newLine(b, http.StripPrefix("/kaltura", f.platform), clientLine, cloudRTT)
	o, err := f.ins.OpenFor(b.Context(), f.house.Hub.ID, true)
	if err != nil {
		b.Fatal(err)
	}
	actor, err := f.uploads.Mappings.Resolve(b.Context(), f.house.Ada, o)
	if err != nil {
		b.Fatal(err)
	}
	straightOn, err := integrations.New(integrations.Options{
		Outbound: direct.Client, CheckURL: func(s string) (string, error) { return s, nil },
	}).Open(f.account(b, o.Integration))
	if err != nil {
		b.Fatal(err)
	}
	var through, straight, tail time.Duration
	for i := 0; b.Loop(); i++ {
		a, t := f.through(b, near)
		through, tail = through+a, tail+t
		straight += f.straight(b, straightOn, actor, fmt.Sprintf("straight-%d", i))
	}
	n := float64(b.N)
	b.ReportMetric(through.Seconds()/n, "s/through")
	b.ReportMetric(straight.Seconds()/n, "s/straight")
	b.ReportMetric(tail.Seconds()/n, "s/last-byte-to-entry")
	b.ReportMetric(through.Seconds()/straight.Seconds(), "ratio")
}

func (f *far) account(b *testing.B, in gateway.Integration) gateway.Account {
	b.Helper()
	token, err := f.keys.Open(in.AppToken, in.Place())
	if err != nil {
		b.Fatal(err)
	}
	return gateway.Account{
		IntegrationID: in.ID, HubID: in.HubID, Platform: in.Platform, ServiceURL: in.ServiceURL, PartnerID: in.PartnerID,
		AppTokenID: in.AppTokenID, AppToken: token, HashType: in.HashType, MatchBy: in.MatchBy,
	}
}

// through sends as a browser does, in requests of 64 MiB one after the other.
func (f *far) through(b *testing.B, near *line) (all, tail time.Duration) {
	b.Helper()
	file := f.open(b)
	began := time.Now()
	u, err := f.uploads.Create(b.Context(), f.house.Ada, gateway.NewUpload{Name: "big.mp4", Size: f.size})
	if err != nil {
		b.Fatal(err)
	}
	for at := int64(0); at < f.size; {
		n := min(64<<20, f.size-at)
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPatch, "http://gateway.test/"+u.ID, io.NewSectionReader(file, at, n))
		if err != nil {
			b.Fatal(err)
		}
		req.ContentLength = n
		req.Header.Set("Upload-Offset", strconv.FormatInt(at, 10))
		res, err := near.Do(req)
		if err != nil || res.StatusCode != http.StatusOK {
			b.Fatal(res, err)
		}
		_ = res.Body.Close()
		at += n
	}
	last := time.Now()
	if _, err = f.uploads.Finish(b.Context(), f.house.Ada, u.ID, f.size, f.sum); err != nil {
		b.Fatal(err)
	}
	for {
		now := f.state(u.ID)
		if now.State == gateway.UploadFailed {
			b.Fatal(now.ErrorCode, now.ErrorText)
		}
		if now.EntryID != "" {
			return time.Since(began), time.Since(last)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// straight sends with the same client and the same chunks.
func (f *far) straight(b *testing.B, p gateway.Platform, actor gateway.Actor, reference string) time.Duration {
	b.Helper()
	const chunk, parallel = 8 << 20, 3
	file := f.open(b)
	began := time.Now()
	m := gateway.NewMedia{ReferenceID: reference, Name: "big", FileName: "big.mp4", Size: f.size, Type: gateway.Video}
	in, err := p.Create(b.Context(), actor, m)
	if err != nil {
		b.Fatal(err)
	}
	put := func(at int64) error {
		n := min(chunk, f.size-at)
		return in.WriteAt(b.Context(), at, n, io.NewSectionReader(file, at, n))
	}
	if err := put(0); err != nil {
		b.Fatal(err)
	}
	todo := make(chan int64)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for at := range todo {
				if err := put(at); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for at := int64(chunk); at < f.size; at += chunk {
		todo <- at
	}
	close(todo)
	wg.Wait()
	if _, err := in.Finish(b.Context(), m); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}
