// Command bench measures transfers on emulated links: the fast path beside curl, scp and a plain QUIC
// stream, in one go. scripts/bench-transfer starts it; docs/transfer.md says how to read what it prints.
//
// Every sender and every receiver is a process of its own, so that the system counts its CPU; the
// link is another one, with real-time priority. All of them are this program in a role (see roles in
// main_linux.go) or a foreign program, and all end with it.
package main
