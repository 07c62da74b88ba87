package transfer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"isthmus/transfer/udp"
	"isthmus/transfer/wire"
)

// raw is a client that does what it is told, allowed or not.
type raw struct {
	t      *testing.T
	conn   *quic.Conn
	stream *quic.Stream
	keys   wire.Secrets
	sealer *wire.Sealer
	socket *net.UDPConn
	to     netip.AddrPort
}

func (w *world) raw(t *testing.T) *raw {
	t.Helper()
	c := &raw{t: t, to: w.server.Addr()}
	var err error
	c.conn, err = quic.DialAddr(context.Background(), c.to.String(), clientTLS(w.key), nil)
	c.must(err)
	c.keys, err = sessionSecrets(c.conn.ConnectionState().TLS)
	c.must(err)
	c.sealer, err = wire.NewSealer(c.keys.Client)
	c.must(err)
	c.socket, err = udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), false)
	c.must(err)
	t.Cleanup(func() {
		_ = c.socket.Close()
		_ = c.conn.CloseWithError(0, "")
	})
	return c
}

func (c *raw) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *raw) say(typ byte, body []byte) {
	c.t.Helper()
	if c.stream == nil {
		var err error
		c.stream, err = c.conn.OpenStream()
		c.must(err)
	}
	c.must(wire.WriteMessage(c.stream, typ, body))
}

// open says the ticket and reads Welcome and the first page.
func (c *raw) open() {
	c.t.Helper()
	c.say(wire.MsgOpen, wire.Open{Ticket: "good"}.Append(nil))
	for _, want := range []byte{wire.MsgWelcome, wire.MsgManifest} {
		m, err := wire.ReadMessage(c.stream, wire.MaxServerBody)
		c.must(err)
		if m.Type != want {
			c.t.Fatalf("message %#x, want %#x", m.Type, want)
		}
	}
}

func (c *raw) send(b []byte) {
	c.t.Helper()
	_, err := c.socket.WriteToUDPAddrPort(b, c.to)
	c.must(err)
}

func (c *raw) hello(claimed int) {
	c.t.Helper()
	c.send(c.helloPacket(claimed))
}

func (c *raw) helloPacket(claimed int) []byte {
	c.t.Helper()
	n, err := c.sealer.Next()
	c.must(err)
	head := make([]byte, wire.HeaderSize, wire.MaxDatagram)
	wire.Header{Type: wire.TypeHello, Session: c.keys.Session, Number: n}.Put(head)
	body := wire.Hello{Size: wire.BaseSize, Interval: 5 * time.Millisecond}.Append(nil)
	binary.BigEndian.PutUint16(body, uint16(claimed))
	return c.sealer.Seal(head, n, body, head)
}

// answer waits for a datagram from the server.
func (c *raw) answer() []byte {
	c.t.Helper()
	b := make([]byte, 2048)
	c.must(c.socket.SetReadDeadline(time.Now().Add(time.Minute)))
	n, _, err := c.socket.ReadFromUDPAddrPort(b)
	c.must(err)
	return b[:n]
}

func (c *raw) data(position int64, payload []byte) []byte {
	c.t.Helper()
	n, err := c.sealer.Next()
	c.must(err)
	head := make([]byte, wire.DataHeaderSize, wire.MaxDatagram)
	wire.DataHeader{Session: c.keys.Session, Number: n, Settled: 0, Position: uint64(position)}.Put(head)
	return c.sealer.Seal(head, n, payload, head)
}

