package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
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

func TestCreateRefusesBeforeTheFirstByte(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), siteOptions{})
	s.uploads.MaxSize = 1000
	person := func(change func(*gateway.NewUpload)) error {
		n := gateway.NewUpload{Name: "a.mp4", Size: 10}
		change(&n)
		_, err := s.uploads.Create(t.Context(), s.house.Ada, n)
		return err
	}
	for _, c := range []struct {
		change func(*gateway.NewUpload)
		code   gateway.Code
		reason string
	}{
		{func(n *gateway.NewUpload) { n.Size = 0 }, gateway.Invalid, "empty_file"},
		{func(n *gateway.NewUpload) { n.Size = -1 }, gateway.Invalid, "size_missing"},
		{func(n *gateway.NewUpload) { n.Size = 1001 }, gateway.TooLarge, "file_too_large"},
		{func(n *gateway.NewUpload) { n.Name = "" }, gateway.Invalid, "name_empty"},
		{func(n *gateway.NewUpload) { n.Name = "a.docx" }, gateway.Invalid, "type_not_accepted"},
		{func(n *gateway.NewUpload) { n.Tags = []string{strings.Repeat("x", 300)} }, gateway.Invalid, "tag_too_long"},
	} {
		err := person(c.change)
		gatewaytest.Want(t, err, c.code, c.reason)
		gatewaytest.Explained(t, err)
	}
	_, err := s.uploads.Create(t.Context(), gatewaytest.Machine(s.house.Hub, gateway.ScopeMediaRead), gateway.NewUpload{Name: "a.mp4", Size: 1})
	gatewaytest.Want(t, err, gateway.Forbidden, "scope_missing")
	if list, err := s.uploads.List(t.Context(), s.house.Ada, nil, gateway.Slice{}); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
	if ids, err := s.staging.Stale(t.Context(), "", time.Now().Add(time.Hour)); err != nil || len(ids) != 0 {
		t.Error("a refused upload left bytes:", ids, err)
	}
	s.create(s.house.Ada, "a.mp4", []byte("x"))
	if list, err := s.uploads.List(t.Context(), gateway.Actor{HubID: s.house.Hub.ID}, nil, gateway.Slice{}); err != nil || len(list) != 0 {
		t.Error("nobody sees everybody's:", list, err)
	}
}

func TestCreateKeepsAnyName(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		for _, name := range []string{
			"\u202e4pm.exe \u200b/ \\ \" : ' ? > < & * |.mp4", strings.Repeat("ж", 300) + ".mp4", "e\u0301.mp4", "🎬👩\u200d🏫.mp4",
		} {
			u := s.create(s.house.Ada, name, []byte("x"))
			got, err := s.uploads.Get(t.Context(), s.house.Ada, u.ID)
			if err != nil || got.Name != name {
				t.Errorf("%q became %q, %v", name, got.Name, err)
			}
		}
	})
}

func TestCreateNeedsThePlan(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), siteOptions{Plan: gateway.PlanFree})
	_, err := s.uploads.Create(t.Context(), s.house.Ada, gateway.NewUpload{Name: "a.mp4", Size: 1})
	gatewaytest.Want(t, err, gateway.Forbidden, "plan_too_low")
}

func TestMachineInOwnVisibilityUploadsForNobody(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), siteOptions{Account: gateway.Integration{Visibility: gateway.VisibilityOwn}})
	_, err := s.uploads.Create(t.Context(), gatewaytest.Machine(s.house.Hub, gateway.ScopeUploadsWrite), gateway.NewUpload{Name: "a.mp4", Size: 1})
	gatewaytest.Want(t, err, gateway.Forbidden, "machine_own")
}

