// Package kaltura speaks Kaltura's API v3 and adapts one Kaltura account to gateway.Platform.
//
// The layers, from the wire up: client.go posts JSON and turns every kind of answer into a value or
// a typed error; session.go mints sessions (KS) from the App Token and keeps them in memory for
// part of their life; platform.go and its neighbours speak the gateway's words. A KS travels in
// request bodies only. The one exception is a playback KS that is limited to one entry and minutes
// (playback.go).
//
// The embedded platform is reached by this same code over an in-process transport, so what works
// there works against a Kaltura server.
package kaltura
