//go:build !linux

package udp

import (
	"net"
	"net/netip"
	"time"
)

type system struct {
	buf []byte
	out [1]Datagrams
}

// ReadBatch is how many Datagrams one Read gives at most; fewer: there are no more now.
const ReadBatch = 1

// CanShare tells whether Connect works here.
const CanShare = false

func open(network string, addr netip.AddrPort, _ bool) (*net.UDPConn, error) {
	return net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
}

// Connect always fails with ErrUnsupported here.
func Connect(_, _ netip.AddrPort) (*Conn, error) { return nil, ErrUnsupported }

func (c *Conn) setUp() error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(dontFragment)
}

// ReadBuffer is how many bytes the kernel keeps for this socket; 0: not known here.
func (c *Conn) ReadBuffer() int { return 0 }

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
	c.out[0] = Datagrams{c.buf[:n], n, from, time.Now()}
	return c.out[:], nil
}

// Write sends data, at most MaxWrite bytes, as datagrams of size bytes, the last one perhaps shorter.
// to is ignored on a connected socket.
func (c *Conn) Write(data []byte, size int, to netip.AddrPort) error {
	return c.writeEach(data, size, to)
}

// CheckBuffers knows nothing to say here.
func CheckBuffers() error { return nil }
