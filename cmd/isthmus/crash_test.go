package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"isthmus/media/mediatest"
)

// TestKilledAnywhere kills the server at random moments while uploads and imports run, starts it
// again and, at the end, finds every finished upload byte-identical, one entry for each, and no
// job stuck. ISTHMUS_KILLS sets the number of kills (default 6; the release bar is 500).
func TestKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills whole servers")
	}
	t.Parallel()
	kills := 6
	if n, err := strconv.Atoi(os.Getenv("ISTHMUS_KILLS")); err == nil {
		kills = n
	}
	clip := filepath.Join(t.TempDir(), "clip.mp4")
	must(t, mediatest.Clip{Seconds: 2, Width: 320, Height: 180}.Make(t.Context(), clip))
	content, err := os.ReadFile(clip)
	must(t, err)
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])

	eachServer(t, func(t *testing.T, s *process) {
		hub := "/v1/hubs/" + s.demo.HubID
		c := s.signIn("participant")
		finished := map[string]bool{} // uploads whose finish was acknowledged
		copies := map[string]bool{}   // library items whose import was acknowledged
		open := map[string]string{}   // upload → tus URL, not yet finished

		// step does what a client does next and bears every failure, as a client must. Work grows with the
		// number i of kills, not with the speed of the machine.
		step := func(i int) {
			if len(open) < 3 && len(open)+len(finished) < 3+i {
				var up upload
				in := map[string]any{"name": fmt.Sprintf("clip %d.mp4", i), "size": len(content)}
				if status, _, err := c.try(http.MethodPost, hub+"/uploads", in, &up); err == nil && status == http.StatusCreated {
					open[up.ID] = up.TusURL
				}
			}
			for id, tusURL := range open {
				offset, err := c.tryOffset(tusURL)
				if err != nil {
					return
				}
				if offset < int64(len(content)) {
					end := min(int64(len(content)), offset+1+rand.Int64N(int64(len(content))))
					_ = c.tryPatch(tusURL, offset, content[offset:end])
					continue
				}
				status, _, err := c.try(http.MethodPost, hub+"/uploads/"+id+"/finish", map[string]any{"size": len(content), "sha256": digest}, nil)
				if err == nil && status < 300 {
					finished[id] = true
					delete(open, id)
				}
			}
			for id := range finished {
				if len(copies) > i/2 {
					break
				}
				var up upload
				if _, _, err := c.try(http.MethodGet, hub+"/uploads/"+id, nil, &up); err != nil || up.EntryID == "" {
					continue
				}
				var im libraryImport
				if _, _, err := c.try(http.MethodPost, hub+"/library", map[string]any{"entry_id": up.EntryID, "kind": "copy"}, &im); err == nil && im.Item.ID != "" {
					copies[im.Item.ID] = true
				}
				break
			}
		}
		for i := range kills {
			stop := time.Now().Add(time.Duration(100+rand.IntN(1500)) * time.Millisecond)
			for time.Now().Before(stop) {
				step(i)
			}
			s.kill()
			s.start()
		}
		for tries := 0; len(finished) == 0 || len(open) > 0; tries++ { // the open ones finish too
			if tries > 500 {
				t.Fatal("uploads cannot be finished any more")
			}
			step(0)
		}
		t.Logf("%d kills, %d uploads finished, %d copies asked for", kills, len(finished), len(copies))

		// All that was asked for becomes ready; how long that takes depends on the machine.
		waiting := map[string]string{}
		for id := range finished {
			waiting[id] = hub + "/uploads/" + id
		}
		for id := range copies {
			waiting[id] = hub + "/library/" + id
		}
		s.drained(waiting, func(path string) bool {
			var now struct {
				State string
				Error any
			}
			c.get(path, &now)
			if now.State == "failed" || now.State == "cancelled" || now.State == "expired" {
				t.Fatalf("%s is %s: %v", path, now.State, now.Error)
			}
			return now.State == "ready"
		})
		entries := map[string]string{}
		for id := range finished {
			var up upload
			c.get(hub+"/uploads/"+id, &up)
			entry := up.EntryID
			if other, twice := entries[entry]; twice {
				t.Errorf("uploads %s and %s share entry %s", id, other, entry)
			}
			entries[entry] = id
			if n := s.entriesByReference(id); n != 1 {
				t.Errorf("upload %s has %d entries", id, n)
			}
			if got := s.originalDigest(entry); got != digest {
				t.Errorf("entry %s is not what was sent: SHA-256 %s", entry, got)
			}
		}
		var jobs struct {
			Items []struct{ ID, State string }
		}
		c.get(hub+"/jobs?limit=100", &jobs)
		for _, j := range jobs.Items {
			if j.State != "done" && j.State != "cancelled" {
				t.Errorf("job %s is %s", j.ID, j.State)
			}
		}
		s.kill()
		s.check() // rows against files
	}, withoutMedia)
}
