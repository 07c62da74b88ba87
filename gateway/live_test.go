package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/integrations/kaltura/platform"
	"isthmus/jobs"
	"isthmus/media"
	"isthmus/media/mediatest"
	"isthmus/store"
)

// live is a site whose account is the embedded platform, reached by the real client, with the real
// pipeline.
type live struct {
	*site
	platform *platform.Platform
	world    *world // to ask the platform as its administrator

	mu      sync.Mutex
	between http.HandlerFunc // what a request meets on its way; nil = nothing
}

// newLive begins without workers: tests run tasks by hand or call work.
func newLive(t testing.TB, db *store.DB) *live {
	t.Helper()
	l := &live{}
	front := http.HandlerFunc(l.serve)
	l.world = &world{t: t, transport: integrations.NewLocal(http.StripPrefix("/kaltura", front))}
	dir := t.TempDir()
	l.site = newSite(t, db, siteOptions{Dir: dir, Local: map[string]http.Handler{serviceURL: front}, Later: true})
	pipeline, err := media.New(t.Context(), media.Options{Disk: l.disk, Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	l.assets.Pipeline, l.uploads.Pipeline = pipeline, pipeline
	l.platform = platform.New(platform.Config{
		BaseURL: serviceURL, Records: db, Staging: l.staging, Blobs: l.blobs, Assets: l.assets, Sealer: l.keys,
		Log: slog.New(slog.DiscardHandler), FinalWait: 100 * time.Millisecond,
	})
	l.assets.Settled[gateway.OwnerKalturaEntry] = l.platform.AssetChanged
	if err := l.platform.CreateAccount(t.Context(), platform.Account{
		PartnerID: partner, Name: "School", AdminName: "Kim Admin", AdminEmail: "kim@media.test", AdminSecret: adminSecret, UserSecret: userSecret,
	}); err != nil {
		t.Fatal(err)
	}
	l.explain()
	tok := l.world.token(nil)
	l.connect(siteOptions{
		Account: gateway.Integration{ServiceURL: serviceURL, PartnerID: partner, AppTokenID: tok.ID, HashType: "SHA256"},
		Token:   gateway.Secret(tok.Token), Unmapped: true,
	})
	return l
}

// serve is the platform as the gateway reaches it.
func (l *live) serve(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	between := l.between
	l.mu.Unlock()
	if between != nil {
		between(w, r)
		return
	}
	l.platform.ServeHTTP(w, r)
}

// lag has the platform's search show nothing of a reference id, as long as its index lags behind.
func (l *live) lag() {
	l.meet(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if bytes.Contains(body, []byte("referenceIdEqual")) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"objectType":"KalturaMediaListResponse","objects":[],"totalCount":0}`) // the gateway finds out
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		l.platform.ServeHTTP(w, r)
	})
}

// meet puts something on the way to the platform.
func (l *live) meet(f http.HandlerFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.between = f
}

// work starts the relay and the workers; stop ends them, as a stop of the server would.
func (l *live) work() (stop func()) {
	l.t.Helper()
	runner, err := l.db.Runner(jobs.New(jobs.Services{
		Uploads: l.uploads, Library: l.library, Assets: l.assets, Integrations: l.ins, Jobs: l.jobs,
		Spherical: &gateway.Spherical{Catalog: l.library.Catalog},
	}), store.JobsOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := runner.Start(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.t.Context()))
	relayed := make(chan error, 1)
	go func() { relayed <- l.relay.Run(ctx, l.db.Replica()) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-relayed; err != nil {
			l.t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := runner.Stop(ctx); err != nil {
			l.t.Error(err)
		}
	})
	l.t.Cleanup(stop)
	return stop
}

// entries lists the account by reference id.
func (l *live) entries(reference string) (out []platformEntry) {
	l.t.Helper()
	var list struct{ Objects []platformEntry }
	l.world.ask("media", "list", map[string]any{
		"filter": map[string]any{"objectType": "KalturaMediaEntryFilter", "referenceIdEqual": reference, "statusIn": "-2,-1,0,1,2,4,5,6,7"},
	}, &list)
	return list.Objects
}

type platformEntry struct {
	ID, Name, Tags, ReferenceID, UserID string
	Status                              any
}

var clips sync.Map // by name: made once per run

// clip gives the bytes of a file that mediatest makes.
func clip(t testing.TB, name string, make func(ctx context.Context, file string) error) []byte {
	t.Helper()
	once, _ := clips.LoadOrStore(name, sync.OnceValues(func() ([]byte, error) {
		dir, err := os.MkdirTemp("", "clip")
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		file := filepath.Join(dir, name)
		if err := make(context.Background(), file); err != nil {
			return nil, err
		}
		return os.ReadFile(file)
	}))
	b, err := once.(func() ([]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func flatClip(t testing.TB) []byte {
	return clip(t, "flat.mp4", mediatest.Clip{Seconds: 2, Width: 320, Height: 180}.Make)
}

func sphereClip(t testing.TB) []byte {
	return clip(t, "sphere.mp4", func(ctx context.Context, file string) error { return mediatest.Sphere(ctx, file, 2, 512) })
}

// upload takes a file through Create, Write and Finish.
func (l *live) upload(a gateway.Actor, name string, body []byte, tags ...string) gateway.Upload {
	l.t.Helper()
	u, err := l.uploads.Create(l.t.Context(), a, gateway.NewUpload{Name: name, Size: int64(len(body)), Tags: tags})
	if err != nil {
		l.t.Fatal(err)
	}
	l.send(a, u.ID, body)
	u, err = l.uploads.Finish(l.t.Context(), a, u.ID, u.Size, digest(body))
	if err != nil {
		l.t.Fatal(err)
	}
	return u
}

// state reads an upload's row.
func (l *live) state(id string) gateway.Upload {
	l.t.Helper()
	u, err := l.db.Uploads().Get(l.t.Context(), gateway.AnyHub, id)
	if err != nil {
		l.t.Fatal(err)
	}
	return u
}

// forgetMemory makes the services anew over the same data, as a start of the server would.
func (l *live) forgetMemory() {
	old := l.relay
	l.relay = &gateway.Relay{
		Store: old.Store, Staging: old.Staging, Integrations: old.Integrations, Mappings: old.Mappings, Events: old.Events, ChunkSize: old.ChunkSize,
	}
	o := l.uploads
	l.uploads = &gateway.Uploads{
		Store: o.Store, Clock: o.Clock, Staging: o.Staging, Pipeline: o.Pipeline, Integrations: o.Integrations, Mappings: o.Mappings,
		Events: o.Events, Relay: l.relay, Replica: o.Replica, Life: o.Life, MaxSize: o.MaxSize, Blobs: o.Blobs,
	}
	k := l.library
	l.library = &gateway.Library{
		Store: k.Store, Clock: k.Clock, Catalog: k.Catalog, Tickets: k.Tickets, Assets: k.Assets, Events: k.Events,
		Uploads: l.uploads, Fetcher: k.Fetcher, Sealer: k.Sealer, BaseURL: k.BaseURL, MaxSize: k.MaxSize,
	}
	l.assets.Settled[gateway.OwnerLibraryItem] = l.library.AssetChanged
}

func asSnooze(err error, z **gateway.Snooze) bool { return errors.As(err, z) }

// explain adds what the pipeline says when a test fails.
func (l *live) explain() {
	l.t.Cleanup(func() {
		if !l.t.Failed() {
			return
		}
		list, err := l.db.Assets().All(context.Background(), gateway.Slice{})
		for _, as := range list {
			l.t.Logf("asset of %s %s: %s attempt %d: %s %s", as.OwnerKind, as.OwnerID, as.State, as.Attempt, as.ErrorCode, as.ErrorText)
		}
		if err != nil {
			l.t.Log(err)
		}
	})
}

// bigClip is large enough to break in the middle: noise does not compress.
func bigClip(t testing.TB) []byte {
	return clip(t, "big.mp4", mediatest.Clip{Seconds: 2, Width: 640, Height: 360, Source: "nullsrc", Extra: []string{"-vf", "geq=random(1)*255:128:128", "-b:v", "4M"}}.Make)
}
