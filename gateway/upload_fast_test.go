package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// ending is what a session of the fast path hears of an upload.
type ending struct {
	uploadID string
	why      *gateway.Error
}

func listenFast(s *site) <-chan ending {
	heard := make(chan ending, 100)
	s.told = func(id string, why *gateway.Error) { heard <- ending{id, why} }
	return heard
}

func (s *site) fast(u gateway.Upload, body []byte, start, end int) error {
	return s.uploads.FastWrite(s.t.Context(), u.ID, body[start:end], int64(start))
}

func (s *site) receive(ids ...string) (release func()) {
	s.t.Helper()
	release, err := s.uploads.Receive(s.t.Context(), ids, s.told)
	if err != nil {
		s.t.Fatal(err)
	}
	return release
}

func (s *site) durable(u gateway.Upload, want string) {
	s.t.Helper()
	d, err := s.uploads.FastDurable(s.t.Context(), u.ID)
	if err != nil || fmt.Sprint(d) != want {
		s.t.Fatalf("durable %v %v, want %s", d, err, want)
	}
}

// One upload goes fast → tus → fast → finish, at the same bytes. Whoever comes last is the writer, and the
// other one is told.
func TestFastAndTusInTurn(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		ctx, ada, body := t.Context(), s.house.Ada, noise(100_000)
		heard := listenFast(s)
		u := s.create(ada, "a.mp4", body)
		if err := s.fast(u, body, 0, 10); !gateway.IsReason(err, "upload_taken_over") {
			t.Fatal("written without the right to:", err)
		}
		live, err := s.events.Listen(ctx, ada, gateway.FromNow)
		if err != nil {
			t.Fatal(err)
		}
		release := s.receive(u.ID)
		for _, part := range [][2]int{{60_000, 70_000}, {0, 20_000}, {10_000, 30_000}} {
			if err := s.fast(u, body, part[0], part[1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.uploads.FastSync(ctx, u.ID); err != nil {
			t.Fatal(err)
		}
		for m := range live { // while the session goes on
			var news gateway.UploadNews
			if m.Type == "upload.progress" && m.Subject == u.ID {
				if err := json.Unmarshal(m.Data, &news); err != nil || news.Received != 30_000 {
					t.Errorf("%+v %v", news, err)
				}
				break
			}
		}
		if err := s.fast(u, body, 30_000, 40_000); err != nil { // not synced when the other one comes
			t.Fatal(err)
		}

		// tus goes on at the prefix, which has grown by what was taken and not synced yet.
		if _, at, err := s.uploads.Offset(ctx, ada, u.ID); err != nil || at != 30_000 {
			t.Fatal(at, err)
		}
		_, err = s.uploads.Write(ctx, ada, u.ID, 30_000, bytes.NewReader(body[30_000:50_000]))
		gatewaytest.Want(t, err, gateway.Conflict, "offset_mismatch")
		if h := <-heard; h.uploadID != u.ID || h.why.Reason != "upload_taken_over" {
			t.Fatal(h)
		}
		gatewaytest.Want(t, s.fast(u, body, 50_000, 60_000), gateway.Conflict, "upload_taken_over")
		if _, err = s.uploads.FastFinish(ctx, u.ID, u.Size, ""); !gateway.IsReason(err, "upload_taken_over") {
			t.Fatal(err)
		}
		if n, err := s.uploads.Write(ctx, ada, u.ID, 40_000, bytes.NewReader(body[40_000:50_000])); n != 10_000 || err != nil {
			t.Fatal(n, err)
		}
		release()
		s.durable(u, "[{0 50000} {60000 70000}]")

		// Back to the fast path while tus is sending: what tus wrote stays, what it sends now is not taken.
		r, w := io.Pipe()
		written := make(chan error, 1)
		go func() {
			_, err := s.uploads.Write(ctx, ada, u.ID, 50_000, r)
			_ = r.CloseWithError(io.ErrClosedPipe)
			written <- err
		}()
		if _, err := w.Write(body[50_000:55_000]); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(nil); err != nil { // it asked for more: the first are written
			t.Fatal(err)
		}
		release = s.receive(u.ID)
		s.durable(u, "[{0 55000} {60000 70000}]")
		if err := s.fast(u, body, 55_000, 60_000); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(make([]byte, 5000)) // another file's, perhaps
		gatewaytest.Want(t, <-written, gateway.Conflict, "upload_taken_over")
		_, err = s.uploads.FastFinish(ctx, u.ID, u.Size, digest(body))
		gatewaytest.Want(t, err, gateway.Conflict, "incomplete")
		if err := s.fast(u, body, 70_000, 100_000); err != nil {
			t.Fatal(err)
		}
		_, err = s.uploads.FastFinish(ctx, u.ID, u.Size, digest(body[1:]))
		gatewaytest.Want(t, err, gateway.Invalid, "digest_mismatch")
		for range 2 { // the receipt may be lost
			got, err := s.uploads.FastFinish(ctx, u.ID, u.Size, digest(body))
			if err != nil || got.State != gateway.UploadIngesting || got.SHA256 != digest(body) {
				t.Fatal(got.State, err)
			}
		}
		s.durable(u, "[{0 100000}]")
		gatewaytest.Want(t, s.fast(u, body, 0, 1), gateway.Conflict, "upload_finished")
		release()
		if !bytes.Equal(s.staged(u.ID), body) {
			t.Error("the staged file differs")
		}
		if want := []string{"upload.created", "upload.finished"}; !slices.Equal(s.types(u.ID), want) {
			t.Error(s.types(u.ID))
		}
		again := s.receive(u.ID) // a client that lost the receipt gets it
		again()
		if len(heard) != 0 {
			t.Error("told once too often:", <-heard)
		}
	})
}

// The newer of two sessions wins, and the older one's end takes nothing from it.
func TestNewerFastSessionWins(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), siteOptions{})
	body := noise(1000)
	heard := listenFast(s)
	u, v := s.create(s.house.Ada, "a.mp4", body), s.create(s.house.Ada, "b.mp4", body)
	first := s.receive(u.ID, v.ID)
	if err := s.fast(u, body, 0, 500); err != nil {
		t.Fatal(err)
	}
	if err := s.staging.Remove(t.Context(), v.ID); err != nil { // a transfer's uploads have no place before their first byte
		t.Fatal(err)
	}
	second := s.receive(u.ID, v.ID)
	s.durable(u, "[{0 500}]")
	first()
	if err := s.fast(u, body, 500, 1000); err != nil {
		t.Error(err)
	}
	if len(heard) != 0 { // the fast path's server has told the older one by itself
		t.Error(<-heard)
	}
	// What ends an upload from now on is told to the newer one only.
	s.told = func(id string, _ *gateway.Error) { t.Error("the oldest was told of", id) }
	third := s.receive(v.ID)
	third()
	if _, err := s.uploads.Cancel(t.Context(), s.house.Ada, u.ID); err != nil {
		t.Fatal(err)
	}
	if h := <-heard; h.uploadID != u.ID || len(heard) != 0 {
		t.Error(h, len(heard))
	}
	second()
	gatewaytest.Want(t, s.fast(u, body, 0, 1), gateway.Conflict, "upload_cancelled")
	gatewaytest.Want(t, s.fast(v, body, 0, 1), gateway.Conflict, "upload_taken_over")
}

