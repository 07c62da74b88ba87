// Package transfer is the place of the fast path: a QUIC control channel and a UDP data plane with
// their server and client. It will be a leaf that knows tickets, blocks and files and nothing of
// hubs. Nothing is built here yet; uploads come in by tus.
package transfer
