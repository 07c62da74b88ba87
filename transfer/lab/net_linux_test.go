package lab_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"testing"

	"isthmus/transfer/lab"

	"golang.org/x/sys/unix"
)

func open(t *testing.T, cfg lab.Config) *lab.Net {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and the program ip")
	}
	cfg.A, cfg.B = fmt.Sprintf("lab-test-a-%d", os.Getpid()), fmt.Sprintf("lab-test-b-%d", os.Getpid())
	n, err := lab.Open(cfg)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EPERM) {
		t.Skip("no TUN device here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Packets cross both ways and are counted; the namespaces go away again. How fast is for benches.
func TestNamespaces(t *testing.T) {
	link, err := lab.ParseLink("rate=10M,delay=1ms", lab.Link{})
	if err != nil {
		t.Fatal(err)
	}
	n := open(t, lab.Config{AB: link, BA: link})
	var a, b *net.UDPConn
	if err := n.Within(1, func() (err error) {
		b, err = net.ListenUDP("udp4", &net.UDPAddr{IP: lab.Addr(1).AsSlice(), Port: 7})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := n.Within(0, func() (err error) {
		a, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: lab.Addr(1).AsSlice(), Port: 7})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 2000)
		for {
			k, from, err := b.ReadFromUDP(buf)
			if err != nil {
				return
			}
			_, _ = b.WriteToUDP(buf[:k], from)
		}
	}()
	buf := make([]byte, 2000)
	for i := range 20 {
		if _, err := a.Write(buf[:1000+i]); err != nil {
			t.Fatal(err)
		}
		if k, err := a.Read(buf); err != nil || k != 1000+i {
			t.Fatalf("echo %d: %d bytes, %v", i, k, err)
		}
	}
	for i, c := range n.Counters() {
		if c.Packets < 20 || c.Bytes < 20*1028 || c.Dropped != 0 || c.Lost != 0 {
			t.Errorf("direction %d: %+v", i, c)
		}
	}
	if err := errors.Join(a.Close(), b.Close(), n.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(fmt.Sprintf("/run/netns/lab-test-a-%d", os.Getpid())); err == nil {
		t.Error("the namespace is still there")
	}
	if _, err := net.InterfaceByName("lab0"); err == nil {
		t.Error("the device is in our own namespace")
	}
}
