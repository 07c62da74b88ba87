package transfer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"isthmus/transfer/wire"
)

// gatedDisk lets each Sync wait, and notes calls that run beside Finish or Cancel or come after them.
type gatedDisk struct {
	*Dir
	syncing, free chan struct{}
	under         atomic.Int64
	ended, late   atomic.Bool
}

func (d *gatedDisk) use() func() {
	d.under.Add(1)
	if d.ended.Load() {
		d.late.Store(true)
	}
	return func() { d.under.Add(-1) }
}

func (d *gatedDisk) WriteAt(ctx context.Context, id string, p []byte, off int64) error {
	defer d.use()()
	return d.Dir.WriteAt(ctx, id, p, off)
}

func (d *gatedDisk) Sync(ctx context.Context, id string) error {
	defer d.use()()
	d.syncing <- struct{}{}
	<-d.free
	return d.Dir.Sync(ctx, id)
}

func (d *gatedDisk) end() {
	d.ended.Store(true)
	if d.under.Load() > 0 {
		d.late.Store(true)
	}
}

func (d *gatedDisk) Finish(ctx context.Context, id string, size int64, sum []byte) ([]byte, error) {
	d.end()
	return d.Dir.Finish(ctx, id, size, sum)
}

func (d *gatedDisk) Cancel(ctx context.Context, id string) error {
	d.end()
	return d.Dir.Cancel(ctx, id)
}

// TestFinishAndCancelAreAlone: a sync under way when an upload ends would bring back its file.
func TestFinishAndCancelAreAlone(t *testing.T) {
	for _, cancel := range []bool{false, true} {
		disk := &gatedDisk{Dir: OpenDir(t.TempDir(), false), syncing: make(chan struct{}), free: make(chan struct{})}
		var tp tape
		tp.add(10)
		st := newStore(context.Background(), disk, []Upload{{ID: "u", Size: 10}}, &tp, 1<<20)
		over := make(chan error, 1)
		st.receipt = func(_ int, _ []byte, err error) { over <- err }
		st.fail = func(err error) { t.Error(err) }
		var running sync.WaitGroup
		running.Go(st.finishes)
		if err := st.writePart(0, []byte("01234"), 0); err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			for _, u := range st.takeDirty(true) {
				if err := st.sync(u); err != nil {
					t.Error(err)
				}
			}
		})
		<-disk.syncing
		running.Go(func() {
			err := st.writePart(0, []byte("56789"), 5)
			if cancel {
				err = errors.Join(err, st.cancel(0))
			} else {
				err = errors.Join(err, st.finish(wire.Finish{}))
			}
			if err != nil {
				t.Error(err)
			}
		})
		select {
		case <-over:
			t.Errorf("cancel %v: over while a sync is under way", cancel)
		case <-time.After(20 * time.Millisecond):
		}
		close(disk.free)
		if err := <-over; (err != nil) != cancel {
			t.Error(err)
		}
		close(st.ready)
		running.Wait()
		if disk.late.Load() {
			t.Errorf("cancel %v: a call beside or after the end", cancel)
		}
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAllowance: what a client was allowed is the sum of what it was told.
func TestAllowance(t *testing.T) {
	var a allowance
	now := time.Now()
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	if _, _, free := a.spend(at(0)); !free {
		t.Error("bound before anything was said")
	}
	a.grant(8000, at(0))
	a.grant(16000, at(1))
	if bytes, most, free := a.spend(at(2)); bytes != 3000 || most != 2000 || free {
		t.Errorf("%v bytes, at most %v/s, free %v", bytes, most, free)
	}
	a.grant(wire.NoLimit, at(3))
	if _, _, free := a.spend(at(4)); !free {
		t.Error("bound though there is no limit")
	}
	a.grant(0, at(5))
	if _, _, free := a.spend(at(6)); !free {
		t.Error("bound though there was no limit for a second")
	}
	if bytes, _, free := a.spend(at(7)); bytes != 0 || free {
		t.Errorf("%v bytes, free %v, though the client was told to stop", bytes, free)
	}
}

