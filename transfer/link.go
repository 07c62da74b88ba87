package transfer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"golang.org/x/sync/errgroup"

	"isthmus/transfer/udp"
	"isthmus/transfer/wire"
)

// link is one connection of a Sender.
type link struct {
	s      *Sender
	conn   *quic.Conn
	stream *quic.Stream
	socket *udp.Conn
	to     netip.AddrPort
	keys   wire.Secrets
	src    *source
	pump   *pump
	outMu  sync.Mutex
	paused bool // as the server was told last; guarded by outMu

	read atomic.Int64 // positions below were read for sending

	mu      sync.Mutex
	uploads []listed
	welcome wire.Welcome
	open    int           // uploads that have not ended
	digests chan int      // uploads to digest
	all     chan struct{} // closed when every upload has ended
}

type listed struct {
	Upload
	missing int64 // bytes that are not at the server
	over    bool
}

var errDone = errors.New("done")

// attempt sends over one connection. nil: every upload has ended.
func (s *Sender) attempt(ctx context.Context, t Ticket) error {
	conn, err := quic.DialAddr(ctx, t.Address, clientTLS(t.KeyHash), &quic.Config{
		HandshakeIdleTimeout:       max(s.silence/2, time.Second),
		MaxIdleTimeout:             30 * time.Second,
		KeepAlivePeriod:            4 * time.Second,
		MaxIncomingStreams:         -1,
		MaxIncomingUniStreams:      -1,
		InitialStreamReceiveWindow: 1 << 20,                      // a manifest of thousands of uploads needs no round trips
		Tracer:                     qlog.DefaultConnectionTracer, // writes where QLOGDIR says, if it does
	})
	if err != nil {
		return dialError(err)
	}
	l := &link{s: s, conn: conn, src: newSource(s.cfg.Open), all: make(chan struct{})}
	err = l.run(ctx, t)
	if errors.Is(err, errDone) {
		_ = conn.CloseWithError(quic.ApplicationErrorCode(CodeDone), "")
		return nil
	}
	e := asError(err, CodeRetry, "")
	if ctx.Err() != nil || e.Code == CodeBlocked {
		e = fail(CodeRetry, "the client stops")
	}
	_ = conn.CloseWithError(quic.ApplicationErrorCode(e.Code), e.Text)
	return err
}

func (l *link) run(ctx context.Context, t Ticket) error {
	defer l.src.close()
	var err error
	if l.keys, err = sessionSecrets(l.conn.ConnectionState().TLS); err != nil {
		return err
	}
	l.to = l.conn.RemoteAddr().(*net.UDPAddr).AddrPort()
	l.to = netip.AddrPortFrom(l.to.Addr().Unmap(), l.to.Port())
	local := netip.IPv4Unspecified()
	if l.to.Addr().Is6() {
		local = netip.IPv6Unspecified()
	}
	// Not connected: the system chooses the way for every packet, so a change of network needs nothing from us.
	c, err := udp.Listen(netip.AddrPortFrom(local, 0), false)
	if err != nil {
		return err
	}
	if l.socket, err = udp.New(c, false); err != nil {
		return errors.Join(err, c.Close())
	}
	defer func() { _ = l.socket.Close() }()
	if l.stream, err = l.conn.OpenStream(); err != nil {
		return closed(err)
	}
	if err := l.send(wire.MsgOpen, wire.Open{Ticket: t.Token}.Append(nil)); err != nil {
		return closed(err)
	}
	if l.pump, err = newPump(l); err != nil {
		return err
	}
	l.s.setLink(l)
	defer l.s.setLink(nil)
	l.digests = make(chan int, 1<<16)
	g, gctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(gctx, func() {
		_ = l.socket.Close()
		_ = l.stream.SetDeadline(time.Now()) // nobody may stay in a read or write
	})
	defer stop()
	g.Go(func() error { return l.readMessages(gctx) })
	g.Go(func() error { return l.pump.readFeedback(gctx) })
	g.Go(func() error { return l.pump.readAhead(gctx) })
	g.Go(func() error { return l.pump.run(gctx) })
	g.Go(func() error { return l.digest(gctx) })
	g.Go(func() error {
		select {
		case <-l.all:
			return errDone
		case <-l.conn.Context().Done():
			return closed(context.Cause(l.conn.Context()))
		case <-gctx.Done():
			return gctx.Err()
		}
	})
	err = g.Wait()
	if l.conn.Context().Err() != nil && !errors.Is(err, errDone) {
		return closed(context.Cause(l.conn.Context()))
	}
	return err
}

func (l *link) send(typ byte, body []byte) error {
	l.outMu.Lock()
	defer l.outMu.Unlock()
	return wire.WriteMessage(l.stream, typ, body)
}

// pause tells the server whether this client pauses.
func (l *link) pause(paused bool) error {
	l.outMu.Lock()
	defer l.outMu.Unlock()
	l.paused = paused
	return wire.WriteMessage(l.stream, wire.MsgPause, wire.AppendPause(nil, paused))
}

