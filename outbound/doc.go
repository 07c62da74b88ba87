// Package outbound makes the one HTTP client with which Isthmus calls out to addresses that other
// people type in: Kaltura accounts, webhooks, identity providers.
//
// The address is checked at the socket, after name resolution, because a check before it can be
// fooled by a name that resolves differently the second time. Proxies from the environment are
// ignored for the same reason: behind a proxy the checked address would be the proxy's. Redirects
// are handed back to the caller, who decides whether a hop is allowed and never sends a secret along.
package outbound