// Many that are finished at the same time share transactions; each has its own end.
func TestFinishedTogether(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		x := transfersOf(s, db.Replica())
		ctx, ada, body := t.Context(), s.house.Ada, noise(1000)
		const n = 150
		made, err := x.Create(ctx, ada, gateway.NewTransfer{Files: files(n, int64(len(body)))})
		if err != nil {
			t.Fatal(err)
		}
		ad := begun(t, x, made)
		defer ad.Close()
		for _, u := range made.Uploads {
			if err := s.fast(u, body, 0, len(body)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.uploads.Cancel(ctx, ada, made.Uploads[7].ID); err != nil {
			t.Fatal(err)
		}
		errs := make([]error, 2*n)
		together(2*n, func(i int) { // each twice
			u, sum := made.Uploads[i/2], digest(body)
			if i/2 == 8 {
				sum = digest(body[1:])
			}
			if i == 18 { // while it is finished, somebody changes its row
				_, _ = s.uploads.Extend(ctx, ada, u.ID)
			}
			var got gateway.Upload
			if got, errs[i] = s.uploads.FastFinish(ctx, u.ID, u.Size, sum); errs[i] == nil && (got.ID != u.ID || got.State != gateway.UploadIngesting || got.SHA256 != sum) {
				t.Errorf("%d: %+v", i, got)
			}
		})
		for i, err := range errs {
			switch i / 2 {
			case 7:
				gatewaytest.Want(t, err, gateway.Conflict, "upload_cancelled")
			case 8:
				gatewaytest.Want(t, err, gateway.Invalid, "digest_mismatch")
			default:
				if err != nil {
					t.Error(i, err)
				}
			}
		}
		if n := len(told(t, db, ada, "transfer.done")); n != 0 {
			t.Error("done with one upload left")
		}
		u := made.Uploads[8]
		if _, err := s.uploads.FastFinish(ctx, u.ID, u.Size, digest(body)); err != nil {
			t.Fatal(err)
		}
		if a, b := len(told(t, db, ada, "upload.finished")), len(told(t, db, ada, "transfer.done")); a != n-1 || b != 1 {
			t.Errorf("%d uploads finished, the transfer %d times", a, b)
		}
	})
}

