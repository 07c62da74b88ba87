package gateway_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/media"
	"isthmus/secrets"
	"isthmus/store"
	"isthmus/store/storetest"
)

// transfersOf puts transfers on a site; another replica is named.
func transfersOf(s *site, replica string) *gateway.Transfers {
	s.t.Helper()
	tickets, err := secrets.NewTickets(s.keys, "https://isthmus.example", s.uploads.Clock)
	if err != nil {
		s.t.Fatal(err)
	}
	x := &gateway.Transfers{
		Store: s.db, Clock: s.uploads.Clock, Uploads: s.uploads, Hubs: &gateway.Hubs{Store: s.db, Clock: s.uploads.Clock}, Events: s.events,
		Tickets: tickets, Replica: replica,
		Endpoint: func() ([]string, string) { return []string{"isthmus.example:8080"}, "00ff" },
	}
	s.t.Cleanup(x.Close)
	return x
}

func files(n int, size int64) []gateway.NewUpload {
	out := make([]gateway.NewUpload, n)
	for i := range out {
		out[i] = gateway.NewUpload{Name: fmt.Sprintf("%05d.mp4", i), Size: size}
	}
	return out
}

// until asks again and again; what it waits for comes within a second or two, the bound only ends a test that would hang.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestTransfersFromBeginningToEnd(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		x := transfersOf(s, db.Replica())
		ctx, ada := t.Context(), s.house.Ada
		loose := s.create(ada, "loose.mp4", []byte("12345"))
		made, err := x.Create(ctx, ada, gateway.NewTransfer{Files: files(3, 5), UploadIDs: []string{loose.ID}, Device: "lab"})
		if err != nil {
			t.Fatal(err)
		}
		if made.View.Files != 4 || made.View.Size != 20 || made.View.Policy != gateway.PolicyFair || made.Ticket.KeyHash != "00ff" || len(made.Ticket.Addresses) != 1 || made.Uploads[3].ID != loose.ID {
			t.Errorf("%+v", made.View)
		}
		if n := len(told(t, db, ada, "transfer.created")); n != 1 {
			t.Errorf("announced %d times", n)
		}

		// Whoever else has the ticket's subject, or another purpose, has nothing.
		_, err = x.Open(ctx, made.Ticket.Token.Reveal()+"x")
		gatewaytest.Want(t, err, gateway.Unauthenticated, "")
		ad, err := x.Open(ctx, made.Ticket.Token.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		defer ad.Close()
		if len(ad.Uploads) != 4 || ad.Uploads[0].ID != loose.ID || ad.Uploads[3].ID != made.Uploads[2].ID {
			t.Errorf("%+v", ad.Uploads)
		}
		if rate, priority := ad.Share(); rate != -1 || priority != 0 {
			t.Error(rate, priority)
		}
		if err := ad.Start(ctx, func(string, *gateway.Error) {}); err != nil {
			t.Fatal(err)
		}
		for _, u := range ad.Uploads[:2] { // its place is made by the first byte
			if err := s.uploads.FastWrite(ctx, u.ID, []byte("12345"), 0); err != nil {
				t.Fatal(err)
			}
			if _, err := s.uploads.FastFinish(ctx, u.ID, 5, digest([]byte("12345"))); err != nil {
				t.Fatal(err)
			}
		}
		ad.Observe(gateway.Reading{Bytes: 10, Carried: 20, Missing: 10, RTT: 200 * time.Millisecond, Loss: 0.02})
		v, err := x.Get(ctx, ada, made.View.ID)
		if err != nil || v.State != gateway.TransferOpen || v.Ended != 2 || v.Received != 10 || v.Now.Path != gateway.PathQUIC || v.Now.RTT != 200*time.Millisecond {
			t.Errorf("%+v %v", v, err)
		}
		// Two went to tus: the session is told, the transfer is the same.
		s.send(ada, ad.Uploads[2].ID, []byte("12345"))
		if _, err := s.uploads.Finish(ctx, ada, ad.Uploads[2].ID, 5, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := s.uploads.Cancel(ctx, ada, ad.Uploads[3].ID); err != nil {
			t.Fatal(err)
		}
		if v, err = x.Get(ctx, ada, made.View.ID); err != nil || v.State != gateway.TransferDone || v.Ended != 4 {
			t.Errorf("%+v %v", v, err)
		}
		if all := told(t, db, ada, "transfer.done"); len(all) != 1 || all[0]["files_done"] != 4.0 {
			t.Errorf("%v", all)
		}
		_, err = x.Renew(ctx, ada, made.View.ID)
		gatewaytest.Want(t, err, gateway.Conflict, "transfer_ended")
		_, err = x.Get(ctx, s.house.Bob, made.View.ID)
		gatewaytest.Want(t, err, gateway.NotFound, "")
	})
}

