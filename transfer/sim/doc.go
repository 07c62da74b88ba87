// Package sim runs rate controllers over simulated links in virtual time: packet by packet (Run),
// with the blocks, losses, feedback and repairs of a transfer and with TCP cubic beside it, or as a
// fluid (rates in steps of a millisecond) for large grids. For tests only.
//
// Checked against the emulator of package lab with the real data plane: on 100 Mbit/s, 20 ms, both
// have 100.0 Mbit/s delivered and 4.0 ms of queue; a second flow there gets half within two seconds in
// both; with 200 ms and 2 % the first train reads 9 % low on real hosts and right in here.
package sim