// repeat says once more whether this client pauses, in a packet of some length. It must not come from another time: a
// pause that was undone by accident would end as slowness.
func (l *link) repeat() error {
	l.outMu.Lock()
	defer l.outMu.Unlock()
	return wire.WriteMessage(l.stream, wire.MsgPause, append(wire.AppendPause(nil, l.paused), make([]byte, 64)...))
}

func (l *link) readMessages(ctx context.Context) error {
	for {
		m, err := wire.ReadMessage(l.stream, wire.MaxServerBody)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return readError(err)
		}
		if err := l.message(m); err != nil {
			return readError(err)
		}
	}
}

func (l *link) message(m wire.Message) error {
	switch m.Type {
	case wire.MsgWelcome:
		w, err := wire.ParseWelcome(m.Body)
		if err != nil {
			return err
		}
		l.mu.Lock()
		again := l.welcome.Datagram > 0
		l.welcome, l.open = w, w.Uploads
		l.mu.Unlock()
		if again {
			return wire.ErrFormat
		}
		l.pump.welcomed.Store(int64(max(1, l.pump.now())))
		l.s.note(func(p *Progress) { p.Total, p.Done = w.Tape, 0; p.Path = "sending" })
		if w.Uploads == 0 {
			close(l.all)
		}
	case wire.MsgManifest:
		entries, err := wire.ParseManifest(m.Body)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := l.list(e); err != nil {
				return err
			}
		}
	case wire.MsgReceipt:
		r, err := wire.ParseReceipt(m.Body)
		if err != nil {
			return err
		}
		return l.ended(r.Upload, Result{SHA256: r.SHA256, Time: r.Time})
	case wire.MsgRefused:
		r, err := wire.ParseRefused(m.Body)
		if err != nil {
			return err
		}
		return l.ended(r.Upload, Result{Err: fail(Code(r.Code), r.Text)})
	}
	return nil
}

// list takes an upload of the manifest.
func (l *link) list(e wire.Entry) error {
	u := Upload{ID: e.ID, Name: e.Name, Size: e.Size}
	l.mu.Lock()
	i := len(l.uploads)
	if i >= l.welcome.Uploads || !l.src.add(u) {
		l.mu.Unlock()
		return wire.ErrFormat
	}
	have := ranges(e.Have)
	l.uploads = append(l.uploads, listed{Upload: u, missing: e.Size - have.total()})
	last := i == l.welcome.Uploads-1
	l.mu.Unlock()
	l.s.note(func(p *Progress) { p.Done += have.total() })

	if l.s.ended(u.ID) { // failed on an earlier connection
		return l.over(i)
	}
	if slices.Contains(l.s.orders().cancels, u.ID) {
		return l.send(wire.MsgCancel, wire.AppendCancel(nil, i))
	}
	if err := l.src.check(i); err != nil {
		return l.ended(i, Result{Err: err})
	}
	b := l.src.bounds(i)
	have.missing(0, e.Size, func(m Range) { l.pump.want(Range{Start: b.Start + m.Start, End: b.Start + m.End}) })
	if last {
		l.pump.wantNoMore()
	}
	select {
	case l.digests <- i:
	default:
		return fail(CodeRefused, "more uploads than this client can send at once")
	}
	return nil
}

// ended notes an upload's end.
func (l *link) ended(upload int, r Result) error {
	l.mu.Lock()
	if upload >= len(l.uploads) {
		l.mu.Unlock()
		return wire.ErrFormat
	}
	r.Upload = l.uploads[upload].Upload
	l.mu.Unlock()
	if r.Err != nil {
		l.pump.skip(l.src.bounds(upload))
	}
	l.s.end(r)
	return l.over(upload)
}

func (l *link) over(upload int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.uploads[upload].over {
		return nil
	}
	l.uploads[upload].over = true
	if upload == l.welcome.Uploads-1 {
		l.pump.wantNoMore()
	}
	if l.open--; l.open == 0 {
		close(l.all)
	}
	return nil
}

// arrived notes bytes of the tape that have come to the server, each once.
func (l *link) arrived(all []Range) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range all {
		_ = l.src.split(r, func(upload int, _ int64, n int) error {
			l.uploads[upload].missing -= int64(n)
			return nil
		})
	}
}

func (l *link) isOver(upload int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.uploads[upload].over
}

// cancel tells the server to throw an upload away.
func (l *link) cancel(uploadID string) error {
	l.mu.Lock()
	found := -1
	for i, u := range l.uploads {
		if u.ID == uploadID && !u.over {
			found = i
		}
	}
	l.mu.Unlock()
	if found < 0 {
		return nil
	}
	return l.send(wire.MsgCancel, wire.AppendCancel(nil, found))
}

// datagramLimit is the largest datagram that the server takes. Feedback may overtake its Welcome.
func (l *link) datagramLimit() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return or(l.welcome.Datagram, wire.BaseSize)
}
