package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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

// dropper puts files into folders in every way, as long as it is asked to, and bears every failure.
type dropper struct {
	s       *process
	c       *caller
	hub     string
	folder  string             // of media, of uploads, and of manifests that come before their files
	at      string             // its directory
	listed  string             // directory of the folder in which manifests decide: there they come in any order
	clip    []byte             // converting one takes long, so they are few
	photo   []byte             // the others
	files   map[string]dropped // whole ones, by name
	uploads map[string]string  // those under way: upload's id → name
	urls    map[string]string
	turns   int
	named   int // manifests that were put there
}

// content is like no other's: players skip what stands at its end.
func (d *dropper) content(name string) []byte {
	if strings.HasSuffix(name, ".jpg") {
		return append(d.photo[:len(d.photo):len(d.photo)], name...)
	}
	box := make([]byte, 8, 8+len(name))
	binary.BigEndian.PutUint32(box, uint32(8+len(name)))
	copy(box[4:], "free")
	return append(append(d.clip[:len(d.clip):len(d.clip)], box...), name...)
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// put writes a file into a directory, in two steps, and its marker when it is whole: a word that is there after a crash as well.
func (d *dropper) put(dir, name string, content []byte) {
	d.s.t.Helper()
	at := filepath.Join(dir, name)
	for _, part := range [][]byte{content[:len(content)/2], content[len(content)/2:]} {
		f, err := os.OpenFile(at, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.Write(part)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			d.s.t.Fatal(err)
		}
	}
	if err := os.WriteFile(at+".done", nil, 0o600); err != nil {
		d.s.t.Fatal(err)
	}
}

func (d *dropper) know(name, reference string, content []byte) {
	d.files[name] = dropped{reference, digestOf(content)}
}

// step does what comes next. Work grows with the number i of kills, not with the speed of the machine.
func (d *dropper) step(i int) {
	if len(d.files)+len(d.uploads) < 3*(i+1) {
		n, ending := d.turns, "jpg"
		if d.turns++; n%12 < 2 {
			ending = "mp4"
		}
		switch n % 4 {
		case 0:
			name := fmt.Sprintf("dir%d.%s", n, ending)
			content := d.content(name)
			d.put(d.at, name, content)
			d.know(name, fmt.Sprintf("dir%d", n), content)
		case 1:
			name := fmt.Sprintf("up%d.%s", n, ending)
			var up upload
			in := map[string]any{"name": name, "size": len(d.content(name)), "drop_folder_id": d.folder}
			if status, _, err := d.c.try(http.MethodPost, d.hub+"/uploads", in, &up); err == nil && status == http.StatusCreated {
				d.uploads[up.ID], d.urls[up.ID] = name, up.TusURL
			}
		case 2:
			d.manifest(n, d.at)
		case 3:
			d.manifest(n, d.listed)
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
			d.know(name, strings.TrimSuffix(name, filepath.Ext(name)), content)
			delete(d.uploads, id)
		}
	}
}

// manifest puts two files and the XML that describes them into a directory: where media is taken by itself, too, the
// XML comes first.
func (d *dropper) manifest(n int, dir string) {
	var xml strings.Builder
	xml.WriteString(`<?xml version="1.0"?><mrss version="1.0"><channel>`)
	todo := []func(){nil}
	for k := range 2 {
		name, ref := fmt.Sprintf("item%d-%d.jpg", n, k), fmt.Sprintf("ref%d-%d", n, k)
		content := d.content(name)
		fmt.Fprintf(&xml, `<item><action>add</action><type>1</type><referenceId>%s</referenceId><userId>carl.curator</userId><name>Item %s</name>`+
			`<description>d</description><media><mediaType>2</mediaType></media><contentAssets><content><dropFolderFileContentResource filePath="%s"/></content></contentAssets></item>`,
			ref, ref, name)
		todo = append(todo, func() { d.put(dir, name, content) })
		d.know(name, ref, content)
	}
	xml.WriteString(`</channel></mrss>`)
	todo[0] = func() { d.put(dir, fmt.Sprintf("list%d.xml", n), []byte(xml.String())) }
	if dir == d.listed {
		rand.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
	}
	for _, do := range todo {
		do()
	}
	d.named++
}

// renamed gives a file its final name and finds it taken although nobody looked at the folder as a whole since.
func (d *dropper) renamed() {
	d.s.t.Helper()
	looked := func() string {
		var f struct {
			Health struct {
				LastAt string `json:"last_at"`
			}
		}
		d.c.get(d.hub+"/drop-folders/"+d.folder, &f)
		return f.Health.LastAt
	}
	for n := range 20 { // a look that comes between is rare
		name := fmt.Sprintf("renamed%d.jpg", n)
		content := d.content(name)
		must(d.s.t, os.WriteFile(filepath.Join(d.at, name+".part"), content, 0o600))
		d.seen(name+".part", "uploading")
		before := looked()
		must(d.s.t, os.Rename(filepath.Join(d.at, name+".part"), filepath.Join(d.at, name)))
		d.know(name, strings.TrimSuffix(name, ".jpg"), content)
		d.seen(name, "pending", "importing", "processing", "ready")
		if looked() == before {
			return
		}
	}
	d.s.t.Fatal("only looks at the folder as a whole find what was renamed")
}

// seen waits until a file is in one of the states, and gives its row.
func (d *dropper) seen(name string, states ...string) (row dropFileRow) {
	d.s.t.Helper()
	d.s.eventually(fmt.Sprintf("%s to be %v", name, states), func() error {
		for _, row = range d.rows() {
			if row.Name == name && slices.Contains(states, row.State) {
				return nil
			}
		}
		return errors.New("it is not")
	})
	return row
}

// dropFileRow is a file as the API gives it.
type dropFileRow struct {
	ID, Name, State, Type, Reason, Text string
	EntryID                             string `json:"entry_id"`
	Superseded                          bool
}

// rows gives all files of the folders.
func (d *dropper) rows() []dropFileRow {
	d.s.t.Helper()
	var all []dropFileRow
	for next := ""; ; {
		var page struct {
			Items []dropFileRow
			Next  string
		}
		d.c.get(d.hub+"/drop-folders/files?limit=100"+next, &page)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		next = "&cursor=" + page.Next
	}
}

// timeline tells how a file came to where it is, for a test that fails.
func (d *dropper) timeline(f dropFileRow) string {
	_, body, err := d.c.try(http.MethodGet, d.hub+"/drop-folders/files/"+f.ID+"/timeline", nil, nil)
	return fmt.Sprintf("%+v %s %v", f, body, err)
}

// make makes a folder and gives its id and directory.
func (d *dropper) make(name, handler string) (id, at string) {
	d.s.t.Helper()
	var folder struct{ ID string }
	if status, body := d.c.call(http.MethodPost, d.hub+"/drop-folders", map[string]any{
		"name": name, "source": "directory", "path": name, "complete": map[string]any{"marker": ".done", "rename": "*.part"}, "handler": handler, "match": "add",
	}, &folder); status != http.StatusCreated {
		d.s.t.Fatalf("%d %s", status, body)
	}
	return folder.ID, filepath.Join(filepath.Dir(d.s.demo.DropFolder.Path), name)
}

// TestDropFolderKilledAnywhere kills the server at random moments while files come into folders in every way, and
// finds one entry for each at the end, with its bytes. ISTHMUS_KILLS sets the number of kills (default 3; the release bar is 500).
func TestDropFolderKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills whole servers")
	}
	t.Parallel()
	kills := envCount("ISTHMUS_KILLS", 3)
	dir := t.TempDir()
	must(t, mediatest.Clip{Seconds: 1, Width: 160, Height: 90}.Make(t.Context(), filepath.Join(dir, "clip.mp4")))
	must(t, mediatest.Photo(t.Context(), filepath.Join(dir, "photo.jpg"), 160, 90))
	clip, err := os.ReadFile(filepath.Join(dir, "clip.mp4"))
	must(t, err)
	photo, err := os.ReadFile(filepath.Join(dir, "photo.jpg"))
	must(t, err)
	eachServer(t, func(t *testing.T, s *process) {
		if s.demo.DropFolder.ID == "" || !strings.HasPrefix(s.demo.DropFolder.Path, s.dir) {
			t.Fatalf("the demo has no drop folder: %+v", s.demo.DropFolder)
		}
		d := &dropper{
			s: s, c: s.signIn("admin"), hub: "/v1/hubs/" + s.demo.HubID, clip: clip, photo: photo,
			files: map[string]dropped{}, uploads: map[string]string{}, urls: map[string]string{},
		}
		d.folder, d.at = d.make("crash", "both")
		_, d.listed = d.make("listed", "xml")
		for i := range kills {
			for stop := time.Now().Add(time.Duration(100+rand.IntN(1500)) * time.Millisecond); time.Now().Before(stop); {
				d.step(i)
				time.Sleep(10 * time.Millisecond)
			}
			s.kill()
			s.start()
		}
		d.renamed()
		for tries := 0; len(d.uploads) > 0; tries++ {
			if tries > 500 {
				t.Fatal("uploads cannot be finished any more")
			}
			d.step(-1)
		}
		t.Logf("%d kills, %d files, %d manifests", kills, len(d.files), d.named)
		d.prove()
		s.kill()
		s.check() // rows against files
	}, withoutMedia)
}

