// Package docs is the documentation that the server serves below /docs: the guides beside this file,
// the reference of openapi.yaml, and the catalogues of events and errors. Pages are rendered once, when
// the first is asked for; they need no script and ask no other origin for anything.
package docs
