package gateway_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// What comes over HTTPS counts like a session: it shows, and it keeps to the cap, whether it is part of a transfer or not.
func TestHTTPSKeepsToTheCap(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, x := metered(t, dir, 8_000_000)
		ctx, ada := t.Context(), s.house.Ada
		body := bytes.Repeat([]byte("x"), 1_200_000)
		least := time.Duration(float64(len(body)) * 8 / 8_000_000 * float64(time.Second))
		made, err := x.Create(ctx, ada, gateway.NewTransfer{Files: files(1, int64(len(body)))})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		done := sendAll(s, ada, made.Uploads[0].ID, body)
		until(t, "it shows", func() bool {
			v, err := x.Get(ctx, ada, made.View.ID)
			return err == nil && v.Now.Path == gateway.PathHTTPS && v.Now.RateBPS > 0
		})
		if n := <-done; n != int64(len(body)) || time.Since(began) < least {
			t.Errorf("%d bytes in %s, at 8 Mbit/s", n, time.Since(began))
		}
		if _, err := s.uploads.Finish(ctx, ada, made.Uploads[0].ID, int64(len(body)), digest(body)); err != nil {
			t.Fatal(err)
		}

		// Uploads by themselves, of two people, have half each, however many they are.
		time.Sleep(5 * time.Second) // the transfer has ended for good
		began = time.Now()
		one, two := sendAll(s, ada, s.create(ada, "one.mp4", body).ID, body), sendAll(s, ada, s.create(ada, "two.mp4", body).ID, body)
		bobs := sendAll(s, s.house.Bob, s.create(s.house.Bob, "three.mp4", body).ID, body)
		if n := <-bobs; n != int64(len(body)) || time.Since(began) < 2*least || time.Since(began) > 28*least/10 { // with a third: 3.1 and what it takes to begin
			t.Errorf("%d bytes in %s, at half of 8 Mbit/s", n, time.Since(began))
		}
		if a, b := <-one, <-two; a != int64(len(body)) || b != a || time.Since(began) < 3*least {
			t.Errorf("%d and %d bytes in %s, at 8 Mbit/s", a, b, time.Since(began))
		}
		list, err := x.List(ctx, s.house.Admin, "", true, gateway.Slice{})
		if err != nil || len(list) != 1 {
			t.Errorf("%d transfers: %v", len(list), err)
		}
	})
}

// A session of the fast path makes room for an upload that comes by itself.
func TestOneMeterForAll(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, x := metered(t, dir, 8_000_000)
		made, err := x.Create(t.Context(), s.house.Ada, gateway.NewTransfer{Files: files(1, 1000)})
		if err != nil {
			t.Fatal(err)
		}
		ad, err := x.Open(t.Context(), made.Ticket.Token.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		defer ad.Close()
		rate := func() int64 { r, _ := ad.Share(); return r }
		until(t, "alone it has all", func() bool { return rate() > 7_900_000 })
		body := bytes.Repeat([]byte("x"), 2_000_000)
		done := sendAll(s, s.house.Bob, s.create(s.house.Bob, "plain.mp4", body).ID, body)
		until(t, "half", func() bool { return rate() < 4_100_000 })
		<-done
		until(t, "it has all again", func() bool { return rate() > 7_900_000 })
		if err := ad.Err(); err != nil {
			t.Error(err)
		}
	})
}

// Who is let have next to nothing hears it before the connection counts as dead, and comes on bit by bit.
func TestHeldOverHTTPS(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, _ := metered(t, dir, 16_000)
		ctx, ada := t.Context(), s.house.Ada
		body := noise(100_000)
		u := s.create(ada, "slow.mp4", body)
		at, answers := int64(0), 0
		for at < int64(len(body)) {
			began := time.Now()
			n, err := s.uploads.Write(ctx, ada, u.ID, at, bytes.NewReader(body[at:]))
			if took := time.Since(began); took > 25*time.Second {
				t.Fatalf("no answer for %s", took)
			}
			if at += n; err == nil {
				break
			}
			gatewaytest.Want(t, err, gateway.RateLimited, "bandwidth_taken")
			gatewaytest.Explained(t, err)
			if gateway.AsError(err).Retry == 0 {
				t.Error("nobody says when to come back")
			}
			if _, there, err := s.uploads.Offset(ctx, ada, u.ID); err != nil || there != at {
				t.Fatalf("%d bytes are there, %d were acknowledged: %v", there, at, err)
			}
			if answers++; answers > 50 {
				t.Fatal("it does not come on")
			}
		}
		if answers < 2 {
			t.Errorf("%d answers", answers)
		}
		if _, err := s.uploads.Finish(ctx, ada, u.ID, u.Size, digest(body)); err != nil {
			t.Error(err)
		}
	})
}

// metered is a site whose hub has a cap that HTTPS keeps to.
func metered(t *testing.T, dir string, limit int64) (*site, *gateway.Transfers) {
	t.Helper()
	s := newSite(t, storetest.Open(t, store.Options{DataDir: dir}), siteOptions{})
	x := transfersOf(s, s.db.Replica())
	x.Alone, s.uploads.Meter = true, x.Meter
	if _, err := x.SetAccount(t.Context(), s.house.Admin, 1, gateway.TransferAccountChange{CapBPS: &limit}); err != nil {
		t.Fatal(err)
	}
	return s, x
}

func sendAll(s *site, a gateway.Actor, id string, body []byte) <-chan int64 {
	done := make(chan int64, 1)
	go func() {
		n, err := s.uploads.Write(s.t.Context(), a, id, 0, bytes.NewReader(body))
		if err != nil {
			s.t.Error(err)
		}
		done <- n
	}()
	return done
}
