package gateway_test

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/integrations/dropfolder"
	"isthmus/outbound"
	"isthmus/store/storetest"
)

// A folder has so many files open and no more: the rest is taken when some are done, what is sent is refused.
func TestFoldersHaveRoom(t *testing.T) {
	t.Parallel()
	for what, limit := range map[string]func(*gateway.DropFolder){
		"files": func(f *gateway.DropFolder) { f.MaxFiles = 2 },
		"bytes": func(f *gateway.DropFolder) { f.MaxBytes = 2500 },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newShed(t, storetest.SQLite(t), limit)
			for _, name := range []string{"a.mp4", "b.mp4", "c.mp4", "d.mp4"} {
				s.put(name, noise(1000))
			}
			s.settle()
			if n := len(s.files()); n != 2 {
				t.Errorf("%d files are open", n)
			}
			reason := map[string]string{"files": "folder_full", "bytes": "folder_bytes"}[what]
			_, err := s.uploads.Create(t.Context(), s.house.Admin, gateway.NewUpload{Name: "sent.mp4", Size: 1000, FolderID: s.folder.ID})
			if !gateway.IsReason(err, reason) {
				t.Error(err)
			}
			gatewaytest.Explained(t, err)
			for range 3 {
				s.drive()
				s.settle()
			}
			s.drive()
			if n := len(s.files(gateway.DropReady)); n != 4 || len(s.all()) != 4 {
				t.Errorf("%d of 4 were taken", n)
			}
			if _, err := s.uploads.Create(t.Context(), s.house.Admin, gateway.NewUpload{Name: "sent.mp4", Size: 1000, FolderID: s.folder.ID}); err != nil {
				t.Error(err)
			}
		})
	}
}

// From a bucket to a ready entry, and out of the bucket.
func TestBucketFileBecomesAnEntry(t *testing.T) {
	t.Parallel()
	clock := gofakes3.FixedTimeSource(time.Now())
	back := s3mem.New(s3mem.WithTimeSource(clock))
	if err := back.CreateBucket("drops"); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(gofakes3.New(back).Server())
	t.Cleanup(srv.Close)
	s := newShed(t, storetest.SQLite(t))
	ctx := t.Context()
	guard := outbound.Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	s.folders.Sources = dropfolder.New(dropfolder.Options{Client: outbound.New(guard), CheckURL: guard.ServiceURL, Log: slog.New(slog.DiscardHandler)})
	f, err := s.db.DropFolders().Get(ctx, gateway.AnyHub, s.folder.ID)
	if err != nil {
		t.Fatal(err)
	}
	f.Source, f.Path, f.Complete, f.Delete = gateway.DropBucket, "in", gateway.DropComplete{}, gateway.DeleteWhenReady
	f.Bucket = gateway.DropBucketAddress{Endpoint: srv.URL, Name: "drops", KeyID: "AKID", PathStyle: true}
	if f.Secret, err = s.keys.Seal("topsecretkey", f.Place()); err != nil {
		t.Fatal(err)
	}
	if err := s.db.DropFolders().Update(ctx, &f); err != nil {
		t.Fatal(err)
	}
	body := noise(200_000)
	if _, err := back.PutObject("drops", "in/2026/tour.mp4", map[string]string{}, bytes.NewReader(body), int64(len(body)), nil); err != nil {
		t.Fatal(err)
	}
	s.scan()
	s.drive()
	x := s.is("2026/tour.mp4", gateway.DropDue, "")
	if list := s.all(); len(list) != 1 || list[0].ID != x.EntryID || list[0].ReferenceID != "tour" || x.SHA256 != digest(body) {
		t.Errorf("%+v %+v", list, x)
	}
	if err := s.folders.RunFile(ctx, x.ID); err != nil {
		t.Fatal(err)
	}
	s.is("2026/tour.mp4", gateway.DropDeleted, "")
	if _, err := back.HeadObject("drops", "in/2026/tour.mp4"); err == nil {
		t.Error("the object is still there")
	}
	if len(s.all()) != 1 {
		t.Error("its entry went with it")
	}

	// The same bytes, sent again: they go as well, and become no second entry.
	s.scan()
	s.is("2026/tour.mp4", gateway.DropDeleted, "")
	clock.Advance(time.Second)
	if _, err := back.PutObject("drops", "in/2026/tour.mp4", map[string]string{}, bytes.NewReader(body), int64(len(body)), nil); err != nil {
		t.Fatal(err)
	}
	s.scan()
	s.drive()
	again := s.is("2026/tour.mp4", gateway.DropDue, "")
	if err := s.folders.RunFile(ctx, again.ID); err != nil || again.ID == x.ID || again.EntryID != x.EntryID {
		t.Errorf("%+v %v", again, err)
	}
	s.is("2026/tour.mp4", gateway.DropDeleted, "")
	if _, err := back.HeadObject("drops", "in/2026/tour.mp4"); err == nil || len(s.all()) != 1 {
		t.Error("the object is still there", len(s.all()))
	}
}