func TestServerEndsWhatIsNotAllowed(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(*raw)
		want  Code
		idles bool // it says nothing wrong, but not enough in time
	}{
		{"silence", func(*raw) {}, CodeProtocol, true},
		{"a stream without a ticket", func(c *raw) { c.say(wire.MsgPause, []byte{1}) }, CodeProtocol, false},
		{"half a message", func(c *raw) {
			s, err := c.conn.OpenStream()
			c.must(err)
			_, err = s.Write([]byte{wire.MsgOpen, 0, 0, 99, 1})
			c.must(err)
		}, CodeProtocol, true},
		{"a huge message", func(c *raw) {
			s, err := c.conn.OpenStream()
			c.must(err)
			_, err = s.Write([]byte{wire.MsgOpen, 0xff, 0xff, 0xff, 1})
			c.must(err)
		}, CodeProtocol, false},
		{"an unknown ticket", func(c *raw) { c.say(wire.MsgOpen, wire.Open{Ticket: "bad"}.Append(nil)) }, CodeTicket, false},
		{"an old ticket", func(c *raw) { c.say(wire.MsgOpen, wire.Open{Ticket: "old"}.Append(nil)) }, CodeTicket, false},
		{"a second stream", func(c *raw) {
			c.open()
			s, err := c.conn.OpenStream()
			c.must(err)
			_, err = s.Write([]byte{1})
			c.must(err)
		}, CodeProtocol, false},
		{"a one-way stream", func(c *raw) {
			c.open()
			s, err := c.conn.OpenUniStream()
			c.must(err)
			_, err = s.Write([]byte{1})
			c.must(err)
		}, CodeProtocol, false},
		{"an upload that is not there", func(c *raw) {
			c.open()
			c.say(wire.MsgFinish, wire.Finish{Upload: 7}.Append(nil))
		}, CodeProtocol, false},
		{"finished twice", func(c *raw) {
			c.open()
			c.say(wire.MsgFinish, wire.Finish{Upload: 0}.Append(nil))
			c.say(wire.MsgFinish, wire.Finish{Upload: 0}.Append(nil))
		}, CodeProtocol, false},
		{"cancelled what is not there", func(c *raw) {
			c.open()
			c.say(wire.MsgCancel, wire.AppendCancel(nil, 1<<20))
		}, CodeProtocol, false},
		{"a Hello that lies about its size", func(c *raw) {
			c.open()
			c.hello(9000)
		}, CodeProtocol, false},
		{"bytes beyond the end", func(c *raw) {
			c.open()
			c.hello(wire.BaseSize)
			c.answer()
			c.send(c.data(99_990, make([]byte, 11)))
		}, CodeTooLarge, false},
		{"slow drip", func(c *raw) {
			c.open()
			c.hello(wire.BaseSize)
			c.answer()
			c.send(c.data(0, make([]byte, 1)))
		}, CodeSlow, false},
		{"faster than its share", func(c *raw) {
			c.open()
			c.hello(wire.BaseSize)
			c.answer()
			for c.conn.Context().Err() == nil { // 70 kB a second are allowed, and excessSlack
				for range 10 {
					c.send(c.data(0, make([]byte, 8000)))
				}
				time.Sleep(time.Millisecond) // ten times slower, on a busy machine, is still too fast
			}
		}, CodeRate, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 100_000)
			w.tickets.grants["old"] = Grant{Uploads: w.uploads, Expires: time.Now().Add(-time.Second)}
			w.cfg.Limits = Limits{Handshake: 300 * time.Millisecond, LeastOver: 300 * time.Millisecond, ExcessOver: 250 * time.Millisecond}
			if !c.idles {
				w.cfg.Limits.Handshake = time.Minute // a busy machine may need longer than that to say what is wrong
			}
			if c.want == CodeRate {
				w.tickets.grants["good"] = Grant{Uploads: w.uploads, Share: func() Share { return Share{Rate: 560_000} }}
			}
			if c.want != CodeSlow {
				w.cfg.Limits.LeastOver = time.Minute
			}
			w.start()
			r := w.raw(t)
			c.do(r)
			select {
			case <-r.conn.Context().Done():
			case <-time.After(2 * time.Minute):
				t.Fatal("the server let it go on")
			}
			if got := CodeOf(closed(context.Cause(r.conn.Context()))); got != c.want {
				t.Errorf("closed with %v, want %v", got, c.want)
			}
		})
	}
}