func TestQuotaIsNeverExceededByARace(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		hub, err := db.Hubs().Get(t.Context(), gateway.AnyHub, s.house.Hub.ID)
		if err != nil {
			t.Fatal(err)
		}
		hub.QuotaBytes = 1000
		if err := db.Hubs().Update(t.Context(), &hub); err != nil {
			t.Fatal(err)
		}
		var made atomic.Int64
		together(24, func(i int) {
			a := []gateway.Actor{s.house.Ada, s.house.Bob, s.house.Admin}[i%3]
			_, err := s.uploads.Create(t.Context(), a, gateway.NewUpload{Name: "a.mp4", Size: 150})
			switch {
			case err == nil:
				made.Add(1)
			case !gateway.IsReason(err, "quota_exceeded"):
				t.Error(err)
			case !strings.Contains(err.Error(), "150 bytes") || !strings.Contains(err.Error(), "1000 bytes"):
				t.Error("the refusal does not give the numbers:", err)
			}
		})
		if made.Load() != 6 { // 6 × 150 fit into 1000
			t.Errorf("%d uploads of 150 bytes were let in to 1000", made.Load())
		}
	})
}

func TestTwentyUnfinishedUploadsAreEnough(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), siteOptions{})
	var made, refused atomic.Int64
	together(30, func(int) {
		_, err := s.uploads.Create(t.Context(), s.house.Ada, gateway.NewUpload{Name: "a.mp4", Size: 1})
		if err == nil {
			made.Add(1)
		} else if gateway.IsReason(err, "too_many_uploads") {
			refused.Add(1)
		} else {
			t.Error(err)
		}
	})
	if made.Load() != 20 || refused.Load() != 10 {
		t.Error(made.Load(), refused.Load())
	}
	s.create(s.house.Bob, "b.mp4", []byte("x")) // somebody else is not held up
}

func TestStrangersDoNotLearnOfAnUpload(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), siteOptions{})
	ctx := t.Context()
	other := gatewaytest.NewHouse(t, s.db, gateway.SystemClock, "south", gateway.PlanUniversity)
	u := s.create(s.house.Ada, "a.mp4", []byte("hello"))
	_, unknown := s.uploads.Get(ctx, s.house.Bob, "upl_unknown")
	for _, a := range []gateway.Actor{s.house.Bob, other.Admin, gatewaytest.Machine(s.house.Hub, gateway.ScopeUploadsWrite)} {
		_, err := s.uploads.Get(ctx, a, u.ID)
		gatewaytest.Want(t, err, gateway.NotFound, "")
		if gateway.AsError(err).Message != gateway.AsError(unknown).Message {
			t.Errorf("%q tells more than %q", err, unknown)
		}
		_, _, err = s.uploads.Offset(ctx, a, u.ID)
		gatewaytest.Want(t, err, gateway.NotFound, "")
		_, err = s.uploads.Write(ctx, a, u.ID, 0, strings.NewReader("evil!"))
		gatewaytest.Want(t, err, gateway.NotFound, "")
		_, err = s.uploads.Finish(ctx, a, u.ID, 5, "")
		gatewaytest.Want(t, err, gateway.NotFound, "")
		_, err = s.uploads.Cancel(ctx, a, u.ID)
		gatewaytest.Want(t, err, gateway.NotFound, "")
	}
	if _, err := s.uploads.Get(ctx, s.house.Admin, u.ID); err != nil {
		t.Error("an admin sees all of the hub:", err)
	}
}

func TestWriteGoesOnAtTheDurablePrefixOnly(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), siteOptions{})
	ctx, body := t.Context(), noise(100_000)
	u := s.create(s.house.Ada, "a.mp4", body)
	_, err := s.uploads.Write(ctx, s.house.Ada, u.ID, 10, bytes.NewReader(body[10:]))
	gatewaytest.Want(t, err, gateway.Conflict, "offset_mismatch")
	// A line that breaks: what arrived stays.
	n, err := s.uploads.Write(ctx, s.house.Ada, u.ID, 0, io.MultiReader(bytes.NewReader(body[:60_000]), broken{}))
	if err == nil {
		t.Fatal("the broken line went unnoticed")
	}
	u, at, err := s.uploads.Offset(ctx, s.house.Ada, u.ID)
	if err != nil || at != n || at > 60_000 || u.Received != at {
		t.Fatal(at, n, u.Received, err)
	}
	if _, err = s.uploads.Write(ctx, s.house.Ada, u.ID, at, bytes.NewReader(body[at:])); err != nil {
		t.Fatal(err)
	}
	got := s.staged(u.ID)
	if !bytes.Equal(got, body) {
		t.Error("the staged file differs")
	}
	_, err = s.uploads.Write(ctx, s.house.Ada, u.ID, int64(len(body)), strings.NewReader("more"))
	gatewaytest.Want(t, err, gateway.TooLarge, "")
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("line broke") }

