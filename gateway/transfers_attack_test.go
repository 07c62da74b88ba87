package gateway_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// Of changes that were made from the same state one counts, also of the first ones.
func TestAccountIsChangedByOne(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		x := transfersOf(s, db.Replica())
		for version := int64(1); version < 3; version++ {
			errs := make([]error, 8)
			together(len(errs), func(i int) {
				_, errs[i] = x.SetAccount(t.Context(), s.house.Admin, version, gateway.TransferAccountChange{CapBPS: new(int64(1_000_000 * (i + 1)))})
			})
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else {
					gatewaytest.Want(t, err, gateway.Conflict, "changed_meanwhile")
				}
			}
			if acc, err := x.Account(t.Context(), s.house.Ada); won != 1 || err != nil || acc.Version != version+1 {
				t.Errorf("%d changes of version %d, which is %d now: %v", won, version, acc.Version, err)
			}
		}
		for _, a := range []gateway.Actor{s.house.Ada, gatewaytest.Machine(s.house.Hub, gateway.ScopeTransfersRead)} {
			_, err := x.SetAccount(t.Context(), a, 3, gateway.TransferAccountChange{})
			if gateway.CodeOf(err) != gateway.Forbidden {
				t.Error(err)
			}
		}
	})
}

// A name is a text and never a path; twins that look the same are two files.
func TestNamesOfATransfer(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		x := transfersOf(s, db.Replica())
		ctx, ada := t.Context(), s.house.Ada
		names := []string{"../../etc/passwd.mp4", "..mp4/../a.mp4", "C:\\x\\..\\b.mp4", "caf\u00e9.mp4", "cafe\u0301.mp4", "a.mp4", "a.mp4", "\u202egpj.mp4", ".mp4/x.mp4"}
		in := make([]gateway.NewUpload, len(names))
		for i, n := range names {
			in[i] = gateway.NewUpload{Name: n, Size: 5}
		}
		made, err := x.Create(ctx, ada, gateway.NewTransfer{Files: in, Device: "lab\x00\u202e\n1"})
		if err != nil || made.View.Device != "lab 1" {
			t.Fatalf("%q %v", made.View.Device, err)
		}
		ad := begun(t, x, made)
		defer ad.Close()
		for i, u := range ad.Uploads {
			if u.Name != names[i] {
				t.Errorf("%q, announced as %q", u.Name, names[i])
			}
			if err := s.fast(u, []byte("12345"), 0, 5); err != nil {
				t.Error(err)
			}
			if _, err := s.uploads.FastFinish(ctx, u.ID, 5, digest([]byte("12345"))); err != nil {
				t.Error(err)
			}
		}
		for _, n := range []string{"a\x00.mp4", "a\xff.mp4", ""} {
			_, err := x.Create(ctx, ada, gateway.NewTransfer{Files: []gateway.NewUpload{{Name: "good.mp4", Size: 1}, {Name: n, Size: 1}}})
			if e := gateway.AsError(err); e.Code != gateway.Invalid || e.Field != "/files/1/name" {
				t.Errorf("%q: %v", n, err)
			}
		}
		_, err = x.Create(ctx, ada, gateway.NewTransfer{Files: files(100_000, 1)})
		gatewaytest.Want(t, err, gateway.TooLarge, "too_many_files")
	})
}

