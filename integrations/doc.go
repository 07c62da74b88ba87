// Package integrations opens accounts on media platforms. The registry is one explicit map: adding
// a platform means adding a line to it and passing platformtest.
package integrations
