package udp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func (c *Conn) withoutCutting() { c.noGSO = true }

// TestConnectedSocketTakesItsPeer: one port, two sockets; each peer reaches its own.
func TestConnectedSocketTakesItsPeer(t *testing.T) {
	open, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), true)
	if err != nil {
		t.Fatal(err)
	}
	everybody, err := New(open, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = everybody.Close() }()
	here := open.LocalAddr().(*net.UDPAddr).AddrPort()
	friend, stranger, _ := pair(t, "127.0.0.1")
	one, err := Connect(here, friend.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = one.Close() }()
	for range 20 {
		if err := friend.Write([]byte("friend"), 6, here); err != nil {
			t.Fatal(err)
		}
		if err := stranger.Write([]byte("stranger"), 8, here); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		conn *Conn
		want string
	}{{one, "friend"}, {everybody, "stranger"}} {
		all, _, _ := receive(t, c.conn, 20*len(c.want))
		for _, b := range all {
			if string(b) != c.want {
				t.Fatalf("%q came where %q should", b, c.want)
			}
		}
	}
	if err := one.Write([]byte("answer"), 6, netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	if _, from, _ := receive(t, friend, 6); from != here {
		t.Errorf("the answer came from %v, not %v", from, here)
	}
}

// TestPortIsNotShared: a socket without SO_REUSEPORT does not get into the port. With SO_REUSEADDR on both, one of any
// other user would, and take the packets.
func TestPortIsNotShared(t *testing.T) {
	c, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	thief := net.ListenConfig{Control: control(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	})}
	s, err := thief.ListenPacket(context.Background(), "udp4", c.LocalAddr().String())
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second socket on the port: %v", err)
	}
	if err == nil {
		_ = s.Close()
	}
}

// TestCheckBuffers: there is something to say if and only if sockets get less than they ask for.
func TestCheckBuffers(t *testing.T) {
	a, _, _ := pair(t, "127.0.0.1")
	got := min(a.option(unix.SO_RCVBUF), a.option(unix.SO_SNDBUF))
	if err := CheckBuffers(); (err != nil) != (got < 2*BufferSize) {
		t.Errorf("%v, though sockets get %d bytes", err, got)
	}
	for asked, enoughFor := range map[int]bool{212992: false, BufferSize / 2: false, BufferSize: true, 2 * BufferSize: true} {
		if err := enough("rmem_max", 2*min(asked, BufferSize)); (err == nil) != enoughFor {
			t.Errorf("a limit of %d: %v", asked, err)
		}
	}
}

// TestKernelThatWillNotCut: without checksums the kernel refuses to cut; the datagrams leave one by one.
func TestKernelThatWillNotCut(t *testing.T) {
	a, b, to := pair(t, "127.0.0.1")
	raw, err := a.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1) }), err)
	}
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 20_000)
	for i := range data {
		data[i] = byte(i / 1200)
	}
	for range 2 {
		if err := a.Write(data, 1200, to); err != nil {
			t.Fatal(err)
		}
		all, _, _ := receive(t, b, len(data))
		for i, d := range all {
			if !bytes.Equal(d, data[i*1200:min((i+1)*1200, len(data))]) {
				t.Fatalf("datagram %d has %d bytes", i, len(d))
			}
		}
	}
}