// prove waits until nothing is at work any more and finds each file once, and nothing else.
func (d *dropper) prove() {
	t := d.s.t
	t.Helper()
	defer func() {
		for _, f := range d.rows() {
			if t.Failed() && f.State != "ready" && !strings.HasSuffix(f.Name, ".done") {
				t.Log(d.timeline(f))
			}
		}
	}()
	left := map[string]string{}
	for name := range d.files {
		left[name] = name
	}
	var read time.Time
	var rows []dropFileRow
	d.s.drained(left, func(name string) bool {
		if time.Since(read) > time.Second/2 {
			rows, read = d.rows(), time.Now()
		}
		for _, f := range rows {
			switch {
			case f.Name != name || f.Superseded:
			case f.State == "ready":
				return true
			case f.State == "quarantined" || f.State == "gone" || f.State == "ignored":
				t.Fatalf("%s is %s", name, f.State)
			}
		}
		return false
	})
	d.s.eventually("the manifests to end", func() error {
		for _, f := range d.rows() {
			if strings.HasSuffix(f.Name, ".xml") && f.State != "ready" {
				return fmt.Errorf("%s is %s", f.Name, f.State)
			}
		}
		return nil
	})
	manifests := 0
	entries := map[string]string{}
	for _, f := range d.rows() {
		if strings.HasSuffix(f.Name, ".xml") {
			manifests++
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
		if n := d.s.entriesByReference(want.reference); n != 1 {
			t.Errorf("%s has %d entries", f.Name, n)
		}
		if got := d.s.originalDigest(f.EntryID); got != want.digest {
			t.Errorf("entry %s is not %s: SHA-256 %s", f.EntryID, f.Name, got)
		}
	}
	if len(entries) != len(d.files) || manifests != d.named {
		t.Errorf("%d entries of %d files, %d of %d manifests", len(entries), len(d.files), manifests, d.named)
	}
	var all struct{ TotalCount int }
	d.s.kaltura("media", "list", map[string]any{"filter": map[string]any{"objectType": "KalturaMediaEntryFilter", "statusIn": "-2,-1,0,1,2,3,4,7"}}, &all)
	if all.TotalCount != len(d.files) {
		t.Errorf("the account has %d entries, of %d files", all.TotalCount, len(d.files))
	}
}
