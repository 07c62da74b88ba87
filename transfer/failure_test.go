package transfer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/transfer/rate"
)

// failingDisk is a folder on a disk that fails at times.
type failingDisk struct {
	*Dir
	writes, syncs atomic.Int64 // failures left
}

var errDisk = errors.New("input/output error")

func (d *failingDisk) WriteAt(ctx context.Context, id string, p []byte, off int64) error {
	if d.writes.Add(-1) >= 0 {
		return errDisk
	}
	return d.Dir.WriteAt(ctx, id, p, off)
}

func (d *failingDisk) Sync(ctx context.Context, id string) error {
	if d.syncs.Add(-1) >= 0 {
		return errDisk
	}
	return d.Dir.Sync(ctx, id)
}

func TestStorageFailureIsToldAndTriedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		writes, syncs int64
	}{{"write", 1, 0}, {"sync", 0, 1}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 12_000_000)
			disk := &failingDisk{Dir: OpenDir(w.in, false)}
			disk.writes.Store(c.writes)
			disk.syncs.Store(c.syncs)
			w.cfg.Files = disk
			w.start()
			cfg := w.sender(w.server.Addr())
			cfg.Rate = rate.Config{Policy: rate.Fixed, Target: 300 * rate.Mbit}
			s := NewSender(cfg)
			got := w.send(s)
			if got.Tries < 2 || disk.writes.Load()+disk.syncs.Load() > 0 {
				t.Errorf("%d connections: the failure was not met", got.Tries)
			}
		})
	}
}

// ends maps uploads to how they ended.
func ends(results []Result) map[string]error {
	m := map[string]error{}
	for _, r := range results {
		m[r.ID] = r.Err
	}
	return m
}

func TestFileThatIsNotAsAnnounced(t *testing.T) {
	w := newWorld(t, 50_000, 50_000, 50_000, 50_000)
	w.start()
	w.must(os.Truncate(filepath.Join(w.out, "upl_1"), 20_000))
	w.must(os.Remove(filepath.Join(w.out, "upl_2")))
	results, err := NewSender(w.sender(w.server.Addr())).Send(context.Background())
	w.must(err)
	got := ends(results)
	if len(got) != 4 || got["upl_0"] != nil || got["upl_3"] != nil {
		t.Errorf("files that are as announced: %v", got)
	}
	if CodeOf(got["upl_1"]) != CodeChanged || !errors.Is(got["upl_2"], os.ErrNotExist) {
		t.Errorf("the others: %v", got)
	}
}

// shrinking is a file that loses its end when it is read past half.
type shrinking struct {
	*os.File
	once *sync.Once
	half int64
}

func (f shrinking) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.half {
		f.once.Do(func() { _ = f.Truncate(f.half) })
	}
	return f.File.ReadAt(p, off)
}

func TestFileThatShrinksWhileItIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1_000_000, 2_000_000, 1_000_000)
	w.start()
	var once sync.Once
	cfg := w.sender(w.server.Addr())
	cfg.Open = func(u Upload) (File, error) {
		f, err := os.OpenFile(filepath.Join(w.out, u.ID), os.O_RDWR, 0)
		if u.ID == "upl_1" && err == nil {
			return shrinking{f, &once, 1_000_000}, nil
		}
		return f, err
	}
	results, err := NewSender(cfg).Send(context.Background())
	w.must(err)
	got := ends(results)
	if len(got) != 3 || got["upl_0"] != nil || got["upl_2"] != nil || CodeOf(got["upl_1"]) != CodeChanged {
		t.Errorf("ends: %v", got)
	}
}

// rewritten is a file that somebody changes after its first byte was read once.
type rewritten struct {
	*os.File
	reads *atomic.Int64
}

func (f rewritten) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if off == 0 && n > 0 && f.reads.Add(1) > 1 {
		p[0] ^= 1
	}
	return n, err
}

