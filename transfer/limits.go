package transfer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"isthmus/transfer/wire"
)

// Limits bound what strangers and clients can take from a server. A field of 0 or less means its default.
type Limits struct {
	Connections int           // at once; 4096
	PerAddress  int           // connections of one IPv4 address or IPv6 /64 at once; 64
	HalfOpen    int           // unfinished handshakes, above which addresses must be proved first (Retry); 128
	Handshake   time.Duration // for the handshake, and again for the ticket; 5 s
	Idle        time.Duration // without a packet of the control connection; 30 s
	LeastRate   int           // bytes/s of an unpaused session that has bytes to come; 16 KiB/s
	LeastOver   time.Duration // over which LeastRate is measured; 30 s
	ExcessOver  time.Duration // over which a session may not come a quarter faster than its share; 5 s
	Buffer      int           // bytes of a session that were taken and not written; 8 MiB
	Windows     int           // bytes by which QUIC's receive windows of all connections may grow; 512 MiB
}

func positive[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Connections: positive(l.Connections, 4096),
		PerAddress:  positive(l.PerAddress, 64),
		HalfOpen:    positive(l.HalfOpen, 128),
		Handshake:   positive(l.Handshake, 5*time.Second),
		Idle:        positive(l.Idle, 30*time.Second),
		LeastRate:   positive(l.LeastRate, 16<<10),
		LeastOver:   positive(l.LeastOver, 30*time.Second),
		ExcessOver:  positive(l.ExcessOver, 5*time.Second),
		Buffer:      positive(l.Buffer, 8<<20),
		Windows:     positive(l.Windows, 512<<20),
	}
}

// gate counts connections.
type gate struct {
	limits Limits
	open   atomic.Int64 // all
	half   atomic.Int64 // before the handshake's end

	mu     sync.Mutex
	per    map[netip.Prefix]int  // from when on the address is known to be the client's own
	grown  map[*quic.Conn]uint64 // bytes that a window grew by
	growth uint64                // of all
}

var errFull = errors.New("too many connections")

// visit is what the gate knows of a connection from its first packet on.
type visit struct {
	arrived func()      // the handshake is over
	entered atomic.Bool // whoever called enter leaves
	leave   func()      // of its address; nil: it is not counted there yet
}

type visitKey struct{}

// admit is quic.Transport's ConnContext.
func (g *gate) admit(ctx context.Context, client *quic.ClientInfo) (context.Context, error) {
	v := &visit{}
	if client.AddrVerified { // or one address could hold all places with handshakes that it never ends
		var ok bool
		if v.leave, ok = g.count(client.RemoteAddr); !ok {
			return nil, errFull
		}
	}
	if g.open.Add(1) > int64(g.limits.Connections) {
		g.open.Add(-1)
		if v.leave != nil {
			v.leave()
		}
		return nil, errFull
	}
	g.half.Add(1)
	v.arrived = sync.OnceFunc(func() { g.half.Add(-1) })
	context.AfterFunc(ctx, func() {
		v.arrived()
		g.open.Add(-1)
		if !v.entered.Load() && v.leave != nil {
			v.leave()
		}
	})
	return context.WithValue(ctx, visitKey{}, v), nil
}

// suspect is quic.Transport's VerifySourceAddress: with many handshakes pending, addresses are asked to
// prove themselves, which costs honest clients a round trip and us nothing.
func (g *gate) suspect(net.Addr) bool { return g.half.Load() > int64(g.limits.HalfOpen) }

// enter counts an established connection on its address; leave must follow. false: too many.
func (g *gate) enter(conn *quic.Conn) (leave func(), ok bool) {
	v := conn.Context().Value(visitKey{}).(*visit)
	v.entered.Store(true)
	v.arrived()
	away := v.leave
	if away == nil {
		if away, ok = g.count(conn.RemoteAddr()); !ok {
			return nil, false
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.grown == nil {
		g.grown = map[*quic.Conn]uint64{}
	}
	g.grown[conn] = 0
	return func() {
		away()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.growth -= g.grown[conn]
		delete(g.grown, conn)
	}, true
}

// count counts a connection of an address until leave; false: too many.
func (g *gate) count(a net.Addr) (leave func(), ok bool) {
	p := sourceOf(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.per == nil {
		g.per = map[netip.Prefix]int{}
	}
	if g.per[p] >= g.limits.PerAddress {
		return nil, false
	}
	g.per[p]++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.per[p]--; g.per[p] == 0 {
			delete(g.per, p)
		}
	}), true
}

// grow is quic.Config's AllowConnectionWindowIncrease. What is in the windows may wait for a slow disk.
func (g *gate) grow(conn *quic.Conn, delta uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, here := g.grown[conn]
	if !here || g.growth+delta > uint64(g.limits.Windows) {
		return false
	}
	g.grown[conn], g.growth = n+delta, g.growth+delta
	return true
}

// talks tells that a control connection comes from there.
func (g *gate) talks(peer netip.AddrPort) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for conn := range g.grown {
		if a, ok := conn.RemoteAddr().(*net.UDPAddr); ok && a.Port == int(peer.Port()) && a.AddrPort().Addr().Unmap() == peer.Addr() {
			return true
		}
	}
	return false
}

// sourceOf is what counts as one address: whoever has an IPv6 address has its whole /64.
func sourceOf(a net.Addr) netip.Prefix {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := u.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}

// allowance adds up what a client was allowed to send, by the rates that it was told.
type allowance struct {
	bytes float64 // since spend
	most  float64 // highest rate since spend, in byte/s
	rate  float64
	since time.Time
	any   bool // there is no limit now
	free  bool // or there was none at some time since spend
}

func (a *allowance) grant(rate uint64, now time.Time) {
	if !a.since.IsZero() {
		a.bytes += a.rate * now.Sub(a.since).Seconds()
	}
	a.rate, a.since, a.any = float64(rate)/8, now, rate == wire.NoLimit
	if a.any {
		a.rate, a.free = 0, true
	}
	a.most = max(a.most, a.rate)
}

// spend gives what was allowed since the last time; free: anything.
func (a *allowance) spend(now time.Time) (bytes, most float64, free bool) {
	if a.since.IsZero() {
		return 0, 0, true
	}
	a.bytes += a.rate * now.Sub(a.since).Seconds()
	bytes, most, free = a.bytes, a.most, a.free
	a.bytes, a.most, a.since, a.free = 0, a.rate, now, a.any
	return bytes, most, free
}
