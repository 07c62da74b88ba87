// Package gateway is the domain of Isthmus: its words, its rules and the ports it needs.
//
// It performs no input or output of its own and imports only the standard library and
// golang.org/x/text. Every entry point (REST, tus, fast path, drop folder, jobs) calls the same
// services here, so that a rule such as visibility exists once. Files are named after the noun
// they hold; store and api use the same file names for the same nouns.
package gateway
