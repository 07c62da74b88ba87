// Package storetest opens databases for tests.
package storetest
