// Package transfer is the fast path: it moves files over one UDP port at the line's rate, whatever its
// length and loss. QUIC carries control, an own packet format the bytes; PROTOCOL.md has both,
// SECURITY.md says what they withstand. It knows tickets, uploads and bytes, and nothing of hubs:
// who may send what is asked of Tickets, bytes go to Files.
//
// A Server listens; a Sender sends the uploads of one ticket and survives cuts, changes of address and
// restarts of either side.
package transfer
