package transfer

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// TestDoneIsCalledByOneAtATime: uploads end for many reasons, which several goroutines meet.
func TestDoneIsCalledByOneAtATime(t *testing.T) {
	w := newWorld(t, slices.Repeat([]int{2000}, 60)...)
	w.start()
	c := w.sender(w.server.Addr())
	var reads atomic.Int64
	c.Open = func(u Upload) (File, error) {
		f, err := w.open(u)
		return failing{f, &reads}, err
	}
	var inside atomic.Int32
	ends := 0
	c.Done = func(Result) {
		if inside.Add(1) > 1 {
			t.Error("two at a time")
		}
		time.Sleep(time.Millisecond / 10)
		ends++
		inside.Add(-1)
	}
	if _, err := NewSender(c).Send(context.Background()); err != nil || ends != 60 {
		t.Errorf("%d ends, %v", ends, err)
	}
}

// failing is a file of which every third read fails.
type failing struct {
	File
	reads *atomic.Int64
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if f.reads.Add(1)%3 == 0 {
		return 0, errDisk
	}
	return f.File.ReadAt(p, off)
}

// TestPauseIsNotUndoneByAccident: what is said to keep the connection alive says again that the client pauses.
func TestPauseIsNotUndoneByAccident(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2_000_000, 2_000_000)
	w.start()
	p := newProxy(t, w.server.Addr(), faults{})
	c := w.through(p)
	cancelled := make(chan struct{})
	c.Done = func(r Result) {
		if r.Err != nil {
			close(cancelled)
		}
	}
	s := NewSender(c)
	sent := make(chan error, 1)
	go func() {
		_, err := s.Send(context.Background())
		sent <- err
	}()
	until(t, "it has begun", func() bool { return s.Progress().Done > 0 })
	s.Pause()
	until(t, "it pauses", func() bool { return w.server.Sessions()[0].Paused })
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	w.must(l.repeat())
	s.Cancel("upl_0") // said after it
	<-cancelled
	if !w.server.Sessions()[0].Paused {
		t.Error("it goes on")
	}
	s.Resume()
	w.must(<-sent)
}
