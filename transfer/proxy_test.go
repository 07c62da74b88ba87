package transfer

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/transfer/udp"
	"isthmus/transfer/wire"
)

// faults is what a proxy does to datagrams, as shares of 1.
type faults struct {
	loss, duplicate, reorder, corrupt float64
	spareQUIC                         bool // to our packets only
	delay                             time.Duration
}

// proxy is a bad network between clients and a server: one UDP port in front of it. Each client
// address has a socket of its own towards the server.
type proxy struct {
	t      testing.TB
	front  *net.UDPConn
	server netip.AddrPort
	addr   netip.AddrPort
	fault  atomic.Pointer[faults]
	cut    atomic.Bool // nothing passes
	bytes  atomic.Int64
	data   atomic.Int64 // packets of type Data from clients

	narrow    atomic.Int64 // longer packets of ours vanish; 0: none do
	strangers atomic.Int64 // packets that did not come from where they were asked
	tap       atomic.Pointer[func(b []byte, up bool)]

	mu    sync.Mutex
	r     *rand.Rand
	flows map[netip.AddrPort]*net.UDPConn
	wg    sync.WaitGroup
}

func newProxy(t testing.TB, server netip.AddrPort, f faults) *proxy {
	t.Helper()
	front, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), false)
	if err != nil {
		t.Fatal(err)
	}
	_ = front.SetReadBuffer(udp.BufferSize)
	p := &proxy{
		t: t, front: front, server: server, addr: front.LocalAddr().(*net.UDPAddr).AddrPort(),
		r: rand.New(rand.NewPCG(1, 2)), flows: map[netip.AddrPort]*net.UDPConn{},
	}
	p.fault.Store(&f)
	p.wg.Go(p.up)
	t.Cleanup(func() {
		_ = front.Close()
		p.rebind()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) up() {
	b := make([]byte, 1<<16)
	for {
		n, from, err := p.front.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		out, err := p.flow(from)
		if err != nil {
			return
		}
		if n > wire.DataOverhead && b[0] == wire.TypeData {
			p.bytes.Add(int64(n - wire.DataOverhead))
			p.data.Add(1)
		}
		if tap := p.tap.Load(); tap != nil {
			(*tap)(b[:n], true)
		}
		p.pass(b[:n], func(b []byte) { _, _ = out.WriteToUDPAddrPort(b, p.server) })
	}
}

func (p *proxy) flow(from netip.AddrPort) (*net.UDPConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.flows[from]; c != nil {
		return c, nil
	}
	local := netip.IPv4Unspecified()
	if p.server.Addr().Is6() {
		local = netip.IPv6Unspecified()
	}
	c, err := udp.Listen(netip.AddrPortFrom(local, 0), false)
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(udp.BufferSize)
	p.flows[from] = c
	p.wg.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, who, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if who.Addr().Unmap() != p.server.Addr() {
				p.strangers.Add(1)
			}
			if tap := p.tap.Load(); tap != nil {
				(*tap)(b[:n], false)
			}
			p.pass(b[:n], func(b []byte) { _, _ = p.front.WriteToUDPAddrPort(b, from) })
		}
	})
	return c, nil
}

// rebind gives every client another address towards the server, as a NAT does that forgot.
func (p *proxy) rebind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for from, c := range p.flows {
		_ = c.Close()
		delete(p.flows, from)
	}
}

func (p *proxy) chance(share float64) bool {
	if share == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.r.Float64() < share
}

func (p *proxy) pass(b []byte, send func([]byte)) {
	f := p.fault.Load()
	if p.cut.Load() {
		return
	}
	if n := p.narrow.Load(); n > 0 && ours(b) && len(b) > int(n) {
		return
	}
	if f.spareQUIC && !ours(b) {
		send(b)
		return
	}
	if d := f.delay; d > 0 {
		now, at := send, append([]byte(nil), b...)
		b, send = at, func(b []byte) { time.AfterFunc(d, func() { now(b) }) }
	}
	if p.chance(f.loss) {
		return
	}
	if p.chance(f.corrupt) {
		p.mu.Lock()
		b[p.r.IntN(len(b))] ^= 1 << p.r.IntN(8)
		p.mu.Unlock()
	}
	if p.chance(f.duplicate) {
		send(b)
	}
	if p.chance(f.reorder) {
		late := append([]byte(nil), b...)
		time.AfterFunc(3*time.Millisecond, func() { send(late) })
		return
	}
	send(b)
}