func TestFileThatChangesWhileItIsSentIsRefused(t *testing.T) {
	w := newWorld(t, 500_000)
	w.start()
	var reads atomic.Int64
	cfg := w.sender(w.server.Addr())
	cfg.Open = func(u Upload) (File, error) {
		f, err := os.Open(filepath.Join(w.out, u.ID))
		return rewritten{f, &reads}, err
	}
	results, err := NewSender(cfg).Send(context.Background())
	w.must(err)
	if got := ends(results); CodeOf(got["upl_0"]) != CodeDigest {
		t.Errorf("ends: %v", got)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3_000_000, 3_000_000)
	w.start()
	p := newProxy(t, w.server.Addr(), faults{})
	s := NewSender(w.through(p))
	wait := during(s, 0.1, func() { s.Cancel("upl_0") })
	results, err := s.Send(context.Background())
	wait()
	w.must(err)
	got := ends(results)
	if CodeOf(got["upl_0"]) != CodeCancelled || got["upl_1"] != nil {
		t.Errorf("ends: %v", got)
	}
	if _, err := os.Stat(filepath.Join(w.in, "upl_0.part")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("bytes of the cancelled upload: %v", err)
	}
}

func TestServerEndsASession(t *testing.T) {
	w := newWorld(t, 3_000_000)
	sessions := w.sessions()
	w.start()
	p := newProxy(t, w.server.Addr(), faults{})
	s := NewSender(w.through(p))
	wait := during(s, 0.1, func() { (<-sessions).End(fail(CodeCancelled, "the upload was cancelled")) })
	_, err := s.Send(context.Background())
	wait()
	if CodeOf(err) != CodeCancelled {
		t.Errorf("Send: %v", err)
	}
}

func TestTicketIsRenewed(t *testing.T) {
	w := newWorld(t, 10_000)
	w.start()
	cfg := w.sender(w.server.Addr())
	good := cfg.Ticket
	cfg.Ticket.Token = "bad"
	cfg.Renew = func(context.Context) (Ticket, error) { return good, nil }
	w.send(NewSender(cfg))
}

func TestShareHoldsAndLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1_000_000)
	var share atomic.Int64 // 0: nothing for now
	over := make(chan struct{})
	w.tickets.grants["good"] = Grant{
		Uploads: w.uploads,
		Share:   func() Share { return Share{Rate: share.Load(), Priority: 3} },
		Close:   sync.OnceFunc(func() { close(over) }),
	}
	w.start()
	s := NewSender(w.sender(w.server.Addr()))
	go func() {
		time.Sleep(150 * time.Millisecond)
		if n := s.Progress().Done; n != 0 {
			t.Errorf("%d bytes came though the share is nothing", n)
		}
		share.Store(int64(40 * rate.Mbit))
	}()
	got := w.send(s)
	if got.State.Rate > 40*rate.Mbit || got.Priority != 3 {
		t.Errorf("rate %v, priority %d", got.State.Rate, got.Priority)
	}
	<-over // Close was called
}

// stuckDisk takes no bytes until it is let go.
type stuckDisk struct {
	*Dir
	free chan struct{}
}

func (d *stuckDisk) WriteAt(ctx context.Context, id string, p []byte, off int64) error {
	<-d.free
	return d.Dir.WriteAt(ctx, id, p, off)
}

// TestStuckDiskBoundsMemory: what the disk does not take is not taken from the network either, and nothing is lost.
func TestStuckDiskBoundsMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6_000_000)
	disk := &stuckDisk{OpenDir(w.in, false), make(chan struct{})}
	w.cfg.Files = disk
	w.cfg.Limits.Buffer = 1 << 20
	w.start()
	cfg := w.sender(w.server.Addr())
	cfg.Rate = rate.Config{Policy: rate.Fixed, Target: 500 * rate.Mbit}
	s := NewSender(cfg)
	go func() {
		defer close(disk.free)
		taken := func() (n int64) {
			for _, i := range w.server.Sessions() {
				n += i.Taken
			}
			return n
		}
		full := eventually(func() bool { return taken() >= int64(w.cfg.Limits.Buffer-2*chunkSize) })
		time.Sleep(200 * time.Millisecond) // more comes, and is not taken
		if n, most := taken(), int64(w.cfg.Limits.Buffer+2*chunkSize); !full || n > most {
			t.Errorf("%d bytes were taken, at most %d may wait", n, most)
		}
	}()
	w.send(s)
}