// TestPausesAreSubtracted: only the time in which a client does not pause counts for its least rate.
func TestPausesAreSubtracted(t *testing.T) {
	var ss session
	now := time.Now()
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	ss.pause(true, at(1))
	ss.pause(true, at(2))
	ss.pause(false, at(3))
	ss.pause(false, at(4))
	ss.pause(true, at(9))
	if d := ss.rest(at(10)); d != 3*time.Second {
		t.Errorf("%v of ten seconds", d)
	}
	if d := ss.rest(at(20)); d != 10*time.Second || !ss.isPaused() {
		t.Errorf("%v of ten seconds", d)
	}
}

// TestPausedClientHoldsNothing: its Hellos are not answered before it goes on.
func TestPausedClientHoldsNothing(t *testing.T) {
	w := newWorld(t, 100_000)
	w.start()
	c := w.raw(t)
	c.open()
	c.hello(wire.BaseSize)
	c.answer()
	c.say(wire.MsgPause, []byte{1})
	for !w.server.Sessions()[0].Paused {
		time.Sleep(time.Millisecond)
	}
	in := w.sessionOf(c).in
	until(t, "it gives up the socket", func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		return in.path == nil
	})
	c.hello(wire.BaseSize)
	c.must(c.socket.SetReadDeadline(time.Now().Add(100 * time.Millisecond)))
	if n, _, err := c.socket.ReadFromUDPAddrPort(make([]byte, 2048)); err == nil {
		t.Errorf("%d bytes for a client that pauses", n)
	}
	c.say(wire.MsgPause, []byte{0})
	c.answer()
}

// TestNewestWaitingClientWins: an older connection that waits for the same upload must not win over a newer one.
func TestNewestWaitingClientWins(t *testing.T) {
	for range 6 {
		w := newWorld(t, 100_000)
		disk := &stuckDisk{OpenDir(w.in, false), make(chan struct{})}
		w.cfg.Files = disk
		w.start()
		first := w.raw(t)
		first.open()
		first.hello(wire.BaseSize)
		first.answer()
		first.send(first.data(0, make([]byte, 1000)))
		for w.server.Sessions()[0].Taken == 0 {
			time.Sleep(time.Millisecond)
		}
		var waiting [3]*raw
		for i := range waiting {
			waiting[i] = w.raw(t)
			waiting[i].say(wire.MsgOpen, wire.Open{Ticket: "good"}.Append(nil))
			for claims := uint64(0); claims < uint64(i)+2; time.Sleep(time.Millisecond) {
				w.server.mu.Lock()
				claims = w.server.claims
				w.server.mu.Unlock()
			}
		}
		close(disk.free)
		for _, c := range waiting[:2] {
			<-c.conn.Context().Done()
			if got := CodeOf(closed(context.Cause(c.conn.Context()))); got != CodeTakenOver {
				t.Errorf("an older client: %v", got)
			}
		}
		m, err := wire.ReadMessage(waiting[2].stream, wire.MaxServerBody)
		if err != nil || m.Type != wire.MsgWelcome {
			t.Errorf("the newest client: message %#x, %v", m.Type, err)
		}
		w.stop()
	}
}

// page makes Durable of one upload wait.
type slowListing struct {
	*Dir
	id   string
	free chan struct{}
}

func (d *slowListing) Durable(ctx context.Context, id string) ([]Range, error) {
	if id == d.id {
		<-d.free
	}
	return d.Dir.Durable(ctx, id)
}

