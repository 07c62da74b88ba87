//go:build !linux && !darwin && !windows

package udp

func dontFragment(uintptr) {}