func (s *site) staged(id string) []byte {
	s.t.Helper()
	f, err := s.staging.Open(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func TestOneWriterAtATime(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), siteOptions{})
	ctx, body := t.Context(), noise(1000)
	u := s.create(s.house.Ada, "a.mp4", body)
	r, w := io.Pipe()
	first := make(chan error, 1)
	go func() {
		_, err := s.uploads.Write(ctx, s.house.Ada, u.ID, 0, r)
		first <- err
	}()
	if _, err := w.Write(body[:500]); err != nil { // the first writer is at work now
		t.Fatal(err)
	}
	_, err := s.uploads.Write(ctx, s.house.Ada, u.ID, 0, bytes.NewReader(body))
	gatewaytest.Want(t, err, gateway.Conflict, "upload_busy")
	gatewaytest.Explained(t, err)
	if _, err := w.Write(body[500:]); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.staged(u.ID), body) {
		t.Error("the staged file differs")
	}
}

func TestCancelStopsAWriterAndFreesTheBytes(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), siteOptions{})
	ctx, body := t.Context(), noise(1000)
	u := s.create(s.house.Ada, "a.mp4", body)
	r, w := io.Pipe()
	first := make(chan error, 1)
	go func() {
		_, err := s.uploads.Write(ctx, s.house.Ada, u.ID, 0, r)
		first <- err
		r.CloseWithError(io.ErrClosedPipe)
	}()
	if _, err := w.Write(body[:500]); err != nil {
		t.Fatal(err)
	}
	got, err := s.uploads.Cancel(ctx, s.house.Ada, u.ID)
	if err != nil || got.State != gateway.UploadCancelled {
		t.Fatal(got.State, err)
	}
	_, _ = w.Write(body[500:]) // the client has not noticed yet
	if err := <-first; err == nil {
		t.Error("a cancelled upload was written to the end")
	}
	if _, err := s.staging.Durable(ctx, u.ID); gateway.CodeOf(err) != gateway.NotFound {
		t.Error("the bytes are still here:", err)
	}
	if again, err := s.uploads.Cancel(ctx, s.house.Ada, u.ID); err != nil || again.Version != got.Version {
		t.Error("cancelling twice:", err)
	}
	_, err = s.uploads.Write(ctx, s.house.Ada, u.ID, 0, bytes.NewReader(body))
	gatewaytest.Want(t, err, gateway.Conflict, "upload_cancelled")
	if want := []string{"upload.created", "upload.cancelled"}; !slices.Equal(s.types(u.ID), want) {
		t.Error(s.types(u.ID))
	}
}

