package udp

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"
)

func pair(t *testing.T, addr string) (a, b *Conn, to netip.AddrPort) {
	t.Helper()
	open := func() *Conn {
		c, err := Listen(netip.AddrPortFrom(netip.MustParseAddr(addr), 0), false)
		if err != nil {
			t.Fatal(err)
		}
		u, err := New(c, false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = u.Close() })
		return u
	}
	a, b = open(), open()
	return a, b, b.LocalAddr().(*net.UDPAddr).AddrPort()
}

// receive reads until n bytes have come, and gives the datagrams.
func receive(t *testing.T, c *Conn, n int) (all [][]byte, from netip.AddrPort, at time.Time) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for n > 0 {
		got, err := c.Read()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range got {
			d.Split(func(b []byte) {
				all = append(all, bytes.Clone(b))
				n -= len(b)
			})
			from, at = d.From, d.At
		}
	}
	return all, from, at
}

func TestDatagramsKeepTheirBorders(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		for _, gso := range []bool{true, false} {
			a, b, to := pair(t, addr)
			if !gso {
				a.withoutCutting()
			}
			for _, c := range []struct{ total, size int }{{1, 1}, {1000, 1000}, {1001, 1000}, {20_000, 1200}, {60_000, 500}, {64_000, 8000}} {
				data := make([]byte, c.total)
				for i := range data {
					data[i] = byte(i / c.size)
				}
				before := time.Now()
				if err := a.Write(data, c.size, to); err != nil {
					t.Fatal(err)
				}
				all, from, at := receive(t, b, c.total)
				for i, d := range all {
					if want := data[i*c.size : min((i+1)*c.size, c.total)]; !bytes.Equal(d, want) {
						t.Fatalf("%+v: datagram %d has %d bytes", c, i, len(d))
					}
				}
				if from != a.LocalAddr().(*net.UDPAddr).AddrPort() {
					t.Errorf("from %v", from)
				}
				if at.Before(before.Add(-time.Second)) || at.After(time.Now()) {
					t.Errorf("came at %v, sent after %v", at, before)
				}
			}
		}
	}
}
