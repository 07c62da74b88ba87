// Package demo is the identity provider of the demo: a small spaces platform with a handful of
// people and their hubs. It speaks the same OpenID Connect as a real one (authorization code with
// PKCE, ID tokens checked against its published keys), so that the demo takes the very path of
// production. It keeps everything in memory; a restart signs nobody out of Isthmus.
package demo