func TestFinish(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		ctx, body := t.Context(), noise(50_000)
		size, sum := int64(len(body)), digest(body)
		u := s.create(s.house.Ada, "a.mp4", body)
		finish := func(size int64, sum string) (gateway.Upload, error) {
			return s.uploads.Finish(ctx, s.house.Ada, u.ID, size, sum)
		}
		_, err := finish(size, sum)
		gatewaytest.Want(t, err, gateway.Conflict, "incomplete")
		if !strings.Contains(err.Error(), "50000 of 50000 bytes are missing") {
			t.Error(err)
		}
		s.send(s.house.Ada, u.ID, body)
		_, err = finish(size+1, sum)
		gatewaytest.Want(t, err, gateway.Conflict, "size_mismatch")
		_, err = finish(size, "abc")
		gatewaytest.Want(t, err, gateway.Invalid, "digest_invalid")
		_, err = finish(size, digest([]byte("another file")))
		gatewaytest.Want(t, err, gateway.Invalid, "digest_mismatch")
		gatewaytest.Explained(t, err)
		if u, at, err := s.uploads.Offset(ctx, s.house.Ada, u.ID); err != nil || u.State != gateway.UploadReceiving || at != size {
			t.Fatal("after a wrong digest everything stays:", u.State, at, err)
		}
		together(6, func(int) { // a lost answer makes clients repeat
			got, err := finish(size, strings.ToUpper(sum))
			if err != nil || got.State != gateway.UploadIngesting || got.SHA256 != sum || got.FinishedAt == nil {
				t.Error(got.State, got.SHA256, err)
			}
		})
		if n := count(s.types(u.ID), "upload.finished"); n != 1 {
			t.Errorf("finished %d times", n)
		}
		_, err = finish(size, digest([]byte("another file")))
		gatewaytest.Want(t, err, gateway.Conflict, "already_finished")
		if _, err = finish(size, ""); err != nil {
			t.Error(err)
		}
		_, err = s.uploads.Write(ctx, s.house.Ada, u.ID, size, strings.NewReader("x"))
		gatewaytest.Want(t, err, gateway.Conflict, "upload_finished")
	})
}

func TestExpiry(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		clock := gatewaytest.NewClock()
		s := newSite(t, db, siteOptions{Clock: clock})
		ctx := t.Context()
		old := s.create(s.house.Ada, "old.mp4", []byte("old"))
		kept := s.create(s.house.Ada, "kept.mp4", []byte("kept"))
		clock.Add(29 * 24 * time.Hour)
		if _, err := s.uploads.Extend(ctx, s.house.Ada, kept.ID); err != nil {
			t.Fatal(err)
		}
		clock.Add(2 * 24 * time.Hour)
		_, err := s.uploads.Write(ctx, s.house.Ada, old.ID, 0, strings.NewReader("old"))
		gatewaytest.Want(t, err, gateway.Conflict, "upload_expired")
		for range 2 {
			if err := s.uploads.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.uploads.Get(ctx, s.house.Ada, old.ID); err != nil || got.State != gateway.UploadExpired {
			t.Error(got.State, err)
		}
		if got, err := s.uploads.Get(ctx, s.house.Ada, kept.ID); err != nil || got.State != gateway.UploadReceiving {
			t.Error(got.State, err)
		}
		if _, err := s.staging.Durable(ctx, old.ID); gateway.CodeOf(err) != gateway.NotFound {
			t.Error("the bytes are still here:", err)
		}
		if _, err := s.staging.Durable(ctx, kept.ID); err != nil {
			t.Error(err)
		}
		if err := s.uploads.RunAbandon(ctx, old.ID); err != nil { // nothing had been sent
			t.Error(err)
		}
		// The sweep also forgot that it was created: that is longer ago than events are kept.
		if want := []string{"upload.expired"}; !slices.Equal(s.types(old.ID), want) {
			t.Error(s.types(old.ID))
		}
	})
}

// The relay waits quietly while the platform does not answer, and ends when told to.
func TestRelayOutlastsASilentPlatform(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), siteOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	body := noise(300_000)
	before := s.create(s.house.Ada, "before.mp4", body)
	s.send(s.house.Ada, before.ID, body)
	go func() { ran <- s.relay.Run(ctx, s.db.Replica()) }()
	u := s.create(s.house.Ada, "a.mp4", body)
	s.send(s.house.Ada, u.ID, body)
	u, err := s.uploads.Finish(ctx, s.house.Ada, u.ID, int64(len(body)), digest(body))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.relay.Complete(ctx, u); gateway.CodeOf(err) != gateway.Unavailable {
		t.Error(err)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if !bytes.Equal(s.staged(u.ID), body) || !bytes.Equal(s.staged(before.ID), body) {
		t.Error("bytes were lost")
	}
}
