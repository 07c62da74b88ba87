// Package openapi holds the description of the REST API and what is generated from it: the wire
// types and a client. openapi.yaml is the source of truth; run `go generate ./openapi ./api`
// after changing it. Nothing here knows the server's framework.
package openapi