func TestTransfersHaveLimits(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		x := transfersOf(s, db.Replica())
		ctx, ada, bob := t.Context(), s.house.Ada, s.house.Bob
		refused := func(a gateway.Actor, n gateway.NewTransfer, code gateway.Code, reason, field string) {
			t.Helper()
			_, err := x.Create(ctx, a, n)
			gatewaytest.Want(t, err, code, reason)
			gatewaytest.Explained(t, err)
			if e := gateway.AsError(err); e.Field != field {
				t.Errorf("%s at %q, want %q", reason, e.Field, field)
			}
		}
		all, err := x.Create(ctx, ada, gateway.NewTransfer{Files: files(9_999, 1)})
		if err != nil {
			t.Fatal(err)
		}
		for i, u := range all.Uploads {
			if u.Name != fmt.Sprintf("%05d.mp4", i) || i > 0 && u.ID <= all.Uploads[i-1].ID {
				t.Fatalf("%d: %s", i, u.Name)
			}
		}
		refused(ada, gateway.NewTransfer{Files: files(2, 1)}, gateway.TooLarge, "too_many_files", "/files")
		refused(ada, gateway.NewTransfer{Files: []gateway.NewUpload{{Name: "a.mp4", Size: 1}, {Name: "b.exe", Size: 1}}}, gateway.Invalid, "type_not_accepted", "/files/1/name")
		refused(bob, gateway.NewTransfer{UploadIDs: []string{all.Uploads[0].ID}}, gateway.NotFound, "", "/upload_ids/0")
		refused(bob, gateway.NewTransfer{Files: files(1, 1), Policy: gateway.PolicyFixed}, gateway.Invalid, "rate_missing", "/rate_bps")
		refused(bob, gateway.NewTransfer{}, gateway.Invalid, "nothing_to_send", "/files")

		if v, err := x.Cancel(ctx, ada, all.View.ID); err != nil || v.State != gateway.TransferCancelled || v.Ended != 9_999 || v.Received != 0 {
			t.Errorf("%+v %v", v, err)
		}

		// The second transfer takes over what is left of the first, which ends by that.
		if all, err = x.Create(ctx, ada, gateway.NewTransfer{Files: files(20, 1)}); err != nil {
			t.Fatal(err)
		}
		ids := make([]string, len(all.Uploads))
		for i, u := range all.Uploads {
			ids[i] = u.ID
		}
		next, err := x.Create(ctx, ada, gateway.NewTransfer{UploadIDs: ids})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := x.Get(ctx, ada, all.View.ID); err != nil || v.State != gateway.TransferCancelled || v.Files != 0 {
			t.Errorf("%+v %v", v, err)
		}
		// One that has begun is cancelled for itself, the others together.
		s.send(ada, ids[7], []byte("x"))
		if err := db.Uploads().SetReceived(ctx, ids[7], 1); err != nil {
			t.Fatal(err)
		}
		v, err := x.Cancel(ctx, ada, next.View.ID)
		if err != nil || v.State != gateway.TransferCancelled || v.Ended != 20 || v.Received != 0 {
			t.Errorf("%+v %v", v, err)
		}
		if _, err := x.Cancel(ctx, ada, next.View.ID); err != nil {
			t.Error(err)
		}
		if a, b := len(told(t, db, ada, "upload.cancelled")), len(told(t, db, ada, "transfer.cancelled")); a != 1 || b != 3 {
			t.Error(a, b)
		}

		// A transfer counts as one upload, and of many creators none takes what another has taken.
		hub, err := db.Hubs().Get(ctx, gateway.AnyHub, s.house.Hub.ID)
		if err != nil {
			t.Fatal(err)
		}
		hub.QuotaBytes = 1000
		if err := db.Hubs().Update(ctx, &hub); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() { _, errs[i] = x.Create(ctx, bob, gateway.NewTransfer{Files: files(3, 100)}) })
		}
		wg.Wait()
		taken := 0
		for _, err := range errs {
			if err == nil {
				taken++
			} else {
				gatewaytest.Want(t, err, gateway.TooLarge, "quota_exceeded")
			}
		}
		if taken != 3 {
			t.Errorf("%d transfers of 300 bytes into 1000", taken)
		}
		for range 17 {
			if _, err := x.Create(ctx, bob, gateway.NewTransfer{Files: files(2, 1)}); err != nil {
				t.Fatal(err)
			}
		}
		refused(bob, gateway.NewTransfer{Files: files(1, 1)}, gateway.Conflict, "too_many_uploads", "")
		_, err = s.uploads.Create(ctx, bob, gateway.NewUpload{Name: "a.mp4", Size: 1})
		gatewaytest.Want(t, err, gateway.Conflict, "too_many_uploads")
	})
}

