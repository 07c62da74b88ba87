package udp

import "golang.org/x/sys/unix"

// dontFragment makes datagrams that the way does not take vanish, so that Hellos find out its size. Before
// macOS 15 it does nothing for a socket of both families.
func dontFragment(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_DONTFRAG, 1)
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1)
}
