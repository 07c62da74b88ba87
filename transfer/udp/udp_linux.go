package udp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	// ReadBatch is how many Datagrams one Read gives at most; fewer: there are no more now.
	ReadBatch = 8
	readSize  = 1 << 16 // the kernel joins up to 64 KiB
)

type system struct {
	batch *ipv4.PacketConn // of either family; the calls are the same
	in    []ipv4.Message
	out   []Datagrams
	split []ipv4.Message // for sending without UDP_SEGMENT
	noGSO bool
	oob   []byte
}

func control(f func(fd int) error) func(string, string, syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) { err = f(int(fd)) }), err)
	}
}

func open(network string, addr netip.AddrPort, shared bool) (*net.UDPConn, error) {
	lc := net.ListenConfig{}
	if shared {
		lc.Control = control(share)
	}
	c, err := lc.ListenPacket(context.Background(), network, addr.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

// share lets sockets of the same user have one port. SO_REUSEADDR would let in those of everybody.
func share(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }

// Connect opens a socket that shares local's port and gets what remote sends there. Datagrams of
// others that arrive between bind and connect are lost.
func Connect(local, remote netip.AddrPort) (*Conn, error) {
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(local), Control: control(share)}
	c, err := d.Dial(network(remote.Addr()), remote.String())
	if err != nil {
		return nil, err
	}
	u, err := New(c.(*net.UDPConn), true)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return u, nil
}

// CanShare tells whether Connect works here.
const CanShare = true

func (c *Conn) setUp() error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	err = raw.Control(func(fd uintptr) {
		s := int(fd)
		// Without these the same bytes go, only slower or cut into fragments: no failure.
		_ = unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, BufferSize) // beyond rmem_max, if allowed
		_ = unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, BufferSize)
		_ = unix.SetsockoptInt(s, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
		_ = unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		_ = unix.SetsockoptInt(s, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
		_ = unix.SetsockoptInt(s, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
		if _, err := unix.GetsockoptInt(s, unix.IPPROTO_UDP, unix.UDP_SEGMENT); err != nil {
			c.noGSO = true
		}
	})
	c.batch = ipv4.NewPacketConn(c.UDPConn)
	c.oob = make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c.oob[0])) // its layout differs between 32 and 64 bits
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	return err
}

// ReadBuffer is how many bytes the kernel keeps for this socket, its own overhead included.
func (c *Conn) ReadBuffer() int { return c.option(unix.SO_RCVBUF) }

func (c *Conn) option(name int) int {
	n := 0
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, name) })
	}
	return n
}

// Read waits for datagrams. They are valid until the next Read.
func (c *Conn) Read() ([]Datagrams, error) {
	if c.in == nil {
		c.in = make([]ipv4.Message, ReadBatch)
		for i := range c.in {
			c.in[i].Buffers = [][]byte{make([]byte, readSize)}
			c.in[i].OOB = make([]byte, 128)
		}
	}
	n, err := c.batch.ReadBatch(c.in, 0)
	if err != nil {
		return nil, err
	}
	c.out = c.out[:0]
	now := time.Now()
	for _, m := range c.in[:n] {
		if m.N == 0 {
			continue
		}
		d := Datagrams{Data: m.Buffers[0][:m.N], Size: m.N, At: now}
		d.describe(m.OOB[:m.NN], now)
		if a, ok := m.Addr.(*net.UDPAddr); ok && a != nil {
			d.From = a.AddrPort()
			d.From = netip.AddrPortFrom(d.From.Addr().Unmap(), d.From.Port())
		}
		c.out = append(c.out, d)
	}
	return c.out, nil
}

// describe takes what the kernel says about datagrams: when they came, and how long each one is of those that it
// joined.
func (d *Datagrams) describe(oob []byte, now time.Time) {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return
		}
		switch {
		case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			d.Size = int(binary.NativeEndian.Uint32(data))
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(unix.Timespec{})):
			// The stamp is of the wall clock; only its distance from now is of use.
			ts := (*unix.Timespec)(unsafe.Pointer(&data[0]))
			if age := now.UnixNano() - ts.Nano(); age > 0 && age < int64(time.Second) {
				d.At = now.Add(-time.Duration(age))
			}
		}
		oob = rest
	}
}

// Write sends data, at most MaxWrite bytes, as datagrams of size bytes, the last one perhaps shorter.
// to is ignored on a connected socket.
func (c *Conn) Write(data []byte, size int, to netip.AddrPort) error {
	for len(data) > 0 {
		n := min(len(data), size*maxSegments)
		if err := c.write(data[:n], size, to); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func (c *Conn) write(data []byte, size int, to netip.AddrPort) error {
	if len(data) <= size {
		return c.writeEach(data, size, to)
	}
	if c.noGSO {
		return c.writeSplit(data, size, to)
	}
	binary.NativeEndian.PutUint16(c.oob[unix.CmsgLen(0):], uint16(size))
	if c.connected {
		to = netip.AddrPort{}
	}
	_, _, err := c.WriteMsgUDPAddrPort(data, c.oob, to)
	switch {
	case errors.Is(err, unix.EIO): // this device cannot do checksums, so the kernel will not cut
		c.noGSO = true
		return c.writeSplit(data, size, to)
	case errors.Is(err, unix.EINVAL): // among others: pieces longer than the present device takes
		return c.writeSplit(data, size, to)
	}
	return err
}

func (c *Conn) writeSplit(data []byte, size int, to netip.AddrPort) error {
	if c.split == nil {
		c.split = make([]ipv4.Message, maxSegments)
		for i := range c.split {
			c.split[i].Buffers = make([][]byte, 1)
		}
	}
	var addr net.Addr
	if !c.connected {
		addr = net.UDPAddrFromAddrPort(to)
	}
	n := 0
	for ; len(data) > 0; n++ {
		l := min(size, len(data))
		c.split[n].Buffers[0], c.split[n].Addr = data[:l], addr
		data = data[l:]
	}
	for sent := 0; sent < n; {
		m, err := c.batch.WriteBatch(c.split[sent:n], 0)
		if err != nil {
			return err
		}
		sent += m
	}
	return nil
}

// CheckBuffers tells whether sockets of this process get BufferSize, and if not, what allows it.
func CheckBuffers() error {
	c, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), false)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	u, err := New(c, false)
	if err != nil {
		return err
	}
	return errors.Join(enough("rmem_max", u.option(unix.SO_RCVBUF)), enough("wmem_max", u.option(unix.SO_SNDBUF)))
}

// enough looks at what the kernel says of a buffer: it counts its own overhead in, twice what was asked for, and cuts
// what was asked for to a limit of that name without a word.
func enough(limit string, got int) error {
	if got >= 2*BufferSize {
		return nil
	}
	return fmt.Errorf("socket buffers are %d KiB, not %d KiB: fast lines lose packets; allow more with: sysctl -w net.core.%s=%d",
		got/2>>10, BufferSize>>10, limit, BufferSize)
}
