// Package api is the HTTP front of Isthmus: the REST API generated from openapi.yaml, OAuth
// tokens, tus uploads, server-sent events, thumbnails, playback files and the web page.
//
// Handlers translate between wire types and gateway services and decide nothing themselves, with
// one exception: who is calling, and whether the route's policy lets them (policy.go).
package api

//go:generate go tool oapi-codegen -config oapi-codegen.yaml ../openapi/openapi.yaml
