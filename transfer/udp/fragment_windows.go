package udp

import "golang.org/x/sys/windows"

const dontFragmentOption = 14 // IP_DONTFRAGMENT and IPV6_DONTFRAG of ws2ipdef.h

// dontFragment makes datagrams that the way does not take vanish, so that Hellos find out its size.
func dontFragment(fd uintptr) {
	_ = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, dontFragmentOption, 1)
	_ = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, dontFragmentOption, 1)
}
