// Package lab is an emulated link between two network namespaces, to measure transfers on: rate,
// delay, queue, loss and jitter of our own making, real kernels and real programs at both ends. Linux
// and root only; nothing is asked of the kernel but TUN devices (no netem).
//
//	go run ./transfer/lab/emulate -link rate=100M,delay=100ms,loss=2 &
//	ip netns exec lab-b iperf3 -s -1 &
//	ip netns exec lab-a iperf3 -c 10.77.0.2
//
// Look at Counters.LateMax before you trust a run: it says how long the emulator itself held a packet
// up because the machine was busy.
package lab