// A ticket opens its own transfer, for a while; others see nothing of that.
func TestTicketOfATransfer(t *testing.T) {
	clock := gatewaytest.NewClock()
	s := newSite(t, storetest.SQLite(t), siteOptions{Clock: clock})
	x := transfersOf(s, s.db.Replica())
	ctx := t.Context()
	elsewhere := gatewaytest.NewHouse(t, s.db, clock.Now, "south", gateway.PlanUniversity)
	made, err := x.Create(ctx, s.house.Ada, gateway.NewTransfer{Files: files(1, 5)})
	if err != nil {
		t.Fatal(err)
	}
	id, up := made.View.ID, made.Uploads[0].ID
	for _, a := range []gateway.Actor{elsewhere.Ada, elsewhere.Admin} {
		_, err := x.Get(ctx, a, id)
		gatewaytest.Want(t, err, gateway.NotFound, "")
		_, err = x.Cancel(ctx, a, id)
		gatewaytest.Want(t, err, gateway.NotFound, "")
		_, err = x.Renew(ctx, a, id)
		gatewaytest.Want(t, err, gateway.NotFound, "")
		_, err = x.Update(ctx, a, id, gateway.TransferChange{First: new(true)})
		gatewaytest.Want(t, err, gateway.NotFound, "")
		_, err = x.UploadsOf(ctx, a, id, gateway.Slice{})
		gatewaytest.Want(t, err, gateway.NotFound, "")
		if list, err := x.List(ctx, a, "", a.Admin(), gateway.Slice{}); err != nil || len(list) != 0 {
			t.Error(list, err)
		}
	}
	_, err = x.Create(ctx, s.house.Bob, gateway.NewTransfer{UploadIDs: []string{up}})
	gatewaytest.Want(t, err, gateway.NotFound, "")

	tickets := x.Tickets
	for purpose, subject := range map[string]string{gateway.TicketDownload: id, gateway.TicketTransfer: up} {
		token, err := tickets.Issue(purpose, subject, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Open(ctx, token); err == nil {
			t.Errorf("a ticket of %q for %s was taken", purpose, subject)
		}
	}
	// Used twice it lets the same sender in twice: the newer session takes over.
	token := made.Ticket.Token.Reveal()
	for range 2 {
		ad, err := x.Open(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		defer ad.Close()
	}
	clock.Add(16 * time.Minute)
	_, err = x.Open(ctx, token)
	gatewaytest.Want(t, err, gateway.Unauthenticated, "")
}

// An app that is switched off stops sending, as a person does who is suspended, and finishes nothing.
func TestSwitchedOffAppIsOut(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, storetest.Open(t, store.Options{DataDir: dir}), siteOptions{})
		x := transfersOf(s, s.db.Replica())
		ctx, clients := t.Context(), &gateway.Clients{Store: s.db, Clock: s.uploads.Clock}
		name, scopes := "robot", []string{gateway.ScopeUploadsWrite, gateway.ScopeMediaRead}
		c, _, err := clients.Create(ctx, s.house.Admin, gateway.ClientMachine, gateway.ClientDraft{Name: &name, Scopes: &scopes})
		if err != nil {
			t.Fatal(err)
		}
		robot := gateway.Actor{HubID: s.house.Hub.ID, ClientID: c.ID, Role: gateway.RoleParticipant, Scopes: scopes}
		made, err := x.Create(ctx, robot, gateway.NewTransfer{Files: files(1, 5)})
		if err != nil {
			t.Fatal(err)
		}
		ad := begun(t, x, made)
		defer ad.Close()
		if err := s.fast(made.Uploads[0], []byte("12345"), 0, 5); err != nil {
			t.Fatal(err)
		}
		off := time.Now()
		c.DisabledAt = &off
		if err := s.db.Clients().Update(ctx, &c); err != nil {
			t.Fatal(err)
		}
		_, err = s.uploads.FastFinish(ctx, made.Uploads[0].ID, 5, "")
		gatewaytest.Want(t, err, gateway.NotFound, "")
		until(t, "it is told", func() bool { return gateway.CodeOf(ad.Err()) == gateway.NotFound })
	})
}

// slowRows is the database when it takes its time over one question.
type slowRows struct {
	gateway.Store
	asked, answer chan struct{}
}

func (s slowRows) Transfers() gateway.TransferTable { return slowTransfers{s.Store.Transfers(), s} }

type slowTransfers struct {
	gateway.TransferTable
	of slowRows
}

func (s slowTransfers) Named(ctx context.Context, ids []string) ([]gateway.Transfer, error) {
	select {
	case s.of.asked <- struct{}{}:
		<-s.of.answer
	default:
	}
	return s.TransferTable.Named(ctx, ids)
}

// A session that comes while the rows of the others are read has not ended.
func TestComesWhileRowsAreRead(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, storetest.Open(t, store.Options{DataDir: dir}), siteOptions{})
		x := transfersOf(s, s.db.Replica())
		slow := slowRows{s.db, make(chan struct{}), make(chan struct{})}
		x.Store = slow
		open := func(a gateway.Actor) *gateway.Admission {
			t.Helper()
			made, err := x.Create(t.Context(), a, gateway.NewTransfer{Files: files(1, 5)})
			if err != nil {
				t.Fatal(err)
			}
			ad, err := x.Open(t.Context(), made.Ticket.Token.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			return ad
		}
		first := open(s.house.Ada)
		defer first.Close()
		<-slow.asked
		second := open(s.house.Bob)
		defer second.Close()
		slow.answer <- struct{}{}
		time.Sleep(10 * time.Second)
		if err := second.Err(); err != nil {
			t.Error(err)
		}
	})
}

// begun is a session of the fast path that was let in and has taken its uploads over.
func begun(t *testing.T, x *gateway.Transfers, made gateway.StartedTransfer) *gateway.Admission {
	t.Helper()
	ad, err := x.Open(t.Context(), made.Ticket.Token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if err := ad.Start(t.Context(), func(string, *gateway.Error) {}); err != nil {
		t.Fatal(err)
	}
	return ad
}