func TestACapIsShared(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		synctest.Test(t, func(t *testing.T) { aCapIsShared(t, storetest.Open(t, o)) })
	})
}

func aCapIsShared(t *testing.T, db *store.DB) {
	s := newSite(t, db, siteOptions{})
	here, there := transfersOf(s, db.Replica()), transfersOf(s, "another")
	ctx := t.Context()
	_, err := here.SetAccount(ctx, s.house.Ada, 1, gateway.TransferAccountChange{})
	gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
	acc, err := here.SetAccount(ctx, s.house.Admin, 1, gateway.TransferAccountChange{CapBPS: new(int64(100_000_000))})
	if err != nil || acc.Version != 2 {
		t.Fatal(acc, err)
	}
	_, err = here.SetAccount(ctx, s.house.Admin, 1, gateway.TransferAccountChange{})
	gatewaytest.Want(t, err, gateway.Conflict, "changed_meanwhile")
	open := func(x *gateway.Transfers, a gateway.Actor) (*gateway.Admission, gateway.Transfer) {
		t.Helper()
		made, err := x.Create(ctx, a, gateway.NewTransfer{Files: files(1, 1000)})
		if err != nil {
			t.Fatal(err)
		}
		ad, err := x.Open(ctx, made.Ticket.Token.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(ad.Close)
		return ad, made.View.Transfer
	}
	about := func(ad *gateway.Admission, mbit int64) func() bool {
		return func() bool {
			rate, _ := ad.Share()
			return rate > mbit*980_000 && rate < mbit*1_020_000
		}
	}
	a, of := open(here, s.house.Ada)
	until(t, "alone it has all", about(a, 100))
	b, bobs := open(there, s.house.Bob)
	until(t, "half for one", about(a, 50))
	until(t, "half for the other, on another replica", about(b, 50))
	if _, err := here.Update(ctx, s.house.Ada, of.ID, gateway.TransferChange{Policy: new(gateway.PolicyLow)}); err != nil {
		t.Fatal(err)
	}
	until(t, "a third for the one that yields", about(a, 33))
	// Put first by an admin, it comes before all of the hub, on both replicas; a page elsewhere sees how it goes.
	if _, err := here.Update(ctx, s.house.Admin, bobs.ID, gateway.TransferChange{First: new(true)}); err != nil {
		t.Fatal(err)
	}
	until(t, "first", about(b, 99))
	until(t, "the other keeps a little", about(a, 1))
	if _, priority := b.Share(); priority != 2 {
		t.Error(priority)
	}
	until(t, "other replicas know", func() bool {
		v, err := here.Get(ctx, s.house.Bob, bobs.ID)
		return err == nil && v.Now.Path == gateway.PathQUIC && v.Now.ShareBPS > 90_000_000
	})
	// Who is suspended is out.
	people := &gateway.People{Store: db, Clock: s.uploads.Clock, Events: s.events, Uploads: s.uploads, Library: s.library}
	if _, err := people.Suspend(ctx, s.house.Admin, s.house.Bob.ParticipantID); err != nil {
		t.Fatal(err)
	}
	until(t, "the suspended one is told", func() bool { return gateway.CodeOf(b.Err()) == gateway.NotFound })
	b.Close()
	b.Close()
	until(t, "it has all again", about(a, 100))
	if a.Err() != nil {
		t.Error(a.Err())
	}
}

// Who was cut off before the receipts came gets them with the next session, also when nothing is left to send.
func TestReceiptsAreToldAgain(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		x := transfersOf(s, db.Replica())
		ctx, ada, body := t.Context(), s.house.Ada, noise(100)
		made, err := x.Create(ctx, ada, gateway.NewTransfer{Files: files(3, 100)})
		if err != nil {
			t.Fatal(err)
		}
		open := func() *gateway.Admission {
			t.Helper()
			ad, err := x.Open(ctx, made.Ticket.Token.Reveal())
			if err == nil {
				err = ad.Start(ctx, func(string, *gateway.Error) {})
			}
			if err != nil {
				t.Fatal(err)
			}
			return ad
		}
		ad := open()
		for _, u := range ad.Uploads[:2] {
			if err := s.fast(u, body, 0, 100); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.uploads.FastFinish(ctx, made.Uploads[0].ID, 100, digest(body)); err != nil {
			t.Fatal(err)
		}
		ad.Close()
		if ad = open(); len(ad.Uploads) != 2 || len(ad.Ended) != 1 || ad.Ended[0].ID != made.Uploads[0].ID || ad.Ended[0].SHA256 != digest(body) {
			t.Errorf("%d to send, %d ended", len(ad.Uploads), len(ad.Ended))
		}
		if _, err := s.uploads.FastFinish(ctx, made.Uploads[1].ID, 100, digest(body)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.uploads.Cancel(ctx, ada, made.Uploads[2].ID); err != nil {
			t.Fatal(err)
		}
		ad.Close()
		ad = open()
		defer ad.Close()
		if len(ad.Uploads) != 0 || len(ad.Ended) != 3 || ad.Ended[2].Ended() == nil || ad.Ended[1].Ended() != nil {
			t.Errorf("%d to send, %d ended", len(ad.Uploads), len(ad.Ended))
		}
	})
}

// What does not fit is refused when it is announced: files that are no good all at once, and what the disk has no room for.
func TestAnnouncedInVain(t *testing.T) {
	s := newSite(t, storetest.SQLite(t), siteOptions{})
	x := transfersOf(s, s.db.Replica())
	ctx, ada := t.Context(), s.house.Ada
	bad := files(1500, 5)
	for i := range bad[:1200] {
		bad[i].Size = 0
	}
	_, err := x.Create(ctx, ada, gateway.NewTransfer{Files: bad})
	gatewaytest.Want(t, err, gateway.Invalid, "empty_file")
	if e := gateway.AsError(err); e.Field != "/files/0/size" || len(e.More) != 999 || e.More[998].Field != "/files/999/size" {
		t.Errorf("%s and %d more", e.Field, len(e.More))
	}
	full, err := media.OpenDisk(t.TempDir(), 1<<60)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	s.uploads.Staging = media.NewStaging(full)
	_, err = x.Create(ctx, ada, gateway.NewTransfer{Files: files(2, 5)})
	gatewaytest.Want(t, err, gateway.Unavailable, "disk_full")
	gatewaytest.Explained(t, err)
	if list, err := x.List(ctx, ada, "", false, gateway.Slice{}); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
}
