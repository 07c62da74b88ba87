package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/media/mediatest"
)

// The benchmarks measure whole servers and report their own figures beside a plain tool measured in
// the same run, because machines differ. Run them with `make bench`.

// BenchmarkLastByteToPlayable reports seconds from the acknowledged last byte of a one-minute 1080p
// H.264/AAC clip until its entry plays, and what `ffmpeg -c copy` to DASH takes by itself.
func BenchmarkLastByteToPlayable(b *testing.B) {
	clip := filepath.Join(b.TempDir(), "clip.mp4")
	if err := (mediatest.Clip{Seconds: 60, Width: 1920, Height: 1080}).Make(b.Context(), clip); err != nil {
		b.Fatal(err)
	}
	content, err := os.ReadFile(clip)
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256(content)
	s := newServer(b, "")
	c := s.signIn("participant")
	hub := "/v1/hubs/" + s.demo.HubID
	var ours, plain time.Duration
	for b.Loop() {
		var up upload
		c.call(http.MethodPost, hub+"/uploads", map[string]any{"name": "minute.mp4", "size": len(content)}, &up)
		if err := c.tryPatch(up.TusURL, 0, content); err != nil {
			b.Fatal(err)
		}
		last := time.Now()
		c.call(http.MethodPost, hub+"/uploads/"+up.ID+"/finish", map[string]any{"size": len(content), "sha256": hex.EncodeToString(sum[:])}, nil)
		s.eventually("the clip to be ready", func() error {
			c.get(hub+"/uploads/"+up.ID, &up)
			if up.State != "ready" {
				return fmt.Errorf("it is %s", up.State)
			}
			return nil
		})
		ours += time.Since(last)
		out := b.TempDir()
		started := time.Now()
		if msg, err := exec.Command("ffmpeg", "-v", "error", "-i", clip, "-c", "copy", "-f", "dash", filepath.Join(out, "m.mpd")).CombinedOutput(); err != nil {
			b.Fatalf("%v %s", err, msg)
		}
		plain += time.Since(started)
		// The lower rungs of this clip would disturb the next round.
		s.eventually("the machine to be idle", func() error { return s.idle() })
	}
	b.ReportMetric(ours.Seconds()/float64(b.N), "s/playable")
	b.ReportMetric(plain.Seconds()/float64(b.N), "s/ffmpeg-copy")
}

// BenchmarkBrowse reports the median of a page through the gateway and of the same media.list call
// made to the platform directly, taken in turns.
func BenchmarkBrowse(b *testing.B) {
	s := newServer(b, "")
	c := s.client()
	path := "/v1/hubs/" + s.demo.HubID + "/media?source=kaltura&limit=30"
	var ks string
	kaltura := func(service, action string, params map[string]any, out any) {
		if err := callKaltura(b.Context(), http.DefaultClient, s.demo.Kaltura.ServiceURL, service, action, params, out); err != nil {
			b.Fatal(err)
		}
	}
	kaltura("session", "start", map[string]any{"secret": s.demo.Kaltura.AdminSecret, "type": 2, "partnerId": s.demo.Kaltura.PartnerID, "expiry": 3600}, &ks)
	s.eventually("the demo media", func() error { return s.idle() })
	var through, direct []time.Duration
	for b.Loop() {
		at := time.Now()
		c.get(path, nil)
		through = append(through, time.Since(at))
		at = time.Now()
		kaltura("media", "list", map[string]any{"ks": ks, "filter": map[string]any{"orderBy": "-createdAt"}, "pager": map[string]any{"pageSize": 30}}, nil)
		direct = append(direct, time.Since(at))
	}
	b.ReportMetric(median(through).Seconds()*1000, "ms/gateway")
	b.ReportMetric(median(direct).Seconds()*1000, "ms/direct")
	b.ReportMetric((median(through)-median(direct)).Seconds()*1000, "ms/added")
}

// BenchmarkMemory reports the server's peak resident memory during four parallel uploads of
// ISTHMUS_BENCH_GIB GiB each (default 1; the goal is stated for 5).
func BenchmarkMemory(b *testing.B) {
	gib := 1.0
	if n, err := strconv.ParseFloat(os.Getenv("ISTHMUS_BENCH_GIB"), 64); err == nil {
		gib = n
	}
	size := int64(gib * (1 << 30))
	s := newServer(b, "")
	hub := "/v1/hubs/" + s.demo.HubID
	for b.Loop() {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				c := s.signIn("participant")
				var up upload
				c.call(http.MethodPost, hub+"/uploads", map[string]any{"name": fmt.Sprintf("big %d.mp4", i), "size": size}, &up)
				for offset := int64(0); offset < size; {
					n := min(64<<20, size-offset)
					body := io.LimitReader(rand.NewChaCha8([32]byte{byte(i)}), n)
					resp, err := c.tryTus(http.MethodPatch, up.TusURL, body, "Upload-Offset", strconv.FormatInt(offset, 10), "Content-Type", "application/offset+octet-stream")
					if err != nil || resp.StatusCode != http.StatusNoContent {
						b.Errorf("PATCH: %v", err)
						return
					}
					offset += n
				}
				c.call(http.MethodDelete, hub+"/uploads/"+up.ID, nil, nil)
			})
		}
		wg.Wait()
	}
	b.ReportMetric(float64(s.peakRSS())/(1<<20), "MiB/peak-rss")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// peakRSS reads the kernel's high-water mark of the server process, in bytes.
func (s *process) peakRSS() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10
		}
	}
	s.t.Fatal("no VmHWM")
	return 0
}

// idle tells whether the server runs no media work any more: no child process is left and the demo media is in.
func (s *process) idle() error {
	if _, err := os.Stat(filepath.Join(s.dir, "data", "demo-media.done")); err != nil {
		return err
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.cmd.Process.Pid))
	if err != nil {
		return err
	}
	for _, task := range tasks {
		if children, err := os.ReadFile(task); err == nil && len(strings.TrimSpace(string(children))) > 0 {
			return fmt.Errorf("it still runs %s", children)
		}
	}
	return nil
}
