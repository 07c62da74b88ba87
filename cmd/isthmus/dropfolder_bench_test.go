package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"isthmus/media/mediatest"
)

// BenchmarkDropLatency reports how long it takes, in a watched directory, from a file's final name until it is being
// imported: by the file's own timeline, which is on the same clock.
func BenchmarkDropLatency(b *testing.B) {
	photo := filepath.Join(b.TempDir(), "photo.jpg")
	must(b, mediatest.Photo(b.Context(), photo, 160, 90))
	content, err := os.ReadFile(photo)
	must(b, err)
	s := newServer(b, "", withoutMedia)
	d := &dropper{s: s, c: s.signIn("admin"), hub: "/v1/hubs/" + s.demo.HubID, photo: content, files: map[string]dropped{}}
	d.folder, d.at = d.make("quick", "content")
	s.kill() // a server that starts watches at once
	s.start()
	d.renamed()
	var took []time.Duration
	for b.Loop() {
		name := fmt.Sprintf("quick%d.jpg", len(took))
		must(b, os.WriteFile(filepath.Join(d.at, name+".part"), d.content(name), 0o600))
		d.seen(name+".part", "uploading") // as one that takes a while to write is
		must(b, os.Rename(filepath.Join(d.at, name+".part"), filepath.Join(d.at, name)))
		began := time.Now()
		at, err := d.importing(d.seen(name, "importing", "processing", "ready").ID)
		must(b, err)
		took = append(took, at.Sub(began))
	}
	b.ReportMetric(median(took).Seconds()*1000, "ms/median")
	b.ReportMetric(slices.Max(took).Seconds()*1000, "ms/worst")
}

// importing is when a file's import began.
func (d *dropper) importing(id string) (time.Time, error) {
	var line struct {
		Items []struct {
			State string
			At    time.Time
		}
	}
	if status, body := d.c.call(http.MethodGet, d.hub+"/drop-folders/files/"+id+"/timeline", nil, &line); status != http.StatusOK {
		return time.Time{}, fmt.Errorf("%d %s", status, body)
	}
	for _, l := range line.Items {
		if l.State == "importing" {
			return l.At, nil
		}
	}
	return time.Time{}, fmt.Errorf("%+v", line)
}