// TestDataBeforeItsManifest: what comes for a position that the manifest has not named is not taken and not reported
// as received, so that it comes again.
func TestDataBeforeItsManifest(t *testing.T) {
	sizes := slices.Repeat([]int{100}, 600) // more than a page
	w := newWorld(t, sizes...)
	files := &slowListing{OpenDir(w.in, false), "upl_550", make(chan struct{})}
	w.cfg.Files = files
	w.start()
	c := w.raw(t)
	c.open()
	c.hello(wire.BaseSize)
	c.answer()
	const early, listed = 55_000, 200
	packets := [][]byte{c.data(early, w.contents["upl_550"]), c.data(early-50, make([]byte, 100)), c.data(listed, w.contents["upl_2"])}
	for _, b := range packets {
		c.send(b)
	}
	opener, err := wire.NewOpener(c.keys.Server)
	c.must(err)
	var f wire.Feedback
	for f.Received == 0 {
		b := c.answer()
		h, err := wire.ParseHeader(b)
		c.must(err)
		body, err := opener.Open(nil, h.Number, b[:wire.HeaderSize], b[wire.HeaderSize:])
		c.must(err)
		c.must(f.Parse(body))
	}
	// Hello was 0, and of the three only the last came.
	if f.Received != 100 || !slices.Equal(f.Runs, []uint64{1, 2, 1}) {
		t.Errorf("%d bytes received, runs %v from %d", f.Received, f.Runs, f.Start)
	}
	close(files.free)
	for n := 0; n == 0; {
		m, err := wire.ReadMessage(c.stream, wire.MaxServerBody)
		c.must(err)
		if m.Type == wire.MsgManifest {
			n++
		}
	}
	c.send(c.data(early, w.contents["upl_550"]))
	c.say(wire.MsgFinish, wire.Finish{Upload: 550}.Append(nil))
	if m, err := wire.ReadMessage(c.stream, wire.MaxServerBody); err != nil || m.Type != wire.MsgReceipt {
		t.Errorf("message %#x, %v", m.Type, err)
	}
}

// TestGapsAreBounded: a client that leaves gap after gap gets no memory for them.
func TestGapsAreBounded(t *testing.T) {
	w := newWorld(t, 100_000)
	w.start()
	c := w.raw(t)
	c.open()
	w.server.mu.Lock()
	in := w.server.sessions[c.keys.Session].in
	w.server.mu.Unlock()
	in.mu.Lock()
	in.gaps = 50
	in.mu.Unlock()
	c.hello(wire.BaseSize)
	c.answer()
	good := w.contents["upl_0"]
	for at := 0; at < len(good); at += 200 { // every second hundred
		c.send(c.data(int64(at), good[at:at+100]))
	}
	taken := func() int64 { return w.server.Sessions()[0].Taken }
	for taken() < 51*100 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond)
	if n := taken(); n != 51*100 {
		t.Errorf("%d bytes were taken", n)
	}
	// What fills gaps is always welcome.
	for at := 0; at < len(good); at += 1000 {
		c.send(c.data(int64(at), good[at:at+1000]))
	}
	c.say(wire.MsgFinish, wire.Finish{Upload: 0}.Append(nil))
	if m, err := wire.ReadMessage(c.stream, wire.MaxServerBody); err != nil || m.Type != wire.MsgReceipt {
		t.Errorf("message %#x, %v", m.Type, err)
	}
	w.arrived()
	c2 := newChunk()
	for i := range chunkRuns {
		c2.add(int64(2*i), 2*i, 1)
	}
	if c2.room() != 0 {
		t.Error("a chunk takes any number of runs")
	}
}