// TestForgedAndReplayedPacketsAreNotAnswered sends to the server, from elsewhere, what passes on the way: as it
// is, changed, and under another type.
func TestForgedAndReplayedPacketsAreNotAnswered(t *testing.T) {
	t.Parallel()
	for _, one := range []bool{false, true} {
		w := newWorld(t, 2_000_000)
		w.cfg.OneSocket = one
		w.start()
		p := newProxy(t, w.server.Addr(), faults{})
		attacker, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), false)
		w.must(err)
		var mu sync.Mutex
		var attacks sync.WaitGroup
		count := 0
		var seen [][]byte
		attack := func(b []byte) {
			for i := range 4 {
				c := append([]byte(nil), b...)
				switch i {
				case 1:
					c[len(c)-1] ^= 1
				case 2:
					c[10]++ // another number
				case 3:
					c[0] = wire.TypeHello
				}
				_, _ = attacker.WriteToUDPAddrPort(c, w.server.Addr())
			}
		}
		answered, over := false, false
		tap := func(b []byte, up bool) {
			if !ours(b) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if !up {
				answered = true
			}
			// A Hello that came before the server knew the session was never accepted: its copy is no replay.
			if !up || !answered || over {
				return
			}
			if count++; count < 20 || count%50 == 0 {
				c := append([]byte(nil), b...)
				seen = append(seen, c)
				h, err := wire.ParseHeader(c)
				w.must(err)
				attacks.Go(func() {
					// Later than the original: who can overtake it is on the way, and may move the session for a moment.
					eventually(func() bool {
						all := w.server.Sessions()
						return len(all) == 0 || uint64(all[0].Sent) > h.Number
					})
					attack(c)
				})
			}
		}
		p.tap.Store(&tap)
		got := w.send(NewSender(w.through(p)))
		mu.Lock()
		over = true
		mu.Unlock()
		attacks.Wait()
		if got.Tries != 1 || len(seen) == 0 {
			t.Errorf("%d connections, %d packets seen", got.Tries, len(seen))
		}
		for _, b := range seen { // the session is over
			attack(b)
		}
		w.must(attacker.SetReadDeadline(time.Now().Add(100 * time.Millisecond)))
		b := make([]byte, 2048)
		if n, _, err := attacker.ReadFromUDPAddrPort(b); err == nil {
			t.Errorf("one_socket=%v: the server answered with %x", one, b[:n])
		}
		_ = attacker.Close()
	}
}

// TestHeldBackHelloMovesNothing: somebody on the path keeps a Hello and sends it later, from elsewhere.
func TestHeldBackHelloMovesNothing(t *testing.T) {
	t.Parallel()
	for _, one := range []bool{false, true} {
		w := newWorld(t, 100_000)
		w.cfg.OneSocket = one
		w.start()
		c := w.raw(t)
		c.open()
		held := c.helloPacket(wire.BaseSize)
		c.hello(wire.BaseSize)
		c.answer()
		time.Sleep(2 * moveEvery) // so that only its age speaks against it
		thief, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), false)
		w.must(err)
		_, err = thief.WriteToUDPAddrPort(held, c.to)
		w.must(err)
		w.must(thief.SetReadDeadline(time.Now().Add(50 * time.Millisecond)))
		if n, _, err := thief.ReadFromUDPAddrPort(make([]byte, 2048)); err == nil {
			t.Errorf("one_socket=%v: %d bytes went to the thief", one, n)
		}
		c.send(c.data(0, w.contents["upl_0"][:1000]))
		c.answer()
		_ = thief.Close()
	}
}

// TestReplayedDataIsDropped sends the same packet twice, and another payload for the same position.
func TestReplayedDataIsDropped(t *testing.T) {
	w := newWorld(t, 100_000)
	w.start()
	c := w.raw(t)
	c.open()
	c.hello(wire.BaseSize)
	c.answer()
	good := w.contents["upl_0"]
	for at := 0; at < len(good); at += 1000 {
		b := c.data(int64(at), good[at:at+1000])
		c.send(b)
		c.send(b)
		c.send(c.data(int64(at), make([]byte, 1000)))
	}
	c.say(wire.MsgFinish, wire.Finish{Upload: 0}.Append(nil))
	m, err := wire.ReadMessage(c.stream, wire.MaxServerBody)
	c.must(err)
	if m.Type != wire.MsgReceipt {
		t.Fatalf("message %#x", m.Type)
	}
	w.arrived()
	until(t, "the Hello, a hundred packets and their rivals count, and no replay", func() bool {
		i := w.server.Sessions()[0]
		return i.Came == 201 && i.Forged == 100
	})
}

// onceDisk complains when a byte is written twice in a session.
type onceDisk struct {
	*Dir
	mu   sync.Mutex
	seen map[string]*ranges
}

func (d *onceDisk) WriteAt(ctx context.Context, id string, p []byte, off int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen[id] == nil {
		d.seen[id] = &ranges{}
	}
	fresh := int64(0)
	d.seen[id].missing(off, off+int64(len(p)), func(r Range) { fresh += r.End - r.Start })
	if fresh != int64(len(p)) {
		return fail(CodeInternal, "written twice")
	}
	d.seen[id].add(off, off+fresh)
	return d.Dir.WriteAt(ctx, id, p, off)
}

