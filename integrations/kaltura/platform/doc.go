// Package platform is a Kaltura-compatible media platform: an http.Handler that answers API v3 and
// playback addresses as a recorded Kaltura server does. It is the zero-setup default of Isthmus
// and its double in tests, and it speaks only the wire protocol: the gateway reaches it through the
// same Kaltura client as any other server.
//
// Nothing lives in the handler. Rows go through Records, bytes through gateway.Staging and
// gateway.Blobs, and every entry's content is a gateway.Asset, so that what any Kaltura client
// uploads is packaged like our own uploads.
package platform
