package transfer

import (
	"net"
	"net/netip"
	"time"

	"isthmus/transfer/udp"
	"isthmus/transfer/wire"
)

// demux shares one socket between QUIC and our packets where sockets cannot share a port. It is no
// *net.UDPConn on purpose: quic-go would read past it then. That costs QUIC its batches; control has little to say.
type demux struct {
	conn  *udp.Conn
	route func([]byte, netip.AddrPort)
	left  []udp.Datagrams
}

func newDemux(c *net.UDPConn, route func([]byte, netip.AddrPort)) (*demux, error) {
	u, err := udp.New(c, false)
	return &demux{conn: u, route: route}, err
}

func ours(b []byte) bool { return len(b) > 0 && b[0] >= wire.TypeData && b[0] <= wire.TypeHello }

// ReadFrom gives QUIC its next packet and passes ours on meanwhile. One goroutine reads.
func (d *demux) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		for len(d.left) > 0 {
			g := &d.left[0]
			if len(g.Data) == 0 {
				d.left = d.left[1:]
				continue
			}
			b := g.Data[:min(g.Size, len(g.Data))]
			g.Data = g.Data[len(b):]
			if !ours(b) {
				return copy(p, b), net.UDPAddrFromAddrPort(g.From), nil
			}
			d.route(b, g.From)
		}
		var err error
		if d.left, err = d.conn.Read(); err != nil {
			return 0, nil, err
		}
	}
}

func (d *demux) WriteTo(p []byte, to net.Addr) (int, error) { return d.conn.WriteTo(p, to) }
func (d *demux) Close() error                               { return d.conn.Close() }
func (d *demux) LocalAddr() net.Addr                        { return d.conn.LocalAddr() }
func (d *demux) SetDeadline(t time.Time) error              { return d.conn.SetDeadline(t) }
func (d *demux) SetReadDeadline(t time.Time) error          { return d.conn.SetReadDeadline(t) }
func (d *demux) SetWriteDeadline(t time.Time) error         { return d.conn.SetWriteDeadline(t) }
func (d *demux) SetReadBuffer(n int) error                  { return d.conn.SetReadBuffer(n) }
func (d *demux) SetWriteBuffer(n int) error                 { return d.conn.SetWriteBuffer(n) }
