// Package web holds the front end and serves it.
//
// The front end is a static Preact application built by Vite into dist, which is not tracked. A
// binary built without it serves the placeholder page, so that `go build ./...` needs no Node.
package web
