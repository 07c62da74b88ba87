// Package media keeps bytes and looks after what is inside them: files that are still arriving
// (Staging), finished ones (Blobs), and the Pipeline that inspects media and makes it playable.
//
// Two rules hold everywhere. What is acknowledged is on disk: fsync, rename, fsync of the folder,
// in one helper (publish). And ffmpeg is held to be hostile: whatever it reads was sent by a
// stranger, so every run of it happens in the sandbox of sandbox.go, with a demuxer that we chose
// from the file's first bytes, on a single input file, without network.
package media
