package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"isthmus/gateway"
	"isthmus/store/storetest"
)

// An admin pastes a new App Token and the old one is deleted in Kaltura while people browse and play,
// uploads arrive and copies are made: nobody notices, and no byte is sent again.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	l := newLive(t, db)
	l.work()
	body := bigClip(t)
	entry := l.ready("source.mp4", body)
	var under sync.RWMutex // held for reading by each request under way
	var sent, chunks atomic.Int64
	l.meet(func(w http.ResponseWriter, r *http.Request) {
		under.RLock()
		defer under.RUnlock()
		if strings.HasSuffix(r.URL.Path, "/uploadtoken/action/upload") {
			r.Body = &countedBody{r.Body, &sent}
			chunks.Add(1)
		}
		l.platform.ServeHTTP(w, r)
	})

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var people sync.WaitGroup
	var asked atomic.Int64
	person := func(ask func() error) {
		people.Go(func() {
			for ctx.Err() == nil {
				if err := ask(); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
				asked.Add(1)
			}
		})
	}
	person(func() error {
		_, err := l.library.Catalog.Browse(ctx, l.house.Ada, gateway.Query{})
		return err
	})
	person(func() error {
		_, _, err := l.library.Catalog.Playback(ctx, l.house.Bob, entry)
		return err
	})
	var uploads []gateway.Upload
	half := len(body) / 2
	for i := range 2 {
		u, err := l.uploads.Create(t.Context(), l.house.Bob, gateway.NewUpload{Name: fmt.Sprintf("clip %d.mp4", i), Size: int64(len(body))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.uploads.Write(t.Context(), l.house.Bob, u.ID, 0, bytes.NewReader(body[:half])); err != nil {
			t.Fatal(err)
		}
		uploads = append(uploads, u)
	}
	eventually(t, "bytes are on their way", func() bool { return chunks.Load() > 3 })
	copied, _, _, err := l.library.Import(t.Context(), l.house.Ada, entry, gateway.ItemCopy, "")
	if err != nil {
		t.Fatal(err)
	}

	old, err := l.ins.Get(t.Context(), l.house.Admin)
	if err != nil {
		t.Fatal(err)
	}
	tok := l.world.token(nil)
	saved, err := l.ins.Save(t.Context(), l.house.Admin, old.Version, tok.connection(gateway.VisibilityShared))
	if err != nil || saved.AppTokenID != tok.ID {
		t.Fatal(saved, err)
	}
	func() { // what began with the old token's sessions ends
		under.Lock()
		defer under.Unlock()
	}()
	var out any
	l.world.ask("appToken", "delete", map[string]any{"id": old.AppTokenID}, &out)

	before := asked.Load()
	for _, u := range uploads {
		if _, err := l.uploads.Write(t.Context(), l.house.Bob, u.ID, int64(half), bytes.NewReader(body[half:])); err != nil {
			t.Fatal(err)
		}
		if _, err := l.uploads.Finish(t.Context(), l.house.Bob, u.ID, u.Size, digest(body)); err != nil {
			t.Fatal(err)
		}
	}
	for _, u := range uploads {
		eventually(t, "ready", func() bool { return l.state(u.ID).State == gateway.UploadReady })
	}
	eventually(t, "copied", func() bool { return l.item(copied.ID).State == gateway.ItemReady })
	eventually(t, "people went on", func() bool { return asked.Load() > before+20 || t.Failed() })
	stop()
	people.Wait()

	for _, typ := range []string{"upload.waiting", "upload.failed", "import.waiting", "import.failed", "integration.degraded", "integration.privilege_lost"} {
		if got := told(t, db, l.house.Admin, typ); len(got) != 0 {
			t.Errorf("%s: %v", typ, got)
		}
	}
	if in, err := l.ins.Get(t.Context(), l.house.Admin); err != nil || in.Health != gateway.HealthOK {
		t.Errorf("%+v, %v", in, err)
	}
	const around = 800 // the rest of a form, per chunk
	if n := sent.Load() - 2*int64(len(body)); n < 0 || n > around*chunks.Load() || chunks.Load()*around >= 64<<10 {
		t.Errorf("%d bytes of %d sent, in %d chunks", sent.Load(), 2*len(body), chunks.Load())
	}
	for _, u := range uploads {
		if n := len(l.entries(u.ID)); n != 1 {
			t.Errorf("%d entries", n)
		}
	}
}

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}
