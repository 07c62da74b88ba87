// Command isthmusctl is the user's command line: it signs people in, sends files by the fast path or over
// HTTPS, whichever the network lets through, and fetches, lists and watches what is there. It knows the
// server only by its API (package openapi) and the fast path's protocol (package transfer).
//
// A sending (sending.go) moves the uploads of one transfer, over fast.go and https.go; files come to it by files.go
// and announce.go. The command send shows it (send.go, display.go), and so does the agent, the background service for
// web pages: agent_server.go hears them, agent_pair.go says who they are, agent_pick.go what they may choose from,
// agent_run.go works off the queue (queue.go), and agent_send.go joins that to sendings. docs/ has the rest.
package main
