package main

import "time"

// patience is how long the program waits until it takes another way. Tests have less of it.
type patience struct {
	grace   time.Duration // without the fast path, before HTTPS takes its place: a handshake over the longest line
	again   time.Duration // before the fast path is tried again, the first time; it doubles
	silence time.Duration // without an answer over UDP, until a connection is given up
	slow    time.Duration // of next to nothing by the fast path, before HTTPS gets a trial of the same length
	stall   time.Duration // without a byte by HTTPS, until a request is given up
}

var usual = patience{grace: 2500 * time.Millisecond, again: 10 * time.Second, silence: 10 * time.Second, slow: 15 * time.Second, stall: time.Minute}
