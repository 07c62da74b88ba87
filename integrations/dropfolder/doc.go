// Package dropfolder knows the places of drop folders (directories below the server's drop root, prefixes of S3
// buckets) and reads manifests.
//
// A directory is written by people whom the server must not trust: every step on the way to a file is opened without
// following links, and a file is only opened once it is known to be a regular one.
package dropfolder
