// Command isthmusctl is the user's command line: it signs people in, sends files by the fast path or over
// HTTPS, whichever the network lets through, and fetches, lists and watches what is there. It knows the
// server only by its API (package openapi) and the fast path's protocol (package transfer).
//
// A sending moves the uploads of one transfer; the commands show it, and so can whoever else holds one.
package main
