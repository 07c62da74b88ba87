package platform_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/media/mediatest"
	"isthmus/store"
	"isthmus/store/storetest"
)

func (w *world) token(ks string, fields map[string]any) string {
	w.t.Helper()
	return w.object(ks, "uploadToken.add", map[string]any{"uploadToken": fields})["id"].(string)
}

// TestParallelChunks sends the middle of a file on several connections at once, the last chunk
// before they are through, and finds every byte in its place.
func TestParallelChunks(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.cfg.FinalWait = 2 * time.Minute
		w.restart()
		const size, n = 300_000, 8
		data := make([]byte, size*n)
		_, err := rand.Read(data)
		must(t, err)
		ks := w.session("alice", 0, "")
		id := w.token(ks, map[string]any{"fileName": "a.bin"})
		send := func(i int, resume, final string) map[string]any {
			return w.chunk(ks, id, data[i*size:(i+1)*size], map[string]string{"resume": resume, "finalChunk": final, "resumeAt": fmt.Sprint(i * size)})
		}
		if out := send(0, "0", "0"); out["uploadedFileSize"] != fmt.Sprint(size) {
			t.Fatal(out)
		}
		var wg sync.WaitGroup
		for _, i := range []int{n - 1, 5, 3, 4, 1, 6, 2} {
			wg.Go(func() {
				final := "0"
				if i == n-1 {
					final = "1" // waits for the others
				}
				if out := send(i, "1", final); out["code"] != nil {
					t.Error(i, out)
				}
			})
		}
		wg.Wait()
		out := w.object(ks, "uploadToken.get", map[string]any{"uploadTokenId": id})
		if out["status"] != 2.0 || out["uploadedFileSize"] != fmt.Sprint(len(data)) {
			t.Fatal(out)
		}
		f, err := w.cfg.Staging.Open(t.Context(), "kaltura_"+id)
		must(t, err)
		defer f.Close() //nolint:errcheck // only read
		got := make([]byte, len(data))
		_, err = f.ReadAt(got, 0)
		must(t, err)
		if f.Size() != int64(len(data)) || !bytes.Equal(got, data) {
			t.Error("the file came out different")
		}
	})
}

// TestAcknowledgedBytesStay sends other bytes for a range that was acknowledged before.
func TestAcknowledgedBytesStay(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ks := w.session("alice", 0, "")
	id := w.token(ks, map[string]any{})
	w.chunk(ks, id, []byte("0123456789"), map[string]string{"resume": "0", "finalChunk": "0"})
	w.chunk(ks, id, []byte("XXXXXXXXXXabcde"), map[string]string{"resume": "1", "finalChunk": "1", "resumeAt": "0"})
	f, err := w.cfg.Staging.Open(t.Context(), "kaltura_"+id)
	must(t, err)
	defer f.Close() //nolint:errcheck // only read
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	must(t, err)
	if string(got) != "0123456789abcde" {
		t.Errorf("%q", got)
	}
}

// TestRepairAfterCrash begins where a crash between an upload and its entry leaves off.
func TestRepairAfterCrash(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := t.Context()
		clip := filepath.Join(t.TempDir(), "clip.mp4")
		must(t, mediatest.Clip{Seconds: 1, Width: 320, Height: 180}.Make(ctx, clip))
		ks := w.session("alice", 0, "")
		for _, adopted := range []bool{false, true} {
			id := w.object(ks, "media.add", map[string]any{"entry": map[string]any{"objectType": "KalturaMediaEntry", "mediaType": 1}})["id"].(string)
			token := w.token(ks, map[string]any{"fileName": "clip.mp4"})
			w.chunk(ks, token, []byte("some bytes"), nil)
			row, err := db.Kaltura().UploadTokens().Get(ctx, partnerID, token)
			must(t, err)
			row.EntryID = id
			if adopted { // the bytes had been published already
				row.AssetID = gateway.NewID("ast")
				_, err = w.assets.Adopt(ctx, "kaltura_"+token, row.AssetID)
				must(t, err)
			}
			must(t, db.Kaltura().UploadTokens().Update(ctx, &row))
			e, err := db.Kaltura().Entries().Get(ctx, partnerID, id)
			must(t, err)
			e.Status = 0
			must(t, db.Kaltura().Entries().Update(ctx, &e))
			must(t, w.p.Sweep(ctx))
			must(t, w.p.Sweep(ctx)) // harmless again
			if e := w.object(ks, "media.get", map[string]any{"entryId": id}); e["status"] != 1.0 {
				t.Error("the entry was left behind:", e)
			}
			if out := w.object(ks, "uploadToken.get", map[string]any{"uploadTokenId": token}); out["status"] != 3.0 {
				t.Error(out)
			}
		}
		all, err := db.Assets().All(ctx, gateway.Slice{})
		must(t, err)
		if len(all) != 2 {
			t.Errorf("%d assets for two entries", len(all))
		}
	})
}

// TestSpoolLimit posts a large file without a session: a stranger cannot fill our disk.
func TestSpoolLimit(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	post := func(fields [][2]string) string {
		r, pw := io.Pipe()
		m := multipart.NewWriter(pw)
		go func() {
			for _, f := range fields {
				_ = m.WriteField(f[0], f[1])
			}
			part, err := m.CreateFormFile("fileData", "a.bin")
			if err == nil {
				_, err = io.Copy(part, io.LimitReader(zeros{}, 20<<20))
			}
			_ = m.Close()
			_ = pw.CloseWithError(err)
		}()
		res, err := http.Post(w.url+"/api_v3/service/uploadToken/action/upload?format=1", m.FormDataContentType(), r)
		if err != nil {
			return err.Error() // the server hung up on the rest
		}
		defer res.Body.Close() //nolint:errcheck // only read
		body, err := io.ReadAll(res.Body)
		must(t, err)
		return string(body)
	}
	if out := post(nil); strings.Contains(out, `"id"`) || strings.Contains(out, "SERVICE_FORBIDDEN") {
		t.Error("twenty megabytes of a stranger were taken:", out)
	}
	ks := w.session("alice", 0, "")
	id := w.token(ks, map[string]any{})
	if out := post([][2]string{{"ks", ks}, {"uploadTokenId", id}}); !strings.Contains(out, `"status":2`) {
		t.Error("a client with a session was refused:", out)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
