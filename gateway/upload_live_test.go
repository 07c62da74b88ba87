package gateway_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// From the first byte to ready, on both databases: the relay sends while bytes arrive, the entry is
// made once, belongs to the person, has the tag 360 where it should and only there, and the staged
// bytes go.
func TestUploadToReady(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		l := newLive(t, db)
		l.work()
		flat := l.upload(l.house.Ada, "Ferien \U0001f3d6.mp4", flatClip(t), "beach")
		sphere := l.upload(l.house.Bob, "rundum.mp4", sphereClip(t))
		for _, u := range []gateway.Upload{flat, sphere} {
			eventually(t, "ready", func() bool {
				now := l.state(u.ID)
				if now.State == gateway.UploadFailed {
					t.Fatalf("%s: %s", now.ErrorCode, now.ErrorText)
				}
				return now.State == gateway.UploadReady
			})
			eventually(t, "staged bytes removed", func() bool {
				_, err := l.staging.Durable(t.Context(), u.ID)
				return gateway.CodeOf(err) == gateway.NotFound
			})
			want := []string{"upload.created", "upload.finished", "upload.entry_created", "upload.ready"}
			if got := l.types(u.ID); !slices.Equal(got, want) {
				t.Errorf("events %v", got)
			}
		}
		for _, c := range []struct {
			u           gateway.Upload
			name, tags  string
			owner       gateway.Actor
			spherical   bool
			sourceBytes []byte
		}{
			{flat, "Ferien \U0001f3d6", "beach", l.house.Ada, false, flatClip(t)},
			{sphere, "rundum", "360", l.house.Bob, true, sphereClip(t)},
		} {
			list := l.entries(c.u.ID)
			if len(list) != 1 {
				t.Fatalf("%d entries", len(list))
			}
			if e := list[0]; e.Name != c.name || e.Tags != c.tags || !strings.EqualFold(e.UserID, c.owner.Email) || e.ID != l.state(c.u.ID).EntryID {
				t.Errorf("%+v", e)
			}
			if l.state(c.u.ID).Inspection.Is360() != c.spherical {
				t.Error("360 was misjudged")
			}
			o, err := l.ins.OpenFor(t.Context(), l.house.Hub.ID, true)
			if err != nil {
				t.Fatal(err)
			}
			a, err := l.uploads.Mappings.Resolve(t.Context(), c.owner, o)
			if err != nil {
				t.Fatal(err)
			}
			r, err := o.Platform.Open(t.Context(), a, list[0].ID, gateway.RenditionOriginal, gateway.Range{Start: 0, End: -1})
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			r.Close()
			if err != nil || !bytes.Equal(got, c.sourceBytes) {
				t.Errorf("%d of %d bytes, %v", len(got), len(c.sourceBytes), err)
			}
		}
	})
}

// What is durable goes out while the rest has not arrived: the time to the platform is the longer of
// the two legs. No entry exists before the finish.
func TestRelayOverlapsReceiving(t *testing.T) {
	l := newLive(t, storetest.SQLite(t))
	l.work()
	body := noise(1 << 20)
	u, err := l.uploads.Create(t.Context(), l.house.Ada, gateway.NewUpload{Name: "a.mp4", Size: int64(len(body))})
	if err != nil {
		t.Fatal(err)
	}
	half := len(body) / 2
	if _, err := l.uploads.Write(t.Context(), l.house.Ada, u.ID, 0, bytes.NewReader(body[:half])); err != nil {
		t.Fatal(err)
	}
	eventually(t, "half is on the platform", func() bool { return l.state(u.ID).RelaySent.Covers(0, int64(half)) })
	if len(l.entries(u.ID)) != 0 {
		t.Error("there is an entry before the finish")
	}
	if _, err := l.uploads.Cancel(t.Context(), l.house.Ada, u.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was sent is abandoned", func() bool { return l.state(u.ID).RelayHandle == "" })
	if len(l.entries(u.ID)) != 0 {
		t.Error("a cancelled upload became an entry")
	}
}

func TestWhatCannotBePlayedFailsForGood(t *testing.T) {
	l := newLive(t, storetest.SQLite(t))
	l.work()
	whole := flatClip(t)
	for name, body := range map[string][]byte{
		"text.mp4":      []byte(strings.Repeat("this is no video\n", 100)),
		"playlist.mp4":  []byte("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1/secret\n"),
		"truncated.mp4": whole[:len(whole)/2],
	} {
		u := l.upload(l.house.Ada, name, body)
		eventually(t, name+" fails", func() bool { return l.state(u.ID).State == gateway.UploadFailed })
		u = l.state(u.ID)
		if u.ErrorCode == "" || u.ErrorText == "" || u.NextStep == "" {
			t.Errorf("%s: %q %q %q", name, u.ErrorCode, u.ErrorText, u.NextStep)
		}
		if len(l.entries(u.ID)) != 0 {
			t.Errorf("%s became an entry", name)
		}
		if !bytes.Equal(l.staged(u.ID), body) {
			t.Errorf("%s: the bytes are gone before the upload is", name)
		}
	}
}

// A process that dies at any point of the ingest, again and again: in the end there is one entry
// with the right bytes.
func TestIngestSurvivesDeathAnywhere(t *testing.T) {
	t.Parallel()
	l := newLive(t, storetest.SQLite(t))
	ctx := t.Context()
	body := sphereClip(t)
	u := l.upload(l.house.Ada, "a.mp4", body)
	var requests atomic.Int64
	deaths := 0
	for {
		// The n-th request to the platform dies before it arrives or before its answer is heard.
		dieAt, late := requests.Load()+1+rand.Int64N(3), rand.IntN(2) == 0
		runCtx, die := context.WithCancel(ctx)
		l.meet(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) != dieAt {
				l.platform.ServeHTTP(w, r)
				return
			}
			if late { // done there, but nobody hears of it
				l.platform.ServeHTTP(nobody{http.Header{}}, r.WithContext(ctx))
			}
			die()
			panic(http.ErrAbortHandler)
		})
		err := l.uploads.RunIngest(runCtx, u.ID)
		die()
		if err == nil {
			break
		}
		if deaths++; deaths > 200 {
			t.Fatal("no end in sight:", err)
		}
		if s := l.state(u.ID); s.State != gateway.UploadIngesting {
			t.Fatalf("after %d deaths: %s %s %s", deaths, s.State, s.ErrorCode, s.ErrorText)
		}
		l.forgetMemory()
	}
	l.meet(nil)
	if err := l.uploads.RunIngest(ctx, u.ID); err != nil { // the queue hands it out once more
		t.Fatal(err)
	}
	list := l.entries(u.ID)
	if len(list) != 1 || list[0].ID != l.state(u.ID).EntryID {
		t.Fatalf("after %d deaths: %+v, upload has %q", deaths, list, l.state(u.ID).EntryID)
	}
	t.Logf("%d deaths", deaths)
	l.work()
	eventually(t, "ready", func() bool { return l.state(u.ID).State == gateway.UploadReady })
}

