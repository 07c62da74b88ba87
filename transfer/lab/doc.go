// Package lab is an emulated link between two network namespaces, to measure transfers on: rate,
// delay, queue, loss and jitter of our own making, real kernels and real programs at both ends. Linux
// and root only; nothing is asked of the kernel but TUN devices (no netem).
//
//	go run ./transfer/lab/emulate -link rate=100M,delay=100ms,loss=2 &
//	ip netns exec lab-b iperf3 -s -1 &
//	ip netns exec lab-a iperf3 -c 10.77.0.2
//
// What a link gives to programs is measured by Check, whoever made the link, so that this emulator could be
// compared with an independent one, on a busy machine (go run ./transfer/lab/emulate -check -link …; -attach -ab …
// beside the other one). Medians of three runs, ours / the other:
//
//	set                      round trip ms       lost %          Mbit/s that came of 120 % offered
//	100M, 10 ms              20.16 / 20.15       0 / 0           99.92 / 99.91
//	100M, 50 ms, loss 0.1    100.16 / 100.16     0.09 / 0.12     99.8 / 99.8
//	100M, 100 ms, loss 2     200.18 / 200.17     2.07 / 1.91     98.0 / 97.9
//	200M, 75 ms, loss 1      150.16 / 150.14     1.01 / 1.03     197.8 / 198.1
//	300M, 5 ms               10.14 / 10.16       0 / 0           299.7 / 299.7
//	50M, 150 ms, loss 5      300.20 / 300.19     5.19 / 4.86     47.4 / 47.5
//	100M, 500 ms, loss 30    1000.19 / 1000.18   30.6 / 29.5     69.8 / 70.0
//
// The lost packets are random and some thousand were sent, so the shares differ by chance. Where no loss is set, the
// queue dropped the same share of the 120 % in both: 15.08 % on the first link, 15.92 % on the fifth. The round trip
// is 0.1 to 0.2 ms above what is set: two passes of sleep and wake-up.
//
// Look at Counters.LateMax before you trust a run: it says how long the emulator itself held a packet
// up because the machine was busy.
package lab
