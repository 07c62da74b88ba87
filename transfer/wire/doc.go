// Package wire is the fast path's formats (PROTOCOL.md): control messages, packet headers and bodies,
// and the sealing of packets. Parsers take bytes of strangers: they never panic, allocate no more
// than the input's size times a small constant, and answer ErrFormat for what the protocol does not
// allow.
package wire
