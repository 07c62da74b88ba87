package transfer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"isthmus/transfer/udp"
	"isthmus/transfer/wire"
)

// sessionOf is the server's side of a client.
func (w *world) sessionOf(c *raw) *session {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	return w.server.sessions[c.keys.Session]
}

// TestAnswersAreNoMoreThanThreefold: a client that has a ticket and forges its address could send the server's
// reports to somebody else: small packets, all with gaps between them, when every batch is reported at once.
func TestAnswersAreNoMoreThanThreefold(t *testing.T) {
	t.Parallel()
	for _, one := range []bool{false, true} {
		w := newWorld(t, 100_000)
		w.cfg.OneSocket = one
		w.start()
		c := w.raw(t)
		c.open()
		c.hello(wire.BaseSize)
		c.answer()
		for at := 0; at < 100_000; at += 1000 {
			c.send(c.data(int64(at), w.contents["upl_0"][at:at+1000]))
		}
		until(t, "all has come", func() bool { return w.server.Sessions()[0].Missing == 0 })
		time.Sleep(2 * moveEvery) // until when the session does not move again
		victim, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), false)
		w.must(err)
		_ = victim.SetReadBuffer(udp.BufferSize)
		hello := c.helloPacket(wire.BaseSize)
		_, err = victim.WriteToUDPAddrPort(hello, c.to)
		w.must(err)
		in, out := len(hello), 0
		b := make([]byte, 2048)
		w.must(victim.SetReadDeadline(time.Now().Add(time.Minute)))
		n, err := victim.Read(b)
		w.must(err)
		out += n
		for range 1500 {
			_, _ = c.sealer.Next() // a gap
			p := c.data(0, nil)
			_, err := victim.WriteToUDPAddrPort(p, c.to)
			w.must(err)
			in += len(p)
		}
		w.must(victim.SetReadDeadline(time.Now().Add(200 * time.Millisecond)))
		for {
			n, err := victim.Read(b)
			if err != nil {
				break
			}
			out += n
		}
		if out > 3*in {
			t.Errorf("one_socket=%v: %d bytes in, %d out", one, in, out)
		}
		_ = victim.Close()
	}
}

// TestPausingByTurnsOpensFewSockets: each end of a pause needs one, so they are not given more often than addresses change.
func TestPausingByTurnsOpensFewSockets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 100_000)
	w.start()
	c := w.raw(t)
	c.open()
	in := w.sessionOf(c).in
	opened := 0
	in.mu.Lock()
	connect := in.connect
	in.connect = func(peer netip.AddrPort) (path, error) { opened++; return connect(peer) }
	in.mu.Unlock()
	begin := time.Now()
	c.hello(wire.BaseSize)
	c.answer()
	for range 30 {
		for _, paused := range []bool{true, false} {
			if !paused {
				c.hello(wire.BaseSize)
			}
			c.say(wire.MsgPause, wire.AppendPause(nil, paused))
			until(t, "it pauses and goes on", func() bool { return w.server.Sessions()[0].Paused == paused })
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if most := 1 + int(time.Since(begin)/moveEvery); opened > most {
		t.Errorf("%d sockets, at most %d were due", opened, most)
	}
}

// TestCompleteClientHoldsNothing: who has sent everything and says neither Finish nor Pause keeps no socket and no buffer.
func TestCompleteClientHoldsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1000)
	w.cfg.Limits = Limits{LeastOver: 20 * time.Millisecond, LeastRate: 1}
	w.start()
	c := w.raw(t)
	c.open()
	c.hello(wire.BaseSize)
	c.answer()
	c.send(c.data(0, w.contents["upl_0"]))
	in := w.sessionOf(c).in
	until(t, "the socket and the buffer go", func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		return in.taken == 1000 && in.path == nil && in.fill == nil
	})
	c.say(wire.MsgFinish, wire.Finish{Upload: 0}.Append(nil))
	if m, err := wire.ReadMessage(c.stream, wire.MaxServerBody); err != nil || m.Type != wire.MsgReceipt {
		t.Errorf("message %#x, %v", m.Type, err)
	}
	w.arrived()
}

