package udp

import (
	"net"
	"net/netip"
	"testing"
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
