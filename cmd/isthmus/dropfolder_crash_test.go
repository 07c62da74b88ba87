package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"isthmus/media/mediatest"
)

// dropped is what is known of a file that was put into a folder.
type dropped struct {
	reference string
	digest    string
}

// dropper puts files into a folder in every way, as long as it is asked to, and bears every failure.
type dropper struct {
	s       *process
	c       *caller
	hub     string
	folder  string // its id
	at      string // its directory
	clip    []byte
	files   map[string]dropped // whole ones, by name
	uploads map[string]string  // those under way: upload's id → name
	urls    map[string]string
	named   int // manifests that were put there
}

// content is a clip like no other: players skip the box at its end.
func (d *dropper) content(name string) []byte {
	box := make([]byte, 8, 8+len(name))
	binary.BigEndian.PutUint32(box, uint32(8+len(name)))
	copy(box[4:], "free")
	return append(append(d.clip[:len(d.clip):len(d.clip)], box...), name...)
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// put writes a file into the directory, and its marker when it is whole: a word that is there after a crash as well.
func (d *dropper) put(name string, content []byte) {
	t, at := d.s.t.(*testing.T), filepath.Join(d.at, name)
	must(t, os.WriteFile(at, content[:len(content)/2], 0o644))
	must(t, os.WriteFile(at, content, 0o644))
	must(t, os.WriteFile(at+".done", nil, 0o644))
}

func (d *dropper) step(i int) {
	if n := len(d.files) + len(d.uploads); n < 6*(i+1) {
		switch n % 3 {
		case 0:
			name := fmt.Sprintf("dir%d.mp4", n)
			content := d.content(name)
			d.put(name, content)
			d.files[name] = dropped{strings.TrimSuffix(name, ".mp4"), digestOf(content)}
		case 1:
			name := fmt.Sprintf("up%d.mp4", n)
			var up upload
			in := map[string]any{"name": name, "size": len(d.content(name)), "drop_folder_id": d.folder}
			if status, _, err := d.c.try(http.MethodPost, d.hub+"/uploads", in, &up); err == nil && status == http.StatusCreated {
				d.uploads[up.ID], d.urls[up.ID] = name, up.TusURL
			}
		case 2:
			d.manifest(n)
		}
	}
	for id, name := range d.uploads {
		content := d.content(name)
		offset, err := d.c.tryOffset(d.urls[id])
		if err != nil {
			return
		}
		if offset < int64(len(content)) {
			end := min(int64(len(content)), offset+1+rand.Int64N(int64(len(content))))
			_ = d.c.tryPatch(d.urls[id], offset, content[offset:end])
			continue
		}
		in := map[string]any{"size": len(content), "sha256": digestOf(content)}
		if status, _, err := d.c.try(http.MethodPost, d.hub+"/uploads/"+id+"/finish", in, nil); err == nil && status < 300 {
			d.files[name] = dropped{strings.TrimSuffix(name, ".mp4"), digestOf(content)}
			delete(d.uploads, id)
		}
	}
}

// manifest puts two files and the XML that describes them there, in an order of chance.
func (d *dropper) manifest(n int) {
	var xml strings.Builder
	xml.WriteString(`<?xml version="1.0"?><mrss version="1.0"><channel>`)
	var todo []func()
	for k := range 2 {
		name, ref := fmt.Sprintf("item%d-%d.mp4", n, k), fmt.Sprintf("ref%d-%d", n, k)
		content := d.content(name)
		fmt.Fprintf(&xml, `<item><action>add</action><type>1</type><referenceId>%s</referenceId><userId>carl.curator</userId><name>Item %s</name>`+
			`<description>d</description><media><mediaType>1</mediaType></media><contentAssets><content><dropFolderFileContentResource filePath="%s"/></content></contentAssets></item>`,
			ref, ref, name)
		todo = append(todo, func() { d.put(name, content) })
		d.files[name] = dropped{ref, digestOf(content)}
	}
	xml.WriteString(`</channel></mrss>`)
	todo = append(todo, func() { d.put(fmt.Sprintf("list%d.xml", n), []byte(xml.String())) })
	rand.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
	for _, do := range todo {
		do()
	}
	d.named++
}

// dropFileRow is a file as the API gives it.
type dropFileRow struct {
	ID, Name, State, Type, Reason, Text string
	EntryID                             string `json:"entry_id"`
	Superseded                          bool
}

// rows gives all files of the folder.
func (d *dropper) rows() []dropFileRow {
	d.s.t.Helper()
	var all []dropFileRow
	for next := ""; ; {
		var page struct {
			Items []dropFileRow
			Next  string
		}
		d.c.get(d.hub+"/drop-folders/files?limit=100&folder="+d.folder+next, &page)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		next = "&cursor=" + page.Next
	}
}

// TestDropFolderKilledAnywhere kills the server at random moments while files come into a folder in every way, and
// finds one entry for each at the end, with its bytes. It runs when ISTHMUS_KILLS says how many kills (the release bar is 500).
func TestDropFolderKilledAnywhere(t *testing.T) {
	kills, err := strconv.Atoi(os.Getenv("ISTHMUS_KILLS"))
	if testing.Short() || err != nil {
		t.Skip("starts and kills whole servers: ISTHMUS_KILLS says how often")
	}
	t.Parallel()
	clip := filepath.Join(t.TempDir(), "clip.mp4")
	must(t, mediatest.Clip{Seconds: 1, Width: 160, Height: 90}.Make(t.Context(), clip))
	content, err := os.ReadFile(clip)
	must(t, err)
	s := newServer(t, os.Getenv("DROP_CRASH_DB"), func(s *process) { s.args = []string{"--no-demo-media"} })
	if s.demo.DropFolder.ID == "" || !strings.HasPrefix(s.demo.DropFolder.Path, s.dir) {
		t.Errorf("the demo has no drop folder: %+v", s.demo.DropFolder)
	}
	d := &dropper{
		s: s, c: s.signIn("admin"), hub: "/v1/hubs/" + s.demo.HubID, clip: content,
		files: map[string]dropped{}, uploads: map[string]string{}, urls: map[string]string{},
	}
	var folder struct{ ID string }
	if status, body := d.c.call(http.MethodPost, d.hub+"/drop-folders", map[string]any{
		"name": "Crash", "source": "directory", "path": "crash", "complete": map[string]any{"marker": ".done"}, "handler": "both", "match": "add",
	}, &folder); status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	d.folder, d.at = folder.ID, filepath.Join(filepath.Dir(s.demo.DropFolder.Path), "crash")

	for i := range kills {
		stop := time.Now().Add(time.Duration(100+rand.IntN(1500)) * time.Millisecond)
		for time.Now().Before(stop) {
			d.step(i)
		}
		s.kill()
		s.start()
	}
	for tries := 0; len(d.uploads) > 0; tries++ {
		if tries > 500 {
			t.Fatal("uploads cannot be finished any more")
		}
		d.step(-1)
	}
	t.Logf("%d kills, %d files, %d manifests", kills, len(d.files), d.named)

	left := map[string]string{}
	for name := range d.files {
		left[name] = name
	}
	s.drained(left, func(name string) bool {
		for _, f := range d.rows() {
			switch {
			case f.Name != name || f.Superseded:
			case f.State == "ready":
				return true
			case f.State == "quarantined" || f.State == "gone" || f.State == "ignored":
				t.Fatalf("%+v", f)
			}
		}
		return false
	})
	manifests := 0
	entries := map[string]string{}
	for _, f := range d.rows() {
		if strings.HasSuffix(f.Name, ".xml") {
			manifests++
			continue
		}
		if strings.HasSuffix(f.Name, ".done") {
			continue
		}
		want, ours := d.files[f.Name]
		if !ours || f.EntryID == "" {
			t.Errorf("unexpected: %+v", f)
			continue
		}
		if other, twice := entries[f.EntryID]; twice {
			t.Errorf("%s and %s have entry %s", other, f.Name, f.EntryID)
		}
		entries[f.EntryID] = f.Name
		if n := s.entriesByReference(want.reference); n != 1 {
			t.Errorf("%s has %d entries", f.Name, n)
		}
		if got := s.originalDigest(f.EntryID); got != want.digest {
			t.Errorf("entry %s is not %s: SHA-256 %s", f.EntryID, f.Name, got)
		}
	}
	if len(entries) != len(d.files) || manifests != d.named {
		t.Errorf("%d entries of %d files, %d of %d manifests", len(entries), len(d.files), manifests, d.named)
	}
	var all struct{ TotalCount int }
	s.kaltura("media", "list", map[string]any{"filter": map[string]any{"objectType": "KalturaMediaEntryFilter", "statusIn": "-2,-1,0,1,2,3,4,7"}}, &all)
	if all.TotalCount != len(d.files) {
		t.Errorf("the account has %d entries, of %d files", all.TotalCount, len(d.files))
	}
	s.kill()
	s.check() // rows against files
}
