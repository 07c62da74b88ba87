package udp

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// BufferSize is what Conn asks of the kernel for its receive and send buffers: a sender at 1 Gbit/s
// fills it in 60 ms.
const BufferSize = 8 << 20

// MaxWrite bounds the bytes of one Write.
const MaxWrite = 65000

// maxSegments is how many datagrams every Linux with UDP_SEGMENT takes at once.
const maxSegments = 64

// ErrUnsupported means that this system cannot share a port among sockets.
var ErrUnsupported = errors.New("udp: sockets cannot share a port on this system")

// Datagrams are one or more datagrams from one peer, end to end: all have Size bytes, the last one
// perhaps fewer. An empty datagram is not reported.
type Datagrams struct {
	Data []byte
	Size int
	From netip.AddrPort
	At   time.Time // when they came, by the kernel's clock where it tells, not when somebody had time to read
}

// Split calls f with each datagram.
func (d Datagrams) Split(f func([]byte)) {
	for b := d.Data; len(b) > 0; {
		n := min(d.Size, len(b))
		f(b[:n])
		b = b[n:]
	}
}

// Conn is a UDP socket. One goroutine may read and one may write at a time; Close may be called by any.
type Conn struct {
	*net.UDPConn
	connected bool
	system
}

// Listen opens a socket for everybody's datagrams; shared lets Connect use its port too.
func Listen(addr netip.AddrPort, shared bool) (*net.UDPConn, error) {
	return open(network(addr.Addr()), addr, shared)
}

// New makes a Conn of a socket, which belongs to it from then on. connected says that the socket has one peer.
func New(c *net.UDPConn, connected bool) (*Conn, error) {
	u := &Conn{UDPConn: c, connected: connected}
	u.growBuffers()
	if err := u.setUp(); err != nil {
		return nil, err
	}
	return u, nil
}

// growBuffers asks for big buffers. Smaller ones work too, but lose packets when the process has to
// wait for a processor.
func (c *Conn) growBuffers() {
	_ = c.SetReadBuffer(BufferSize)
	_ = c.SetWriteBuffer(BufferSize)
}

func network(a netip.Addr) string {
	switch {
	case a.Is4() || a.Is4In6():
		return "udp4"
	case a.IsValid() && !a.IsUnspecified():
		return "udp6"
	}
	return "udp" // the unspecified IPv6 address: both families
}

// writeEach sends datagrams one by one.
func (c *Conn) writeEach(data []byte, size int, to netip.AddrPort) error {
	for len(data) > 0 {
		n := min(size, len(data))
		var err error
		if c.connected {
			_, err = c.UDPConn.Write(data[:n])
		} else {
			_, err = c.WriteToUDPAddrPort(data[:n], to)
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
