//go:build !linux

package udp

import (
	"net"
	"net/netip"
)

type system struct {
	buf []byte
	out [1]Datagrams
}

// CanShare tells whether Connect works here.
const CanShare = false

func open(network string, addr netip.AddrPort, _ bool) (*net.UDPConn, error) {
	return net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
}

// Connect always fails with ErrUnsupported here.
func Connect(_, _ netip.AddrPort) (*Conn, error) { return nil, ErrUnsupported }

func (c *Conn) setUp() error { return nil }

// Read waits for datagrams. They are valid until the next Read.
func (c *Conn) Read() ([]Datagrams, error) {
	if c.buf == nil {
		c.buf = make([]byte, 1<<16)
	}
	n, from, err := c.ReadFromUDPAddrPort(c.buf)
	if err != nil {
		return nil, err
	}
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	c.out[0] = Datagrams{c.buf[:n], n, from}
	return c.out[:], nil
}

// Write sends data, at most MaxWrite bytes, as datagrams of size bytes, the last one perhaps shorter.
// to is ignored on a connected socket.
func (c *Conn) Write(data []byte, size int, to netip.AddrPort) error {
	return c.writeEach(data, size, to)
}