// nobody hears an answer.
type nobody struct{ h http.Header }

func (n nobody) Header() http.Header         { return n.h }
func (n nobody) Write(b []byte) (int, error) { return len(b), nil }
func (n nobody) WriteHeader(int)             {}

func TestPlatformOutageOnlyDelays(t *testing.T) {
	t.Parallel()
	l := newLive(t, storetest.SQLite(t))
	body := flatClip(t)
	u := l.upload(l.house.Ada, "a.mp4", body)
	l.meet(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) })
	var z *gateway.Snooze
	err := l.uploads.RunIngest(t.Context(), u.ID)
	if !asSnooze(err, &z) || z.After <= 0 {
		t.Fatal(err)
	}
	u = l.state(u.ID)
	if u.State != gateway.UploadIngesting || u.ErrorCode == "" || u.ErrorText == "" {
		t.Errorf("the row does not say what it waits for: %s %q %q", u.State, u.ErrorCode, u.ErrorText)
	}
	_ = l.uploads.RunIngest(t.Context(), u.ID)
	if n := count(l.types(u.ID), "upload.waiting"); n != 1 {
		t.Errorf("said %d times that it waits", n)
	}
	l.meet(nil)
	eventually(t, "handed over", func() bool {
		if err := l.uploads.RunIngest(t.Context(), u.ID); err != nil && !asSnooze(err, &z) {
			t.Fatal(err)
		}
		return l.state(u.ID).State == gateway.UploadProcessing
	})
	if u = l.state(u.ID); u.ErrorCode != "" || u.EntryID == "" {
		t.Errorf("%+v", u)
	}
}

func TestRevokedTokenWaitsAndGoesOnAfterRotation(t *testing.T) {
	l := newLive(t, storetest.SQLite(t))
	u := l.upload(l.house.Ada, "a.mp4", flatClip(t))
	in, err := l.db.Integrations().Get(t.Context(), gateway.AnyHub, l.in.ID)
	if err != nil {
		t.Fatal(err)
	}
	good := in.AppToken
	if in.AppToken, err = l.keys.Seal("00000000000000000000000000000000", in.Place()); err != nil {
		t.Fatal(err)
	}
	if err := l.db.Integrations().Update(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
	var z *gateway.Snooze
	if err := l.uploads.RunIngest(t.Context(), u.ID); !asSnooze(err, &z) || z.After < 10*time.Second {
		t.Fatal("a wrong token is worth no hurry:", err)
	}
	if got := l.state(u.ID); got.State != gateway.UploadIngesting || got.ErrorCode != "credentials_invalid" {
		t.Errorf("%s %s", got.State, got.ErrorCode)
	}
	in, err = l.db.Integrations().Get(t.Context(), gateway.AnyHub, l.in.ID)
	if err != nil {
		t.Fatal(err)
	}
	in.AppToken = good
	if err := l.db.Integrations().Update(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
	// It does not knock by itself while the token counts as refused; the probe finds out.
	if err := l.uploads.RunIngest(t.Context(), u.ID); !asSnooze(err, &z) {
		t.Fatal(err)
	}
	l.probe()
	if err := l.uploads.RunIngest(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if got := l.state(u.ID); got.State != gateway.UploadProcessing || got.ErrorCode != "" {
		t.Errorf("%s %s", got.State, got.ErrorCode)
	}
}

func TestCancelAfterTheEntryExistsIsRefused(t *testing.T) {
	l := newLive(t, storetest.SQLite(t))
	u := l.upload(l.house.Ada, "a.mp4", flatClip(t))
	if err := l.uploads.RunIngest(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	_, err := l.uploads.Cancel(t.Context(), l.house.Ada, u.ID)
	gatewaytest.Want(t, err, gateway.Conflict, "already_sent")
}

func TestEntryDeletedMeanwhile(t *testing.T) {
	l := newLive(t, storetest.SQLite(t))
	u := l.upload(l.house.Ada, "a.mp4", flatClip(t))
	if err := l.uploads.RunIngest(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	var out any
	l.world.ask("media", "delete", map[string]any{"entryId": l.state(u.ID).EntryID}, &out)
	_ = l.uploads.RunWatch(t.Context(), u.ID)
	if got := l.state(u.ID); got.State != gateway.UploadFailed || got.ErrorCode != "entry_gone" || got.NextStep == "" {
		t.Errorf("%s %s %s", got.State, got.ErrorCode, got.NextStep)
	}
}
