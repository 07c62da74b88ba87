package transfer

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/transfer/rate"
)

// through is a sender's configuration by way of a proxy, at a pace that the proxy can follow.
func (w *world) through(p *proxy) SenderConfig {
	c := w.sender(p.addr)
	c.Rate = rate.Config{Policy: rate.Fixed, Target: 100 * rate.Mbit}
	return c
}

func TestBadPathsChangeNothing(t *testing.T) {
	for _, f := range []faults{
		{loss: 0.02},
		{loss: 0.2, spareQUIC: true},
		{duplicate: 0.3},
		{reorder: 0.2},
		{corrupt: 0.05},
		{loss: 0.05, duplicate: 0.05, reorder: 0.05, corrupt: 0.02},
	} {
		t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1_500_000, 3, 20_000, 20_000)
			w.start()
			p := newProxy(t, w.server.Addr(), f)
			got := w.send(NewSender(w.through(p)))
			// What is repeated is what was lost, what was overtaken by far before the sender learned to wait, and, on a machine
			// that stops for a while, one window.
			allowed := (f.loss+f.corrupt+f.reorder)*1.5 + 1
			if share := float64(got.Repeated) / float64(got.Total); share > allowed {
				t.Errorf("%.3f of the bytes were repeated, allowed %.3f", share, allowed)
			}
		})
	}
}

// during runs f when a part of the bytes has arrived.
func during(s *Sender, share float64, f func()) (wait func()) {
	done := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			if p := s.Progress(); p.Total > 0 && float64(p.Done) >= share*float64(p.Total) {
				f()
				return
			}
		}
	}()
	return func() { close(stop); <-done }
}

func TestAddressChangesInFlight(t *testing.T) {
	t.Parallel()
	for _, one := range []bool{false, true} {
		t.Run(fmt.Sprintf("one_socket=%v", one), func(t *testing.T) {
			w := newWorld(t, 4_000_000)
			w.cfg.OneSocket = one
			w.start()
			p := newProxy(t, w.server.Addr(), faults{})
			s := NewSender(w.through(p))
			wait := during(s, 0.3, p.rebind)
			got := w.send(s)
			wait()
			if got.Tries != 1 {
				t.Errorf("%d connections; the first should have gone on", got.Tries)
			}
		})
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 100_000, 0, 2_900_000)
	w.start()
	p := newProxy(t, w.server.Addr(), faults{})
	c := w.through(p)
	c.Rate.Target = 10 * rate.Mbit // slow enough for a busy machine to pause it in the middle
	s := NewSender(c)
	wait := during(s, 0.3, func() {
		s.Pause()
		before := int64(-1)
		quiet := eventually(func() bool { // what is under way arrives
			last := before
			before = p.data.Load()
			time.Sleep(50 * time.Millisecond)
			return before == last
		})
		if g := s.Progress(); !quiet || g.Done == g.Total {
			t.Errorf("%d of %d bytes are there, though it pauses", g.Done, g.Total)
		}
		done := int64(0)
		for _, u := range s.Uploads() {
			done += u.Done
		}
		// What was taken for lost and came after all counts in the whole at once, by upload when its copy came, too.
		if p := s.Progress(); done > p.Done || done == 0 || p.Path != "paused" {
			t.Errorf("%d bytes of the uploads are there, %d in all; %s", done, p.Done, p.Path)
		}
		s.Resume()
	})
	got := w.send(s)
	wait()
	if got.Tries != 1 {
		t.Errorf("%d connections", got.Tries)
	}
}

func TestManySmallFilesSharePackets(t *testing.T) {
	t.Parallel()
	sizes := make([]int, 600)
	total := 0
	for i := range sizes {
		sizes[i] = 500 + i%700
		total += sizes[i]
	}
	w := newWorld(t, sizes...)
	w.start()
	p := newProxy(t, w.server.Addr(), faults{})
	w.send(NewSender(w.through(p)))
	if least := int64(total / 1196); p.data.Load() > least*12/10 {
		t.Errorf("%d packets, %d would hold all bytes", p.data.Load(), least)
	}
}

func TestNewerClientWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4_000_000)
	var writers atomic.Int32
	w.tickets.grants["good"] = Grant{
		Uploads: w.uploads,
		Start: func(context.Context, *Session) error {
			if n := writers.Add(1); n != 1 {
				t.Errorf("%d writers at once", n)
			}
			return nil
		},
		Close: func() { writers.Add(-1) },
	}
	w.start()
	p := newProxy(t, w.server.Addr(), faults{})
	c := w.through(p)
	c.Rate.Target = 10 * rate.Mbit // slow enough for a busy machine to begin the second before the first is through
	older, newer := NewSender(c), NewSender(c)
	told := make(chan error, 1)
	go func() {
		_, err := older.Send(context.Background())
		told <- err
	}()
	until(t, "more than a window is there", func() bool { return older.Progress().Done >= 2_500_000 })
	got := w.send(newer)
	if err := <-told; CodeOf(err) != CodeTakenOver {
		t.Errorf("the older client was told %v", err)
	}
	// What was under way is sent twice: 10 Mbit/s for windowSlack, and a batch.
	if sent := older.Progress().Sent + got.Sent; sent > got.Total+1_500_000 {
		t.Errorf("both sent %d bytes of %d", sent, got.Total)
	}
}

// TestPathBecomesNarrow: large packets vanish in mid-transfer, without any word of the network.
func TestPathBecomesNarrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4_000_000)
	w.start()
	p := newProxy(t, w.server.Addr(), faults{})
	s := NewSender(w.through(p))
	wait := during(s, 0.3, func() { p.narrow.Store(1300) })
	got := w.send(s)
	wait()
	if got.Tries != 1 || p.data.Load() > 4_000_000/1000 {
		t.Errorf("%d connections, %d packets", got.Tries, p.data.Load())
	}
}

func TestBlockedPathIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10_000)
	w.start()
	p := newProxy(t, w.server.Addr(), faults{})
	p.narrow.Store(1) // QUIC passes
	c := w.through(p)
	c.Tries = 1
	s := NewSender(c)
	s.silence = 200 * time.Millisecond
	if _, err := s.Send(context.Background()); CodeOf(err) != CodeBlocked {
		t.Errorf("Send: %v", err)
	}
}

// TestPacketSizeIsKnown: the controller counts in the packets that are used; the loopback takes large ones.
func TestPacketSizeIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 300_000)
	w.start()
	c := w.sender(w.server.Addr())
	c.Rate = rate.Config{Policy: rate.Fixed, Target: 8 * rate.Mbit}
	if got := w.send(NewSender(c)); got.State.Burst != 2*9000 {
		t.Errorf("bursts of %d bytes", got.State.Burst)
	}
}