// TestServerThatTalksNonsense: the client ends, and does not fall over.
func TestServerThatTalksNonsense(t *testing.T) {
	type message struct {
		typ  byte
		body []byte
	}
	welcome := message{wire.MsgWelcome, wire.Welcome{Uploads: 1, Tape: 10, Datagram: wire.BaseSize}.Append(nil)}
	nothing := message{wire.MsgWelcome, wire.Welcome{Datagram: wire.BaseSize}.Append(nil)}
	entry := func(size int64, have ...Range) message {
		return message{wire.MsgManifest, wire.Entry{ID: "upl_0", Size: size, Have: have}.Append([]byte{1})}
	}
	receipt := message{wire.MsgReceipt, wire.Receipt{Upload: 0, Time: time.Now()}.Append(nil)}
	for name, said := range map[string][]message{
		"welcome twice":           {welcome, nothing, nothing},
		"a receipt of nothing":    {welcome, receipt},
		"a manifest unasked":      {entry(10)},
		"more uploads than said":  {welcome, entry(10), entry(10)},
		"more bytes than fit":     {welcome, entry(1 << 60)},
		"a refusal out of bounds": {welcome, {wire.MsgRefused, wire.Refused{Upload: 1 << 20, Code: 9}.Append(nil)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 10)
			conf := (&Server{cfg: w.cfg}).tls()
			l, err := quic.ListenAddr("127.0.0.1:0", conf, nil)
			w.must(err)
			defer func() { _ = l.Close() }()
			go func() {
				conn, err := l.Accept(context.Background())
				if err != nil {
					return
				}
				s, err := conn.AcceptStream(context.Background())
				for _, m := range said {
					if err == nil {
						err = wire.WriteMessage(s, m.typ, m.body)
					}
				}
				<-conn.Context().Done()
			}()
			c := w.sender(mustAddr(t, l.Addr().String()))
			if _, err := NewSender(c).Send(context.Background()); CodeOf(err) != CodeProtocol {
				t.Errorf("Send: %v", err)
			}
		})
	}
}

// flaky answers busy some times, then that the ticket is old.
type flaky struct {
	*tickets
	busy atomic.Int64
}

func (f *flaky) Open(ctx context.Context, token string) (Grant, error) {
	if f.busy.Add(-1) >= 0 {
		return Grant{}, fail(CodeBusy, "later")
	}
	return f.tickets.Open(ctx, token)
}

// TestTicketIsRenewedAfterOtherFailures: a ticket that grew old while the network was away is no reason to give up.
func TestTicketIsRenewedAfterOtherFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10_000)
	f := &flaky{tickets: w.tickets}
	f.busy.Store(5)
	w.cfg.Tickets = f
	w.start()
	c := w.sender(w.server.Addr())
	good := c.Ticket
	c.Ticket.Token = "old"
	renewed := 0
	c.Renew = func(context.Context) (Ticket, error) { renewed++; return good, nil }
	s := NewSender(c)
	s.wait = time.Millisecond
	w.send(s)
	if renewed != 1 {
		t.Errorf("renewed %d times", renewed)
	}
	c.Ticket.Token = "old"
	c.Renew = func(context.Context) (Ticket, error) { renewed++; return c.Ticket, nil }
	if _, err := NewSender(c).Send(context.Background()); CodeOf(err) != CodeTicket {
		t.Errorf("with tickets that are never good: %v", err)
	}
}

func TestConfigsWithoutWhatTheyNeed(t *testing.T) {
	if _, err := Listen("127.0.0.1:0", Config{}); err == nil {
		t.Error("a server without anything listens")
	}
	if _, err := NewSender(SenderConfig{}).Send(context.Background()); err == nil {
		t.Error("a sender without files sends")
	}
	w := newWorld(t, 1000)
	w.cfg.Limits = Limits{Connections: -1, PerAddress: -1, HalfOpen: -1, Handshake: -1, Idle: -1, LeastRate: -1, LeastOver: -1, ExcessOver: -1, Buffer: -1}
	w.start()
	w.send(NewSender(w.sender(w.server.Addr())))
}

// TestNothingIsLeftBehind: a transfer that is given up in the middle leaves no goroutine on either side.
func TestNothingIsLeftBehind(t *testing.T) {
	defer noLeak(t)()
	for _, one := range []bool{false, true} {
		w := newWorld(t, 3_000_000)
		w.cfg.OneSocket = one
		w.start()
		c := w.sender(w.server.Addr())
		c.Rate.Target = 10_000_000 // slow enough for a busy machine to see it in the middle
		s := NewSender(c)
		ctx, cancel := context.WithCancel(context.Background())
		wait := during(s, 0.1, cancel)
		if _, err := s.Send(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Send: %v", err)
		}
		wait()
		if _, err := s.Send(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Send after the end: %v", err)
		}
		w.stop()
	}
}