// Cancelling one upload of a session ends that one only.
func TestCancelWhileTheFastPathSends(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), siteOptions{})
	ctx, body := t.Context(), noise(1000)
	heard := listenFast(s)
	u, v, w := s.create(s.house.Ada, "a.mp4", body), s.create(s.house.Ada, "b.mp4", body), s.create(s.house.Ada, "c.mp4", body)
	release := s.receive(u.ID, v.ID, w.ID)
	defer release()
	if err := s.fast(u, body, 0, 500); err != nil {
		t.Fatal(err)
	}
	if _, err := s.uploads.Cancel(ctx, s.house.Ada, u.ID); err != nil {
		t.Fatal(err)
	}
	if h := <-heard; h.uploadID != u.ID || h.why.Reason != "upload_cancelled" {
		t.Error(h)
	}
	gatewaytest.Want(t, s.fast(u, body, 500, 1000), gateway.Conflict, "upload_cancelled")
	if _, err := s.staging.Durable(ctx, u.ID); gateway.CodeOf(err) != gateway.NotFound {
		t.Error("the bytes are still here:", err)
	}
	if _, err := s.uploads.FastFinish(ctx, u.ID, u.Size, ""); !gateway.IsReason(err, "upload_cancelled") {
		t.Error(err)
	}
	if err := s.uploads.FastCancel(ctx, v.ID); err != nil {
		t.Error(err)
	}
	if got, err := s.uploads.Get(ctx, s.house.Ada, v.ID); err != nil || got.State != gateway.UploadCancelled {
		t.Error(got.State, err)
	}
	s.durable(v, "[{0 1000}]") // nothing of it is wanted; its finish says why
	if err := s.fast(w, body, 0, 1000); err != nil {
		t.Error("the session's other upload:", err)
	}
	// Of uploads that all are over there is nothing to receive.
	_, err := s.uploads.Receive(ctx, []string{u.ID, v.ID}, s.told)
	gatewaytest.Want(t, err, gateway.Conflict, "upload_cancelled")
	_, err = s.uploads.Receive(ctx, []string{"upl_none"}, s.told)
	gatewaytest.Want(t, err, gateway.NotFound, "")
}

// Who is suspended stops within a second or two; what arrived waits for them.
func TestSuspendedWhileTheFastPathSends(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { suspendedWhileSending(t, storetest.Open(t, store.Options{DataDir: dir})) })
}

func suspendedWhileSending(t *testing.T, db *store.DB) {
	s := newSite(t, db, siteOptions{})
	ctx, body := t.Context(), noise(1000)
	heard := listenFast(s)
	u := s.create(s.house.Ada, "a.mp4", body)
	release := s.receive(u.ID)
	if err := s.fast(u, body, 0, 1000); err != nil {
		t.Fatal(err)
	}
	people := s.people()
	if _, err := people.Suspend(ctx, s.house.Admin, s.house.Ada.ParticipantID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.uploads.FastFinish(ctx, u.ID, u.Size, digest(body)); gateway.CodeOf(err) != gateway.NotFound {
		t.Error("finished:", err)
	}
	select {
	case h := <-heard:
		if h.why.Code != gateway.NotFound {
			t.Error(h.why)
		}
	case <-time.After(time.Minute):
		t.Fatal("goes on")
	}
	eventually(t, "no more is taken", func() bool { return s.fast(u, body, 0, 1) != nil })
	release()
	s.durable(u, "[{0 1000}]")
	if _, err := people.Reinstate(ctx, s.house.Admin, s.house.Ada.ParticipantID); err != nil {
		t.Fatal(err)
	}
	defer s.receive(u.ID)()
	if _, err := s.uploads.FastFinish(ctx, u.ID, u.Size, digest(body)); err != nil {
		t.Error(err)
	}
}