// A folder says how fast files may be sent into it, and how, if the sender does not.
func TestFolderSaysHowItIsSentTo(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, x := metered(t, dir, 8_000_000)
		ctx, admin := t.Context(), s.house.Admin
		s.uploads.Folders = &gateway.DropFolders{
			Store: s.db, Clock: s.uploads.Clock, Uploads: s.uploads, Integrations: s.ins, Mappings: s.uploads.Mappings, Events: s.events, Sealer: s.keys,
		}
		low, rate := gateway.PolicyLow, int64(800_000)
		name := "Slow"
		f, err := s.uploads.Folders.Create(ctx, admin, gateway.DropFolderDraft{Name: &name, Policy: &low, RateBPS: &rate})
		if err != nil {
			t.Fatal(err)
		}
		body := bytes.Repeat([]byte("x"), 200_000)
		var transfers []string
		for i, c := range []struct {
			said, want gateway.Transfer
		}{
			{gateway.Transfer{}, gateway.Transfer{Policy: low, RateBPS: rate}},
			{gateway.Transfer{Policy: gateway.PolicyHigh, RateBPS: 2 * rate}, gateway.Transfer{Policy: gateway.PolicyHigh, RateBPS: rate}},
			{gateway.Transfer{RateBPS: rate / 2}, gateway.Transfer{Policy: low, RateBPS: rate / 2}},
		} {
			made, err := x.Create(ctx, admin, gateway.NewTransfer{
				Files:  []gateway.NewUpload{{Name: string(rune('a'+i)) + ".mp4", Size: int64(len(body)), FolderID: f.ID}},
				Policy: c.said.Policy, RateBPS: c.said.RateBPS,
			})
			if err != nil || made.View.Policy != c.want.Policy || made.View.RateBPS != c.want.RateBPS {
				t.Errorf("%+v %v", made.View, err)
			}
			transfers = append(transfers, made.View.ID)
		}
		// A transfer of which nothing has come is cancelled: nobody waits for its files, and they can be sent again.
		if _, err := x.Cancel(ctx, admin, transfers[0]); err != nil {
			t.Fatal(err)
		}
		if u, err := s.uploads.Create(ctx, admin, gateway.NewUpload{Name: "a.mp4", Size: 5, FolderID: f.ID}); err != nil || u.DropFileID == "" {
			t.Errorf("%+v %v", u, err)
		}
		u, err := s.uploads.Create(ctx, admin, gateway.NewUpload{Name: "alone.mp4", Size: int64(len(body)), FolderID: f.ID})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		least := time.Duration(float64(len(body)) * 8 / float64(rate) * float64(time.Second))
		if n := <-sendAll(s, admin, u.ID, body); n != int64(len(body)) || time.Since(began) < least {
			t.Errorf("%d bytes in %s, at 0.8 Mbit/s", n, time.Since(began))
		}
	})
}