// TestUnfinishedHandshakesOfOneAddress: once an address is proved, its unfinished handshakes count, too; one client
// could hold all places otherwise.
func TestUnfinishedHandshakesOfOneAddress(t *testing.T) {
	g := gate{limits: Limits{Connections: 10, PerAddress: 3}}
	at := func(host string) net.Addr { return &net.UDPAddr{IP: net.ParseIP(host), Port: 1} }
	var leave []func()
	admit := func(host string, proved bool) error {
		ctx, cancel := context.WithCancel(context.Background())
		leave = append(leave, cancel)
		_, err := g.admit(ctx, &quic.ClientInfo{RemoteAddr: at(host), AddrVerified: proved})
		return err
	}
	for i := range 5 {
		if err := admit("192.0.2.1", true); (err != nil) != (i >= 3) {
			t.Errorf("connection %d of a proved address: %v", i, err)
		}
		if err := admit("192.0.2.2", false); err != nil { // somebody else may have named it
			t.Errorf("connection %d of an address that was not proved: %v", i, err)
		}
	}
	if err := admit("2001:db8::1", true); err != nil {
		t.Error(err)
	}
	for _, f := range leave {
		f()
	}
	until(t, "all are gone", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.open.Load() == 0 && g.half.Load() == 0 && len(g.per) == 0
	})
}

// TestWindowsAreBounded: QUIC's receive windows grow together up to a limit, and shrink with their connections.
func TestWindowsAreBounded(t *testing.T) {
	w := newWorld(t, 10)
	w.cfg.Limits = Limits{Windows: 1000}
	w.start()
	first, second := w.raw(t), w.raw(t)
	first.open()
	second.say(wire.MsgPause, nil) // it will be closed
	g := &w.server.gate
	conn := w.sessionOf(first).conn
	if !g.grow(conn, 600) || g.grow(conn, 600) || !g.grow(conn, 400) {
		t.Error("the limit is another one")
	}
	_ = first.conn.CloseWithError(0, "")
	until(t, "nothing is left of it", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.growth == 0 && len(g.grown) == 0
	})
	if g.grow(conn, 1) {
		t.Error("the window of a closed connection grew")
	}
}

// TestSourceOf: what counts as one address.
func TestSourceOf(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.7:1": "192.0.2.7/32", "[::ffff:192.0.2.7]:1": "192.0.2.7/32", "[2001:db8:1:2:3::4]:9": "2001:db8:1:2::/64", "[fe80::1%eth0]:9": "fe80::/64",
	} {
		ap := mustAddr(t, a)
		if got := sourceOf(net.UDPAddrFromAddrPort(ap)); fmt.Sprint(got) != want {
			t.Errorf("%s: %v", a, got)
		}
	}
}

// TestNobodyTakesAControlConnection: a client with a ticket forges the address of another one's control connection. A socket
// for that address would take its packets.
func TestNobodyTakesAControlConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1000, 1000)
	w.tickets.grants["good"] = Grant{Uploads: w.uploads[:1]}
	w.tickets.grants["other"] = Grant{Uploads: w.uploads[1:]}
	w.start()
	victim, thief := w.raw(t), w.raw(t)
	port, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), false)
	w.must(err)
	transport := &quic.Transport{Conn: port}
	_ = victim.conn.CloseWithError(0, "")
	victim.conn, err = transport.Dial(context.Background(), net.UDPAddrFromAddrPort(victim.to), clientTLS(w.key), nil)
	w.must(err)
	t.Cleanup(func() {
		_ = transport.Close()
		_ = port.Close()
	})
	victim.open()
	thief.say(wire.MsgOpen, wire.Open{Ticket: "other"}.Append(nil))
	_, err = wire.ReadMessage(thief.stream, wire.MaxServerBody)
	w.must(err)
	in := w.sessionOf(thief).in
	_, err = port.WriteToUDPAddrPort(thief.helloPacket(wire.BaseSize), victim.to)
	w.must(err)
	until(t, "the Hello is there", func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		return !in.moved.IsZero()
	})
	w.must(victim.stream.SetReadDeadline(time.Now().Add(time.Minute)))
	victim.say(wire.MsgCancel, wire.AppendCancel(nil, 0))
	if m, err := wire.ReadMessage(victim.stream, wire.MaxServerBody); err != nil || m.Type != wire.MsgRefused {
		t.Errorf("message %#x, %v", m.Type, err)
	}
	time.Sleep(2 * moveEvery)
	thief.hello(wire.BaseSize) // from its own port
	thief.answer()
}
