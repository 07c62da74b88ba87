// Package sim runs rate controllers over simulated links in virtual time: packet by packet (Run),
// with the blocks, losses, feedback and repairs of a transfer and with TCP cubic beside it, or as a
// fluid (Flow rates in steps of a millisecond) for large grids. For tests only.
package sim
