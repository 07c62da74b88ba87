package transfer

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"isthmus/transfer/udp"
	"isthmus/transfer/wire"
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

// TestServerThatReportsNonsense: reports that are sealed well and say anything. The client lives until it is told to stop.
func TestServerThatReportsNonsense(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 300_000)
	port, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), false)
	w.must(err)
	transport := &quic.Transport{Conn: port}
	l, err := transport.Listen((&Server{cfg: w.cfg}).tls(), nil)
	w.must(err)
	t.Cleanup(func() {
		_ = transport.Close()
		_ = port.Close()
	})
	const reports = 400
	said := make(chan error, 1)
	go func() { said <- reportNonsense(transport, l, reports) }()
	c := w.sender(port.LocalAddr().(*net.UDPAddr).AddrPort())
	if _, err := NewSender(c).Send(context.Background()); CodeOf(err) != CodeRefused {
		t.Errorf("Send: %v", err)
	}
	w.must(<-said)
}

func reportNonsense(transport *quic.Transport, l *quic.Listener, reports int) error {
	ctx := context.Background()
	conn, err := l.Accept(ctx)
	if err != nil {
		return err
	}
	s, err := conn.AcceptStream(ctx)
	if err != nil {
		return err
	}
	keys, err := sessionSecrets(conn.ConnectionState().TLS)
	if err != nil {
		return err
	}
	sealer, err := wire.NewSealer(keys.Server)
	if err != nil {
		return err
	}
	_ = wire.WriteMessage(s, wire.MsgWelcome, wire.Welcome{Uploads: 1, Tape: 300_000, Datagram: wire.BaseSize}.Append(nil))
	_ = wire.WriteMessage(s, wire.MsgManifest, wire.Entry{ID: "upl_0", Size: 300_000}.Append([]byte{1}))
	_, client, err := transport.ReadNonQUICPacket(ctx, make([]byte, 2048))
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range reports {
		f := wire.Feedback{
			Flags: byte(r.Uint32()), Datagram: uint16(r.Uint32()), Rate: r.Uint64() >> r.IntN(64), Received: r.Uint64(),
			Late: r.Uint32() >> r.IntN(32), Clock: r.Uint32(), Start: r.Uint64() >> (16 + r.IntN(48)),
		}
		for n := uint64(r.IntN(1000)); n > 0 && len(f.Echoes) < wire.MaxEchoes; n /= 2 {
			f.Echoes = append(f.Echoes, wire.Echo{Number: n, Held: time.Duration(r.Uint32()>>r.IntN(32)) * time.Microsecond})
		}
		for range r.IntN(100) {
			f.Runs = append(f.Runs, 1+r.Uint64()>>(40+r.IntN(24)))
		}
		n, err := sealer.Next()
		if err != nil {
			return err
		}
		head := make([]byte, wire.HeaderSize, wire.MaxFeedback)
		wire.Header{Type: wire.TypeFeedback, Session: keys.Session, Number: n}.Put(head)
		if _, err := transport.WriteTo(sealer.Seal(head, n, f.Append(nil), head), client); err != nil {
			return err
		}
		time.Sleep(time.Millisecond / 2)
	}
	return conn.CloseWithError(quic.ApplicationErrorCode(CodeRefused), "enough")
}