// TestOverlappingPackets sends the tape in pieces that overlap in all ways: each byte is written once, the first wins.
func TestOverlappingPackets(t *testing.T) {
	w := newWorld(t, 40_000, 3, 0, 60_000)
	w.cfg.Files = &onceDisk{Dir: OpenDir(w.in, false), seen: map[string]*ranges{}}
	w.start()
	c := w.raw(t)
	c.open()
	c.hello(wire.BaseSize)
	c.answer()
	good := slices.Concat(w.contents["upl_0"], w.contents["upl_1"], w.contents["upl_3"])
	r := mathrand.New(mathrand.NewPCG(3, 4))
	send := func(start, end int) { c.send(c.data(int64(start), good[start:end])) }
	for range 150 {
		start := r.IntN(len(good))
		send(start, min(len(good), start+1+r.IntN(1400)))
	}
	for at := 0; at < len(good); at += 8000 { // each fills many gaps at once
		send(at, min(len(good), at+8000))
	}
	for i := range w.uploads {
		c.say(wire.MsgFinish, wire.Finish{Upload: i}.Append(nil))
	}
	for range w.uploads {
		m, err := wire.ReadMessage(c.stream, wire.MaxServerBody)
		c.must(err)
		if m.Type != wire.MsgReceipt {
			t.Fatalf("message %#x", m.Type)
		}
	}
	w.arrived()
	if got := w.server.Sessions(); len(got) != 1 || got[0].Taken != int64(len(good)) || got[0].Missing != 0 {
		t.Errorf("sessions: %+v", got)
	}
}

func TestHandshakeFloodIsNotAmplified(t *testing.T) {
	w := newWorld(t, 10)
	w.cfg.Limits = Limits{HalfOpen: 16, Handshake: 200 * time.Millisecond}
	defer noLeak(t)()
	w.start()
	flood, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), false)
	w.must(err)
	defer func() { _ = flood.Close() }()
	_ = flood.SetReadBuffer(udp.BufferSize)
	in := 0
	for range 400 {
		b := make([]byte, 1200)
		_, _ = rand.Read(b)
		// A long header: Initial, version 1, connection ids of 8 bytes, no token, the rest is noise.
		copy(b, []byte{0xc0, 0, 0, 0, 1, 8})
		b[14] = 8
		b[23] = 0
		binary.BigEndian.PutUint16(b[24:], 0x4000|uint16(len(b)-26))
		n, err := flood.WriteToUDPAddrPort(b, w.server.Addr())
		w.must(err)
		in += n
	}
	out, retries := 0, 0
	w.must(flood.SetReadDeadline(time.Now().Add(300 * time.Millisecond)))
	b := make([]byte, 2048)
	for {
		n, _, err := flood.ReadFromUDPAddrPort(b)
		if err != nil {
			break
		}
		out += n
		if b[0]&0xf0 == 0xf0 {
			retries++
		}
	}
	if out > 3*in {
		t.Errorf("%d bytes in, %d out", in, out)
	}
	if retries == 0 {
		t.Error("nobody was asked to prove the address")
	}
	w.send(NewSender(w.sender(w.server.Addr()))) // others are still served
	w.stop()
}

func TestConnectionsOfOneAddressAreCounted(t *testing.T) {
	w := newWorld(t, 10)
	w.cfg.Limits = Limits{PerAddress: 3}
	w.start()
	// Which of the four the server looks at last is not said.
	ended := make(chan error, 4)
	for range 4 {
		conn := w.raw(t).conn
		go func() {
			<-conn.Context().Done()
			ended <- context.Cause(conn.Context())
		}()
	}
	if got := CodeOf(closed(<-ended)); got != CodeBusy {
		t.Errorf("the first to be closed: %v", got)
	}
}

func TestWrongKeyIsNotTrusted(t *testing.T) {
	w := newWorld(t, 10)
	w.start()
	c := w.sender(w.server.Addr())
	c.Ticket.KeyHash[0] ^= 1
	if _, err := NewSender(c).Send(context.Background()); CodeOf(err) != CodeTicket {
		t.Errorf("Send: %v", err)
	}
}

func TestOtherProtocolsAreHandedOn(t *testing.T) {
	w := newWorld(t, 10)
	w.cfg.H3 = func(c *quic.Conn) { _ = c.CloseWithError(0x77, "") }
	w.start()
	conf := clientTLS(w.key)
	conf.NextProtos = []string{"h3"}
	c, err := quic.DialAddr(context.Background(), w.server.Addr().String(), conf, nil)
	w.must(err)
	<-c.Context().Done()
	if got := CodeOf(closed(context.Cause(c.Context()))); got != 0x77 {
		t.Errorf("closed with %v", got)
	}
}
