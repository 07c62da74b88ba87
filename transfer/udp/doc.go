// Package udp reads and writes UDP sockets many datagrams at a time. On Linux the kernel cuts and
// joins them (UDP_SEGMENT, UDP_GRO) and several sockets share one local port, so that each peer can
// have a connected socket with a buffer of its own; elsewhere the same calls work one datagram at a time.
package udp
